"""
The end of an observation: what happened in each group, in words and as JSON objects.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

import attrs

from txcarp.addresses import textOf
from txcarp.observer import words
from txcarp.observer.records import identity
from txcarp.observer.reports import GroupView
from txcarp.observer.tally import Sum, Tally
from txcarp.observer.verification import Verifier
from txcarp.observer.words import Calendar

#: What a wrong password looks like.
NEVER = (
    "No advertisement has the digest of this password and these addresses: one of them is wrong, "
    "or the group is not on this network."
)


def lines(
    groups: Sequence[GroupView],
    tally: Tally,
    verifier: Verifier | None,
    began: float,
    calendar: Calendar,
) -> Iterator[str]:
    """
    The summary for people.

    @param groups: The groups at the end, in their order.
    @param began: When the observation began.
    """
    now = calendar.now()
    yield ""
    count = f"{len(groups)} group{'' if len(groups) == 1 else 's'}"
    yield f"Observed for {words.duration(max(0.0, now - began))}: {count}."
    for group in groups:
        yield f"  {group.key.interface}  {words.name(group.key)}: {_state(group)}"
        yield from (f"    {fact}" for fact in _facts(tally.of(group, now)))
    if tally.ignored:
        yield f"{_times(tally.ignored, 'packet')} had a form that every receiver refuses."
    if verifier is not None and not verifier.isKnown:
        yield NEVER


def records(groups: Sequence[GroupView], tally: Tally, calendar: Calendar) -> Iterator[str]:
    """
    The summary for programs: a line for each group.
    """
    for group in groups:
        record = {
            "time": calendar.machine(calendar.now()),
            "event": "summary",
            "interface": group.key.interface,
            **identity(group, calendar),
        }
        for field, value in attrs.asdict(tally.of(group, calendar.now())).items():
            record[_KEYS[field]] = round(value, 6)
        yield json.dumps(record) + "\n"


#: The keys of the objects.
_KEYS = {
    "changes": "changes",
    "bowOuts": "bow_outs",
    "twoMasters": "two_masters",
    "twoSeconds": "two_masters_seconds",
    "vacancies": "vacancies",
    "vacantSeconds": "vacant_seconds",
    "unverified": "unverified",
    "replays": "replays",
}


def _state(group: GroupView) -> str:
    sources = [textOf(host.source) for host in group.masters]
    if len(sources) > 1:
        return f"{len(sources)} MASTERS in the end, {' and '.join(sources)}"
    if sources:
        return f"{sources[0]} is master in the end"
    return f"no master in the end{f', last {textOf(group.last.source)}' if group.last else ''}"


def _facts(found: Sum) -> Iterator[str]:
    if found.twoMasters:
        lasted = words.duration(found.twoSeconds)
        yield f"several masters {_often(found.twoMasters)}, for {lasted} in all"
    if found.unverified:
        yield f"{_times(found.unverified, 'time')} another password or other addresses"
    if found.replays:
        yield f"{_times(found.replays, 'old advertisement')} sent again"
    yield f"{_times(found.changes, 'change')} of master"
    if found.bowOuts:
        yield _times(found.bowOuts, "bow-out")
    if found.vacancies:
        lasted = words.duration(found.vacantSeconds)
        yield f"no advertisement of a master {_often(found.vacancies)}, for {lasted} in all"


def _often(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _times(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
