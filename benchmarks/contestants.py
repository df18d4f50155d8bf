"""
The programs that are compared, each configured as its users do it.
"""

from __future__ import annotations

import enum
import re
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import attrs

import txcarp
from tests.lab.daemons import Daemon, programPath
from txcarp.testbed import Node
from txcarp.testbed.program import TXCARP

#: The address that both hosts share.
VIRTUAL = "10.99.0.100"

_PREFIX = f"{VIRTUAL}/24"
_VHID = 7
_PASSWORD = "not a secret"  # noqa: S105

_SCRIPT = """\
#!/bin/sh
exec ip address {verb} {address} dev "$1"
"""

_KEEPALIVED = """\
global_defs {{
    vrrp_version {version}
}}
vrrp_instance benchmark {{
    state BACKUP
    nopreempt
    interface eth0
    virtual_router_id {vhid}
    advert_int {interval:g}
    virtual_ipaddress {{
        {address}
    }}
}}
"""


class Speaker(enum.Enum):
    """
    The process of a program that speaks with the other hosts.
    """

    PARENT = "the process that was started"
    CHILD = "a child of that"


@attrs.frozen
class Contestant:
    """
    A program that lets two hosts share an address, with its default timing.

    @ivar name: Its name in tables.
    @ivar command: Makes its command line, from the address of its host and the directory
        for its files.
    @ivar needs: The programs that it needs, by name.
    @ivar remark: How it is used, for the line with its version.
    @ivar speaker: The process that speaks with the other hosts.
    """

    name: str
    command: Callable[[str, Path], list[str]]
    needs: tuple[str, ...] = ()
    remark: str = ""
    speaker: Speaker = Speaker.PARENT

    def missing(self) -> str | None:
        """
        Why it cannot take part; C{None} if it can.
        """
        absent = [program for program in self.needs if programPath(program) is None]
        return f"{absent[0]} is not installed" if absent else None

    @property
    def version(self) -> str:
        """
        The program and its version, as its Debian package says it: ucarp has no option for
        that.
        """
        if self.name == "txcarp":
            return f"txcarp {txcarp.__version__} ({self.remark})"
        answer = subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", self.name],
            capture_output=True,
            text=True,
            check=False,
        )
        found = re.match(r"[\d.]+\d", answer.stdout.rpartition(":")[2])
        return f"{self.name} {found.group() if found else ''} ({self.remark})"

    def runBy(self, module: str) -> Contestant:
        """
        Return the same program, as another Python module runs it.
        """

        def command(source: str, directory: Path) -> list[str]:
            words = self.command(source, directory)
            return [*words[: words.index("-m") + 1], module, *words[words.index("-m") + 2 :]]

        return attrs.evolve(self, command=command)

    def start(
        self, reactor: Any, node: Node, source: str, directory: Path, *options: str
    ) -> Daemon:
        """
        Start it on a host.  It is killed when the reactor stops.

        @param source: The address of the host.
        @param directory: The directory for its files; an earlier run may have left some.
        @param options: More options.
        """
        directory.mkdir(exist_ok=True)
        daemon = Daemon(f"{node.name} {self.name}")
        daemon.start(reactor, node, [*self.command(source, directory), *options], directory)
        reactor.addSystemEventTrigger("before", "shutdown", strike, daemon, signal.SIGKILL)
        return daemon


def _options(source: str) -> list[str]:
    """
    The options that ucarp and txcarp have in common.
    """
    return ["-i", "eth0", "-s", source, "-v", str(_VHID), "-p", _PASSWORD, "-f", "none"]


def _scripts(source: str, directory: Path) -> list[str]:
    """
    The options for the scripts of ucarp's manual page, which move the address.
    """
    for event, verb in (("up", "add"), ("down", "del")):
        script = directory / event
        script.write_text(_SCRIPT.format(verb=verb, address=_PREFIX))
        script.chmod(0o755)
    scripts = ["-u", str(directory / "up"), "-d", str(directory / "down")]
    return [*_options(source), "-a", VIRTUAL, *scripts, "-z"]


def _ucarp(source: str, directory: Path) -> list[str]:
    return [programPath("ucarp") or "ucarp", *_scripts(source, directory)]


def _txcarp(source: str, directory: Path) -> list[str]:
    return [*TXCARP, *_options(source), "-a", _PREFIX, "--assign"]


def _txcarpWithScripts(source: str, directory: Path) -> list[str]:
    return [*TXCARP, *_scripts(source, directory)]


def _keepalived(source: str, directory: Path, interval: float = 1.0) -> list[str]:
    configuration = directory / "keepalived.conf"
    # Version 2 knows whole seconds only.
    version = 2 if interval >= 1 else 3
    configuration.write_text(
        _KEEPALIVED.format(vhid=_VHID, address=_PREFIX, interval=interval, version=version)
    )
    files = {"-f": "keepalived.conf", "-p": "pid", "-r": "vrrp.pid"}
    paths = [word for key, file in files.items() for word in (key, str(directory / file))]
    return [programPath("keepalived") or "keepalived", "-n", "-l", "-D", "-P", *paths]


#: txcarp adds and removes the address itself.
ASSIGNING = Contestant("txcarp", _txcarp, remark="--assign")

#: txcarp with the command line and the scripts of L{UCARP}.
SCRIPTED = Contestant("txcarp", _txcarpWithScripts, ("ip",), "scripts, -z")

UCARP = Contestant("ucarp", _ucarp, ("ucarp", "ip"), "scripts, -z")

#: One VRRP instance.  As with the other programs, a host that comes back does not take the
#: address back.
KEEPALIVED = Contestant("keepalived", _keepalived, ("keepalived",), "VRRP", Speaker.CHILD)


#: All of them, in the order of tables.
CONTESTANTS = (ASSIGNING, UCARP, KEEPALIVED)

#: The shortest time between advertisements that each program can have, in seconds.  ucarp takes an
#: advbase of 0, but two such hosts take the address from each other about once a second.
SHORTEST = {"txcarp": 1 / 256, "ucarp": 1.0, "keepalived": 0.01}


def paced(contestant: Contestant, interval: float) -> Contestant | None:
    """
    The same program with another time between advertisements.

    @param interval: In seconds; 1 is the default of all programs.
    @return: C{None} if the program cannot have that.
    """
    if interval == 1:
        return contestant
    if interval < SHORTEST[contestant.name]:
        return None
    if contestant.name == "keepalived":
        return attrs.evolve(contestant, command=partial(_keepalived, interval=interval))
    base, rest = divmod(interval, 1)
    timing = ["-b", f"{base:.0f}", "-k", str(max(0 if base else 1, round(rest * 256)))]

    def command(source: str, directory: Path) -> list[str]:
        return [*contestant.command(source, directory), *timing]

    return attrs.evolve(contestant, command=command)


def strike(daemon: Daemon, number: int) -> None:
    """
    Send a signal to a daemon and all its descendants.
    """
    daemon.signalAll(number)
