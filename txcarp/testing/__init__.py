"""
Doubles for the tests of programs that embed txcarp.  Nothing here opens a socket or waits.

  - C{puppet}: a virtual host that becomes master and backup on command.
  - C{segment}: hosts on a simulated network, with the real election.
  - C{fakes}: the parts of a platform.
  - C{transport}: a place on a network where nothing goes wrong.

The section "Testing your program" of C{docs/python.rst} has a test to begin with.
"""

from txcarp.testing.fakes import (
    FakeAddressTable,
    FakeAnnouncer,
    FakeLinks,
    FakeObserver,
    FakePlatform,
    FakeScripts,
    Journal,
    goodLink,
    runTo,
)
from txcarp.testing.puppet import PuppetVirtualHost
from txcarp.testing.segment import Segment, SimulatedHost
from txcarp.testing.transport import FakeTransport

__all__ = [
    "FakeAddressTable",
    "FakeAnnouncer",
    "FakeLinks",
    "FakeObserver",
    "FakePlatform",
    "FakeScripts",
    "FakeTransport",
    "Journal",
    "PuppetVirtualHost",
    "Segment",
    "SimulatedHost",
    "goodLink",
    "runTo",
]
