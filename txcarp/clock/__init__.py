"""
Time.

C{monotonic} has the clock that everything in txcarp waits on, and the clock that also
counts while the machine is suspended.  C{timerfd} calls the kernel's timer for it.
"""
