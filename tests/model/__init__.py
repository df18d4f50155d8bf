"""
The exhaustive model: every state that a small group can reach, whatever fails.

C{python -m tests.model} explores groups of two hosts with up to six lost packets and three crashes,
and of three hosts with two and two, in every order in which anything can happen.  In addition hosts
are demoted, asked to hand over, stopped, frozen and suspended.  Hosts of this program decide with
the production election in every dialect; other hosts follow ucarp's and the kernels' rules, which
are plain code here.  Of every state that can be reached, whatever can follow without another fault
is followed to its end:

  - the group ends with exactly one master, which stays;
  - no time without a master or with several is longer than the plain protocol's.  That is not a
    formula: the same group of plain hosts is explored as well, and the times are compared for each
    number of faults of each kind.  L{tests.model.check} names the two exceptions.

A state in which that is not so becomes a story, the shortest one, and L{tests.model.replay} plays
it with real virtual hosts.

What the model leaves out
=========================

Time passes in quarters of a second, and an interval that is no whole number of them is rounded up.
Whatever happens in the same quarter happens in any order, but a packet is faster than the 10 ms for
which a late backup looks again, and the 50 ms of an offer.  All clocks are equally fast.  Packets
reach all hosts in the order in which they were sent, except in the scenarios that are called
overtaking.  There is one family and one dead ratio, the advbase is 1, and there are no seals, no
delays before a start or a preemption, no limit for flapping, and no steps of mastership that fail
or take long.  No link is lost, and nobody claims mastership.  A host that starts knows nothing.
Only two or three hosts are explored, with the rules of OpenBSD 7.7 only two, and not all kinds of
faults at once.

The modules, in reading order:

  - C{machine}: a host as a value, and what may happen to it;
  - C{production}, C{plain}: its rules, those of this program and of the others;
  - C{space}: the states of a group, and C{graph}, C{continuation}: what follows without faults;
  - C{scenarios}: the groups that are explored;
  - C{sides}: a model of its own, of sets of virtual hosts;
  - C{check}: the comparison; C{paths}, C{story}, C{replay}: what is wrong, in words and for real.
"""
