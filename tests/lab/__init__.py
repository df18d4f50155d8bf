"""
The real daemon in throw-away networks, beside the real C{ucarp}.

Processes, sockets, packets and scripts are those of production; only the network is
made for the test.  What a test asserts was seen on the wire, or was written by a
process or script.  It runs as root, and as any user who may make user namespaces.
"""
