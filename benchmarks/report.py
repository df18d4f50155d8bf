"""
Writes C{docs/measurements.rst}: what faults and attacks do, as the benchmarks measure it now.

    python -m benchmarks.report

Runs L{benchmarks.faults} and L{benchmarks.attacks} as root, which takes about half an hour, on a
machine that does nothing else.  C{--faults FILE} and C{--attacks FILE} use what an earlier
C{python -m benchmarks.faults --median --json} and C{python -m benchmarks.attacks --json} have
printed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import Any

import twisted
from benchmarks.assaults import ATTACKS
from benchmarks.measuring import INCONCLUSIVE
from benchmarks.outcomes import PROBE
from tests.lab.holders import Span

_DOCUMENT = Path(__file__).parent.parent / "docs" / "measurements.rst"

#: Faults in words for people, in the order of the table.
_FAULTS = {
    "SIGKILL": "the daemon is killed",
    "SIGKILL of the child": "its second process is killed",
    "SIGKILL of both": "both are killed",
    "out of memory": "the daemon's memory is used up",
    "SIGSTOP for 0.4 s": "the daemon hangs for 0.4 s",
    "SIGSTOP for 6 s": "the daemon hangs for 6 s",
    "blocked for 5 s": "a service in its process blocks for 5 s",
    "power off": "the power fails",
    "power off with --probe": "the power fails, with ``probe = \"5ms\"``",
    "cable pulled for 5 s": "the cable is pulled for 5 s",
    "planned stop": "the daemon is stopped in order",
    "addresses flushed": "somebody flushes the interface",
}

_HEAD = """\
Measurements
============

.. Written by benchmarks/report.py. Do not edit.

"""

_FAULTS_TEXT = """\
Faults
------

Two hosts share an address, each with the default timing of its program: one advertisement per
second. A client pings the address every {probe:.0f} ms. Then something happens to the host that has
the address. The table has the longest time for which the client got no answer, and says for how
long two hosts had the address. Each figure is the median of {runs} runs. The machine paused for
{pause} at most meanwhile, and no figure is more exact.

"""

_FAULTS_NOTES = """
txcarp runs with ``--assign``, ucarp with scripts. The second process of txcarp is the guard
(:ref:`addresses:The guard`). keepalived consists of a parent, which is killed in the first row, and
a child, which speaks VRRP. ucarp is one process. *For good* means that it lasted until the end of
the measurement, several seconds later.

After a power cut or a pulled cable there is only silence, from which every program concludes after
about three of its intervals that the master is gone. Only a backup that asks finds out sooner
(:ref:`election:The probe`). Everything else depends on what the master, or what is left of it, can
still do.

"""

#: Seconds that cannot be told from nothing.
_EXACT = 0.001

#: Seconds with two masters or none that are not worth mentioning.
_HARMLESS = 0.1

_ATTACKS_TEXT = """\
Attacks
-------

A third host in the segment of each pair captures the advertisements of the master for six seconds.
It does not know the password. Then it sends them again, changed or not. The table has, for each
pair, the longest time for which no host had the address, and the longest for which both had it. The
columns name the programs of a pair: *learn* and *require* are txcarp with that value of ``--seal``
(:doc:`security`).

"""

_ATTACKS_NOTES = """
*0/0* is an advertisement with an advbase and an advskew of 0, which is preferred to every master;
*255/255* is a bow-out. *Nothing* means that the group behaves as it does without the attacker:
after a death, for example, the backup takes over. A host that has lost its state file can be fooled
with ``learn``, and not with ``require``: :ref:`protocol:Seals` says why.

How it was measured
-------------------

``python -m benchmarks.report`` writes this chapter. It runs ``python -m benchmarks.faults`` and
``python -m benchmarks.attacks``, which print more figures. Two more benchmarks are for those who
compare programs or change txcarp: ``python -m benchmarks.handover`` measures all pairs of txcarp
and ucarp, with scripts, and ``python -m benchmarks.fuzz`` attacks the receive path.

