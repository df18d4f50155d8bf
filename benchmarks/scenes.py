"""
Faults of a host that holds an address.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import attrs

from benchmarks.contestants import strike
from tests.lab.daemons import Daemon
from txcarp.netlink.requests import delAddress
from txcarp.testbed import Node

#: The hosts of the test network, and their own addresses.
ADDRESSES = {"a": "10.99.0.1", "b": "10.99.0.2", "client": "10.99.0.50"}


@attrs.frozen
class Scene:
    """
    The host that has a fault.

    @ivar master: The host, which holds the shared address.
    @ivar daemon: The daemon on it.
    """

    reactor: Any
    master: Node
    daemon: Daemon

    def later(self, delay: float, call: Callable[..., object], *arguments: object) -> None:
        """
        Call a function after some seconds.
        """
        self.reactor.callLater(delay, call, *arguments)


@attrs.frozen
class Fault:
    """
    A fault.

    @ivar strike: Causes it.
    @ivar seconds: Seconds to watch the consequences.
    @ivar heir: The host that must have the address in the end.
    @ivar silence: The longest time without an answer that txcarp promises, in seconds.  Where
        the host itself cannot answer, it is the dead time and 50 ms.
    @ivar lost: The largest number of lost probes that txcarp promises; C{None} for no promise.
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
    # A machine without power has no process, no address and no link.
    strike(scene.daemon, signal.SIGKILL)
    scene.master.deleteInterface()


def _unplug(scene: Scene) -> None:
    scene.master.unplug()
    scene.later(5.0, scene.master.plugIn)


def _stop(scene: Scene) -> None:
    scene.daemon.signal(signal.SIGTERM)


def _flush(scene: Scene) -> None:
    # A network manager that restarts removes all addresses, and adds its own again.
    node = scene.master
    with node.netlink() as netlink:
        index = netlink.link("eth0").index
        for address in netlink.addresses():
            if address.index == index:
                try:
                    netlink.request(delAddress(index, address.local, address.prefixLength))
                except OSError:
                    continue  # the kernel removed it with the first address of its network
    node.addAddress(f"{ADDRESSES[node.name]}/24")


FAULTS = (
    Fault("SIGKILL", _kill, 7.0),
    Fault("SIGSTOP for 6 s", _suspend, 11.0),
    Fault("power off", _powerOff, 7.0),
    Fault("cable pulled for 5 s", _unplug, 10.0),
    Fault("planned stop", _stop, 6.0, silence=0.1, lost=1),
    Fault("addresses flushed", _flush, 6.0, heir="a", silence=0.1),
)
