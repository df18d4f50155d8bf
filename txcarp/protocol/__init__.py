"""
The CARP protocol: bytes and decisions.

Nothing in this package opens a socket, reads a clock, writes a log or imports Twisted.
Facts come in as arguments and decisions go out as values, so the tests and the simulation
run the code that production runs.

  - A packet: L{envelope} (IP header and checks), L{ipv4}, L{ipv6}, L{advertisement} (the 36
    bytes), L{checksum}, L{rejection}, L{family}.
  - Whom to believe: L{authentication} (digest), L{counter}, L{seal}, L{freshness} (replays).
  - The election: L{timing}, L{demotion}, L{dialect}, L{events} in, L{election}, L{effects} out.
"""
