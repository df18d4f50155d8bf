"""
Tests for L{txcarp.configuration.stepkeys}: steps in the configuration file.
"""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.configuration.test_file import FileTestCase
from tests.fakes import configured
from txcarp.configuration.difference import Changed
from txcarp.configuration.model import ConfigurationError
from txcarp.configuration.problems import FileError
from txcarp.configuration.stepkeys import STEP_KEYS
from txcarp.configuration.steps import ACTIONS, MAXIMUM_STEPS, ConfiguredStep


class StepTestCase(FileTestCase):
    """
    Files with steps.
    """

    def stepped(self, *lines: str) -> str:
        """
        The text of a file with a step, which begins in line 6.
        """
        return "\n".join([self.text() + "[[group.web.step]]", *lines, ""])

    def steps(self, *lines: str) -> tuple[ConfiguredStep, ...]:
        """
        Read a file with a step.
        """
        [group] = self.read(self.stepped(*lines)).groups
        return group.steps


class GoodTests(StepTestCase):
    """
    Steps that are right.
    """

    def test_settings(self) -> None:
        """
        Each key gives a setting, and a single word is a command without arguments.
        """
        self.assertEqual(
            self.steps(
                *('name = "a"', 'command = ["/bin/x", "", "-q"]', 'undo = "/bin/y"'),
                *('when = "before-addresses"', 'timeout = "500ms"', "required = false"),
            ),
            (
                ConfiguredStep(
                    name="a",
                    command=("/bin/x", "", "-q"),
                    undo=("/bin/y",),
                    when="before-addresses",
                    timeout=0.5,
                    required=False,
                ),
            ),
        )
        self.assertEqual(
            self.steps('name = "a"', 'unit = "x@1.service"', 'action = "reload"'),
            (ConfiguredStep(name="a", unit="x@1.service", action="reload"),),
        )
        self.assertEqual(
            {*STEP_KEYS},
            {"name", "command", "undo", "unit", "action", "when", "timeout", "required"},
        )

    def test_defaults(self) -> None:
        """
        The defaults are those that the reference of the keys says.
        """
        [step] = self.steps('name = "a"', 'undo = "/x"')
        self.assertEqual(step, ConfiguredStep(name="a", undo=["/x"]))
        said = {key: one.default for key, one in STEP_KEYS.items() if one.default}
        self.assertEqual(said.pop("timeout"), f"{step.timeout:g}s")
        self.assertEqual(said.pop("required"), str(step.required).lower())
        self.assertEqual(said, {key: getattr(step, key) for key in ("action", "when")})

    def test_order(self) -> None:
        """
        Steps have the order of the file.
        """
        names = [f"s{number}" for number in range(MAXIMUM_STEPS)]
        lines = [f'[[group.web.step]]\nname = "{name}"\ncommand = "/x"' for name in names[1:]]
        steps = self.steps(f'name = "{names[0]}"', 'command = "/x"', *lines)
        self.assertEqual([step.name for step in steps], names)

    def test_live(self) -> None:
        """
        A change of steps is no interruption.
        """
        step = ConfiguredStep(name="a", command=["/x"])
        changed = Changed(configured(), configured(steps=[step]))
        self.assertEqual(changed.explain(), "changes: steps none -> a; no interruption")

    def test_units(self) -> None:
        """
        The names of units of systemd.
        """
        for name in ("haproxy.service", "a-b_c:d.e@1\\x2d.service", "x.socket", "srv-data.mount"):
            self.assertEqual([*ConfiguredStep(name="a", unit=name).problems()], [])


