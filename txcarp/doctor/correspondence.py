"""
What the doctors of one group tell each other in one address family.

There is no socket and no clock here: what arrives is told, and what is to be sent is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import attrs

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.doctor.facts import Advertiser, Partner
from txcarp.doctor.packet import (
    MOST_ECHOES,
    Echo,
    Kind,
    Seen,
    Signer,
    TestPacket,
    decode,
    encode,
    isTestPacket,
)
from txcarp.membership.reception import keyringOf
from txcarp.protocol import advertisement, ipv4, ipv6
from txcarp.protocol.advertisement import TTL
from txcarp.protocol.envelope import Packet
from txcarp.protocol.family import Family, familyOf
from txcarp.protocol.rejection import Rejected

#: Rounds in which a present partner is heard before everything has had time to arrive.
ENOUGH = 6

#: Rounds after which a partner that hears nothing will not do so any more.
HOPELESS = 12

#: Rounds without a packet after which a partner has ended.
GONE = 25

#: The most hosts that are remembered in each role.
_MOST = MOST_ECHOES

#: Microseconds by which the clock in a packet of a host that echoes nothing may differ: it may
#: have been recorded earlier, by anybody.
_RECENT = 600 * 10**6

#: The largest test packet, because listeners cut longer ones off.
_LARGEST = 8000

_SEEN = {
    Kind.MULTICAST: (Seen.MULTICAST_AT_INTERFACE, Seen.MULTICAST),
    Kind.UNICAST: (Seen.UNICAST_AT_INTERFACE, Seen.UNICAST),
    Kind.LARGE: (Seen.LARGE_AT_INTERFACE, Seen.LARGE),
}


@attrs.define
class _Known:
    """
    What is known of another doctor.

    @ivar fresh: What arrived in packets that echo this run.
    @ivar heard: What arrived at all.
    @ivar rounds: In how many rounds it was heard.
    @ivar silent: For how many rounds it has not been heard.
    @ivar isNew: Whether it was heard since the last round began.
    @ivar arrived: The own clock when its last packet arrived.
    """

    said: TestPacket
    source: bytes
    hops: int
    arrived: int
    fresh: Seen = Seen.NOTHING
    heard: Seen = Seen.NOTHING
    there: Seen = Seen.NOTHING
    isPresent: bool = False
    rounds: int = 0
    silent: int = 0
    isNew: bool = True
    hasSameSettings: bool = True
    distance: float | None = None

    @property
    def isJudged(self) -> bool:
        """
        Whether everything that can arrive has had time to.
        """
        return self.rounds >= (ENOUGH if self.isPresent else HOPELESS)

    @property
    def isGone(self) -> bool:
        """
        Whether it has ended.
        """
        return self.silent > GONE


class Correspondence:
    """
    The doctors of one group in one family.
    """

    def __init__(
        self,
        group: VirtualHostConfiguration,
        family: Family,
        source: bytes,
        run: bytes,
        mtu: int,
        others: Iterable[bytes] = (),
    ) -> None:
        """
        @param source: The packed address to send from.
        @param run: Eight random bytes for this run of the doctor.
        @param mtu: The MTU of the interface.
        @param others: The packed addresses of other hosts that an administrator has named.
        """
        self.group = group
        self.family = family
        self.source = source
        self._run = run
        self._mtu = mtu
        self._keyring = keyringOf(group)
        # While a group changes its password, its hosts know several of them, each another one.
        passwords = dict.fromkeys((group.password, *group.otherPasswords))
        self._signers = [Signer(password, group.vhid) for password in passwords]
        self._marks = [_marks(signer, group) for signer in self._signers]
        self._known: dict[bytes, _Known] = {}
        self._advertisers: dict[tuple[bytes, bool, bool], Advertiser] = {}
        self._strangers: dict[bytes, None] = {}
        self.isEchoed = False
        #: The source of the last advertisement of a member, and how often that changed.
        self._lastSource = b""
        self.turns = 0
        wanted = [one for one in (*group.peers, *others) if familyOf(one) is family]
        self._named = [one for one in dict.fromkeys(wanted) if one != source]
        self._round = 0

    def arrived(self, packet: Packet, isBehind: bool, isHere: bool, clock: int) -> None:
        """
        Take note of a packet about this group (L{vhidIn<txcarp.doctor.packet.vhidIn>}).

        @param isBehind: Whether it has passed the firewall.
        @param isHere: Whether this host sent it.
        @param clock: The wall clock when it arrived, microseconds since 1970.
        """
        if isTestPacket(packet.payload):
            if not isHere:
                self._test(packet, isBehind, clock)
        else:
            self._advertisement(packet, isBehind, isHere)

    def _test(self, packet: Packet, isBehind: bool, clock: int) -> None:
        source = packet.source
        found = self._verified(packet)
        if found is None:
            if len(self._strangers) < _MOST:
                self._strangers[source] = None
            return
        said, hasSameSettings = found
        if said.run == self._run:
            self.isEchoed = True
            return
        echo = next((one for one in said.echoes if one.run == self._run), None)
        if echo is None and abs(said.clock - clock) > _RECENT:
            return
        known = self._known.get(source)
        if known is None or known.said.run != said.run:
            # A doctor that was started again takes the place of its former run.
            if known is None and len(self._known) >= _MOST:
                return
            if known is not None and known.isPresent and echo is None:
                return
            known = self._known[source] = _Known(said, source, TTL - packet.hops, clock)
        seen = _SEEN[said.kind][isBehind]
        known.heard |= seen
        known.said, known.arrived = said, clock
        known.isNew = True
        known.hasSameSettings = hasSameSettings
        if echo is not None:
            known.isPresent = True
            known.fresh |= seen
            known.there |= echo.seen
            if not isBehind:
                ours, theirs = echo.own - echo.theirs, said.clock - clock
                known.distance = (ours + theirs) / 2e6

    def _verified(self, packet: Packet) -> tuple[TestPacket, bool] | None:
        """
        What a packet says, and whether its sender has the settings of this host; C{None} if no
        password fits.
        """
        for signer, marks in zip(self._signers, self._marks, strict=True):
            with suppress(Rejected):
                said = decode(packet.payload, signer, packet.source)
                return said, said.settings in marks
        return None

    def _advertisement(self, packet: Packet, isBehind: bool, isHere: bool) -> None:
        try:
            found = advertisement.decode(packet.payload)
        except Rejected:
            return
        if advertisement.looksLikeVRRP(packet.payload):
            return
        isMember = self._keyring.recognise(found.counter, found.digest) is not None
        if isMember and not isBehind:
            self.turns += self._lastSource not in (b"", packet.source)
            self._lastSource = packet.source
        key = packet.source, isHere, isMember
        known = self._advertisers.get(key)
        if known is None:
            if len(self._advertisers) >= 4 * _MOST:
                return
            known = Advertiser(packet.source, isHere, isMember)
        self._advertisers[key] = attrs.evolve(
            known,
            atInterface=known.atInterface + (not isBehind),
            behind=known.behind + isBehind,
        )

    def toSend(self, clock: int) -> Iterator[tuple[Kind, bytes, bytes]]:
        """
        Begin a round.

        @param clock: The wall clock, microseconds since 1970.
        @return: The kind, the packed destination and the payload of each packet.
        """
        self._round += 1
        echoes = []
        for known in self._known.values():
            known.rounds += known.isNew
            known.silent = 0 if known.isNew else known.silent + 1
            known.isNew = False
            echoes.append(Echo(known.said.run, known.heard, known.said.clock, known.arrived))
        for signer, [mark, *_] in zip(self._signers, self._marks, strict=True):
            yield from self._signed(signer, mark, clock, echoes)

    def _signed(
        self, signer: Signer, mark: bytes, clock: int, echoes: Sequence[Echo]
    ) -> Iterator[tuple[Kind, bytes, bytes]]:
        """
        The packets of a round that one password signs.
        """
        packet = TestPacket(
            self.group.vhid,
            Kind.MULTICAST,
            self._run,
            clock,
            self._mtu,
            mark,
            self.group.advbase,
            self.group.advskew,
            self.isDone,
            tuple(echoes),
        )
        isIPv4 = self.family is Family.IPV4
        group = self.group.group if isIPv4 else self.group.group6
        yield Kind.MULTICAST, group, encode(packet, signer, self.source)
        unicast = encode(attrs.evolve(packet, kind=Kind.UNICAST), signer, self.source)
        for address in self.others():
            yield Kind.UNICAST, address, unicast
        header = ipv4.HEADER if isIPv4 else ipv6.HEADER
        for known in self._known.values():
            if self._round % 2 and Seen.LARGE_AT_INTERFACE not in known.there:
                size = min(self._mtu, known.said.mtu, _LARGEST) - header
                large = attrs.evolve(packet, kind=Kind.LARGE)
                yield Kind.LARGE, known.source, encode(large, signer, self.source, size & ~1)

    def others(self) -> list[bytes]:
        """
        The packed addresses of all other hosts that are known.
        """
        heard = [one.source for one in self._advertisers.values() if one.isMember]
        found = dict.fromkeys((*self._named, *self._known, *heard))
        return [one for one in found if one != self.source]

    def doctors(self) -> list[bytes]:
        """
        The packed addresses of the other doctors that were heard.
        """
        return list(self._known)

    @property
    def isDone(self) -> bool:
        """
        Whether everything that can arrive has had time to.
        """
        return all(one.isJudged or one.isGone for one in self._known.values())

    @property
    def isDismissed(self) -> bool:
        """
        Whether no other doctor waits for this one.
        """
        return self.isDone and all(
            one.said.isDone or one.isGone or one.rounds >= 2 * HOPELESS
            for one in self._known.values()
        )

    def strangers(self) -> list[bytes]:
        """
        The packed addresses of doctors that know none of the passwords of this host.
        """
        return [one for one in self._strangers if one not in self._known]

    def lost(self) -> list[bytes]:
        """
        The packed addresses of doctors that have ended too early.
        """
        return [one.source for one in self._known.values() if not one.isJudged]

    def partners(self) -> list[Partner]:
        """
        The other doctors that were heard for long enough.
        """
        return [
            Partner(
                one.source,
                one.isPresent,
                one.fresh if one.isPresent else one.heard,
                one.there,
                one.said,
                one.hasSameSettings,
                one.hops,
                one.distance,
            )
            for one in self._known.values()
            if one.isJudged
        ]

    def advertisers(self) -> list[Advertiser]:
        """
        The hosts that advertise with the number of the group.
        """
        return list(self._advertisers.values())


def _marks(signer: Signer, group: VirtualHostConfiguration) -> list[bytes]:
    """
    The marks of the sets of addresses of a group, the present one first.
    """
    dialect = group.dialect.name.encode()
    return [
        signer.mark([dialect, *sorted(one.packed for one in addresses)])
        for addresses in (group.addresses, *group.otherAddresses)
    ]
