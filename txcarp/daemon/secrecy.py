"""
Hiding a secret from the process list.
"""

from __future__ import annotations

import ctypes
import os

_ARGUMENTS_START = 48  # proc(5): the fields of /proc/PID/stat, from 1
_ARGUMENTS_END = 49


def hideArguments(secret: bytes) -> bool:
    """
    Overwrite each command-line argument of this process that is the secret, or ends with it,
    where other users can read it.  They can still read it between the start of the process and
    this call; a password file has no such window.

    @return: Whether there was such an argument, and it is hidden now.
    """
    if not secret:
        return False
    try:
        start, end = _argumentArea()
        area = ctypes.string_at(start, end - start)
        hidden = False
        position = 0
        for argument in area.split(b"\0"):
            if argument.endswith(secret):
                offset = position + len(argument) - len(secret)
                ctypes.memset(start + offset, ord("x"), len(secret))
                hidden = True
            position += len(argument) + 1
        return hidden
    except (OSError, ValueError, IndexError):
        return False  # without /proc, ps cannot show the argument either


def _argumentArea() -> tuple[int, int]:
    """
    The addresses, in the memory of this process, of the first byte of its arguments and of the
    byte after the last.
    """
    with open(f"/proc/{os.getpid()}/stat", "rb") as stat:
        # The name in parentheses may contain blanks.
        fields = stat.read().rsplit(b")", 1)[1].split()
    start, end = int(fields[_ARGUMENTS_START - 3]), int(fields[_ARGUMENTS_END - 3])
    if not 0 < start < end:
        raise ValueError("the kernel does not say where the arguments are")
    return start, end
