"""
C{txcarp observe}: who is master in each group of a network, heard by somebody who
takes no part in any.

A packet comes in by L{wire<txcarp.observer.wire>} and L{ear<txcarp.observer.ear>}, is
read by L{sighting<txcarp.observer.sighting>}, and changes what
L{watch<txcarp.observer.watch>} knows of its L{group<txcarp.observer.group>} and
L{host<txcarp.observer.host>}.  What comes of that are
L{events<txcarp.observer.events>}, which L{pace<txcarp.observer.pace>} keeps from
becoming a flood and L{display<txcarp.observer.display>} shows, in
L{words<txcarp.observer.words>}, in a L{table<txcarp.observer.table>} or as
L{records<txcarp.observer.records>}.  Only C{ear}, C{wire} and
L{command<txcarp.observer.command>} know of a reactor, a socket or a clock.
"""

from __future__ import annotations

from txcarp.observer.command import main

__all__ = ["main"]
