"""
The sockets of one family on one interface.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import cast

from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorFDSet,
    IReactorSocket,
    IReactorTime,
)
from twisted.logger import Logger

from txcarp.interfaces import IPacketReceiver
from txcarp.links import InterfaceAddress
from txcarp.network.addresslist import AddressList
from txcarp.network.admission import Admission
from txcarp.network.culprits import isSwitchedOff, whyDropped
from txcarp.network.front import FrontDoor
from txcarp.network.rawsocket import RawReceiver, RawSocket
from txcarp.network.readers import IPv4Reader, IPv6Reader
from txcarp.network.sample import SAMPLE_BUFFER, Sample
from txcarp.protocol.envelope import Packet
from txcarp.protocol.family import Family, isLinkLocal

#: The match of nftables for protocol 112.
_PROTOCOL_MATCHES = {Family.IPV4: "ip protocol 112", Family.IPV6: "ip6 nexthdr 112"}

#: How many times L{FamilyPort.readUnread} reads at most.  Each time reads up to 64 packets, and
#: a receive buffer holds some 300.
_MAXIMUM_READS = 16


class FamilyPort:
    """
    One raw socket and one L{FrontDoor} for all virtual hosts on an interface that take part
    in this family.  Each packet is delivered to the virtual host whose vhid is in it.

    The kernel drops what has another vhid or a wrong header.  A second raw socket gets a sample of
    the packets with wrong headers, so that they are explained and counted.

    However many virtual hosts come, go and change in one turn of the reactor, the filters of the
    sockets are exchanged once, in the next turn.

    @ivar family: The family.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorSocket,
        clock: IReactorTime,
        interface: str,
        family: Family,
        addresses: AddressList,
        lost: Callable[[], None],
        gone: Callable[[], OSError],
    ) -> None:
        """
        @param addresses: The addresses of this host.
        @param lost: Called when the reactor gave a socket up, or the kernel refused to
            change one: L{open} should be called again.
        @param gone: Makes the error to raise while the sockets are closed.
        """
        self.family = family
        self._reactor = reactor
        self._clock = clock
        self._interface = interface
        self._addresses = addresses
        self._index = 0
        self._lost = lost
        self._gone = gone
        self._receivers: dict[int, IPacketReceiver | None] = {}
        self._groups: dict[int, bytes] = {}
        self._routed: dict[int, frozenset[bytes]] = {}
        #: The virtual hosts that are watched in front of the firewall, each with the packed sources
        #: of packets that do not pass it.
        self._watched: dict[int, frozenset[bytes]] = {}
        self._raw: RawSocket | None = None
        self._reader: IPv4Reader | IPv6Reader | None = None
        self._sample: Sample | None = None
        self._front: FrontDoor | None = None
        #: Exchanges the filters.
        self._exchange: IDelayedCall | None = None
        #: The virtual hosts that hear, as far as their receivers know.
        self._hearing: set[int] = set()
        self._reportedFilter = False
        #: The packed addresses that L{isLocal} was asked about.
        self._sources: set[bytes] = set()

    @property
    def isIdle(self) -> bool:
        """
        Whether no virtual host takes part.
        """
        return not self._receivers

    @property
    def isOpen(self) -> bool:
        """
        Whether all sockets are open.
        """
        return None not in (self._raw, self._sample, self._front)

    def add(self, vhid: int, group: bytes) -> None:
        """
        Admit the packets of a virtual host and join its group: in the next turn of the reactor if
        the sockets are open, and otherwise with the next L{open}.
        """
        self._receivers[vhid] = None
        self._groups[vhid] = group
        if self._raw is not None:
            self._hearing.add(vhid)  # soon
        self._changed()

    def remove(self, vhid: int) -> None:
        """
        Undo L{add}.  Nothing is delivered to this virtual host any more.
        """
        if vhid not in self._receivers:
            return
        del self._receivers[vhid]
        del self._groups[vhid]
        self._routed.pop(vhid, None)
        self._watched.pop(vhid, None)
        self._hearing.discard(vhid)
        self._changed()

    def admitRouted(self, vhid: int, peers: Iterable[bytes]) -> None:
        """
        Admit packets of a virtual host that come through routers from some packed addresses, and
        from no others.
        """
        if vhid in self._receivers:
            before, after = self._routed.pop(vhid, frozenset()), frozenset(peers)
            if after:
                self._routed[vhid] = after
            if after != before:
                self._changed()

    def deliverTo(self, vhid: int, receiver: IPacketReceiver | None) -> None:
        """
        Deliver the packets of a virtual host to a receiver; drop them if it is C{None}.
        """
        if vhid in self._receivers:
            self._receivers[vhid] = receiver

    def open(self, index: int) -> None:
        """
        Open the sockets that are closed, and admit the packets of all virtual hosts that
        take part.

        @param index: The index of the interface.  If it changed, L{close} must come first.
        @raise OSError: If the kernel refuses something.  Everything else is done.
        """
        self._index = index
        if self._raw is None:
            self._raw, self._reader = self._openRaw(index)
        if self._sample is None:
            self._sample = self._openSample(index)
        if self._front is None:
            self._front = FrontDoor(
                cast(IReactorFDSet, self._reactor),
                self._clock,
                self._interface,
                self.family,
                partial(self._deliver, True),
                self._changed,
                self._frontClosed,
            )
        self._setFilters()

    def close(self) -> None:
        """
        Close all sockets.  The virtual hosts stay, for the next L{open}.
        """
        self._cancelExchange()
        for reader in (self._reader, self._sample, self._front):
            if reader is not None:
                reader.stop()
        if self._raw is not None:
            self._raw.close()
        self._raw = self._reader = self._sample = self._front = None

    def reportHearing(self) -> None:
        """
        Call C{transportChanged} of each receiver for which L{hears} has changed.
        """
        hearing = {vhid for vhid in self._receivers if self._canHear(vhid)}
        changed, self._hearing = hearing ^ self._hearing, hearing
        for vhid in changed:
            receiver = self._receivers.get(vhid)
            if receiver is not None:
                receiver.transportChanged()

    def dependsOn(self, address: InterfaceAddress) -> bool:
        """
        Whether a virtual host may be able to send from an address, or may want to.  With many
        virtual hosts, most news is about virtual addresses, which concern nobody here.
        """
        return address.local in self._sources or (
            self.family is Family.IPV6
            and address.index == self._index
            and isLinkLocal(address.local)
        )

    def reportChange(self) -> None:
        """
        Call C{transportChanged} of all receivers, which ask again what they need to know.
        """
        self._sources.clear()
        for vhid in list(self._receivers):
            receiver = self._receivers.get(vhid)
            if receiver is not None:
                receiver.transportChanged()

    def hears(self, vhid: int) -> bool:
        """
        Whether the packets of a virtual host arrive: the raw socket is open, its filter
        admits them, and it is a member of the group.

        The answer stays true while a lost socket is exchanged for another, and it is true from the
        moment at which a virtual host is added to open sockets.  Receivers are told only if the
        exchange fails: nothing would correct an answer of false.
        """
        return vhid in self._hearing or self._canHear(vhid)

    def send(self, packet: bytes, destination: bytes) -> None:
        """
        Send an IP packet with its header.

        @param destination: The packed address in the header.
        @raise OSError: If it was not sent.
        """
        if self._raw is None:
            raise self._gone()
        self._raw.send(packet, destination)

    def linkLocals(self) -> Sequence[bytes]:
        """
        See L{IAdvertisementTransport.linkLocals<txcarp.interfaces.IAdvertisementTransport>}.
        """
        isOpen = self.family is Family.IPV6 and self._raw is not None
        return self._addresses.linkLocals(self._index) if isOpen else ()

    def isLocal(self, address: bytes) -> bool:
        """
        See L{IAdvertisementTransport.isLocal<txcarp.interfaces.IAdvertisementTransport>}.
        """
        self._sources.add(address)
        return self._addresses.isLocal(address, self._index)

    def isSwitchedOff(self) -> bool:
        """
        See L{IAdvertisementTransport.isSwitchedOff<txcarp.interfaces.IAdvertisementTransport>}.
        """
        return isSwitchedOff(self.family, self._interface)

    def hasUnread(self) -> bool:
        """
        Whether the raw socket has packets that the reactor has not read.
        """
        return self._raw is not None and self._raw.hasUnread()

    def readUnread(self) -> None:
        """
        Read the packets that wait in the raw socket, for all virtual hosts.
        """
        for _ in range(_MAXIMUM_READS):
            if self._reader is None or not self.hasUnread():
                return
            try:
                self._reader.doRead()
            except OSError:
                return  # the interface went down; a port of Twisted passes that on

    def whyDropped(self, source: bytes) -> str:
        """
        See L{IAdvertisementTransport.whyDropped<txcarp.interfaces.IAdvertisementTransport>}.
        """
        return whyDropped(self._addresses, self._interface, self._index, self.family, source)

    def watchFront(self, vhid: int, wanted: bool, missing: Iterable[bytes] = ()) -> None:
        """
        Set whether the L{FrontDoor} reports the packets of a virtual host.

        @param missing: See L{IAdvertisementTransport<txcarp.interfaces.IAdvertisementTransport>}.
        """
        before = self._watched.pop(vhid, None)
        after = frozenset(missing) if wanted else None
        if after is not None:
            self._watched[vhid] = after
        if after != before:
            self._changed()

    def reportFilteredOutput(self) -> None:
        """
        Log, once, that the firewall drops outgoing advertisements.
        """
        if not self._reportedFilter:
            self._reportedFilter = True
            self._log.error(
                "The firewall of this host drops outgoing protocol 112 on {interface}; "
                "advertisements are sent as Ethernet frames, which bypass it. "
                "Allow them, for example with: "
                'nft insert rule inet filter output oifname "{interface}" {match} accept',
                interface=self._interface,
                match=_PROTOCOL_MATCHES[self.family],
            )

    def _openRaw(self, index: int) -> tuple[RawSocket, IPv4Reader | IPv6Reader]:
        raw = RawSocket(self._interface, index, self.family)
        arguments = raw.socket, self._interface, partial(self._deliver, False), self._rawClosed
        try:
            if self.family is Family.IPV4:
                return raw, IPv4Reader(self._reactor, *arguments)
            return raw, IPv6Reader(cast(IReactorFDSet, self._reactor), *arguments)
        except BaseException:
            raw.close()
            raise

    def _openSample(self, index: int) -> Sample:
        return Sample(
            cast(IReactorFDSet, self._reactor),
            self._clock,
            RawReceiver(self._interface, index, self.family, SAMPLE_BUFFER),
            self._interface,
            self.family,
            partial(self._deliver, False, isGood=False),
            self._sampleClosed,
        )

    def _changed(self) -> None:
        """
        Have the filters exchanged in the next turn of the reactor.
        """
        if self._raw is not None and self._exchange is None:
            self._exchange = self._clock.callLater(0, self._exchanged)

    def _exchanged(self) -> None:
        self._exchange = None
        try:
            self._setFilters()
        except OSError:
            self._lost()  # the kernel lacks memory, say
        self.reportHearing()

    def _cancelExchange(self) -> None:
        if self._exchange is not None:
            self._exchange.cancel()
            self._exchange = None

    def _setFilters(self) -> None:
        """
        Have the open sockets receive what is wanted now.

        @raise OSError: If the kernel refuses something.  Everything else is done.
        """
        self._cancelExchange()
        wanted = Admission(dict(self._groups), frozenset().union(*self._routed.values()))
        calls: list[Callable[[], None]] = []
        if self._raw is not None:
            code = wanted.good(self._raw.beginning)
            calls.append(partial(self._raw.admit, wanted.groups, code))
        if self._sample is not None:
            calls.append(partial(self._sample.admit, wanted))
        if self._front is not None:
            missing = frozenset[bytes]().union(*self._watched.values())
            calls.append(partial(self._front.watch, wanted.of(self._watched), missing))
        refused: OSError | None = None
        for call in calls:
            try:
                call()
            except OSError as error:
                refused = error  # it may concern one virtual host; the others work
        if refused is not None:
            raise refused

    def _canHear(self, vhid: int) -> bool:
        group = self._groups.get(vhid)
        return self._raw is not None and group is not None and self._raw.hears(vhid, group)

    def _deliver(self, inFront: bool, packet: Packet, isGood: bool = True) -> None:
        payload = packet.payload
        receiver = self._receivers.get(payload[1]) if len(payload) > 1 else None
        if receiver is None:
            return
        try:
            if inFront:
                receiver.packetFiltered(packet)
            else:
                if self._watched and isGood and self._front is not None:
                    self._front.repeats.passed(packet.source, payload[1])
                receiver.packetReceived(packet)
        except Exception:
            # The reactor would close the socket, for all virtual hosts.
            self._log.failure(
                "Handling a packet on {interface} failed; the packet is dropped",
                interface=self._interface,
            )

    def _rawClosed(self) -> None:
        self._log.warn(
            "The {family} socket on {interface} was closed by the reactor after an error; "
            "it will be opened again",
            family=self.family.value,
            interface=self._interface,
        )
        self.close()
        self._lost()

    def _sampleClosed(self) -> None:
        self._sample = None
        self._lost()

    def _frontClosed(self) -> None:
        self._front = None
        self._lost()
