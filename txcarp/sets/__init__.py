"""
Sets of virtual hosts that are master together or not at all.

The decisions are those of L{txcarp.protocol.together}.  Here the facts about the members are
gathered, and the members are told what follows.  In reading order:

  - C{syncgroup}: a set, and its decisions.
  - C{member}: a virtual host in its set: its facts, and what it is told.
  - C{masters}: the other masters that a member hears.
"""
