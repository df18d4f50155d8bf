"""
What the hand-overs took, in numbers and in words.
"""

from __future__ import annotations

import attrs

from txcarp.testbed.pinger import Gap

#: Seconds between two pings above which the measurement is noticeably coarse, if
#: that is also a noticeable part of the silence.
_COARSE, _PART = 0.01, 0.05


@attrs.frozen
class HandOver:
    """
    What a hand-over took.

    @ivar takeOver: seconds from the last advertisement of the old master to the first
        one of the new.
    @ivar gap: what the client noticed.
    """

    takeOver: float
    gap: Gap

    @property
    def coarse(self) -> bool:
        """
        Whether this machine was so busy that the silence may be its own.
        """
        # A longer pause than the silence came after it.
        return max(_COARSE, _PART * self.gap.silence) < self.gap.pause <= self.gap.silence

    @property
    def noticed(self) -> str:
        """
        What the client noticed, in words.
        """
        gap = self.gap
        busy = f"; this machine was too busy to ping for {duration(gap.pause)}"
        return (
            f"the client heard nothing for {duration(gap.silence)} "
            f"({gap.lost} pings lost{busy if self.coarse else ''})"
        )


@attrs.frozen
class Outcome:
    """
    Both hand-overs.
    """

    crash: HandOver
    stop: HandOver


def summary(outcome: Outcome) -> list[str]:
    """
    What is said at the end of a demonstration that went well.
    """
    rows = []
    for name, one in (("power cut", outcome.crash), ("planned stop", outcome.stop)):
        silence = ("at most " if one.coarse else "") + duration(one.gap.silence)
        rows.append(f"  {name:<14} {duration(one.takeOver):<12} {silence:<24} about 3 s")
    return [
        "",
        "                 take-over    silence of the client    a ucarp pair (known,",
        "                                                       not measured here)",
        *rows,
        "",
        "After a power cut silence is all there is to notice: 2 to 3 s, by the moment.",
        "A planned stop says good-bye, and the other host takes over at once.",
        "",
        "All of this is gone again: networks, daemons, files. Next: txcarp --help",
    ]


def duration(seconds: float) -> str:
    """
    A time in the unit that reads best.
    """
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3f} s"
