"""
Random reloads of two simulated hosts: C{python -m tests.simulation.reloads 100000}.

Two hosts have two groups that never change, and some that change all the time: settings of all
kinds, passwords and addresses in the steps that the manual gives, addresses that move between
groups, groups that are added, renamed and removed, health checks, and configurations that are
refused.  The virtual hosts, the service and the election are those of production.

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
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import attrs
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, formatEvent, globalLogBeginner, globalLogPublisher
from zope.interface import implementer

from txcarp.addresses import parseIPv4
from txcarp.change import Readiness, ScriptResult
from txcarp.checks.health import HealthCheck
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import ICheck, IPlatform, IScriptRunner
from txcarp.protocol.advertisement import decode
from txcarp.protocol.effects import Role
from txcarp.protocol.envelope import readPacket
from txcarp.protocol.seal import Verification
from txcarp.service import CARPService
from txcarp.testing import Segment, SimulatedHost
from txcarp.virtualhost import VirtualHost

#: The reloads of one play.
PER_PLAY = 100

#: The groups that never change, each with its address, and those that change.
STEADY = {1: "10.99.0.101", 2: "10.99.0.102"}
CHANGING = (11, 12, 13, 14)

#: The addresses of the groups that change.
POOL = tuple(f"10.99.0.{number}" for number in range(111, 121))

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

#: Seconds that addresses wait for the down script in some plays.
_SCRIPT_FIRST = 0.3

#: Seconds without a change after which each group has one master.
_QUIET = 40.0


class Fault(Exception):
    """
    Something was true that must not be.
    """


@implementer(ICheck)
@attrs.frozen
class Sensor:
    """
    A check whose results the play decides.

    @ivar results: C{True}, C{False} or C{None} (it hangs) by the key of the sensor.
    """

    key: tuple[int, int, int]
    results: dict[tuple[int, int, int], bool | None] = attrs.field(eq=False, repr=False)

    def run(self, platform: IPlatform, timeout: float) -> object:
        found = self.results.get(self.key, True)
        return Deferred() if found is None else found


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
    One host with its file.

    @ivar file: The settings of each group that the file has, by the number of the group.
    @ivar waiting: Whether the file changed while a change was under way.
    """

    def __init__(self, simulated: SimulatedHost, chance: random.Random) -> None:
        self.simulated = simulated
        self.simulated.scripts = Scripts(simulated.clock, chance)
        self.file: dict[int, dict[str, Any]] = {}
        self.service: CARPService
        self.busy = 0
        self.waiting = False

    def configurations(self) -> list[VirtualHostConfiguration]:
        """
        What the file says.
        """
        source = parseIPv4(self.simulated.source)
        return [
            VirtualHostConfiguration(
                interface="eth0", vhid=vhid, source=source, assign=True, **settings
            )
            for vhid, settings in self.file.items()
        ]

    def start(self) -> None:
        """
        Start the daemon.
        """
        self.service = CARPService(self.configurations(), platform=self.simulated)
        self.simulated.start(self.service)

    def reload(self) -> None:
        """
        Read the file again; if a change is under way, after that.
        """
        if self.busy:
            self.waiting = True
        else:
            self.change()

    def change(self) -> None:
        """
        Change to what the file says, whatever is under way.
        """
        self.busy += 1
        maybeDeferred(self.service.reconfigure, self.configurations()).addCallback(self._changed)

    def _changed(self, result: None) -> None:
        self.busy -= 1
        if self.waiting and not self.busy:
            self.waiting = False
            self.change()

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
    @ivar done: How often each kind of edit was made.
    """

    def __init__(self, seed: int) -> None:
        self.story: deque[str] = deque(maxlen=25)
        self.longest: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.reloads = 0
        self._chance = random.Random(seed)
        #: Whether addresses may wait for the down script.
        self._scriptsFirst = seed % 4 == 0
        self._segment = Segment()
        self._hosts = [
            Host(self._segment.host(f"10.99.0.{number}"), self._chance) for number in (11, 12)
        ]
        self._results: dict[tuple[int, int, int], bool | None] = {}
        #: The steps that are left of a change that takes several, by the number of the group.
        self._steps: dict[int, deque[tuple[str, Host, Callable[[], None]]]] = {}
        #: The addresses that groups are about to have.
        self._promised: set[str] = set()
        self._passwords = 0
        #: Since when something is true that should not be.
        self._open: dict[tuple[str, object], float] = {}
        self._seen: object = None
        #: When the hosts began to agree about the group of each address.
        self._agreed: dict[str, float] = {}
        self._lastSent: dict[int, float] = {}
        self._errors: list[str] = []

    # Time.

    def run(self, count: int) -> None:
        """
        Make so many reloads.

        @raise Fault: If something is wrong.
        """
        globalLogPublisher.addObserver(self._logged)
        carry = self._segment.carry
        self._segment.carry = self._noting(carry)  # type: ignore[method-assign]
        try:
            self._begin()
            while self.reloads < count:
                self._edit()
                self._pass(self._chance.choice((0.0, 0.02, 0.2, 1.0, 4.0)) * self._chance.random())
                if self._chance.random() < 0.02:
                    self._rest()
            self._rest()
        finally:
            globalLogPublisher.removeObserver(self._logged)

    def _begin(self) -> None:
        for index, host in enumerate(self._hosts):
            for vhid, address in STEADY.items():
                isMaster = vhid == index + 1
                host.file[vhid] = {
                    "password": b"steady",
                    "addresses": [address],
                    "advskew": 0 if isMaster else 100,
                    "preempt": True,
                }
        for vhid in CHANGING[:2]:
            self._create(vhid)
        for host in self._hosts:
            host.start()
        self._segment.advance(10.0)
        self._lastSent.clear()
        self._check()

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
        while self._steps:
            self._step()
            self._pass(0.3)
        self._results.clear()
        self._pass(_QUIET)
        for vhid in (*STEADY, *CHANGING):
            able = [host for host in self._hosts if vhid in host.file]
            masters = [host for host in self._hosts if self._role(host, vhid) is Role.MASTER]
            if len(masters) != (1 if able else 0):
                raise Fault(f"group {vhid} has {len(masters)} masters after {_QUIET} s of rest")
        for host in self._hosts:
            if host.busy:
                raise Fault(f"a change of {host.simulated.source} has not come to its end")
            count = len(host.file)
            found = len(host.service.virtualHosts), len(host.simulated._transports)
            if found != (count, count):
                raise Fault(f"{host.simulated.source} has {found} of {count} groups")
            mine = [one for one in host.service.virtualHosts if one.role is Role.MASTER]
            wanted = {one.text for each in mine for one in each.configuration.addresses}
            if wanted != set(host.simulated.addresses.present):
                raise Fault(f"{host.simulated.source}: {host.simulated.addresses.present}")

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
            found = set(self._wrong(now))
            for key in [key for key in self._open if key not in found]:
                what = key[0] + (" (down script first)" if self._scriptsFirst else "")
                self.longest[what] = max(  # type: ignore[assignment]
                    self.longest[what], now - self._open.pop(key)
                )
            for key in found:
                self._open.setdefault(key, now)
        for key, since in self._open.items():
            what, about = key
            waits = _SCRIPT_FIRST if self._scriptsFirst and what in _WAITING else 0.0
            if now - since > LIMITS[what] + waits + 1e-6:
                raise Fault(f"{what}: {about}, for {now - since:.3f} s")

    def _wrong(self, now: float) -> Iterator[tuple[str, object]]:
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

    # Edits.

    def _edit(self) -> None:
        edits = (
            *(self._setting,) * 6,
            *(self._step,) * 4,
            *(self._presence,) * 3,
            *(self._checks,) * 2,
            *(self._results_,) * 2,
            *(self._password, self._addresses, self._move, self._rename, self._same),
            *(self._wrongFile, self._impatient),
        )
        self._chance.choice(edits)()

    def _tell(self, what: str, host: Host | None = None) -> None:
        self.done[what.partition(":")[0]] += 1
        where = "" if host is None else f" on {host.simulated.source}"
        self.story.append(f"{self._segment.clock.seconds():.3f} {what}{where}")

    def _reload(self, what: str, host: Host) -> None:
        self._tell(what, host)
        self.reloads += 1
        host.reload()

    def _some(self) -> tuple[Host, int] | None:
        """
        A host, and a group in its file.
        """
        host = self._chance.choice(self._hosts)
        present = [vhid for vhid in CHANGING if vhid in host.file]
        return (host, self._chance.choice(present)) if present else None

    def _idle(self) -> int | None:
        """
        A group that is on both hosts, and that no change of several steps concerns.
        """
        free = [
            vhid
            for vhid in CHANGING
            if vhid not in self._steps and all(vhid in host.file for host in self._hosts)
        ]
        return self._chance.choice(free) if free else None

    def _create(self, vhid: int) -> bool:
        """
        Put a group into both files.
        """
        free = self._free()
        if not free:
            return False
        self._passwords += 1
        count = self._chance.randint(1, min(2, len(free)))
        addresses = self._chance.sample(free, count)
        for host in self._hosts:
            host.file[vhid] = {
                "password": b"word %d" % self._passwords,
                "addresses": addresses,
                "advskew": self._chance.randint(0, 200),
            }
        return True

    def _free(self) -> list[str]:
        """
        The addresses that no group has or is about to have.
        """
        used = {one for host in self._hosts for one in self._addressesIn(host)}
        used.update(self._promised)
        # An address that was removed a moment ago may still be handed over.
        return [one for one in POOL if one not in used and not self._isHeld(one)]

    def _addressesIn(self, host: Host) -> Iterator[str]:
        for settings in host.file.values():
            for addresses in (settings["addresses"], *settings.get("otherAddresses", ())):
                yield from addresses

    def _isHeld(self, address: str) -> bool:
        return any(address in host.simulated.addresses.present for host in self._hosts)

    def _setting(self) -> None:
        if (found := self._some()) is None:
            return
        host, vhid = found
        draw: dict[str, Callable[[], Any]] = {
            "advskew": lambda: self._chance.choice((0, 10, 100, 200, 240)),
            "advbase": lambda: self._chance.choice((1, 1, 1, 2)),
            "preempt": lambda: self._chance.random() < 0.5,
            "preemptDelay": lambda: self._chance.choice((0.0, 0.5, 3.0)),
            "startDelay": lambda: self._chance.choice((None, 0.5, 5.0)),
            "deadRatio": lambda: self._chance.choice((3, 4, 5)),
            "flapLimit": lambda: self._chance.choice((None, (4, 20.0))),
            "anyFamily": lambda: self._chance.random() < 0.5,
            "ignoreLink": lambda: self._chance.random() < 0.5,
            "releaseFirst": lambda: self._chance.random() < 0.5,
            "announceEvery": lambda: self._chance.choice((None, 2.0)),
            "upScript": lambda: self._chance.choice((None, "/up")),
            "downScript": lambda: self._chance.choice((None, "/down")),
            "scriptTimeout": lambda: self._chance.choice((None, 0.2)),
            "parameter": lambda: self._chance.choice((None, "more")),
            "neutral": lambda: self._chance.random() < 0.5,
            "shutdown": lambda: self._chance.random() < 0.5,
            "verification": lambda: self._chance.choice((Verification.LEARN, Verification.REQUIRE)),
            "trackedInterfaces": lambda: self._chance.choice(((), ("eth0:50",))),
            "peers": lambda: self._chance.choice(((), (self._other(host),))),
            "debug": lambda: self._chance.random() < 0.2,
            # These need another run of the group.
            "broadcast": lambda: self._chance.random() < 0.5,
        }
        if self._scriptsFirst:
            draw["downScriptFirst"] = lambda: self._chance.choice((None, _SCRIPT_FIRST))
        for name in self._chance.sample(sorted(draw), self._chance.randint(1, 3)):
            host.file[vhid][name] = draw[name]()
        if host.file[vhid].get("peers"):
            host.file[vhid]["broadcast"] = False  # nothing would be broadcast
        self._reload(f"settings: group {vhid}", host)

    def _other(self, host: Host) -> bytes:
        [other] = [one for one in self._hosts if one is not host]
        return parseIPv4(other.simulated.source)

    def _presence(self) -> None:
        """
        Add or remove a group, on one host or on both.
        """
        vhid = self._chance.choice(CHANGING)
        if vhid in self._steps:
            return
        present = [host for host in self._hosts if vhid in host.file]
        if not present:
            if self._alive(vhid) or not self._create(vhid):
                return
            for host in self._shuffled():
                self._reload(f"add: group {vhid}", host)
                self._pause()
            return
        if len(present) == 1 and self._chance.random() < 0.7:
            [other] = present
            [host] = [one for one in self._hosts if one is not other]
            mine = other.file[vhid]
            shared = ("password", "addresses")
            host.file[vhid] = {name: mine[name] for name in shared}
            host.file[vhid]["advskew"] = self._chance.randint(0, 200)
            self._reload(f"add: group {vhid}", host)
            return
        leaving = present if self._chance.random() < 0.3 else [self._chance.choice(present)]
        for host in leaving:
            del host.file[vhid]
            self._reload(f"remove: group {vhid}", host)
            self._pause()

    def _alive(self, vhid: int) -> bool:
        """
        Whether a host still has a group that is in no file any more.
        """
        return any(self._role(host, vhid) is not None for host in self._hosts) or any(
            host.busy for host in self._hosts
        )

    def _shuffled(self) -> list[Host]:
        return self._chance.sample(self._hosts, 2)

    def _pause(self) -> None:
        self._pass(self._chance.choice((0.0, 0.1, 1.0)) * self._chance.random())

    def _checks(self) -> None:
        if (found := self._some()) is None:
            return
        host, vhid = found
        index = self._hosts.index(host)
        host.file[vhid]["checks"] = tuple(
            HealthCheck(
                f"check{number}",
                Sensor((index, vhid, number), self._results),
                interval=self._chance.choice((0.2, 0.5)),
                timeout=0.1,
                rise=1,
                fall=2,
                demote=self._chance.choice((None, 50)),
            )
            for number in range(self._chance.randint(0, 2))
        )
        self._reload(f"checks: group {vhid}", host)

    def _results_(self) -> None:
        """
        Let a check have another result.
        """
        if (found := self._some()) is None:
            return
        host, vhid = found
        key = self._hosts.index(host), vhid, self._chance.randint(0, 1)
        self._results[key] = self._chance.choice((True, True, False, None))
        self._tell(f"result: group {vhid}", host)

    def _rename(self) -> None:
        if (found := self._some()) is not None:
            host, vhid = found
            host.file[vhid]["title"] = f"name{self._chance.randint(0, 9)}"
            self._reload(f"rename: group {vhid}", host)

    def _same(self) -> None:
        self._reload("nothing", self._chance.choice(self._hosts))

    def _impatient(self) -> None:
        """
        Change to what the file says although a change is under way.
        """
        host = self._chance.choice(self._hosts)
        self._tell("impatient", host)
        self.reloads += 1
        host.change()

    def _wrongFile(self) -> None:
        """
        Ask for what is impossible.
        """
        host = self._chance.choice(self._hosts)
        good = host.configurations()
        spoiled = [attrs.evolve(one, advskew=99, title="bad") for one in good]
        if self._chance.random() < 0.5:
            spoiled.append(spoiled[0])
        else:
            spoiled.append(attrs.evolve(spoiled[0], vhid=200, interface="eth9"))
        before = [one.configuration for one in host.service.virtualHosts]
        self._tell("wrong", host)
        self.reloads += 1
        try:
            host.service.reconfigure(spoiled)
        except (OSError, ValueError):
            pass
        else:
            raise Fault("a wrong configuration was accepted")
        if before != [one.configuration for one in host.service.virtualHosts]:
            raise Fault("a wrong configuration has changed something")

    # Changes that take several steps, each on both hosts.

    def _step(self) -> None:
        """
        Do the next step of a change.
        """
        if not self._steps or any(host.busy for host in self._hosts):
            return
        vhid = self._chance.choice(sorted(self._steps))
        steps = self._steps[vhid]
        what, host, change = steps.popleft()
        change()
        if not steps:
            for one in [one for one, queue in self._steps.items() if queue is steps]:
                del self._steps[one]
        if not self._steps:
            self._promised.clear()
        self._reload(what, host)

    def _plan(self, what: str, vhids: Sequence[int], *stages: dict[int, dict[str, Any]]) -> None:
        steps: deque[tuple[str, Host, Callable[[], None]]] = deque()
        for stage, changes in enumerate(stages, 1):
            for host in self._shuffled():

                def change(host: Host = host, changes: Any = changes) -> None:
                    for vhid, settings in changes.items():
                        host.file[vhid].update(settings)

                steps.append((f"{what}: groups {vhids}, step {stage}", host, change))
        for vhid in vhids:
            self._steps[vhid] = steps

    def _password(self) -> None:
        if (vhid := self._idle()) is None:
            return
        self._passwords += 1
        old = self._hosts[0].file[vhid]["password"]
        new = b"word %d" % self._passwords
        self._plan(
            "password",
            [vhid],
            {vhid: {"otherPasswords": (new,)}},
            {vhid: {"password": new, "otherPasswords": (old,)}},
            {vhid: {"otherPasswords": ()}},
        )

    def _addresses(self) -> None:
        """
        Add an address to a group, or remove one.
        """
        if (vhid := self._idle()) is None:
            return
        old = list(self._hosts[0].file[vhid]["addresses"])
        free = self._free()
        if len(old) > 1 and self._chance.random() < 0.5:
            new = old[1:]
        elif free:
            new = [*old, self._chance.choice(free)]
            self._promised.add(new[-1])
        else:
            return
        self._plan("addresses", [vhid], *_stages({vhid: (old, new)}))

    def _move(self) -> None:
        """
        Move an address from one group to another.
        """
        one, other = self._idle(), self._idle()
        if one is None or other is None or one == other:
            return
        losing = list(self._hosts[0].file[one]["addresses"])
        gaining = list(self._hosts[0].file[other]["addresses"])
        if len(losing) < 2:
            return
        changes = {one: (losing, losing[1:]), other: (gaining, [*gaining, losing[0]])}
        self._plan("move", [one, other], *_stages(changes))


def _stages(
    changes: Mapping[int, tuple[list[str], list[str]]],
) -> Iterator[dict[int, dict[str, Any]]]:
    """
    The steps in which sets of addresses change.
    """
    yield {vhid: {"otherAddresses": (new,)} for vhid, (_, new) in changes.items()}
    yield {
        vhid: {"addresses": new, "otherAddresses": (old,)} for vhid, (old, new) in changes.items()
    }
    yield {vhid: {"otherAddresses": ()} for vhid in changes}


def _readiness(host: VirtualHost) -> Readiness | None:
    return None if host._run is None else host._run.mastership.readiness


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


def played(seeds: Sequence[int], count: int = PER_PLAY) -> Report:
    """
    Play.
    """
    longest: dict[str, float] = {}
    done: Counter[str] = Counter()
    faults: dict[int, str] = {}
    reloads = 0
    for seed in seeds:
        play = Play(seed)
        try:
            play.run(count)
        except Exception as error:
            faults[seed] = "\n    ".join([*play.story, f"{type(error).__name__}: {error}"])
        reloads += play.reloads
        done.update(play.done)
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
