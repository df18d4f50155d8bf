"""
The keys of a step in the configuration file: one table, and how they are read.

Steps are a list, C{[[group.NAME.step]]}, because their order counts, which is that of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from cattrs import Converter

from txcarp.configuration.checks import readValue
from txcarp.configuration.settings import Duration
from txcarp.configuration.steps import ACTIONS, MOMENTS, ConfiguredStep


class StepKey(NamedTuple):
    """
    A key of C{[[group.NAME.step]]}.

    @ivar kind: What a value is read as.  Where it is a list, a single value is a list of one.
    @ivar value: What a value looks like, for people.
    @ivar help: One line about it.
    @ivar of: The keys with which this one goes; empty for every step.
    @ivar default: The default, for people; may be empty.
    """

    kind: Any
    value: str
    help: str
    of: tuple[str, ...] = ()
    default: str = ""


_COMMAND = list[str], 'a list such as ["/usr/local/sbin/promote", "--fast"]'

STEP_KEYS: Mapping[str, StepKey] = {
    "name": StepKey(str, "a word", "name of the step, for people"),
    "command": StepKey(
        *_COMMAND, "program, with its arguments, that runs when this host becomes master"
    ),
    "undo": StepKey(
        *_COMMAND,
        "program, with its arguments, that runs when this host ceases to be master, and at the "
        "start",
    ),
    "unit": StepKey(
        str,
        'a name such as "haproxy.service"',
        "unit of systemd that runs only while this host is master, in place of commands",
    ),
    "action": StepKey(
        str,
        f"one of {', '.join(ACTIONS)}",
        "what to do with the unit when this host becomes master; a started one is stopped "
        "afterwards, the others stay as they are",
        of=("unit",),
        default="start",
    ),
    "when": StepKey(
        str,
        f"one of {', '.join(MOMENTS)}",
        "whether the step comes before the addresses appear, or after they are there; it is "
        "undone after they have left, or before they leave",
        default="after-addresses",
    ),
    "timeout": StepKey(
        Duration,
        'a time such as "10s", or a number of seconds',
        "time after which a command or a unit has failed",
        default="30s",
    ),
    "required": StepKey(
        bool,
        "true or false",
        "whether this host must not be master if the step fails",
        default="true",
    ),
}


def readStep(
    table: Mapping[str, Any], converter: Converter, where: str
) -> tuple[ConfiguredStep | None, list[tuple[str, str]]]:
    """
    Read a step.

    @param table: Its keys.  Unknown ones are ignored.
    @param where: The table for people.
    @return: The step, C{None} if anything is wrong with it, and each problem after its key, which
        is empty for the whole table.
    """
    problems: list[tuple[str, str]] = []
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key in STEP_KEYS:
            one = STEP_KEYS[key]
            try:
                values[key] = readValue(converter, one.kind, value)
            except ValueError as error:
                problems.append((key, f"{key}: {error or f'expected {one.value}'}"))
            if one.of and table.keys().isdisjoint(one.of):
                wanted = " or ".join(one.of)
                problems.append((key, f"{key}: goes with {wanted}, which this step does not have"))
    if "name" not in table:
        problems.append(("", f"{where} has no name"))
    subjects = [key for key in ("command", "undo", "unit") if key in table]
    if not subjects:
        problems.append(("", f"{where} has nothing to do: give a command, an undo or a unit"))
    if "unit" in table and len(subjects) > 1:
        problems.append(("unit", f"give either unit or {' and '.join(subjects[:-1])}"))
    if problems:
        return None, problems
    step = ConfiguredStep(**values)
    # An empty list is a command in the file, but none in the model.
    problems = [
        (key, f"{key}: a command is a list of a path and arguments")
        for key in ("command", "undo")
        if key in values and not values[key]
    ] or [(key if key in table else "", f"{key}: {text}") for key, text in step.problems()]
    return (None if problems else step), problems
