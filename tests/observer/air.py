"""
Packets made by hand, and hosts that advertise to an observer with a manual clock.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import attrs

from tests import crafted
from tests.crafted import packed
from txcarp.observer.reports import GroupView, Kind, Report
from txcarp.observer.watch import Watch
from txcarp.protocol.envelope import readPacket

ALPHA, BETA, GAMMA = "10.99.0.1", "10.99.0.2", "10.99.0.3"
ETH0 = "eth0"

#: Seconds between two ticks.
TICK = 0.25


def vrrp(
    *,
    vrid: int = 51,
    priority: int = 100,
    version: int = 3,
    interval: int = 100,
    addresses: tuple[str, ...] = ("10.99.0.200",),
    pseudo: bytes = b"",
) -> bytes:
    """
    The payload of a VRRP advertisement.

    @param interval: Hundredths of a second in version 3, seconds in version 2.
    @param pseudo: A pseudo-header that the checksum covers.
    """
    start = struct.pack("!BBBBH", version << 4 | 1, vrid, priority, len(addresses), interval)
    rest = b"".join(map(packed, addresses)) + (b"\0" * 8 if version == 2 else b"")
    total = crafted.checksum(pseudo + start + b"\0\0" + rest)
    return start + struct.pack("!H", total) + rest


@attrs.define
class Talker:
    """
    A host that advertises regularly.

    @ivar interval: Seconds between advertisements.
    @ivar speak: Makes a packet.
    @ivar next: When it will send the next one.
    """

    interval: float
    speak: Callable[[], bytes]
    next: float = 0.0


class Air:
    """
    A network with an observer and a manual clock.
    """

    def __init__(self, watch: Watch | None = None, now: float = 1000.0) -> None:
        self.watch = watch or Watch()
        self.now = now
        self.reports: list[Report] = []
        self.watch.listens(now, ETH0)
        # Long enough that whoever speaks now has not spoken before.
        self.run(10)

    def hear(self, packet: bytes, interface: str = ETH0, here: bool = False) -> list[Report]:
        """
        Deliver a packet now.

        @return: The resulting reports.
        """
        heard = self.watch.heard(
            self.now, interface, readPacket(packet), b"\2\0\0\0\0\1", here
        )
        self.reports += heard
        return heard

    def carp(self, source: str = ALPHA, skew: int = 0, base: int = 1, **fields: int) -> bytes:
        """
        A CARP packet.
        """
        body = crafted.payload(**{"vhid": 7, "advbase": base, "advskew": skew, **fields})  # type: ignore[arg-type]
        return crafted.packet(body, source=source)

    def bowOut(self, source: str = ALPHA) -> bytes:
        """
        A bow-out of a CARP master.
        """
        return self.carp(source, 255, 255)

    def vrrp(self, source: str = ALPHA, priority: int = 100, **fields: int) -> bytes:
        """
        A VRRP version 3 packet.
        """
        return crafted.packet(vrrp(priority=priority, **fields), source=source)  # type: ignore[arg-type]

    def talker(self, source: str = ALPHA, skew: int = 0, base: int = 1, **fields: int) -> Talker:
        """
        A CARP master.
        """
        return Talker(base + skew / 256, lambda: self.carp(source, skew, base, **fields))

    def run(self, seconds: float, *talkers: Talker) -> list[Report]:
        """
        Let time pass while some hosts advertise, the first time at once.

        @return: The resulting reports.
        """
        already = len(self.reports)
        end = self.now + seconds
        for talker in talkers:
            talker.next = self.now
        tick = self.now + TICK
        while True:
            speaker = min(talkers, key=lambda talker: talker.next, default=None)
            due = min(tick, end) if speaker is None else min(speaker.next, tick, end)
            if due >= end:
                break
            self.now = due
            if speaker is not None and speaker.next == due:
                speaker.next += speaker.interval
                self.hear(speaker.speak())
            else:
                tick += TICK
                self.reports += self.watch.tick(self.now)
        self.now = end
        return self.reports[already:]

    def take(self) -> list[Kind]:
        """
        The kinds of reports since the last call.
        """
        taken, self.reports = [report.kind for report in self.reports], []
        return taken

    def group(self) -> GroupView:
        """
        The only group.
        """
        (group,) = self.watch.groups()
        return group
