"""
The engine of C{txcarp observe}: which host is master in each group of a
network, found out from the advertisements alone.

L{ear<txcarp.observer.ear>} receives packets from a socket of
L{wire<txcarp.observer.wire>}.  L{sighting<txcarp.observer.sighting>} and
L{vrrp<txcarp.observer.vrrp>} read one packet.
L{watch<txcarp.observer.watch>} passes it to its
L{group<txcarp.observer.group>} and L{host<txcarp.observer.host>}, whose seals
L{sealjudge<txcarp.observer.sealjudge>} judges.  The results are
L{events<txcarp.observer.events>}, which L{ratelimit<txcarp.observer.ratelimit>}
thins out.  They are shown in L{words<txcarp.observer.words>} for people, as
L{records<txcarp.observer.records>} for programs, or above a live table
(L{tables<txcarp.observer.tables>}).
L{observation<txcarp.observer.observation>} connects all of this.

Only C{ear}, C{wire} and C{observation} use a reactor, a socket or a clock.
"""
