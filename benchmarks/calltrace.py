"""
Counts the function calls that one advertisement takes, and measures the time::

    python -m benchmarks.calltrace
    python -m benchmarks.calltrace --list
    python -m benchmarks.calltrace --json
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

B{What is timed}: C{doRead} of the socket with a batch of waiting packets, divided by their number:
the receive path, the system call included.  The time is that of this thread on a processor, so
other processes count only by what they do to the caches, which the least of all batches hardly
shows.  I{Reading alone} is C{recvfrom} in a loop.  Each run is a process of its own; with
C{--against} the processes of the two checkouts take turns.

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
from itertools import pairwise
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, cast

_ROOT = Path(__file__).resolve().parent.parent

#: The ends of the veth pair: the host that is measured, and its peer.
_INTERFACE, _FAR_END = "eth0", "far0"

#: What the Ethernet frames of the peer begin with: the group of CARP, some card, the family.
_FRAMES = {
    4: bytes.fromhex("01005e000012" "020000000001" "0800"),
    6: bytes.fromhex("333300000012" "020000000001" "86dd"),
}

#: Packets that are put in front of the socket at once.  Its buffer has room for about 100.
_BATCH = 50

#: How many batches warm up the caches.
_WARM = 20

#: Seconds to wait for a scene.
_PATIENCE = 10.0

#: Ticks in a second, and seconds from 1970 to tick 0 (docs/protocol.rst).
_PACE, _EPOCH = 100, 1577836800

#: The counter of a host of OpenBSD, drawn at its start: years ahead of every tick.
_PLAIN = 0xE0 << 56

#: Stands for the file of generated code.
_GENERATED = "<attrs>"

#: The beginnings of the names of files that are left out.  In older checkouts the clock is
#: three modules, and not a package.
_LEFT_OUT = (_GENERATED, "clock/", "clock.py", "_agenda.py", "_timerfd.py")

#: The packets that are timed: a title, the family, the dialect of the group, whether they are
#: sealed, and how many hosts that seal are known.
KINDS: dict[str, tuple[str, int, str, bool, int]] = {
    "sealed": ("sealed", 4, "ucarp", True, 1),
    "sealed-64": ("sealed, 64 hosts that seal are known", 4, "ucarp", True, 64),
    "sealed-ipv6": ("sealed, IPv6", 6, "ucarp", True, 1),
    "plain": ("of ucarp, without a seal", 4, "ucarp", False, 1),
    "plain-64": ("of ucarp, 64 hosts that seal are known", 4, "ucarp", False, 64),
    "freebsd": ("of FreeBSD", 4, "freebsd", False, 1),
    "openbsd": ("of OpenBSD, which has one counter", 4, "openbsd", False, 1),
}

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
            "own": _figures(own),
            "all": _figures(self.calls),
            "list": [f"{file}:{function}" for file, function in self.calls],
        }


def _figures(calls: Sequence[tuple[str, str]]) -> dict[str, int]:
    files = [file for file, _ in calls]
    return {
        "calls": len(calls),
        "functions": len(set(calls)),
        "files": len(set(files)),
        "changesOfFile": sum(one != other for one, other in pairwise(files)),
    }


class Rig:
    """
    The host that is measured, and a peer made by hand.
    """

    def __init__(self, kind: str = "sealed") -> None:
        from twisted.internet import reactor

        import txcarp
        from tests import crafted
        from txcarp import CARPService, VirtualHostConfiguration, parseIPv4
        from txcarp.protocol.dialect import DIALECTS

        _, self._family, dialect, self._isSealed, self._sealing = KINDS[kind]
        self._constant = dialect == "openbsd"
        self._address = crafted.ADDRESS6 if self._family == 6 else crafted.ADDRESS
        self._reactor = cast(Any, reactor)
        self._crafted = crafted
        self._heard = 0
        self._tick = int((time.time() - _EPOCH) * _PACE)
        self._start = self._tick - 1000
        self.package = Path(txcarp.__file__).parent
        self._peer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
        self._peer.bind((_FAR_END, int.from_bytes(_FRAMES[self._family][-2:])))
        self._service = CARPService(
            [
                VirtualHostConfiguration(
                    interface=_INTERFACE,
                    vhid=crafted.VHID,
                    password=crafted.PASSWORD,
                    source=parseIPv4(crafted.OWN),
                    addresses=[self._address],
                    dialect=DIALECTS[dialect],
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
        The descriptor of the reactor that reads the raw socket of protocol 112.
        """
        family = socket.AF_INET6 if self._family == 6 else socket.AF_INET
        for reader in self._reactor.getReaders():
            if _isSocket(reader.fileno(), family):
                return reader
        raise LookupError("the reactor reads no raw socket of protocol 112")

    def packets(self, count: int) -> list[bytes]:
        """
        Frames of a better master, each with a later tick or another counter.
        """
        source = self._crafted.PEER6 if self._family == 6 else self._crafted.PEER
        return [self._frame(source, self._isSealed) for _ in range(count)]

    def sealing(self) -> list[bytes]:
        """
        Frames that make further hosts known to seal: two of each.
        """
        known = 1 if self._isSealed else 0
        sources = [f"10.99.1.{number}" for number in range(1, self._sealing + 1 - known)]
        return [self._frame(source, True) for source in sources for _ in range(2)]

    def _frame(self, source: str, isSealed: bool) -> bytes:
        crafted = self._crafted
        self._tick += 1
        # No host without a seal has such counters by chance, but they take the longest way.
        counter = _PLAIN if self._constant else (self._start << 24) + self._tick
        if isSealed:
            counter = crafted.sealed(self._tick, source, advbase=1)
        body = crafted.payload(advbase=1, counter=counter, addresses=(self._address,))
        make = crafted.packet6 if ":" in source else crafted.packet
        packet: bytes = make(body, source=source)
        return _FRAMES[self._family] + packet

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


