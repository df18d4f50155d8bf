"""
Doubles for the tests of programs that embed txcarp.  Nothing here opens a socket or waits.

  - C{fakes}: the parts of a platform.
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

__all__ = [
    "FakeAddressTable",
    "FakeAnnouncer",
    "FakeLinks",
    "FakeObserver",
    "FakePlatform",
    "FakeScripts",
    "Journal",
    "goodLink",
    "runTo",
]
