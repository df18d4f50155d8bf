"""
Many groups on each of the hosts C{a} and C{b}, of which the first is preferred: the command lines
of each program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import attrs

from tests.lab.daemons import programPath
from txcarp.protocol.election import Standing
from txcarp.protocol.timing import Peer, Timing
from txcarp.testbed.program import TXCARP

#: The most groups on one interface.
ON_ONE = 250

#: The number of the first group's address on its network; those before are the hosts'.
_FIRST = 4

#: The priorities of both hosts with VRRP.
_PRIORITIES = {"a": 200, "b": 100}

_SCRIPT = """\
#!/bin/sh
exec ip address {verb} "$2/24" dev "$1"
"""


@attrs.frozen
class Group:
    """
    One group.

    @ivar side: The number of its interface and its network.
    @ivar vhid: Its number there.
    """

    side: int
    vhid: int

    @property
    def address(self) -> str:
        """
        Its address.
        """
        return f"10.99.{self.side}.{self.vhid + _FIRST - 1}"


def groupsOf(count: int) -> list[Group]:
    """
    So many groups, on as few interfaces as possible.
    """
    return [Group(n // ON_ONE, n % ON_ONE + 1) for n in range(count)]


def ownAddress(name: str, side: int) -> str:
    """
    The address of a host on one of its networks.
    """
    return f"10.99.{side}.{'ab'.index(name) + 1}"


@attrs.frozen
class Rhythm:
    """
    How often the groups advertise, and how long a backup waits.

    @ivar interval: Seconds between advertisements.
    @ivar skew: By how much longer it is for the host C{b} with CARP, in 256ths of a second.
    """

    interval: float = 1.0
    skew: int = 100

    def timing(self, name: str) -> Timing:
        """
        The timing of a host with CARP.
        """
        base, rest = divmod(self.interval, 1)
        skew = max(0 if base else 1, round(rest * 256))
        return Timing(int(base), skew + self.skew * "ab".index(name))

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


def _txcarp(name: str, groups: Sequence[Group], home: Path, rhythm: Rhythm) -> list[list[str]]:
    password, file, timing = home / "password", home / "txcarp.toml", rhythm.timing(name)
    password.write_text("not a secret\n")
    password.chmod(0o600)
    text = [f'[daemon]\nfacility = "none"\n[defaults]\npassfile = "{password}"\n']
    text.append(f"advbase = {timing.advbase}\nadvskew = {timing.advskew}\n")
    text.append("flap_limit = false\n")  # benchmarks take mastership away again and again
    text += (
        f'[group.g{one.side}-{one.vhid}]\ninterface = "eth{one.side}"\nvhid = {one.vhid}\n'
        f'addresses = ["{one.address}/24"]\n'
        for one in groups
    )
    file.write_text("".join(text))
    return [[*TXCARP, f"--config={file}", f"--control={home}/control.sock"]]


def _keepalived(name: str, groups: Sequence[Group], home: Path, rhythm: Rhythm) -> list[list[str]]:
    file = home / "keepalived.conf"
    # Version 2 knows whole seconds only.
    version = 2 if rhythm.interval >= 1 else 3
    text = [f"global_defs {{\n vrrp_version {version}\n}}\n"]
    text += (
        f"vrrp_instance g{one.side}_{one.vhid} {{\n state BACKUP\n interface eth{one.side}\n"
        f" virtual_router_id {one.vhid}\n priority {_PRIORITIES[name]}\n"
        f" advert_int {rhythm.interval:g}\n virtual_ipaddress {{\n  {one.address}/24\n }}\n}}\n"
        for one in groups
    )
    file.write_text("".join(text))
    words = [programPath("keepalived") or "keepalived", "-n", "-l", "-P", "-f", str(file)]
    return [[*words, "-p", str(home / "pid"), "-r", str(home / "vrrp.pid")]]


def _ucarp(name: str, groups: Sequence[Group], home: Path, rhythm: Rhythm) -> list[list[str]]:
    timing = rhythm.timing(name)
    settings = ["-b", str(timing.advbase), "-k", str(timing.advskew), "-f", "none"]
    for letter, verb in (("u", "add"), ("d", "del")):
        script = home / verb
        script.write_text(_SCRIPT.format(verb=verb))
        script.chmod(0o755)
        settings += [f"-{letter}", str(script)]
    return [
        [programPath("ucarp") or "ucarp", "-i", f"eth{one.side}", "-s", ownAddress(name, one.side)]
        + ["-v", str(one.vhid), "-p", "not a secret", "-a", one.address, *settings]
        for one in groups
    ]


#: Makes the command lines of a host, by the name of the program.
COMMANDS: dict[str, Callable[[str, Sequence[Group], Path, Rhythm], list[list[str]]]] = {
    "txcarp": _txcarp,
    "keepalived": _keepalived,
    "ucarp": _ucarp,
}
