"""
ucarp's command line: what its options mean for a virtual host.

Each value is read from its text here and checked by the model.  What differs from ucarp: an
unknown option, or a number that is none or is out of range, is an error.  ucarp prints its
usage and exits with status 0, or takes the number modulo 256.

All of ucarp's command line is in this one module, so that it can be compared with ucarp.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from twisted.logger import Logger

from txcarp.addresses import (
    VirtualAddress,
    parseAddress,
    parseHardwareAddress,
    parseVirtualAddress,
    virtualHardwareAddress,
)
from txcarp.configuration.model import (
    ConfigurationError,
    FlapLimit,
    TrackedInterface,
    VirtualHostConfiguration,
)
from txcarp.configuration.options import OPTIONS, CommandLineError, Option, split
from txcarp.configuration.passwords import passwordIn
from txcarp.configuration.request import (
    FACILITY,
    NO_ENDPOINT,
    CannotRun,
    CommandLine,
    controlPath,
    endpoint,
    facilityOf,
    fromFile,
    statePath,
    switch,
    warnOfLeftOver,
)
from txcarp.network.defaults import firstInterface
from txcarp.protocol.family import isLinkLocal

_log = Logger()

#: No number has more characters.  Python refuses to convert some thousand digits.
_LONGEST_NUMBER = 40

#: ucarp's words for a value that is missing or zero.
_MISSING = (
    ("interface", "", "You must supply a network interface (-i)"),
    ("vhid", None, "You must supply a valid virtual host id (-v)"),
    ("password", b"", "You must supply a password (-o FILE or -p)"),
    ("advbase", 0, "You must supply an advertisement time base (-b)"),
    ("source", None, "You must supply a persistent source address (-s)"),
    ("addresses", (), "You must supply a virtual host address (-a)"),
    ("deadRatio", 0, "Dead ratio can't be zero (-r)"),
)

#: Settings whose errors have the exit status 2: ucarp notices them only after it has read its
#: command line, or has nothing like them.
_LATER = frozenset(
    ("interface", "label", "password", "source", "source6", "addresses", "group", "group6", "peers")
    + ("virtualMAC", "otherAddresses")
)

#: The settings that every use of their option adds a value to.
_LISTS = (
    *("addresses", "peers", "witnesses", "trackedInterfaces"),
    *("otherPasswords", "otherAddresses", "http"),
)

#: The options whose value has a number at its beginning or after a colon, and that number.
_NUMERIC = ("vhid", "advbase", "advskew", "deadratio", "flap-limit", "track-interface")
_OCTAL = re.compile(r"(?:.*:)?\s*[+-]?(0[0-7]{1,20})(?:/.*)?$")

_UNSET = b"\0\0\0\0"


def read(arguments: Iterable[str]) -> CommandLine:
    """
    Read a command line, and the configuration file if it names one.

    @raise CommandLineError: If it is wrong.
    @raise CannotRun: If what it asks for is impossible.
    """
    options, leftOver = split(arguments)
    given = [(option, text) for option, text in options if option.setting]
    if any(option.setting == "configFile" for option, _ in given):
        from txcarp.configuration.file import readFile  # cattrs takes a while to load

        return fromFile(given, leftOver, readFile)
    settings = _settings(given)
    facility = facilityOf(settings.pop("facility", FACILITY))
    daemonize = settings.pop("daemonize", False)
    pidFile = settings.pop("pidFile", "")
    stateFile = settings.pop("stateFile", "")
    control = settings.pop("control", "")
    http = tuple(filter(None, settings.pop("http")))
    page = settings.pop("page", False)
    if page and not http:
        raise CommandLineError(NO_ENDPOINT)
    realtime = settings.pop("realtime", None)
    virtualMAC = settings.pop("virtualMAC", None)
    try:
        configuration = VirtualHostConfiguration(**settings)
        if virtualMAC is True:
            virtualMAC = virtualHardwareAddress(configuration.vhid)
        configuration = attrs.evolve(configuration, virtualMAC=virtualMAC)
    except ConfigurationError as error:
        raise _translated(error, settings) from None
    warnOfLeftOver(leftOver)
    if configuration.label is not None:
        _log.warn(
            "-i, --interface: {label} is a label of addresses. The group is on {interface}, and "
            "the scripts get {label}, as from ucarp",
            label=configuration.label,
            interface=configuration.interface,
        )
    passwords = tuple(
        os.fsencode(text)
        for option, text in (*given, *leftOver)
        if option is not None and option.name == "pass"
    )
    stateFile = statePath(stateFile, f"{configuration.interface}:{configuration.vhid}")
    return CommandLine(
        configurations=(configuration,),
        file=None,
        stateFile=stateFile,
        control=controlPath(control),
        http=http,
        page=page,
        realtime=realtime,
        facility=facility,
        daemonize=daemonize,
        pidFile=pidFile,
        debug=configuration.debug,
        passwords=passwords,
    )


def _warnOfOctal(option: Option, text: str) -> None:
    """
    Warn about a number in the value of an option that a 0 in front makes another number.
    """
    octal = _OCTAL.match(text) if option.name in _NUMERIC else None
    if octal is None or int(octal[1], 8) == int(octal[1]):
        return
    _log.warn(
        "{option}: {digits} means {number}, because a number that begins with 0 is octal, as in "
        "ucarp: write {number} or {plain}",
        option=option.names,
        digits=octal[1],
        number=int(octal[1], 8),
        plain=int(octal[1]),
    )


def _translated(error: ConfigurationError, settings: Mapping[str, Any]) -> Exception:
    """
    An error of the model in the terms of the command line, and in ucarp's words.
    """
    for setting, value, words in _MISSING:
        if setting == error.setting and settings.get(setting) == value:
            return CommandLineError(words)
    if error.setting == "password":
        return CannotRun(f"Password too long: {error.problem}")
    setting = "interface" if error.setting == "label" else error.setting.rstrip("6")
    [label, *_] = [_label(one) for one in OPTIONS if one.setting == setting]
    problem, words = error.problem, ""
    if error.setting == "vhid":
        ours = " is not a (whole )?number from 1 to 255$"
        problem = re.sub(ours, ": vhid must be between 1 and 255.", problem)
    if notOctal := re.search(r"^'\s*[+-]?0+(\d+)'", error.problem):
        words += f" (a number that begins with 0 is octal, without 8 and 9: write {notOctal[1]})"
    later = error.setting in _LATER and not error.contradiction
    kind = CannotRun if later else CommandLineError
    return kind(f"{label}: {problem}{words}")


def _label(option: Option) -> str:
    """
    How an error names an option.  Without a short name, the form of its value is shown, too.
    """
    return option.names if option.short else option.spelling


def _settings(given: Sequence[tuple[Option, str]]) -> dict[str, Any]:
    """
    The settings of the model and of L{CommandLine} that options give, and those that must be
    given.
    """
    settings: dict[str, Any] = {"vhid": None, "password": b"", **{name: [] for name in _LISTS}}
    assign = any(option.name == "assign" for option, _ in given)
    readers = READERS if assign else {**READERS, "virtualAddress": _bareAddress}
    for option, text in given:
        _warnOfOctal(option, text)
        setting = option.setting
        try:
            value = readers[option.kind](text)
        except ValueError as error:
            raise CommandLineError(f"{_label(option)}: {error}") from None
        if setting in ("source", "group") and len(value) == 16:
            setting += "6"
        if setting in _LISTS:
            settings[setting].append(value)
        elif option.takesValue:
            settings[setting] = value
        else:
            settings.setdefault(setting, True)  # --virtual-mac-address precedes --virtual-mac
    interface = settings.get("interface") or _someInterface()
    settings["interface"], colon, _ = interface.partition(":")
    if colon and settings["interface"]:
        settings["label"] = interface
    elif colon:
        settings["interface"] = interface  # which the model refuses
    if settings.get("source") == _UNSET:
        del settings["source"]
    if not assign and "dialect" not in settings:
        settings["addresses"] = _lastOf(settings["addresses"])
    if [address.packed for address in settings["addresses"]] == [_UNSET]:
        settings["addresses"] = []
    if "preemptDelay" in settings:
        settings["preempt"] = True
    for _, scope in settings["peers"]:
        if scope not in (None, settings["interface"]):
            raise CommandLineError(
                f"--peer: the scope {scope!r} is not the interface, {settings['interface']}"
            )
    settings["followPeers"] = (b"", None) in settings["peers"]
    settings["peers"] = dict.fromkeys(packed for packed, _ in settings["peers"] if packed)
    return {**settings, **{name: tuple(settings[name]) for name in _LISTS}}


def _someInterface() -> str:
    name = firstInterface() or ""
    if name:
        _log.info("Using [{name}] as a network interface", name=name)
    return name


def _lastOf(addresses: Sequence[VirtualAddress]) -> Sequence[VirtualAddress]:
    """
    The last of several addresses.  ucarp has only one.
    """
    last = addresses[-1:]
    ignored = [address.text for address in addresses if address not in last]
    if ignored:
        _log.warn(
            "-a, --addr: [{last}] is the virtual address, because the last one counts as in "
            "ucarp; [{ignored}] is ignored. With --assign or --dialect all of them count",
            last=last[0].text,
            ignored="], [".join(ignored),
        )
    return last




# Readers: the value that a text means.  A text that is no number is returned as it is: the
# model says what is expected there.


def _number(text: str) -> Any:
    """
    A number as C reads it with base 0: C{0x0a} and C{012} are 10.
    """
    match = re.fullmatch(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text)
    if len(text) > _LONGEST_NUMBER:
        return f"{text[:_LONGEST_NUMBER]}..."
    if match is None:
        return text
    sign, digits = match.groups()
    base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" else 10
    return int(sign + digits, base)


def _seconds(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return text


def _limit(text: str) -> Any:
    return None if _seconds(text) == 0 else _seconds(text)


def _flapLimit(text: str) -> FlapLimit | None:
    changes, _, seconds = text.partition("/")
    return None if text == "none" else FlapLimit(_number(changes), _number(seconds))


def _trackedInterface(text: str) -> TrackedInterface:
    name, colon, amount = text.rpartition(":")
    return TrackedInterface(name, _number(amount)) if colon else TrackedInterface(text)


def _invalid(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """
    A reader of addresses with ucarp's words for one that is wrong.
    """

    def readOrExplain(text: str) -> Any:
        try:
            return read(text)
        except ValueError as error:
            raise ValueError(f"Invalid address: [{text}]: {error}") from None

    return readOrExplain


@_invalid
def _bareAddress(text: str) -> VirtualAddress:
    if "/" in text:
        raise ValueError("a prefix length needs --assign")
    return parseVirtualAddress(text)


@_invalid
def _peer(text: str) -> tuple[bytes, str | None]:
    """
    The packed address of a peer and its scope, if there is one; C{(b"", None)} for C{auto}.
    """
    if text == "auto":
        return b"", None
    bare, percent, scope = text.partition("%")
    packed = parseAddress(bare)
    if percent and not isLinkLocal(packed):
        raise ValueError("it has a scope, which only link-local addresses have")
    return packed, scope if percent else None


def _addressSet(text: str) -> tuple[VirtualAddress, ...]:
    return tuple(map(_invalid(parseVirtualAddress), text.split(",")))


def _passwordIn(path: str) -> bytes:
    password, warnings = passwordIn(path)
    for warning in warnings:
        _log.warn("{text}", text=warning)
    return password


#: A reader for each L{Option.kind<txcarp.configuration.options.Option>}.
READERS: Mapping[str, Callable[[str], Any]] = {
    "text": str,
    "switch": switch,
    "password": os.fsencode,
    "passwordFile": _passwordIn,
    "number": _number,
    "limit": _limit,
    "seconds": _seconds,
    "flapLimit": _flapLimit,
    "trackedInterface": _trackedInterface,
    "address": _invalid(parseAddress),
    "virtualAddress": _invalid(parseVirtualAddress),
    "addressSet": _addressSet,
    "peer": _peer,
    "hardwareAddress": parseHardwareAddress,
    "endpoint": lambda text: "" if text == "none" else endpoint(text),
}
