"""
A guard in this process: the production code of both sides, and hands that a test looks at.
"""

from __future__ import annotations

import marshal
from typing import Any

from twisted.internet.task import Clock

from tests.fakes import Stage
from txcarp.guard.guard import Guard
from txcarp.guard.sentry import Sentry
from txcarp.protocol.envelope import Packet, readPacket
from txcarp.testing.fakes import FakeAddressTable, Journal


class LocalHands:
    """
    Works on a table of addresses, and records the rest.

    @ivar stuck: Why no address can be removed; empty if all can.
    @ivar good: Whether scripts end well.
    """

    def __init__(self, journal: Journal, table: FakeAddressTable) -> None:
        self.journal = journal
        self.table = table
        self.stuck = ""
        self.good = True
        self.packets: list[Packet] = []

    def remove(self, addresses: list[tuple[int, bytes, int]]) -> dict[Any, str]:
        names = {one[1]: text for text, one in self.table._heldOn.items()}
        texts = [names.get(packed, "?") for _, packed, _ in addresses]
        self.journal.append(("guard removes", *texts))
        if self.stuck:
            return dict.fromkeys(addresses, self.stuck)
        for text in texts:
            self.table.present.pop(text, None)
        return {}

    def send(self, parcels: list[tuple[int, bytes, bytes]]) -> str:
        self.packets += [readPacket(packet) for _, _, packet in parcels]
        self.journal.append(("guard bows out", len(parcels)))
        return ""

    def run(self, script: tuple[Any, ...]) -> int:
        self.journal.append(("guard runs", *script[1]))
        return 1

    def ended(self, pid: int) -> bool | None:
        return self.good


class LocalGuard(Guard):
    """
    A guard whose other side is an object.
    """

    def __init__(self, clock: Clock, hands: LocalHands) -> None:
        seconds = clock.seconds
        super().__init__(None, clock, seconds=seconds, ages=seconds)  # type: ignore[arg-type]
        self.lines: list[str] = []
        self.marks = memoryview(bytearray(64)).cast("I")
        production: Any = hands
        self.sentry = Sentry(
            production, self.marks, self.lines.append, clock.seconds, clock.seconds
        )

    def post(self, will: Any, message: tuple[Any, ...]) -> None:
        self.sentry.received(marshal.loads(marshal.dumps(message)))


class GuardedStage(Stage):
    """
    A virtual host with addresses on lease, and a guard.
    """

    def equip(self) -> None:
        self.table = self.platform.addresses = FakeAddressTable(self.journal, self.clock)
        self.hands = LocalHands(self.journal, self.table)
        self.guard = self.platform.guard = LocalGuard(self.clock, self.hands)
        self.sentry = self.guard.sentry

    def hang(self, seconds: float) -> None:
        """
        Let some seconds pass in which only the guard runs.
        """
        end = self.clock.rightNow + seconds
        while self.clock.rightNow < end:
            wait = self.sentry.timeout()
            self.clock.rightNow = min(end, self.clock.rightNow + (wait or seconds))
            self.sentry.look(self.clock.seconds())

    def goOn(self) -> None:
        """
        Let this process run again.
        """
        self.clock.advance(0.0)
