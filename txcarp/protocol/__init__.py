"""
The CARP protocol: bytes and decisions.

Nothing in this package opens a socket, reads a clock, writes a log or imports Twisted.
Facts come in as arguments and decisions go out as values, so the tests and the simulation
run the code that production runs.

In reading order:

  - C{family}: IPv4 and IPv6.
  - C{advertisement}: the 36 bytes of an advertisement.
  - C{timing}: advbase and advskew, and the peer that advertised them.
  - C{pulse}: whether the host of a master is there, by its answers.
  - C{actor}: who asked a host to do something.
  - C{events}: everything that can happen to a virtual host.
  - C{effects}: everything that the election can ask a host to do, roles, and reasons.
  - C{election}: the states, and what each event means in them.
  - C{periods}: who was master when.
  - C{together}: sets of virtual hosts that are master together or not at all.
  - C{explain}: what the election would decide, for people.
  - C{dialect}: the table of differences between ucarp, FreeBSD and OpenBSD.
  - C{demotion}: how a host that cannot do its work well becomes less preferred.
  - C{envelope}: the IP packet around an advertisement, and whether a host may look at it.
  - C{rejection}: the reasons for refusing a packet.
  - C{ipv4}: the IPv4 header.
  - C{ipv6}: the IPv6 header.
  - C{checksum}: the Internet checksum.
  - C{mac}: many HMACs under one key.
  - C{authentication}: the digest, and the passwords and sets of addresses that are accepted.
  - C{counter}: the counters of advertisements without a seal.
  - C{seal}: counters that protect what the digest does not cover.
  - C{lapse}: how a host is recognised that no longer seals.
  - C{freshness}: how new advertisements are told from replayed ones.
  - C{sealstate}: what a host must still know about seals after a restart.
"""
