"""
The sockets of a doctor: those of a daemon, and others that hear what these do not.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping

from txcarp.doctor.packet import NO_GROUP
from txcarp.links import Link
from txcarp.network import socketfilter
from txcarp.network.frames import arpQuestion, neighbourSolicitation, readAnswer
from txcarp.network.rawsocket import RawSocket
from txcarp.network.readers import readIPv6
from txcarp.network.socketfilter import MOST_ANSWERS
from txcarp.network.sockets import (
    PACKET_IGNORE_OUTGOING,
    SOL_PACKET,
    discardReceived,
    openRawSocket,
)
from txcarp.protocol.envelope import Packet, readPacket, wrap
from txcarp.protocol.family import Family

#: Bytes: more than any packet has.
_LARGEST = 65536

_LONGEST_ANSWER = 512

#: The most hardware addresses that are noted for one address.
_MOST_OWNERS = 8

#: Seconds within which an owner of an address has to have answered, which is asked several times in
#: that time.
_RECENT = 1.0

# linux/if_ether.h: not in the socket module.
_ETHER_TYPES = {Family.IPV4: 0x0806, Family.IPV6: 0x86DD}

#: A sender of ARP that neighbours do not note (RFC 5227, section 1.1).
_NOBODY = bytes(4)


class Voice:
    """
    Sends test packets of one family on one interface, and receives what passes the firewall, by the
    same sockets as a daemon.
    """

    def __init__(self, link: Link, family: Family, groups: Mapping[int, bytes]):
        """
        @param groups: The packed address of the group of each virtual host, by its vhid.  All of
            their packets are received, and those of L{NO_GROUP}.
        @raise OSError: If that is not possible.
        """
        self.family = family
        self._raw = RawSocket(link.name, link.index, family)
        try:
            code = socketfilter.program((NO_GROUP, *groups), self._raw.beginning)
            self._raw.admit(groups, code)
        except BaseException:
            self._raw.close()
            raise
        self.socket = self._raw.socket

    def send(self, payload: bytes, source: bytes, destination: bytes) -> None:
        """
        Send a payload of protocol 112.

        @raise OSError: If it was not sent.
        """
        number = int.from_bytes(os.urandom(2))
        self._raw.send(wrap(payload, source, destination, number), destination)

    def receive(self) -> Packet:
        """
        Read a packet.

        @raise OSError: If none waits.
        @raise txcarp.protocol.rejection.Rejected: If its header is broken.
        """
        if self.family is Family.IPV6:
            return readIPv6(self.socket, _LARGEST)
        return readPacket(self.socket.recv(_LARGEST))

    def close(self) -> None:
        """
        Close the sockets.
        """
        self._raw.close()


class Enquiry:
    """
    Asks neighbours on one interface for the hardware addresses of one family.

    @ivar asked: The packed addresses that were asked for.
    """

    def __init__(self, link: Link, family: Family) -> None:
        """
        @raise OSError: If that is not possible.
        """
        self._hardware = link.address
        #: When each hardware address last answered for a packed address.
        self._answers: dict[bytes, dict[bytes, float]] = {}
        self.asked: set[bytes] = set()
        self.socket = openRawSocket(socket.AF_PACKET, socket.SOCK_RAW, 0, "a packet socket")
        try:
            self._filter()
            with contextlib.suppress(OSError):  # Linux before 4.20
                self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self.socket.bind((link.name, _ETHER_TYPES[family]))
            discardReceived(self.socket)
        except BaseException:
            self.socket.close()
            raise

    def ask(self, source: bytes, address: bytes) -> None:
        """
        Ask for an address.  Nothing is asked beyond the number of addresses that a filter takes.

        @param source: A packed address that this host alone has on the interface; empty for none.
        """
        if address not in self.asked:
            if len(self.asked) >= MOST_ANSWERS:
                return
            self.asked.add(address)
            self._filter()
        if len(address) == 4:
            frame = arpQuestion(self._hardware, source or _NOBODY, address)
        elif source:
            frame = neighbourSolicitation(self._hardware, source, address)
        else:
            return
        with contextlib.suppress(OSError):  # the interface is down
            self.socket.send(frame)

    def receive(self) -> None:
        """
        Read an answer.

        @raise OSError: If none waits.
        """
        found = readAnswer(self.socket.recv(_LONGEST_ANSWER), self._hardware)
        if found is not None:
            address, hardware = found
            owners = self._answers.setdefault(address, {})
            if hardware in owners or len(owners) < _MOST_OWNERS:
                owners[hardware] = time.monotonic()

    def answers(self) -> dict[bytes, frozenset[bytes]]:
        """
        The hardware addresses that answer for each packed address.  The former owner of an address
        that has moved meanwhile is left out.
        """
        return {
            address: frozenset(
                hardware
                for hardware, when in owners.items()
                if when > max(owners.values()) - _RECENT
            )
            for address, owners in self._answers.items()
        }

    def _filter(self) -> None:
        socketfilter.attach(self.socket, socketfilter.answers(self.asked))
