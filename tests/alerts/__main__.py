"""
Provoke the alerts, and print a table of what was seen.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.internet.task import LoopingCall

from benchmarks.measuring import IMPOSSIBLE, execute, say
from tests.alerts import panels
from tests.alerts.causes import SCENES
from tests.alerts.stage import Stage
from txcarp.testbed import Testbed

#: Seconds of quiet before the first cause.
_QUIET = 20.0


async def _tried(reactor: Any, options: argparse.Namespace) -> int:
    names = dict.fromkeys(["calm", *(options.scenes or SCENES)])
    with Testbed.create() as testbed, tempfile.TemporaryDirectory(prefix="alerts-") as directory:
        stage = Stage(reactor, testbed, Path(directory))
        try:
            scenes = [SCENES[name](stage) for name in names]
            say(f"{len(stage.hosts)} hosts start")
            await stage.begin({name: role for one in scenes for name, role in one.roles.items()})
            say(f"all is well; no alert may fire for {_QUIET:.0f} s")
            begin = time.time()
            await stage.healthy(_QUIET)
            watch = LoopingCall(stage.look, "calm")
            watch.start(1.0)
            turns = DeferredSemaphore(options.at_once)
            await gatherResults(
                [
                    turns.run(lambda one=one: Deferred.fromCoroutine(one.play()))
                    for one in scenes
                ],
                consumeErrors=True,
            )
            watch.stop()
            wrong = [f"false alarm: {one}" for one in stage.false]
            if not options.scenes:
                missing = set(stage.prometheus.names) - {one.alert for one in stage.seen}
                wrong += [f"{alert} was not provoked" for alert in sorted(missing)]
                wrong += panels.ask(stage.prometheus, begin, time.time())
        finally:
            stage.end()
    _table(stage)
    wrong += [
        f"{one.alert} did not {'fire' if one.fired is None else 'end'}"
        for one in stage.seen
        if one.fired is None or one.ended is None
    ]
    for line in wrong:
        say(line)
    return 1 if wrong else 0


def _table(stage: Stage) -> None:
    order = stage.prometheus.names
    print(f"{'alert':26} {'cause':56} {'fires after':>11} {'ends after':>11}")
    for one in sorted(stage.seen, key=lambda seen: order.index(seen.alert)):
        times = ("never" if each is None else f"{each:.1f} s" for each in (one.fired, one.ended))
        print(f"{one.alert:26} {one.cause:56} {' '.join(f'{each:>11}' for each in times)}")


def main() -> None:
    """
    Try the alerts.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.alerts", description=__doc__)
    parser.add_argument(
        "scenes", nargs="*", metavar="SCENE", help=f"one of {', '.join(SCENES)}; all by default"
    )
    parser.add_argument("--at-once", type=int, default=4, metavar="N", help="scenes at a time")
    options = parser.parse_args()
    if unknown := set(options.scenes) - set(SCENES):
        parser.error(f"{', '.join(sorted(unknown))}: expected some of {', '.join(SCENES)}")
    if shutil.which("prometheus") is None:
        say("tests.alerts: prometheus is not installed: 'apt-get install prometheus'")
        sys.exit(IMPOSSIBLE)
    execute("tests.alerts", lambda reactor: _tried(reactor, options))


if __name__ == "__main__":
    main()
