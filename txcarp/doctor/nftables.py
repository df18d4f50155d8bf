"""
The rules of nftables, as C{nft --json list ruleset} prints them (libnftables-json(5)).
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Sequence
from typing import Any

import attrs

from txcarp.doctor.filtering import Chain, Match, Rule

#: The protocols whose names nft prints for the number 112, and the number itself.
_PROTOCOL_112 = {"vrrp", "carp", 112, "112"}

#: The tables that iptables and its kin make in nftables, by family.
_IPTABLES = {"ip": "iptables", "ip6": "ip6tables", "arp": "arptables"}
_IPTABLES_TABLES = {"filter", "mangle", "nat", "raw", "security"}

#: What ends the way of a packet, or sends it elsewhere.  A program behind a queue may accept it,
#: and its answer is not known.
_ACTIONS = {
    "accept": "accept",
    "drop": "drop",
    "reject": "drop",
    "jump": "jump",
    "goto": "goto",
    "return": "return",
    "queue": "drop",
}

#: Expressions that let some packets pass to the next expression, and others not.
_UNCERTAIN = {"xt", "limit", "quota", "ct count", "fib"}

_META = {
    "l4proto": "protocol",
    "iifname": "interface in",
    "iif": "interface in",
    "oifname": "interface out",
    "oif": "interface out",
    "nfproto": "family",
    "protocol": "family",
}

_PAYLOAD = {
    ("ip", "protocol"): "protocol",
    ("ip6", "nexthdr"): "protocol",
    ("ip", "saddr"): "source",
    ("ip6", "saddr"): "source",
    ("ip", "daddr"): "destination",
    ("ip6", "daddr"): "destination",
}

_TRANSPORTS = {"tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "esp", "ah"}
_FAMILIES = {"ip": 4, "ip6": 16}

#: What is the same in all ARP packets on Ethernet.
_ARP_CONSTANTS = {"htype", "ptype", "hlen", "plen"}


def read(text: str) -> list[Chain]:
    """
    Read a ruleset.

    @raise ValueError: If it is none.
    """
    entries = json.loads(text)["nftables"]
    rules: dict[tuple[str, str], list[Rule]] = {}
    for entry in entries:
        if rule := entry.get("rule"):
            place = f"{rule['family']} {rule['table']}", rule["chain"]
            rules.setdefault(place, []).extend(_rules(rule.get("expr", [])))
    chains = []
    for entry in entries:
        if chain := entry.get("chain"):
            table = f"{chain['family']} {chain['table']}"
            priority = chain.get("prio", 0)
            chains.append(
                Chain(
                    _program(chain),
                    table,
                    chain["name"],
                    chain.get("hook", ""),
                    priority if isinstance(priority, int) else 0,
                    chain.get("policy") == "drop",
                    tuple(rules.get((table, chain["name"]), ())),
                    str(chain.get("dev", "")),
                )
            )
    return chains


def _program(chain: dict[str, Any]) -> str:
    """
    The program that manages the table of a chain.
    """
    if chain["table"] in _IPTABLES_TABLES and str(chain.get("name", "")).isupper():
        return _IPTABLES.get(chain["family"], "nft")
    return "nft"


def _rules(expressions: Sequence[Any]) -> Iterator[Rule]:
    """
    A rule as one or several: one for each entry of a verdict map.
    """
    matches: list[Match] = []
    for expression in expressions:
        if not isinstance(expression, dict):
            continue
        [(kind, value), *_] = expression.items()
        if kind == "match":
            matches += _matches(value.get("left"), value.get("op"), value.get("right"))
        elif kind == "vmap":
            yield from _mapped(matches, value)
            return
        elif kind in _UNCERTAIN:
            matches.append(Match(""))
        elif kind in _ACTIONS:
            target = value.get("target", "") if isinstance(value, dict) else ""
            if kind == "queue":
                matches.append(Match(""))
            yield Rule(tuple(matches), _ACTIONS[kind], target)
            return


def _mapped(matches: Sequence[Match], value: dict[str, Any]) -> Iterator[Rule]:
    entries = value.get("data")
    entries = entries.get("set") if isinstance(entries, dict) else None
    if not isinstance(entries, list):
        yield Rule((*matches, Match("")), "drop")  # a named map
        return
    for entry in entries:
        if isinstance(entry, list) and len(entry) == 2:
            key, verdict = entry
            mapped = _matches(value.get("key"), "==", key)
            for rule in _rules([verdict]):
                yield attrs.evolve(rule, matches=(*matches, *mapped))


def _matches(left: Any, operator: Any, right: Any) -> list[Match]:
    """
    What has to hold for one comparison.
    """
    if not isinstance(left, dict):
        return [Match("")]
    [(kind, what), *_] = left.items()
    field, needed = "", []
    if kind == "meta":
        field = _META.get(what.get("key", ""), "")
    elif kind == "ct":
        field = {"state": "state", "status": "status"}.get(what.get("key", ""), "")
    elif kind == "payload":
        protocol = what.get("protocol", "")
        if protocol in _TRANSPORTS:
            # Whatever is compared, packets of protocol 112 have no such header.
            return [Match("protocol", (protocol,))]
        if protocol in _FAMILIES:
            needed = [Match("family", (_FAMILIES[protocol],))]
        if protocol == "arp":
            needed = [Match("arp")]
            if what.get("field") in _ARP_CONSTANTS:
                return needed
        field = _PAYLOAD.get((protocol, what.get("field", "")), "")
    values = tuple(_values(field, right))
    if operator not in ("==", "!=", "in") or not values:
        return [*needed, Match("")]
    return [*needed, Match(field, values, operator == "!=")]


def _values(field: str, right: Any) -> Iterator[object]:
    """
    What a field is compared with; nothing if that is not understood.
    """
    whole = right["set"] if isinstance(right, dict) and "set" in right else right
    for part in whole if isinstance(whole, list) else [whole]:
        if isinstance(part, str) and part.startswith("@"):
            return  # a named set
        if field == "protocol":
            yield 112 if _isProtocol112(part) else str(part)
        elif field == "family":
            yield {"ipv4": 4, "ip": 4, "ipv6": 16, "ip6": 16}.get(str(part), 0)
        elif field in ("state", "status") or field.startswith("interface"):
            yield str(part)
        elif field in ("source", "destination"):
            network = _network(part)
            if network is None:
                return
            yield network


def _isProtocol112(part: Any) -> bool:
    if isinstance(part, dict) and isinstance(ends := part.get("range"), list):
        low, high = (112 if one in _PROTOCOL_112 else one for one in ends)
        return isinstance(low, int) and isinstance(high, int) and low <= 112 <= high
    return not isinstance(part, dict) and part in _PROTOCOL_112


def _network(part: Any) -> tuple[bytes, int] | None:
    if isinstance(part, dict) and (prefix := part.get("prefix")):
        part = f"{prefix.get('addr')}/{prefix.get('len')}"
    try:
        network = ipaddress.ip_network(part, strict=False)
    except ValueError:
        return None
    return network.network_address.packed, network.prefixlen
