"""
Random reloads of two simulated hosts: C{python -m tests.simulation.reloads 100000}.

Two hosts have two groups that never change, and some that change all the time: settings of all
kinds, passwords and addresses in the steps that the manual gives, addresses that move between
groups, groups that are added, renamed and removed, health checks, files with mistakes, and changes
that nobody confirms (L{tests.simulation.edits}).  What reads the files and changes the service, the
service, the virtual hosts and the election are those of production.

At every moment of the simulated time this must be true:

  - The groups that never change have the same master, which has its address, and sends one
    advertisement per interval, and nothing else.
  - No group has two masters, and no address is on two hosts, for longer than the protocol itself
    allows at a takeover.
  - A master that is ready has its addresses, and no other host has them for long.
  - Nothing raises.

When nothing has changed for some time, each group that a healthy host has has one master.

Each play has a number, its seed, and is the same each time.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, formatEvent, globalLogBeginner, globalLogPublisher
from zope.interface import implementer

from tests.simulation.edits import (
    CHANGING,
    POOL,
    RESULTS,
    SCRIPT_FIRST,
    STEADY,
    Editor,
    Sensor,
)
from txcarp.change import Readiness, ReloadResult, ScriptResult
from txcarp.configuration.file import readFile
from txcarp.configuration.ucarp import read
from txcarp.daemon import reload
from txcarp.daemon.reload import Reloader
from txcarp.interfaces import IScriptRunner
from txcarp.protocol.advertisement import decode
from txcarp.protocol.effects import Role
from txcarp.protocol.envelope import readPacket
from txcarp.service import CARPService
from txcarp.testing import Segment, SimulatedHost
from txcarp.virtualhost import VirtualHost

#: The reloads of one play.
PER_PLAY = 100

#: Seconds of an interval between two advertisements of the groups that never change.
_INTERVAL = 1.0

#: Seconds that something may be true that should not be.  When a host hears a better master, two
#: are master until its advertisement has arrived.  A host that hands over goes on answering until
#: 50 ms after the first advertisement of its successor.
LIMITS = {
    "two masters": 0.005,
    "two holders": 0.06,
    "master without its address": 0.0,
    "address without a master": 0.6,
    "nobody": 0.0,
}

#: What lasts for longer while addresses wait for the down script.
_WAITING = ("two holders", "address without a master")

#: The longest time that a script takes, in seconds.
_SLOWEST = 0.4

#: Seconds without a change after which each group has one master.
_QUIET = 40.0


class Fault(Exception):
    """
    Something was true that must not be.
    """


@implementer(IScriptRunner)
class Scripts:
    """
    Scripts that take some time.
    """

    def __init__(self, clock: IReactorTime, chance: random.Random) -> None:
        self._clock = clock
        self._chance = chance

    def run(
        self,
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeLimit: float | None,
    ) -> Deferred[ScriptResult]:
        slow = self._chance.random() * _SLOWEST
        return deferLater(self._clock, slow, lambda: ScriptResult(status=0))


class Host:
    """
    One host, with its daemon and its file.

    @ivar path: The path of the file.
    """

    def __init__(self, simulated: SimulatedHost, directory: Path, chance: random.Random) -> None:
        self.simulated = simulated
        self.simulated.scripts = Scripts(simulated.clock, chance)
        self.path = directory / f"{simulated.source}.toml"
        self.service: CARPService
        self.reloader: Reloader
        #: How many requests have no result yet, and the errors of all others.
        self.busy = 0
        self.errors: list[str] = []

    @property
    def head(self) -> str:
        """
        The first lines of the file.
        """
        return (
            '[daemon]\nstate_file = false\ncontrol = false\n'
            f'[defaults]\ninterface = "eth0"\nsource = "{self.simulated.source}"\nassign = true\n'
        )

    def start(self) -> None:
        """
        Start the daemon.
        """
        line = read(["--config", str(self.path)])
        assert line.file is not None
        self.service = CARPService(line.configurations, platform=self.simulated)
        self.reloader = Reloader(self.service, line, line.file, maybeDeferred)
        self.simulated.start(self.service)

    def reload(self, confirm: float | None = None) -> None:
        """
        Have the file read.
        """
        self.busy += 1
        self.reloader.reload(confirm).addCallback(self._reloaded)

    def impatient(self) -> None:
        """
        Change to what the file says, even while a change is under way, as a program may that
        embeds the service.
        """
        self.busy += 1
        wanted = readFile(self.path).groups
        maybeDeferred(self.service.reconfigure, wanted).addCallback(self._reloaded)

    def _reloaded(self, result: ReloadResult | None) -> None:
        self.busy -= 1
        if result is not None and result.error:
            self.errors.append(result.error)

    def groupOf(self, address: str) -> int | None:
        """
        The group that has an address in the present configuration.
        """
        for one in self.service.virtualHosts:
            if any(virtual.text == address for virtual in one.configuration.addresses):
                return one.configuration.vhid
        return None


class Play:
    """
    One play.

    @ivar story: What was done last.
    @ivar longest: The longest times for which something was true, by what it was.
    @ivar reloads: How many reloads there were.
    """

    def __init__(self, seed: int, directory: Path) -> None:
        """
        @param directory: Has the files of the passwords.
        """
        RESULTS.clear()
        self.story: deque[str] = deque(maxlen=25)
        self.longest: dict[str, float] = {}
        self.reloads = 0
        self._chance = random.Random(seed)
        self._scriptsFirst = seed % 4 == 0
        self._segment = Segment()
        self._hosts = [
            Host(self._segment.host(f"10.99.0.{number}"), directory, self._chance)
            for number in (11, 12)
        ]
        self.editor = Editor(
            self._chance,
            [host.simulated.source for host in self._hosts],
            scriptsFirst=self._scriptsFirst,
            isHeld=self._isHeld,
            isAlive=self._isAlive,
            check=_sensor,
        )
        #: Since when something is true that should not be.
        self._open: dict[tuple[str, object], float] = {}
        self._seen: object = None
        #: When the hosts agree about the group of each address.
        self._agreed: dict[str, float] = {}
        self._lastSent: dict[int, float] = {}
        self._errors: list[str] = []

    def run(self, count: int) -> None:
        """
        Make so many reloads.

        @raise Fault: If something is wrong.
        """
        globalLogPublisher.addObserver(self._logged)
        carry = self._segment.carry
        self._segment.carry = self._noting(carry)  # type: ignore[method-assign]
        try:
            for host in self._hosts:
                self._write(host)
                host.start()
            self._segment.advance(10.0)
            self._lastSent.clear()
            self._check()
            while self.reloads < count:
                self._act()
                self._pass(self._chance.choice((0.0, 0.02, 0.2, 1.0, 4.0)) * self._chance.random())
            self._rest()
        finally:
            globalLogPublisher.removeObserver(self._logged)

    def _act(self) -> None:
        """
        Make one edit, or one step of a change of several steps.
        """
        number = self._chance.random()
        host = self._chance.choice(self._hosts)
        if number < 0.02:
            self._rest()
        elif number < 0.05:
            self._wrong(host)
        elif number < 0.09:
            self._trial()
        elif number < 0.13:
            self._tell("impatient", host)
            self.reloads += 1
            host.impatient()
        elif number < 0.35:
            if not self._busy:
                self._step()
        else:
            for edit in self.editor.edit():
                self._reload(edit.what, self._hosts[edit.host])
                self._pass(self._chance.choice((0.0, 0.1, 1.0)) * self._chance.random())

    @property
    def _busy(self) -> bool:
        return any(host.busy for host in self._hosts)

    def _step(self) -> None:
        edit = self.editor.step()
        if edit is not None:
            self._reload(edit.what, self._hosts[edit.host])

    def _reload(self, what: str, host: Host, confirm: float | None = None) -> None:
        self._tell(what, host)
        self._write(host)
        self.reloads += 1
        host.reload(confirm)

    def _trial(self) -> None:
        """
        Change something that must be confirmed, and confirm it or not.
        """
        if self._busy or (made := self.editor.trial()) is None:
            return
        edit, restore = made
        host = self._hosts[edit.host]
        before = self._running(host)
        self._reload(edit.what, host, 2.0)
        after = self._running(host)
        self._pass(1.9)
        if self._chance.random() < 0.5:
            host.reloader.confirm()
            self._pass(0.2)
            expected = after
        else:
            self._pass(0.2)
            restore()
            self._write(host)
            expected = before
        if self._running(host) != expected:
            raise Fault(f"{host.simulated.source}: another configuration runs after a trial")

    def _running(self, host: Host) -> dict[str, object]:
        return {one.name: one.configuration for one in host.service.virtualHosts}

    def _wrong(self, host: Host) -> None:
        """
        Have a wrong file read.
        """
        before = self._running(host)
        if host.busy:
            return
        index = self._hosts.index(host)
        host.path.write_text(self.editor.wrongText(index, host.head))
        self._tell("wrong", host)
        self.reloads += 1
        self.editor.done["wrong"] += 1
        host.reload()
        if not host.errors:
            raise Fault(f"a wrong file was accepted: {host.path.read_text()}")
        host.errors.clear()
        if self._running(host) != before:
            raise Fault("a wrong file has changed something")
        self._write(host)

    def _write(self, host: Host) -> None:
        host.path.write_text(self.editor.text(self._hosts.index(host), host.head))

    def _tell(self, what: str, host: Host) -> None:
        now = self._segment.clock.seconds()
        self.story.append(f"{now:.3f} {what} on {host.simulated.source}")

    # Time.

    def _pass(self, seconds: float) -> None:
        clock = self._segment.clock
        end = clock.seconds() + seconds
        while (calls := clock.getDelayedCalls()) and (due := min(map(_due, calls))) <= end:
            clock.rightNow = max(clock.rightNow, due)
            clock.advance(0)
            self._check()
        clock.rightNow = end
        self._check()

    def _rest(self) -> None:
        """
        Finish everything, wait, and look whether all is well.
        """
        while self.editor.hasSteps:
            self._pass(0.3)
            if not self._busy:
                self._step()
        RESULTS.clear()
        self._pass(_QUIET)
        for vhid in (*STEADY, *CHANGING):
            able = [file for file in self.editor.files if vhid in file]
            masters = [host for host in self._hosts if self._role(host, vhid) is Role.MASTER]
            if len(masters) != (1 if able else 0):
                raise Fault(f"group {vhid} has {len(masters)} masters after {_QUIET} s of rest")
        for host, file in zip(self._hosts, self.editor.files, strict=True):
            if host.busy:
                raise Fault(f"a change of {host.simulated.source} has not come to its end")
            found = len(host.service.virtualHosts), len(host.simulated._transports)
            if found != (len(file), len(file)):
                raise Fault(f"{host.simulated.source} has {found} of {len(file)} groups")
            mine = [one for one in host.service.virtualHosts if one.role is Role.MASTER]
            wanted = {one.text for each in mine for one in each.configuration.addresses}
            if wanted != set(host.simulated.addresses.present):
                raise Fault(f"{host.simulated.source}: {host.simulated.addresses.present}")

    def _isHeld(self, address: str) -> bool:
        return any(address in host.simulated.addresses.present for host in self._hosts)

    def _isAlive(self, vhid: int) -> bool:
        return self._busy or any(self._role(host, vhid) is not None for host in self._hosts)

    # Watching.

    def _noting(self, carry: Callable[..., None]) -> Callable[..., None]:
        def noted(sender: SimulatedHost, packet: bytes, destination: bytes) -> None:
            said = decode(readPacket(packet).payload)
            if said.vhid in STEADY:
                now = self._segment.clock.seconds()
                last = self._lastSent.get(said.vhid)
                if last is not None and abs(now - last - _INTERVAL) > 1e-6:
                    raise Fault(f"steady group {said.vhid} advertises after {now - last} s")
                self._lastSent[said.vhid] = now
            carry(sender, packet, destination)

        return noted

    def _logged(self, event: LogEvent) -> None:
        if "log_failure" in event or event["log_level"].name == "critical":
            self._errors.append(formatEvent(event) + str(event.get("log_failure", "")))

    def _check(self) -> None:
        now = self._segment.clock.seconds()
        if self._errors:
            raise Fault(f"an error was logged: {self._errors[0]}")
        for host in self._hosts:
            if host.errors:
                raise Fault(f"a reload failed: {host.errors[0]}")
        seen = [
            [
                [
                    (one.name, one._run, one.role, _readiness(one))
                    for one in host.service.virtualHosts
                ],
                set(host.simulated.addresses.present),
            ]
            for host in self._hosts
        ]
        if seen != self._seen:
            self._seen = seen
            found = set(self._wrongNow(now))
            for key in [key for key in self._open if key not in found]:
                what = key[0] + (" (down script first)" if self._scriptsFirst else "")
                seconds = now - self._open.pop(key)
                self.longest[what] = max(self.longest.get(what, 0.0), seconds)
            for key in found:
                self._open.setdefault(key, now)
        for key, since in self._open.items():
            what, about = key
            waits = SCRIPT_FIRST if self._scriptsFirst and what in _WAITING else 0.0
            if now - since > LIMITS[what] + waits + 1e-6:
                raise Fault(f"{what}: {about}, for {now - since:.3f} s")

    def _wrongNow(self, now: float) -> Iterator[tuple[str, object]]:
        """
        What should not be true and is.
        """
        for vhid in (*STEADY, *CHANGING):
            masters = [host for host in self._hosts if self._role(host, vhid) is Role.MASTER]
            if len(masters) > 1:
                yield "two masters", vhid
        for address in (*STEADY.values(), *POOL):
            holders = [
                host for host in self._hosts if address in host.simulated.addresses.present
            ]
            groups = [host.groupOf(address) for host in self._hosts]
            if None not in groups and groups[0] != groups[1]:
                self._agreed[address] = now + _QUIET / 10
            agree = now >= self._agreed.get(address, 0.0)
            if len(holders) > 1 and agree:
                yield "two holders", address
            for host in holders:
                group = host.groupOf(address)
                if group is None or self._role(host, group) is not Role.MASTER:
                    yield "address without a master", (host.simulated.source, address)
        for vhid, address in STEADY.items():
            host = self._hosts[vhid - 1]
            if address not in host.simulated.addresses.present:
                yield "nobody", vhid
        for host in self._hosts:
            for one in host.service.virtualHosts:
                if one.role is Role.MASTER and _readiness(one) is Readiness.READY:
                    for virtual in one.configuration.addresses:
                        if virtual.text not in host.simulated.addresses.present:
                            yield "master without its address", (one.name, virtual.text)

    def _role(self, host: Host, vhid: int) -> Role | None:
        for one in host.service.virtualHosts:
            if one.configuration.vhid == vhid:
                return one.role
        return None


def _sensor(host: int, vhid: int, number: int) -> dict[str, Any]:
    """
    The keys of a health check.
    """
    arguments = {"host": host, "vhid": vhid, "number": number}
    return {"python": f"{Sensor.__module__}.Sensor", "arguments": arguments}


def _readiness(host: VirtualHost) -> Readiness | None:
    return None if host._run is None else host._run.parts.mastership.readiness


def _due(call: IDelayedCall) -> float:
    return call.getTime()


@attrs.frozen
class Report:
    """
    What came of some plays.

    @ivar faults: What was wrong, by the seed of the play.
    """

    reloads: int
    longest: dict[str, float]
    done: dict[str, int]
    faults: dict[int, str]


def withoutKernel() -> None:
    """
    Ask for no capabilities from now on: the hosts have none.
    """
    reload.checkCapabilities = lambda assign: None  # type: ignore[attr-defined]


def played(seeds: Sequence[int], count: int = PER_PLAY) -> Report:
    """
    Play.
    """
    longest: dict[str, float] = {}
    done: Counter[str] = Counter()
    faults: dict[int, str] = {}
    reloads = 0
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        Editor.writePasswords(directory)
        for script in ("up.sh", "down.sh"):
            (directory / script).touch(0o755)
        for seed in seeds:
            play = Play(seed, directory)
            try:
                play.run(count)
            except Exception as error:
                faults[seed] = "\n    ".join([*play.story, f"{type(error).__name__}: {error}"])
            reloads += play.reloads
            done.update(play.editor.done)
            for what, seconds in play.longest.items():
                longest[what] = max(longest.get(what, 0.0), seconds)
    return Report(reloads, longest, dict(done), faults)


def _quiet() -> None:
    """
    Drop all log lines.
    """

    def ignore(event: LogEvent) -> None:
        pass

    globalLogBeginner.beginLoggingTo([ignore], redirectStandardIO=False, discardBuffer=True)


def main(arguments: Sequence[str]) -> int:
    """
    Play, and print what came of it.

    @return: The exit status: 0 if nothing was wrong, and 1 otherwise.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.reloads",
        description="Reload two simulated hosts at random, and see whether all is well.",
    )
    parser.add_argument("count", type=int, nargs="?", default=10000, help="how many reloads")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first play")
    parser.add_argument("--processes", type=int, default=min(os.cpu_count() or 1, 8))
    options = parser.parse_args(arguments)
    _quiet()
    withoutKernel()
    began = time.monotonic()
    plays = max(1, options.count // PER_PLAY)
    seeds = range(options.seed, options.seed + plays)
    batches = [seeds[first : first + 10] for first in range(0, plays, 10)]
    longest: dict[str, float] = {}
    done: Counter[str] = Counter()
    faults: dict[int, str] = {}
    reloads = 0
    with ProcessPoolExecutor(options.processes) as pool:  # forked, and as quiet as this process
        for report in pool.map(played, batches):
            reloads += report.reloads
            done.update(report.done)
            faults.update(report.faults)
            for what, seconds in report.longest.items():
                longest[what] = max(longest.get(what, 0.0), seconds)
    print(f"{reloads} reloads in {plays} plays, {time.monotonic() - began:.0f} s")
    for what, number in sorted(done.items()):
        print(f"  {what:12} {number}")
    for what in sorted({*LIMITS, *longest}):
        print(f"  {what}: {longest.get(what, 0.0) * 1000:.1f} ms at most")
    for seed, text in list(faults.items())[:3]:
        print(f"seed {seed}:\n    {text}")
    print(f"{len(faults)} plays with a fault: {list(faults)[:20]}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
