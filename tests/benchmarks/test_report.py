"""
Tests for L{benchmarks.report}, L{benchmarks.chapters} and L{benchmarks.plots}.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import chapters, plots, report
from benchmarks.assaults import ATTACKS
from benchmarks.outcomes import Outcome
from benchmarks.scenes import FAULTS, SILENCES
from benchmarks.silences import Pair, cells
from benchmarks.words import FAULTS as WORDS
from benchmarks.words import consequence, harm
from tests.lab.holders import Span

#: What the test of the chapter says if it fails.
_AGAIN = "the chapter is not made of these figures: python -m benchmarks.report --from " + str(
    report.FIGURES
)


def lasting(seconds: float, isOpen: bool = False) -> dict[str, Any]:
    """
    A span of time as the benchmarks print it.
    """
    return {"seconds": seconds, "open": isOpen}


def fault(silence: dict[str, Any], both: dict[str, Any]) -> dict[str, Any]:
    """
    A cell of L{benchmarks.faults}.
    """
    cell: dict[str, Any] = {"fault": "SIGKILL", "program": "txcarp", "resolution": 0.02}
    return {**cell, "silence": silence, "both": both}


def silence(seconds: float, both: float = 0.0) -> Outcome:
    """
    An outcome of L{benchmarks.silences}.
    """
    return Outcome(Span(both, both > 1), Span(seconds), 0, "b", 0.004)


def groupsOf(program: str, count: int, load: float) -> dict[str, Any]:
    """
    A cell of L{benchmarks.groups}.
    """
    late = {"p50": 0.0001, "p99": 0.002, "worst": 0.003}
    cell = {"program": program, "groups": count, "load": load, "memory": 20 << 20, "moved": 3.5}
    return {**cell, **late}


_POWER, _KILL = (one for one in SILENCES if one.name in ("power off", "SIGKILL"))

#: Figures of each benchmark.
FIGURES: Mapping[str, Any] = {
    "faults": {
        "programs": ["txcarp 1"],
        "runs": 5,
        "cells": [
            fault(lasting(0.003), lasting(0.0)),
            {**fault(lasting(3.1), lasting(0.0)), "fault": "power off", "program": "ucarp"},
        ],
    },
    "silences": {
        "programs": ["txcarp 1", "keepalived 2"],
        "repeats": 10,
        "cells": cells(
            {
                Pair(_POWER, "txcarp", 1.0): [silence(2.5), silence(2.9), silence(2.7)],
                Pair(_POWER, "txcarp", 0.1): [silence(0.1)],
                Pair(_POWER, "ucarp", 1.0): [silence(2.8)],
                Pair(_POWER, "keepalived", 1.0): [silence(5.4)],
                Pair(_POWER, "keepalived", 0.1): [],
                Pair(_KILL, "txcarp", 1.0): [silence(0.004)],
                Pair(_KILL, "ucarp", 1.0): [silence(0.0, both=5.0)],
            },
            ["1 s", "100 ms"],
        ),
    },
    "lateness": {
        "programs": ["txcarp 1"],
        "cells": [
            {"program": "txcarp", "interval": 0.01, "groups": 1, "samples": 100, "early": 2}
            | {"p50": 0.0002, "p99": 0.00085, "worst": 0.0131}
        ],
    },
    "steadiness": [
        {"program": "txcarp", "interval": 0.01, "busy": busy, "seconds": 600.0, "takeovers": count}
        for busy, count in ((0, 0), (2, 4))
    ],
    "groups": [
        groupsOf("txcarp", 1, 0.002),
        groupsOf("ucarp", 1, 0.001),
        groupsOf("keepalived", 250, 0.0),
    ],
    "stops": [{**groupsOf("txcarp", 250, 0.1), "lost": 3, "losers": 2, "silence": 0.04}],
    "floods": [
        {"program": program, "kind": "digest", "wanted": 30_000, "late": late, "rate": 29_000.0}
        | {"load": 0.3, "masterLoad": 0.25}
        for program, late in (*(("txcarp", one) for one in (0.001, 0.003, 0.002)), ("ucarp", 0.4))
    ],
    "calltrace": [
        {
            "checkout": "/home/somebody",
            "scenes": {"advert": {"own": {"calls": 34, "files": 13}, "list": ["a function"]}},
            "microseconds": {
                "sealed": {"least": 10.04, "median": 11.0, "reading alone": 1.5},
            },
        }
    ],
    "start": {
        "programs": ["txcarp 1"],
        "repeats": 10,
        "daemons": [
            {"program": "txcarp", "ready": None, "advertised": {"median": 0.2, "worst": 0.3}}
            | {"memory": 25 << 20}
        ],
        "commands": [{"command": "txcarp --help", "seconds": {"median": 0.09, "worst": 0.1}}],
    },
    "attacks": {
        "programs": [],
        "cells": [
            {"attack": "255/255 as the master", "pair": pair, "stopped": True}
            for pair in ("learn", "ucarp")
        ],
    },
}


class WordsTests(SynchronousTestCase):
    """
    What the cells say.
    """

    def test_consequence(self) -> None:
        """
        The time without an answer, and that with the address on two hosts if it matters.
        """
        none = lasting(0.0)
        for silence, both, expected in (
            (lasting(0.0003), none, "0"),
            (lasting(0.0066), lasting(0.05), "7 ms"),
            (lasting(2.94), none, "2.9 s"),
            (lasting(6.0, True), none, "for good"),
            (none, lasting(4.0), "0; on two hosts for 4.0 s"),
            (none, lasting(4.0, True), "0; on two hosts for good"),
        ):
            self.assertEqual(consequence(fault(silence, both)), expected)
        self.assertEqual(consequence(None), "")

    def test_harm(self) -> None:
        """
        An attack that is stopped does nothing, also if a death is part of it.
        """
        cell = {"stopped": False, "nobody": lasting(7.0, True), "both": lasting(0.77)}
        self.assertEqual(harm(cell), "no master for good; two masters for 770 ms")
        self.assertEqual(harm({**cell, "stopped": True}), "nothing")

    def test_everyFault(self) -> None:
        """
        Every fault that is measured has words for people.
        """
        self.assertEqual(set(WORDS), {fault.name for fault in (*FAULTS, *SILENCES)})


class ChapterTests(SynchronousTestCase):
    """
    The sections.
    """

    def written(self, name: str) -> str:
        """
        The text of a section.
        """
        [section] = [one for one in chapters.SECTIONS if one.name == name]
        return section.write(FIGURES[name])

    def test_faults(self) -> None:
        """
        Programs are columns, and faults are rows; a program without a fault has an empty cell.
        """
        text = self.written("faults")
        self.assertIn("   * - the daemon is killed\n     - 3 ms\n     -\n", text)
        self.assertIn("   * - the power fails\n     -\n     - 3.1 s\n", text)
        self.assertIn("the median of 5 runs. The machine paused for\n20 ms at most", text)

    def test_silences(self) -> None:
        """
        Each cell has the median, the worst, and the factor to that of txcarp.
        """
        text = self.written("silences")
        power = ["the power fails, 1 s", "2.7 s (2.9 s)"]
        power += ["2.8 s (2.8 s); 1.0x", "5.4 s (5.4 s); 2.0x"]
        self.assertIn("   * - " + "\n     - ".join(power), text)
        short = ("the power fails, 100 ms", "100 ms (100 ms)", "cannot", "unsteady")
        self.assertIn("   * - " + "\n     - ".join(short), text)
        killed = ("the daemon is killed, 1 s", "4 ms (4 ms)", "0 (0); on two hosts for good")
        self.assertIn("   * - " + "\n     - ".join(killed), text)
        self.assertIn("the median of 10 runs", " ".join(text.split()))

    def test_figures(self) -> None:
        """
        The other sections.
        """
        for name, row in (
            ("lateness", ("txcarp, each 10 ms", "1", "100", "0.2 ms", "0.85 ms", "13.1 ms", "2")),
            ("steadiness", ("txcarp, each 10 ms", "< 18", "24")),
            ("groups", ("txcarp, 1", "0.2%", "20 MiB", "0.1 ms", "2 ms", "3 ms", "3.50 s")),
            ("groups", ("ucarp, 1", "0.1%; 0.5x", "20 MiB; 1.0x", "0.1 ms", "2 ms; 1.0x")),
            ("stops", ("txcarp, 250", "3 to 2 addresses", "40 ms", "3.50 s")),
            ("floods", ("txcarp, 30,000/s, digest", "2 ms", "3 ms", "30%", "25%")),
            ("floods", ("ucarp, 30,000/s, digest", "400 ms; 200x", "400 ms", "30%", "25%")),
            ("calltrace", ("sealed", "10.0 µs", "11.0 µs", "1.5 µs")),
            ("start", ("txcarp --help", "90 ms (100 ms)")),
            ("attacks", (f"{ATTACKS[1].what}", "nothing", "nothing")),
        ):
            self.assertIn("   * - " + "\n     - ".join(row) + "\n", self.written(name))

    def test_everyAttack(self) -> None:
        """
        A table has all rows that were measured.
        """
        figures = [{"attack": one.name, "pair": "learn", "stopped": True} for one in ATTACKS]
        [section] = [one for one in chapters.SECTIONS if one.name == "attacks"]
        self.assertEqual(section.write({"cells": figures}).count("   * - "), len(ATTACKS) + 1)


class DocumentTests(SynchronousTestCase):
    """
    The chapter.
    """

    def setUp(self) -> None:
        self.directory = Path(self.mktemp())
        self.source = Path(self.mktemp())
        for place in (self.directory, self.source):
            place.mkdir()
        self.patch(report, "FIGURES", self.directory / "measurements")
        self.patch(report, "DOCUMENT", self.directory / "measurements.rst")

    def write(self, *names: str, note: str = "") -> str:
        """
        Make a chapter of new figures.
        """
        for file in self.source.iterdir():
            file.unlink()
        for name in names:
            (self.source / f"{name}.json").write_text(json.dumps(FIGURES[name]), encoding="utf-8")
        report.write(note, self.source)
        return report.DOCUMENT.read_text(encoding="utf-8")

    def test_everything(self) -> None:
        """
        All sections are there, in their order, with lines of their width.
        """
        text = self.write(*FIGURES)
        lines = text.splitlines()
        titles = [one.title for one in chapters.SECTIONS]
        self.assertEqual([line for line in lines if line in titles], titles)
        prose = [line for line in lines if line[:1].isalpha()]
        self.assertLessEqual(max(map(len, prose)), 100)
        self.assertIn("txcarp 1, keepalived 2, as root", text)

    def test_kept(self) -> None:
        """
        What nobody reads is not kept.
        """
        self.write("faults", "attacks", "calltrace")
        [kept] = json.loads((report.FIGURES / "calltrace.json").read_text(encoding="utf-8"))
        self.assertEqual(kept["scenes"], {"advert": {"own": {"calls": 34, "files": 13}}})
        self.assertNotIn("checkout", kept)

    def test_piecewise(self) -> None:
        """
        New figures replace those of the same benchmark; each run has its machine.
        """
        self.write("faults", "attacks", note="It was busy.")
        self.patch(report, "machine", lambda note: "another day.")
        text = self.write("groups")
        self.assertIn("It was busy.", " ".join(text.split()))
        self.assertIn("*Many groups*: measured on another day.", text)
        self.assertIn("the power fails", text)

    def test_missing(self) -> None:
        """
        Nothing new, or no section that other chapters link to, is an error that names the files.
        """
        error = self.assertRaises(ValueError, self.write)
        self.assertIn("expected some of faults.json, silences.json", str(error))
        error = self.assertRaises(ValueError, self.write, "faults")
        self.assertIn("expected attacks.json", str(error))

    def test_noJson(self) -> None:
        """
        A benchmark that was interrupted leaves no figures.
        """
        (self.source / "faults.json").write_text("{", encoding="utf-8")
        error = self.assertRaises(ValueError, report.write, "", self.source)
        self.assertIn("faults.json: expected JSON", str(error))

    def test_written(self) -> None:
        """
        The chapter of the manual, and its drawings, are made of the figures beside them.
        """
        figures = Path(chapters.__file__).parent.parent / "docs" / "measurements"
        self.assertEqual(
            report.document(figures).splitlines(),
            figures.with_suffix(".rst").read_text(encoding="utf-8").splitlines(),
            _AGAIN,
        )
        for name, make in plots.DRAWINGS.items():
            source = figures / f"{name}.json"
            if source.exists():
                made = make(json.loads(source.read_text(encoding="utf-8")))
                found = source.with_suffix(".svg").read_text(encoding="utf-8")
                self.assertEqual(made, found, _AGAIN)


class PlotTests(SynchronousTestCase):
    """
    The drawings.
    """

    def bars(self, name: str) -> list[tuple[str, float, bool]]:
        """
        What is said of each bar, its width, and whether it is an outline.
        """
        image = ElementTree.fromstring(plots.DRAWINGS[name](FIGURES[name]))
        found = []
        for one in image.iter("{http://www.w3.org/2000/svg}rect"):
            for title in one.iter("{http://www.w3.org/2000/svg}title"):
                words = title.text or ""
                found.append((words, float(one.attrib["width"]), one.attrib["fill"] == "none"))
        return found

    def test_silences(self) -> None:
        """
        Silences are full, two hosts are an outline; what is longer has the longer bar.
        """
        found = {words: (width, isHollow) for words, width, isHollow in self.bars("silences")}
        self.assertEqual(found["ucarp: 5 s or more"][1], True)
        self.assertEqual(found["txcarp: 2.7 s"][1], False)
        self.assertLess(found["txcarp: 4 ms"], found["txcarp: 100 ms"])
        self.assertLess(found["txcarp: 2.7 s"], found["keepalived: 5.4 s"])

    def test_groups(self) -> None:
        """
        Each figure has a panel; a value that a scale cannot show is at its end.
        """
        found = self.bars("groups")
        self.assertEqual(len(found), 3 * len(plots._FIGURES))
        self.assertIn(("keepalived: 0.000%", 1.0, False), found)

    def test_scale(self) -> None:
        """
        Equal factors are equal distances.
        """
        panel = plots.Panel("", (), [(0.01, ""), (1.0, "")])
        self.assertAlmostEqual(panel.place(0.1) * 2, panel.place(1.0))
        self.assertEqual(panel.place(0.0), 0.0)
        self.assertEqual(panel.place(9.0), panel.place(1.0))
