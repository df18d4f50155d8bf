"""
A health check that does what a test says.
"""

from __future__ import annotations

from zope.interface import implementer

from txcarp.interfaces import ICheck, IPlatform


@implementer(ICheck)
class Scripted:
    """
    @ivar result: What each run returns; raised if it is an exception, and called if it can be.
    @ivar runs: When the check was run, in seconds of the clock.
    """

    def __init__(self, result: object = None) -> None:
        self.result = result
        self.runs: list[float] = []

    def run(self, platform: IPlatform, timeout: float) -> object:
        self.runs.append(platform.clock.seconds())
        if isinstance(self.result, Exception):
            raise self.result
        return self.result() if callable(self.result) else self.result
