"""
Tells observers, which belong to other programs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from twisted.logger import Logger

_log = Logger()

_Observer = TypeVar("_Observer")


def tellAll(
    observers: Iterable[_Observer],
    tell: Callable[[_Observer], None],
    what: str,
    vhid: int,
    interface: str,
) -> None:
    """
    Call each observer.  One that raises an exception, or adds and removes others, does not
    disturb the rest.

    @param what: What they observe, for the log.
    @param vhid: The number of the group, for the log.
    @param interface: The interface of the group, for the log.
    """
    for observer in list(observers):
        try:
            tell(observer)
        except Exception:
            _log.failure(
                "An observer of {what} failed (vhid {vhid} on {interface})",
                what=what,
                vhid=vhid,
                interface=interface,
            )
