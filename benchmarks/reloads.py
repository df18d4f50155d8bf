"""
Random reloads of two daemons under traffic.

    python -m benchmarks.reloads 1000

Two daemons have two groups that never change, and some that change all the time
(C{tests.simulation.edits}).  A client pings the addresses of the steady groups every 2 ms.  What is
on the wire, which hosts have which address, and what the daemons log, is recorded.

The command fails if a ping of a steady group is lost or a steady group advertises anything but one
advertisement per interval, if a group has two masters or an address is on two hosts for longer than
at a hand-over, if a right file is refused or a wrong one is not, and if a group has not one master
when nothing has changed for a while.

Everything happens in network namespaces of this process.
"""

from __future__ import annotations

import argparse
import random
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
from twisted.internet import task
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread

from benchmarks.contestants import strike
from benchmarks.measuring import execute, expectPositive, say, until, verdict
from tests.lab.daemons import Daemon
from tests.lab.holders import Holders
from tests.lab.wire import Wire
from tests.simulation.edits import CHANGING, POOL, RESULTS, STEADY, Edit, Editor
from txcarp.clock.monotonic import MonotonicClock
from txcarp.operate.client import Client, ControlError
from txcarp.testbed import Node, Testbed
from txcarp.testbed.pinger import Pinger, openPingSocket
from txcarp.testbed.program import TXCARP

_SOURCES = ("10.99.0.11", "10.99.0.12")

#: Seconds between two pings.
_PROBE = 0.002

#: Seconds for which two hosts may be master or have an address: 50 ms after the first advertisement
#: of a successor, and what this process and the daemons may be late.
_TOGETHER = 0.3

#: Seconds by which an advertisement may come too early or too late.
_JITTER = 0.3

#: Seconds without an edit within which each group must have one master.
_RESTING = 90.0

#: Seconds for which hosts may have an address together after their files have agreed about its
#: group: until the next take-over is over.
_SETTLING = 6.0

_BEAT = 0.01

_SWITCH = re.compile(r"Switching to state: (\w+) .*vhid (\d+) on")
#: What the log says about the steady groups and the guard, which may be the reason for a fault.
_STEADY_NEWS = re.compile(r"vhid [12] on |\b[Gg]uard\b")
_STOPPING = re.compile(r"Stopping: .*vhid (\d+) on")


class _Host:
    """
    One host.
    """

    def __init__(self, index: int, node: Node, directory: Path) -> None:
        self.index = index
        self.node = node
        self.directory = directory
        self.path = directory / "txcarp.toml"
        self.client = Client(str(directory / "c.sock"))
        self.daemon = Daemon(node.name)

    @property
    def head(self) -> str:
        """
        The first lines of the file.
        """
        return (
            f'[daemon]\nfacility = "none"\ncontrol = "{self.directory / "c.sock"}"\n'
            '[defaults]\ninterface = "eth0"\nassign = true\n'
        )

    def start(self, reactor: Any) -> None:
        """
        Start the daemon.
        """
        command = [*TXCARP, "--config", str(self.path)]
        self.daemon.start(reactor, self.node, command, self.directory, tied=True)

    def reigns(self, since: float, now: float) -> Iterator[tuple[int, float, float]]:
        """
        Yield the number of a group, and the begin and the end of each time as its master.
        """
        begun: dict[int, float] = {}
        for when, line in self.daemon.lines:
            found = _SWITCH.search(line)
            stopping = _STOPPING.search(line)
            vhid = int(found[2]) if found else int(stopping[1]) if stopping else 0
            if found and found[1] == "MASTER":
                begun.setdefault(vhid, when)
            elif vhid in begun:
                yield vhid, begun.pop(vhid), when
        for vhid, when in begun.items():
            yield vhid, when, now


@attrs.define
class Figures:
    """
    What was measured.

    @ivar took: Seconds that each reload took.
    @ivar late: Seconds by which advertisements of the steady groups were early or late.
    @ivar together: The longest time in which two hosts were master, and had an address.
    @ivar faults: What was wrong.
    @ivar pause: The longest pause of this process, in seconds.
    """

    reloads: int = 0
    refused: int = 0
    undone: int = 0
    took: list[float] = attrs.field(factory=list)
    late: list[float] = attrs.field(factory=list)
    probes: int = 0
    lost: int = 0
    masters: float = 0.0
    holders: float = 0.0
    pause: float = 0.0
    faults: list[str] = attrs.field(factory=list)

    def lines(self) -> Iterator[str]:
        """
        Yield the figures for people.
        """
        late = sorted(self.late) or [0.0]
        p99 = late[int(len(late) * 0.99)]
        yield f"{self.reloads} reloads, {self.refused} wrong files, {self.undone} changes undone"
        yield (
            f"a reload took {statistics.median(self.took) * 1000:.0f} ms (median), "
            f"{max(self.took) * 1000:.0f} ms at most"
        )
        yield f"steady groups: {self.lost} of {self.probes} pings lost"
        yield (
            f"steady groups: {len(self.late)} advertisements, {p99 * 1000:.1f} ms early or late "
            f"(p99), {late[-1] * 1000:.1f} ms at most"
        )
        yield f"two masters for {self.masters * 1000:.0f} ms at most"
        yield f"an address on two hosts for {self.holders * 1000:.0f} ms at most"
        yield f"the longest pause of this process was {self.pause * 1000:.0f} ms"


