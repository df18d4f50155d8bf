"""
The sections of C{docs/measurements.rst}, each made of what one benchmark printed as JSON.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from benchmarks import floods, groups, silences
from benchmarks.assaults import ATTACKS
from benchmarks.contestants import SHORTEST
from benchmarks.outcomes import PROBE
from benchmarks.steadiness import Count
from benchmarks.tables import showRatio
from benchmarks.words import (
    FAULTS,
    PACKETS,
    consequence,
    during,
    exactly,
    harm,
    listing,
    seconds,
    span,
)

_FAULTS = """\
Two hosts share an address, each with the default timing of its program: one advertisement per
second. A client pings the address every {probe:.0f} ms. Then something happens to the host that has
the address. The table has the longest time for which the client got no answer, and says for how
long two hosts had the address. Each figure is the median of {runs} runs. The machine paused for
{pause} at most meanwhile, and no figure is more exact.

{table}
txcarp runs with ``--assign``, ucarp with scripts. The second process of txcarp is the guard
(:ref:`addresses:The guard`). keepalived consists of a parent, which is killed in the first row, and
a child, which speaks VRRP. ucarp is one process. *For good* means that it lasted until the end of
the measurement, several seconds later.

After a power cut or a pulled cable there is only silence, from which every program concludes after
about three of its intervals that the master is gone. Only a backup that asks finds out sooner
(:ref:`election:The probe`). Everything else depends on what the master, or what is left of it, can
still do.
"""

_SILENCES = """\
The same with shorter intervals: an advertisement each second, each 100 ms, each 10 ms, and as often
as each program can: each {shortest} with txcarp, and each 10 ms with keepalived. ucarp has no
interval below a second. All programs were measured side by side. Each cell has the median of
{repeats} runs, and the worst in parentheses. The process that hangs is the one that speaks with the
other hosts, and does so until the end. The machine paused for {pause} at most.

.. figure:: measurements/silences.svg
   :alt: Bars for each program, fault and rhythm; the table below has the same figures.

   For how long an address is silent, on a logarithmic scale. An outline is the time in which two
   hosts had the address, where that is longer.

{table}
The factor says how many times longer the client waited than with txcarp. There is none where two
hosts had the address for more than 100 ms, as the client may then reach the wrong one. A planned
stop of txcarp leaves the address on both hosts for a moment, so that one of them always answers.
*Unsteady* means that the backup took the address before anything had happened, each time.
"""

_LATENESS = """\
By how much the first advertisement of a new master is later than its own deadline. That is the dead
time of its program, with the skew of the backup, after the last advertisement that it received. The
kernel took both times. If a pair of hosts has several groups, all of them move at the same time.

{table}
txcarp and keepalived have one process for all groups of a host, ucarp one for each. keepalived
advertises all groups at once, and takes all of them over at once; txcarp spreads them. ucarp looks
at its deadline once in each interval. *Too early* counts the take-overs of a master that lived.
"""

_STEADINESS = """\
Two hosts, and nothing happens to either of them. Each time an address moves is one too many. Each
pair was watched for {minutes:.3g} minutes, and for as long beside {busy} loops that keep the
processors busy. Where nothing was seen, the table has what the true rate is below with a confidence
of 95%, by the rule of three: longer measurements make it smaller.

{table}
"""

_GROUPS = """\
Hosts with many groups, each of which advertises once a second: the processor time, memory and
lateness of the host that has all addresses, and the time until the other host has announced all
of them after a power cut. ucarp has a process for each group. The factors compare with txcarp.

.. figure:: measurements/groups.svg
   :alt: Bars for each program and number of groups; the table below has the same figures.

   What many groups cost, on logarithmic scales.

{table}
"""

_STOPS = """\
The same hosts, whose daemon is stopped in order, while a client asks the addresses every 20 ms.

{table}
"""

_FLOODS = """\
A third host sends packets to the group, as many as the table says, in which something is wrong,
while the master dies. The table has by how much the backup was late, and the part of a processor
that each of the two used. Only a wrong digest cannot be found out before the daemon has the packet.

{table}
"""


_PACKETS = """\
The time of a processor that a good advertisement takes on the whole way from the socket to its
effect, and how much of that the kernel needs to hand it over. A sealed one of a known peer calls
{calls} functions of txcarp in {files} files.

{table}
"""

_START = """\
The time from the start of a process until it says that it is ready, and until its first
advertisement; and the memory of all processes of a program while nothing happens, of which pages
that are shared count in part. Each program has its shortest interval here, so that the dead time,
for which every host waits first, hardly counts. Each figure is the median of {repeats} starts, with
the worst in parentheses.

{table}
What no program in Python, or on Twisted, can be below has rows of its own. Commands that end:

