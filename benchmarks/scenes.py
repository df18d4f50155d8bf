"""
What can happen to a host that has an address.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import attrs

from benchmarks.contestants import strike
from tests.lab.daemons import Daemon
from txcarp.netlink.requests import delAddress
from txcarp.testbed import Node, Testbed

#: The hosts of a test network, and their own addresses.
ADDRESSES = {"a": "10.99.0.1", "b": "10.99.0.2", "client": "10.99.0.50"}


@attrs.define
class Scene:
    """
    Two hosts that share an address, and a client.

    @ivar master: the host that has it.
    """

    reactor: Any
    testbed: Testbed
    master: Node
    daemon: Daemon

    def later(self, delay: float, call: Callable[..., object], *arguments: object) -> None:
        """
        Have a second thing happen.
        """
        self.reactor.callLater(delay, call, *arguments)


@attrs.frozen
class Fault:
    """
    Something that happens to a master.

    @ivar seconds: how long to watch what comes of it.
    @ivar heir: the host that is to have the address in the end.
    @ivar silence: seconds without an answer that txcarp promises not to exceed:
        for those where its host cannot answer, the dead time and 50 ms.
    @ivar lost: probes that may be lost; C{None} if that is not promised.
    """

    name: str
    strike: Callable[[Scene], None]
    seconds: float
    heir: str = "b"
    silence: float = 3.05
    lost: int | None = None


def _kill(scene: Scene) -> None:
    strike(scene.daemon, signal.SIGKILL)


def _suspend(scene: Scene) -> None:
    strike(scene.daemon, signal.SIGSTOP)
    scene.later(6.0, strike, scene.daemon, signal.SIGCONT)


def _powerOff(scene: Scene) -> None:
    # What is left of a machine without power: no process, no address, no link.
    strike(scene.daemon, signal.SIGKILL)
    scene.master.deleteInterface()


def _unplug(scene: Scene) -> None:
    scene.master.unplug()
    scene.later(5.0, scene.master.plugIn)


def _stop(scene: Scene) -> None:
    scene.daemon.signal(signal.SIGTERM)


def _flush(scene: Scene) -> None:
    # A network manager that restarts: every address goes, its own come back.
    node = scene.master
    with node.netlink() as netlink:
        index = netlink.link("eth0").index
        for address in netlink.addresses():
            if address.index == index:
                try:
                    netlink.request(delAddress(index, address.local, address.prefixLength))
                except OSError:
                    continue  # it went with the first one of its network
    node.addAddress(f"{ADDRESSES[node.name]}/24")


FAULTS = (
    Fault("SIGKILL", _kill, 7.0),
    Fault("SIGSTOP for 6 s", _suspend, 11.0),
    Fault("power off", _powerOff, 7.0),
    Fault("cable pulled for 5 s", _unplug, 10.0),
    Fault("planned stop", _stop, 6.0, silence=0.1, lost=1),
    Fault("addresses flushed", _flush, 6.0, heir="a", silence=0.1),
)
