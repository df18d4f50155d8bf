"""
Hosts under attack by everything that can be sent without the password (L{tests.fuzz})::

    python -m benchmarks.fuzz --examples 10000
    python -m benchmarks.fuzz --minutes 60

Each example is a host in one of the three dialects, its group and an attacker, for some
minutes of simulated time and some hundred packets.  The command prints what became of the
packets.  If the host did anything wrong, it prints the shortest sequence of steps that leads
to it, and exits with status 1.  It uses one processor; several can run at once.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Iterator, Sequence

from hypothesis import HealthCheck

from tests.fuzz import run, tally
from txcarp.protocol.rejection import Rejection

#: Examples after which to look at the time.
_ROUND = 200


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """
    Read the command line.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.fuzz",
        description="Attack hosts with everything that can be sent without the password.",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--examples", type=int, default=2000, help="hosts to attack (2000)")
    length.add_argument("--minutes", type=float, help="attack hosts for this time instead")
    options = parser.parse_args(arguments)
    for name in ("examples", "minutes"):
        value = getattr(options, name)
        if value is not None and not value > 0:
            parser.error(f"--{name} {value}: expected more than 0")
    return options


def _rounds(options: argparse.Namespace) -> Iterator[int]:
    """
    How many examples to run, again and again.
    """
    if options.minutes is None:
        yield options.examples
        return
    end = time.monotonic() + 60 * options.minutes
    while time.monotonic() < end:
        yield _ROUND


def main(arguments: Sequence[str]) -> int:
    """
    @return: The exit status.
    """
    options = parse(arguments)
    start = time.monotonic()
    status = 0
    try:
        for examples in _rounds(options):
            run(examples, database=None, suppress_health_check=list(HealthCheck))
    except Exception:
        traceback.print_exc()
        status = 1
    seconds = time.monotonic() - start
    for reason in Rejection:
        print(f"{tally[reason]:>12}  refused: {reason.value}")
    for what in ("believed", "kept back", "seals guessed", "changes of role", "restarts"):
        print(f"{tally[what]:>12}  {what}")
    rate = tally["packets"] / seconds
    print(f"{tally['packets']:>12}  packets in {seconds:.1f} s, {rate:.0f} a second")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
