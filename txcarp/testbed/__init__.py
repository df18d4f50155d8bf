"""
Throw-away networks on this machine: nodes on switches, in one process, without the
C{ip} program.

A node is a network namespace with a virtual cable to a switch, which is a bridge in a
namespace of its own.  Nothing of it has a name outside this process, and all of it
vanishes with this process, however that ends.  Setting up blocks for some milliseconds.

    >>> with Testbed.create() as testbed:
    ...     a = testbed.node("a", "10.99.0.1/24")
    ...     b = testbed.node("b", "10.99.0.2/24")
    ...     a.cut()
"""

from __future__ import annotations

from txcarp.testbed.namespaces import TestbedUnavailable, unavailable
from txcarp.testbed.network import Testbed
from txcarp.testbed.node import Node
from txcarp.testbed.switch import Switch

__all__ = ["Node", "Switch", "Testbed", "TestbedUnavailable", "unavailable"]
