"""
Tests of L{txcarp.screen.output}.
"""

from __future__ import annotations

import errno
import os
import sys
from io import BytesIO, StringIO, TextIOWrapper

from twisted.trial.unittest import SynchronousTestCase

from txcarp.screen.output import Output


class OutputTests(SynchronousTestCase):
    """
    Tests of L{Output}.
    """

    def setUp(self) -> None:
        self.closed = 0
        self.errors = StringIO()
        self.patch(sys, "stderr", self.errors)

    def closing(self) -> None:
        """
        Count that the reader is gone.
        """
        self.closed += 1

    def test_readerGone(self) -> None:
        """
        A reader that is gone is reported, and never again an error: not even when what
        was not written is flushed at the end.
        """
        reading, writing = os.pipe()
        os.close(reading)
        stream = os.fdopen(writing, "w")
        Output(stream, "txcarp test", self.closing).write("nobody reads this")
        self.assertEqual((self.closed, self.errors.getvalue()), (1, ""))
        stream.close()

    def test_noRoom(self) -> None:
        """
        Another error is said once, with the name of the command.
        """
        with open("/dev/full", "w") as stream:
            output = Output(stream, "txcarp test", self.closing)
            output.write("there is no room for this")
        self.assertEqual((self.closed, output.hasFailed), (1, True))
        reason = os.strerror(errno.ENOSPC)
        self.assertEqual(self.errors.getvalue(), f"txcarp test: standard output: {reason}\n")

    def test_encoding(self) -> None:
        """
        What a terminal cannot show, as the name of an interface, does no harm.
        """
        written = BytesIO()
        stream = TextIOWrapper(written, "ascii")
        Output(stream, "txcarp test", self.closing).write("\u00fcber")
        self.assertEqual(written.getvalue(), b"\\xfcber")

    def test_terminal(self) -> None:
        """
        Only a terminal that is not dumb can redraw, and NO_COLOR takes its colour.
        """
        for isTerminal, environment, expected in (
            (True, {"TERM": "xterm"}, (True, True)),
            (True, {"TERM": "xterm", "NO_COLOR": ""}, (True, True)),
            (True, {"TERM": "xterm", "NO_COLOR": "1"}, (True, False)),
            (True, {"TERM": "dumb"}, (False, False)),
            (True, {}, (False, False)),
            (False, {"TERM": "xterm"}, (False, False)),
        ):
            stream = StringIO()
            self.patch(stream, "isatty", lambda isTerminal=isTerminal: isTerminal)
            output = Output(stream, "txcarp test", self.closing, environment)
            self.assertEqual((output.isTerminal, output.hasColour), expected)
