"""
What guards have done on this host, which is known after a restart: a guard writes it at its end.
"""

from __future__ import annotations

import mmap
import os
import time

from twisted.logger import Logger

from txcarp.guard import sentry
from txcarp.state.writer import makeDirectory, openPrivately


class Deeds:
    """
    How often guards have acted, and when the last time was.

    The number comes from a file, and from what the present guard has told.  The file is mapped into
    memory: a guard of the process before may write it a little later than this process begins.

    @ivar file: The descriptor of the file, for the guard; -1 for none.
    """

    _log = Logger()

    def __init__(self, path: str | None) -> None:
        """
        @param path: The file; C{None} for none.
        """
        self.file = -1
        self._path = path
        self._saved: mmap.mmap | bytes = sentry.RECORD.pack(0, 0.0)
        self._more = 0
        self._last = 0.0

    def open(self) -> None:
        """
        Open the file, and log what it says.
        """
        if self._path is None:
            return
        size = sentry.RECORD.size
        try:
            makeDirectory(os.path.dirname(os.path.abspath(self._path)))
            self.file = openPrivately(self._path, os.O_RDWR | os.O_CREAT)
            if os.fstat(self.file).st_size != size:
                os.ftruncate(self.file, 0)
                os.pwrite(self.file, sentry.RECORD.pack(0, 0.0), 0)
            self._saved = mmap.mmap(self.file, size, prot=mmap.PROT_READ)
        except OSError as error:
            self.close()
            self._log.warn(
                "{path} cannot be used: {reason}. After a restart, txcarp does not know whether "
                "the guard acted",
                path=self._path,
                reason=error.strerror or str(error),
            )
        else:
            self._tell()

    def close(self) -> None:
        """
        Close the file.
        """
        if self.file >= 0:
            os.close(self.file)
            self.file = -1

    def add(self, number: int) -> None:
        """
        Add what the guard of this process has done while this process hung.

        @param number: The number of wills that it carried out.
        """
        self._more += number
        self._last = time.time()

    def read(self) -> tuple[int, float]:
        """
        Return the number of wills that were carried out, and when the last one was, in seconds
        since 1970.
        """
        number, when = sentry.RECORD.unpack(self._saved[: sentry.RECORD.size])
        return number + self._more, max(when, self._last)

    def _tell(self) -> None:
        number, when = self.read()
        if number:
            self._log.info(
                "Guards on this host have acted for {number} so far, because txcarp had "
                "died or hung; the last time was {when}",
                number="1 group" if number == 1 else f"{number} groups",
                when=time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when)),
            )
