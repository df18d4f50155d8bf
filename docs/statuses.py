"""
Writes C{statuses.rst}, beside this file, from the enumerations of the program, for L{manual}.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Iterator
from textwrap import wrap

from txcarp.change import Readiness, StepState
from txcarp.checks.verdict import Health
from txcarp.findings import Finding
from txcarp.membership.diagnostics import EXPLANATIONS
from txcarp.operate.documents import plain
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.events import HoldReason
from txcarp.protocol.rejection import Rejection

_ABOUT = (
    "The words of ``txcarp status --json``, of events, metrics and scripts, and what the log says "
    "for each. Words stay when the phrases of the log change."
)

_STATES = (
    ("role", "the role of a host in a group (:ref:`election:The roles`)", Role),
    ("readiness", "how far it is with what belongs to its role", Readiness),
    ("state of a step", "how far it is with one step (:doc:`steps`)", StepState),
    ("health", "the state of a check (:doc:`checks`)", Health),
)

_PHRASES = (
    (
        "Why a role changes",
        "``reason`` of a change and of the event ``transition``, and ``TXCARP_REASON`` of scripts. "
        ":ref:`steps:Scripts` explains them.",
        Reason,
    ),
    (
        "What holds a host back",
        "``reason`` of a hold, and of the events ``hold`` and ``release``. "
        ":ref:`trouble:A host does not become master` says what to do.",
        HoldReason,
    ),
    (
        "Why a packet is refused",
        "The keys of ``rejected``, in the order in which a packet is checked. Packets with the "
        "number of a group and a wrong header (``size``, ``ttl``, ``version``, ``vrrp``, "
        "``destination``) are dropped by the kernel, which passes a sample to txcarp. All of them "
        "are counted while no more than 32 arrive in a second, on an interface and in a family. In "
        "a flood, the numbers are those of the sample. Packets for other groups are not counted.",
        Rejection,
    ),
)


def statuses() -> str:
    """
    The text of C{docs/statuses.rst}.
    """
    lines = [
        *("States, reasons and findings", "============================", ""),
        *(".. Written by docs/manual.py. Do not edit.", "", *wrap(_ABOUT, 90), ""),
        *_heading("States"),
        *_table(("what", "words"), (_state(*one) for one in _STATES)),
    ]
    for heading, about, kind in _PHRASES:
        rows = ((f"``{plain(one)}``", one.value) for one in kind)
        lines += [*_heading(heading), *wrap(about, 90), "", *_table(("word", "in the log"), rows)]
    lines += [
        *_heading("Findings"),
        *wrap("The problems that txcarp finds between hosts (:ref:`trouble:Findings`).", 90),
        "",
        *_table(("word", "in the log"), map(_finding, Finding)),
    ]
    return "\n".join(lines)


def _heading(title: str) -> list[str]:
    return [title, "-" * len(title), ""]


def _state(name: str, about: str, kind: type[enum.Enum]) -> tuple[str, str]:
    return f"{name}: {about}", ", ".join(f"``{plain(one)}``" for one in kind)


def _finding(one: Finding) -> tuple[str, str]:
    said = EXPLANATIONS[one].format(peer="HOST", vhid="NUMBER")
    return f"``{one.value}``", f"{said[0].upper()}{said[1:]}."


def _table(head: tuple[str, str], rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield from (".. list-table::", "   :header-rows: 1", "   :widths: 30 70", "")
    for first, second in (head, *rows):
        for mark, cell in (("*", first), (" ", second)):
            yield from wrap(
                cell,
                95,
                initial_indent=f"   {mark} - ",
                subsequent_indent="       ",
                break_on_hyphens=False,
                break_long_words=False,
            )
    yield ""
