"""
Helpers for tests with test networks.
"""

from __future__ import annotations

from collections.abc import Callable
from unittest import SkipTest

from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from txcarp.testbed import Testbed, TestbedUnavailable


def makeTestbed(case: SynchronousTestCase) -> Testbed:
    """
    Make a network for one test, and remove it afterwards.

    @raise SkipTest: If it cannot be made.
    """
    try:
        testbed = Testbed.create()
    except TestbedUnavailable as error:
        raise SkipTest(str(error)) from error
    case.addCleanup(testbed.remove)
    return testbed


async def until(condition: Callable[[], object]) -> None:
    """
    Wait for a condition.  The time limit of the test ends a wait for one that never holds.
    """
    from twisted.internet import reactor

    while not condition():
        await deferLater(reactor, 0.002)
