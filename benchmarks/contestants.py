"""
The programs that are compared, each started as its users start it.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lab.daemons import TXCARP, Daemon, environment
from txcarp.testbed import Node

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
vrrp_instance benchmark {{
    state BACKUP
    nopreempt
    interface eth0
    virtual_router_id {vhid}
    virtual_ipaddress {{
        {address}
    }}
}}
"""


class Contestant:
    """
    A program that lets two hosts share an address, with its default timing.

    @cvar name: what the table calls it.
    """

    name = ""

    def missing(self) -> str | None:
        """
        Why it cannot take part; L{None} if it can.
        """
        return None

    def version(self) -> str:
        """
        The program and its version.
        """
        return self.name

    def command(self, source: str, directory: Path) -> list[str]:
        """
        How it is started on the host with this address.

        @param directory: for the files that it needs, one for each host.
        """
        raise NotImplementedError

    def start(
        self, reactor: Any, node: Node, source: str, directory: Path, *options: str
    ) -> Daemon:
        """
        Start it on a host; it ends with the reactor, however that is stopped.

        @param directory: where it finds what an earlier run of it left.
        @param options: more than its users give it.
        """
        directory.mkdir(exist_ok=True)
        daemon = Daemon(f"{node.name} {self.name}")
        argv = [*self.command(source, directory), *options]
        node.spawn(reactor, daemon, argv[0], argv, environment(directory))
        reactor.addSystemEventTrigger("before", "shutdown", strike, daemon, signal.SIGKILL)
        return daemon


class Txcarp(Contestant):
    """
    txcarp that holds the address itself.
    """

    name = "txcarp"

    def version(self) -> str:
        """
        See L{Contestant.version}.
        """
        import txcarp

        return f"txcarp {txcarp.__version__} (--assign)"

    def command(self, source: str, directory: Path) -> list[str]:
        """
        See L{Contestant.command}.
        """
        return [*TXCARP, *_ucarpOptions(source), "-a", _PREFIX, "--assign"]


class Ucarp(Contestant):
    """
    The real ucarp with the two scripts that everybody writes.
    """

    name = "ucarp"

    def missing(self) -> str | None:
        """
        See L{Contestant.missing}.
        """
        return _notInstalled("ucarp", "ip")

    def version(self) -> str:
        """
        See L{Contestant.version}.
        """
        return f"ucarp {_debianVersion('ucarp')} (scripts, -z)"

    def command(self, source: str, directory: Path) -> list[str]:
        """
        See L{Contestant.command}.
        """
        for event, verb in (("up", "add"), ("down", "del")):
            script = directory / event
            script.write_text(_SCRIPT.format(verb=verb, address=_PREFIX))
            script.chmod(0o755)
        scripts = ["-u", str(directory / "up"), "-d", str(directory / "down")]
        return [_path("ucarp"), *_ucarpOptions(source), "-a", VIRTUAL, *scripts, "-z"]


class Keepalived(Contestant):
    """
    keepalived with one VRRP instance of nothing but defaults; as with the other
    two, a host that comes back does not take the address back.
    """

    name = "keepalived"

    def missing(self) -> str | None:
        """
        See L{Contestant.missing}.
        """
        return _notInstalled("keepalived")

    def version(self) -> str:
        """
        See L{Contestant.version}.
        """
        return f"keepalived {_debianVersion('keepalived')} (VRRP)"

    def command(self, source: str, directory: Path) -> list[str]:
        """
        See L{Contestant.command}.
        """
        configuration = directory / "keepalived.conf"
        configuration.write_text(_KEEPALIVED.format(vhid=_VHID, address=_PREFIX))
        files = {"-f": "keepalived.conf", "-p": "pid", "-r": "vrrp.pid"}
        paths = [word for key, file in files.items() for word in (key, str(directory / file))]
        return [_path("keepalived"), "-n", "-l", "-D", "-P", *paths]


#: In the order of the table's columns.
ALL: tuple[Contestant, ...] = (Txcarp(), Ucarp(), Keepalived())


def processes(pid: int) -> list[int]:
    """
    A process and all that descend from it, itself first.
    """

    def children(parent: int) -> Iterator[int]:
        try:
            text = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        except OSError:
            return
        for child in map(int, text.split()):
            yield child
            yield from children(child)

    return [pid, *children(pid)]


def strike(daemon: Daemon, number: int) -> None:
    """
    Send a signal to a daemon and to its children, before any of them can do
    something about what happens to another.
    """
    if daemon.ended:
        return
    everybody = processes(daemon.pid)
    for each in (signal.SIGSTOP, number) if number == signal.SIGKILL else (number,):
        for pid in everybody:
            try:
                os.kill(pid, each)
            except ProcessLookupError:
                pass


def _ucarpOptions(source: str) -> list[str]:
    return ["-i", "eth0", "-s", source, "-v", str(_VHID), "-p", _PASSWORD, "-f", "none"]


def _path(program: str) -> str:
    path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if path is None:
        raise FileNotFoundError(f"{program} is not installed")
    return path


def _notInstalled(*programs: str) -> str | None:
    for program in programs:
        try:
            _path(program)
        except FileNotFoundError as error:
            return str(error)
    return None


def _debianVersion(package: str) -> str:
    """
    As the package says it: ucarp itself does not know its version.
    """
    answer = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", package],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.match(r"[\d.]+\d", answer.stdout.rpartition(":")[2])
    return found.group() if found else ""
