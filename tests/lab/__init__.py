"""
Tests of the real daemon in test networks, beside the real C{ucarp}.

Processes, sockets, packets and scripts are those of production; only the network is
made for the test.  The tests assert what was on the wire, and what processes and
scripts wrote.  They run as root, and as any user who may make user namespaces.
"""
