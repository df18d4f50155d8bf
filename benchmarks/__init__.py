"""
Measurements, each a command (C{python -m benchmarks.NAME --help}).

C{faults}, C{silences}, C{lateness}, C{handover}, C{floods}, C{groups}, C{steadiness} and C{attacks}
measure txcarp beside ucarp and keepalived, with real processes in test networks.  C{start} measures
how soon each of them is ready, and its memory.  C{probing} measures what a probe costs, and whether
it is misled.  C{calltrace} counts the calls that an advertisement takes, and measures the time.
C{control} and C{turns} measure what programs that ask a daemon cost it; their programs are in
C{askers}.  C{fuzz} attacks hosts in memory until something is wrong.  C{reloads} edits the
configuration files of two daemons all the time, and looks whether that disturbs anybody.  C{report}
writes the chapter of the manual about all of this, with the drawings of C{plots}.

They share the programs that are compared (C{contestants}), the test network with its daemons
(C{stage}), the faults (C{scenes}), hosts with many groups (C{crowds}), and how processes are
measured (C{processes}).
"""
