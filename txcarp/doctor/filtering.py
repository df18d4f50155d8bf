"""
The rules of firewalls, and what becomes of a packet in them.

A rule is read as far as it is understood: a match that is not understood may hold or may not.  What
becomes of a packet is therefore certain, or only possible.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping, Sequence

import attrs

from txcarp.protocol.family import isMulticast


class Holds(enum.Enum):
    """
    Whether a match holds for a packet.
    """

    YES = "yes"
    NO = "no"
    MAYBE = "maybe"


@attrs.frozen
class Passage:
    """
    A packet at one place of the kernel.

    @ivar direction: C{"input"} or C{"output"}.
    @ivar interface: The name of the interface that it comes from or goes to.
    @ivar source: The packed source address; empty if it can be any.
    @ivar destination: The packed destination address; for ARP, the same of what is asked for.
    @ivar isARP: Whether it is an ARP packet, and not one of protocol 112.
    """

    direction: str
    interface: str
    source: bytes
    destination: bytes
    isARP: bool = False

    @property
    def families(self) -> Collection[str]:
        """
        The families of nftables whose chains see the packet.
        """
        if self.isARP:
            return ("arp", "netdev")
        return ("inet", "netdev", "ip6" if len(self.destination) == 16 else "ip")


@attrs.frozen
class Rule:
    """
    One rule.

    @ivar matches: What has to hold, each as a function of a packet.
    @ivar action: C{accept}, C{drop}, C{jump}, C{goto}, C{return}; empty for a rule that decides
        nothing.  What is rejected or given to a program is dropped.
    @ivar target: The name of the chain to jump to.
    """

    matches: tuple[Match, ...]
    action: str
    target: str = ""

    def holds(self, packet: Passage) -> Holds:
        """
        Whether all matches hold.
        """
        found = [match.holds(packet) for match in self.matches]
        if Holds.NO in found:
            return Holds.NO
        return Holds.MAYBE if Holds.MAYBE in found else Holds.YES


@attrs.frozen
class Match:
    """
    One match of a rule.

    @ivar field: What is compared: C{protocol}, C{interface in}, C{interface out}, C{source},
        C{destination}, C{family}, C{arp}; C{state} and C{status} of the connection; empty for what
        is not understood.
    @ivar values: The values with which it is compared: numbers, names, or networks as pairs of a
        packed address and a prefix length.
    @ivar isNegated: Whether it holds for all other values.
    """

    field: str
    values: tuple[object, ...] = ()
    isNegated: bool = False

    def holds(self, packet: Passage) -> Holds:
        """
        Whether the match holds for a packet.
        """
        if not self.field:
            return Holds.MAYBE
        answer = self._compares(packet)
        if answer is Holds.MAYBE or not self.isNegated:
            return answer
        return Holds.NO if answer is Holds.YES else Holds.YES

    def _compares(self, packet: Passage) -> Holds:
        if self.field == "protocol":
            return _yesOrNo(not packet.isARP and 112 in self.values)
        if self.field == "arp":
            return _yesOrNo(packet.isARP)
        if self.field == "family":
            return _yesOrNo(len(packet.destination) in self.values and not packet.isARP)
        if self.field.startswith("interface"):
            wanted = "input" if self.field == "interface in" else "output"
            if packet.direction != wanted:
                return Holds.NO
            return _yesOrNo(any(_isNamed(packet.interface, str(one)) for one in self.values))
        if self.field in ("state", "status"):
            # Nobody answers a packet to a group, so that each belongs to a new connection.
            if packet.isARP or not isMulticast(packet.destination):
                return Holds.MAYBE
            return _yesOrNo(self.field == "state" and "new" in self.values)
        address = packet.source if self.field == "source" else packet.destination
        if not address:
            return Holds.MAYBE
        return _yesOrNo(any(_isIn(address, one) for one in self.values))


@attrs.frozen
class Chain:
    """
    A chain of rules.

    @ivar table: Its family and table, such as C{inet filter}.
    @ivar hook: C{prerouting}, C{input}, C{output}...; empty for a chain that others jump to.
    @ivar isDropping: Whether it drops what none of its rules decides about.
    @ivar program: The program that manages it: C{nft}, C{iptables}, C{ip6tables}, C{arptables} or
        one of these with C{-legacy}.
    @ivar device: The only interface of a hook of the family netdev; empty for all.
    """

    program: str
    table: str
    name: str
    hook: str
    priority: int
    isDropping: bool
    rules: tuple[Rule, ...]
    device: str = ""

    @property
    def family(self) -> str:
        """
        The family of nftables.
        """
        return self.table.partition(" ")[0]


class Fate(enum.Enum):
    """
    What a chain does with a packet.
    """

    PASSES = "passes"
    DROPPED = "dropped"
    MAYBE = "maybe"


@attrs.frozen
class Verdict:
    """
    What a base chain does with a packet.

    @ivar byPolicy: Whether that is because no rule decides about the packet.
    """

    chain: Chain
    fate: Fate
    byPolicy: bool = False


#: The hooks that a packet of each direction passes.
_HOOKS = {
    "input": ("ingress", "prerouting", "input"),
    "output": ("output", "postrouting", "egress"),
}

#: The most rules that are followed for one packet.
_MOST_RULES = 20_000

#: What happens to a packet in a chain, before its policy.
_ACCEPT, _DROP, _RETURN = "accept", "drop", "return"


def verdicts(chains: Sequence[Chain], packet: Passage) -> list[Verdict]:
    """
    What each base chain on the way of a packet does with it.
    """
    named = {(chain.program, chain.table, chain.name): chain for chain in chains}
    found = []
    for chain in sorted(chains, key=lambda one: one.priority):
        if (
            chain.hook in _HOOKS[packet.direction]
            and chain.family in packet.families
            and chain.device in ("", packet.interface)
        ):
            outcomes, byPolicy = _outcomes(chain, packet, named)
            fate = Fate.MAYBE
            if outcomes == {_DROP}:
                fate = Fate.DROPPED
            elif outcomes == {_ACCEPT}:
                fate = Fate.PASSES
            found.append(Verdict(chain, fate, byPolicy))
    return found


def _outcomes(
    base: Chain, packet: Passage, named: Mapping[tuple[str, str, str], Chain]
) -> tuple[set[str], bool]:
    """
    All that may happen to a packet in a base chain, and whether a drop can only come from the
    policy.
    """
    left = [_MOST_RULES]

    def follow(chain: Chain, depth: int) -> set[str]:
        outcomes: set[str] = set()
        for rule in chain.rules:
            left[0] -= 1
            if left[0] < 0 or depth > 16:
                return outcomes | {_ACCEPT, _DROP, _RETURN}
            holds = rule.holds(packet)
            if holds is Holds.NO or not rule.action:
                continue
            if rule.action in ("jump", "goto"):
                target = named.get((chain.program, chain.table, rule.target))
                inner = follow(target, depth + 1) if target is not None else {_RETURN}
                ends = inner - {_RETURN}
                outcomes |= ends
                if rule.action == "goto" and _RETURN in inner:
                    outcomes.add(_RETURN)
                if holds is Holds.YES and (rule.action == "goto" or _RETURN not in inner):
                    return outcomes
                continue
            outcomes.add(rule.action)
            if holds is Holds.YES:
                return outcomes
        return outcomes | {_RETURN}

    outcomes = follow(base, 0)
    byRules = _DROP in outcomes
    if _RETURN in outcomes:
        outcomes.remove(_RETURN)
        outcomes.add(_DROP if base.isDropping else _ACCEPT)
    return outcomes, not byRules


def _yesOrNo(answer: bool) -> Holds:
    return Holds.YES if answer else Holds.NO


def _isNamed(name: str, pattern: str) -> bool:
    """
    Whether a name fits one that may end with a wildcard, as iptables (+) and nft (*) write it.
    """
    if pattern.endswith(("+", "*")):
        return name.startswith(pattern[:-1])
    return name == pattern


def _isIn(address: bytes, network: object) -> bool:
    packed, length = network if isinstance(network, tuple) else (network, None)
    if not isinstance(packed, bytes) or len(packed) != len(address):
        return False
    hostBits = 0 if length is None else 8 * len(address) - int(length)
    return not (int.from_bytes(address) ^ int.from_bytes(packed)) >> hostBits
