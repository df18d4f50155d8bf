"""
Counts what happens, for metrics: what a status tells of one moment only.
"""

from __future__ import annotations

from collections import Counter

import attrs
from zope.interface import implementer

from txcarp.interfaces import IOccurrenceObserver
from txcarp.occurrences import Occurrence, OccurrenceKind


@attrs.define
class Counts:
    """
    What has happened to a group since it was added to this process.

    @ivar transitions: Changes of role, by the former role, the new role and the word of the reason.
    @ivar masters: Changes of the master that this host hears, by the word of the reason.
    @ivar lost: Reports of lost addresses, by the word for what happened to them.
    """

    transitions: Counter[tuple[str, str, str]] = attrs.field(factory=Counter)
    masters: Counter[str] = attrs.field(factory=Counter)
    lost: Counter[str] = attrs.field(factory=Counter)


@implementer(IOccurrenceObserver)
class Tally:
    """
    The counts of all groups of a process.

    Their number is that of the groups that were ever configured: what other hosts send adds none.

    @ivar reloads: How often the configuration file was read again, by the word of the result.
    """

    def __init__(self) -> None:
        self.reloads: Counter[str] = Counter()
        self._groups: dict[tuple[str, int], Counts] = {}

    def of(self, interface: str, vhid: int) -> Counts:
        """
        The counts of a group.
        """
        return self._groups.get((interface, vhid)) or Counts()

    def occurred(self, occurrence: Occurrence) -> None:
        kind, facts = occurrence.kind, occurrence.facts
        if kind is OccurrenceKind.RELOAD:
            self.reloads[occurrence.reason] += 1
            return
        place = occurrence.interface, occurrence.vhid
        if kind is OccurrenceKind.ADDED:
            self._groups[place] = Counts()
        elif kind is OccurrenceKind.TRANSITION:
            key = str(facts["previous"]), str(facts["role"]), occurrence.reason
            self._at(place).transitions[key] += 1
        elif kind is OccurrenceKind.MASTER:
            self._at(place).masters[occurrence.reason] += 1
        elif kind is OccurrenceKind.LEASE_LOST:
            self._at(place).lost[occurrence.reason] += 1

    def _at(self, place: tuple[str, int]) -> Counts:
        return self._groups.setdefault(place, Counts())
