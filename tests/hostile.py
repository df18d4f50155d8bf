"""
Strategies for packets that nobody sends in good order: noise, and what an attacker makes of
captured packets.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial

from hypothesis import strategies as st

from tests import crafted
from tests.crafted import payloadOf, sourceOf

BYTE = st.integers(0, 255)

#: Values of advbase, advskew and demotion; the first ones are those that an attacker wants.
FIELD = st.sampled_from([0, 1, 3, 255]) | BYTE

#: Random bytes, some behind the first byte of an IP header.
NOISE = st.builds(bytes.__add__, st.sampled_from([b"", b"\x45", b"\x60"]), st.binary(max_size=100))

#: What a VRRP router on the same segment sends.
VRRP = st.builds(crafted.packet, st.integers(0, 9).map(crafted.vrrp2))

#: An attacker's own addresses.
STRANGERS = ("10.99.0.66", "fe80::66")


def isSigned(packet: bytes) -> bool:
    """
    Whether a packet carries a digest that only a host with L{crafted.PASSWORD} can make.
    """
    body = payloadOf(packet)
    if len(body) < 36:
        return False
    return body[16:36] == crafted.digest(int.from_bytes(body[8:16], "big"))


def isSealed(packet: bytes) -> bool:
    """
    Whether the counter of a packet is sealed for the fields and the source of this packet.
    """
    body = payloadOf(packet)
    source = sourceOf(packet)
    family = socket.AF_INET6 if len(source) == 16 else socket.AF_INET
    tag = crafted.tag(
        int.from_bytes(body[8:13], "big"),
        socket.inet_ntop(family, source),
        advbase=body[5],
        advskew=body[2],
        demotion=body[4],
    )
    return tag == int.from_bytes(body[13:16], "big")


def mutate(
    packet: bytes,
    changes: list[tuple[int, int]],
    *,
    mended: bool = False,
    end: int | None = None,
    more: bytes = b"",
) -> bytes:
    """
    A packet with anything changed.

    @param changes: Offsets, beyond the end counted from the beginning again, and new bytes.
    @param mended: Whether the checksums are correct.
    @param end: Where to cut it.
    @param more: What follows.
    """
    changed = bytearray(packet)
    for offset, value in changes:
        changed[offset % len(packet)] = value
    whole = crafted.mended(bytes(changed)) if mended else bytes(changed)
    return whole[:end] + more


def forge(packet: bytes, source: str | None, **fields: int | None) -> bytes:
    """
    A captured packet with other fields or from another host: what the digest does not cover.

    @param source: An address of either family; nothing changes if it is not the packet's.
    @param fields: See L{crafted.forged}.
    """
    address = crafted.packed(source) if source is not None else b""
    same = len(address) == len(crafted.sourceOf(packet))
    return crafted.forged(packet, source=address if same else None, **fields)


def move(packet: bytes, source: str, pseudo: bool) -> bytes:
    """
    The payload of a captured packet in a new packet to the group.

    @param source: An address of either family.
    @param pseudo: Whether the checksum in an IPv6 packet covers the pseudo-header.
    """
    body = payloadOf(packet)
    if ":" in source:
        return crafted.mended(crafted.packet6(body, source=source), pseudo=pseudo)
    return crafted.mended(crafted.packet(body, source=source))


#: Functions that do L{mutate} to a packet.
MUTATIONS = st.builds(
    partial,
    st.just(mutate),
    changes=st.lists(st.tuples(st.integers(0, 79), BYTE), max_size=4),
    mended=st.booleans(),
    end=st.none() | st.none() | st.none() | st.integers(0, 80),
    more=st.just(b"") | st.just(b"") | st.just(b"") | st.binary(max_size=30),
)


def attacks(sources: Sequence[str]) -> st.SearchStrategy[Callable[[bytes], bytes]]:
    """
    Functions that make of a captured packet what an attacker without the password sends.

    @param sources: Addresses that the attacker uses.
    """
    source = st.sampled_from(sources)
    value = st.none() | FIELD
    forgeries = st.builds(
        partial,
        st.just(forge),
        source=st.none() | source,
        advbase=value,
        advskew=value,
        demotion=value,
    )
    moves = st.builds(partial, st.just(move), source=source, pseudo=st.booleans())
    return st.just(bytes) | MUTATIONS | forgeries | forgeries | moves
