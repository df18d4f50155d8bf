"""
What a client notices when a daemon under systemd ends, for each C{KillMode}.

A second machine is backup, and a client asks for the shared address every two milliseconds.  Each
way to end is tried several times; the machine that was backup is the next one.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Coroutine
from typing import Any

import attrs
from twisted.internet import reactor

from tests.lab.world import VIRTUAL
from tests.machines.machine import Machine, MachineTestCase
from txcarp.clock.monotonic import MonotonicClock
from txcarp.testbed.pinger import Pinger, openPingSocket

#: How often each way is tried.
_TRIALS = 4

#: The most milliseconds of silence if the guard has acted, and the fewest if the lease had to end.
_GUARD = 500.0

#: A check that makes the whole process of txcarp hang.
_HANGING = """\
import os, time
from zope.interface import implementer
from txcarp import ICheck

@implementer(ICheck)
class Hanging:
    def run(self, platform, timeout):
        while os.path.exists("/run/hang"):
            time.sleep(0.05)
        return "it runs"
"""

_CHECK = """\
[group.web.check.hanging]
python = "hanging.Hanging"
interval = "20ms"
"""

#: A watchdog that is faster than the guard, which acts from 0.5 s on.
_FAST = "WatchdogSec=300ms"


@attrs.frozen
class Way:
    """
    A way in which a daemon ends.

    @ivar name: The way in words.
    @ivar end: Ends the daemon on a machine.
    @ivar line: A line for the unit.
    """

    name: str
    end: Callable[[Machine], Coroutine[Any, Any, object]]
    line: str = ""


def _systemctl(*words: str) -> Callable[[Machine], Coroutine[Any, Any, object]]:
    return lambda machine: machine.run("systemctl", *words, "txcarp")


async def _kill(machine: Machine) -> None:
    await machine.signal("txcarp", signal.SIGKILL)


async def _hang(machine: Machine) -> None:
    await machine.write("/run/hang", "")


KILLED = Way("killed, as the kernel does when memory is short", _kill)
MAIN = Way("systemctl kill --kill-whom=main", _systemctl("kill", "--kill-whom=main", "-sKILL"))
ALL = Way("systemctl kill, of the guard, too", _systemctl("kill", "-sKILL"))
STOP = Way("systemctl stop", _systemctl("stop"))
RESTART = Way("systemctl restart", _systemctl("restart"))
HANGS = Way("hangs, with WatchdogSec=10s", _hang)
WATCHDOG = Way(f"hangs, with {_FAST}", _hang, _FAST)


class DeathTests(MachineTestCase):
    """
    Each C{KillMode}.
    """

    async def boot(self, mode: str, line: str) -> None:
        """
        Boot two machines, and have a client ask for the address that they share.

        @param line: A line for the unit.
        """
        self.machines: list[Machine] = []
        for name, skew in (("a", 0), ("b", 100)):
            machine = await self.machine(f"{name}-{mode}")
            await self.configure(machine, skew, _CHECK)
            packages = f"/opt/txcarp/lib/python{self.release.python}/site-packages"
            await machine.write(f"{packages}/hanging.py", _HANGING)
            own = f"[Service]\nKillMode={mode}\n{line}\n"
            await machine.write("/etc/systemd/system/txcarp.service.d/own.conf", own)
            await machine.run("systemctl", "daemon-reload")
            await machine.run("systemctl", "start", "txcarp")
            await self.says(machine, "Master of web" if name == "a" else "Backup of web")
            self.machines.append(machine)
        client = self.host(f"client-{mode}", "10.99.0.200/24")
        clock = MonotonicClock(reactor)
        self.addCleanup(clock.stop)
        with client.node.inside():
            self.pinger = Pinger(reactor, clock, openPingSocket(VIRTUAL), VIRTUAL)
        self.pinger.start()
        self.addCleanup(self.pinger.stop)
        await self.answers(self.pinger)

    async def ended(self, way: Way) -> float:
        """
        End the daemon of the machine that is master, and wait until the other one is master, and
        this one backup again.

        @return: The longest time in milliseconds for which the client got no answer.
        """
        first, second = self.machines
        await self.during(1.1)  # an advertisement was heard, and the guard has the next bow-out
        began = time.monotonic()
        await way.end(first)
        address = f"{VIRTUAL}/24"
        await self.until(
            lambda: address in second.addresses and address not in first.addresses,
            f"{second.host.name} takes over after: {way.name}",
            30.0,
        )
        await self.during(0.3)
        await self.answers(self.pinger)
        silence = self.pinger.gaps(began).silence * 1000
        if way.end is _hang:

            async def restarted() -> bool:
                found = await first.properties("txcarp", "Result", "NRestarts", "MainPID")
                return found["Result"] == "watchdog" or int(found["MainPID"]) != pid

            pid = int(await first.property("txcarp", "MainPID"))
            await self.eventually(restarted, "the watchdog notices it")
            await first.run("rm", "/run/hang")
        if way is STOP:
            await first.run("systemctl", "start", "txcarp")
        await self.says(first, "Backup of web")
        self.machines.reverse()
        return silence

    async def mode(self, mode: str, ways: dict[Way, tuple[float, float]]) -> None:
        """
        Try ways to end with a C{KillMode}.

        @param ways: The ways, each with the least and the most milliseconds of silence.
        """
        [line] = {way.line for way in ways}
        await self.boot(mode, line)
        for way, (least, most) in ways.items():
            silences = [await self.ended(way) for _ in range(_TRIALS)]
            figures = " ".join(f"{one:.0f}" for one in sorted(silences))
            self.report(f"KillMode={mode}, {way.name}: {figures} ms")
            for one in silences:
                self.assertLessEqual(one, most, way.name)
                self.assertGreaterEqual(one, least, way.name)

    async def test_units(self) -> None:
        """
        The mode of the units: the guard outlives the daemon, whatever ends that.  Only if somebody
        kills the guard as well, the lease must end.
        """
        good = 0.0, _GUARD
        ways = {KILLED: good, MAIN: good, ALL: (_GUARD, 4000.0), STOP: good, RESTART: good}
        await self.mode("process", ways)

    async def test_hangs(self) -> None:
        """
        A daemon that hangs: the guard acts long before the watchdog.
        """
        await self.mode("process", {HANGS: (0.0, _GUARD)})

    async def test_watchdog(self) -> None:
        """
        A watchdog that is faster than the guard: its signal does not end the guard, not even where
        all processes of the service get it.
        """
        await self.mode("control-group", {WATCHDOG: (0.0, _GUARD)})

    async def test_others(self) -> None:
        """
        The other modes, in which systemd also sends a signal to the guard, for comparison.
        """
        for mode in ("control-group", "mixed"):
            await self.mode(mode, {KILLED: (0.0, 4000.0)})
            for machine in self.machines:
                await machine.run("systemctl", "stop", "txcarp")


#: The options of a group with scripts in place of C{--assign}.
_SCRIPTS = """\
OPTIONS=-i eth0 -s {address} -v 8 -a 10.99.0.108 -z -u /etc/txcarp/up -d /etc/txcarp/down
"""

#: A down script that needs some time, as one that stops a service does.
_DOWN = """\
#!/bin/sh
echo began >> /var/lib/txcarp-mail/down
sleep 0.3
echo ended >> /var/lib/txcarp-mail/down
"""


class ScriptTests(MachineTestCase):
    """
    A daemon dies that has a down script: the guard runs it, and then bows out.
    """

    async def finished(self, mode: str) -> int:
        """
        Kill masters.

        @return: How many of their down scripts came to the end.
        """
        machine = await self.machine(mode)
        await self.configure(machine)
        options = _SCRIPTS.format(address=machine.host.address)
        await machine.write("/etc/txcarp/mail.conf", options)
        await machine.write("/etc/txcarp/mail.password", "not a secret\n", 0o600)
        await machine.write("/etc/txcarp/up", "#!/bin/sh\n", 0o755)
        await machine.write("/etc/txcarp/down", _DOWN, 0o755)
        own = f"[Service]\nKillMode={mode}\n"
        await machine.write("/etc/systemd/system/txcarp@.service.d/own.conf", own)
        await machine.run("systemctl", "daemon-reload")
        record = "/var/lib/txcarp-mail/down"
        await machine.run("systemctl", "start", "txcarp@mail")
        count, dead = 0, "0"
        for _ in range(_TRIALS):

            async def isMaster(dead: str = dead) -> bool:
                found = await machine.properties("txcarp@mail", "StatusText", "MainPID", "SubState")
                isNew = found["MainPID"] != dead and found["SubState"] == "running"
                return isNew and found["StatusText"] == "Master of eth0:8"

            await self.eventually(isMaster, "it is master")
            await self.during(1.1)
            await machine.run("truncate", "--size=0", record)
            dead = await machine.property("txcarp@mail", "MainPID")
            await machine.signal("txcarp@mail", signal.SIGKILL)
            await self.during(1.0)
            count += "ended" in await machine.run("cat", record)
        await machine.run("systemctl", "stop", "txcarp@mail")
        return count

    async def test_modes(self) -> None:
        """
        The script is a child of the guard.  With the mode of the units systemd does not kill it.
        """
        ended = {}
        for mode in ("process", "control-group", "mixed"):
            ended[mode] = await self.finished(mode)
            self.report(f"KillMode={mode}: {ended[mode]} of {_TRIALS} down scripts came to the end")
        self.assertEqual(ended["process"], _TRIALS)
