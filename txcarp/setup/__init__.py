"""
Before a host runs: its first group, and whether its configuration file fits it.

Both modules listen on the network, and send nothing.  In reading order:

  - C{firstgroup}: the engine of C{txcarp init}.
  - C{inspection}: the engine of C{txcarp check}.
"""
