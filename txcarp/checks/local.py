"""
Checks of this host: a process, a file, an interface, and what a command finds out.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from zope.interface import implementer

from txcarp.change import ScriptResult
from txcarp.checks.tcp import CheckFailed
from txcarp.configuration.values import notACommand, notAnInterface
from txcarp.interfaces import ICheck, IPlatform

#: The most bytes of the name of a process that the kernel keeps (TASK_COMM_LEN - 1).
_LONGEST_NAME = 15

#: How many processes are looked at before the reactor has its turn.
_AT_ONCE = 50

#: The states of a process that has ended.
_ENDED = ("Z", "X", "x")


@implementer(ICheck)
@attrs.frozen
class ProcessCheck:
    """
    Whether a process runs, by its name or by a file with its number.

    @ivar name: Its name, as C{ps -o comm} shows it.
    @ivar pidFile: The path of a file with its number, in place of the name.
    """

    name: str = ""
    pidFile: str = ""

    def __attrs_post_init__(self) -> None:
        if bool(self.name) == bool(self.pidFile):
            raise ValueError("a process has either a name or a file with its number")

    def run(self, platform: IPlatform, timeout: float) -> object:
        return self._byFile() if self.pidFile else self._byName(platform)

    def _byFile(self) -> str:
        with open(self.pidFile, "rb") as file:
            text = file.read(32).strip()
        if not text.isdigit():
            raise CheckFailed(f"{self.pidFile} does not begin with the number of a process")
        number = int(text)
        if _nameOf(str(number)) is None:
            raise CheckFailed(f"process {number} of {self.pidFile} does not run")
        return f"process {number}"

    async def _byName(self, platform: IPlatform) -> str:
        wanted = os.fsencode(self.name)[:_LONGEST_NAME]
        numbers = [one for one in os.listdir("/proc") if one.isdecimal()]
        for count, number in enumerate(numbers, 1):
            if _nameOf(number) == wanted:
                return f"process {number}"
            if count % _AT_ONCE == 0:
                await deferLater(platform.clock, 0)
        raise CheckFailed(f"no process {self.name} runs")


def _nameOf(number: str) -> bytes | None:
    """
    The name of a process; C{None} if it does not run.
    """
    try:
        with open(f"/proc/{number}/stat", "rb") as file:
            stat = file.read(4096)
    except OSError:
        return None
    # The name may have any character, also parentheses.
    start, end = stat.find(b"("), stat.rfind(b")")
    if stat[end + 2 : end + 3].decode("latin-1") in _ENDED:
        return None
    return stat[start + 1 : end]


@implementer(ICheck)
@attrs.frozen
class FileCheck:
    """
    Whether a file exists, and is not too old.

    @ivar path: Its path, on a disk of this host: a network file system may block.
    @ivar maximumAge: Seconds since it was last written; C{None} for any.
    """

    path: str
    maximumAge: float | None = None

    def run(self, platform: IPlatform, timeout: float) -> str:
        try:
            written = os.stat(self.path).st_mtime
        except OSError as error:
            raise CheckFailed(f"{self.path}: {error.strerror}") from None
        age = max(0.0, platform.wallSeconds() - written)
        if self.maximumAge is not None and age > self.maximumAge:
            raise CheckFailed(
                f"{self.path} was written {age:.0f} s ago, more than {self.maximumAge:g} s"
            )
        return f"written {age:.0f} s ago"


@implementer(ICheck)
@attrs.frozen
class InterfaceCheck:
    """
    Whether a network interface is up and has a carrier.

    @ivar name: Its name.
    """

    name: str = attrs.field()

    @name.validator
    def _validate(self, attribute: object, value: str) -> None:
        if problem := notAnInterface(value):
            raise ValueError(problem)

    def run(self, platform: IPlatform, timeout: float) -> str:
        link = platform.links.link(self.name)
        if link is None:
            raise CheckFailed(f"there is no interface {self.name}")
        if not link.works:
            raise CheckFailed(f"{self.name} is {'without carrier' if link.up else 'down'}")
        return f"{self.name} is up"


@implementer(ICheck)
@attrs.frozen
class CommandCheck:
    """
    Whether a command ends with status 0.  Each run is a process; what it prints is logged.

    @ivar command: The path of a program, and its arguments.  No shell is used.
    """

    command: Sequence[str] = attrs.field(converter=tuple)

    @command.validator
    def _validate(self, attribute: object, value: Sequence[str]) -> None:
        if problem := notACommand(value):
            raise ValueError(problem)

    def run(self, platform: IPlatform, timeout: float) -> Deferred[str]:
        path, *arguments = self.command
        running = platform.scripts.run(path, arguments, {}, timeout)
        ended = _UntilItEnds()
        running.addCallback(_judge).addCallbacks(ended.callback, ended.errback)
        return ended


class _UntilItEnds(Deferred[str]):
    """
    The end of a process.  The runner of scripts ends the process at the time limit, which may take
    a moment.  Until then it runs, and no other may begin.
    """

    def cancel(self) -> None:
        pass


def _judge(result: ScriptResult) -> str:
    if not result.good:
        raise CheckFailed(result.explain())
    return "exit status 0"
