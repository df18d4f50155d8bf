"""
Health checks of other programs, found by name with Twisted's plugin system.

This module is imported only when a configuration names a plugin: C{twisted.plugin} reads
directories, and imports the modules in which it finds something new.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
from twisted.logger import ILogObserver, LogEvent, Logger, globalLogPublisher
from twisted.plugin import IPlugin, getPlugins
from zope.interface import implementer, provider

import txcarp.plugins
from txcarp.interfaces import ICheck, ICheckPlugin

_log = Logger()


@implementer(IPlugin, ICheckPlugin)
@attrs.frozen
class CheckPlugin:
    """
    Makes health checks of one kind.  A module in C{txcarp/plugins} assigns one to any name.

    @ivar name: What C{plugin} in the configuration file calls it.
    @ivar make: A class of checks, or a function that returns one.
    """

    name: str
    make: Callable[..., ICheck]


def findPlugin(name: str) -> ICheckPlugin:
    """
    Find the plugin of a name.

    A module that cannot be imported is named in the log, and hides no other.

    @raise ValueError: If there is none, or more than one.
    """
    broken: list[str] = []

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        failure = event.get("log_failure") or event.get("failure")
        if failure is not None:
            inner = failure.frames[-1][1] if failure.frames else "a module"
            where = getattr(failure.value, "filename", None) or inner
            broken.append(f"{where} ({failure.type.__name__}: {failure.value})")

    globalLogPublisher.addObserver(observe)
    try:
        plugins = list(getPlugins(ICheckPlugin, txcarp.plugins))
    finally:
        globalLogPublisher.removeObserver(observe)
    for one in broken:
        _log.warn("A plugin is broken, and its checks are missing: {what}", what=one)
    found = [one for one in plugins if one.name == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"there are {len(found)} plugins {name!r}: {', '.join(map(str, found))}")
    known = ", ".join(sorted({one.name for one in plugins}))
    there = f"there are: {known}" if known else "there is none in txcarp/plugins"
    problem = f"; these are broken: {', '.join(broken)}" if broken else ""
    raise ValueError(f"no plugin is called {name!r}; {there}{problem}")
