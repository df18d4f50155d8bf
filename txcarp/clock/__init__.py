"""
Time.

In reading order:

  - C{monotonic}: the clock of all timers, and one that also counts while the machine sleeps.
  - C{timerfd}: calls the kernel's timer for it.
"""
