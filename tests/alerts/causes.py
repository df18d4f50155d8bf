"""
What each alert is about, done for real.

A scene makes its hosts, which run well at first, and then provokes one alert after another.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.task import LoopingCall

from tests.alerts.hosts import Host
from tests.alerts.stage import Stage

_IPV4, _CARP = b"\x08\x00", 112

#: Seconds between two replayed advertisements.
_REPLAY = 0.5


class Scene:
    """
    Some hosts, and what happens to them.

    @ivar roles: The roles that hosts have at first, for those that are not MASTER.
    """

    #: The alerts that this scene provokes, in order.
    alerts: Sequence[str] = ()

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.roles: dict[str, str] = {}
        self.make()

    def make(self) -> None:
        """
        Make the hosts.
        """
        raise NotImplementedError

    async def play(self) -> None:
        """
        Provoke the alerts.
        """

    def pair(self, name: str, **more: str) -> tuple[Host, Host]:
        """
        Make a master and a backup of a group.

        @param more: More settings of the group.
        """
        first, second = self.stage.pair(name)
        settings = "".join(f"{key} = {value}\n" for key, value in more.items())
        for host, skew in ((first, 0), (second, 100)):
            host.write(_group(name, 7, f"advskew = {skew}\n{settings}"))
        self.roles[second.name] = "BACKUP"
        return first, second

    async def provoke(self, *details: Any) -> None:
        """
        See L{Stage.provoke}.
        """
        await self.stage.provoke(*details)


def _group(name: str, vhid: int, settings: str = "", more: str = "") -> str:
    """
    The lines of a group with one address.

    @param more: What follows its own settings, such as the tables of its checks.
    """
    lines = f'vhid = {vhid}\naddresses = "10.99.0.{100 + vhid}/24"\n{settings}'
    return f"[group.{name}]\n{lines}{more.replace('GROUP', name)}"


class Calm(Scene):
    """
    A pair that nothing happens to, as long as the others play.
    """

    def make(self) -> None:
        self.pair("calm")


class Cable(Scene):
    """
    A cable that loses all packets, and one that is pulled out.
    """

    alerts = "TxcarpTwoMasters", "TxcarpHeldBack"

    def make(self) -> None:
        _, self.second = self.pair("cable")

    async def play(self) -> None:
        node = self.second.node
        await self.provoke(
            "TxcarpTwoMasters",
            "a cable loses all packets",
            {"group": "cable"},
            node.cut,
            node.heal,
        )
        await self.provoke(
            "TxcarpHeldBack",
            "a cable is pulled out",
            {"instance": self.second.name, "reason": "no_link"},
            node.unplug,
            node.plugIn,
        )


class OneWay(Scene):
    """
    A firewall that lets the backup hear nothing, while it may speak.
    """

    alerts = ("TxcarpNotHeard",)

    def make(self) -> None:
        self.first, self.second = self.pair("oneway")

    async def play(self) -> None:
        rule = "type filter hook ingress device eth0 priority 0; ip protocol 112 drop;"
        await self.provoke(
            "TxcarpNotHeard",
            "the backup's network card drops what it receives",
            {"group": "oneway", "instance": self.first.name},
            lambda: self.second.run("nft", f"add table netdev deaf {{ chain in {{ {rule} }}; }}"),
            lambda: self.second.run("nft", "delete table netdev deaf"),
        )


class Family(Scene):
    """
    A firewall that lets through one family only.
    """

    alerts = ("TxcarpProblemFound",)

    def make(self) -> None:
        _, self.second = both = self.pair("family")
        for host in both:
            text = host.file.read_text()
            ipv4 = '"10.99.0.107/24"'
            host.file.write_text(text.replace(ipv4, f'[{ipv4}, "2001:db8::7/64"]'))

    async def play(self) -> None:
        rule = "type filter hook ingress device eth0 priority 0; ip6 nexthdr 112 drop;"
        await self.provoke(
            "TxcarpProblemFound",
            "the backup's network card drops IPv6 advertisements",
            {"group": "family", "finding": "family-silent"},
            lambda: self.second.run("nft", f"add table netdev deaf {{ chain in {{ {rule} }}; }}"),
            lambda: self.second.run("nft", "delete table netdev deaf"),
        )


class Passwords(Scene):
    """
    A host whose password was changed alone.
    """

    alerts = ("TxcarpOtherPassword",)

    def make(self) -> None:
        self.first, self.second = self.pair("passwords")

    async def play(self) -> None:
        async def change(text: str) -> None:
            self.second.password("password", text)
            await self.second.txcarp("reload")

        await self.provoke(
            "TxcarpOtherPassword",
            "the backup gets another password",
            {"group": "passwords", "instance": self.first.name},
            lambda: change("another one"),
            lambda: change("not a secret"),
        )


class Replay(Scene):
    """
    An attacker who sends a captured advertisement again.
    """

    alerts = ("TxcarpSealsRefused",)

    def make(self) -> None:
        self.first, self.second = self.pair("replay")
        attacker = self.stage.testbed.node(
            "attacker", "10.99.0.66/24", switch=self.first.node._cables["eth0"].switch
        )
        self._socket = attacker.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._socket.bind(("eth0", 3))
        self._socket.setblocking(False)
        self._own = attacker.link().address
        self._loop = LoopingCall(self._replay)
        self._captured = b""

    async def play(self) -> None:
        await self.provoke(
            "TxcarpSealsRefused",
            "an attacker replays an advertisement",
            {"group": "replay", "instance": self.second.name},
            self._attack,
            self._loop.stop,
        )
        self._socket.close()

    def _attack(self) -> None:
        self._loop.start(_REPLAY)

    def _replay(self) -> None:
        """
        Capture an advertisement, and from the next call on send it again.
        """
        if self._captured:
            self._socket.send(self._captured)
            return
        while True:
            try:
                frame = self._socket.recv(2048)
            except BlockingIOError:
                return
            if frame[12:14] == _IPV4 and frame[23] == _CARP:
                self._captured = frame[:6] + self._own + frame[12:]


class Flapping(Scene):
    """
    Two hosts that are drained in turn.
    """

    alerts = ("TxcarpFlapping",)

    def make(self) -> None:
        self.both = self.pair("flapping")

    async def play(self) -> None:
        async def swap() -> None:
            for master in (*self.both, *self.both, *self.both):
                await master.txcarp("drain", "flapping")
                await master.txcarp("resume", "flapping")

        await self.provoke(
            "TxcarpFlapping",
            "the master is drained six times",
            {"group": "flapping"},
            swap,
            lambda: None,
        )


class Side(Scene):
    """
    A set of groups on two networks, of which one becomes mute.
    """

    alerts = ("TxcarpSilentSide",)

    def make(self) -> None:
        self.both = self.stage.pair("side")
        inside = self.stage.testbed.switch("inside")
        inner = 'interface = "eth2"\n'
        sync = '[sync.firewall]\ngroups = ["outer", "inner"]\n'
        for number, host in enumerate(self.both, 1):
            host.node.connect(inside, f"10.97.0.{number}/24")
            skew = f"advskew = {100 * number - 100}\n"
            lines = _group("outer", 10, skew)
            lines += _group("inner", 11, skew + inner).replace("10.99.0.111", "10.97.0.111")
            host.write(lines + sync)
        self.roles[self.both[1].name] = "BACKUP"

    async def play(self) -> None:
        first, second = self.both
        await self.provoke(
            "TxcarpSilentSide",
            "the master's cable on one side loses all packets",
            {"set": "firewall", "instance": second.name},
            lambda: first.node.cut("eth2"),
            lambda: first.node.heal("eth2"),
        )


class Probe(Scene):
    """
    A probe without a witness, and one whose questions the master does not get.
    """

    alerts = "TxcarpProbeCannotAct", "TxcarpProbeMisled"

    def make(self) -> None:
        self.first, self.second = self.pair("probe", probe='"50ms"', witness='"10.99.0.9"')
        switch = self.first.node._cables["eth0"].switch
        self.witness = self.stage.testbed.node("witness", "10.99.0.9/24", switch=switch)

    async def play(self) -> None:
        await self.provoke(
            "TxcarpProbeCannotAct",
            "the cable of the witness loses all packets",
            {"instance": self.second.name},
            self.witness.cut,
            self.witness.heal,
        )
        await self.provoke(
            "TxcarpProbeMisled",
            "the master's network card drops ARP for a second",
            {"group": "probe", "instance": self.second.name},
            self._mislead,
            lambda: None,
        )

    async def _mislead(self) -> None:
        rule = "type filter hook ingress device eth0 priority 0; ether type arp drop;"
        for _ in range(20):
            await self.first.run("nft", f"add table netdev mute {{ chain in {{ {rule} }}; }}")
            await self.stage.during(1.0)
            await self.first.run("nft", "delete table netdev mute")
            if "probe-misled" in await self.second.txcarp("explain", "probe"):
                return
            # An advertisement came in between, and showed that the master is alive.
            await self.stage.during(5.0)


class Sending(Scene):
    """
    A network card whose queue takes no packet.
    """

    alerts = ("TxcarpNotSent",)

    def make(self) -> None:
        self.host = self.stage.host("sending")
        self.host.write(_group("sending", 7))

    async def play(self) -> None:
        full = ["root", "tbf", "rate", "8kbit", "burst", "20", "limit", "20"]
        await self.provoke(
            "TxcarpNotSent",
            "the queue of the network card is full",
            {"group": "sending"},
            lambda: self.host.run("tc", "qdisc", "add", "dev", "eth0", *full),
            lambda: self.host.run("tc", "qdisc", "del", "dev", "eth0", "root"),
        )


class Parts(Scene):
    """
    A host with several groups, each with a problem of its own.
    """

    alerts = (
        *("TxcarpAddressesLost", "TxcarpNoMaster", "TxcarpDrainedForLong"),
        *("TxcarpCheckFailing", "TxcarpStepFailed", "TxcarpMasterNotReady"),
        "TxcarpTwoPasswords",
    )

    def make(self) -> None:
        self.host = host = self.stage.host("parts")
        self.flag = host.directory / "flag"
        host.password("older", "also no secret")
        absent = f'["/usr/bin/test", "!", "-e", "{self.flag}"]'
        waits = f'["/bin/sh", "-c", "while test -e {self.flag}; do sleep 0.1; done"]'
        check = f'[group.GROUP.check.flag]\ncommand = {absent}\ninterval = "200ms"\nfall = 1\n'
        step = "[[group.GROUP.step]]\nname = \"flag\"\nrequired = false\ncommand = "
        self.lines = [
            _group("lost", 1),
            _group("nobody", 2),
            _group("drained", 3),
            _group("check", 4, more=f"{check}demote = 50\n"),
            _group("step", 5, more=f"{step}{absent}\n"),
            _group("slow", 6, more=f"{step}{waits}\ntimeout = 100\n"),
        ]
        self.passwords("password")

    def passwords(self, *names: str) -> None:
        """
        Write the file with these passwords of one group.
        """
        words = ", ".join(f'"{name}"' for name in names)
        self.host.write("".join(self.lines) + _group("two", 7, f"passfile = [{words}]\n"))

    async def play(self) -> None:
        host = self.host
        await self.provoke(
            "TxcarpAddressesLost",
            "somebody removes the address",
            {"group": "lost"},
            lambda: host.node.removeAddress("10.99.0.101/24"),
            lambda: None,
        )
        for alert, group in (("TxcarpNoMaster", "nobody"), ("TxcarpDrainedForLong", "drained")):
            await self.provoke(
                alert,
                "the only host is drained",
                {"group": group},
                lambda group=group: host.txcarp("drain", group, "--anyway"),
                lambda group=group: host.txcarp("resume", group),
            )
        await self.provoke(
            "TxcarpCheckFailing",
            "a health check fails",
            {"group": "check", "check": "flag"},
            self.flag.touch,
            self.flag.unlink,
        )
        await self.provoke(
            "TxcarpStepFailed",
            "a command of a step fails",
            {"group": "step"},
            lambda: self._again("step", True),
            lambda: self._again("step", False),
        )
        await self.provoke(
            "TxcarpMasterNotReady",
            "a command of a step does not end",
            {"group": "slow"},
            lambda: self._again("slow", True),
            self.flag.unlink,
        )
        await self.provoke(
            "TxcarpTwoPasswords",
            "the file has two passwords",
            {"group": "two"},
            lambda: self._twoPasswords("password", "older"),
            lambda: self._twoPasswords("password"),
        )

    async def _again(self, group: str, flag: bool) -> None:
        """
        Have the group acquire everything again.
        """
        await self.host.txcarp("drain", group, "--anyway")
        if flag:
            self.flag.touch()
        else:
            self.flag.unlink()
        await self.host.txcarp("resume", group, "--no-wait")

    async def _twoPasswords(self, *names: str) -> None:
        self.passwords(*names)
        await self.host.txcarp("reload")


class Files(Scene):
    """
    A configuration file that is edited.
    """

    alerts = "TxcarpFileDiffers", "TxcarpReloadRefused", "TxcarpChangeUndone"

    def make(self) -> None:
        self.host = self.stage.host("files")
        self.host.write(_group("files", 7))

    async def play(self) -> None:
        labels = {"instance": self.host.name}
        good = self.host.file.read_text()

        async def reloaded(text: str, *options: str, isGood: bool = True) -> None:
            self.host.file.write_text(text)
            await self.host.txcarp("reload", *options, good=isGood)

        await self.provoke(
            "TxcarpFileDiffers",
            "the file is changed and not read again",
            labels,
            lambda: self.host.file.write_text(good + "# changed\n"),
            lambda: self.host.file.write_text(good),
        )
        await self.provoke(
            "TxcarpReloadRefused",
            "a file with a mistake is to be read",
            labels,
            lambda: reloaded(good + "colour = 3\n", isGood=False),
            lambda: reloaded(good),
        )
        await self.provoke(
            "TxcarpChangeUndone",
            "a change is not confirmed",
            labels,
            lambda: reloaded(good + "advskew = 20\n", "--confirm", "1s"),
            lambda: reloaded(good),
        )


class Processes(Scene):
    """
    A daemon that is stopped for short and for long, and its guards, which are killed.
    """

    alerts = "TxcarpTimersLate", "TxcarpPaused", "TxcarpGuardEnded", "TxcarpGuardMissing"

    def make(self) -> None:
        self.host = self.stage.host("processes")
        self.host.write(_group("processes", 7))
        self._killer = LoopingCall(self._killGuard)

    async def play(self) -> None:
        labels = {"instance": self.host.name}
        await self.provoke(
            "TxcarpTimersLate",
            "txcarp is stopped for 0.7 s again and again",
            labels,
            self._stutter,
            lambda: None,
        )
        await self.provoke(
            "TxcarpPaused",
            "txcarp is stopped for 6 s",
            labels,
            lambda: self._stopFor(6.0),
            lambda: None,
        )
        await self.provoke(
            "TxcarpGuardEnded",
            "the guard is killed",
            labels,
            self._killGuard,
            lambda: None,
        )
        await self.provoke(
            "TxcarpGuardMissing",
            "each guard is killed as soon as it runs",
            labels,
            self._killAll,
            self._killer.stop,
        )

    async def _stutter(self) -> None:
        # Not in the rhythm of the advertisements, which are a second apart.
        for _ in range(16):
            await self._stopFor(0.7)
            await self.stage.during(0.15)

    async def _stopFor(self, seconds: float) -> None:
        self.host.signal(signal.SIGSTOP)
        await self.stage.during(seconds)
        self.host.signal(signal.SIGCONT)

    def _killGuard(self) -> None:
        guard = self.host.guard()
        if guard is not None:
            os.kill(guard, signal.SIGKILL)

    def _killAll(self) -> None:
        self._killer.start(0.05)


class Kernel(Scene):
    """
    So many changes of addresses that their messages do not fit.
    """

    alerts = ("TxcarpKernelMessagesLost",)

    #: The number of addresses that come and go.
    NUMBER = 20000

    def make(self) -> None:
        self.host = self.stage.host("kernel")
        self.host.write(_group("kernel", 7))

    async def play(self) -> None:
        await self.provoke(
            "TxcarpKernelMessagesLost",
            f"{self.NUMBER} addresses come and go while txcarp is stopped",
            {"instance": self.host.name},
            self._flood,
            lambda: None,
        )

    async def _flood(self) -> None:
        batch = self.host.directory / "batch"
        batch.write_text(
            "address add 127.9.9.9/32 dev lo\naddress del 127.9.9.9/32 dev lo\n" * self.NUMBER
        )
        self.host.signal(signal.SIGSTOP)
        await self.host.run("ip", "-batch", str(batch))
        self.host.signal(signal.SIGCONT)


class Killed(Scene):
    """
    A daemon that is killed.
    """

    alerts = "TxcarpGuardActed", "TxcarpGone"

    def make(self) -> None:
        self.host = self.stage.host("killed")
        self.host.write(_group("killed", 7))

    async def play(self) -> None:
        labels = {"instance": self.host.name}

        async def restart() -> None:
            self.host.signal(signal.SIGKILL)
            await self.host.daemon.exit
            self.host.start()

        await self.provoke(
            "TxcarpGuardActed",
            "txcarp is killed and started again",
            labels,
            restart,
            lambda: None,
        )
        await self.provoke(
            "TxcarpGone",
            "txcarp is killed",
            labels,
            lambda: self.host.signal(signal.SIGKILL),
            self.host.start,
        )


#: All scenes.
SCENES: Mapping[str, type[Scene]] = {
    one.__name__.lower(): one
    for one in (
        *(Calm, Cable, OneWay, Family, Passwords, Replay, Flapping, Side, Probe, Sending, Parts),
        *(Files, Processes, Kernel, Killed),
    )
}
