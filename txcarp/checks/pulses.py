"""
Asks the hosts of masters, every few milliseconds, whether they are there.

However many groups have the same master on an interface, its host is asked once for all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from txcarp.checks.masterpulse import MasterPulse, Wish
from txcarp.interfaces import IPlatform, IPolling
from txcarp.protocol.family import Family

#: The most hosts that are asked on one interface.
MOST_HOSTS = 16

#: The most hosts that are remembered because their silence was no death.
_MOST_SUSPENDED = 64


class Pulses:
    """
    The hosts of the masters of all virtual hosts on one platform.
    """

    def __init__(self, platform: IPlatform) -> None:
        self._platform = platform
        self._pulses: dict[tuple[str, bytes], MasterPulse] = {}
        self._pollings: dict[tuple[str, Family], IPolling] = {}
        #: Until when a host is not asked.
        self._suspended: dict[tuple[str, bytes], float] = {}

    def join(
        self,
        interface: str,
        address: bytes,
        key: object,
        wish: Wish,
        changed: Callable[[], None],
    ) -> MasterPulse:
        """
        Ask the host of a master for a group, or in another way than before.

        @param address: Its packed address.
        @param key: What nobody else uses as a key.
        @param changed: See L{MasterPulse.add}.
        """
        place = interface, address
        pulse = self._pulses.get(place)
        if pulse is None:
            present = sum(one == interface for one, _ in self._pulses)
            problem = ""
            if self._platform.neighbours is None:
                problem = "this platform cannot ask neighbours"
            elif present >= MOST_HOSTS:
                problem = f"there are more than {MOST_HOSTS} masters on {interface}"
            pulse = self._pulses[place] = MasterPulse(
                self._platform, interface, address, lambda one: self._polling(interface, one),
                problem,
            )
            left = self._suspended.pop(place, 0.0) - self._platform.clock.seconds()
            if left > 0:
                pulse.suspend(left)
        pulse.add(key, wish, changed)
        return pulse

    def leave(self, interface: str, address: bytes, key: object) -> None:
        """
        Undo L{join}.
        """
        place = interface, address
        pulse = self._pulses.get(place)
        if pulse is None:
            return
        pulse.remove(key)
        if not pulse.isIdle:
            return
        del self._pulses[place]
        left = pulse.status().suspended
        if left is not None:
            self._remember(place, left)
        for there, polling in list(self._pollings.items()):
            if polling.isIdle:
                del self._pollings[there]
                polling.close()

    def suspend(self, interface: str, address: bytes, seconds: float) -> None:
        """
        Do not ask a host for some time, because its silence was no death.
        """
        place = interface, address
        if place in self._pulses:
            self._pulses[place].suspend(seconds)
        else:
            self._remember(place, seconds)

    def _remember(self, place: tuple[str, bytes], seconds: float) -> None:
        self._suspended.pop(place, None)
        self._suspended[place] = self._platform.clock.seconds() + seconds
        if len(self._suspended) > _MOST_SUSPENDED:
            del self._suspended[next(iter(self._suspended))]

    def _polling(self, interface: str, family: Family) -> IPolling:
        there = interface, family
        polling = self._pollings.get(there)
        if polling is None:
            neighbours = self._platform.neighbours
            assert neighbours is not None
            polling = self._pollings[there] = neighbours.poll(interface, family)
        return polling
