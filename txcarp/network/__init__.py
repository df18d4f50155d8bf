"""
The edge to the Linux kernel, behind the interfaces of L{txcarp.interfaces}.

Packets: L{linux<txcarp.network.linux>} is what virtual hosts use; it has one
L{interfaceport<txcarp.network.interfaceport>} for each interface, which has one
L{familyport<txcarp.network.familyport>} for IPv4 and one for IPv6.  That opens a
L{rawsocket<txcarp.network.rawsocket>}, with one of the L{readers<txcarp.network.readers>},
and a L{front<txcarp.network.front>} door; the L{socketfilter<txcarp.network.socketfilter>}
of both passes only what is wanted.

State of the host: L{linkmonitor<txcarp.network.linkmonitor>},
L{addresstable<txcarp.network.addresstable>} and L{macvlans<txcarp.network.macvlans>} use one
netlink socket (L{txcarp.netlink}).
"""
