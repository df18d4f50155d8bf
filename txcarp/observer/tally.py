"""
What an observation comes to in the end.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from txcarp.observer.reports import Cause, GroupKey, GroupView, Kind, Report

#: Groups to remember.
_GROUPS = 4096


@attrs.define
class Sum:
    """
    What happened in one group.

    @ivar changes: How often another host became master.
    @ivar bowOuts: How many masters resigned.
    @ivar twoMasters: How often there were several masters.
    @ivar twoSeconds: Seconds for which there were several masters.
    @ivar vacancies: How often a master fell silent or returned after a silence.
    @ivar vacantSeconds: Seconds from a last advertisement of a master to the first of the next.
    @ivar unverified: How often hosts began to sign with another password or for other addresses.
    @ivar replays: How many advertisements were sent again by somebody else.
    """

    changes: int = 0
    bowOuts: int = 0
    twoMasters: int = 0
    twoSeconds: float = 0.0
    vacancies: int = 0
    vacantSeconds: float = 0.0
    unverified: int = 0
    replays: int = 0


class Tally:
    """
    Adds up the reports.

    @ivar ignored: How many packets every receiver refuses.
    """

    def __init__(self) -> None:
        self.ignored = 0
        self._sums: dict[GroupKey, Sum] = {}

    def take(self, reports: Iterable[Report]) -> None:
        """
        Take reports into account.
        """
        for report in reports:
            if report.kind is Kind.IGNORED:
                self.ignored += 1
            if report.group is not None:
                self._take(report, report.group.key)

    def of(self, group: GroupView, now: float) -> Sum:
        """
        The sum for a group, with what has not ended yet.

        @param now: The end of the observation.
        """
        found = attrs.evolve(self._sums.get(group.key, Sum()))
        if group.twoSince is not None:
            found.twoSeconds += max(0.0, now - group.twoSince)
        if group.nobodySince is not None:
            found.vacancies += 1
            found.vacantSeconds += max(0.0, now - group.nobodySince)
        return found

    def _take(self, report: Report, key: GroupKey) -> None:
        found = self._sums.get(key)
        if found is None:
            if len(self._sums) >= _GROUPS:
                return
            found = self._sums[key] = Sum()
        seconds = report.seconds or 0.0
        match report.kind:
            case Kind.MASTER:
                found.changes += 1
                if report.cause in (Cause.SILENCE, Cause.BOW_OUT):
                    found.vacancies += 1
                    found.vacantSeconds += seconds
            case Kind.RETURNED:
                found.vacancies += 1
                found.vacantSeconds += seconds
            case Kind.BOW_OUT:
                found.bowOuts += 1
            case Kind.TWO_MASTERS:
                found.twoMasters += 1
            case Kind.ONE_MASTER:
                found.twoSeconds += seconds
            case Kind.DIGEST if report.host is not None and not report.host.verified:
                found.unverified += 1
            case Kind.REPLAY:
                found.replays += 1