{commands}
"""

_ATTACKS = """\
A third host in the segment of each pair captures the advertisements of the master for six seconds.
It does not know the password. Then it sends them again, changed or not. The table has, for each
pair, the longest time for which no host had the address, and the longest for which both had it. The
columns name the programs of a pair: *learn* and *require* are txcarp with that value of ``--seal``
(:doc:`security`).

{table}
*0/0* is an advertisement with an advbase and an advskew of 0, which is preferred to every master;
*255/255* is a bow-out. *Nothing* means that the group behaves as it does without the attacker:
after a death, for example, the backup takes over. A host that has lost its state file can be fooled
with ``learn``, and not with ``require``: :ref:`protocol:Seals` says why.
"""


def crossed(
    cells: Sequence[dict[str, Any]],
    first: str,
    row: str,
    column: str,
    words: Callable[[dict[str, Any] | None], str],
    titles: dict[str, str],
    share: int,
) -> str:
    """
    A table with a row for each thing that happens, and a column for each program.

    @param first: The title of the first column.
    @param row: The key of a cell that has the name of its row.
    @param column: The key of a cell that has the name of its column.
    @param words: Makes the text of a cell.
    @param titles: The names of rows in words; those without are left out.
    @param share: The percentage of the width that the first column has.
    """
    found = {(one[row], one[column]): one for one in cells}
    columns = list(dict.fromkeys(one[column] for one in cells))
    rows = [
        [title, *(words(found.get((name, one))) for one in columns)]
        for name, title in titles.items()
        if any((name, one) in found for one in columns)
    ]
    return listing([first, *columns], rows, share)


def _faults(measured: dict[str, Any]) -> str:
    pause = span({"seconds": max(one["resolution"] for one in measured["cells"])})
    table = crossed(measured["cells"], "what happens", "fault", "program", consequence, FAULTS, 31)
    return _FAULTS.format(probe=PROBE * 1000, runs=measured["runs"], pause=pause, table=table)


def _silence(cell: dict[str, Any] | None, own: dict[str, Any] | None, isPossible: bool) -> str:
    """
    A cell of the table of silences.

    @param own: That of txcarp in the same row.
    @param isPossible: Whether the program can have the fault.
    """
    if cell is None:
        return "cannot" if isPossible else ""
    if not cell["runs"]:
        return "unsteady"
    middle, worst = cell["median"], cell["worst"]
    words = [f"{span(middle['silence'])} ({span(worst['silence'])})"]
    both = during("on two hosts", middle["both"])
    words += [both] if both else []
    times = silences.ratio(cell, own) if cell is not own else None
    words += [showRatio(times, 1.0)] if times is not None else []
    return "; ".join(words)


def _silences(measured: dict[str, Any]) -> str:
    cells = {(one["fault"], one["rhythm"], one["program"]): one for one in measured["cells"]}
    names = list(dict.fromkeys(key[2] for key in cells))
    rows = []
    for fault, rhythm in dict.fromkeys(key[:2] for key in cells):
        row = [f"{FAULTS[fault]}, {rhythm}"]
        own = cells.get((fault, rhythm, "txcarp"))
        for name in names:
            isPossible = any(key[0] == fault and key[2] == name for key in cells)
            row.append(_silence(cells.get((fault, rhythm, name)), own, isPossible))
        rows.append(row)
    known = [one["worst"]["resolution"] for one in measured["cells"] if one["runs"]]
    return _SILENCES.format(
        shortest=exactly(SHORTEST["txcarp"]),
        repeats=measured["repeats"],
        pause=seconds(max(known)),
        table=listing(["what happens", *names], rows, 31),
    )


def _lateness(measured: dict[str, Any]) -> str:
    rows = [
        [
            f"{one['program']}, each {exactly(one['interval'])}",
            *(str(one[key]) for key in ("groups", "samples")),
            *(exactly(one[key]) for key in ("p50", "p99", "worst")),
            str(one["early"]),
        ]
        for one in measured["cells"]
    ]
    head = ["program and interval", "groups", "take-overs", "median", "p99", "worst", "too early"]
    return _LATENESS.format(table=listing(head, rows, 28))


def _steadiness(measured: Sequence[dict[str, Any]]) -> str:
    counts = [Count(**one) for one in measured]
    rows = []
    for program, interval in dict.fromkeys((one.program, one.interval) for one in counts):
        mine = [one for one in counts if (one.program, one.interval) == (program, interval)]
        quiet = [one.hourly for one in mine if not one.busy]
        busy = [one.hourly for one in mine if one.busy]
        rows.append([f"{program}, each {exactly(interval)}", *(quiet or ["-"]), *(busy or ["-"])])
    table = listing(["false take-overs in an hour", "without loops", "with"], rows, 50)
    loops = max(one.busy for one in counts)
    return _STEADINESS.format(minutes=counts[0].seconds / 60, busy=loops, table=table)


def _groups(measured: Sequence[dict[str, Any]]) -> str:
    rows = []
    for one in measured:
        times = {
            name: f"; {text}" if text else ""
            for name, text in groups.ratios(measured, one).items()
        }
        rows.append(
            [
                f"{one['program']}, {one['groups']:,}",
                f"{one['load']:.1%}" + times["load"],
                f"{one['memory'] / 2**20:.0f} MiB" + times["memory"],
                exactly(one["p50"]),
                exactly(one["p99"]) + times["p99"],
                exactly(one["worst"]),
                f"{one['moved']:.2f} s" + times["moved"],
            ]
        )
    head = ["program, groups", "processor", "memory", "late: median", "p99", "worst", "all moved"]
    return _GROUPS.format(table=listing(head, rows, 22))


def _stops(measured: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            f"{one['program']}, {one['groups']:,}",
            f"{one['lost']:,.0f} to {one['losers']:.0f} addresses" if one["lost"] else "none",
            seconds(one["silence"]),
            f"{one['moved']:.2f} s",
        ]
        for one in measured
    ]
    head = ["program, groups", "questions without an answer", "longest silence", "all moved"]
    return _STOPS.format(table=listing(head, rows, 28))


def _floods(measured: Sequence[dict[str, Any]]) -> str:
    rows = []
    for one in floods.summaries(measured):
        late = exactly(one["late"])
        if one["ratio"] is not None:
            late += f"; {showRatio(one['ratio'], 1.0)}"
        title = f"{one['program']}, {one['wanted']:,}/s, {one['kind']}"
        loads = (f"{one[key]:.0%}" for key in ("load", "masterLoad"))
        rows.append([title, late, exactly(one["worst"]), *loads])
    head = ["program, packets, what is wrong", "late: median", "worst", "backup", "master"]
    return _FLOODS.format(table=listing(head, rows, 36))


def _packets(measured: Sequence[dict[str, Any]]) -> str:
    times, calls = measured[-1]["microseconds"], measured[-1]["scenes"]["advert"]["own"]
    rows = [
        [title, *(f"{times[kind][what]:.1f} µs" for what in ("least", "median", "reading alone"))]
        for kind, title in PACKETS.items()
        if kind in times
    ]
    head = ["advertisement", "least", "median", "kernel"]
    table = listing(head, rows, 49)
    return _PACKETS.format(calls=calls["calls"], files=calls["files"], table=table)


def _start(measured: dict[str, Any]) -> str:
    rows = [
        [
            one["program"],
            *(_twice(one[key]) for key in ("ready", "advertised")),
            f"{one['memory'] / 2**20:.1f} MiB",
        ]
        for one in measured["daemons"]
    ]
    commands = [[one["command"], _twice(one["seconds"])] for one in measured["commands"]]
    return _START.format(
        repeats=measured["repeats"],
        table=listing(["program", "ready", "advertises", "memory"], rows, 37),
        commands=listing(["command", "takes"], commands, 50),
    )


def _twice(figure: dict[str, float] | None) -> str:
    if figure is None:
        return ""
    return f"{figure['median'] * 1000:.0f} ms ({figure['worst'] * 1000:.0f} ms)"


def _attacks(measured: dict[str, Any]) -> str:
    mounted = {attack.name: attack.what for attack in ATTACKS}
    return _ATTACKS.format(
        table=crossed(measured["cells"], "attack", "attack", "pair", harm, mounted, 52)
    )


@attrs.frozen
class Section:
    """
    A section of the chapter.

    @ivar name: The name of the file with the figures, without its suffix.
    @ivar command: What prints them, without C{--json}.
    @ivar write: Makes the text.
    @ivar isRequired: Whether the chapter makes no sense without it: others link to it.
    """

    name: str
    title: str
    command: Sequence[str]
    write: Callable[[Any], str]
    isRequired: bool = False


#: All sections in their order.
SECTIONS = (
    Section(
        *("faults", "Faults", ("faults", "--median", "--runs", "10")),
        write=_faults,
        isRequired=True,
    ),
    Section("silences", "Silence at each rhythm", ("silences",), _silences),
    Section("lateness", "Lateness of a take-over", ("lateness",), _lateness),
    Section("steadiness", "False take-overs", ("steadiness",), _steadiness),
    Section("groups", "Many groups", ("groups", "--runs", "3"), _groups),
    Section(
        *("stops", "A planned stop of many groups", ("groups", "--groups", "250", "--stop")),
        write=_stops,
    ),
    Section("floods", "Floods", ("floods", "--runs", "10"), _floods),
    Section("calltrace", "An advertisement", ("calltrace",), _packets),
    Section("start", "Start and size", ("start",), _start),
    Section("attacks", "Attacks", ("attacks",), _attacks, isRequired=True),
)
