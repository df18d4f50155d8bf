"""
The edge to the Linux kernel, behind the interfaces of L{txcarp.interfaces}.

In reading order:

  - C{linux}: the transports and announcers that virtual hosts use.
  - C{attachment}: the sockets of one virtual host, from its first run to its last.
  - C{hostlock}: keeps a virtual host from running twice on one host.
  - C{interfaceport}: all sockets of one interface, opened again when it is made anew.
  - C{familyport}: the sockets of one family on one interface; delivers each packet by its vhid.
  - C{rawsocket}: the raw sockets that send and receive.
  - C{readers}: make a value of each packet that the raw socket receives.
  - C{sample}: reads a few of the packets with wrong headers, which the kernel drops otherwise.
  - C{front}: a packet socket, which sees packets in front of the firewall.
  - C{repeats}: which packets need not be read in front, because they pass the firewall.
  - C{culprits}: why the kernel drops packets that no firewall drops.
  - C{questions}: asks neighbours who has an address.
  - C{polling}: asks them again and again.
  - C{admission}: which advertisements the kernel passes to these sockets.
  - C{socketfilter}: the instructions of which the filters of sockets are made.
  - C{sockets}: opens sockets that need a capability, and checks for the capability.
  - C{frames}: Ethernet frames, for announcements and for a virtual MAC address.
  - C{linkmonitor}: the state of all links, and their observers.
  - C{addresslist}: the addresses of all interfaces of this host.
  - C{addresstable}: adds and removes the virtual addresses, and notices which of them are lost.
  - C{connections}: ends the TCP connections of addresses that leave.
  - C{macvlans}: interfaces with a virtual MAC address.
  - C{listing}: reads one of the kernel's lists while it changes.
  - C{neighbours}: whom virtual hosts ask whether the link works.
  - C{defaults}: the interface to use when none is named.

Link monitor, address list, address table and macvlans use one netlink socket (L{txcarp.netlink}).
"""
