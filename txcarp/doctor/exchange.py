"""
Some seconds on the network: test packets, the advertisements of the groups, and questions to the
neighbours.  Blocks.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from collections.abc import Callable, Mapping, Sequence

from txcarp.addresses import textOf
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.doctor.correspondence import Correspondence
from txcarp.doctor.ears import Enquiry, Voice
from txcarp.doctor.facts import HostFacts, PathFacts
from txcarp.doctor.packet import Kind, vhidIn
from txcarp.links import Link
from txcarp.network.sockets import MissingCapability
from txcarp.observer import wire
from txcarp.protocol.envelope import Packet
from txcarp.protocol.family import Family, familyOf, isLinkLocal
from txcarp.protocol.rejection import Rejected

#: Seconds between two rounds.
_ROUND = 0.2

#: Seconds to listen at least, and at most for the advertisements of a slow master.
_LEAST, _MOST = 3.0, 12.0

#: Seconds that a round takes for each group and family, if these are many.
_EACH = 0.002

#: For how many of them packets are sent before some are read.
_AT_ONCE = 8

#: Seconds after the wait in which everything has been tested, even among hundreds of groups.
_LONGEST = 60.0

#: Rounds in which the neighbours are asked.
_ASKING = 15

#: How often the last packets are sent.
_FAREWELLS = 2

#: The most packets that are read from one socket before the others have their turn.
_PER_TURN = 64

#: In place of an IPv4 source that an interface does not have: an address for documents (RFC 5737).
NO_SOURCE = bytes((192, 0, 2, 255))


def sourceOf(group: VirtualHostConfiguration, family: Family, host: HostFacts) -> bytes:
    """
    The packed address from which a group advertises in a family; empty if there is none.
    """
    given = group.source if family is Family.IPV4 else group.source6
    if given is not None:
        return b"" if given == NO_SOURCE else given
    virtual = {one.packed for one in group.addresses}
    for one in host.on(group.interface):
        if isLinkLocal(one.local) and one.isUsable and one.local not in virtual:
            return one.local
    return b""


def exchange(
    groups: Sequence[VirtualHostConfiguration],
    host: HostFacts,
    others: Sequence[bytes],
    wait: float,
    untested: list[str],
    progress: Callable[[str], None],
) -> list[PathFacts]:
    """
    Test the paths of all groups.

    @param others: The packed own addresses of other hosts.
    @param wait: Seconds to wait for other doctors.
    @param untested: What could not be tested is added to it.
    @param progress: Told what happens, for people who wait.
    @return: The facts of each group and family.
    """
    with _Session(groups, host, others, untested) as session:
        with contextlib.suppress(KeyboardInterrupt):
            session.run(wait, progress)
        return session.facts()


class _Session:
    """
    All sockets, and what arrived on them.
    """

    def __init__(
        self,
        groups: Sequence[VirtualHostConfiguration],
        host: HostFacts,
        others: Sequence[bytes],
        untested: list[str],
    ) -> None:
        self._host = host
        self._untested = untested
        run = os.urandom(8)
        self._all: list[Correspondence] = []
        for group in groups:
            link = host.link(group.interface)
            for family in group.families:
                source = sourceOf(group, family, host)
                mtu = link.mtu if link is not None else 0
                self._all.append(Correspondence(group, family, source, run, mtu, others))
        #: The same by interface, family and vhid.
        self._places = {(one.group.interface, one.family, one.group.vhid): one for one in self._all}
        self._fronts: dict[str, socket.socket] = {}
        self._voices: dict[tuple[str, Family], Voice] = {}
        self._enquiries: dict[tuple[str, Family], Enquiry] = {}
        self._errors: dict[tuple[Correspondence, Kind], int] = {}
        self._sent: set[tuple[Correspondence, Kind]] = set()
        self._listened = 0.0
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> _Session:
        for name in dict.fromkeys(one.group.interface for one in self._all):
            link = self._host.link(name)
            if link is None or not link.up or link.isEnslaved:
                continue
            try:
                self._open(link)
            except OSError as error:
                isMine = isinstance(error, MissingCapability)
                reason = str(error.strerror) if isMine else os.strerror(error.errno or 0)
                self._untested.append(f"the paths on {name}: {reason}")
        return self

    def __exit__(self, *raised: object) -> None:
        self._opened.close()

    def _open(self, link: Link) -> None:
        front = self._opened.enter_context(wire.openListener(link.name))
        for family in Family:
            here = [one for one in self._on(link.name) if one.family is family and one.source]
            if not here:
                continue
            configured = [one.group for one in here]
            isIPv4 = family is Family.IPV4
            groups = {one.vhid: one.group if isIPv4 else one.group6 for one in configured}
            voice = Voice(link, family, groups)
            self._opened.callback(voice.close)
            self._voices[link.name, family] = voice
            if link.address:
                enquiry = Enquiry(link, family)
                self._opened.callback(enquiry.socket.close)
                self._enquiries[link.name, family] = enquiry
        self._fronts[link.name] = front

    def _on(self, interface: str) -> list[Correspondence]:
        return [one for one in self._all if one.group.interface == interface]

    def run(self, wait: float, progress: Callable[[str], None]) -> None:
        """
        Exchange test packets until everybody has heard what can be heard, and listen for as long as
        the slowest master may be silent.
        """
        if not self._fronts:
            return
        slowest = max(one.group.advbase + one.group.advskew / 256 for one in self._all)
        least = min(max(_LEAST, slowest + 1.0), _MOST)
        pause = max(_ROUND, _EACH * len(self._all))
        begin = time.monotonic()
        due, rounds = begin, 0
        met: set[bytes] = set()
        while True:
            now = time.monotonic()
            if now >= due:
                if self._isOver(now - begin, least, wait):
                    break
                due = now + pause
                self._send()
                if rounds < _ASKING:
                    self._ask()
                rounds += 1
                for address in {address for one in self._all for address in one.doctors()} - met:
                    met.add(address)
                    progress(f"{textOf(address)} answers")
            self._listen(max(0.0, due - time.monotonic()))
            self._listened = time.monotonic() - begin
        # The others may wait for the word that this host waits for nothing.
        for _ in range(_FAREWELLS):
            self._send()
        for one in self._all:
            for address in one.lost():
                self._untested.append(f"the path to {textOf(address)}: its doctor has ended early")

    def _isOver(self, elapsed: float, least: float, wait: float) -> bool:
        hasPartner = any(one.doctors() for one in self._all)
        if elapsed < least or (elapsed < wait and not hasPartner):
            return False
        if elapsed > max(least, wait) + _LONGEST:
            return True
        return all(one.isDismissed for one in self._all)

    def _send(self) -> None:
        for number, one in enumerate(self._all):
            if number % _AT_ONCE == _AT_ONCE - 1:
                self._listen(0.0)  # the packets of the others must not have to wait for long
            voice = self._voices.get((one.group.interface, one.family))
            if voice is None:
                continue
            for kind, destination, payload in one.toSend(_clock()):
                try:
                    voice.send(payload, one.source, destination)
                    self._sent.add((one, kind))
                except OSError as error:
                    self._errors.setdefault((one, kind), error.errno or 0)

    def _ask(self) -> None:
        for one in self._all:
            enquiry = self._enquiries.get((one.group.interface, one.family))
            if enquiry is None:
                continue
            near = self._host.on(one.group.interface)
            isOwn = any(address.local == one.source for address in near)
            source = one.source if isOwn else b""
            virtual = [
                address.packed
                for address in one.group.addresses
                if familyOf(address.packed) is one.family
            ]
            for address in (*one.others(), *virtual):
                if isLinkLocal(address) or any(network.covers(address) for network in near):
                    enquiry.ask(source, address)

    def _listen(self, seconds: float) -> None:
        """
        Wait for packets, and read what is there.
        """
        sockets: dict[socket.socket, Callable[[], None]] = {}
        for name, front in self._fronts.items():
            sockets[front] = lambda name=name, front=front: self._front(name, front)  # type: ignore[misc]
        for (name, _), voice in self._voices.items():
            sockets[voice.socket] = lambda name=name, voice=voice: self._behind(name, voice)  # type: ignore[misc]
        for enquiry in self._enquiries.values():
            sockets[enquiry.socket] = enquiry.receive
        for sock in select.select(list(sockets), (), (), seconds)[0]:
            with contextlib.suppress(OSError):
                for _ in range(_PER_TURN):
                    sockets[sock]()

    def _front(self, name: str, sock: socket.socket) -> None:
        arrival = wire.receive(sock)
        if arrival is not None:
            one = self._receiver(name, arrival.packet)
            if one is not None:
                one.arrived(arrival.packet, False, arrival.here, _clock())

    def _behind(self, name: str, voice: Voice) -> None:
        with contextlib.suppress(Rejected):
            packet = voice.receive()
            one = self._receiver(name, packet)
            if one is not None:
                one.arrived(packet, True, packet.source == one.source, _clock())

    def _receiver(self, interface: str, packet: Packet) -> Correspondence | None:
        """
        The group that a packet is about; C{None} also if this host cannot answer.
        """
        if (interface, packet.family) not in self._voices:
            return None
        vhid = vhidIn(packet.payload)
        return self._places.get((interface, packet.family, vhid))

    def facts(self) -> list[PathFacts]:
        """
        What was found out.
        """
        return [self._factsOf(one) for one in self._all]

    def _factsOf(self, one: Correspondence) -> PathFacts:
        name = one.group.interface
        enquiry = self._enquiries.get((name, one.family))
        answers: Mapping[bytes, frozenset[bytes]] = enquiry.answers() if enquiry else {}
        asked = enquiry.asked if enquiry else set()
        wanted = {*one.others(), *(address.packed for address in one.group.addresses)}
        return PathFacts(
            one.group,
            one.family,
            one.source,
            (name, one.family) in self._voices,
            self._listened if name in self._fronts else 0.0,
            {
                kind: number
                for (which, kind), number in self._errors.items()
                if which is one and (which, kind) not in self._sent
            },
            one.partners(),
            one.strangers(),
            one.isEchoed,
            one.advertisers(),
            one.turns,
            sorted(asked & set(one.others())),
            {key: owners for key, owners in answers.items() if key in wanted},
        )


def _clock() -> int:
    return time.time_ns() // 1000
