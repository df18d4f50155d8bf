"""
Starts the small processes that do what this process cannot: write to a disk that hangs, and give
back what this process holds when it has died.

The program of such a process is one module that imports nothing of txcarp, and little of the
standard library, so that the process is small and starts in milliseconds.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess

#: Processes that were left to themselves, and that had not ended when that was looked at last.
_left: list[subprocess.Popen[bytes]] = []

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
