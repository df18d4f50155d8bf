"""
What the take-overs took, in numbers and in words.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from txcarp.testbed.pinger import Gap

#: Seconds between two pings from which the measurement is noticeably coarse, if they are also this
#: part of the outage.
_COARSE, _PART = 0.01, 0.05

#: What a client of two ucarp hosts notices of the same (docs/measurements.rst).
_UCARP = {
    "power cut": "about 3 s",
    "killed daemon": "two hosts have it",
    "failing check": "no checks",
    "planned stop": "about 2 s",
}


@attrs.frozen
class Takeover:
    """
    How one host took over from the other.

    @ivar name: What happened to the old master.
    @ivar delay: Seconds from the last advertisement of the old master to the first one of the new
        master; for a killed daemon, from the kill.
    @ivar gap: What the client noticed.
    """

    name: str
    delay: float
    gap: Gap

    @property
    def coarse(self) -> bool:
        """
        Whether this machine was so busy that the outage may be its own.
        """
        # A pause that is longer than the outage came after it.
        return max(_COARSE, _PART * self.gap.silence) < self.gap.pause <= self.gap.silence

    @property
    def noticed(self) -> str:
        """
        What the client noticed, in words.
        """
        gap = self.gap
        busy = f"; this machine was too busy to ping for {_measured(gap.pause)}"
        return (
            f"the client heard nothing for {_measured(gap.silence)} "
            f"({gap.lost} pings lost{busy if self.coarse else ''})"
        )


def summary(takeovers: Iterable[Takeover]) -> list[RenderableType]:
    """
    What a successful demonstration shows at its end.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="none")
    table.add_column(no_wrap=True)
    table.add_column("take-over", no_wrap=True)
    table.add_column("silence of the client")
    table.add_column("a ucarp pair (known, not measured here)", max_width=21)
    for one in takeovers:
        silence = ("at most " if one.coarse else "") + _measured(one.gap.silence)
        table.add_row(one.name, _measured(one.delay), silence, _UCARP.get(one.name, ""))
    return [
        "",
        Padding(table, (0, 0, 0, 2)),
        "",
        Text(
            "After a power cut there is only silence, from which the other host concludes after 2 "
            "to 3 s that the master is gone. Everything else begins with a bow-out, and the other "
            "host takes over at once: the master sends it when it stops or a check fails, and its "
            "guard, a small process beside it, when its daemon was killed."
        ),
    ]


def _measured(seconds: float) -> str:
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.3f} s"
