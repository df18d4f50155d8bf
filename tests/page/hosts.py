"""
Two hosts with groups, and a client.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from txcarp.operate.client import Client
from txcarp.protocol.periods import Period, Who
from txcarp.protocol.sealstate import SealState
from txcarp.state.format import bootIdentity, encodeState, joinGroups
from txcarp.testbed import Node, Testbed
from txcarp.testbed.program import TXCARP

#: The port of the page.
PORT = 9112

#: The lines of a file that both hosts have: a group that the first one leads, one that it would
#: lead if its check were good, and one that the second one leads.
_GROUPS = """
[defaults]
interface = "eth0"
passfile = "password"

[group.web]
vhid = 1
addresses = ["10.99.0.101/24", "2001:db8::101/64"]
advskew = {web}
preempt = true

[group.dns]
vhid = 53
addresses = ["10.99.0.53/24"]
advskew = {dns}
preempt = true
[group.dns.check.resolver]
command = ["/usr/bin/test", "!", "-e", "{broken}"]
interval = "1s"
demote = 50

[group.mail]
vhid = 25
addresses = ["10.99.0.25/24"]
advskew = {mail}
preempt = true
"""


@attrs.define
class Host:
    """
    A host, and its daemon.

    @ivar name: Its name.
    @ivar address: Its address.
    """

    name: str
    node: Node
    address: str
    directory: Path
    daemon: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """
        The address of the page.
        """
        return f"http://{self.address}:{PORT}/"

    @property
    def control(self) -> Client:
        """
        Asks and tells the daemon.
        """
        return Client(str(self.directory / "control"))

    @property
    def broken(self) -> Path:
        """
        The file whose existence makes the check of C{dns} fail.
        """
        return self.directory / "broken"

    def write(self, groups: str) -> None:
        """
        Write the configuration file.
        """
        (self.directory / "password").write_text("a good password\n")
        (self.directory / "password").chmod(0o600)
        daemon = (
            f'[daemon]\nhttp = "tcp:{PORT}"\npage = true\nfacility = "none"\n'
            'state_file = "state.json"\ncontrol = "control"\n'
        )
        (self.directory / "txcarp.toml").write_text(daemon + groups)

    def remember(self, periods: Mapping[str, Sequence[Period]]) -> None:
        """
        Leave the state file of a process before.
        """
        lines = {
            name: encodeState(
                name, SealState(periods=tuple(past), saved=time.time()), bootIdentity()
            )
            for name, past in periods.items()
        }
        (self.directory / "state.json").write_text(joinGroups(lines))

    def start(self) -> None:
        """
        Start the daemon, in a UTS namespace of its own, so that the host has its name.
        """
        command = ["unshare", "--uts", "sh", "-c", 'hostname "$0"; exec "$@"', self.name]
        with (self.directory / "log").open("ab") as log, self.node.inside():
            self.daemon = subprocess.Popen(
                [*command, *TXCARP, "--config", str(self.directory / "txcarp.toml")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def deafen(self, deaf: bool) -> None:
        """
        Keep advertisements from reaching this host.
        """
        rules = "add table netdev page; delete table netdev page;"
        if deaf:
            rules += (
                'add table netdev page; add chain netdev page in { type filter hook ingress '
                'device "eth0" priority 0; }; add rule netdev page in ip protocol 112 drop;'
            )
        with self.node.inside():
            subprocess.run(["nft", rules], check=True)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """
        End the daemon.
        """
        if self.daemon is not None:
            self.daemon.send_signal(number)
            self.daemon.wait()
            self.daemon = None

    @property
    def seconds(self) -> float:
        """
        The processor time that the daemon has used.
        """
        assert self.daemon is not None
        fields = Path(f"/proc/{self.daemon.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Scene:
    """
    Two hosts and a client on one switch.
    """

    def __init__(self) -> None:
        self._testbed = Testbed.create()
        self._directory = Path(tempfile.mkdtemp(prefix="txcarp-page-"))
        self.hosts = [self._host(number) for number in (1, 2)]
        self.client = self._testbed.node("client", "10.99.0.9/24")

    def _host(self, number: int) -> Host:
        name, address = f"web{number}", f"10.99.0.{number}"
        directory = self._directory / name
        directory.mkdir()
        return Host(name, self._testbed.node(name, f"{address}/24"), address, directory)

    def configure(self) -> None:
        """
        Write both files.
        """
        for host, (web, dns, mail) in zip(
            self.hosts, ((0, 0, 100), (100, 20, 0)), strict=True
        ):
            host.write(_GROUPS.format(web=web, dns=dns, mail=mail, broken=host.broken))

    def close(self) -> None:
        """
        Remove everything.
        """
        for host in self.hosts:
            host.kill()
        self._testbed.remove()
        shutil.rmtree(self._directory, ignore_errors=True)

    def logs(self) -> str:
        """
        What the daemons logged.
        """
        paths = [host.directory / "log" for host in self.hosts]
        return "\n".join(f"{one}:\n{one.read_text()}" for one in paths if one.exists())


def past(now: float) -> dict[str, list[Period]]:
    """
    An hour of which the first host knows from a process before: a take-over after a gap and its
    return, a minute with two masters, an orderly change.

    @param now: The present time, in seconds since 1970.
    """
    peer = "10.99.0.2"

    def at(minutes: float, who: Who, reason: str = "") -> Period:
        other = peer if who in (Who.OTHER, Who.BOTH) else ""
        return Period(now - 60 * minutes, who, other, reason)

    return {
        "eth0:1": [
            at(64, Who.OWN, "preemption"),
            at(41, Who.NOBODY, "link_lost"),
            at(40.2, Who.OTHER, "unknown"),
            at(29, Who.OWN, "preemption"),
        ],
        "eth0:53": [
            at(64, Who.OTHER, "unknown"),
            at(47, Who.OWN, "preemption"),
            at(33, Who.BOTH, "rival"),
            at(30.5, Who.OTHER, "preferred_master"),
            at(14, Who.OWN, "preemption"),
        ],
        "eth0:25": [
            at(64, Who.OTHER, "unknown"),
            at(22, Who.OWN, "bow_out"),
            at(12, Who.OTHER, "preferred_master"),
        ],
    }


def until(condition: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """
    Wait for a condition.

    @raise AssertionError: If it does not come.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:.0f} s: {what}")
        time.sleep(0.05)


def manyGroups(number: int) -> str:
    """
    The lines of a file with many groups.
    """
    lines = ['[defaults]\ninterface = "eth0"\npassfile = "password"\n']
    for one in range(number):
        address = f"10.98.{one // 200}.{one % 200 + 1}/16"
        lines.append(f'[group.g{one:04}]\nvhid = {one + 1}\naddresses = ["{address}"]\n')
    return "".join(lines)
