"""
Tests for L{txcarp.doctor.filtering}, L{txcarp.doctor.nftables} and L{txcarp.doctor.iptables}.
"""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.doctor.case import OTHER, OTHER6, OWN
from txcarp.doctor import iptables, nftables
from txcarp.doctor.filtering import Chain, Fate, Passage, Verdict, verdicts
from txcarp.protocol import ipv4, ipv6

IN = Passage("input", "eth0", OTHER, ipv4.GROUP)
IN6 = Passage("input", "eth0", OTHER6, ipv6.GROUP)
UNICAST = Passage("input", "eth0", OTHER, OWN)
OUT = Passage("output", "eth0", OWN, ipv4.GROUP)
ARP = Passage("input", "eth0", b"", OWN, isARP=True)

_112 = {"match": {"op": "==", "left": {"meta": {"key": "l4proto"}}, "right": "vrrp"}}
_DROP: dict[str, Any] = {"drop": None}
_ACCEPT: dict[str, Any] = {"accept": None}


def match(left: Any, right: Any, operator: str = "==") -> dict[str, Any]:
    """
    A comparison.
    """
    return {"match": {"op": operator, "left": left, "right": right}}


def payload(protocol: str, field: str) -> dict[str, Any]:
    """
    A field of a header.
    """
    return {"payload": {"protocol": protocol, "field": field}}