class Reloading:
    """
    Two daemons whose files change.
    """

    def __init__(self, reactor: Any, testbed: Testbed, directory: Path, seed: int) -> None:
        """
        @param directory: A directory with a short path.
        """
        RESULTS.clear()
        self.figures = Figures()
        self._reactor = reactor
        self._chance = random.Random(seed)
        self._clock = MonotonicClock(reactor)
        self._directory = directory
        self._hosts = []
        for index, source in enumerate(_SOURCES):
            place = directory / "ab"[index]
            place.mkdir()
            Editor.writePasswords(place)
            for script in ("up.sh", "down.sh"):
                (place / script).write_text("#!/bin/sh\nexec sleep 0.1\n")
                (place / script).chmod(0o755)
            node = testbed.node("ab"[index], f"{source}/24")
            self._hosts.append(_Host(index, node, place))
        self._client = testbed.node("client", "10.99.0.50/24")
        self._wire = Wire(reactor, testbed.lan)
        self._holders = {
            address: Holders(reactor, address) for address in (*STEADY.values(), *POOL)
        }
        for holders in self._holders.values():
            for host in self._hosts:
                holders.watch(host.node)
        self._pingers: list[Pinger] = []
        #: When the files did not agree about the group of an address, from when to when.
        self._disputes: dict[str, list[list[float]]] = {address: [] for address in POOL}
        self._editor = Editor(
            self._chance,
            _SOURCES,
            scriptsFirst=False,
            isHeld=lambda address: bool(self._holders[address].now),
            isAlive=lambda vhid: any(self._said(host, vhid) for host in self._hosts),
            check=self._fileCheck,
        )
        self._began = 0.0
        self._last = time.monotonic()
        self._pulse = LoopingCall(self._beat)

    def _said(self, host: _Host, vhid: int) -> bool:
        """
        Whether a group may still be there: its removal is less than some seconds old.
        """
        marks = (f"vhid {vhid} on eth0",)
        recent = time.monotonic() - 2.0
        return any(host.daemon.said(mark, recent) for mark in marks)

    def _fileCheck(self, host: int, vhid: int, number: int) -> Mapping[str, Any]:
        return {"file": str(self._checked((host, vhid, number)))}

    def _checked(self, key: tuple[int, int, int]) -> Path:
        return self._directory / "-".join(map(str, ("ok", *key)))

    def _beat(self) -> None:
        now = time.monotonic()
        self.figures.pause = max(self.figures.pause, now - self._last - _BEAT)
        self._last = now

    async def run(self, count: int) -> None:
        """
        Make so many reloads.
        """
        for host in self._hosts:
            self._write(host)
        self._writeResults()
        for host in self._hosts:
            host.start(self._reactor)
        for vhid, address in STEADY.items():
            name = "ab"[vhid - 1]
            await self._until(
                lambda address=address, name=name: self._holders[address].now == {name},
                f"{name} has {address}",
            )
            with self._client.inside():
                sock = openPingSocket(address)
            self._pingers.append(Pinger(self._reactor, self._clock, sock, address, _PROBE, 10**6))
        await self._sleep(2.0)
        self._last = self._began = time.monotonic()
        self._pulse.start(_BEAT)
        for pinger in self._pingers:
            pinger.start()
        await self._sleep(0.2)
        while self.figures.reloads < count:
            await self._act()
            await self._sleep(self._chance.choice((0.0, 0.05, 0.5, 1.5)) * self._chance.random())
        await self._rest()
        for pinger in self._pingers:
            pinger.pause()
        await self._sleep(0.5)
        self._judge()

    async def _act(self) -> None:
        number = self._chance.random()
        host = self._chance.choice(self._hosts)
        if number < 0.01:
            await self._rest()
        elif number < 0.06:
            await self._wrong(host)
        elif number < 0.09:
            await self._trial()
        elif number < 0.35:
            await self._step()
        else:
            for edit in self._editor.edit():
                await self._reload(edit, isAlone=True)
                await self._sleep(self._chance.choice((0.0, 0.3)) * self._chance.random())
            self._writeResults()

    async def _step(self) -> None:
        edit = self._editor.step()
        if edit is not None:
            await self._reload(edit)

    async def _differs(self, host: _Host) -> bool:
        status = await deferToThread(host.client.status)
        return bool(status["configuration"]["differs"])

    async def _reload(
        self, edit: Edit, confirm: float | None = None, isAlone: bool = False
    ) -> None:
        """
        Have a file read that must be right.

        @param isAlone: Whether nothing has to wait for the end of the change, so that HUP will do.
        """
        host = self._hosts[edit.host]
        self._write(host)
        self._compare()
        began = time.monotonic()
        self.figures.reloads += 1
        if isAlone and confirm is None and self._chance.random() < 0.3:
            host.daemon.signal(signal.SIGHUP)
            while await self._differs(host):
                if time.monotonic() > began + _RESTING:
                    self._fault(f"{edit.what}: not in effect after HUP")
                    break
        else:
            try:
                await deferToThread(host.client.reload, confirm=confirm)
            except ControlError as error:
                self._fault(f"{edit.what}: {error}\n{host.path.read_text()}")
        self.figures.took.append(time.monotonic() - began)

    async def _wrong(self, host: _Host) -> None:
        host.path.write_text(self._editor.wrongText(host.index, host.head))
        self.figures.refused += 1
        self.figures.reloads += 1
        try:
            await deferToThread(host.client.reload)
        except ControlError as error:
            if error.word != "not-reloaded":
                self._fault(f"a wrong file: {error}")
        else:
            self._fault(f"a wrong file was accepted: {host.path.read_text()}")
        self._write(host)

    async def _trial(self) -> None:
        """
        Make a change that must be confirmed, and confirm it or not.
        """
        if (made := self._editor.trial()) is None:
            return
        edit, restore = made
        host = self._hosts[edit.host]
        began = time.monotonic()
        await self._reload(edit, 1.0)
        status = await deferToThread(host.client.status)
        if status["configuration"]["unconfirmed"] is None:
            return  # nothing was changed
        if self._chance.random() < 0.5:
            await deferToThread(host.client.confirm)
            return
        await self._until(lambda: host.daemon.said("is undone. ", began), "it is undone")
        self.figures.undone += 1
        restore()
        self._write(host)
        self._compare()

    async def _rest(self) -> None:
        """
        Finish everything, and wait until each group has one master.
        """
        while self._editor.hasSteps:
            await self._step()
        RESULTS.clear()
        self._writeResults()
        end = time.monotonic() + _RESTING
        while True:
            documents = [await deferToThread(host.client.status) for host in self._hosts]
            masters: dict[int, int] = {}
            for document, file in zip(documents, self._editor.files, strict=True):
                groups = document["groups"]
                if {group["vhid"] for group in groups} != set(file):
                    self._fault(f"there are {len(groups)} of {len(file)} groups")
                for group in groups:
                    held = any(one["held"] for one in group["addresses"])
                    isMaster = group["role"] == "MASTER" and held
                    masters[group["vhid"]] = masters.get(group["vhid"], 0) + isMaster
            wrong = [vhid for vhid, number in masters.items() if number != 1]
            if not wrong:
                return
            if time.monotonic() > end:
                self._fault(f"groups {wrong} have not one master after {_RESTING} s")
                return
            await self._sleep(0.5)

    # Files.

    def _write(self, host: _Host) -> None:
        host.path.write_text(self._editor.text(host.index, host.head))

    def _writeResults(self) -> None:
        for host in (0, 1):
            for vhid in CHANGING:
                for number in (0, 1):
                    key = host, vhid, number
                    if RESULTS.get(key, True):
                        self._checked(key).touch()
                    else:
                        self._checked(key).unlink(missing_ok=True)

    def _compare(self) -> None:
        """
        Note about which addresses the files do not agree.
        """
        now = time.monotonic()
        for address, disputes in self._disputes.items():
            groups = [
                {vhid for vhid, group in file.items() if f"{address}/24" in group["addresses"]}
                for file in self._editor.files
            ]
            isOpen = bool(disputes) and disputes[-1][1] == float("inf")
            disagree = all(groups) and groups[0] != groups[1]
            if disagree and not isOpen:
                disputes.append([now, float("inf")])
            elif isOpen and not disagree:
                disputes[-1][1] = now + _SETTLING

    # Judging.

    def _fault(self, words: str) -> None:
        self.figures.faults.append(words)

    def _judge(self) -> None:
        figures, now = self.figures, time.monotonic()
        for pinger in self._pingers:
            gap = pinger.gaps(self._began)
            figures.probes += gap.sent
            figures.lost += gap.lost
        if figures.lost:
            self._fault(f"{figures.lost} pings of steady groups were lost")
        self._judgeSteady()
        reigns: dict[int, list[tuple[int, float, float]]] = {}
        news: list[str] = []
        for host in self._hosts:
            if host.daemon.ended:
                self._fault(f"{host.daemon.name} has ended")
            for vhid, begin, end in host.reigns(self._began, now):
                reigns.setdefault(vhid, []).append((host.index, begin, end))
            for when, line in host.daemon.lines:
                said = f"{host.daemon.name}, after {when - self._began:.3f} s: {line}"
                if "Traceback" in line or "Internal error" in line:
                    self._fault(said)
                elif when > self._began and _STEADY_NEWS.search(line):
                    news.append(said)
        for vhid, all_ in reigns.items():
            for index, (host_, begin, end) in enumerate(all_):
                for other, otherBegin, otherEnd in all_[:index]:
                    if other != host_:
                        both = min(end, otherEnd) - max(begin, otherBegin)
                        figures.masters = max(figures.masters, both)
                        if both > _TOGETHER + figures.pause:
                            self._fault(f"group {vhid} had two masters for {both:.3f} s")
        for address, holders in self._holders.items():
            if holders.uncertain:
                self._fault("netlink messages were lost")
            for begin, end in self._undisputed(address, now):
                span = holders.longest(lambda names: len(names) > 1, begin, end)
                figures.holders = max(figures.holders, span.seconds)
                if span.seconds > _TOGETHER + figures.pause:
                    self._fault(f"{address} was on two hosts for {span.seconds:.3f} s")
        if figures.faults:
            figures.faults += news

    def _undisputed(self, address: str, now: float) -> Iterator[tuple[float, float]]:
        begin = self._began
        for since, until_ in self._disputes.get(address, ()):
            if since > begin:
                yield begin, since
            begin = max(begin, until_)
        if begin < now:
            yield begin, now

    def _judgeSteady(self) -> None:
        for vhid in STEADY:
            sent = [
                one
                for one in self._wire.adverts
                if one.said.vhid == vhid and one.time > self._began
            ]
            sources = {one.source for one in sent}
            if sources != {_SOURCES[vhid - 1]}:
                self._fault(f"steady group {vhid} is advertised by {sorted(sources)}")
            for one, other in pairwise(sent):
                apart = other.time - one.time
                late = abs(apart - 1.0)
                self.figures.late.append(late)
                if late > _JITTER + self.figures.pause:
                    self._fault(f"steady group {vhid} advertised {apart:.3f} s apart")

    async def end(self) -> None:
        """
        End everything.
        """
        if self._pulse.running:
            self._pulse.stop()
        for pinger in self._pingers:
            pinger.stop()
        for holders in self._holders.values():
            holders.stop()
        self._wire.stop()
        self._clock.stop()
        for host in self._hosts:
            if host.daemon.transport is not None:
                strike(host.daemon, signal.SIGKILL)
                await host.daemon.exit

    def _sleep(self, seconds: float) -> Deferred[None]:
        return task.deferLater(self._reactor, seconds)

    async def _until(self, condition: Any, what: str) -> None:
        await until(self._reactor, condition, what, *(host.daemon for host in self._hosts))


async def measure(reactor: Any, count: int, seed: int) -> Figures:
    """
    Make so many reloads.
    """
    with tempfile.TemporaryDirectory() as directory, Testbed.create() as testbed:
        reloading = Reloading(reactor, testbed, Path(directory), seed)
        try:
            await reloading.run(count)
        finally:
            await reloading.end()
        return reloading.figures


def main() -> None:
    """
    Measure, and print the figures.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reloads",
        description="Reload two daemons at random, under traffic.",
    )
    parser.add_argument("reloads", type=int, nargs="?", default=100, help="how many reloads")
    parser.add_argument("--seed", type=int, default=0, help="determines what is edited")
    options = parser.parse_args()
    expectPositive(parser, options, "reloads")

    async def run(reactor: Any) -> int:
        figures = await measure(reactor, options.reloads, options.seed)
        for line in figures.lines():
            print(line)
        sys.stdout.flush()
        return verdict(figures.faults, (), "txcarp")

    say(f"reloading {options.reloads} times")
    execute("reloads", run)


if __name__ == "__main__":
    main()
