"""
The engine of C{txcarp observe}: which host is master in each group of a network, found out from
the advertisements alone.

In reading order:

  - C{observation}: connects everything below.
  - C{ear}: receives packets on one interface, which may vanish and return.
  - C{wire}: the packet socket.
  - C{sighting}: reads one packet.
  - C{vrrp}: reads the VRRP advertisement in a packet.
  - C{watch}: passes each sighting to its group.
  - C{group}: decides which host is master in one group.
  - C{host}: what one host of a group shows of itself.
  - C{sealjudge}: decides whether the advertisements of a host look sealed.
  - C{verification}: verifies digests and seals for somebody who knows the password.
  - C{reports}: the results.
  - C{tally}: adds them up.
  - C{ratelimit}: thins out the results, but keeps the newest.
  - C{words}: the results in words, for people.
  - C{records}: the results as JSON objects, for programs.
  - C{summary}: what it came to in the end.
  - C{tables}: the table of all groups, printed once or live.
  - C{review}: a capture in place of a network.
  - C{capture}: reads captures.

Only C{ear}, C{wire} and C{observation} use a reactor, a socket or a clock.
"""
