"""
Chains of firewalls as people call them, and the commands that open them.

A rule that is added by hand lasts until the host or its firewall is started again.  Each command
says in a comment where it has to be written down to last.
"""

from __future__ import annotations

from txcarp.doctor.filtering import Chain
from txcarp.protocol.family import Family

#: The table of nftables that firewalld manages, and makes anew whenever it reloads.
_FIREWALLD = "firewalld"

#: How the names of ufw's chains begin, to which those of iptables jump.
_UFW = "ufw-"

_MATCH = {Family.IPV4: "ip protocol 112", Family.IPV6: "ip6 nexthdr 112"}


def chainOf(chain: Chain) -> str:
    """
    A chain with the program that shows it.
    """
    table = chain.table.partition(" ")[2]
    if chain.program == "nft":
        return f"chain {chain.name} of the nft table {chain.table}"
    return f"chain {chain.name} of the {chain.program} table {table}"


def permission(chain: Chain, interface: str, family: Family, way: str) -> str:
    """
    The command that lets protocol 112 pass a chain.

    @param way: C{in} or C{out}.
    """
    table = chain.table.partition(" ")[2]
    if chain.program != "nft":
        option = "-i" if way == "in" else "-o"
        where = "" if table == "filter" else f"-t {table} "
        command = f"{chain.program} {where}-I {chain.name} 1 {option} {interface} -p 112 -j ACCEPT"
    elif table == _FIREWALLD and way == "in":
        return "firewall-cmd --permanent --add-protocol=vrrp && firewall-cmd --reload"
    elif chain.family == "netdev":
        command = f"nft insert rule {chain.table} {chain.name} {_MATCH[family]} accept"
    else:
        match = f'{_interface(way)} "{interface}" {_MATCH[family]}'
        command = f"nft insert rule {chain.table} {chain.name} {match} accept"
    return f"{command}    {_lasting(chain)}"


def arpPermission(chain: Chain, interface: str, way: str) -> str:
    """
    The command that lets ARP pass a chain.

    @param way: C{in} or C{out}.
    """
    if chain.program == "arptables":
        option = "-i" if way == "in" else "-o"
        command = f"arptables -I {chain.name} {option} {interface} -j ACCEPT"
    else:
        match = f'{_interface(way)} "{interface}"'
        command = f"nft insert rule {chain.table} {chain.name} {match} accept"
    return f"{command}    {_lasting(chain)}"


def _interface(way: str) -> str:
    return "iifname" if way == "in" else "oifname"


def _lasting(chain: Chain) -> str:
    where = "the rules that are loaded at boot"
    if chain.program == "nft":
        where = "/etc/nftables.conf"
    elif any(rule.target.startswith(_UFW) for rule in chain.rules):
        where = "before6.rules" if chain.program.startswith("ip6") else "before.rules"
        where = f"/etc/ufw/{where}"
    return f"# and in {where}"
