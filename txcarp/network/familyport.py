"""
The advertisements of one family on one interface.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from twisted.internet.interfaces import IReactorFDSet, IReactorSocket
from twisted.logger import Logger

from txcarp.interfaces import IPacketReceiver
from txcarp.network.front import FrontDoor
from txcarp.network.linklocal import LinkLocalAddress
from txcarp.network.rawsocket import RawSocket
from txcarp.network.readers import IPv4Reader, IPv6Reader
from txcarp.protocol.envelope import Packet
from txcarp.protocol.family import Family

#: How nftables names protocol 112.
_PROTOCOL_MATCHES = {Family.IPV4: "ip protocol 112", Family.IPV6: "ip6 nexthdr 112"}


class FamilyPort:
    """
    One raw socket and one front door, which all virtual hosts of an interface
    share that take part in this family.  What is received is given to the
    virtual host that it names.

    @ivar family: Which family.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: IReactorSocket,
        interface: str,
        family: Family,
        lost: Callable[[], None],
        gone: Callable[[], OSError],
    ) -> None:
        """
        @param lost: Called when the reactor gave a socket up, or the kernel
            refused to change one, so that L{open} has something to do again.
        @param gone: What to raise while nothing is open.
        """
        self.family = family
        self._reactor = reactor
        self._interface = interface
        self._lost = lost
        self._gone = gone
        self._receivers: dict[int, IPacketReceiver | None] = {}
        self._groups: dict[int, bytes] = {}
        self._watched: set[int] = set()
        self._raw: RawSocket | None = None
        self._reader: IPv4Reader | IPv6Reader | None = None
        self._front: FrontDoor | None = None
        self._linkLocal: LinkLocalAddress | None = None
        self._toldHears: set[int] = set()
        self._saidFiltered = False

    @property
    def isIdle(self) -> bool:
        """
        Whether no virtual host is left.
        """
        return not self._receivers

    def add(self, vhid: int, group: bytes) -> None:
        """
        Admit the packets of a virtual host, and be a member of its group, from
        the next L{open} on.
        """
        self._receivers[vhid] = None
        self._groups[vhid] = group

    def deliverTo(self, vhid: int, receiver: IPacketReceiver | None) -> None:
        """
        Give the packets of a virtual host to a receiver; C{None} drops them.
        """
        if vhid in self._receivers:
            self._receivers[vhid] = receiver

    def remove(self, vhid: int) -> None:
        """
        Deliver nothing more for a virtual host.
        """
        if vhid not in self._receivers:
            return
        del self._receivers[vhid]
        del self._groups[vhid]
        self._watched.discard(vhid)
        self._toldHears.discard(vhid)
        if self._raw is not None:
            try:
                self._raw.admit(self._receivers, self._groups.values())
            except OSError:
                self._lost()
        self._refreshFront()

    def open(self, index: int) -> None:
        """
        Open what is not open yet, and let through what is wanted now.

        @param index: The index of the interface; for another one than before
            L{close} this first.
        @raise OSError: If the kernel refuses something.  What is open then
            works.
        """
        if self._raw is None:
            self._raw, self._reader = self._openRaw(index)
        refused: OSError | None = None
        try:
            self._raw.admit(self._receivers, self._groups.values())
        except OSError as error:
            refused = error  # which may concern one virtual host; the others go on
        if self._linkLocal is None and self.family is Family.IPV6:
            self._linkLocal = LinkLocalAddress(self._interface, index)
        if self._front is None:
            self._front = FrontDoor(
                cast(IReactorFDSet, self._reactor),
                self._interface,
                self.family,
                self._frontReceived,
                self._frontClosed,
            )
        self._front.watch(self._watched)
        if refused is not None:
            raise refused

    def close(self) -> None:
        """
        Close everything; who takes part stays known.
        """
        if self._reader is not None:
            self._reader.stop()
            self._reader = None
        if self._front is not None:
            self._front.stop()
        for opened in (self._raw, self._linkLocal):
            if opened is not None:
                opened.close()
        self._raw = self._front = self._linkLocal = None

    def tellHearing(self) -> None:
        """
        Tell each virtual host for which L{hears} is not what it was told last.
        """
        hearing = {vhid for vhid in self._receivers if self._hearsNow(vhid)}
        changed, self._toldHears = hearing ^ self._toldHears, hearing
        for vhid in changed:
            receiver = self._receivers.get(vhid)
            if receiver is not None:
                receiver.hearingChanged()

    def hears(self, vhid: int) -> bool:
        """
        Whether the raw socket is open, lets the packets of a virtual host through, and is
        a member of its group; also while it is exchanged for another, of which nobody is
        told unless that fails.
        """
        return vhid in self._toldHears or self._hearsNow(vhid)

    def _hearsNow(self, vhid: int) -> bool:
        group = self._groups.get(vhid)
        return self._raw is not None and group is not None and self._raw.hears(vhid, group)

    def send(self, packet: bytes, destination: bytes) -> None:
        """
        Send an IP packet with its header.

        @param destination: The packed address that the header names.
        @raise OSError: If it did not leave.
        """
        if self._raw is None:
            raise self._gone()
        self._raw.send(packet, destination)

    def linkLocal(self) -> bytes:
        """
        The packed address that the kernel would send to the IPv6 group from.

        @raise OSError: If there is none.
        """
        if self._linkLocal is None:
            raise self._gone()
        return self._linkLocal.find()

    def hasUnread(self) -> bool:
        """
        Whether the raw socket has packets that nobody has read.
        """
        return self._raw is not None and self._raw.hasUnread()

    def watchFront(self, vhid: int, wanted: bool) -> None:
        """
        Whether to report the packets of a virtual host in front of the
        firewall.
        """
        (self._watched.add if wanted else self._watched.discard)(vhid)
        self._refreshFront()

    def reportFilteredOutput(self) -> None:
        """
        Say, once, that the firewall does not let advertisements out.
        """
        if not self._saidFiltered:
            self._saidFiltered = True
            self._log.error(
                "The firewall of this host drops outgoing protocol 112 on {interface}; "
                "advertisements are sent around it. Allow them, for example with: "
                'nft insert rule inet filter output oifname "{interface}" {match} accept',
                interface=self._interface,
                match=_PROTOCOL_MATCHES[self.family],
            )

    def _openRaw(self, index: int) -> tuple[RawSocket, IPv4Reader | IPv6Reader]:
        raw = RawSocket(self._interface, index, self.family)
        common = raw.socket, self._interface, self._received, self._rawClosed
        try:
            if self.family is Family.IPV4:
                return raw, IPv4Reader(self._reactor, *common)
            return raw, IPv6Reader(cast(IReactorFDSet, self._reactor), *common)
        except BaseException:
            raw.close()
            raise

    def _received(self, packet: Packet) -> None:
        self._deliver(packet, filtered=False)

    def _frontReceived(self, packet: Packet) -> None:
        self._deliver(packet, filtered=True)

    def _deliver(self, packet: Packet, filtered: bool) -> None:
        payload = packet.payload
        receiver = self._receivers.get(payload[1]) if len(payload) > 1 else None
        if receiver is None:
            return
        try:
            if filtered:
                receiver.packetFiltered(packet)
            else:
                receiver.packetReceived(packet)
        except Exception:
            # The reactor would close the socket, for all virtual hosts.
            self._log.failure(
                "Handling a packet on {interface} failed; the packet is dropped",
                interface=self._interface,
            )

    def _rawClosed(self) -> None:
        self._log.warn(
            "The {family} socket on {interface} was closed",
            family=self.family.value,
            interface=self._interface,
        )
        self._reader = None
        self.close()
        self._lost()

    def _frontClosed(self) -> None:
        self._front = None
        self._lost()

    def _refreshFront(self) -> None:
        if self._front is not None:
            try:
                self._front.watch(self._watched)
            except OSError:
                self._lost()  # the kernel is short of something; what asks for this is not