All hosts are network namespaces of one machine. A measurement during which the machine itself
paused is repeated. The programs run as their users run them: as root, with the priority that they
give themselves.
"""


def machine() -> str:
    """
    Where and when this runs, as a sentence.
    """
    day = time.strftime("%d %B %Y", time.gmtime()).lstrip("0")
    return (
        f"{day}, Linux {platform.release()} ({platform.machine()}, {os.cpu_count()} processors), "
        f"Python {platform.python_version()}, Twisted {twisted.__version__}"
    )


def span(measured: dict[str, Any]) -> str:
    """
    A span of time for people.
    """
    one = Span(**measured)
    if one.open:
        return "for good"
    if one.seconds < _EXACT:
        return "0"
    return f"{one.seconds * 1000:.0f} ms" if one.seconds < 0.995 else f"{one.seconds:.1f} s"


def during(kind: str, measured: dict[str, Any]) -> str:
    """
    What was wrong for a span of time, or nothing if it was too short to hurt.
    """
    if measured["seconds"] < _HARMLESS:
        return ""
    words = span(measured)
    return f"{kind} {words}" if measured["open"] else f"{kind} for {words}"


def consequence(cell: dict[str, Any] | None) -> str:
    """
    What a client and the address notice of a fault.
    """
    if cell is None:
        return ""
    both = during("on two hosts", cell["both"])
    return "; ".join(part for part in (span(cell["silence"]), both) if part)


def harm(cell: dict[str, Any] | None) -> str:
    """
    What an attack does.
    """
    if cell is None:
        return ""
    if cell["stopped"]:
        return "nothing"
    parts = during("no master", cell["nobody"]), during("two masters", cell["both"])
    return "; ".join(part for part in parts if part) or "nothing"


def listing(head: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int]) -> str:
    """
    A table of reStructuredText.
    """
    lines = [".. list-table::", "   :header-rows: 1"]
    lines += [f"   :widths: {' '.join(map(str, widths))}", ""]
    for row in (head, *rows):
        for number, cell in enumerate(row):
            lines.append(f"   {'*' if number == 0 else ' '} - {cell}".rstrip())
    return "\n".join([*lines, ""])


def table(
    first: str,
    measured: dict[str, Any],
    row: str,
    column: str,
    words: Callable[[dict[str, Any] | None], str],
    titles: dict[str, str],
    share: int,
) -> str:
    """
    The cells of a benchmark as a table.

    @param first: The title of the first column.
    @param row: The key of a cell that has the name of its row.
    @param column: The key of a cell that has the name of its column.
    @param words: Makes the text of a cell.
    @param titles: The names of rows in words; those without are left out.
    @param share: The percentage of the width that the first column has.
    """
    cells = {(one[row], one[column]): one for one in measured["cells"]}
    columns = list(dict.fromkeys(one[column] for one in measured["cells"]))
    rows = [
        [title, *(words(cells.get((name, one))) for one in columns)]
        for name, title in titles.items()
        if any((name, one) in cells for one in columns)
    ]
    widths = [share, *[(100 - share) // len(columns)] * len(columns)]
    return listing([first, *columns], rows, widths)


def measurements(
    faults: dict[str, Any], attacks: dict[str, Any], runs: int, note: str = ""
) -> str:
    """
    The text of the document.

    @param note: A sentence about this machine.
    """
    programs = dict.fromkeys([*faults["programs"], *attacks["programs"]])
    made = f"Measured on {machine()}, with {', '.join(programs)}. {note}"
    pause = span({"seconds": max(one["resolution"] for one in faults["cells"])})
    mounted = {attack.name: attack.what for attack in ATTACKS}
    return "".join(
        (
            _HEAD,
            "\n".join(wrap(made, 100)),
            "\n\n",
            _FAULTS_TEXT.format(probe=PROBE * 1000, runs=runs, pause=pause),
            table("what happens", faults, "fault", "program", consequence, _FAULTS, 31),
            _FAULTS_NOTES,
            _ATTACKS_TEXT,
            table("attack", attacks, "attack", "pair", harm, mounted, 52),
            _ATTACKS_NOTES,
        )
    )


def main(arguments: Sequence[str]) -> None:
    """
    Measure, and write the document.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description="Measure faults and attacks, and write docs/measurements.rst.",
    )
    parser.add_argument("--runs", type=int, default=3, help="runs of each fault (3)")
    parser.add_argument("--faults", metavar="FILE", help="JSON of benchmarks.faults --median")
    parser.add_argument("--attacks", metavar="FILE", help="JSON of benchmarks.attacks")
    parser.add_argument("--note", metavar="TEXT", default="", help="a sentence on this machine")
    options = parser.parse_args(arguments)
    faults = _measured(options.faults, "benchmarks.faults", "--median", f"--runs={options.runs}")
    attacks = _measured(options.attacks, "benchmarks.attacks")
    text = measurements(faults, attacks, options.runs, options.note)
    _DOCUMENT.write_text(text, encoding="utf-8")


def _measured(file: str | None, *command: str) -> dict[str, Any]:
    if file is not None:
        text = Path(file).read_text(encoding="utf-8")
    else:
        done = subprocess.run(
            [sys.executable, "-m", *command, "--json"], stdout=subprocess.PIPE, check=False
        )
        if done.returncode not in (0, INCONCLUSIVE):
            raise SystemExit(f"{' '.join(command)} ended with status {done.returncode}")
        text = done.stdout.decode()
    result: dict[str, Any] = json.loads(text)
    return result


if __name__ == "__main__":
    main(sys.argv[1:])
