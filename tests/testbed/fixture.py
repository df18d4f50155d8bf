"""
What tests with a network of their own have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from unittest import SkipTest

from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from txcarp.testbed import Testbed, TestbedUnavailable


def makeTestbed(case: SynchronousTestCase) -> Testbed:
    """
    A network for one test, removed after it.

    @raise SkipTest: where none can be made, with the reason.
    """
    try:
        testbed = Testbed.create()
    except TestbedUnavailable as error:
        raise SkipTest(str(error)) from error
    case.addCleanup(testbed.remove)
    return testbed


async def until(condition: Callable[[], object]) -> None:
    """
    Wait until something is true; the test's own time limit ends a wait that is in vain.
    """
    from twisted.internet import reactor

    while not condition():
        await deferLater(reactor, 0.002)
