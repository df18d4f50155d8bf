"""
Writes what came of a conversion, and loads it as txcarp will.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from txcarp.addresses import VirtualAddress
from txcarp.configuration.file import readText
from txcarp.configuration.problems import FileError
from txcarp.conversion import commandlines, ifupdown, vrrp
from txcarp.conversion.draft import Conversion, Draft, Place, render

#: The most bytes of a file that is converted.
_LARGEST = 1 << 20

#: The kinds of files.
KINDS = ("ucarp", "interfaces", "keepalived")

#: Sources for a group that has none, which depends on the host: one of them is no virtual address.
_SOURCES = tuple(bytes((198, 51, 100, number)) for number in range(1, 255))


def readFile(path: str) -> str:
    """
    The text of a file.  What is not UTF-8 becomes surrogates.

    @raise OSError: If it cannot be read, or is too large.
    """
    with open(path, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise OSError(0, f"has more than {_LARGEST} bytes")
    return data.decode("utf-8", "surrogateescape")


def convert(kind: str, text: str, path: str) -> Conversion:
    """
    Convert a file, and those that it includes.

    @param kind: One of L{KINDS}.
    @param path: The path of the file; others are relative to its directory.
    """
    conversion = Conversion()
    for number, line in enumerate(text.split("\n"), 1):
        if not line.isascii() and any("\ud800" <= one <= "\udfff" for one in line):
            conversion.remark(Place(path, number), "this is not UTF-8: ? stands for each such byte")
    if kind == "ucarp":
        commandlines.convert(text, path, conversion)
    elif kind == "interfaces":
        ifupdown.convert(text, path, conversion, readFile)
    else:
        vrrp.convert(text, path, conversion, readFile)
    return conversion


def written(conversion: Conversion, directory: str) -> str:
    """
    The text of the configuration file.

    @param directory: Where the files of passwords are; empty for that of the configuration file.
    """

    def passfileOf(draft: Draft) -> Any:
        own = os.path.join(directory, passwordFile(draft))
        given = draft.settings.get("passfile", [])
        several = [given] if isinstance(given, str) else given
        if draft.password is not None or not several:
            several = [own, *several]
        return several[0] if len(several) == 1 else several

    return render(conversion, passfileOf)


def passwordFile(draft: Draft) -> str:
    """
    The name of the file for the password of a group.
    """
    return f"{draft.name}.password"


def writePasswords(conversion: Conversion, directory: str) -> list[str]:
    """
    Write the passwords that are known into files that only their owner can read.

    @return: The paths.
    @raise OSError: If a file cannot be written, or exists.
    """
    paths = []
    for draft in conversion.drafts:
        if draft.password is not None:
            path = os.path.join(directory, passwordFile(draft))
            number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with open(number, "wb") as file:
                file.write(draft.password + b"\n")
            paths.append(path)
    return paths


def problemsIn(conversion: Conversion) -> str:
    """
    Load the configuration file as txcarp will, with other passwords.

    @return: What is wrong with it, for people; empty if nothing is.
    """
    with tempfile.TemporaryDirectory() as directory:
        passfile = Path(directory, "password")
        passfile.write_bytes(b"-\n")
        passfile.chmod(0o600)
        text = render(conversion, lambda draft: str(passfile))
        try:
            readText("txcarp.toml", text.encode(), {}, _anySource)
        except FileError as error:
            return str(error)
    return ""


def _anySource(
    interface: str, addresses: Sequence[VirtualAddress], virtual: Collection[bytes]
) -> bytes:
    return next(source for source in _SOURCES if source not in virtual)
