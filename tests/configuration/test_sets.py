"""
Tests for L{txcarp.configuration.sets}: sets of groups in a file.
"""

from __future__ import annotations

from tests.configuration.test_file import FileTestCase
from txcarp.configuration.difference import difference
from txcarp.configuration.model import SyncSettings
from txcarp.configuration.problems import FileError

_GROUPS = """\
[defaults]
interface = "eth0"
passfile = "password"
[group.outer]
vhid = 1
addresses = ["10.1.1.252/24"]
[group.outer.check.gateway]
gateway = true
[group.inner]
vhid = 2
addresses = ["10.1.1.253/24"]
[group.third]
vhid = 3
addresses = ["10.1.1.254/24"]
"""


class SetTests(FileTestCase):
    """
    Sets that are right, and everything that can be wrong with one.
    """

    def test_good(self) -> None:
        """
        Each group of a set has its settings, and the others have none.
        """
        read = self.read(f'{_GROUPS}[sync.firewall]\ngroups = ["inner", "outer"]\n')
        expected = SyncSettings("firewall")
        self.assertEqual([one.sync for one in read.groups], [expected, expected, None])
        self.assertEqual(read.warnings, ())

    def test_takeover(self) -> None:
        """
        The time of a takeover needs a gateway check in each group.
        """
        check = "[group.inner.check.g]\ngateway = true\n"
        text = _GROUPS.replace("[group.third]", f"{check}[group.third]")
        for value, seconds in (('"1m"', 60.0), ("5", 5.0), ("false", None)):
            lines = f'[sync.firewall]\ngroups = ["inner", "outer"]\ntakeover = {value}\n'
            read = self.read(text + lines)
            self.assertEqual(read.groups[0].sync, SyncSettings("firewall", seconds))

    def test_wrong(self) -> None:
        """
        Each mistake is said with its line, and a name that may be meant.
        """
        for lines, line, words in (
            ('groups = ["outer", "iner"]', 18, "there is no [group.iner]; did you mean 'inner'?"),
            ('groups = ["outer", "xyz"]', 18, "there is no [group.xyz]"),
            ('groups = ["outer", "inner", "outer"]', 18, "'outer' is given twice"),
            ('groups = ["outer"]', 18, "a set has at least two groups"),
            ('groups = ["outer", "outer"]', 18, "a set has at least two groups"),
            ("groups = []", 18, "a set has at least two groups"),
            ('groups = "outer"', 18, "expected a list of names"),
            ("groups = [1, 2]", 18, "expected a list of names"),
            ("takeover = 5", 17, "[sync.firewall] has no groups"),
            ('groups = ["outer", "inner"]\ntakover = 5', 19, "did you mean 'takeover'?"),
            ('groups = ["outer", "inner"]\ntakeover = "x"', 19, 'a time such as "60s"'),
            ('groups = ["outer", "inner"]\ntakeover = -1', 19, "takeover: "),
            ('groups = ["outer", "inner"]\ntakeover = 5', 19, "[group.inner] has no check with"),
            (
                'groups = ["outer", "inner"]\n[sync.two]\ngroups = ["inner", "third"]',
                20,
                "'inner' belongs to [sync.firewall], too",
            ),
            ('groups = ["outer", "inner"]\n[sync."a b"]\ngroups = []', 19, "the name of a set"),
            ('groups = ["outer", "inner"]\n[sync]\nthree = 3', 20, "sync.three must be a table"),
        ):
            text = f"{_GROUPS}\n\n[sync.firewall]\n{lines}\n"
            error = self.assertRaises(FileError, self.read, text)
            self.assertIn(words, str(error))
            self.assertIn(line, [one.place.line for one in error.problems], lines)

    def test_preempt(self) -> None:
        """
        A set in which only some groups preempt never does, which may be a mistake.
        """
        text = _GROUPS.replace("vhid = 1\n", "vhid = 1\npreempt = true\n")
        [warning] = self.read(f'{text}[sync.firewall]\ngroups = ["inner", "outer"]\n').warnings
        self.assertIn("[sync.firewall] never preempts, because [group.inner] does not", warning)

    def test_difference(self) -> None:
        """
        A group that joins a set, or leaves it, does so without an interruption.
        """
        before = self.read(_GROUPS).groups
        after = self.read(f'{_GROUPS}[sync.firewall]\ngroups = ["inner", "outer"]\n').groups
        self.assertEqual(
            difference(before, after).lines(),
            [
                "third  unchanged; nothing will be sent",
                "outer  changes: sync none -> firewall; no interruption",
                "inner  changes: sync none -> firewall; no interruption",
            ],
        )
        text = str(difference(after, before).lines())
        self.assertIn("sync firewall -> none", text)
