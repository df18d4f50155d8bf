"""
What a doctor says, as text and as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import Any

from txcarp.addresses import textOf
from txcarp.doctor.complaint import Complaint, titleOf
from txcarp.doctor.facts import Facts, Partner, PathFacts
from txcarp.doctor.packet import Seen

#: The number of the form of the JSON.
SCHEMA = 1

_WIDTH = 88

_WORDS = {
    Seen.MULTICAST: "multicast",
    Seen.UNICAST: "unicast",
    Seen.LARGE: "large packets",
}


def text(facts: Facts, complaints: Sequence[Complaint], untested: Sequence[str]) -> str:
    """
    The report for people.
    """
    lines = []
    for path in facts.paths:
        lines += list(_path(path))
    for complaint in complaints:
        about = " ".join(filter(None, (complaint.group, complaint.interface)))
        where = f"{about}: " if about else ""
        lines += ["", *_wrapped(f"{where}{complaint.seen}. {_label(complaint)}", "", "  ")]
        lines += _wrapped(f"{complaint.cause}.", "  Likely cause: ", "    ")
        lines += _commands(complaint)
    if untested:
        lines += ["", "Not tested:"]
        for one in untested:
            lines += _wrapped(one, "  - ", "    ")
    lines.append("")
    problems = sum(not one.isAdvice for one in complaints)
    if problems:
        lines.append(f"{_count(problems, 'problem')} found.")
    else:
        lines.append("No problem found" + (" in what was tested." if untested else "."))
    return "\n".join(lines)


def _label(complaint: Complaint) -> str:
    name = complaint.ailment.value
    return f"[{name}, advice]" if complaint.isAdvice else f"[{name}]"


def _commands(complaint: Complaint) -> Iterator[str]:
    """
    The commands, each with its comment in a line of its own, so that both fit a terminal.
    """
    beginning = "  Do this: "
    for command in complaint.commands:
        line, space, comment = command.partition("    # ")
        yield beginning + line
        beginning = " " * len(beginning)
        if space:
            yield f"{beginning}# {comment}"


def document(
    facts: Facts, complaints: Sequence[Complaint], untested: Sequence[str]
) -> dict[str, Any]:
    """
    The report for programs.
    """
    return {
        "schema": SCHEMA,
        "complaints": [
            {
                "ailment": one.ailment.value,
                "is_advice": one.isAdvice,
                "group": one.group or None,
                "interface": one.interface or None,
                "peer": one.peer or None,
                "seen": one.seen,
                "cause": one.cause,
                "commands": list(one.commands),
            }
            for one in complaints
        ],
        "untested": list(untested),
        "paths": [
            {
                "group": titleOf(path.group),
                "interface": path.group.interface,
                "vhid": path.group.vhid,
                "family": path.family.value,
                "source": textOf(path.source) if path.source else None,
                "is_advertising": path.isAdvertising,
                "masters": [
                    textOf(one.source)
                    for one in path.advertisers
                    if one.isMember and not one.isHere
                ],
                "doctors": [_partner(one) for one in path.partners],
            }
            for path in facts.paths
        ],
    }


def asJSON(facts: Facts, complaints: Sequence[Complaint], untested: Sequence[str]) -> str:
    """
    The report for programs as text.
    """
    return json.dumps(document(facts, complaints, untested), indent=2)


def _partner(one: Partner) -> dict[str, Any]:
    return {
        "address": textOf(one.source),
        "is_present": one.isPresent,
        "arrived_here": _kinds(one.seenHere),
        "arrived_there": _kinds(one.seenThere),
        "mtu": one.said.mtu,
        "routers": one.hops,
        "clock_distance": one.clockDistance,
    }


def _kinds(seen: Seen) -> list[str]:
    return [words for flag, words in _WORDS.items() if flag in seen]


def _path(path: PathFacts) -> Iterator[str]:
    group = path.group
    source = f"from {textOf(path.source)}" if path.source else "without a source"
    yield f"{titleOf(group)}: vhid {group.vhid} on {group.interface}, {path.family.value} {source}"
    masters = [textOf(one.source) for one in path.advertisers if one.isMember and not one.isHere]
    if path.isAdvertising:
        masters.insert(0, "this host")
    if masters:
        yield f"  advertised by {', '.join(dict.fromkeys(masters))}"
    elif path.listened:
        yield f"  nobody has advertised for {path.listened:.0f} s"
    for one in path.partners:
        shown = f"  the doctor on {textOf(one.source)}"
        if one.isPresent:
            here, there = _kinds(one.seenHere), _kinds(one.seenThere)
            if here == there:
                shown += f": {', '.join(here) or 'nothing'} in both directions"
            else:
                shown += f": from there {', '.join(here) or 'nothing'}"
                shown += f"; to there {', '.join(there) or 'nothing'}"
            if one.clockDistance is not None:
                shown += f"; clocks {abs(one.clockDistance) * 1000:.1f} ms apart"
            if one.hops:
                shown += f"; {_count(one.hops, 'router')} on the way"
        else:
            shown += " hears nothing of this host"
        yield from _wrapped(shown, "", "    ")


def _wrapped(words: str, first: str, further: str) -> list[str]:
    return wrap(
        words,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=further,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
