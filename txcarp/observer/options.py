"""
The command line of C{txcarp observe}.
"""

from __future__ import annotations

import math

from twisted.python import usage

_EXAMPLES = """
Watch two interfaces; on a terminal a table stays up to date below the events:

  txcarp observe -i eth0 -i eth1

See who is there, and go; the exit status says whether anybody is:

  txcarp observe -i eth0 --once 5

Feed another program, which gets one object for each event:

  txcarp observe -i eth0 --json | jq -r 'select(.event == "two-masters")'

Nothing is sent, and no group is joined. A switch with IGMP or MLD snooping may
therefore keep advertisements away from this port: observe on a host that is in
the group, or on a port that gets all multicast. What this machine sends itself
is seen, too, and what its firewall drops.

Needs root or CAP_NET_RAW. Exit status: 0 when ended with Ctrl-C, or after
--once if any group was seen; 1 after --once if none was, or for a wrong command
line; 2 if it cannot listen (no privileges, no such interface).
"""


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < 1e9:
        raise usage.UsageError(f"--once: {text!r} is not a number of seconds")
    return seconds


class ObserveOptions(usage.Options):
    """
    The options.

    @ivar interfaces: The interfaces to listen to, each once.
    """

    synopsis = "Usage: txcarp observe -i INTERFACE [-i INTERFACE ...] [options]"
    longdesc = (
        "Listens to the CARP and VRRP advertisements of a network without taking part, and says "
        "who is master in every group, and what changes."
    )
    optFlags = [["json", None, "one JSON object a line, for programs"]]  # noqa: RUF012
    optParameters = [  # noqa: RUF012
        ["once", None, None, "listen for so many seconds, say what was seen, and exit", _seconds],
    ]

    def __init__(self) -> None:
        usage.Options.__init__(self)
        self.interfaces: list[str] = []

    def opt_interface(self, name: str) -> None:
        """
        listen to this interface; may be given several times
        """
        if name not in self.interfaces:
            self.interfaces.append(name)

    opt_i = opt_interface

    def opt_help(self) -> None:
        """
        print this text and exit
        """
        print(str(self), end="")
        raise SystemExit(0)

    opt_h = opt_help

    def opt_version(self) -> None:
        """
        print the version and exit
        """
        from txcarp import __version__

        print(f"txcarp {__version__}")
        raise SystemExit(0)

    def parseArgs(self, *operands: str) -> None:
        """
        There are none.
        """
        if operands:
            raise usage.UsageError(f"{operands[0]!r} is not expected")

    def postOptions(self) -> None:
        """
        Check what is missing.
        """
        if not self.interfaces:
            raise usage.UsageError("You must supply a network interface (-i)")

    def getUsage(self, width: int | None = None) -> str:
        """
        The help text; Twisted would fill the lines of the examples.
        """
        return str(usage.Options.getUsage(self, width)).rstrip() + "\n" + _EXAMPLES
