"""
Counts the function calls that one advertisement takes, and measures the time::

    python -m benchmarks.calltrace
    python -m benchmarks.calltrace --list
    python -m benchmarks.calltrace --against ../an-older-checkout

A L{CARPService} with its real clock, real sockets and the real reactor takes part in a group
on a veth pair, in a network namespace of its own; the other end of the pair plays its peer.
A profile hook (L{sys.setprofile}) counts the calls of this package's functions in three
scenes:

    1. a backup receives a good sealed advertisement of the master that it knows;
    2. the dead time passes, and the backup becomes master and advertises;
    3. a master advertises again.

B{What is counted}: each entry of a Python frame whose code was compiled from a file of
C{txcarp}.  A comprehension has a frame of its own in Python 3.11, and a generator enters its
frame once for each item.  Properties count; functions in C and of other packages do not.  The
clock (C{txcarp.clock}) is left out as any reactor's timers would be, and so is code that attrs
generated: the line I{all} has them, too.  A scene begins when the reactor calls C{doRead} of the
ready descriptor, or C{datagramReceived} if the descriptor is a port of Twisted, and ends with
that turn of the reactor.  A I{change of file} is a call of a function in another file than that
of the call before.

B{What is timed}: C{doRead} of the IPv4 socket with a batch of waiting packets, divided by their
number (the receive path, the system call included), and in the same run C{packetReceived} of
the receiver alone, where there is one.  Each run is a process of its own; with C{--against} the
processes of the two checkouts take turns, so that a slow moment of the machine hits both.

It needs the right to make network namespaces (root, or user namespaces).  It is one file, long
as it is, because it runs by its path with the package of another checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import stat
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, cast

_ROOT = Path(__file__).resolve().parent.parent

#: The ends of the veth pair: the host that is measured, and its peer.
_INTERFACE, _FAR_END = "eth0", "far0"

#: What the Ethernet frames of the peer begin with: the group of CARP in IPv4, some card, IPv4.
_FRAME = bytes.fromhex("01005e000012" "020000000001" "0800")

#: Packets that are put in front of the socket at once.  Its buffer has room for about 100.
_BATCH = 50

#: Seconds to wait for a scene.
_PATIENCE = 10.0

#: Ticks in a second, and seconds from 1970 to tick 0 (docs/protocol.rst).
_PACE, _EPOCH = 100, 1577836800

#: Stands for the file of generated code.
_GENERATED = "<attrs>"

#: The beginnings of the names of files that are left out.  In older checkouts the clock is
#: three modules, and not a package.
_LEFT_OUT = (_GENERATED, "clock/", "clock.py", "_agenda.py", "_timerfd.py")

SCENES = {
    "advert": "a good sealed advert at a backup",
    "takeover": "dead time passes, then master",
    "beat": "one beat of a master",
}


class Trace:
    """
    The calls of one scene.

    @ivar calls: file and function of each, in order.
    """

    #: The functions that the reactor calls; what it calls before them is its bookkeeping.
    ENTRIES = frozenset({"doRead", "datagramReceived"})

    def __init__(self, package: Path) -> None:
        self._package = f"{package}{os.sep}"
        self._codes: dict[CodeType, tuple[str, str] | None] = {}
        self.calls: list[tuple[str, str]] = []

    def record(self, turn: Callable[[], object]) -> None:
        """
        Record the calls of one turn of the reactor, and forget those of earlier turns.
        """
        self.calls.clear()
        sys.setprofile(self._profile)
        try:
            turn()
        finally:
            sys.setprofile(None)
        while self.calls and self.calls[0][1].rpartition(".")[2] not in self.ENTRIES:
            del self.calls[0]

    def _profile(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call":
            code = frame.f_code
            if code not in self._codes:
                self._codes[code] = self._place(code)
            place = self._codes[code]
            if place is not None:
                self.calls.append(place)

    def _place(self, code: CodeType) -> tuple[str, str] | None:
        name = code.co_filename
        if name.startswith("<attrs generated") and "txcarp" in name:
            return _GENERATED, f"{code.co_name} {name}"
        if name.startswith(self._package):
            return name.removeprefix(self._package), code.co_qualname
        return None

    def summary(self) -> dict[str, Any]:
        """
        The figures, and the calls.
        """
        own = [call for call in self.calls if not call[0].startswith(_LEFT_OUT)]
        return {
            "figures": [_figures(calls) for calls in (own, self.calls)],
            "list": [f"{file}:{function}" for file, function in self.calls],
        }


def _figures(calls: Sequence[tuple[str, str]]) -> tuple[int, int, int, int]:
    files = [file for file, _ in calls]
    changes = sum(one != other for one, other in pairwise(files))
    return len(calls), len(set(calls)), len(set(files)), changes


class Rig:
    """
    The host that is measured, and a peer made by hand.
    """

    def __init__(self) -> None:
        from twisted.internet import reactor

        import txcarp
        from tests import crafted
        from txcarp import CARPService, VirtualHostConfiguration, parseIPv4

        self._reactor = cast(Any, reactor)
        self._crafted = crafted
        self._heard = 0
        self._tick = int((time.time() - _EPOCH) * _PACE)
        self.package = Path(txcarp.__file__).parent
        self._peer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        self._peer.bind((_FAR_END, 0x0800))
        self._service = CARPService(
            [
                VirtualHostConfiguration(
                    interface=_INTERFACE,
                    vhid=crafted.VHID,
                    password=crafted.PASSWORD,
                    source=parseIPv4(crafted.OWN),
                    addresses=[crafted.ADDRESS],
                    advskew=100,
                )
            ]
        )
        self._service.privilegedStartService()
        self._service.startService()
        self._host: Any = self._service.virtualHosts[0]
        self.turn(0.2)

    def turn(self, seconds: float = 0.0) -> None:
        """
        Let the reactor work.
        """
        end = time.monotonic() + seconds
        while True:
            self._reactor.iterate(max(0.0, min(0.01, end - time.monotonic())))
            if time.monotonic() >= end:
                return

    def socketReader(self) -> Any:
        """
        The descriptor of the reactor that reads the raw IPv4 socket of protocol 112.
        """
        for reader in self._reactor.getReaders():
            if _isSocket(reader.fileno()):
                return reader
        raise LookupError("the reactor reads no raw socket of protocol 112")

    def packets(self, count: int) -> list[bytes]:
        """
        Frames of a better master, each with a later tick.
        """
        frames = []
        for _ in range(count):
            self._tick += 1
            frames.append(_FRAME + self._crafted.sealedPacket(self._tick, advbase=1))
        return frames

    def send(self, frames: Sequence[bytes]) -> None:
        """
        Put frames in front of the host.
        """
        for frame in frames:
            self._peer.send(frame)

    def hasAdvertised(self) -> bool:
        """
        Whether the host sent an advertisement since the last call.
        """
        sent = False
        try:
            while True:
                frame, address = self._peer.recvfrom(2048)
                sent |= address[2] != socket.PACKET_OUTGOING and frame[23:24] == b"\x70"
        except BlockingIOError:
            return sent

    @property
    def received(self) -> int:
        """
        How many good advertisements the host heard.
        """
        if hasattr(self._host, "status"):
            return int(self._host.status().received)
        return int(self._host.received)

    def hasHeard(self) -> bool:
        """
        Whether the host heard a good advertisement since the last call.
        """
        before, self._heard = self._heard, self.received
        return self._heard > before

    def turnWith(self, trace: Trace, done: Callable[[], bool]) -> None:
        """
        Trace turns of the reactor until the condition holds after one of them.

        @raise TimeoutError: If it does not within L{_PATIENCE}.
        """
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end:
            trace.record(lambda: self._reactor.iterate(0.05))
            if done():
                return
        raise TimeoutError(f"nothing happened within {_PATIENCE:.0f} s")


def _isSocket(descriptor: int) -> bool:
    """
    Whether a descriptor is a raw IPv4 socket of protocol 112.
    """
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        return sock.family == socket.AF_INET and sock.proto == 112


def _connect() -> None:
    """
    Make the veth pair in the network namespace of this process.
    """
    for command in (
        f"link add {_INTERFACE} type veth peer name {_FAR_END}",
        f"address add 10.99.0.2/24 dev {_INTERFACE}",
        f"link set {_INTERFACE} up",
        f"link set {_FAR_END} up",
        "link set lo up",
    ):
        subprocess.run(["ip", *command.split()], check=True)


def _trace() -> dict[str, Any]:
    rig = Rig()
    trace = Trace(rig.package)
    scenes = {}
    for frame in rig.packets(6):
        # The first ones make the peer known and fill every cache.
        rig.send([frame])
        rig.turnWith(trace, rig.hasHeard)
    scenes["advert"] = trace.summary()
    rig.hasAdvertised()
    for scene in ("takeover", "beat"):
        rig.turnWith(trace, rig.hasAdvertised)
        scenes[scene] = trace.summary()
    return scenes


def _time(count: int) -> dict[str, float]:
    inner = _Stopwatch()
    rig = Rig()
    reader = rig.socketReader()
    for batch in (_BATCH, count):  # the first is to warm up
        inner.nanoseconds = outer = 0
        before = rig.received
        frames = rig.packets(batch)
        for start in range(0, batch, _BATCH):
            rig.send(frames[start : start + _BATCH])
            while select.select([reader], [], [], 0)[0]:
                began = time.perf_counter_ns()
                reader.doRead()
                outer += time.perf_counter_ns() - began
            rig.turn()
        if rig.received != before + batch:
            raise RuntimeError(f"only {rig.received - before} of {batch} packets were believed")
    figures = {"receive path": outer / count / 1000}
    if inner.nanoseconds:
        figures["packetReceived"] = inner.nanoseconds / count / 1000
    return figures


class _Stopwatch:
    """
    Measures C{packetReceived} of every class that provides
    L{txcarp.interfaces.IPacketReceiver}.
    """

    def __init__(self) -> None:
        import_module("txcarp.service")  # and with it everything that can receive
        self.nanoseconds = 0
        provided = getattr(sys.modules["txcarp.interfaces"], "IPacketReceiver", None)
        if provided is None:
            return
        for name, module in list(sys.modules.items()):
            if name.startswith("txcarp."):
                for kind in vars(module).values():
                    here = isinstance(kind, type) and kind.__module__ == name
                    if here and provided.implementedBy(kind):
                        kind.packetReceived = self._timed(kind.packetReceived)

    def _timed(self, method: Callable[..., None]) -> Callable[..., None]:
        def timed(*arguments: object) -> None:
            began = time.perf_counter_ns()
            method(*arguments)
            self.nanoseconds += time.perf_counter_ns() - began

        return timed


def _run(tree: Path, packets: int) -> Any:
    """
    Run this file with the package of a checkout, in a network namespace of its own.

    @param packets: How many to time; 0 to trace the scenes.
    @return: What L{_trace} or L{_time} found.
    """
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    # -P: the directory of this file is no place to import from.
    command = [*unshare, sys.executable, "-P", __file__, "--child", "--packets", str(packets)]
    result = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tree)}, stdout=subprocess.PIPE, check=True
    )
    found = json.loads(result.stdout)
    if not Path(found["package"]).is_relative_to(tree):
        raise RuntimeError(f"{tree} has no package txcarp: {found['package']} was found")
    return found["figures"]


def _child(packets: int) -> None:
    import txcarp

    _connect()
    figures = _time(packets) if packets else _trace()
    print(json.dumps({"package": txcarp.__file__, "figures": figures}))


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calltrace",
        description="Count the calls and the time that one advertisement takes.",
    )
    parser.add_argument("--list", action="store_true", help="print each call of each scene")
    parser.add_argument(
        "--against", type=Path, metavar="PATH", help="measure another checkout in turn"
    )
    parser.add_argument("--packets", type=int, default=20_000, help="packets in one timed run")
    parser.add_argument("--runs", type=int, default=5, help="timed runs of each checkout")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child:
        return options
    for name in ("packets", "runs"):
        if getattr(options, name) < 1:
            parser.error(f"--{name} {getattr(options, name)}: expected 1 or more")
    if options.against is not None and not (options.against / "txcarp").is_dir():
        parser.error(f"--against {options.against}: expected a checkout with a directory txcarp")
    return options


def main(arguments: Sequence[str]) -> int:
    """
    @return: The exit status.
    """
    options = _parse(arguments)
    if options.child:
        _child(options.packets)
        return 0
    trees = [_ROOT] if options.against is None else [options.against.resolve(), _ROOT]
    for tree in trees:
        print(f"{tree.name:35}{'calls':>7}{'functions':>11}{'files':>7}{'changes of file':>17}")
        for scene, found in _run(tree, 0).items():
            for title, figures in zip((SCENES[scene], "  all"), found["figures"], strict=True):
                calls, functions, files, changes = figures
                print(f"  {title:33}{calls:7}{functions:11}{files:7}{changes:17}")
            if options.list:
                print(*(f"    {call}" for call in found["list"]), sep="\n")
    runs: dict[Path, list[dict[str, float]]] = {tree: [] for tree in trees}
    for _ in range(options.runs):
        for tree in trees:
            runs[tree].append(_run(tree, options.packets))
    print(f"microseconds per packet, median of {options.runs} runs of {options.packets} packets")
    medians = [
        {what: statistics.median(one[what] for one in runs[tree]) for what in runs[tree][0]}
        for tree in trees
    ]
    for what in dict.fromkeys(what for median in medians for what in median):
        figures = [median.get(what) for median in medians]
        cells = ["-" if figure is None else f"{figure:.1f}" for figure in figures]
        line = f"  {what:33}" + "".join(f"{cell:>9}" for cell in cells)
        if len(figures) == 2 and figures[0] and figures[1]:
            line += f"   ratio {figures[1] / figures[0]:.2f}"
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
