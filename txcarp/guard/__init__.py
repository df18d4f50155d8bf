"""
The guard: a small process that gives back what a daemon holds when that dies or hangs.

In reading order:

  - C{guard}: the side of the daemon: starts the process, and hands over the wills.
  - C{sentry}: the program of that process.
  - C{deeds}: what it has done, which is known after a restart.
"""
