"""
The state file on disk, which belongs to one process at a time.  Everything here blocks.
"""

from __future__ import annotations

import fcntl
import math
import os
import stat
from pathlib import Path

from txcarp.state.format import BadState, bootIdentity, joinGroups, splitGroups, withoutSource
from txcarp.state.writer import (
    SeparateWriter,
    lockOf,
    makeDirectory,
    openPrivately,
    replaceFile,
)

#: Bytes; a larger file was not written by txcarp.
LARGEST_FILE = 1 << 26


#: Bytes of the file with the lock that are read.
_LARGEST_LOCK = 1000


class StateFile:
    """
    A state file on disk, which belongs to one process at a time.  All methods block.

    The lock is held on a second file, since the state file itself is replaced by each
    write.  The kernel releases it when the process ends, however it ends.

    @ivar lived: Until when the process before lived, in seconds since 1970; 0 if that is not
        known, as after a power failure.
    """

    def __init__(self, path: str, writer: SeparateWriter | None = None) -> None:
        """
        @param writer: Replaces the file; C{None} to do that in this process.
        """
        self.path = Path(path)
        self.lived = 0.0
        self._writer = writer
        self._lock: int | None = None

    @property
    def isClaimed(self) -> bool:
        """
        Whether this process has the lock.
        """
        return self._lock is not None

    def claim(self) -> bool:
        """
        Lock the file for this process; make its directory if necessary.

        @return: Whether the lock is new.
        @raise BlockingIOError: If another process has it.
        @raise OSError: If there can be no lock, as on a read-only disk.
        """
        if self._lock is not None:
            return False
        makeDirectory(os.path.abspath(self.path.parent))
        lock = openPrivately(lockOf(str(self.path)), os.O_RDWR | os.O_CREAT)
        pid = ""
        try:
            content = os.read(lock, _LARGEST_LOCK).decode("ascii", "replace")
            pid, *ends = content.splitlines() or [""]
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.lived = max(map(_timeIn, ends), default=0.0)
            os.lseek(lock, 0, os.SEEK_SET)
            os.ftruncate(lock, 0)
            os.write(lock, b"%d\n" % os.getpid())
        except BlockingIOError as error:
            os.close(lock)
            raise BlockingIOError(
                error.errno,
                f"{self.path} is in use by process {pid or 'unknown'}. Give each process a state "
                "file of its own",
            ) from None
        except OSError:
            os.close(lock)
            raise
        self._lock = lock
        return True

    def release(self) -> None:
        """
        Let another process have the file.
        """
        if self._writer is not None:
            self._writer.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def read(self, path: Path) -> str | None:
        """
        The text of this file, or of one beside it; C{None} if there is no such file.

        @raise OSError: If it cannot be read.
        @raise BadState: If it is not a regular file, or is too large.
        """
        try:
            descriptor = openPrivately(str(path), os.O_RDONLY)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BadState(f"{path} is not a regular file")
            text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise BadState(f"{path} has more than {LARGEST_FILE} bytes")
        return text.decode("utf-8", "surrogateescape")

    def write(self, text: str) -> None:
        """
        Replace the file.  After a crash at any moment it is there, old or new, and whole.

        @raise OSError: If that is not possible; the old file remains.
        """
        data = text.encode("utf-8", "surrogateescape")
        if self._writer is not None:
            self._writer.write(data)
        else:
            replaceFile(str(self.path), data)


def _timeIn(text: str) -> float:
    """
    The seconds since 1970 in a line; 0 if it has something else.
    """
    try:
        found = float(text)
    except ValueError:
        return 0.0
    return found if math.isfinite(found) else 0.0


def forgetIn(file: StateFile, address: bytes, group: str | None) -> list[str]:
    """
    Remove a source from the groups in a file that no process uses.

    @param file: The file; its lock must be held.
    @param address: The packed address of the source.
    @param group: The name of the only group in which to forget it; C{None} for all.
    @return: The names of the groups that knew it.
    @raise OSError: If the file cannot be read or written.
    @raise BadState: If it is damaged.
    """
    path = file.path
    text = file.read(path)
    if text is None:
        return []
    interface, _, vhid = path.stem.rpartition("-")
    lines, damage = splitGroups(path, text, f"{interface}:{vhid}", bootIdentity())
    if damage is not None:
        raise damage
    changed = {
        name: rest
        for name, line in lines.items()
        if group in (None, name) and (rest := withoutSource(line, address)) is not None
    }
    if changed:
        file.write(joinGroups({**lines, **changed}))
    return list(changed)
