"""
The configuration of each program for many groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs

from tests.lab.daemons import programPath
from txcarp.testbed.program import TXCARP

#: The most groups on one interface.
ON_ONE = 250

#: The number of the first group's address on its network; those before are the hosts'.
_FIRST = 4


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
    return [Group(n // ON_ONE, n % ON_ONE + 1) for n in range(count)]


def ownAddress(name: str, side: int) -> str:
    return f"10.99.{side}.{'ab'.index(name) + 1}"


def _txcarp(name: str, groups: Sequence[Group], home: Path) -> list[list[str]]:
    password, file = home / "password", home / "txcarp.toml"
    password.write_text("not a secret\n")
    password.chmod(0o600)
    text = [f'[daemon]\nfacility = "none"\n[defaults]\npassfile = "{password}"\n']
    text.append(f"advskew = {'ab'.index(name) * 100}\n")
    text += (
        f'[group.g{one.side}-{one.vhid}]\ninterface = "eth{one.side}"\nvhid = {one.vhid}\n'
        f'addresses = ["{one.address}/24"]\n'
        for one in groups
    )
    file.write_text("".join(text))
    return [[*TXCARP, f"--config={file}", f"--control={home}/control.sock"]]


def _keepalived(name: str, groups: Sequence[Group], home: Path) -> list[list[str]]:
    file = home / "keepalived.conf"
    file.write_text(
        "".join(
            f"vrrp_instance g{one.side}_{one.vhid} {{\n state BACKUP\n interface eth{one.side}\n"
            f" virtual_router_id {one.vhid}\n priority {200 - 100 * 'ab'.index(name)}\n"
            f" advert_int 1\n virtual_ipaddress {{\n  {one.address}/24\n }}\n}}\n"
            for one in groups
        )
    )
    words = [programPath("keepalived") or "keepalived", "-n", "-l", "-P", "-f", str(file)]
    return [[*words, "-p", str(home / "pid"), "-r", str(home / "vrrp.pid")]]


def _ucarp(name: str, groups: Sequence[Group], home: Path) -> list[list[str]]:
    scripts = []
    for letter, verb in (("u", "add"), ("d", "del")):
        script = home / verb
        script.write_text(_SCRIPT.format(verb=verb))
        script.chmod(0o755)
        scripts += [f"-{letter}", str(script)]
    skew = str("ab".index(name) * 100)
    return [
        [programPath("ucarp") or "ucarp", "-i", f"eth{one.side}", "-s", ownAddress(name, one.side)]
        + ["-v", str(one.vhid), "-p", "not a secret", "-a", one.address, "-f", "none"]
        + ["-k", skew, *scripts]
        for one in groups
    ]


COMMANDS = {"txcarp": _txcarp, "keepalived": _keepalived, "ucarp": _ucarp}
