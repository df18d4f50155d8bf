"""
The keys of a health check in the configuration file: one table, and how they are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NewType

from cattrs import Converter
from cattrs.errors import IterableValidationError
from twisted.python.reflect import namedAny

from txcarp.checks.health import HealthCheck
from txcarp.checks.verdict import Health
from txcarp.configuration.settings import Duration, FilePath, HostAddress
from txcarp.interfaces import ICheck

#: A table of any values.
Arguments = NewType("Arguments", dict)  # type: ignore[type-arg]

#: The packed address of a gateway, in a list; an empty list for that of the default route.
Gateway = NewType("Gateway", list)  # type: ignore[type-arg]


class CheckKey(NamedTuple):
    """
    A key of C{[group.NAME.check.CHECK]}.

    @ivar kind: What a value is read as.  Where it is a list, a single value is a list of one.
    @ivar value: What a value looks like, for people.
    @ivar help: One line about it.
    @ivar argument: The argument of the check that it gives; empty if it is a setting of every
        check.
    @ivar makes: Makes the check, if this key says what to check; C{None} otherwise.
    @ivar of: The keys that say what to check with which this one goes; empty for every one.
    @ivar default: The default, for people; may be empty.
    """

    kind: Any
    value: str
    help: str
    argument: str = ""
    makes: Callable[..., ICheck] | None = None
    of: tuple[str, ...] = ()
    default: str = ""


def _ours(name: str) -> Callable[..., ICheck]:
    """
    Makes a check of txcarp.  Its module is loaded when a file has such a check.

    @param name: The class.
    """

    def make(**arguments: Any) -> ICheck:
        check: ICheck = namedAny(f"txcarp.{name}")(**arguments)
        return check

    return make


def _fromPython(name: str, arguments: Mapping[str, Any] | None = None) -> ICheck:
    """
    A check of another program.

    @param name: The full name of a check, or of a class of them.
    @param arguments: The arguments for the class.
    @raise ValueError: If there is none.
    """
    try:
        found = namedAny(name)
        check = found if ICheck.providedBy(found) else found(**arguments or {})
    except Exception as error:
        raise ValueError(f"{name!r} gives no check: {type(error).__name__}: {error}") from None
    if not ICheck.providedBy(check):
        raise ValueError(f"{name!r} gives {check!r}, which does not provide ICheck")
    return check


def _fromPlugin(name: str, arguments: Mapping[str, Any] | None = None) -> ICheck:
    """
    A check of a plugin.

    @param name: The name of the plugin.
    @param arguments: Its arguments.
    @raise ValueError: If there is none.
    """
    from txcarp.checks.plugins import findPlugin

    plugin = findPlugin(name)
    try:
        check = plugin.make(**arguments or {})
    except Exception as error:
        raise ValueError(f"{name!r} gives no check: {type(error).__name__}: {error}") from None
    if not ICheck.providedBy(check):
        raise ValueError(f"{name!r} gives {check!r}, which does not provide ICheck")
    return check


_TEXT = str, "text"
_SECONDS = Duration, 'a time such as "500ms" or "10s", or a number of seconds'
_NUMBER = int, "a whole number"

CHECK_KEYS: Mapping[str, CheckKey] = {
    "tcp": CheckKey(
        str,
        'an address with a port, such as "127.0.0.1:443" or "[::1]:443"',
        "server that must accept a TCP connection",
        "server",
        _ours("TCPCheck"),
    ),
    "http": CheckKey(
        str,
        'a URL with an address, such as "https://127.0.0.1:8443/health"',
        "page that a web server must answer with",
        "url",
        _ours("HTTPCheck"),
    ),
    "status": CheckKey(
        list[int],
        "a status or a list of them",
        "good statuses of the answer",
        "status",
        of=("http",),
        default="200 to 399",
    ),
    "body": CheckKey(
        *_TEXT, "text that must be in the first 64 KiB of the answer", "body", of=("http",)
    ),
    "host": CheckKey(
        *_TEXT, "name of the server in the request and in its certificate", "host", of=("http",)
    ),
    "verify": CheckKey(
        bool,
        "true or false",
        "whether the server needs a certificate that this host trusts",
        "verify",
        of=("http",),
        default="true",
    ),
    "dns": CheckKey(
        str,
        'a name such as "example.org"',
        "name that a name server must know",
        "name",
        _ours("DNSCheck"),
    ),
    "server": CheckKey(
        str,
        'an address, with a port unless that is 53, such as "127.0.0.1"',
        "the name server",
        "server",
        of=("dns",),
        default="127.0.0.1",
    ),
    "record": CheckKey(
        str,
        "one of A, NS, CNAME, SOA, PTR, MX, TXT, AAAA",
        "type of the records",
        "record",
        of=("dns",),
        default="A",
    ),
    "process": CheckKey(
        str,
        'a name as "ps -o comm" shows it',
        "process that must run",
        "name",
        _ours("ProcessCheck"),
    ),
    "pidfile": CheckKey(
        FilePath,
        "a path, relative to the directory of the configuration file",
        "file with the number of a process that must run",
        "pidFile",
        _ours("ProcessCheck"),
    ),
    "file": CheckKey(
        FilePath,
        "a path, relative to the directory of the configuration file",
        "file that must exist",
        "path",
        _ours("FileCheck"),
    ),
    "max_age": CheckKey(
        *_SECONDS, "time since the file was last written, at most", "maximumAge", of=("file",)
    ),
    "interface": CheckKey(
        str,
        "a name",
        "interface that must be up and have a carrier",
        "name",
        _ours("InterfaceCheck"),
    ),
    "gateway": CheckKey(
        Gateway,
        "true or an address",
        "the next hop of the default route through the interface of the group (true), or another "
        "neighbour, that must answer to ARP or neighbour solicitation",
        "addresses",
        _ours("GatewayCheck"),
    ),
    "witness": CheckKey(
        list[HostAddress],
        "an address or a list of addresses on the link of the group",
        "neighbours of which one must answer to ARP or neighbour solicitation",
        "addresses",
        _ours("GatewayCheck"),
    ),
    "command": CheckKey(
        list[str],
        'a list such as ["/usr/bin/pg_isready", "-q"]',
        "program, with its arguments, that must end with status 0",
        "command",
        _ours("CommandCheck"),
    ),
    "python": CheckKey(
        str,
        'a name such as "package.module.ShortQueue"',
        "object that provides ICheck, or class of such objects",
        "name",
        _fromPython,
    ),
    "plugin": CheckKey(
        str,
        "a name",
        "plugin of txcarp (a module in txcarp/plugins) that makes the check",
        "name",
        _fromPlugin,
    ),
    "arguments": CheckKey(
        Arguments,
        "a table such as {limit = 1000}",
        "arguments for the class or the plugin",
        "arguments",
        of=("python", "plugin"),
    ),
    "interval": CheckKey(
        *_SECONDS, "time from the beginning of one run to that of the next", default="1s"
    ),
    "timeout": CheckKey(*_SECONDS, "time after which a run has failed", default="1s"),
    "rise": CheckKey(*_NUMBER, "good results in a row that make a bad check good", default="2"),
    "fall": CheckKey(*_NUMBER, "bad results in a row that make a good check bad", default="3"),
    "initial": CheckKey(
        Health,
        '"good", "bad" or "unknown"',
        "state before the first result; unknown counts as bad, until the first result",
        default="unknown",
    ),
    "failing": CheckKey(
        str, '"unfit"', "what a bad check means: this host must not be master", default="unfit"
    ),
    "demote": CheckKey(*_NUMBER, "by how much a bad check demotes this host instead, 1 to 240"),
}


def readCheck(
    name: str, table: Mapping[str, Any], converter: Converter, where: str
) -> tuple[HealthCheck | None, list[tuple[str, str]]]:
    """
    Read a health check.

    @param table: Its keys.  Unknown ones are ignored.
    @param where: The table for people.
    @return: The check, C{None} if anything is wrong with it, and each problem after its key,
        which is empty for the whole table.
    """
    problems: list[tuple[str, str]] = []
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in CHECK_KEYS:
            try:
                values[key] = _value(converter, CHECK_KEYS[key], value)
            except ValueError as error:
                problems.append((key, f"{key}: {error}"))
    subjects = [key for key in table if key in CHECK_KEYS and CHECK_KEYS[key].makes is not None]
    everything = ", ".join(key for key, one in CHECK_KEYS.items() if one.makes is not None)
    if not subjects:
        problems.append(("", f"{where} has nothing to check: give one of {everything}"))
    elif len(subjects) > 1:
        problems.append((subjects[-1], f"give either {' or '.join(subjects)}"))
    for key in table:
        of = CHECK_KEYS[key].of if key in CHECK_KEYS else ()
        if of and subjects and not {*of} & {*subjects}:
            problems.append((key, f"{key}: goes with {' or '.join(of)}, not with {subjects[0]}"))
    if values.get("failing", "unfit") != "unfit":
        problems.append(("failing", f"failing: {values['failing']!r} is not 'unfit'"))
    if "failing" in table and "demote" in table:
        problems.append(("demote", "give either failing or demote"))
    if problems:
        return None, problems
    subject = subjects[0]
    try:
        check = _make(subject, values)
    except ValueError as error:
        key = next((key for key in values if _isAbout(values[key], str(error))), subject)
        return None, [(key, f"{key}: {error}")]
    own = ("interval", "timeout", "rise", "fall", "initial", "demote")
    health = HealthCheck(name, check, **{key: values[key] for key in own if key in values})
    problems = [(key if key in table else "", f"{key}: {text}") for key, text in health.problems()]
    return (None if problems else health), problems


def _value(converter: Converter, key: CheckKey, value: Any) -> Any:
    """
    @raise ValueError: If the value is not of the kind.
    """
    if key.kind is Arguments:
        if not isinstance(value, dict):
            raise ValueError(f"expected {key.value}")
        return value
    if key.kind is Gateway:
        if value is True:
            return []
        if not isinstance(value, str):
            raise ValueError(f"expected {key.value}")
        return [converter.structure(value, HostAddress)]
    if key.kind is Health:
        known = [one.value for one in Health]
        if value not in known:
            raise ValueError(f"{value!r} is not one of {', '.join(known)}")
        return Health(value)
    return readValue(converter, key.kind, value)


def readValue(converter: Converter, kind: Any, value: Any) -> Any:
    """
    Read a value.  Where the kind is a list, a single value is a list of one.

    @raise ValueError: If the value is not of the kind.
    """
    isList = getattr(kind, "__origin__", None) is list
    several = value if isinstance(value, list) or not isList else [value]
    try:
        return converter.structure(several, kind)
    except IterableValidationError as error:
        raise ValueError(str(error.group_exceptions()[0][0][0])) from None


def _isAbout(value: object, text: str) -> bool:
    """
    Whether the text of an error begins with a value, or with a member of it.
    """
    members = value if isinstance(value, list) else [value]
    return any(text.startswith(f"{one!r} ") for one in members)


def _make(subject: str, values: Mapping[str, Any]) -> ICheck:
    """
    @raise ValueError: If a value is not possible.
    """
    make = CHECK_KEYS[subject].makes
    assert make is not None
    arguments = {CHECK_KEYS[subject].argument: values[subject]}
    for key, value in values.items():
        if subject in CHECK_KEYS[key].of:
            arguments[CHECK_KEYS[key].argument] = value
    if "status" in arguments:
        arguments["status"] = tuple(arguments["status"])
    return make(**arguments)
