"""
Health checks: whether what this host needs as master works.

In reading order:

  - C{verdict}: what a series of results means, as a value.
  - C{health}: the settings of one check.
  - C{probes}: runs each check at its times, once for all groups that have it.
  - C{runner}: the state of one check of one group.
  - C{tcp}: whether a server accepts connections.
  - C{http}: whether a web server answers.
  - C{dns}: whether a name server answers.
  - C{gateway}: whether another host on the link answers.
  - C{masterpulse}: asks the host of a master, every few milliseconds, whether it is there.
  - C{hearing}: whose answers that follows, and who has answered.
  - C{pulses}: does that once for all groups with the same master.
  - C{plugins}: checks of other programs, found by their names.
  - C{local}: processes, files, interfaces and commands.
"""
