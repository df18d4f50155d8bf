"""
Tests for L{txcarp.conversion.blocks}.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.conversion.blocks import Reader, Statement
from txcarp.conversion.checked import readFile
from txcarp.conversion.draft import Conversion


def shown(statements: list[Statement]) -> list[Any]:
    """
    The words of statements, and their blocks.
    """
    return [
        one.words if one.block is None else (one.words, shown(one.block)) for one in statements
    ]


class BlockTests(SynchronousTestCase):
    """
    The grammar of keepalived.conf.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.conversion = Conversion()

    def read(self, text: str) -> list[Any]:
        reader = Reader(self.conversion, readFile)
        return shown(reader.read(text, str(self.directory / "file")))

    def said(self) -> list[tuple[int, str]]:
        """
        The remarks.
        """
        return [(one.place.line, one.text) for one in self.conversion.remarks]

    def test_forms(self) -> None:
        """
        Blocks begin on the line of their keyword or on the next one, and may be in one line.
        Comments and quotation marks are as in keepalived.
        """
        self.assertEqual(
            self.read(
                "! a comment\nplain word # another {\n"
                "one {\n  two { 10.0.0.1 10.0.0.2 }\n}\nthree\n{\n"
                '  script "a # b {c} \\"d\\"" user\n  empty { }\n}\n'
            ),
            [
                ["plain", "word"],
                (["one"], [(["two"], [["10.0.0.1", "10.0.0.2"]])]),
                (["three"], [["script", 'a # b {c} "d"', "user"], (["empty"], [])]),
            ],
        )
        self.assertEqual(self.said(), [])

    def test_text(self) -> None:
        """
        A statement knows its line, and its words as they were written.
        """
        statements = Reader(self.conversion, readFile).read('\n a  "b c"   d # x\n', "f")
        [one] = statements
        self.assertEqual((one.place.line, one.text, one.value), (2, '"b c"   d', "b c"))

    def test_braces(self) -> None:
        """
        Braces that do not match are reported, and the rest is read all the same.
        """
        self.assertEqual(self.read("}\na {\nb {\nc\n"), [(["a"], [(["b"], [["c"]])])])
        self.assertEqual(
            self.said(),
            [(1, "a } without a { is ignored"), (2, "this { has no }"), (3, "this { has no }")],
        )
        self.read("{\n}\n" + "x {\n" * 40)
        self.assertIn("blocks are nested too deeply here", [text for _, text in self.said()])

    def test_variables(self) -> None:
        """
        Variables and lines for one host are named, and left out.
        """
        self.assertEqual(
            self.read(
                "$A=10.0.0.1\n@node1 priority 5\npriority ${A}\nx $B c\ny a$\n@^node2 z\n"
                "~SEQ(x,1)\n"
            ),
            [["y", "a$"]],
        )
        lines = [line for line, _ in self.said()]
        self.assertEqual(lines, [1, 2, 3, 4, 6, 7])
        texts = [text for _, text in self.said()]
        self.assertIn("the variable $A is not replaced", texts[0])
        self.assertIn("(@node1)", texts[1])
        self.assertIn("priority has a variable, and is left out", texts[2])

    def test_include(self) -> None:
        """
        Other files are included at their place, by patterns, and no circle is endless.
        """
        (self.directory / "b.conf").write_text("in b\n")
        (self.directory / "a.conf").write_text("in a {\n")
        (self.directory / "c.inc").write_text("again\ninclude c.inc\n")
        self.assertEqual(
            self.read("x\ninclude *.conf\ny\nincluder none\n"),
            [["x"], (["in", "a"], []), ["in", "b"], ["y"]],
        )
        self.assertEqual(
            self.said(), [(1, "this { has no }"), (4, "there is nothing to include: none")]
        )
        self.assertLess(len(self.read("include c.inc")), 100)
        (self.directory / "d.conf").mkdir()
        self.read("include d.conf")
        self.assertIn("d.conf cannot be read: Is a directory", self.said()[-1][1])

    @given(st.text(st.sampled_from('ab {}\n"#!\\$@~=;\tä\0'), max_size=60))
    def test_anything(self, text: str) -> None:
        """
        No text is too much.
        """
        self.read(text)
