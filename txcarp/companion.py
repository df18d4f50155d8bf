"""
Starts the small processes that do what this process cannot: write to a disk that hangs, and give
back what this process holds when it has died.

The program of such a process is one module that imports nothing of txcarp, and little of the
standard library, so that the process is small and starts in milliseconds.
"""

from __future__ import annotations

import errno
import os
import struct
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

#: Processes that were left to themselves, and that had not ended when that was looked at last.
_left: list[subprocess.Popen[bytes]] = []

# linux/capability.h: the version, and 0 for this process; and twice 32 capabilities: those that are
# effective, permitted and inheritable.
_HEADER = struct.pack("=Ii", 0x20080522, 0)
_DATA = struct.Struct("=6I")

# linux/prctl.h
_PR_CAP_AMBIENT = 47
_IS_SET, _RAISE, _LOWER = 1, 2, 3

#: Loads the compiled module, which takes less time and memory than its source.
_LOAD = "import sys; sys.path.append(sys.argv.pop(1)); __import__(sys.argv.pop(1)).main()"


def start(
    module: str, *arguments: str, descriptors: Sequence[int] = (), pipes: bool = False
) -> subprocess.Popen[bytes]:
    """
    Start a process in a session of its own: Ctrl-C is not meant for it.

    @param module: The file of the module.  Its C{main} is called.
    @param arguments: What C{main} finds in C{sys.argv}.
    @param descriptors: The descriptors that it inherits besides the standard error output.
    @param pipes: Whether its standard input and output are pipes to this process.  The error
        output of such a process is dropped.
    @raise OSError: If it cannot be started.
    """
    if not sys.executable or getattr(sys, "frozen", False):
        # There is no interpreter, and a program in one file would start itself.
        raise OSError(errno.ENOEXEC, "there is no Python interpreter for another process")
    import subprocess

    directory, name = os.path.split(os.path.abspath(module))
    return subprocess.Popen(
        [
            *(sys.executable, "-I", "-S", "-E", "-c", _LOAD),
            *(directory, os.path.splitext(name)[0], *arguments),
        ],
        bufsize=0,
        stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
        stdout=subprocess.PIPE if pipes else subprocess.DEVNULL,
        stderr=subprocess.DEVNULL if pipes else None,
        pass_fds=descriptors,
        cwd="/",
        start_new_session=True,
    )


def leave(process: subprocess.Popen[bytes]) -> None:
    """
    Leave a process to itself that ends soon, or hangs: it is not waited for.
    """
    _left[:] = [one for one in (*_left, process) if one.poll() is None]


@contextmanager
def lending(capabilities: Sequence[int]) -> Iterator[int]:
    """
    Let the programs that this thread starts meanwhile have capabilities that this process has.
    Those of an ordinary user have none otherwise, and those of root have all of them anyway.

    @param capabilities: Their numbers, up to 31.
    @return: A context manager that returns the capabilities that are lent, one bit for each.  The
        program has to lower them (C{PR_CAP_AMBIENT_LOWER}), or its own children have them, too.
    """
    if os.geteuid() == 0:
        yield 0
        return
    import ctypes

    libc = ctypes.CDLL(None)
    data = ctypes.create_string_buffer(_DATA.size)
    before = _DATA.unpack(data.raw) if libc.capget(_HEADER, data) == 0 else (0,) * 6
    effective, permitted, inheritable, *others = before
    wanted = [one for one in capabilities if permitted >> one & 1]
    wanted = [one for one in wanted if libc.prctl(_PR_CAP_AMBIENT, _IS_SET, one, 0, 0) == 0]
    more = inheritable | sum(1 << one for one in wanted)
    lent = []
    if wanted and libc.capset(_HEADER, _DATA.pack(effective, permitted, more, *others)) == 0:
        lent = [one for one in wanted if libc.prctl(_PR_CAP_AMBIENT, _RAISE, one, 0, 0) == 0]
    try:
        yield sum(1 << one for one in lent)
    finally:
        if wanted:
            for one in lent:
                libc.prctl(_PR_CAP_AMBIENT, _LOWER, one, 0, 0)
            libc.capset(_HEADER, _DATA.pack(*before))
