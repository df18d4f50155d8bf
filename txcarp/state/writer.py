"""
Writes a state file in a process of its own.

A thread that writes to a disk that hangs cannot be killed, and keeps its process from ending for
as long as the disk hangs.  The thread of the state store therefore waits for another process,
which is left behind if it hangs.

This file is both: the module for the daemon, and the program of the other process.  That one
imports nothing but a few modules of the standard library, so that it is small.
"""

from __future__ import annotations

import errno
import os
import signal
import struct
import sys
import time

TYPE_CHECKING = False  # typing would make the other process larger
if TYPE_CHECKING:
    import subprocess
    from typing import IO

#: In front of each text and each answer: the number of bytes, or an error number.
_HEADER = struct.Struct("!Q")


def replaceFile(path: str, text: bytes) -> None:
    """
    Replace a file.  After a crash at any moment it is there, old or new, and whole.

    @raise OSError: If that is not possible; the old file remains.
    """
    parent, name = os.path.split(os.path.abspath(path))
    makeDirectory(parent)
    fresh = os.path.join(parent, f".{name}.new")
    descriptor = openPrivately(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with open(descriptor, "wb") as file:
        file.write(text)
        file.flush()
        os.fsync(descriptor)
    os.replace(fresh, path)
    directory = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some network file systems cannot
            raise
    finally:
        os.close(directory)


def lockOf(path: str) -> str:
    """
    The path of the file with the lock of a state file.
    """
    parent, name = os.path.split(os.path.abspath(path))
    return os.path.join(parent, f".{name}.lock")


def openPrivately(path: str, flags: int) -> int:
    """
    Open a file for this user alone.  A symbolic link is not followed, and a fifo not
    waited for.
    """
    return os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)


def makeDirectory(path: str) -> None:
    """
    Make a directory, and those above it, in which nobody else may write, whatever the
    umask is.
    """
    if not os.path.isdir(path):
        makeDirectory(os.path.dirname(path))
        try:
            os.mkdir(path, 0o755)
        except FileExistsError:
            if not os.path.isdir(path):
                raise


class SeparateWriter:
    """
    Has another process replace a file.  All methods but L{close} block; they are called by one
    thread at a time.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.abspath(path)
        self._process: subprocess.Popen[bytes] | None = None

    def write(self, text: bytes) -> None:
        """
        Replace the file.  If the other process cannot be started, or ends, this process does it.

        @raise OSError: If that is not possible; the old file remains.
        """
        try:
            number = self._ask(text)
        except OSError:
            self.close()
            replaceFile(self._path, text)
        else:
            if number:
                raise OSError(number, os.strerror(number), self._path)

    def close(self) -> None:
        """
        Let the other process end.  It is not waited for.
        """
        process, self._process = self._process, None
        if process is not None:
            from txcarp import companion

            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            companion.leave(process)

    def _ask(self, text: bytes) -> int:
        if self._process is None:
            from txcarp import companion

            self._process = companion.start(__file__, self._path, pipes=True)
        to, back = self._process.stdin, self._process.stdout
        assert to is not None
        assert back is not None
        _send(to, _HEADER.pack(len(text)) + text)
        answer = _receive(back, _HEADER.size)
        number: int = _HEADER.unpack(answer)[0]
        return number


def _send(pipe: IO[bytes], text: bytes) -> None:
    left = memoryview(text)
    while left:
        left = left[pipe.write(left) :]


def _receive(pipe: IO[bytes], size: int) -> bytes:
    """
    @raise OSError: If the pipe ends before.
    """
    found = b""
    while len(found) < size:
        more = pipe.read(size - len(found))
        if not more:
            raise OSError(errno.EPIPE, os.strerror(errno.EPIPE))
        found += more
    return found


#: A service manager sends these to all processes of a service.  The last text follows.
_IGNORED = (
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
    *(signal.SIGUSR1, signal.SIGUSR2),
)


def main() -> None:
    """
    Replace a file with each text that the standard input brings, until that ends.  When it ends, so
    has the daemon, whatever ended it: that is noted beside its lock.
    """
    for ignored in _IGNORED:
        signal.signal(ignored, signal.SIG_IGN)
    path = sys.argv[1]
    with open(0, "rb", buffering=0) as texts, open(1, "wb", buffering=0) as answers:
        while True:
            try:
                size = _HEADER.unpack(_receive(texts, _HEADER.size))[0]
                text = _receive(texts, size)
            except OSError:
                noteEnd(path)
                return
            number = 0
            try:
                replaceFile(path, text)
            except OSError as error:
                number = error.errno or errno.EIO
            _send(answers, _HEADER.pack(number))


def noteEnd(path: str) -> None:
    """
    Add the time to the file with the lock.  The next process may have written its number there
    already, which comes first.
    """
    try:
        descriptor = openPrivately(lockOf(path), os.O_WRONLY | os.O_APPEND)
    except OSError:
        return  # the time of the last state has to do
    try:
        os.write(descriptor, b"%.3f\n" % time.time())
    except OSError:
        pass
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main()
