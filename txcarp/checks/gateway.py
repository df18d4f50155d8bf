"""
Whether another host on the link answers, such as the gateway.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from zope.interface import implementer

from txcarp.addresses import parseAddress, textOf
from txcarp.checks.tcp import CheckFailed
from txcarp.interfaces import INeighbours, IPlatform, IWitness
from txcarp.protocol.family import isMulticast

#: The most addresses that one check asks.
MOST_WITNESSES = 8


def _packed(addresses: Sequence[str | bytes]) -> tuple[bytes, ...]:
    """
    @raise ValueError: If one is no address of a host.
    """
    found = [parseAddress(one) if isinstance(one, str) else one for one in addresses]
    for one in found:
        if len(one) not in (4, 16) or not any(one) or isMulticast(one):
            raise ValueError(f"{textOf(one)!r} is not the address of one host")
    if len(found) > MOST_WITNESSES:
        raise ValueError(f"there are {len(found)} addresses; at most {MOST_WITNESSES} are possible")
    return tuple(dict.fromkeys(found))


def _tuple(sources: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple(sources)


@implementer(IWitness)
@attrs.frozen
class GatewayCheck:
    """
    Whether the gateway, or another witness, answers on the link of the group, by ARP or neighbour
    solicitation.  One answer is enough.

    An answer proves that the link of this host carries packets in both directions.  Nothing
    proves who answered: any host on the link can.

    @ivar addresses: Whom to ask, as text or packed; empty for the next hops of the default routes
        through the interface, as they are at each run.
    @ivar interface: The interface; empty for that of the group.
    @ivar sources: The packed addresses that this host alone has there.
    """

    addresses: tuple[bytes, ...] = attrs.field(default=(), converter=_packed)
    interface: str = ""
    sources: tuple[bytes, ...] = attrs.field(default=(), converter=_tuple, repr=False)

    def on(self, interface: str, sources: Sequence[bytes]) -> GatewayCheck:
        if self.interface:
            return self
        return GatewayCheck(self.addresses, interface, sources)

    async def run(self, platform: IPlatform, timeout: float) -> str:
        neighbours = platform.neighbours
        if neighbours is None:
            raise CheckFailed("this platform cannot ask neighbours")
        addresses: Sequence[bytes] = self.addresses
        try:
            if not addresses:
                addresses = await neighbours.gateways(self.interface)
        except OSError as error:
            raise CheckFailed(_reason(error)) from None
        if not addresses:
            raise CheckFailed(f"no default route goes through {self.interface}")
        return await self._firstOf(neighbours, addresses)

    async def _firstOf(self, neighbours: INeighbours, addresses: Sequence[bytes]) -> str:
        asked: dict[bytes, Deferred[bytes]] = {}
        problems: list[str] = []
        for address in addresses[:MOST_WITNESSES]:
            try:
                asked[address] = neighbours.ask(self.interface, address, self.sources)
            except OSError as error:
                problems.append(_reason(error))
        if not asked:
            raise CheckFailed("; ".join(dict.fromkeys(problems)))
        several = list(asked.values())
        first = DeferredList(several, fireOnOneCallback=True, consumeErrors=True)
        try:
            answer = await first
        finally:
            for one in several:
                one.cancel()
        if isinstance(answer, tuple):
            hardware, place = answer
            return f"{textOf(list(asked)[place])} is at {hardware.hex(':')}"
        error = answer[0][1].value
        if isinstance(error, CancelledError):
            raise CheckFailed(f"no answer from {' and '.join(textOf(one) for one in asked)}")
        raise CheckFailed(_reason(error))


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error)
