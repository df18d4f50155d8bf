"""
The network, the hosts on it, and what was seen of each alert.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.task import deferLater

from tests.alerts.hosts import Host
from tests.alerts.prometheus import INTERVAL, Alert, Prometheus
from txcarp.testbed import Switch, Testbed

#: Seconds between two looks at the alerts.
_LOOK = 0.25

#: Seconds in which an alert must fire, or end.
_WITHIN = 120.0

#: Seconds that a daemon may take to start.
_STARTING = 90.0

#: Something that is done; it may take time.
Action = Callable[[], Awaitable[object] | object]


@attrs.frozen
class Seen:
    """
    What was seen of one alert.

    @ivar cause: What was done, in words.
    @ivar fired: Seconds from that until it fired; C{None} if it did not.
    @ivar ended: Seconds from the end of the cause until it ended; C{None} if it did not.
    """

    alert: str
    cause: str
    fired: float | None
    ended: float | None


class Stage:
    """
    The network of all scenes.

    @ivar seen: What was seen, in the order in which it ended.
    @ivar false: Alerts that fired where nothing was wrong, in words.
    """

    def __init__(self, reactor: Any, testbed: Testbed, directory: Path) -> None:
        self.reactor = reactor
        self.testbed = testbed
        self.seen: list[Seen] = []
        self.false: dict[str, None] = {}
        self.hosts: list[Host] = []
        self._directory = directory
        self._metrics = testbed.switch("metrics")
        node = testbed.node("monitor", "10.98.0.1/24", switch=self._metrics)
        self.prometheus = Prometheus(node, "10.98.0.1", directory / "prometheus")

    def pair(self, name: str) -> tuple[Host, Host]:
        """
        Make two hosts with a switch of their own.
        """
        switch = self.testbed.switch(name)
        return self.host(f"{name}-a", 1, switch), self.host(f"{name}-b", 2, switch)

    def host(self, name: str, number: int = 1, switch: Switch | None = None) -> Host:
        """
        Make a host.

        @param number: The end of its address.
        @param switch: The switch of its groups; one of its own by default.
        """
        address, metrics = f"10.99.0.{number}", f"10.98.0.{len(self.hosts) + 2}"
        lan = switch or self.testbed.switch(name)
        node = self.testbed.node(name, f"{address}/24", switch=lan)
        node.connect(self._metrics, f"{metrics}/24")
        directory = self._directory / str(len(self.hosts))
        host = Host(self.reactor, name, node, directory, address, metrics)
        self.hosts.append(host)
        return host

    async def begin(self, roles: Mapping[str, str]) -> None:
        """
        Start all daemons and Prometheus, and wait until all is well.

        @param roles: The role that each group of each host is to have, by the host; MASTER, for
            those that are missing.
        @raise RuntimeError: If it is not.
        """
        for host in self.hosts:
            host.start()
            await self.until(host.where, lambda host=host: self._answers(host), _STARTING)
        for host in self.hosts:
            wanted = {roles.get(host.name, "MASTER")}

            async def isReady(host: Host = host, wanted: set[str] = wanted) -> bool:
                return set(await host.roles()) == wanted

            await self.until(f"{host.name} is {wanted}", isReady, _STARTING)
        self.prometheus.start(self.reactor, {host.name: host.where for host in self.hosts})
        everybody = len(self.hosts)
        await self.until(
            "all hosts are up", lambda: len(self.prometheus.up()) == everybody, _STARTING
        )
        # The rules may have looked when only the backup of a pair was known.
        await self.during(3 * INTERVAL)

    @staticmethod
    def _answers(host: Host) -> bool:
        if host.daemon.ended:
            lines = [line for _, line in host.daemon.lines]
            raise RuntimeError(f"{host.name} has ended: {lines}")
        return (host.directory / "s").exists()

    async def healthy(self, seconds: float) -> None:
        """
        Watch for some seconds that no alert fires, and none is about to.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for one in self.prometheus.alerts():
                self.false[f"{one.name} {dict(one.labels)}"] = None
            await self.during(_LOOK)

    def look(self, name: str) -> None:
        """
        Look once that no alert is about a group, or its hosts.
        """
        for one in self.prometheus.alerts():
            about = one.labels.get("group", ""), one.labels.get("instance", "").partition("-")[0]
            if name in about:
                self.false[f"{one.name} {dict(one.labels)}"] = None

    async def provoke(
        self, alert: str, cause: str, labels: Mapping[str, str], do: Action, undo: Action
    ) -> None:
        """
        Provoke an alert, and see it end.

        @param cause: What C{do} does, in words.
        @param labels: Some labels that the alert must have.
        @param undo: Ends the cause.
        """
        # An earlier cause may have led to it, too.
        await self._until(time.monotonic(), lambda: not self._met(alert, labels))
        began = time.monotonic()
        await self._done(do)
        fired = await self._until(began, lambda: self._firing(alert, labels))
        began = time.monotonic()
        await self._done(undo)
        ended = await self._until(began, lambda: not self._met(alert, labels))
        self.seen.append(Seen(alert, cause, fired, ended))
        how = "did not fire" if fired is None else f"fired after {fired:.1f} s"
        print(f"{alert}: {how} ({cause})", file=sys.stderr, flush=True)

    async def _done(self, action: Action) -> None:
        result = action()
        if isawaitable(result):
            await result

    async def _until(self, began: float, condition: Callable[[], bool]) -> float | None:
        """
        @return: The seconds until it came true; C{None} if it did not.
        """
        while not condition():
            if time.monotonic() > began + _WITHIN:
                return None
            await self.during(_LOOK)
        return time.monotonic() - began

    def _met(self, alert: str, labels: Mapping[str, str]) -> list[Alert]:
        wanted = labels.items()
        return [
            one
            for one in self.prometheus.alerts()
            if one.name == alert and wanted <= one.labels.items()
        ]

    def _firing(self, alert: str, labels: Mapping[str, str]) -> bool:
        return any(one.isFiring for one in self._met(alert, labels))

    async def until(
        self, what: str, condition: Callable[[], Awaitable[bool] | bool], within: float = 60.0
    ) -> None:
        """
        Wait for a condition.

        @raise RuntimeError: If it does not come true.
        """
        end = time.monotonic() + within
        while True:
            result = condition()
            if (await result) if isawaitable(result) else result:
                return
            if time.monotonic() > end:
                lines = [
                    f"\n{host.name}: {host.daemon.lines[-5:]}"
                    for host in self.hosts
                ]
                raise RuntimeError(f"not within {within:.0f} s: {what}{''.join(lines)}")
            await self.during(0.1)

    async def during(self, seconds: float) -> None:
        """
        Let time pass.
        """
        await deferLater(self.reactor, seconds)

    def end(self) -> None:
        """
        Kill all processes.
        """
        for host in self.hosts:
            host.kill()
        self.prometheus.end()
