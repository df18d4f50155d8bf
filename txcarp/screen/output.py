"""
The standard output of a command, whose reader may go away at any time.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Mapping
from typing import TextIO


class Output:
    """
    A text stream on which a failed write is reported once and never raised.  L{txcarp.screen.live}
    hands it to rich as a file.

    @ivar encoding: The encoding of the stream.  Characters that it lacks are written as backslash
        escapes.
    @ivar isTerminal: Whether the stream is a terminal that can redraw.
    @ivar hasFailed: Whether text could not be written, for another reason than that the reader is
        gone.
    @ivar hasColour: Whether it is one and C{NO_COLOR} does not forbid colour.
    """

    def __init__(
        self,
        stream: TextIO,
        program: str,
        closed: Callable[[], object],
        environment: Mapping[str, str] = os.environ,
    ) -> None:
        """
        @param program: The command, as error messages name it.
        @param closed: Called after a failed write.
        @param environment: Where C{TERM} and C{NO_COLOR} are looked up.
        """
        self.encoding = stream.encoding or "ascii"
        self.isTerminal = stream.isatty() and environment.get("TERM", "dumb") != "dumb"
        self.hasColour = self.isTerminal and not environment.get("NO_COLOR")
        self.hasFailed = False
        self._stream = stream
        self._program = program
        self._closed = closed

    def write(self, text: str) -> None:
        """
        Write text and flush it.
        """
        try:
            self._stream.write(text.encode(self.encoding, "backslashreplace").decode(self.encoding))
            self._stream.flush()
        except OSError as error:
            isGone = error.errno in (errno.EPIPE, errno.EIO)  # EIO: the terminal was closed
            self.hasFailed = self.hasFailed or not isGone
            giveUp(self._stream, self._program, error, isGone=isGone)
            self._closed()

    def flush(self) -> None:
        """
        Do nothing: L{write} has flushed.
        """


def giveUp(stream: TextIO, program: str, error: OSError, *, isGone: bool) -> None:
    """
    Write nothing more to the standard output, or another stream, after a failed write.

    @param program: The command, as the message names it.
    @param isGone: Whether the reader is gone, which is no failure.  Otherwise the error is
        reported.
    """
    if not isGone:
        print(f"{program}: standard output: {error.strerror}", file=sys.stderr)
    # The text is still in Python's buffer.  A second failure to flush it, at exit, would print a
    # traceback.
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
