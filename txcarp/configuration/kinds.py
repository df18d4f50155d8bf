"""
How the values of the configuration file are read: a hook of cattrs for each kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from cattrs import Converter

from txcarp.addresses import (
    VirtualAddress,
    parseAddress,
    parseHardwareAddress,
    parseVirtualAddress,
)
from txcarp.configuration import settings as kinds
from txcarp.configuration.model import FlapLimit, TrackedInterface
from txcarp.configuration.passwords import passwordIn
from txcarp.protocol.dialect import DIALECTS, Dialect
from txcarp.protocol.seal import Verification

#: The most characters of a value that an error shows.
_SHOWN = 60

_MODES = tuple(mode.value for mode in Verification)


def makeConverter(
    directory: str, environment: Mapping[str, str], warn: Callable[[str], object]
) -> Converter:
    """
    A converter for L{txcarp.configuration.settings.KEYS}.  It raises C{ValueError} for a value
    that is wrong; without text, if the value is not of the kind at all.

    @param directory: The directory that relative paths start from.
    @param environment: Has the directory of the credentials of systemd.
    @param warn: Called with warnings about the files of passwords.
    """
    converter = Converter()
    inDirectory = partial(_path, directory)
    hooks: dict[Any, Callable[[Any], Any]] = {
        bool: partial(_exactly, bool, "true or false"),
        int: partial(_exactly, int, "a whole number"),
        str: _text,
        kinds.Duration: _seconds,
        kinds.Limit: _limit,
        kinds.Preemption: _preemption,
        kinds.Flapping: _flapLimit,
        kinds.HostAddress: lambda value: parseAddress(_text(value)),
        kinds.PeerAddress: lambda value: b"" if value == "auto" else parseAddress(_text(value)),
        kinds.HardwareAddress: lambda value: parseHardwareAddress(_text(value)),
        kinds.MovingHardwareAddress: _movingHardware,
        kinds.AddressSet: _addressSet,
        kinds.FilePath: inDirectory,
        kinds.FilePassword: lambda value: _password(inDirectory(value), warn),
        kinds.CredentialPassword: lambda value: _password(_credential(environment, value), None),
        VirtualAddress: _virtualAddress,
        TrackedInterface: _tracked,
        Dialect: lambda value: DIALECTS[_oneOf(DIALECTS, value)],
        Verification: lambda value: Verification(_oneOf(_MODES, value)),
    }
    for kind, read in hooks.items():
        converter.register_structure_hook(kind, partial(_called, read))
    return converter


def _called(read: Callable[[Any], Any], value: Any, kind: Any) -> Any:
    return read(value)


def _show(value: object) -> str:
    match value:
        case bool():
            text = "true" if value else "false"
        case dict():
            text = "a table"
        case list():
            text = "a list"
        case str() | int() | float():
            text = repr(value) if len(str(value)) <= _SHOWN else f"{str(value)[:_SHOWN]!r}..."
        case _:
            text = str(value)
    return text


def _exactly(kind: type, words: str, value: object) -> object:
    if type(value) is not kind:
        raise ValueError(f"{_show(value)} is not {words}")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{_show(value)} is not text in quotation marks")
    if "\0" in value:
        raise ValueError(f"{_show(value)} has a character that is not possible")
    return value


def _oneOf(known: Any, value: object) -> str:
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{_show(value)} is not one of {', '.join(known)}")
    return value


def _seconds(value: object) -> float:
    try:
        return kinds.seconds(value)
    except ValueError:
        raise ValueError(
            f'{_show(value)} is not a time such as "60s", "500ms" or "2m", or a number of seconds'
        ) from None


def _limit(value: object) -> float | None:
    if value is False:
        return None
    return _seconds(value) or None


def _preemption(value: object) -> tuple[bool, float]:
    return (value, 0.0) if isinstance(value, bool) else (True, _seconds(value))


def _flapLimit(value: object) -> FlapLimit | None:
    if value is False:
        return None
    changes, slash, seconds = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash or not changes.isdecimal() or len(changes) > 9:
        raise ValueError(f'{_show(value)} is not text such as "10/60s", or false')
    seconds = seconds.strip()
    return FlapLimit(int(changes), _seconds(float(seconds) if seconds.isdecimal() else seconds))


def _tracked(value: object) -> TrackedInterface:
    name, colon, amount = _text(value).rpartition(":")
    if not colon:
        return TrackedInterface(amount)
    if not amount.isdecimal() or len(amount) > 9:
        raise ValueError(f'{_show(value)} is not an interface such as "eth1" or "eth1:50"')
    return TrackedInterface(name, int(amount))


def _virtualAddress(value: object) -> VirtualAddress:
    return parseVirtualAddress(_text(value))


def _addressSet(value: object) -> tuple[VirtualAddress, ...]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"{_show(value)} is not a list of addresses")
    return tuple(map(_virtualAddress, value))


def _movingHardware(value: object) -> object:
    if isinstance(value, bool):
        return value or None
    return parseHardwareAddress(_text(value))


def _path(directory: str, value: object) -> str:
    if not _text(value):
        raise ValueError("the path is empty")
    return os.path.join(directory, _text(value))


def _credential(environment: Mapping[str, str], value: object) -> str:
    name, directory = _text(value), environment.get("CREDENTIALS_DIRECTORY", "")
    if not name or "/" in name or name in (".", ".."):
        raise ValueError(f"{_show(value)} is not the name of a credential")
    if not directory:
        raise ValueError(
            "systemd has passed no credentials to this process: start it by its unit, which needs "
            f"LoadCredential={name}:PATH, or give a passfile"
        )
    return os.path.join(directory, name)


def _password(path: str, warn: Callable[[str], object] | None) -> bytes:
    password, warnings = passwordIn(path)
    for warning in warnings:
        if warn is not None:
            warn(warning)
    return password
