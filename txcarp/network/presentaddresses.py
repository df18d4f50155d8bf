"""
Which addresses this host has, and whose they are.
"""

from __future__ import annotations

from txcarp.links import InterfaceAddress

#: How the kernel is told, and tells, who added an address (IFA_PROTO, since
#: Linux 5.18): the number of the protocol that moves it.
OURS = 112

#: Where the kernel does not say who added an address, one that will vanish
#: within this many seconds is taken for ours: nothing else leases that short.
_SHORT_LEASE = 60


def isOurs(address: InterfaceAddress) -> bool:
    """
    Whether this program, or an earlier run of it, put an address there.
    """
    if address.protocol is not None:
        return address.protocol == OURS
    return address.validLifetime is not None and address.validLifetime <= _SHORT_LEASE


class PresentAddresses:
    """
    What is believed to be there.  IPv4 knows an address of an interface twice
    if the prefix lengths differ.
    """

    def __init__(self) -> None:
        self._found: dict[tuple[int, bytes], dict[int, InterfaceAddress]] = {}

    def clear(self) -> None:
        """
        Believe nothing any more.
        """
        self._found.clear()

    def believe(self, address: InterfaceAddress, present: bool) -> InterfaceAddress | None:
        """
        An address is there, or is not.

        @return: What was believed before.
        """
        place = (address.index, address.local)
        found = self._found.setdefault(place, {})
        before = found.pop(address.prefixLength, None)
        if present:
            found[address.prefixLength] = address
        elif not found:
            del self._found[place]
        return before

    def on(self, index: int, local: bytes) -> list[InterfaceAddress]:
        """
        An address on an interface, with whatever prefix lengths.
        """
        return list(self._found.get((index, local), {}).values())

    def besides(self, index: int, local: bytes) -> list[InterfaceAddress]:
        """
        The same address on all other interfaces.
        """
        return [
            address
            for (other, packed), found in self._found.items()
            if packed == local and other != index
            for address in found.values()
        ]
