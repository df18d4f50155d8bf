"""
The settings of a step that the configuration names: a command, or a unit of systemd.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import attrs

from txcarp.configuration.values import notACommand, notALimit, several

#: The most steps of one virtual host.
MAXIMUM_STEPS = 32

#: Seconds that acquiring or undoing a step may take, unless its settings say otherwise.
TIMEOUT = 30.0

#: What to do with a unit on becoming master.
START, RESTART, RELOAD = "start", "restart", "reload"
ACTIONS = (START, RESTART, RELOAD)

#: When a step is acquired.
BEFORE_ADDRESSES, AFTER_ADDRESSES = "before-addresses", "after-addresses"
MOMENTS = (BEFORE_ADDRESSES, AFTER_ADDRESSES)

#: The name of a step: a word for log lines and commands.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")

#: The name of a unit (systemd.unit(5)), without templates, patterns, and what looks like an option.
_UNIT = re.compile(
    r"[A-Za-z0-9_:][A-Za-z0-9_:.\\@-]*\."
    r"(?:service|socket|target|timer|mount|automount|path|slice|scope|swap|device)"
)
_LONGEST_UNIT = 255


@attrs.frozen(kw_only=True)
class ConfiguredStep:
    """
    Something that a host does when it becomes master, and undoes when it ceases to be.

    @ivar name: A word for people, such as C{conntrack}.
    @ivar command: The path of a program and its arguments, to run on becoming master; empty for
        none.
    @ivar undo: The same, to run on ceasing to be master, and at the start.
    @ivar unit: The name of a unit of systemd, in place of commands; empty for none.
    @ivar action: What to do with the unit on becoming master: one of L{ACTIONS}.  A unit that was
        started is stopped when this host ceases to be master, and at the start.
    @ivar when: Whether the step comes before the addresses or after them, one of L{MOMENTS}.  It is
        undone in reverse order.
    @ivar timeout: Seconds that acquiring or undoing the step may take.
    @ivar required: Whether a host where the step fails must not be master.
    """

    name: str
    command: Sequence[str] = attrs.field(default=(), converter=several)
    undo: Sequence[str] = attrs.field(default=(), converter=several)
    unit: str = ""
    action: str = START
    when: str = AFTER_ADDRESSES
    timeout: float = TIMEOUT
    required: bool = True

    def problems(self) -> Iterator[tuple[str, str]]:
        """
        Each setting that has a value that it cannot have, and what is wrong with that.
        """
        if not isinstance(self.name, str) or _NAME.fullmatch(self.name) is None:
            yield (
                "name",
                f"{self.name!r} cannot be the name of a step, which has 1 to 32 letters, digits "
                "or _, and then also . or -",
            )
        for setting in ("command", "undo"):
            words = getattr(self, setting)
            if words != () and (problem := notACommand(words)):
                yield setting, problem
        if self.unit != "":
            if problem := _notAUnit(self.unit):
                yield "unit", problem
            if self.command or self.undo:
                yield "unit", "a step is either a unit or commands"
        elif not self.command and not self.undo:
            yield "command", "a step has a command, an undo or a unit"
        for setting, known in (("action", ACTIONS), ("when", MOMENTS)):
            if getattr(self, setting) not in known:
                yield setting, f"{getattr(self, setting)!r} is not one of {', '.join(known)}"
        if problem := notALimit(0 if self.timeout is None else self.timeout):
            yield "timeout", problem
        if not isinstance(self.required, bool):
            yield "required", f"{self.required!r} is neither True nor False"


def _notAUnit(name: object) -> str:
    """
    What is wrong with the name of a unit; empty if nothing is.
    """
    if not isinstance(name, str):
        return f"{name!r} is not the name of a unit"
    if _UNIT.fullmatch(name) is not None and len(name) <= _LONGEST_UNIT and "@." not in name:
        return ""
    wrong = f"{name!r} is not the name of a unit such as 'haproxy.service'"
    return f"{wrong}; did you mean {name + '.service'!r}?" if _isStem(name) else wrong


def _isStem(name: str) -> bool:
    return re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_@-]*[A-Za-z0-9_]", name) is not None
