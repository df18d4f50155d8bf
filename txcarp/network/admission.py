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
    LOAD_STORED,
    LOAD_WORD,
    SHIFT,
    WHOLE_PACKET,
    Beginning,
    Layout,
    among,
    closed,
    lastWord,
    loadLastWord,
    loadPayload,
    protocolOnly,
    returning,
    sizeOnly,
)
from txcarp.protocol.advertisement import TTL, VERSION

#: Where a random number is loaded from, and the highest of the lowest 256th of them.
_RANDOM, _LUCKY = 0xFFFFF038, 0xFFFFFF

#: The most peers behind routers, and the most groups, that a filter compares.  The kernel limits
#: the size of a filter, together with the one that it replaces, to the 20480 bytes of
#: net.core.optmem_max before Linux 6.7.  With more, it does not look at the hop limit, or at the
#: destination: L{txcarp.protocol.envelope.unwrap} does.
MOST_ROUTED, MOST_GROUPS = 64, 16

#: The most senders that an L{Omitted} names of each kind.
MOST_PASSING = 16


@attrs.frozen
class Omitted:
    """
    Good packets that are of no interest.  The last 32 bits of each source are compared.

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
        vhids: dict[int, list[int]] = {}
        for source, vhid in sorted(self.passing):
            vhids.setdefault(lastWord(source), []).append(vhid)
        drop, keep = returning(0), returning(WHOLE_PACKET)
        block = loadLastWord(layout.source, layout)
        for word in sorted({lastWord(source) for source in self.missing})[:MOST_PASSING]:
            block += [INSTRUCTION.pack(JUMP_IF_EQUAL, 0, 1, word), keep]
        for word, theirs in vhids.items():
            block.append(INSTRUCTION.pack(JUMP_IF_EQUAL, 0, 2 + 2 * len(theirs), word))
            block.append(INSTRUCTION.pack(LOAD_STORED, 0, 0, 0))
            for vhid in theirs:
                block += [INSTRUCTION.pack(JUMP_IF_EQUAL, 0, 1, vhid), drop]
            block.append(LEAVE)
        code = closed(block) if len(block) > 1 else []
        if self.isSampled:
            code.append(INSTRUCTION.pack(LOAD_WORD, 0, 0, _RANDOM))
            code += [INSTRUCTION.pack(JUMP_IF_GREATER, 0, 1, _LUCKY), drop]
        return code


_NONE = Omitted()


@attrs.frozen
class Admission:
    """
    The advertisements that some virtual hosts want.

    So that filters are small, they compare the last 32 bits of an address, and the destination with
    the groups of all virtual hosts.  What they pass in addition, L{txcarp.protocol.envelope.unwrap}
    refuses.

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
        if self.routed:
            block += [*loadLastWord(layout.source, layout), *_leaveIfIn(self.routed)]
        return closed([*block, refuse])

    def _destination(self, layout: Layout, refuse: bytes) -> list[bytes]:
        groups = frozenset(self.groups.values())
        if len(groups) > MOST_GROUPS:
            return []
        # See L{txcarp.protocol.family.isMulticast}.
        isIPv4 = layout.header is None
        block = [
            INSTRUCTION.pack(LOAD_BYTE, 0, 0, layout.destination),
            INSTRUCTION.pack(SHIFT, 0, 0, 4 if isIPv4 else 0),
            INSTRUCTION.pack(JUMP_IF_EQUAL, 1, 0, 0xE if isIPv4 else 0xFF),
            LEAVE,
            *loadLastWord(layout.destination, layout),
            *_leaveIfIn(groups),
        ]
        return closed([*block, refuse])


def _leaveIfIn(addresses: Collection[bytes]) -> list[bytes]:
    """
    Make the instructions that leave a block if the last word of an address, which is loaded, is
    that of one of these.
    """
    code = []
    for word in sorted(set(map(lastWord, addresses))):
        code += [INSTRUCTION.pack(JUMP_IF_EQUAL, 0, 1, word), LEAVE]
    return code
