"""
What happens in the demonstration, in which order: start, power cut, return,
planned stop.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from itertools import pairwise

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from txcarp.demo.cast import INTERRUPTED, Host
from txcarp.demo.display import Display
from txcarp.demo.outcome import HandOver
from txcarp.demo.progress import Progress, StoryFailed
from txcarp.demo.timeline import Condition, Mark, Timeline
from txcarp.demo.witness import Advert, Witness
from txcarp.testbed.pinger import Pinger

#: Seconds that a daemon may take to start on a busy machine.
_START = 60.0

#: Seconds that anything else may be late on a busy machine.
_LATE = 30.0

_ADVERTS_TO_WATCH = 4

#: Seconds after which a hand-over has had all its consequences.
_SETTLE = 0.4


class Story:
    """
    Directs the hosts, and tells what the client sees.
    """

    def __init__(
        self,
        clock: IReactorTime,
        hosts: Sequence[Host],
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

    def noticed(self, host: Host) -> None:
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

    async def run(self) -> tuple[HandOver, HandOver]:
        """
        Let everything happen.

        @return: The hand-overs after the power cut and at the planned stop.
        @raise StoryFailed: If something does not happen as it should.
        """
        master = await self._start()
        backup = next(host for host in self._hosts if host is not master)
        await self._watch(master)
        crash = await self._crash(master, backup)
        await self._return(master, backup)
        stop = await self._plannedStop(backup, master)
        return crash, stop

    async def _start(self) -> Host:
        for host in self._hosts:
            self._timeline.become(host.name, Condition.STARTING)
            self._tell("start", f"{host.name}: {_shown(host.command())}")
            host.start()
        await self._until(
            lambda: self._witness.adverts or all(host.participates for host in self._hosts),
            _START,
            "the daemons did not start",
        )
        if not self._witness.adverts:
            self._tell("backup", "both hosts listen; after 3 s of silence one becomes master")
        await self._until(lambda: self._witness.adverts, _LATE, "no advert was seen")
        name = self._witness.adverts[0].host
        master = next(host for host in self._hosts if host.name == name)
        self._tell("master", f"{name} is master: its first advert is on the wire")
        await self._answersFrom(master)
        self._tell("client", f"{name} answers the client")
        for host in self._hosts:
            await self._participation(host)
        return master

    async def _watch(self, master: Host) -> None:
        await self._until(
            lambda: len(self._witness.adverts) >= _ADVERTS_TO_WATCH,
            _LATE,
            f"{master.name} did not send {_ADVERTS_TO_WATCH} adverts",
        )
        adverts = list(self._witness.adverts)
        if any(advert.host != master.name for advert in adverts):
            raise StoryFailed("two hosts advertise at the same time")
        interval = adverts[0].timing.interval
        pauses = [later.at - sooner.at for sooner, later in pairwise(adverts)]
        worst = max(abs(pause - interval) for pause in pauses)
        self._tell(
            "adverts",
            f"{len(adverts)} from {master.name}, one every {interval:.3f} s "
            f"(at most {worst * 1000:.1f} ms off)",
        )
        # The middle of an interval is the typical moment of a failure.
        await deferLater(self._clock, interval / 2)

    async def _crash(self, master: Host, backup: Host) -> HandOver:
        self._mayEnd.add(master.name)
        since = self._clock.seconds()
        master.cutPower()
        self._timeline.mark(master.name, Mark.POWER_CUT)
        self._timeline.become(master.name, Condition.OFF)
        self._tell(
            "power cut", f"{master.name} is gone: its daemon is killed, its network card removed"
        )
        last, first = await self._takeOver(master, backup, since, backup.deadTime + _LATE)
        lateness = first.at - last.at - backup.deadTime
        self._tell(
            "take-over",
            f"{backup.name} is master {first.at - last.at:.3f} s after the last advert of "
            f"{master.name} (due after {backup.deadTime:.3f} s: {lateness * 1000:.1f} ms late)",
        )
        return await self._aftermath(backup, first.at - last.at, since)

    async def _return(self, returning: Host, master: Host) -> None:
        await deferLater(self._clock, 1.0)
        self._tell("start", f"{returning.name} has power again and boots")
        self._timeline.become(returning.name, Condition.STARTING)
        returning.restorePower()
        returning.start()
        self._mayEnd.discard(returning.name)
        await self._participation(returning)
        heard = self._clock.seconds()
        # The returned host had time to object to the second advert.
        await self._until(
            lambda: sum(advert.at > heard for advert in self._witness.adverts) >= 2,
            _LATE,
            f"{master.name} did not go on advertising",
        )
        if any(a.at > heard and a.host != master.name for a in self._witness.adverts):
            raise StoryFailed(f"{returning.name} advertised although {master.name} is master")
        self._tell("backup", f"{returning.name} hears {master.name} advertise and stays backup")
        await deferLater(self._clock, 0.5)

    async def _plannedStop(self, master: Host, backup: Host) -> HandOver:
        self._mayEnd.add(master.name)
        since = self._clock.seconds()
        self._tell("stop", f"{master.name} is asked to stop (SIGTERM)")
        master.stop()
        await self._until(
            lambda: self._leaving(master, since), _LATE, f"{master.name} did not bow out"
        )
        last, first = await self._takeOver(master, backup, since, _LATE)
        self._tell(
            "bow-out", f"{master.name} bowed out {(last.at - since) * 1000:.1f} ms after the signal"
        )
        self._tell(
            "take-over",
            f"{backup.name} is master {(first.at - last.at) * 1000:.1f} ms after the bow-out",
        )
        handOver = await self._aftermath(backup, first.at - last.at, since)
        daemon = master.daemon
        assert daemon is not None
        await self._until(lambda: not daemon.running, _LATE, f"{master.name} did not end")
        if master.owns:
            raise StoryFailed(f"{master.name} stopped and kept the address")
        self._tell("stop", f"{master.name} has removed the address and ended")
        return handOver

    async def _takeOver(
        self, old: Host, new: Host, since: float, limit: float
    ) -> tuple[Advert, Advert]:
        """
        Wait for the new master.

        @return: The last advertisement of the old master and the first one of
            the new master.
        """

        def first() -> Advert | None:
            adverts = (a for a in self._witness.adverts if a.host == new.name and a.at > since)
            return next(adverts, None)

        await self._until(first, limit, f"{new.name} did not take over")
        begins, last = first(), self._witness.latest(old.name)
        assert begins is not None
        assert last is not None
        return last, begins

    async def _aftermath(self, master: Host, takeOver: float, since: float) -> HandOver:
        """
        Wait until the client is served again, and find out what it noticed.
        """
        await self._answersFrom(master)
        await deferLater(self._clock, _SETTLE)
        await self._answersFrom(master)
        handOver = HandOver(takeOver, self._pinger.gaps(since))
        self._tell("silence", f"{handOver.noticed}; now {master.name} answers")
        return handOver

    async def _participation(self, host: Host) -> None:
        await self._until(lambda: host.participates, _START, f"{host.name} did not start")

    async def _answersFrom(self, host: Host) -> None:
        await self._until(
            lambda: self._witness.answering == host.name,
            _LATE,
            f"{host.name} is master and did not answer the client",
        )

    def _leaving(self, host: Host, since: float) -> bool:
        advert = self._witness.latest(host.name)
        return advert is not None and advert.leaving and advert.at > since

    async def _until(self, condition: Callable[[], object], limit: float, complaint: str) -> None:
        def met() -> object:
            for host in self._hosts:
                daemon = host.daemon
                if daemon and not daemon.running and host.name not in self._mayEnd:
                    if daemon.ending == INTERRUPTED:
                        return False  # Ctrl-C, of which this process will hear in a moment
                    raise StoryFailed(f"the daemon of {host.name} ended ({daemon.ending})")
            return condition()

        await self._progress.until(met, limit, complaint)


def _shown(command: list[str]) -> str:
    """
    A command as an administrator would type it, without the directories of its
    files.
    """
    return shlex.join(
        word.rpartition("/")[2] if word.startswith("/") else word for word in command
    )