def _isSocket(descriptor: int, family: int) -> bool:
    """
    Whether a descriptor is a raw socket of a family and of protocol 112.
    """
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        return sock.family == family and sock.proto == 112


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


def _time(count: int, kind: str) -> dict[str, float]:
    """
    Measure the receive path.

    @return: The microseconds of one packet, by what was measured.
    """
    rig = Rig(kind)
    reader = rig.socketReader()
    for frame in rig.sealing():
        rig.send([frame])
        rig.turn()
    batches = []
    for number in range(_WARM + max(1, count // _BATCH)):
        before = rig.received
        rig.send(rig.packets(_BATCH))
        spent = 0
        while select.select([reader], [], [], 0)[0]:
            began = time.thread_time_ns()
            reader.doRead()
            spent += time.thread_time_ns() - began
        rig.turn()
        # A counter without a seal may be one that a host that seals can have made: of 64 hosts, one
        # in 60,000 is.
        if rig.received < before + _BATCH - 1:
            raise RuntimeError(f"only {rig.received - before} of {_BATCH} packets were believed")
        if number >= _WARM:
            batches.append(spent / _BATCH / 1000)
    return {
        "least": min(batches),
        "median": statistics.median(batches),
        "reading alone": min(_read(rig, reader.fileno()) for _ in range(_WARM)),
    }


def _read(rig: Rig, descriptor: int) -> float:
    """
    Read a batch of packets and do nothing with them.

    @return: The microseconds of one packet.
    """
    with socket.socket(fileno=os.dup(descriptor)) as sock:
        rig.send(rig.packets(_BATCH))
        began = time.thread_time_ns()
        for _ in range(_BATCH):
            sock.recvfrom(2048)
        return (time.thread_time_ns() - began) / _BATCH / 1000


def _run(tree: Path, kind: str, packets: int) -> Any:
    """
    Run this file with the package of a checkout, in a network namespace of its own.

    @param kind: A key of L{KINDS}.
    @param packets: How many to time; 0 to trace the scenes.
    @return: What L{_trace} or L{_time} found.
    """
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    # -P: the directory of this file is no place to import from.
    command = [*unshare, sys.executable, "-P", __file__, "--child", kind, "--packets", str(packets)]
    result = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(tree)}, stdout=subprocess.PIPE, check=True
    )
    found = json.loads(result.stdout)
    if not Path(found["package"]).is_relative_to(tree):
        raise RuntimeError(f"{tree} has no package txcarp: {found['package']} was found")
    return found["figures"]


