"""
Bytes and decisions.

Nothing in this package opens a socket, reads a clock, writes a log or imports
Twisted: every fact comes in as an argument and every decision goes out as a
value.  The tests and the simulation therefore run exactly what production
runs.
"""
