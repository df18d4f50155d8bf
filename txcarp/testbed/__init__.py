"""
Test networks on this machine, made by one process without the C{ip} program.

A node is a network namespace with a virtual cable to a switch, which is a bridge in
its own namespace.  No other process sees them, and the kernel removes them when this
process ends, whatever ends it.  Making one blocks for some milliseconds.

    >>> with Testbed.create() as testbed:
    ...     a = testbed.node("a", "10.99.0.1/24")
    ...     b = testbed.node("b", "10.99.0.2/24")
    ...     a.cut()

In reading order:

  - C{network}: the whole network.
  - C{node}: its hosts, and their cables.
  - C{switch}: what they are connected to.
  - C{program}: a program that runs on a node, and what it writes.
  - C{namespaces}: the network namespaces behind nodes and switch.
  - C{requests}: the netlink requests that make their parts.
  - C{pinger}: a client that pings, and measures how long nobody answered.
"""

from __future__ import annotations

from txcarp.testbed.namespaces import TestbedUnavailable, unavailable
from txcarp.testbed.network import Testbed
from txcarp.testbed.node import Node
from txcarp.testbed.switch import Switch

__all__ = ["Node", "Switch", "Testbed", "TestbedUnavailable", "unavailable"]
