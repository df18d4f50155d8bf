"""
Plays random faults of hosts with a set of virtual hosts: C{python -m tests.simulation.trials 1000}.

In each trial there is a single fault, which lasts for a minute or for good.  It may be there before
the hosts start.  In that time, and after the fault has healed, the set may change hosts a few
times.  Then there must be silence.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs

from tests.simulation.sides import SET, Sides, Site
from txcarp.protocol.timing import Timing

#: Seconds in which a set must come to rest.
_REST = 40.0

#: Seconds after that in which nothing may change.
_SILENCE = 40.0

#: The most seconds for which hosts may differ while they settle, in addition to a dead time.
_GRACE = 1.0

#: How often a host may gain or lose the set because of one fault, or of its end.
_MOST_CHANGES = 4


@attrs.frozen
class Trial:
    """
    One trial.

    @ivar seed: Determines everything else.
    @ivar sides: The number of sides.
    @ivar hosts: The settings of each host.
    @ivar starts: When each host is started.
    @ivar fault: The name of the fault.
    @ivar host: The host that has the fault.
    @ivar other: The other host, for a cut.
    @ivar side: The side that has the fault.
    @ivar at: When it happens.
    @ivar lasts: How long it lasts; C{None} for good.
    """

    seed: int
    sides: int
    hosts: tuple[dict[str, Any], ...]
    starts: tuple[float, ...]
    fault: str
    host: int
    other: int
    side: int
    at: float
    lasts: float | None


def _begin(fault: str) -> Callable[[Sides, Site, Trial], None]:
    return {
        "mute": lambda sides, site, trial: sides.mute.add((site.number, trial.side)),
        "deaf": lambda sides, site, trial: sides.deaf.add((site.number, trial.side)),
        "one way": lambda sides, site, trial: sides.cuts.add(
            (site.number, trial.other, trial.side)
        ),
        "cut": lambda sides, site, trial: sides.cuts.update(
            {(site.number, trial.other, trial.side), (trial.other, site.number, trial.side)}
        ),
        "unplugged": lambda sides, site, trial: site.plug(trial.side, False),
        "crash": lambda sides, site, trial: site.crash(),
        "stop": lambda sides, site, trial: site.stop(),
        "pause": lambda sides, site, trial: site.freeze(),
        "check": lambda sides, site, trial: site.broken.add(trial.side),
        "demoted": lambda sides, site, trial: _demote(site, trial.side),
    }[fault]


#: All faults.
FAULTS = (
    ("mute", "deaf", "one way", "cut", "unplugged", "crash", "stop", "pause", "check", "demoted")
)


def _demote(site: Site, side: int) -> None:
    if site.service is not None:
        site.service.virtualHosts[side].demote("test", 200)


def _end(sides: Sides, site: Site, trial: Trial) -> None:
    """
    End the fault.
    """
    sides.mute.clear()
    sides.deaf.clear()
    sides.cuts.clear()
    site.broken.clear()
    site.plug(trial.side, True)
    site.thaw()
    if trial.fault == "demoted" and site.service is not None:
        site.service.virtualHosts[trial.side].promote("test")
    site.start()


def draw(seed: int) -> Trial:
    """
    Draw a trial.
    """
    dice = random.Random(seed)
    number, sides = dice.choice((2, 2, 3)), dice.choice((2, 2, 3))
    preempt = dice.random() < 0.5
    common: dict[str, Any] = {
        "preempt": preempt,
        "gateways": dice.random() < 0.5,
        "dialect": dice.choice(("ucarp", "ucarp", "freebsd", "openbsd")),
        "releaseFirst": dice.random() < 0.2,
        "sync": attrs.evolve(SET, takeover=dice.choice((None, None, 5.0))),
    }
    hosts = []
    for one in range(number):
        skew = one * 50 + one
        # The kernels have no tie-break, so that equal hosts would not agree without a set, either.
        crossed = [3 * dice.randrange(0, 50) + one for _ in range(sides)]
        skews = {"ordered": [skew] * sides, "equal": [0] * sides, "crossed": crossed}
        how = dice.choice(("ordered", "ordered", "equal", "crossed"))
        if how == "equal" and common["dialect"] != "ucarp":
            how = "ordered"
        hosts.append({**common, "advskew": skews[how]})
    host = dice.randrange(number)
    other = dice.choice([one for one in range(number) if one != host])
    fault = dice.choice(FAULTS)
    lasts = dice.choice((None, dice.uniform(0.1, 12.0), 60.0))
    if fault == "pause" and lasts is None:
        lasts = dice.uniform(0.1, 60.0)
    return Trial(
        seed=seed,
        sides=sides,
        hosts=tuple(hosts),
        starts=tuple(dice.choice((0.0, dice.uniform(0.0, 8.0))) for _ in range(number)),
        fault=fault,
        host=host,
        other=other,
        side=dice.randrange(sides),
        at=dice.choice((0.0, dice.uniform(0.0, 10.0), 20.0 + dice.random())),
        lasts=lasts,
    )


def play(trial: Trial) -> tuple[list[str], Sides]:
    """
    Play a trial.

    @return: What went wrong, and the hosts afterwards.
    """
    sides = Sides(trial.sides, trial.seed)
    sites = [sides.add(**settings) for settings in trial.hosts]
    problems: list[str] = []
    site = sites[trial.host]
    plan: list[tuple[float, Callable[[], None]]] = [
        (when, one.start) for when, one in zip(trial.starts, sites, strict=True)
    ]
    plan.append((trial.at, lambda: _begin(trial.fault)(sides, site, trial)))
    if trial.lasts is not None:
        plan.append((trial.at + trial.lasts, lambda: _end(sides, site, trial)))
    last = 0.0
    for when, what in sorted(plan, key=lambda one: one[0]):
        if when - last > _REST + 5.0:
            _rest(sides, trial, problems, when - last)
        else:
            sides.run(when - last)
        last = when
        if when == trial.at:
            sides.changes.clear()
        what()
    sides.changes.clear()
    _rest(sides, trial, problems, _REST + _SILENCE)
    skew = max(max(one["advskew"]) for one in trial.hosts)
    dead = max(Timing(1, skew).deadTime(3), Timing(1, skew).interval * 3) + _GRACE
    if sides.half.seconds > dead:
        problems.append(f"a host is master on some sides only for {sides.half.seconds:.1f} s")
    if sides.torn.seconds > dead:
        problems.append(f"addresses are on different hosts for {sides.torn.seconds:.1f} s")
    return problems, sides


def _rest(sides: Sides, trial: Trial, problems: list[str], seconds: float) -> None:
    """
    Wait until nothing changes any more.
    """
    sides.run(min(seconds, _REST))
    several = Counter((site, side) for _, site, side, _ in sides.changes)
    if several and max(several.values()) > _MOST_CHANGES:
        problems.append(f"{max(several.values())} changes of one virtual host")
    sides.changes.clear()
    sides.run(max(0.0, seconds - _REST))
    if sides.changes:
        problems.append(f"still changing: {sides.changes[:4]}")


def main(arguments: list[str]) -> int:
    """
    Play many trials, and print the figures.

    @return: The exit status.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.trials",
        description="Play random faults of two or three simulated hosts with a set of groups.",
    )
    parser.add_argument("count", type=int, nargs="?", default=1000, help="how many trials")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the first trial")
    options = parser.parse_args(arguments)
    began = time.monotonic()
    failed = 0
    half = torn = doubled = 0.0
    changes: Counter[str] = Counter()
    for seed in range(options.seed, options.seed + options.count):
        trial = draw(seed)
        problems, sides = play(trial)
        half, torn = max(half, sides.half.seconds), max(torn, sides.torn.seconds)
        doubled = max(doubled, sides.doubled.seconds)
        changes[trial.fault] += 1
        if problems:
            failed += 1
            if failed <= 20:
                print(f"seed {seed}: {'; '.join(problems)}\n  {trial}")
    print(f"{options.count} trials in {time.monotonic() - began:.0f} s, {failed} failed")
    print(f"longest: half a set {half:.3f} s, addresses on different hosts {torn:.3f} s, ", end="")
    print(f"an address twice {doubled:.3f} s")
    print("faults:", ", ".join(f"{count} {fault}" for fault, count in sorted(changes.items())))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
