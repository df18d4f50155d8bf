"""
C{txcarp events}: what happens to the groups of a running process, as it happens.

rich is imported only for a terminal.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from textwrap import wrap
from typing import Any

from txcarp.commands.asking import EXIT_STATUS, REFUSED, asked, clientOf, parserFor
from txcarp.operate.client import NoDaemon
from txcarp.screen.output import Output

_DESCRIPTION = """\
Show what happens to the groups that txcarp runs, as it happens: changes of
role, holds, demotions, results of health checks, problems. The present state
of each group comes first. Ctrl-C ends it."""

_EPILOG = f"""\
Feed another program with one object for each event:

  txcarp events --json | jq -r 'select(.event == "transition") | .text'

{EXIT_STATUS}"""

#: Seconds until the next attempt to reach a txcarp that was reached before.
_AGAIN = 1.0

#: Columns of the text, and those by which an event goes on in the next line.
_WIDTH, _INDENT = 80, 16

#: Events that are good or bad news, besides transitions and checks.
_STYLES = {
    "hold": "bad",
    "two-masters": "bad",
    "finding": "notice",
    "lease-lost": "bad",
    "lagging": "bad",
    "demotion": "notice",
    "release": "good",
}


class _Gone(Exception):
    """
    The output is not written any more.

    @ivar hasFailed: Whether that is for another reason than that nobody reads it.
    """

    def __init__(self, hasFailed: bool) -> None:
        super().__init__()
        self.hasFailed = hasFailed


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp events}.

    @param arguments: The command line after C{events}.
    @return: The exit status.
    """
    parser = parserFor("events", _DESCRIPTION, _EPILOG, reads=True)
    parser.add_argument("groups", metavar="GROUP", nargs="*", help="only these groups")
    parser.add_argument("--json", action="store_true", help="print one JSON object per line")
    parser.add_argument(
        "--no-reconnect",
        action="store_true",
        help="exit when txcarp ends; by default, wait until it is there again",
    )
    options = parser.parse_args(arguments)
    try:
        return asked("events", lambda: _follow(options))
    except KeyboardInterrupt:
        return 0
    except _Gone as gone:
        return REFUSED if gone.hasFailed else 0


def _follow(options: Any) -> int:
    client, show = clientOf(options), _printer(options.json)
    last, isReached = "", False
    while True:
        try:
            for event in client.events(options.groups, last):
                last, isReached = event["id"] or last, True
                show(event)
            ending = "txcarp has ended the connection"
        except NoDaemon as error:
            if options.no_reconnect or not (isReached or last):
                raise
            ending = str(error)
        if options.no_reconnect:
            return 0
        if isReached:
            print(f"txcarp events: {ending}; trying again until it answers", file=sys.stderr)
        isReached = False
        time.sleep(_AGAIN)


def _printer(asJSON: bool) -> Callable[[dict[str, Any]], None]:
    """
    What shows an event on standard output.
    """

    def gone() -> None:
        raise _Gone(output.hasFailed)

    output = Output(sys.stdout, "txcarp events", gone)
    if asJSON:
        return lambda event: output.write(json.dumps(event, ensure_ascii=False) + "\n")
    if not output.hasColour:
        return lambda event: output.write("".join(f"{one}\n" for one in lines(event)))
    from rich.text import Text

    from txcarp.screen.live import consoleOn

    console = consoleOn(output)

    def show(event: dict[str, Any]) -> None:
        for one in lines(event):
            console.print(Text(one, styleOf(event)), soft_wrap=True)

    return show


def lines(event: dict[str, Any]) -> list[str]:
    """
    An event for people; no lines for one that is only for programs.
    """
    if event["event"] == "listening" or event["reason"] in ("acquiring", "releasing"):
        return []
    moment = event["time"]
    clock = time.strftime("%H:%M:%S", time.localtime(moment))
    head = f"{clock}.{int(moment * 1000) % 1000:03}  {event['group'] or '-':<8}  "
    # A check may have quoted what a server sent.
    said = "".join(one if one.isprintable() else " " for one in head + event["text"])
    return wrap(said, _WIDTH, subsequent_indent=" " * _INDENT, break_on_hyphens=False)


def styleOf(event: dict[str, Any]) -> str:
    """
    The style of an event on a terminal.
    """
    kind = event["event"]
    if kind in ("transition", "state") and event["role"] == "MASTER":
        return "good"
    if kind == "check":
        return "good" if event["reason"] == "good" else "bad"
    return _STYLES.get(kind, "plain")
