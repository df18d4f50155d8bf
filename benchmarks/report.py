"""
Writes C{docs/measurements.rst}, and the drawings in it, from what the benchmarks have measured.

    python -m benchmarks.report                  # measures everything, which takes two hours
    python -m benchmarks.report --from DIR       # takes what is in a directory

As root, on a machine that does nothing else.  A benchmark can be run by itself, as in C{python -m
benchmarks.silences --json > DIR/silences.json}; C{--list} prints all these commands.

The figures are kept in C{docs/measurements}, with the machine that they come from.  A file in
C{DIR} replaces that of an earlier run; the others stay.  C{--from docs/measurements} writes the
text again, without new figures.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

import twisted
from benchmarks import plots
from benchmarks.chapters import SECTIONS, Section
from benchmarks.measuring import INCONCLUSIVE, say

_DOCS = Path(__file__).parent.parent / "docs"

#: The chapter, and the directory with its figures.
DOCUMENT, FIGURES = _DOCS / "measurements.rst", _DOCS / "measurements"

#: The file that says where and when each file of figures was measured.
_ORIGINS = "origins.json"

#: Keys of figures that are not kept.
_UNREAD = ("checkout", "list")

_HEAD = """\
Measurements
============

.. Written by benchmarks/report.py. Do not edit.

{programs}, as root, with the priority that they give themselves. All hosts are network namespaces
of one machine. A measurement during which the machine itself paused is repeated.

{origins}

"""

_END = """\
How it was measured
-------------------

``python -m benchmarks.report --from DIR`` writes this chapter from what other commands print. Each
of them measures all programs in the same run. Without ``--json`` it prints a table, in which there
is more than here::

{commands}

Two more benchmarks are for those who compare programs or change txcarp: ``python -m
benchmarks.handover`` measures all pairs of txcarp and ucarp, with scripts, and ``python -m
benchmarks.fuzz`` attacks the receive path. The figures are in ``docs/measurements`` as JSON.
"""


def machine(note: str = "") -> str:
    """
    Where and when this runs, as a part of a sentence.

    @param note: A sentence about it.
    """
    day = time.strftime("%d %B %Y", time.gmtime()).lstrip("0")
    words = (
        f"{day}, Linux {platform.release()} ({platform.machine()}, {os.cpu_count()} processors), "
        f"Python {platform.python_version()}, Twisted {twisted.__version__}"
    )
    return f"{words}. {note}" if note else f"{words}."


def reflowed(text: str) -> str:
    """
    A text of reStructuredText, whose paragraphs have lines of their width.
    """
    parts = []
    for part in text.split("\n\n"):
        lines = part.strip("\n").splitlines()
        isPlain = all(line[:1] not in ("", " ", ".", "=", "-") for line in lines)
        isTitle = len(lines) == 2 and set(lines[1]) <= set("=-")
        parts.append(fill(" ".join(lines), 100) if isPlain and not isTitle else part)
    return "\n\n".join(parts)


def document(figures: Path) -> str:
    """
    The text of the chapter.

    @param figures: The directory with the figures.
    """
    found = {one: _read(figures / f"{one.name}.json") for one in sections(figures)}
    origins = _read(figures / _ORIGINS)
    programs: dict[str, None] = {}
    for measured in found.values():
        if isinstance(measured, dict):
            programs.update(dict.fromkeys(measured.get("programs", ())))
    places: dict[str, list[str]] = {}
    for one in found:
        places.setdefault(origins[one.name], []).append(f"*{one.title}*")
    measuredOn = "\n\n".join(
        f"{', '.join(titles)}: measured on {place}" for place, titles in places.items()
    )
    text = [_HEAD.format(programs=", ".join(programs), origins=measuredOn)]
    for one, measured in found.items():
        text.append(f"{one.title}\n{'-' * len(one.title)}\n\n{one.write(measured).rstrip()}\n\n")
    text.append(_END.format(commands="\n".join(f"    {line}" for line in commands("DIR"))))
    return reflowed("".join(text)).rstrip("\n") + "\n"


def sections(figures: Path) -> list[Section]:
    """
    The sections that there are figures of.

    @raise ValueError: If a section has none that must be there.
    """
    found = []
    for one in SECTIONS:
        if (figures / f"{one.name}.json").exists():
            found.append(one)
        elif one.isRequired:
            raise ValueError(f"{figures}: expected {one.name}.json, as other chapters link to it")
    return found


def commands(directory: str) -> list[str]:
    """
    The commands that measure everything.
    """
    return [
        f"python -m benchmarks.{' '.join(one.command)} --json > {directory}/{one.name}.json"
        for one in SECTIONS
    ]


def write(note: str, source: Path) -> None:
    """
    Take new figures, draw, and write the chapter.

    @param note: A sentence about the machine on which they were measured.
    @param source: The directory with them.
    @raise ValueError: If there are none, or they are no JSON.
    """
    if source.resolve() != FIGURES.resolve():
        taken = {one.name: source / f"{one.name}.json" for one in SECTIONS}
        taken = {name: file for name, file in taken.items() if file.exists()}
        if not taken:
            names = ", ".join(f"{one.name}.json" for one in SECTIONS)
            raise ValueError(f"{source}: expected some of {names}")
        FIGURES.mkdir(exist_ok=True)
        place = FIGURES / _ORIGINS
        origins = _read(place) if place.exists() else {}
        for name, file in taken.items():
            text = json.dumps(_tidied(_read(file)), indent=1) + "\n"
            (FIGURES / f"{name}.json").write_text(text, encoding="utf-8")
            origins[name] = machine(note)
        place.write_text(json.dumps(origins, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    DOCUMENT.write_text(document(FIGURES), encoding="utf-8")
    plots.draw(FIGURES)


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file}: expected JSON: {error}") from None


def _tidied(measured: Any) -> Any:
    """
    The same without what nobody reads: digits below a microsecond, where the checkout was, and
    lists of calls.
    """
    if isinstance(measured, float):
        return round(measured, 6)
    if isinstance(measured, dict):
        kept = (item for item in measured.items() if item[0] not in _UNREAD)
        return {key: _tidied(value) for key, value in kept}
    if isinstance(measured, list):
        return [_tidied(value) for value in measured]
    return measured


def measure(directory: Path) -> None:
    """
    Run all benchmarks.

    @param directory: Where they leave their figures.
    """
    for one in SECTIONS:
        words = [sys.executable, "-m", f"benchmarks.{one.command[0]}", *one.command[1:], "--json"]
        say(" ".join(words[1:]))
        done = subprocess.run(words, stdout=subprocess.PIPE, check=False)
        if done.returncode not in (0, INCONCLUSIVE):
            raise SystemExit(f"{' '.join(words)} ended with status {done.returncode}")
        (directory / f"{one.name}.json").write_bytes(done.stdout)


def main(arguments: Sequence[str]) -> None:
    """
    Measure, and write the document.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.report",
        description="Write docs/measurements.rst from what the benchmarks measure.",
    )
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="DIR", help="has figures: do not measure"
    )
    parser.add_argument("--note", metavar="TEXT", default="", help="a sentence on this machine")
    parser.add_argument("--list", action="store_true", help="print the commands that measure")
    options = parser.parse_args(arguments)
    if options.list:
        print(*commands("DIR"), sep="\n")
        return
    try:
        if options.source is not None:
            write(options.note, options.source)
            return
        with tempfile.TemporaryDirectory() as directory:
            measure(Path(directory))
            write(options.note, Path(directory))
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main(sys.argv[1:])