class NftTests(SynchronousTestCase):
    """
    Rules of nftables.
    """

    def chains(self, *rules: list[Any], **changes: Any) -> list[Chain]:
        """
        A table with a base chain with some rules, and a chain C{more} that accepts protocol 112.
        """
        place = {"family": changes.pop("family", "inet"), "table": "filter"}
        base = {**place, "name": "input", "hook": "input", "prio": 0, "policy": "accept", **changes}
        entries: list[Any] = [
            {"metainfo": {"version": "1.0.6"}},
            {"table": {"family": place["family"], "name": "filter"}},
            {"chain": base},
            {"chain": {**place, "name": "more"}},
            {"rule": {**place, "chain": "more", "expr": [_112, _ACCEPT]}},
        ]
        entries += [{"rule": {**place, "chain": "input", "expr": one}} for one in rules]
        return nftables.read(json.dumps({"nftables": entries}))

    def fate(self, *rules: list[Any], packet: Passage = IN, **changes: Any) -> Fate:
        """
        What becomes of a packet.
        """
        found = verdicts(self.chains(*rules, **changes), packet)
        return found[0].fate if found else Fate.PASSES

    def test_protocol(self) -> None:
        """
        The protocol by name, number, set and range.
        """
        left = {"meta": {"key": "l4proto"}}
        for right in ("vrrp", "carp", 112, {"set": ["tcp", 112]}, {"set": [{"range": [100, 120]}]}):
            self.assertIs(self.fate([match(left, right), _DROP]), Fate.DROPPED, right)
            self.assertIs(self.fate([match(left, right, "!="), _DROP]), Fate.PASSES, right)
        for right in ("tcp", 6, {"set": ["tcp", "udp"]}, {"range": [113, 200]}):
            self.assertIs(self.fate([match(left, right), _DROP]), Fate.PASSES, right)

    def test_family(self) -> None:
        """
        A header of one family does not match packets of the other one, whatever the operator.
        """
        for rule in (
            [match(payload("ip", "protocol"), "vrrp"), _DROP],
            [match(payload("ip", "saddr"), "10.9.9.9", "!="), _DROP],
            [match({"meta": {"key": "nfproto"}}, "ipv4"), _DROP],
        ):
            self.assertIs(self.fate(rule), Fate.DROPPED)
            self.assertIs(self.fate(rule, packet=IN6), Fate.PASSES)
        rule = [match(payload("ip6", "nexthdr"), 112), _DROP]
        self.assertIs(self.fate(rule, packet=IN6), Fate.DROPPED)
        # Chains of a family see its packets only.
        self.assertIs(self.fate([_DROP], family="ip6"), Fate.PASSES)
        self.assertIs(self.fate([_DROP], family="ip6", packet=IN6), Fate.DROPPED)

    def test_transport(self) -> None:
        """
        Packets of protocol 112 have no ports and no types.
        """
        rules = [
            [match(payload("tcp", "dport"), 22), _ACCEPT],
            [match(payload("icmpv6", "type"), "nd-neighbor-solicit"), _ACCEPT],
            [match(payload("udp", "dport"), 53, "!="), _ACCEPT],
        ]
        self.assertIs(self.fate(*rules, policy="drop"), Fate.DROPPED)

    def test_interface(self) -> None:
        """
        Interfaces by name and wildcard.
        """
        for right, fate in (
            ("eth0", Fate.DROPPED),
            ("eth*", Fate.DROPPED),
            ("eth1", Fate.PASSES),
            ({"set": ["eth1", "eth0"]}, Fate.DROPPED),
            ("@inside", Fate.MAYBE),
        ):
            rule = [match({"meta": {"key": "iifname"}}, right), _DROP]
            self.assertIs(self.fate(rule), fate, right)
        out = [match({"meta": {"key": "oifname"}}, "eth0"), _DROP]
        self.assertIs(self.fate(out), Fate.PASSES)
        self.assertIs(self.fate(out, hook="output", packet=OUT), Fate.DROPPED)

    def test_addresses(self) -> None:
        """
        Addresses and networks; if the source is not known, nothing is certain.
        """
        network = {"prefix": {"addr": "10.1.1.0", "len": 24}}
        rule = [match(payload("ip", "saddr"), network), _DROP]
        self.assertIs(self.fate(rule), Fate.DROPPED)
        anybody = Passage("input", "eth0", b"", ipv4.GROUP)
        self.assertIs(self.fate(rule, packet=anybody), Fate.MAYBE)
        rule = [match(payload("ip", "saddr"), network, "!="), _DROP]
        self.assertIs(self.fate(rule, packet=anybody), Fate.MAYBE)
        rule = [match(payload("ip", "daddr"), "224.0.0.18"), _DROP]
        self.assertIs(self.fate(rule), Fate.DROPPED)
        self.assertIs(self.fate(rule, packet=UNICAST), Fate.PASSES)

    def test_state(self) -> None:
        """
        A packet to a group is a new connection; one to a host may be an answer.
        """
        old = [match({"ct": {"key": "state"}}, ["established", "related"], "in"), _ACCEPT]
        self.assertIs(self.fate(old, policy="drop"), Fate.DROPPED)
        self.assertIs(self.fate(old, policy="drop", packet=UNICAST), Fate.MAYBE)
        translated = [match({"ct": {"key": "status"}}, "dnat", "in"), _ACCEPT]
        self.assertIs(self.fate(translated, policy="drop"), Fate.DROPPED)
        new = [match({"ct": {"key": "state"}}, "new"), _ACCEPT]
        self.assertIs(self.fate(new, policy="drop"), Fate.PASSES)

    def test_maps(self) -> None:
        """
        A verdict map is as many rules as it has entries.
        """
        entries = [["established", _ACCEPT], ["invalid", _DROP]]
        vmap = {"vmap": {"key": {"ct": {"key": "state"}}, "data": {"set": entries}}}
        self.assertIs(self.fate([vmap], policy="drop"), Fate.DROPPED)
        self.assertIs(self.fate([vmap]), Fate.PASSES)
        entries = [["eth0", {"jump": {"target": "more"}}]]
        vmap = {"vmap": {"key": {"meta": {"key": "iifname"}}, "data": {"set": entries}}}
        self.assertIs(self.fate([vmap], policy="drop"), Fate.PASSES)
        named = {"vmap": {"key": {"meta": {"key": "iifname"}}, "data": "@zones"}}
        self.assertIs(self.fate([named]), Fate.MAYBE)

    def test_jumps(self) -> None:
        """
        Other chains decide, or return.
        """
        jump = [{"jump": {"target": "more"}}]
        self.assertIs(self.fate(jump, [_DROP]), Fate.PASSES)
        self.assertIs(self.fate([{"return": None}], [_DROP]), Fate.PASSES)
        self.assertIs(self.fate([{"goto": {"target": "more"}}], policy="drop"), Fate.PASSES)
        missing = [{"jump": {"target": "nothing"}}]
        self.assertIs(self.fate(missing, [_DROP]), Fate.DROPPED)
        circle = [{"jump": {"target": "input"}}]
        self.assertIs(self.fate(circle), Fate.MAYBE)

    def test_others(self) -> None:
        """
        Statements decide nothing, a limit lets some packets pass, and a program may do anything.
        """
        self.assertIs(self.fate([_112, {"counter": {"packets": 1}}, {"log": None}]), Fate.PASSES)
        self.assertIs(self.fate([_112, {"counter": None}, _DROP]), Fate.DROPPED)
        self.assertIs(self.fate([{"limit": {"rate": 1}}, _ACCEPT], policy="drop"), Fate.MAYBE)
        self.assertIs(self.fate([{"queue": {"num": 0}}]), Fate.MAYBE)
        self.assertIs(self.fate([{"reject": None}]), Fate.DROPPED)
        self.assertIs(self.fate([{"xt": {"type": "match"}}, _DROP]), Fate.MAYBE)

    def test_hooks(self) -> None:
        """
        Only the chains on the way of a packet are asked.
        """
        for hook, fate in (("prerouting", Fate.DROPPED), ("forward", Fate.PASSES)):
            self.assertIs(self.fate([_DROP], hook=hook), fate)
        for device, fate in (("eth0", Fate.DROPPED), ("eth1", Fate.PASSES)):
            found = self.fate([_DROP], family="netdev", hook="ingress", dev=device)
            self.assertIs(found, fate)

    def test_policy(self) -> None:
        """
        Whether the policy or a rule is to blame.
        """

        def verdict(*rules: list[Any], policy: str) -> Verdict:
            [found] = verdicts(self.chains(*rules, policy=policy), IN)
            return found

        self.assertTrue(verdict(policy="drop").byPolicy)
        self.assertFalse(verdict([_112, _DROP], policy="accept").byPolicy)

    def test_programs(self) -> None:
        """
        The tables of iptables and arptables are known by their names.
        """
        for family, name, program in (
            ("ip", "INPUT", "iptables"),
            ("ip6", "INPUT", "ip6tables"),
            ("arp", "INPUT", "arptables"),
            ("ip", "input", "nft"),
            ("inet", "INPUT", "nft"),
        ):
            [chain, _] = self.chains(family=family, name=name)
            self.assertEqual(chain.program, program)

    def test_arp(self) -> None:
        """
        ARP passes chains of its own family.
        """
        constant = [match(payload("arp", "htype"), 1), match(payload("arp", "hlen"), 6), _DROP]
        self.assertIs(self.fate(constant, family="arp", packet=ARP), Fate.DROPPED)
        some = [match(payload("arp", "operation"), "request"), _DROP]
        self.assertIs(self.fate(some, family="arp", packet=ARP), Fate.MAYBE)
        self.assertIs(self.fate([_DROP], packet=ARP), Fate.PASSES)
        self.assertIs(
            self.fate([_112, _DROP], family="netdev", hook="ingress", packet=ARP), Fate.PASSES
        )

    def test_nonsense(self) -> None:
        """
        What is no ruleset is an error of a kind that the caller expects.
        """
        for text in ("", "[]", '{"nftables": 5}', '{"nftables": [{"rule": {"x": 1}}]}'):
            with self.assertRaises((ValueError, KeyError, TypeError, AttributeError)):
                nftables.read(text)


