"""
Many groups on each of two hosts, with any time between advertisements: the command lines.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import attrs

from benchmarks.contestants import SHORTEST
from tests.lab.daemons import programPath
from txcarp.protocol.election import Standing
from txcarp.protocol.timing import Peer, Timing
from txcarp.testbed.program import TXCARP

#: The most groups of a fleet: their addresses are in one network.
MOST = 150

#: The priorities of both hosts with VRRP.
_PRIORITIES = {"a": 200, "b": 100}

_SCRIPT = """\
#!/bin/sh
exec ip address {verb} "$2/24" dev "$1"
"""


@attrs.frozen
class Fleet:
    """
    Groups with one rhythm on the hosts C{a} and C{b}.  The first is preferred.

    @ivar count: The number of groups, whose numbers begin with 1.
    @ivar interval: Seconds between advertisements.
    """

    count: int
    interval: float

    def address(self, vhid: int) -> str:
        """
        The address of a group.
        """
        return f"10.99.0.{100 + vhid}"

    def timing(self, host: str) -> Timing:
        """
        The timing of a host with CARP.  Both have nearly the same.
        """
        base, rest = divmod(self.interval, 1)
        skew = max(0 if base else 1, round(rest * 256))
        return Timing(int(base), skew + "ab".index(host))

    def deadTime(self, program: str) -> float:
        """
        Seconds after the last advertisement after which the backup takes over, by the rules that
        its program documents.
        """
        if program == "keepalived":
            # RFC 5798, section 6.1.  In version 2 (RFC 3768) the skew does not depend on the
            # interval.
            skew = (256 - _PRIORITIES["b"]) / 256
            return self.interval * 3 + skew * min(self.interval, 1.0)
        own, peer = self.timing("b"), self.timing("a")
        if program == "ucarp":
            return own.deadTime(3)
        return Standing(own, 3, False, bytes(4)).patience(Peer(peer, bytes(4)))

    def commands(self, program: str, host: str, source: str, home: Path) -> list[list[str]]:
        """
        The command lines of the processes on a host.

        @param source: The address of the host.
        @param home: The directory for files.
        """
        return _PROGRAMS[program](self, host, source, home)


def _txcarp(fleet: Fleet, host: str, source: str, home: Path) -> list[list[str]]:
    password, file, timing = home / "password", home / "txcarp.toml", fleet.timing(host)
    password.write_text("not a secret\n")
    password.chmod(0o600)
    text = [f'[daemon]\nfacility = "none"\n[defaults]\ninterface = "eth0"\nsource = "{source}"\n']
    text.append(f'passfile = "{password}"\n')
    text.append(f"advbase = {timing.advbase}\nadvskew = {timing.advskew}\n")
    text += (
        f'[group.g{vhid}]\nvhid = {vhid}\naddresses = ["{fleet.address(vhid)}/24"]\n'
        for vhid in range(1, fleet.count + 1)
    )
    file.write_text("".join(text))
    return [[*TXCARP, f"--config={file}", f"--control={home}/control.sock"]]


def _keepalived(fleet: Fleet, host: str, source: str, home: Path) -> list[list[str]]:
    # Version 2 knows whole seconds only.
    version = 2 if fleet.interval >= 1 else 3
    text = [f"global_defs {{\n vrrp_version {version}\n}}\n"]
    text += (
        f"vrrp_instance g{vhid} {{\n state BACKUP\n interface eth0\n virtual_router_id {vhid}\n"
        f" priority {_PRIORITIES[host]}\n advert_int {fleet.interval:g}\n virtual_ipaddress {{\n"
        f"  {fleet.address(vhid)}/24\n }}\n}}\n"
        for vhid in range(1, fleet.count + 1)
    )
    file = home / "keepalived.conf"
    file.write_text("".join(text))
    words = [programPath("keepalived") or "keepalived", "-n", "-l", "-P", "-f", str(file)]
    return [[*words, "-p", str(home / "pid"), "-r", str(home / "vrrp.pid")]]


def _ucarp(fleet: Fleet, host: str, source: str, home: Path) -> list[list[str]]:
    words = [programPath("ucarp") or "ucarp", "-i", "eth0", "-s", source, "-p", "not a secret"]
    timing = fleet.timing(host)
    words += ["-b", str(timing.advbase), "-k", str(timing.advskew), "-f", "none"]
    for letter, verb in (("u", "add"), ("d", "del")):
        script = home / verb
        script.write_text(_SCRIPT.format(verb=verb))
        script.chmod(0o755)
        words += [f"-{letter}", str(script)]
    return [
        [*words, "-v", str(vhid), "-a", fleet.address(vhid)] for vhid in range(1, fleet.count + 1)
    ]


_PROGRAMS: dict[str, Callable[[Fleet, str, str, Path], list[list[str]]]] = {
    "txcarp": _txcarp,
    "ucarp": _ucarp,
    "keepalived": _keepalived,
}


def able(program: str, interval: float) -> bool:
    """
    Whether a program can have an interval.
    """
    return interval >= SHORTEST[program]
