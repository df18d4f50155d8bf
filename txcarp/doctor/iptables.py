"""
The rules of iptables, as C{iptables-save} prints them (iptables-save(8)).
"""

from __future__ import annotations

import ipaddress
import shlex

from txcarp.doctor.filtering import Chain, Match, Rule

#: What C{-p} calls protocol 112.
_PROTOCOL_112 = {"112", "vrrp", "carp"}

_HOOKS = {"PREROUTING": "prerouting", "INPUT": "input", "OUTPUT": "output"}

#: The order in which the tables are asked.
_PRIORITIES = {"raw": -300, "mangle": -150, "nat": -100, "filter": 0, "security": 50}

_FIELDS = {
    "-p": "protocol",
    "-s": "source",
    "-d": "destination",
    "-i": "interface in",
    "-o": "interface out",
}

_TARGETS = {"ACCEPT": "accept", "DROP": "drop", "REJECT": "drop", "RETURN": "return"}

#: Targets after which the next rule follows.
_CONTINUING = {"LOG", "NFLOG", "MARK", "CONNMARK", "CT", "TOS", "DSCP", "CLASSIFY", "TRACE", "SET"}


def read(text: str, program: str) -> list[Chain]:
    """
    Read the tables of one family.

    @param program: C{iptables-legacy} or C{ip6tables-legacy}.
    """
    family = "ip6" if program.startswith("ip6") else "ip"
    table = ""
    policies: dict[tuple[str, str], bool] = {}
    rules: dict[tuple[str, str], list[Rule]] = {}
    for line in text.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
        elif line.startswith(":"):
            name, policy, *_ = line[1:].split()
            policies[table, name] = policy == "DROP"
        elif line.startswith("-A "):
            words = shlex.split(line)
            rules.setdefault((table, words[1]), []).append(_rule(words[2:]))
    return [
        Chain(
            program,
            f"{family} {table}",
            name,
            _HOOKS.get(name, ""),
            _PRIORITIES.get(table, 0),
            isDropping,
            tuple(rules.get((table, name), ())),
        )
        for (table, name), isDropping in policies.items()
    ]


def _rule(words: list[str]) -> Rule:
    matches: list[Match] = []
    isNegated = False
    while words:
        word = words.pop(0)
        if word == "!":
            isNegated = True
            continue
        if word in ("-j", "-g") and words:
            target = words.pop(0)
            if target in _CONTINUING:
                return Rule(tuple(matches), "")
            if target in _TARGETS:
                return Rule(tuple(matches), _TARGETS[target])
            if target.isupper() and target in ("NFQUEUE", "QUEUE"):
                return Rule((*matches, Match("")), "drop")
            return Rule(tuple(matches), "goto" if word == "-g" else "jump", target)
        if word in _FIELDS and words:
            matches.append(_match(_FIELDS[word], words.pop(0), isNegated))
        elif word in ("--ctstate", "--state") and words:
            states = words.pop(0).lower().split(",")
            matches.append(Match("state", tuple(states), isNegated))
        elif word == "-m" and words:
            # A rule is no different with a comment.
            if words.pop(0) == "comment" and words[:1] == ["--comment"]:
                del words[:2]
        elif word.startswith("-"):
            matches.append(Match(""))
        isNegated = False
    return Rule(tuple(matches), "")


def _match(field: str, value: str, isNegated: bool) -> Match:
    if field == "protocol":
        known: object = 112 if value in _PROTOCOL_112 else value
    elif field.startswith("interface"):
        known = value
    else:
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            return Match("")
        known = network.network_address.packed, network.prefixlen
    return Match(field, (known,), isNegated)
