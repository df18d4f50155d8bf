"""
Chains of firewalls as people call them, and the commands that open them.
"""

from __future__ import annotations

from txcarp.doctor.filtering import Chain
from txcarp.protocol.family import Family

_MATCH = {Family.IPV4: "ip protocol 112", Family.IPV6: "ip6 nexthdr 112"}


def chainOf(chain: Chain) -> str:
    table = chain.table.partition(" ")[2]
    if chain.program == "nft":
        return f"chain {chain.name} of the nft table {chain.table}"
    return f"chain {chain.name} of the {chain.program} table {table}"


def permission(chain: Chain, interface: str, family: Family, way: str) -> str:
    """
    The command that lets protocol 112 pass a chain.
    """
    if chain.program != "nft":
        option = "-i" if way == "in" else "-o"
        table = chain.table.partition(" ")[2]
        where = "" if table == "filter" else f"-t {table} "
        return f"{chain.program} {where}-I {chain.name} 1 {option} {interface} -p 112 -j ACCEPT"
    if chain.family == "netdev":
        match = _MATCH[family]
    else:
        name = "iifname" if way == "in" else "oifname"
        match = f'{name} "{interface}" {_MATCH[family]}'
    return f"nft insert rule {chain.table} {chain.name} {match} accept"


def arpPermission(chain: Chain, interface: str, way: str) -> str:
    if chain.program == "arptables":
        option = "-i" if way == "in" else "-o"
        return f"arptables -I {chain.name} {option} {interface} -j ACCEPT"
    name = "iifname" if way == "in" else "oifname"
    return f'nft insert rule {chain.table} {chain.name} {name} "{interface}" accept'
