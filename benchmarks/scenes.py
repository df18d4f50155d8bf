"""
Faults of a host that holds an address.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import attrs

from benchmarks import blocking, memory
from benchmarks.contestants import Contestant, Speaker, strike
from tests.lab.daemons import Daemon
from txcarp.netlink.requests import delAddress
from txcarp.testbed import Node
from txcarp.testbed.program import descendants

#: The hosts of the test network, and their own addresses.
ADDRESSES = {"a": "10.99.0.1", "b": "10.99.0.2", "client": "10.99.0.50"}


@attrs.frozen
class Scene:
    """
    The host that has a fault.

    @ivar master: The host, which holds the shared address.
    @ivar daemon: The daemon on it.
    @ivar contestant: The program of the daemon.
    """

    reactor: Any
    master: Node
    daemon: Daemon
    contestant: Contestant

    @property
    def children(self) -> list[int]:
        """
        The processes that the daemon has started.
        """
        return list(descendants(self.daemon.pid))

    @property
    def speaker(self) -> int:
        """
        The process that speaks with the other hosts.
        """
        isChild = self.contestant.speaker is Speaker.CHILD
        return self.children[0] if isChild else self.daemon.pid

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
    @ivar both: The longest time, in seconds, in which txcarp lets both hosts have the address.
    @ivar isGone: Whether the host does not exist any more, so that it has no address.
    @ivar program: The module that runs txcarp; C{None} for the command.
    @ivar options: More options of txcarp.
    @ivar readiness: Words that the other host logs before the fault; empty for none.
    @ivar possible: Returns whether a program can have this fault on this machine.
    """

    name: str
    strike: Callable[[Scene], None]
    seconds: float
    heir: str = "b"
    silence: float = 3.05
    lost: int | None = None
    both: float = 0.4
    isGone: bool = False
    program: str | None = None
    options: tuple[str, ...] = ()
    readiness: str = ""
    possible: Callable[[Contestant], bool] = lambda contestant: True


def _kill(scene: Scene) -> None:
    os.kill(scene.daemon.pid, signal.SIGKILL)


def _killChild(scene: Scene) -> None:
    names = {Path(f"/proc/{one}/comm").read_text().strip(): one for one in scene.children}
    os.kill(names.get("txcarp-guard", scene.children[0]), signal.SIGKILL)


def _killAll(scene: Scene) -> None:
    strike(scene.daemon, signal.SIGKILL)


def _suspend(scene: Scene, seconds: float) -> None:
    _hang(scene)
    scene.later(seconds, os.kill, scene.speaker, signal.SIGCONT)


def _hang(scene: Scene) -> None:
    os.kill(scene.speaker, signal.SIGSTOP)


def _block(scene: Scene) -> None:
    os.kill(scene.daemon.pid, blocking.SIGNAL)


def _exhaust(scene: Scene) -> None:
    rest = [one for one in (scene.daemon.pid, *scene.children) if one != scene.speaker]
    module = [sys.executable, "-m", "benchmarks.memory"]
    subprocess.Popen([*module, *map(str, [scene.speaker, *rest])], close_fds=True)


def _hasChild(contestant: Contestant) -> bool:
    return contestant.name != "ucarp"


def _isTxcarp(contestant: Contestant) -> bool:
    return contestant.name == "txcarp"


def _powerOff(scene: Scene) -> None:
    # The host is gone for all others from one moment to the next.  It takes longer to kill what
    # runs on it, and still longer to remove an interface.
    scene.master.cut()
    strike(scene.daemon, signal.SIGKILL)


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


#: A backup that asks whether the host of the master is there.
PROBED = Fault(
    *("power off with --probe", _powerOff, 4.0),
    silence=0.1,
    isGone=True,
    options=("--probe", "0.005", "--witness", ADDRESSES["client"]),
    readiness="The probe is ready",
    possible=_isTxcarp,
)

#: The child of txcarp is its guard, that of keepalived the process that speaks VRRP.  ucarp has
#: none.  SIGSTOP and the lack of memory hit the process that speaks with the other hosts.
FAULTS = (
    Fault("SIGKILL", _kill, 7.0, silence=0.01, lost=5, both=0.001),
    Fault(
        *("SIGKILL of the child", _killChild, 7.0),
        heir="a",
        silence=0.01,
        lost=0,
        both=0.001,
        possible=_hasChild,
    ),
    Fault("SIGKILL of both", _killAll, 7.0, possible=_hasChild),
    Fault(
        *("out of memory", _exhaust, 9.0),
        silence=0.01,
        lost=5,
        both=0.001,
        possible=lambda contestant: memory.place() is not None,
    ),
    Fault(
        "SIGSTOP for 6 s", partial(_suspend, seconds=6.0), 11.0, silence=0.01, lost=5, both=0.001
    ),
    Fault(
        *("SIGSTOP for 0.4 s", partial(_suspend, seconds=0.4), 4.0),
        heir="a",
        silence=0.01,
        lost=0,
        both=0.001,
    ),
    Fault(
        *("blocked for 5 s", _block, 10.0),
        silence=0.01,
        lost=5,
        both=0.001,
        program="benchmarks.blocking",
        possible=_isTxcarp,
    ),
    Fault("power off", _powerOff, 7.0, isGone=True),
    PROBED,
    Fault("cable pulled for 5 s", _unplug, 10.0),
    Fault("planned stop", _stop, 6.0, silence=0.1, lost=1),
    Fault("addresses flushed", _flush, 6.0, heir="a", silence=0.1),
)

#: What a master can do to be silent from one moment to the next.
SILENCES = (
    Fault("power off", _powerOff, 0.0, isGone=True),
    PROBED,
    Fault("SIGKILL", _kill, 0.0),
    Fault("SIGKILL of the child", _killChild, 0.0, heir="a", possible=_hasChild),
    Fault("SIGSTOP", _hang, 0.0),
    Fault("planned stop", _stop, 0.0),
)


def addFaultOption(parser: argparse.ArgumentParser) -> None:
    """
    Add the option that names some of the faults.
    """
    parser.add_argument(
        "--faults", metavar="WORDS", help="faults whose names contain one of these words"
    )


def faultsOf(
    parser: argparse.ArgumentParser, options: argparse.Namespace, known: Sequence[Fault]
) -> list[Fault]:
    """
    The faults that the option names; all if it is not given.
    """
    words = options.faults.split(",") if options.faults else [""]
    found = [fault for fault in known if any(word in fault.name for word in words)]
    if not found:
        names = ", ".join(fault.name for fault in known)
        parser.error(f"--faults {options.faults}: expected words in {names}")
    return found
