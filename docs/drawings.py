"""
The drawings of the manual, as SVG that has the colours of the page around it.

The directive C{drawing} in C{conf.py} puts one of L{DRAWINGS} into a chapter.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import attrs

#: Sizes in units of the drawings, which are 720 wide.
_WIDTH, _LEFT, _LANE, _TOP = 720, 110, 54, 34

#: Strokes that can be told apart on white and on black, and without their colours.
_STROKES = {
    "master": 'stroke="#2da44e" stroke-width="6"',
    "still": 'stroke="#2da44e" stroke-width="6" stroke-dasharray="3 4"',
    "backup": 'stroke="#8b949e" stroke-width="2"',
    "answered": 'stroke="#2da44e" stroke-width="14"',
    "silence": 'stroke="#d1242f" stroke-width="4" stroke-dasharray="2 8"',
}

_GREEN, _RED, _AMBER, _GREY = "#2da44e", "#d1242f", "#bf8700", "#8b949e"


@attrs.frozen
class Lane:
    """
    What one host does in the course of time.

    @ivar name: The host.
    @ivar parts: From when to when it does what: a key of C{_STROKES}.
    @ivar adverts: When it advertises.
    @ivar marks: When something else happens: a time, C{"x"}, C{"bow-out"} or C{""}, and words.
    """

    name: str
    parts: Sequence[tuple[float, float, str]]
    adverts: Sequence[float] = ()
    marks: Sequence[tuple[float, str, str]] = ()


@attrs.frozen
class Timeline:
    """
    Several hosts in the course of time.

    @ivar about: What it shows, for those who do not see it.
    @ivar length: Its length in time.
    @ivar lanes: The hosts.
    @ivar spans: Spans of time with words: begin, end, the lane below which they are, words.
    """

    about: str
    length: float
    lanes: Sequence[Lane]
    spans: Sequence[tuple[float, float, int, str]] = ()

    def svg(self) -> str:
        """
        The drawing.
        """
        height = _TOP + _LANE * (len(self.lanes) - 1) + 20
        parts: list[str] = []
        for number, lane in enumerate(self.lanes):
            parts += self._lane(number, lane)
        for begin, end, number, words in self.spans:
            y = _TOP + _LANE * number + _LANE // 2
            x1, x2 = self._x(begin), self._x(end)
            parts += [
                f'<path d="M{x1} {y - 5}v10M{x1} {y}H{x2}M{x2} {y - 5}v10" stroke="{_GREY}" '
                'stroke-width="1.5" fill="none"/>',
                _text((x1 + x2) / 2, y + 16, words, "middle", 12),
            ]
        return _svg(self.about, height, parts)

    def _lane(self, number: int, lane: Lane) -> list[str]:
        y = _TOP + _LANE * number
        parts = [_text(_LEFT - 14, y + 5, lane.name, "end")]
        parts += [
            f'<path d="M{self._x(begin)} {y}H{self._x(end)}" {_STROKES[kind]}/>'
            for begin, end, kind in lane.parts
        ]
        parts += [
            f'<circle cx="{self._x(at)}" cy="{y}" r="7" fill="{_GREEN}"/>' for at in lane.adverts
        ]
        for at, kind, words in lane.marks:
            x = self._x(at)
            if kind == "x":
                cross = f'd="M{x - 7} {y - 7}l14 14m0-14l-14 14" stroke="{_RED}"'
                parts.append(f'<path {cross} stroke-width="4"/>')
            elif kind == "bow-out":
                parts.append(f'<path d="M{x} {y - 10}l10 10l-10 10l-10-10z" fill="{_AMBER}"/>')
            parts.append(_text(x, y - 16, words, "middle", 13))
        return parts

    def _x(self, at: float) -> float:
        return round(_LEFT + at / self.length * (_WIDTH - _LEFT - 12), 1)


def _text(x: float, y: float, words: str, anchor: str = "start", size: int = 15) -> str:
    where = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}"'
    return f'<text {where} font-size="{size}">{escape(words)}</text>'


def _svg(about: str, height: float, parts: Sequence[str]) -> str:
    inside = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height:g}" xmlns="http://www.w3.org/2000/svg" role="img" '
        f'aria-label="{escape(about)}">\n{inside}\n</svg>'
    )


def _box(x: float, y: float, width: float, height: float, *lines: str, colour: str = _GREY) -> str:
    first = y + height / 2 + 5 - 9 * (len(lines) - 1)
    words = "".join(
        _text(x + width / 2, first + 18 * number, line, "middle", 15 if number == 0 else 13)
        for number, line in enumerate(lines)
    )
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="8" fill="none" '
        f'stroke="{colour}" stroke-width="2"/>{words}'
    )


def _arrow(path: str, x: float, y: float, turn: int, colour: str = _GREY) -> str:
    """
    A line that ends in a point.

    @param turn: Where the point looks: degrees from the right, clockwise.
    """
    point = f'fill="{colour}" transform="translate({x:g} {y:g}) rotate({turn})"'
    return (
        f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
        f'<path d="M0 0l-10-5v10z" {point}/>'
    )


def _group() -> str:
    return _svg(
        "Hosts a and b and a client are on one network. a is master and has the shared address. It "
        "sends advertisements to b. The client talks to the shared address, which is on a.",
        232,
        [
            _box(60, 10, 220, 92, "a: MASTER", "10.1.1.1", "and 10.1.1.252", colour=_GREEN),
            _box(440, 10, 220, 92, "b: BACKUP", "10.1.1.2"),
            _arrow("M280 56H428", 430, 56, 0, _GREEN),
            _text(355, 46, "advertisements", "middle", 13),
            f'<path d="M60 150H660M170 102V150M550 102V150M360 150V174" stroke="{_GREY}" '
            'stroke-width="2" fill="none"/>',
            _box(250, 174, 220, 48, "a client of 10.1.1.252"),
        ],
    )


def _states() -> str:
    return _svg(
        "The roles of a host. It starts as backup. A backup becomes master when the master is "
        "silent, bows out, or is less preferred and this host preempts. A master becomes backup "
        "when it hears a preferred master. Both are held while something keeps the host out.",
        236,
        [
            _box(20, 26, 130, 56, "INIT"),
            _box(250, 26, 150, 56, "BACKUP"),
            _box(550, 26, 150, 56, "MASTER", colour=_GREEN),
            _box(250, 166, 150, 56, "held", colour=_AMBER),
            _arrow("M150 54H248", 250, 54, 0),
            _text(200, 46, "start", "middle", 13),
            _arrow("M400 40H548", 550, 40, 0, _GREEN),
            _text(475, 14, "silence, bow-out,", "middle", 13),
            _text(475, 31, "preemption", "middle", 13),
            _arrow("M550 68H402", 400, 68, 180),
            _text(475, 86, "hears a preferred", "middle", 13),
            _text(475, 103, "master; slept", "middle", 13),
            _arrow("M300 82V164", 300, 166, 90, _AMBER),
            _text(290, 118, "link lost, unfit,", "end", 13),
            _text(290, 135, "drained ...", "end", 13),
            _arrow("M350 166V84", 350, 82, 270),
            _text(360, 128, "over", "start", 13),
            _arrow("M625 82V194H402", 400, 194, 180, _AMBER),
            _text(512, 186, "the same", "middle", 13),
        ],
    )


def _order() -> str:
    names = (
        ("steps", 'when = "before-addresses"'),
        ("addresses", "announcement, scripts"),
        ("the other steps", 'when = "after-addresses"'),
    )
    parts = []
    for number, (first, second) in enumerate(names):
        x = 10 + 250 * number
        parts.append(_box(x, 54, 200, 56, first, second, colour=_GREEN if number == 1 else _GREY))
        if number:
            parts.append(_arrow(f"M{x - 50} 70H{x - 2}", x, 70, 0, _GREEN))
            parts.append(_arrow(f"M{x} 96H{x - 48}", x - 50, 96, 180, _AMBER))
    return _svg(
        "What a new master acquires, from left to right: the steps before the addresses, the "
        "addresses, the other steps. It releases them from right to left.",
        152,
        [
            *parts,
            _arrow("M10 30H708", 710, 30, 0, _GREEN),
            _text(360, 20, "becoming master", "middle", 13),
            _arrow("M710 132H12", 10, 132, 180, _AMBER),
            _text(360, 149, "ceasing to be master", "middle", 13),
        ],
    )


def _sides() -> str:
    network = f'stroke="{_GREY}" stroke-width="2" fill="none"'
    return _svg(
        "Two firewalls between an outer and an inner network. Firewall a is master of the group "
        "outer and of the group inner. Firewall b is backup of both.",
        220,
        [
            _text(10, 25, "outer network"),
            f'<path d="M130 20H710M250 20V60M570 20V60" {network}/>',
            _box(150, 60, 200, 100, "firewall a", "outer: MASTER", "inner: MASTER", colour=_GREEN),
            _box(470, 60, 200, 100, "firewall b", "outer: BACKUP", "inner: BACKUP"),
            _text(10, 205, "inner network"),
            f'<path d="M130 200H710M250 160V200M570 160V200" {network}/>',
        ],
    )


_SILENCE = Timeline(
    "Host a advertises once per second and then loses its power. After the dead time, 3.2 seconds "
    "after the last advertisement, host b becomes master. The client gets no answer from the power "
    "cut on until then.",
    8.4,
    (
        Lane(
            "host a", ((0, 3.5, "master"),), (0, 1, 2, 3), ((3.5, "x", "power cut"),)
        ),
        Lane("host b", ((0, 6.2, "backup"), (6.2, 8.4, "master")), (6.2, 7.4)),
        Lane(
            "client", ((0, 3.5, "answered"), (3.6, 6.2, "silence"), (6.2, 8.4, "answered"))
        ),
    ),
    ((3, 6.2, 0, "dead time: 3.2 s"),),
)

_STOP = Timeline(
    "Host a is told to stop. It sends a bow-out and goes on answering. Host b becomes master at "
    "once. Host a releases the address 50 milliseconds after it hears the first advertisement of "
    "host b. The client gets an answer all the time.",
    8.4,
    (
        Lane(
            "host a",
            ((0, 3.4, "master"), (3.4, 5.6, "still")),
            (0, 1.7),
            ((3.4, "bow-out", "bow-out"),),
        ),
        Lane("host b", ((0, 3.7, "backup"), (3.7, 8.4, "master")), (3.7, 5.4, 7.1)),
        Lane("client", ((0, 8.4, "answered"),)),
    ),
    ((3.7, 5.6, 0, "a answers for 50 ms more"),),
)

_GUARD = Timeline(
    "The daemon of host a is killed. Its guard removes the address, and then sends a bow-out. Host "
    "b becomes master. All of this takes some milliseconds, in which the client gets no answer.",
    8.4,
    (
        Lane(
            "daemon of a", ((0, 3.4, "master"),), (0, 1.7), ((3.4, "x", "killed"),)
        ),
        Lane(
            "guard of a",
            ((0, 4.4, "backup"),),
            (),
            ((4.4, "bow-out", "address removed, bow-out"),),
        ),
        Lane("host b", ((0, 4.7, "backup"), (4.7, 8.4, "master")), (4.7, 6.4, 8.1)),
        Lane(
            "client", ((0, 4.0, "answered"), (4.1, 4.9, "silence"), (4.9, 8.4, "answered"))
        ),
    ),
    ((3.4, 4.7, 2, "some milliseconds"),),
)

_PROBE = Timeline(
    "Host b asks host a all the time, and host a answers until it loses its power. Then host b "
    "asks the witness c, which answers. After three questions without an answer of host a, some 20 "
    "milliseconds, host b becomes master.",
    8.4,
    (
        Lane("host a", ((0, 3.4, "master"),), (0, 1.7), ((3.4, "x", "power cut"),)),
        Lane("b asks a", ((0, 3.4, "still"), (3.5, 4.7, "silence"))),
        Lane("b asks c", ((3.7, 4.6, "still"),), (), ((4.15, "", "the witness c answers"),)),
        Lane("host b", ((0, 4.8, "backup"), (4.8, 8.4, "master")), (4.8, 6.5, 8.2)),
        Lane("client", ((0, 3.4, "answered"), (3.5, 4.9, "silence"), (4.9, 8.4, "answered"))),
    ),
    ((3.4, 4.8, 3, "some 20 ms"),),
)

#: Each drawing by its name.
DRAWINGS = {
    "group": _group(),
    "states": _states(),
    "order": _order(),
    "sides": _sides(),
    "silence": _SILENCE.svg(),
    "stop": _STOP.svg(),
    "guard": _GUARD.svg(),
    "probe": _PROBE.svg(),
}
