"""
The last events of a process, as documents.

What happens becomes a L{Record} with a number.  A limited number of records is kept, and all
readers (L{txcarp.operate.streams}) read the same ones, each from its own position.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection
from typing import Any

import attrs
from zope.interface import implementer

from txcarp.interfaces import IOccurrenceObserver
from txcarp.occurrences import Occurrence
from txcarp.operate.documents import encoded
from txcarp.protocol.effects import Role
from txcarp.status.snapshot import Status

#: The number of records that are kept.
KEPT = 2000


@attrs.define(eq=False)
class Record:
    """
    An event.

    @ivar number: Its number in this process.
    @ivar time: When it happened, in seconds since 1970.
    """

    number: int
    time: float
    occurrence: Occurrence
    _json: bytes = b""

    @property
    def place(self) -> tuple[str, int] | None:
        """
        The interface and the number of the group; C{None} for all groups.
        """
        one = self.occurrence
        return (one.interface, one.vhid) if one.interface else None


@implementer(IOccurrenceObserver)
class EventLog:
    """
    The last events.

    @ivar records: The last records, the newest at the end.
    @ivar last: The number of the newest record.
    """

    def __init__(
        self, seconds: Callable[[], float] = time.time, happened: Callable[[], None] = lambda: None
    ) -> None:
        """
        @param seconds: Returns the time in seconds since 1970.
        @param happened: Called after each new record.
        """
        self._seconds = seconds
        self._happened = happened
        #: Tells the numbers of this process from those of an earlier one.
        self._start = f"{int(seconds() * 1000):x}"
        self.records: deque[Record] = deque(maxlen=KEPT)
        self.last = 0

    def occurred(self, occurrence: Occurrence) -> None:
        self.last += 1
        self.records.append(Record(self.last, self._seconds(), occurrence))
        self._happened()

    @property
    def first(self) -> int:
        """
        The number of the oldest record.
        """
        return self.last - len(self.records) + 1

    def since(self, number: int, limit: int) -> list[Record]:
        """
        Some records in their order.

        @param number: The number of the first one, which must be there, or be the next one.
        @param limit: The most records to return.
        """
        begin = number - self.first
        return [
            self.records[index]
            for index in range(begin, min(begin + limit, len(self.records)))
        ]

    def identity(self, number: int) -> str:
        """
        The C{id} of a record, which no other record has, also of a later process.
        """
        return f"{self._start}-{number}"

    def after(self, identity: str) -> int | None:
        """
        The number of the record after one with this C{id}; C{None} if records were lost since
        then.
        """
        start, _, digits = identity.partition("-")
        if start != self._start or not digits.isascii() or not digits.isdigit() or len(digits) > 18:
            return None
        number = int(digits) + 1
        return number if self.first <= number <= self.last + 1 else None

    def json(self, record: Record) -> bytes:
        """
        A record as a JSON object.
        """
        if not record._json:
            one = record.occurrence
            record._json = encoded(
                {
                    "id": self.identity(record.number),
                    "time": record.time,
                    "event": one.kind,
                    "group": one.group or None,
                    "interface": one.interface or None,
                    "vhid": one.vhid or None,
                    "reason": one.reason,
                    "peer": one.peer or None,
                    "actor": one.actor,
                    "text": one.explain(),
                    **one.facts,
                }
            )
        return record._json

    def own(self, event: str, reason: str, text: str, number: int) -> bytes:
        """
        A JSON object about a stream itself.

        @param number: The number of the last record before it.
        """
        return encoded({**self._head(event, reason, text), "id": self.identity(number)})

    def state(self, status: Status) -> bytes:
        """
        A group at the beginning of a stream as a JSON object.
        """
        past = status.changes
        reason = past[-1].change.reason.token if past else ""
        return encoded(
            {
                **self._head("state", reason, _words(status)),
                "time": status.time,
                "group": status.title or status.name,
                "interface": status.interface,
                "vhid": status.vhid,
                "peer": status.master or None,
                "role": status.role,
                "since": status.since,
                "readiness": status.readiness,
                "holds": [hold.reason for hold in status.holds],
                "demotion": status.demotion,
                "failing": [one.name for one in status.checks if one.health != "good"],
            }
        )

    def _head(self, event: str, reason: str, text: str) -> dict[str, Any]:
        return {
            "id": None,
            "time": self._seconds(),
            "event": event,
            "group": None,
            "interface": None,
            "vhid": None,
            "reason": reason,
            "peer": None,
            "actor": None,
            "text": text,
        }


def concerns(record: Record, places: Collection[tuple[str, int]]) -> bool:
    """
    Whether a record is about one of some groups, or about all; no groups stand for all groups.
    """
    return not places or record.place is None or record.place in places


def _words(status: Status) -> str:
    words = status.role.value
    if status.since is not None:
        words += f" for {status.since:.0f} s"
    if status.role is not Role.MASTER:
        words += f", master {status.master}" if status.master else ", no master is heard"
    if status.demotion:
        words += f", demoted by {status.demotion}"
    if status.holds:
        words += f", held back: {', '.join(hold.explain() for hold in status.holds)}"
    return words if status.running else "not running"
