"""
What a command line or a configuration file asks for.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

import attrs
from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.configuration.options import CommandLineError, Option
from txcarp.configuration.positions import Positions
from txcarp.configuration.problems import FileError, Problem
from txcarp.configuration.settings import KEYS
from txcarp.logs import facilityNumber
from txcarp.state.store import defaultStateDirectory, fileNameOf

_log = Logger()

#: The settings whose options may stand beside C{--config}.
_BESIDE_FILE = (
    ("configFile", "stateFile", "control", "http", "page", "realtime")
    + ("daemonize", "pidFile", "facility", "debug")
)

#: What is wrong with a page that is shown nowhere.
NO_ENDPOINT = (
    "--page: there is no endpoint to show the page on; give one with --http, or http in [daemon]"
)

#: The default syslog facility.
FACILITY = "daemon"


@attrs.frozen
class Configuration:
    """
    What a file asks for.

    @ivar path: The absolute path of the file.
    @ivar groups: The virtual hosts.
    @ivar stateFile: The path of the state file of the process; C{None} for none.
    @ivar control: The path of the control socket; C{None} for none.
    @ivar http: The endpoints on which everybody may read.
    @ivar page: Whether there is a page for browsers.
    @ivar realtime: Whether to run before all ordinary processes; C{None} if the file does not say.
    @ivar facility: The name of the syslog facility; C{None} if the file does not say.
    @ivar warnings: What is possible, but probably a mistake.
    @ivar text: The contents of the file.
    @ivar positions: Finds out where the keys and values in the text are.
    """

    path: str
    groups: tuple[VirtualHostConfiguration, ...]
    stateFile: str | None
    control: str | None
    http: tuple[str, ...]
    page: bool
    realtime: bool | None
    facility: str | None
    warnings: tuple[str, ...]
    text: str = attrs.field(repr=False)
    positions: Callable[[], Positions] = attrs.field(repr=False, eq=False)

    def problem(self, group: str, setting: str, text: str) -> Problem:
        """
        Describe a problem that was found later.

        @param group: The name of the group.
        @param setting: The setting of the model that has the problem.
        """
        positions = self.positions()
        keys = [key.name for key in KEYS if setting in key.settings]
        paths = [(*table, key) for table in (("group", group), ("defaults",)) for key in keys]
        given = [path for path in paths if path in positions.keys]
        place = positions.ofValue(given[0]) if given else positions.of(("group", group))
        return Problem(place, f"[group.{group}] {text}")


class CannotRun(Exception):
    """
    txcarp cannot do what a command line asks for.  The exit status is 2, as in ucarp.
    """


class WrongFile(CommandLineError):
    """
    The configuration file is wrong.  The exit status is 78.
    """


@attrs.frozen
class CommandLine:
    """
    What a command line asks for.

    @ivar configurations: The virtual hosts.
    @ivar file: The file that they were read from; C{None} for options.
    @ivar stateFile: The path of the state file; C{None} for none.
    @ivar control: The path of the control socket; C{None} for none.
    @ivar http: The endpoints on which everybody may read.
    @ivar page: Whether there is a page for browsers.
    @ivar realtime: Whether to run before all ordinary processes; C{None} where a group advertises
        more often than once a second.
    @ivar facility: The number of the syslog facility; C{None} for no syslog.
    @ivar daemonize: Whether to run in the background.
    @ivar pidFile: The path of the file to write the process ID to; an empty string for none.
    @ivar debug: Whether packets are logged for all virtual hosts.
    @ivar passwords: The passwords in the command line itself.
    """

    configurations: tuple[VirtualHostConfiguration, ...]
    file: Configuration | None
    stateFile: str | None
    control: str | None
    http: tuple[str, ...]
    page: bool
    realtime: bool | None
    facility: int | None
    daemonize: bool
    pidFile: str
    debug: bool
    passwords: tuple[bytes, ...] = attrs.field(repr=False)

    @property
    def runsRealtime(self) -> bool:
        """
        Whether this process is to run before all ordinary processes.
        """
        if self.realtime is not None:
            return self.realtime
        return any(one.timing.interval < 1 for one in self.configurations)

    def groupsOf(self, file: Configuration) -> tuple[VirtualHostConfiguration, ...]:
        """
        The virtual hosts that a file and the other options ask for.
        """
        if not self.debug:
            return file.groups  # each copy would be checked anew, while the reactor waits
        return tuple(attrs.evolve(one, debug=True) for one in file.groups)


def fromFile(
    given: Sequence[tuple[Option, str]],
    leftOver: Sequence[tuple[Option | None, str]],
    readFile: Callable[[str], Configuration],
) -> CommandLine:
    """
    What a command line with a configuration file asks for.

    @param readFile: Reads a file by its path.
    @raise CommandLineError: If there are options of a virtual host, too.
    @raise WrongFile: If anything is wrong with the file.
    @raise CannotRun: If the file cannot be used now, and may be usable later as it is.
    """
    values = {option.setting: text for option, text in given}
    wrong = [option.names for option, _ in given if option.setting not in _BESIDE_FILE]
    if wrong:
        raise CommandLineError(
            f"--config: {', '.join(dict.fromkeys(wrong))} cannot be given beside it: write that "
            "into the file"
        )
    try:
        file = readFile(os.path.abspath(values["configFile"]))
    except FileError as error:
        kind = CannotRun if error.mayPass else WrongFile
        raise kind(f"nothing is started, because the file cannot be used\n{error}") from None
    for warning in file.warnings:
        _log.warn("{text}", text=warning)
    warnOfLeftOver(leftOver)
    stateFile = values.get("stateFile")
    line = CommandLine(
        configurations=(),
        file=file,
        stateFile=statePath(stateFile, "") if stateFile else file.stateFile,
        control=controlPath(values["control"]) if "control" in values else file.control,
        http=_endpoints(given) if "http" in values else file.http,
        page="page" in values or file.page,
        realtime=_realtime(values["realtime"]) if "realtime" in values else file.realtime,
        facility=facilityOf(values.get("facility") or file.facility or FACILITY),
        daemonize="daemonize" in values,
        pidFile=values.get("pidFile", ""),
        debug="debug" in values,
        passwords=(),
    )
    if line.page and not line.http:
        raise CommandLineError(NO_ENDPOINT)
    return attrs.evolve(line, configurations=line.groupsOf(file))


def facilityOf(name: str) -> int | None:
    """
    The number of a syslog facility; C{None} for no syslog.  An unknown one is reported and
    replaced by the default, as in ucarp.
    """
    try:
        return facilityNumber(name)
    except ValueError as error:
        _log.error("Unknown syslog facility: [{name}]: {error}", name=name, error=error)
        return facilityNumber(FACILITY)


def statePath(given: str, group: str) -> str | None:
    """
    The absolute path of the state file, because a daemon changes its directory.  Each daemon
    has a file of its own: two processes must not write the same one.
    """
    if given == "none":
        return None
    return os.path.abspath(given or defaultStateDirectory() / fileNameOf(group))


def controlPath(given: str) -> str | None:
    """
    The absolute path of the control socket.
    """
    return None if given in ("", "none") else os.path.abspath(given)


def switch(text: str) -> bool:
    """
    Whether an option is switched on.

    @raise ValueError: If the text is neither on nor off.
    """
    if text not in ("on", "off"):
        raise ValueError(f"{text!r} is neither on nor off")
    return text == "on"


def endpoint(text: str) -> str:
    """
    Check an endpoint for a server.

    @raise ValueError: If Twisted does not know such an endpoint.
    """
    from twisted.internet.endpoints import serverFromString  # takes a while to load

    try:
        serverFromString(None, text)
    except Exception:  # each kind of endpoint has its own, in words for programmers
        raise ValueError(
            f"{text!r} is not an endpoint such as tcp:9112 or tcp:9112:interface=127.0.0.1"
        ) from None
    return text


def _realtime(text: str) -> bool:
    try:
        return switch(text)
    except ValueError as error:
        raise CommandLineError(f"--realtime=SWITCH: {error}") from None


def _endpoints(given: Iterable[tuple[Option, str]]) -> tuple[str, ...]:
    texts = [text for option, text in given if option.setting == "http" and text != "none"]
    try:
        return tuple(map(endpoint, texts))
    except ValueError as error:
        raise CommandLineError(f"--http: {error}") from None


def warnOfLeftOver(words: Iterable[tuple[Option | None, str]]) -> None:
    """
    Warn about words on the command line that belong to no option.
    """
    for option, word in words:
        if option is None:
            why = "it belongs to no option"
        elif option.takesValue:
            why = f"{option.names} takes one word; quote a value with blanks"
        else:
            why = f"{option.names} takes no value"
        # What follows -p is a part of the password.
        shown = "A word" if option is not None and option.name == "pass" else f"[{word}]"
        _log.warn("{shown} on the command line is ignored: {why}", shown=shown, why=why)
