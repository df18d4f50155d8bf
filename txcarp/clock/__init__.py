"""
Time.

In reading order:

  - C{monotonic}: the clock of all timers.
  - C{metronome}: when the masters of this process advertise.
  - C{timerfd}: calls the kernel's timer for it.
  - C{steady}: a clock that nobody slews, and that goes on while the machine sleeps.
"""