def _child(kind: str, packets: int) -> None:
    import txcarp

    _connect()
    figures = _time(packets, kind) if packets else _trace()
    print(json.dumps({"package": txcarp.__file__, "figures": figures}))


def _measure(trees: Sequence[Path], runs: int, packets: int) -> list[dict[str, Any]]:
    """
    Trace and time each checkout.

    @return: For each checkout its path, the figures and the calls of each scene, and the
        microseconds of each kind of packet: the least of all runs, or their median.
    """
    found: list[dict[str, Any]] = [
        {"checkout": str(tree), "scenes": _run(tree, "sealed", 0), "microseconds": {}}
        for tree in trees
    ]
    for kind in KINDS:
        taken: list[list[dict[str, float]]] = [[] for _ in trees]
        for _ in range(runs):
            for tree, times in zip(trees, taken, strict=True):
                times.append(_run(tree, kind, packets))
        for one, times in zip(found, taken, strict=True):
            one["microseconds"][kind] = {
                what: (statistics.median if what == "median" else min)(
                    time[what] for time in times
                )
                for what in times[0]
            }
    return found


def callsTable(found: Sequence[dict[str, Any]], lists: bool) -> str:
    """
    A table of the calls.

    @param found: What L{_measure} returns.
    @param lists: Whether to list each call.
    """
    lines = []
    for one in found:
        name = Path(one["checkout"]).name
        lines.append(f"{name:35}{'calls':>7}{'functions':>11}{'files':>7}{'changes of file':>17}")
        for scene, traced in one["scenes"].items():
            for title, figures in ((SCENES[scene], traced["own"]), ("  all", traced["all"])):
                cells = zip(figures.values(), (7, 11, 7, 17), strict=True)
                lines.append(f"  {title:33}" + "".join(f"{cell:{width}}" for cell, width in cells))
            if lists:
                lines += (f"    {call}" for call in traced["list"])
    return "\n".join(lines)


def timesTable(found: Sequence[dict[str, Any]]) -> str:
    """
    A table of the microseconds, with the ratio of two checkouts.

    @param found: What L{_measure} returns.
    """
    titles = ("least", "median", "reading alone")
    width = 62 if len(found) > 1 else 42
    lines = ["microseconds per packet".ljust(width) + "".join(f"{one:>15}" for one in titles)]
    for kind, (title, *_) in KINDS.items():
        for one in found:
            figures = one["microseconds"][kind]
            cells = "".join(f"{figures[what]:15.1f}" for what in titles)
            name = title if len(found) == 1 else f"{title}: {Path(one['checkout']).name}"
            lines.append(f"  {name}".ljust(width) + cells)
        if len(found) == 2:
            before, after = (one["microseconds"][kind]["least"] for one in found)
            lines[-1] += f"   ratio {after / before:.2f}"
    return "\n".join(lines)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.calltrace",
        description="Count the calls and the time that one advertisement takes.",
    )
    parser.add_argument("--list", action="store_true", help="print each call of each scene")
    parser.add_argument("--json", action="store_true", help="print JSON instead of the tables")
    parser.add_argument(
        "--against", type=Path, metavar="PATH", help="measure another checkout in turn"
    )
    parser.add_argument("--packets", type=int, default=5000, help="packets in one timed run")
    parser.add_argument("--runs", type=int, default=3, help="timed runs of each checkout")
    parser.add_argument("--child", choices=KINDS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.child is not None:
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
    if options.child is not None:
        _child(options.child, options.packets)
        return 0
    trees = [_ROOT] if options.against is None else [options.against.resolve(), _ROOT]
    found = _measure(trees, options.runs, options.packets)
    if options.json:
        print(json.dumps(found, indent=2))
    else:
        print(callsTable(found, options.list))
        print(timesTable(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
