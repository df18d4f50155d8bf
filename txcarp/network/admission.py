"""
Which advertisements the sockets receive: what is decided by the kernel, by the headers of packets.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import attrs

from txcarp.network.socketfilter import (
    INSTRUCTION,
    JUMP_IF_EQUAL,
    JUMP_IF_GREATER,
    LAYOUTS,
    LEAVE,
    LOAD_BYTE,
    LOAD_WORD,
    SHIFT,
    VHID,
    WHOLE_PACKET,
    Beginning,
    Layout,
    among,
    closed,
    ifEqual,
    loadPayload,
    protocolOnly,
    returning,
    sizeOnly,
)
from txcarp.protocol.advertisement import TTL, VERSION

#: Where a random number is loaded from, and the highest of the lowest 256th of them.
_RANDOM, _LUCKY = 0xFFFFF038, 0xFFFFFF

#: The most peers behind routers, and the most groups, that a filter compares.  The kernel limits
#: the size of a filter (net.core.optmem_max).  With more, it does not look at the hop limit, or at
#: the destination: L{txcarp.protocol.envelope.unwrap} does.
MOST_ROUTED, MOST_GROUPS = 64, 16

#: The most senders that an L{Omitted} names of each kind.
MOST_PASSING = 16


@attrs.frozen
class Omitted:
    """
    Good packets that are of no interest.

    @ivar missing: Packets with these packed sources are of interest in any case.
    @ivar passing: Packets with these packed sources and vhids.
    @ivar isSampled: Whether only a random part, a 256th, of the rest is of interest.
    """

    passing: frozenset[tuple[bytes, int]] = frozenset()
    missing: frozenset[bytes] = frozenset()
    isSampled: bool = False

    def instructions(self, layout: Layout) -> list[bytes]:
        """
        Make the instructions that drop these packets.
        """
        drop, keep, code = returning(0), returning(WHOLE_PACKET), []
        for source in sorted(self.missing)[:MOST_PASSING]:
            code += ifEqual(layout.source, source, [keep])
        for source, vhid in sorted(self.passing):
            theirs = [*loadPayload(layout, VHID), INSTRUCTION.pack(JUMP_IF_EQUAL, 0, 1, vhid), drop]
            code += ifEqual(layout.source, source, theirs)
        if self.isSampled:
            code.append(INSTRUCTION.pack(LOAD_WORD, 0, 0, _RANDOM))
            code += [INSTRUCTION.pack(JUMP_IF_GREATER, 0, 1, _LUCKY), drop]
        return code


_NONE = Omitted()


@attrs.frozen
class Admission:
    """
    The advertisements that some virtual hosts want.

    @ivar groups: The packed address of the group of each virtual host, by its vhid.
    @ivar routed: The packed addresses of the hosts whose packets may come through routers.
    """

    groups: Mapping[int, bytes] = attrs.field(factory=dict)
    routed: frozenset[bytes] = frozenset()

    def of(self, vhids: Collection[int]) -> Admission:
        """
        The part for some of the virtual hosts.
        """
        return attrs.evolve(
            self, groups={vhid: one for vhid, one in self.groups.items() if vhid in vhids}
        )

    def good(self, beginning: Beginning, omitted: Omitted = _NONE) -> bytes:
        """
        Make the filter that keeps a packet with the vhid of one of these virtual hosts if nothing
        in its header is wrong: the size, the version, the hop limit and the destination.  What
        cannot be decided so is for L{txcarp.protocol.envelope.unwrap}, which refuses whatever this
        filter drops.  The type is ignored, as it is there.

        @param omitted: Good packets to drop.
        """
        return self._program(beginning, omitted, WHOLE_PACKET, 0)

    def wrong(self, beginning: Beginning) -> bytes:
        """
        Make the filter that keeps the packets with the vhid of one of these virtual hosts that
        L{good} drops.
        """
        return self._program(beginning, _NONE, 0, WHOLE_PACKET)

    def _program(self, beginning: Beginning, omitted: Omitted, good: int, wrong: int) -> bytes:
        layout, refuse = LAYOUTS[beginning], returning(wrong)
        return b"".join(
            [
                *protocolOnly(layout),
                *among(self.groups, layout, returning(0)),
                *sizeOnly(layout, refuse),
                *loadPayload(layout, 0),
                INSTRUCTION.pack(SHIFT, 0, 0, 4),
                INSTRUCTION.pack(JUMP_IF_EQUAL, 1, 0, VERSION),
                refuse,
                *self._hops(layout, refuse),
                *self._destination(layout, refuse),
                *omitted.instructions(layout),
                returning(good),
            ]
        )

    def _hops(self, layout: Layout, refuse: bytes) -> list[bytes]:
        if len(self.routed) > MOST_ROUTED:
            return []
        block = [
            INSTRUCTION.pack(LOAD_BYTE, 0, 0, layout.hops),
            INSTRUCTION.pack(JUMP_IF_EQUAL, 0, 1, TTL),
            LEAVE,
        ]
        for one in sorted(self.routed):
            block += ifEqual(layout.source, one, [LEAVE])
        return closed([*block, refuse])

    def _destination(self, layout: Layout, refuse: bytes) -> list[bytes]:
        members: dict[bytes, list[int]] = {}
        for vhid, group in self.groups.items():
            members.setdefault(group, []).append(vhid)
        if len(members) > MOST_GROUPS:
            return []
        # See L{txcarp.protocol.family.isMulticast}.
        isIPv4 = layout.header is None
        block = [
            INSTRUCTION.pack(LOAD_BYTE, 0, 0, layout.destination),
            INSTRUCTION.pack(SHIFT, 0, 0, 4 if isIPv4 else 0),
            INSTRUCTION.pack(JUMP_IF_EQUAL, 1, 0, 0xE if isIPv4 else 0xFF),
            LEAVE,
        ]
        for group, vhids in sorted(members.items()):
            others = len(members) > 1
            theirs = among(vhids, layout, refuse) if others else []
            block += ifEqual(layout.destination, group, [*theirs, LEAVE])
        return closed([*block, refuse])