class IptablesTests(SynchronousTestCase):
    """
    Rules of iptables.
    """

    def fate(self, *rules: str, policy: str = "ACCEPT", packet: Passage = IN) -> Fate:
        """
        What becomes of a packet.
        """
        lines = ["# Generated", "*filter", f":INPUT {policy} [0:0]", ":more - [0:0]"]
        lines += ["-A more -p vrrp -j ACCEPT", *rules, "COMMIT"]
        found = verdicts(iptables.read("\n".join(lines), "iptables-legacy"), packet)
        return found[0].fate if found else Fate.PASSES

    def test_rules(self) -> None:
        """
        Matches that are understood, and others.
        """
        for rule, fate in (
            ("-A INPUT -p vrrp -j DROP", Fate.DROPPED),
            ("-A INPUT -p 112 -j REJECT --reject-with icmp-port-unreachable", Fate.DROPPED),
            ("-A INPUT ! -p 112 -j DROP", Fate.PASSES),
            ("-A INPUT -p tcp -m tcp --dport 22 -j DROP", Fate.PASSES),
            ("-A INPUT -i eth+ -j DROP", Fate.DROPPED),
            ("-A INPUT ! -i eth0 -j DROP", Fate.PASSES),
            ("-A INPUT -s 10.1.1.0/24 -d 224.0.0.0/4 -j DROP", Fate.DROPPED),
            ("-A INPUT ! -s 10.1.1.2/32 -j DROP", Fate.PASSES),
            ('-A INPUT -p vrrp -m comment --comment "a b" -j DROP', Fate.DROPPED),
            ("-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j DROP", Fate.PASSES),
            ("-A INPUT -m state --state NEW -j DROP", Fate.DROPPED),
            ("-A INPUT -m ttl --ttl-eq 255 -j DROP", Fate.MAYBE),
            ("-A INPUT -j NFQUEUE --queue-num 0", Fate.MAYBE),
            ("-A INPUT -j LOG --log-prefix x", Fate.PASSES),
        ):
            self.assertIs(self.fate(rule), fate, rule)

    def test_chains(self) -> None:
        """
        Other chains and the policy.
        """
        self.assertIs(self.fate("-A INPUT -j more", policy="DROP"), Fate.PASSES)
        self.assertIs(self.fate("-A INPUT -g more", policy="DROP"), Fate.PASSES)
        self.assertIs(self.fate("-A INPUT -i lo -j ACCEPT", policy="DROP"), Fate.DROPPED)
        self.assertIs(self.fate(policy="DROP", packet=IN6), Fate.PASSES)
