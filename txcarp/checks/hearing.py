"""
Whose answers are followed, and who has answered.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from txcarp.interfaces import IPolling
from txcarp.protocol.family import Family, familyOf


class Hearing:
    """
    The answers of one host, and of the witnesses.

    @ivar followed: The packed addresses whose answers are followed, that of the host first; none
        while nobody is asked.
    @ivar pollings: What asks and receives the answers, in the family of the host first.
    """

    _log = Logger()

    def __init__(self, interface: str, polling: Callable[[Family], IPolling]) -> None:
        """
        @param interface: The name of the interface, for log lines.
        @param polling: Returns what asks the neighbours of a family; raises C{OSError}.
        """
        self.followed: tuple[bytes, ...] = ()
        self.pollings: list[IPolling] = []
        self._interface = interface
        self._polling = polling
        #: How many answers of each address were known at the last look.
        self._numbers: dict[bytes, int] = {}

    def follow(self, wanted: tuple[bytes, ...]) -> None:
        """
        Follow the answers of these addresses, and of no others.

        @param wanted: The packed addresses, that of the host first.
        @raise OSError: If those of the host cannot be received.
        """
        if wanted == self.followed:
            return
        before, self.followed = self.followed, ()
        followed: list[bytes] = []
        try:
            for one in wanted:
                self._polling(familyOf(one)).follow([one])
                followed.append(one)
        except OSError as error:
            if not followed:
                self._unfollow(before)
                raise
            self._log.warn(
                "Not all witnesses are asked on {interface}: {reason}",
                interface=self._interface,
                reason=error.strerror,
            )
        self._unfollow(before)
        self.followed = tuple(followed)
        self.pollings = [self._polling(one) for one in dict.fromkeys(map(familyOf, followed))]
        self._numbers = {one: self.heard(one)[0] for one in followed}

    def stop(self) -> None:
        """
        Follow nobody.
        """
        followed, self.followed = self.followed, ()
        self._unfollow(followed)

    def _unfollow(self, addresses: Sequence[bytes]) -> None:
        for one in addresses:
            self._polling(familyOf(one)).unfollow([one])

    def heard(self, address: bytes) -> tuple[int, bytes]:
        """
        Return how many answers of an address have arrived, and its last hardware address.
        """
        return self.of(address).heard(address)

    def of(self, address: bytes) -> IPolling:
        """
        Return what asks an address.
        """
        return self.pollings[len(address) != len(self.followed[0])]

    def forget(self, address: bytes) -> bytes:
        """
        Count the answers of an address from now on.

        @return: Its last hardware address.
        """
        self._numbers[address], hardware = self.heard(address)
        return hardware

    def isHeard(self, address: bytes) -> bool:
        """
        Whether an address has answered since the last look.
        """
        number, _ = self.heard(address)
        before = self._numbers.get(address, 0)
        self._numbers[address] = number
        return number > before