class WrongTests(StepTestCase):
    """
    Steps that are wrong.
    """

    def test_each(self) -> None:
        """
        The error for a value has its line and a mark under it.
        """
        name, command = 'name = "a"', 'command = "/x"'
        for others, line, words, marked in (
            ((command,), "name = 5", "name: 5 is not text in quotation marks", "5"),
            ((command,), 'name = "a b"', "name: 'a b' cannot be the name of a step", '"a b"'),
            ((name,), "command = []", "command: a command is a list of a path", "[]"),
            ((name,), 'command = ["/bin/x", 5]', "command: 5 is not text in quotation", None),
            ((name,), 'command = "x"', "command: 'x' is not the absolute path", '"x"'),
            ((name,), 'undo = ["a", "b"]', "undo: 'a' is not the absolute path", None),
            ((name,), 'unit = "haproxy"', "did you mean 'haproxy.service'?", '"haproxy"'),
            ((name,), 'unit = "--now"', "unit: '--now' is not the name of a unit", '"--now"'),
            ((name,), 'unit = "-x.service"', "is not the name of a unit", '"-x.service"'),
            ((name,), 'unit = "*.service"', "is not the name of a unit", '"*.service"'),
            ((name,), 'unit = "a b.service"', "is not the name of a unit", '"a b.service"'),
            ((name,), 'unit = "x@.service"', "is not the name of a unit", '"x@.service"'),
            ((name,), f'unit = "{"x" * 300}.service"', "is not the name of a unit", None),
            ((name, command), 'unit = "x.service"', "give either unit or command", None),
            ((name, command), 'action = "start"', "action: goes with unit, which this", '"start"'),
            ((name, command), 'when = "before"', "'before' is not one of before-", '"before"'),
            ((name, command), "timeout = 0", "timeout: 0 is not a number of seconds greater", "0"),
            ((name, command), 'timeout = "x"', "timeout: 'x' is not a time such as", '"x"'),
            ((name, command), "required = 1", "required: 1 is not true or false", "1"),
            ((name, command), "requird = true", "did you mean 'required'?", "requird"),
        ):
            said = self.refused(self.stepped(*others, line))
            self.assertEqual(len(said), 3, said)
            self.assertTrue(said[0].startswith(f"{7 + len(others)}: "), said)
            self.assertIn(words, said[0])
            found = said[1][said[2].index("^") : len(said[2])]
            self.assertTrue(found == marked or (marked is None and found in line), said)

    def test_action(self) -> None:
        """
        What can be done with a unit.
        """
        said = self.refused(self.stepped('name = "a"', 'unit = "x.service"', 'action = "stop"'))
        self.assertIn(f"action: 'stop' is not one of {', '.join(ACTIONS)}", said[0])

    def test_table(self) -> None:
        """
        What is wrong with the table as a whole has the line of that table, also for the second.
        """
        good = 'name = "a"', 'command = "/x"', "[[group.web.step]]"
        for lines, words in (
            (('command = "/x"',), "6: [[group.web.step]] has no name"),
            (('name = "a"',), "6: [[group.web.step]] has nothing to do: give a command, an undo"),
            ((*good, 'name = "b"'), "9: [[group.web.step]] has nothing to do"),
            ((*good, 'name = "a"', 'undo = "/x"'), "1: steps: two steps are called a"),
        ):
            self.assertTrue(self.refused(self.stepped(*lines))[0].startswith(words), words)
        for text, words in (
            ('[group.web.step.a]\ncommand = "/x"\n', "6: steps have an order: write [[group.web."),
            ("step = 5\n", "6: steps have an order"),
            ("step = [5]\n", "6: a step must be a table: write [[group.web.step]]"),
            ("steps = 5\n", "6: unknown key 'steps' in [group.web]; did you mean 'step'?"),
        ):
            self.assertTrue(self.refused(self.text() + text)[0].startswith(words), words)

    def test_tooMany(self) -> None:
        """
        A group has a limited number of steps.
        """
        steps = [ConfiguredStep(name=f"s{one}", undo=["/x"]) for one in range(MAXIMUM_STEPS + 1)]
        error = self.assertRaises(ConfigurationError, configured, steps=steps)
        self.assertEqual(error.problem, f"there are more than {MAXIMUM_STEPS} steps: 33")

    @settings(max_examples=60, deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from(sorted(STEP_KEYS)),
            st.sampled_from(
                ['"a"', '"x.service"', '"/x"', '["/x", ""]', "5", "-1", "nan", "true", "[]"]
                + ["[5]", "{a = 1}", '"\\u0000"', "1979-05-27", '"start"', "[[5]]", '"10s"']
            ),
            max_size=6,
        )
    )
    def test_anything(self, keys: dict[str, str]) -> None:
        """
        Any values under any keys give a step, or an error with a line.
        """
        text = self.stepped(*(f"{key} = {value}" for key, value in keys.items()))
        try:
            self.read(text)
        except FileError as error:
            self.assertRegex(str(error), rf"\A{re.escape(self.path)}:\d+: .+")

    def test_model(self) -> None:
        """
        The model refuses the same values of a program.
        """
        wrong: list[dict[str, Any]] = [
            {"command": "/x"},
            {"command": ["/x", b"y"]},
            {"unit": 5},
            {"unit": "x.service", "undo": ["/x"]},
            {"command": ["/x"], "timeout": None},
            {"command": ["/x"], "required": 1},
            {},
        ]
        for one in wrong:
            step = ConfiguredStep(name="a", **one)
            error = self.assertRaises(ConfigurationError, configured, steps=[step])
            self.assertEqual(error.setting, "steps")
