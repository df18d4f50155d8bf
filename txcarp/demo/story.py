"""
What happens in the demonstration, in which order: start, power cut, killed daemon, failing check,
planned stop.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from itertools import pairwise

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from txcarp.demo.display import Display
from txcarp.demo.hosts import INTERRUPTED, DemoHost
from txcarp.demo.outcome import Takeover
from txcarp.demo.timeline import Condition, Mark, Timeline
from txcarp.demo.witness import Advert, Witness
from txcarp.testbed.pinger import Pinger

#: Seconds that a daemon may take to start on a busy machine.
_START = 60.0

#: Seconds that anything else may be late on a busy machine.
_LATE = 30.0

_ADVERTS_TO_WATCH = 4

#: Seconds after which a take-over has had all its consequences.
_SETTLE = 0.4


class StoryFailed(Exception):
    """
    Something did not happen.  The message says what.
    """


class Progress:
    """
    Wakes the story whenever something happened that it may be waiting for.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._change: Deferred[None] | None = None

    def made(self) -> None:
        """
        Have the condition checked that is waited for.
        """
        change, self._change = self._change, None
        if change is not None:
            change.callback(None)

    async def until(self, condition: Callable[[], object], limit: float, complaint: str) -> None:
        """
        Wait until a condition is true.  Only one can be waited for at a time.

        @param condition: May raise L{StoryFailed} to give up.
        @param limit: Seconds to wait at most.
        @param complaint: What to say if that was not enough.
        @raise StoryFailed: If the condition did not become true in time.
        """
        end = self._clock.seconds() + limit
        while not condition():
            left = end - self._clock.seconds()
            if left <= 0:
                raise StoryFailed(f"{complaint} within {limit:g} s")
            self._change = Deferred()
            try:
                await self._change.addTimeout(left, self._clock)
            except TimeoutError:
                pass
            finally:
                self._change = None


