"""
The guard: a small process that gives back what a daemon holds when that dies or hangs.

  - L{sentry<txcarp.guard.sentry>}: the program of that process.
"""
