"""
One run of a virtual host in its group: it listens, it advertises, and it stands for election.

In reading order:

  - C{participation}: the run itself: the door for events.
  - C{parts}: the list of its parts, and what each of them is given.
  - C{candidate}: the facts that go into the election, and the effects that come out of it.
  - C{memory}: what outlives a run.
  - C{record}: what outlives the process, in the state store.
  - C{channel}: the source, the destinations and the audience in one family.
  - C{reception}: reads a packet, and returns the event that it is.
  - C{beats}: recognises what a host says once more in another form.
  - C{diagnostics}: faults between the hosts of the group, counted, explained, and reported.
  - C{peers}: the table of the other hosts.
  - C{timers}: the deadline of the master, and the rhythm of advertising.
  - C{probing}: asks the host of the master whether it is there.
  - C{advertiser}: signs and sends advertisements.
  - C{lastwill}: what the guard does if this process dies or hangs.
  - C{sealing}: makes and checks seals, and has their state saved.
  - C{holds}: what keeps this host out of the election, and for how long.
  - C{leaving}: hands mastership over, and leaves the group.
  - C{draining}: keeps this host out of the election for an administrator.
  - C{needs}: the holds while the interface is down, deaf, or without a source.
  - C{fitness}: runs the health checks, and holds or demotes this host while one is bad.
  - C{demotions}: sets and clears demotions, with a log line for each.
  - C{roles}: writes changes of role to the log, and tells observers.
  - C{chronicle}: remembers what may have led to a role, and tells observers what happens.
  - C{timeline}: remembers who was master when.
  - C{ready}: waits until this host is master, and ready.
  - C{portrait}: what there is to know about a virtual host at one moment.
  - C{observers}: calls observers, which may fail.
  - C{firewall}: notices that the firewall of this host drops advertisements of peers.
"""
