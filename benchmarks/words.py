"""
What the tables and drawings of the manual call things, for people.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.lab.holders import Span

#: Faults in words for people, in the order of the tables.
FAULTS = {
    "SIGKILL": "the daemon is killed",
    "SIGKILL of the child": "its second process is killed",
    "SIGKILL of both": "both are killed",
    "out of memory": "the daemon's memory is used up",
    "SIGSTOP": "the daemon hangs",
    "SIGSTOP for 0.4 s": "the daemon hangs for 0.4 s",
    "SIGSTOP for 6 s": "the daemon hangs for 6 s",
    "blocked for 5 s": "a service in its process blocks for 5 s",
    "power off": "the power fails",
    "power off with --probe": "the power fails, with ``probe = \"5ms\"``",
    "cable pulled for 5 s": "the cable is pulled for 5 s",
    "planned stop": "the daemon is stopped in order",
    "addresses flushed": "somebody flushes the interface",
}

#: The packets of L{benchmarks.calltrace} in words for people, in the order of the table.
PACKETS = {
    "sealed": "sealed",
    "sealed-64": "sealed, while 64 hosts that seal are known",
    "sealed-ipv6": "sealed, IPv6",
    "plain": "of ucarp, without a seal",
    "plain-64": "of ucarp, while 64 hosts that seal are known",
    "freebsd": "of FreeBSD",
    "openbsd": "of OpenBSD",
}

#: Seconds that cannot be told from nothing.
_EXACT = 0.001

#: Seconds with two masters or none that are not worth mentioning.
HARMLESS = 0.1


def span(measured: dict[str, Any]) -> str:
    """
    A span of time for people.
    """
    one = Span(**measured)
    return "for good" if one.open else seconds(one.seconds)


def seconds(value: float) -> str:
    """
    A time for people.
    """
    if value < _EXACT:
        return "0"
    return f"{value * 1000:.0f} ms" if value < 0.995 else f"{value:.1f} s"


def exactly(value: float) -> str:
    """
    A short time for people, with three digits.
    """
    return f"{value * 1000:.3g} ms" if value < 0.9995 else f"{value:.3g} s"


def during(kind: str, measured: dict[str, Any]) -> str:
    """
    What was wrong for a span of time, or nothing if it was too short to hurt.
    """
    if measured["seconds"] < HARMLESS:
        return ""
    words = span(measured)
    return f"{kind} {words}" if measured["open"] else f"{kind} for {words}"


def consequence(cell: dict[str, Any] | None) -> str:
    """
    What a client and the address notice of a fault.
    """
    if cell is None:
        return ""
    both = during("on two hosts", cell["both"])
    return "; ".join(part for part in (span(cell["silence"]), both) if part)


def harm(cell: dict[str, Any] | None) -> str:
    """
    What an attack does.
    """
    if cell is None:
        return ""
    if cell["stopped"]:
        return "nothing"
    parts = during("no master", cell["nobody"]), during("two masters", cell["both"])
    return "; ".join(part for part in parts if part) or "nothing"


def listing(head: Sequence[str], rows: Sequence[Sequence[str]], first: int) -> str:
    """
    A table of reStructuredText.

    @param first: The percentage of the width that the first column has.
    """
    widths = [first, *[(100 - first) // (len(head) - 1)] * (len(head) - 1)]
    lines = [".. list-table::", "   :header-rows: 1"]
    lines += [f"   :widths: {' '.join(map(str, widths))}", ""]
    for row in (head, *rows):
        for number, cell in enumerate(row):
            lines.append(f"   {'*' if number == 0 else ' '} - {cell}".rstrip())
    return "\n".join([*lines, ""])
