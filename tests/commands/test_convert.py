"""
Tests for L{txcarp.commands.convert} and L{txcarp.conversion.checked}.
"""

from __future__ import annotations

import io
import os
import stat
import sys
import tomllib
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.conversion.case import SECRET
from txcarp.commands.convert import main
from txcarp.configuration.file import readFile
from txcarp.conversion.draft import Conversion, Place, render

UCARP = f"ucarp -i eth0 -s 10.1.1.1 -v 1 -a 10.1.1.9 -u /up -d /down -p {SECRET}\n"


class ConvertTests(SynchronousTestCase):
    """
    C{txcarp convert}.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute()
        self.directory.mkdir()
        self.file = self.directory / "start.sh"
        self.file.write_text(UCARP)

    def run_(self, *arguments: str) -> tuple[int, str, str]:
        """
        Run the command.

        @return: The exit status, what was printed, and what was printed on standard error.
        """
        output, errors = io.StringIO(), io.StringIO()
        self.patch(sys, "stdout", output)
        self.patch(sys, "stderr", errors)
        status = main(arguments)
        return status, output.getvalue(), errors.getvalue()

    def test_printed(self) -> None:
        """
        The file is printed, and what it needs is said.  No password is shown or written.
        """
        status, output, errors = self.run_("ucarp", str(self.file))
        self.assertEqual(status, 0)
        self.assertIn(f"# {self.file}, line 1\n[group.eth0-1]\n", output)
        self.assertEqual(
            errors, "write the password of eth0-1 into eth0-1.password, or use --passwords\n"
        )
        self.assertNotIn(SECRET, output + errors)
        self.assertEqual(os.listdir(self.directory), ["start.sh"])

    def test_passwords(self) -> None:
        """
        On request, passwords are written into files that only their owner can read, and the
        result is a file that txcarp starts with.
        """
        umask = os.umask(0)
        self.addCleanup(os.umask, umask)
        status, output, errors = self.run_(
            "ucarp", str(self.file), "--passwords", str(self.directory)
        )
        path = self.directory / "eth0-1.password"
        self.assertEqual((status, errors), (0, f"wrote {path}\n"))
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        self.assertEqual(path.read_text(), f"{SECRET}\n")
        result = self.directory / "txcarp.toml"
        result.write_text(output)
        [group] = readFile(result).groups
        self.assertEqual(group.password, SECRET.encode())
        self.assertEqual((group.upScript, group.vhid), ("/up", 1))

    def test_passwordsExist(self) -> None:
        """
        A file that exists is never overwritten, also not through a link.
        """
        path = self.directory / "eth0-1.password"
        path.symlink_to(self.directory / "elsewhere")
        arguments = "ucarp", str(self.file), "--passwords", str(self.directory)
        status, output, errors = self.run_(*arguments)
        self.assertEqual((status, output), (1, ""))
        self.assertEqual(errors, f"{path}: File exists\n")
        self.assertFalse((self.directory / "elsewhere").exists())

    def test_incomplete(self) -> None:
        """
        A result that cannot be used as it is is printed all the same, with what is missing.
        """
        self.file.write_text("ucarp -i eth0 -a 10.1.1.9\n")
        status, output, errors = self.run_("ucarp", str(self.file))
        self.assertEqual(status, 2)
        self.assertIn("[group.eth0-1]", output)
        self.assertIn("the result has to be completed:\ntxcarp.toml:2: [group.eth0-1] has", errors)

    def test_nothing(self) -> None:
        """
        A file without anything to convert, and one that cannot be read.
        """
        for kind in ("ucarp", "interfaces", "keepalived"):
            self.file.write_text("hello\n")
            status, output, errors = self.run_(kind, str(self.file))
            self.assertEqual((status, output), (2, ""))
            self.assertTrue(errors.endswith("there is nothing to convert\n"), errors)
        status, _, errors = self.run_("ucarp", "/nothing/here")
        self.assertEqual((status, errors), (1, "/nothing/here: No such file or directory\n"))
        self.file.write_bytes(b"\xff" * (1 << 20) + b"x")
        status, _, errors = self.run_("ucarp", str(self.file))
        self.assertEqual((status, "more than 1048576 bytes" in errors), (1, True))

    def test_wrong(self) -> None:
        """
        A wrong command line.
        """
        error = self.assertRaises(SystemExit, self.run_, "heartbeat", "x")
        self.assertEqual(error.code, 1)

    def test_bytes(self) -> None:
        """
        A file that is no text makes no trouble.
        """
        self.file.write_bytes(UCARP.encode() + b"ucarp -i \xff\x1b[0m -v 2 -a 10.1.1.8 -u \xe4\n")
        _, output, errors = self.run_("ucarp", str(self.file))
        self.assertIn(":2: this is not UTF-8", errors)
        self.assertIn('up_script = "?"', output)
        (output + errors).encode()
        self.assertNotIn("\x1b", output)


class RenderTests(SynchronousTestCase):
    """
    Tests for L{render}.
    """

    def test_values(self) -> None:
        """
        Every text is a string of TOML, and a name that needs quotation marks has them.
        """
        conversion = Conversion()
        draft = conversion.add("a.b", Place("x\n[group.evil]\ny", 1))
        nasty = 'a"b\\c\n\x7f\x00\x1b \u2028 ä'
        draft.settings.update({"interface": nasty, "vhid": 5, "preempt": False, "peers": ["x", 1]})
        document = tomllib.loads(render(conversion, lambda draft: "p"))
        [group] = document["group"].values()
        self.assertEqual([*document["group"]], ["a.b"])
        self.assertEqual(
            group,
            {"interface": nasty, "vhid": 5, "passfile": "p", "preempt": False, "peers": ["x", 1]},
        )
