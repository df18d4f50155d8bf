"""
Reading the values of options, each with an error that names the option, what
was given and what was expected.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable

from twisted.logger import Logger
from twisted.python import usage

from txcarp.addresses import parseHardwareAddress
from txcarp.configuration.model import FlapLimit, TrackedInterface, notAnInterface
from txcarp.protocol.demotion import FULL_DEMOTION

_log = Logger()

#: What ucarp reads of a password file, in bytes.
_PASSWORD_FILE = 511

#: Characters of a number; all are far below that.
_LONGEST_NUMBER = 40


def number(low: int, high: int, what: str) -> Callable[[str], int]:
    """
    Read a number as C does with base 0: C{0x0a} and C{012} are 10.
    """

    def read(text: str) -> int:
        match = re.fullmatch(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text)
        if match is None:
            raise usage.UsageError(f"{what}: {text!r} is not a whole number from {low} to {high}")
        sign, digits = match.groups()
        base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" else 10
        # Python converts no more than some thousand digits, and says that in its own words.
        tooLong = len(digits) > _LONGEST_NUMBER
        value = -1 if tooLong else int(digits, base) * (-1 if sign == "-" else 1)
        if not low <= value <= high:
            shown = f"{text[:_LONGEST_NUMBER]}..." if tooLong else text
            raise usage.UsageError(f"{what}: {shown} is not a number from {low} to {high}")
        return value

    return read


def vhid(text: str) -> int:
    """
    Read the number of a virtual host.
    """
    try:
        return number(1, 255, "-v, --vhid")(text)
    except usage.UsageError as error:
        raise usage.UsageError(f"{error}: vhid must be between 1 and 255.") from None


def trackedInterface(text: str) -> TrackedInterface:
    """
    Read C{NAME} or C{NAME:AMOUNT}.
    """
    name, colon, amount = text.rpartition(":")
    if not colon:
        name, amount = text, str(FULL_DEMOTION)
    what = "--track-interface NAME:AMOUNT"
    problem = notAnInterface(name)
    if problem:
        raise usage.UsageError(f"{what}: {problem}")
    return TrackedInterface(name, number(1, FULL_DEMOTION, what)(amount))


def flapLimit(text: str) -> FlapLimit | None:
    """
    Read C{CHANGES/SECONDS}.
    """
    if text == "none":
        return None
    match = re.fullmatch(r"([1-9][0-9]{0,5})/([1-9][0-9]{0,5})", text)
    if match is None or int(match[1]) < 2:
        raise usage.UsageError(
            f"--flap-limit: {text!r} is not CHANGES/SECONDS such as 10/60, with at least 2 "
            "changes, or none"
        )
    return FlapLimit(int(match[1]), float(match[2]))


def choice(what: str, choices: Iterable[str]) -> Callable[[str], str]:
    """
    Read one of a few words.
    """
    names = tuple(choices)

    def read(text: str) -> str:
        if text not in names:
            raise usage.UsageError(f"{what}: {text!r} is none of {', '.join(names)}")
        return text

    return read


def seconds(what: str) -> Callable[[str], float | None]:
    """
    Read a number of seconds; zero is C{None}.
    """

    def read(text: str) -> float | None:
        try:
            value = float(text)
        except ValueError:
            value = -1.0
        if not 0 <= value < 1e9:
            raise usage.UsageError(f"{what}: {text!r} is not a number of seconds (0: none)")
        return value or None

    return read


def delay(what: str) -> Callable[[str], float]:
    """
    Read a number of seconds; zero is no time at all.
    """
    read = seconds(what)
    return lambda text: read(text) or 0.0


def hardwareOf(what: str) -> Callable[[str], bytes]:
    """
    Read an Ethernet address.
    """

    def read(text: str) -> bytes:
        try:
            return parseHardwareAddress(text)
        except ValueError as error:
            raise usage.UsageError(f"{what}: {error}") from None

    return read


def passwordFrom(path: str) -> bytes:
    """
    The password in a file: its first line, read as ucarp reads it.

    @raise usage.UsageError: If there is none to be read.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_PASSWORD_FILE)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise usage.UsageError(
            f"unable to open passfile {path} for reading: {error.strerror}"
        ) from None
    if not text:
        raise usage.UsageError(f"error reading passfile {path}: unexpected end of file")
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        _log.warn(
            "Others can read the password in {path} (mode {mode:04o}): chmod 600 {path}",
            path=path,
            mode=stat.S_IMODE(mode),
        )
    password = text.split(b"\n", 1)[0].split(b"\0", 1)[0]
    if password.endswith(b"\r"):
        _log.warn(
            "The password in {path} ends with a carriage return, which is a part of it: the "
            "file has line ends of Windows",
            path=path,
        )
    return password
