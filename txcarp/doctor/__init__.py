"""
The engine of C{txcarp doctor}: what is wrong with this host, and with the paths between the hosts
of a group.

In reading order:

  - C{examination}: gathers the facts, then judges them.
  - C{complaint}: what is found.
  - C{facts}: what is known before anything is judged.
  - C{onhost}: judges this host by itself.
  - C{onpath}: judges what is between the hosts.
  - C{subject}: one group in one family, as these judgements need it.
  - C{drops}: what this host drops or does not send, and which rule is to blame.
  - C{losses}: what the network loses.
  - C{mending}: chains of firewalls in words, and the commands that open them.
  - C{filtering}: the rules of firewalls, and what becomes of a packet in them.
  - C{nftables}: reads the rules of nftables.
  - C{iptables}: reads the rules of iptables.
  - C{packet}: the test packets, which move nobody.
  - C{correspondence}: what doctors tell each other.
  - C{ears}: the sockets.
  - C{exchange}: some seconds on the network.
  - C{bridges}: bridges in the kernel's messages.
  - C{gathering}: what the kernel says about this host.
  - C{report}: text and JSON.

Only C{ears}, C{exchange} and C{gathering} use a socket, a clock or a file.  The judgements are
functions from facts to complaints.
"""