class Story:
    """
    Directs the hosts, and tells what the client sees.
    """

    def __init__(
        self,
        clock: IReactorTime,
        hosts: Sequence[DemoHost],
        witness: Witness,
        pinger: Pinger,
        timeline: Timeline,
        display: Display,
    ) -> None:
        """
        @param clock: The monotonic clock of witness and pinger.
        """
        self._clock = clock
        self._hosts = hosts
        self._witness = witness
        self._pinger = pinger
        self._timeline = timeline
        self._tell = display.event
        self._progress = Progress(clock)
        #: The names of hosts whose daemon may end.
        self._mayEnd: set[str] = set()

    def noticed(self, host: DemoHost) -> None:
        """
        Take note that a daemon wrote something, or ended.
        """
        if host.participates and self._timeline.condition(host.name) is Condition.STARTING:
            self._timeline.become(host.name, Condition.BACKUP)
        self._progress.made()

    def advertised(self, advert: Advert) -> None:
        """
        Take note of an advertisement.
        """
        self._timeline.mark(advert.host, Mark.BOW_OUT if advert.leaving else Mark.ADVERT)
        if advert.leaving:
            self._timeline.become(advert.host, Condition.OFF)
        elif advert.host not in self._mayEnd:
            self._timeline.become(advert.host, Condition.MASTER)
        self._progress.made()

    def answered(self, host: str) -> None:
        """
        Take note of an answer to the client.
        """
        self._timeline.answered(host)
        self._progress.made()

    async def run(self) -> list[Takeover]:
        """
        Let everything happen.

        @return: The take-overs.
        @raise StoryFailed: If something does not happen as it should.
        """
        one = await self._start()
        other = next(host for host in self._hosts if host is not one)
        await self._watch(one)
        crash = await self._crash(one, other)
        self._tell("start", f"{one.name} has power again and boots")
        one.restorePower()
        await self._return(one, other)
        killed = await self._killed(other, one)
        self._tell("start", f"the daemon of {other.name} is started again")
        await self._return(other, one)
        unfit = await self._failingCheck(one, other)
        stop = await self._plannedStop(other, one)
        return [crash, killed, unfit, stop]

    async def _start(self) -> DemoHost:
        adverts, hosts = self._witness.adverts, self._hosts
        for host in hosts:
            self._timeline.become(host.name, Condition.STARTING)
            self._tell("start", f"{host.name}: {_shown(host.command())}")
            host.start()
        await self._until(
            lambda: adverts or all(host.participates for host in hosts),
            "the daemons did not start",
            _START,
        )
        if not adverts:
            self._tell("backup", "both hosts listen; after 3 s of silence one becomes master")
        await self._until(lambda: adverts, "no advert was seen")
        master = next(host for host in hosts if host.name == adverts[0].host)
        self._tell("master", f"{master.name} is master: its first advert is on the wire")
        await self._answersFrom(master)
        self._tell("client", f"{master.name} answers the client")
        for host in hosts:
            await self._participation(host)
        return master

    async def _watch(self, master: DemoHost) -> None:
        await self._until(
            lambda: len(self._witness.adverts) >= _ADVERTS_TO_WATCH,
            f"{master.name} did not send {_ADVERTS_TO_WATCH} adverts",
        )
        adverts = list(self._witness.adverts)
        if any(advert.host != master.name for advert in adverts):
            raise StoryFailed("two hosts advertise at the same time")
        interval = adverts[0].timing.interval
        worst = max(abs(later.at - sooner.at - interval) for sooner, later in pairwise(adverts))
        self._tell(
            "adverts",
            f"{len(adverts)} from {master.name}, one every {interval:.3f} s "
            f"(at most {worst * 1000:.1f} ms off)",
        )
        # The middle of an interval is the typical moment of a failure.
        await deferLater(self._clock, interval / 2)

    async def _crash(self, master: DemoHost, backup: DemoHost) -> Takeover:
        self._mayEnd.add(master.name)
        since = self._clock.seconds()
        master.cutPower()
        self._timeline.mark(master.name, Mark.POWER_CUT)
        self._timeline.become(master.name, Condition.OFF)
        self._tell(
            "power cut", f"{master.name} is gone: its daemon is killed, its network card removed"
        )
        last, first = await self._takeOver(master, backup, since, backup.deadTime + _LATE)
        delay = first.at - last.at
        lateness = (delay - backup.deadTime) * 1000
        self._tell(
            "take-over",
            f"{backup.name} is master {delay:.3f} s after the last advert of {master.name} "
            f"(due after {backup.deadTime:.3f} s: {lateness:.1f} ms late)",
        )
        takeover = await self._aftermath("power cut", backup, delay, since)
        await deferLater(self._clock, 1.0)
        return takeover

    async def _killed(self, master: DemoHost, backup: DemoHost) -> Takeover:
        self._mayEnd.add(master.name)
        since = self._clock.seconds()
        master.kill()
        self._timeline.mark(master.name, Mark.KILL)
        self._timeline.become(master.name, Condition.OFF)
        self._tell("kill", f"the daemon of {master.name} is killed (SIGKILL); its guard is left")
        await self._bowOut(master, since, f"the guard of {master.name}")
        last, first = await self._takeOver(master, backup, since, _LATE)
        left, delay = (last.at - since) * 1000, first.at - since
        self._tell("bow-out", f"the guard of {master.name} bowed out {left:.1f} ms after the kill")
        self._tell("take-over", f"{backup.name} is master {delay * 1000:.1f} ms after the kill")
        return await self._aftermath("killed daemon", backup, delay, since)

    async def _failingCheck(self, master: DemoHost, backup: DemoHost) -> Takeover:
        since = self._clock.seconds()
        master.breakService()
        self._tell("check", f"a service of {master.name} fails; a check looks every 100 ms")
        await self._bowOut(master, since, master.name)
        last, first = await self._takeOver(master, backup, since, _LATE)
        self._timeline.become(master.name, Condition.BACKUP)
        noticed, delay = (last.at - since) * 1000, first.at - last.at
        self._tell("bow-out", f"{master.name} noticed that, and bowed out after {noticed:.0f} ms")
        self._tell("take-over", f"{backup.name} is master {delay * 1000:.1f} ms after the bow-out")
        takeover = await self._aftermath("failing check", backup, delay, since)
        master.mendService()
        self._tell("check", f"the service of {master.name} is good again")
        await deferLater(self._clock, 1.0)
        return takeover

    async def _return(self, returning: DemoHost, master: DemoHost) -> None:
        self._timeline.become(returning.name, Condition.STARTING)
        returning.start()
        self._mayEnd.discard(returning.name)
        await self._participation(returning)
        heard = self._clock.seconds()
        # The returned host had time to object to the second advert.
        await self._until(
            lambda: sum(advert.at > heard for advert in self._witness.adverts) >= 2,
            f"{master.name} did not go on advertising",
        )
        if any(a.at > heard and a.host != master.name for a in self._witness.adverts):
            raise StoryFailed(f"{returning.name} advertised although {master.name} is master")
        self._tell("backup", f"{returning.name} hears {master.name} advertise and stays backup")
        await deferLater(self._clock, 0.5)

    async def _bowOut(self, master: DemoHost, since: float, who: str) -> None:
        """
        Wait for the bow-out of a master.

        @param who: Whose bow-out it is, for people.
        """

        def bowsOut() -> bool:
            advert = self._witness.latest(master.name)
            return advert is not None and advert.leaving and advert.at > since

        await self._until(bowsOut, f"{who} did not bow out")

    async def _plannedStop(self, master: DemoHost, backup: DemoHost) -> Takeover:
        self._mayEnd.add(master.name)
        since = self._clock.seconds()
        self._tell("stop", f"{master.name} is asked to stop (SIGTERM)")
        master.stop()
        await self._bowOut(master, since, master.name)
        last, first = await self._takeOver(master, backup, since, _LATE)
        taken, delay = (last.at - since) * 1000, first.at - last.at
        self._tell("bow-out", f"{master.name} bowed out {taken:.1f} ms after the signal")
        self._tell("take-over", f"{backup.name} is master {delay * 1000:.1f} ms after the bow-out")
        takeover = await self._aftermath("planned stop", backup, delay, since)
        daemon = master.daemon
        assert daemon is not None
        await self._until(lambda: daemon.ending, f"{master.name} did not end")
        if master.owns:
            raise StoryFailed(f"{master.name} stopped and kept the address")
        self._tell("stop", f"{master.name} has removed the address and ended")
        return takeover

    async def _takeOver(
        self, old: DemoHost, new: DemoHost, since: float, limit: float
    ) -> tuple[Advert, Advert]:
        """
        Wait for the new master.

        @return: The last advertisement of the old master and the first one of the new master.
        """

        def first() -> Advert | None:
            adverts = (a for a in self._witness.adverts if a.host == new.name and a.at > since)
            return next(adverts, None)

        await self._until(first, f"{new.name} did not take over", limit)
        begins, last = first(), self._witness.latest(old.name)
        assert begins is not None
        assert last is not None
        return last, begins

    async def _aftermath(
        self, name: str, master: DemoHost, delay: float, since: float
    ) -> Takeover:
        """
        Wait until the client is served again, and find out what it noticed.
        """
        await self._answersFrom(master)
        await deferLater(self._clock, _SETTLE)
        await self._answersFrom(master)
        takeover = Takeover(name, delay, self._pinger.gaps(since))
        self._tell("silence", f"{takeover.noticed}; now {master.name} answers")
        return takeover

    async def _participation(self, host: DemoHost) -> None:
        await self._until(lambda: host.participates, f"{host.name} did not start", _START)

    async def _answersFrom(self, host: DemoHost) -> None:
        await self._until(
            lambda: self._witness.answering == host.name,
            f"{host.name} is master and did not answer the client",
        )

    async def _until(
        self, condition: Callable[[], object], complaint: str, limit: float = _LATE
    ) -> None:
        def met() -> object:
            for host in self._hosts:
                if host.daemon and host.daemon.ending and host.name not in self._mayEnd:
                    if host.daemon.ending == INTERRUPTED:
                        return False  # this process will get the signal of Ctrl-C in a moment
                    raise StoryFailed(f"the daemon of {host.name} ended ({host.daemon.ending})")
            return condition()

        await self._progress.until(met, limit, complaint)


def _shown(command: list[str]) -> str:
    """
    A command as an administrator would type it, without the directories of its files.
    """
    return shlex.join(
        word.rpartition("/")[2] if word.startswith("/") else word for word in command
    )
