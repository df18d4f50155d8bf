"""
A program with a virtual host that its standard input controls, for tests of the library.

Its arguments are those of C{txcarp}.  Each line that it reads is the name of a method of
L{VirtualHost} and its arguments: C{demote}, C{promote}, C{claim} or C{resign}.
"""

from __future__ import annotations

import sys

from twisted.internet import reactor
from twisted.internet.stdio import StandardIO
from twisted.logger import globalLogBeginner
from twisted.protocols.basic import LineReceiver

from txcarp.configuration.ucarp import read
from txcarp.logs import TerminalObserver, filtered
from txcarp.service import CARPService
from txcarp.virtualhost import VirtualHost


class Steering(LineReceiver):
    """
    Calls the methods that the lines name.
    """

    delimiter = b"\n"

    def __init__(self, virtualHost: VirtualHost) -> None:
        self._virtualHost = virtualHost

    def lineReceived(self, line: bytes) -> None:
        """
        See L{LineReceiver}.
        """
        match line.decode().split():
            case "demote", reason, amount:
                self._virtualHost.demote(reason, int(amount))
            case "promote", reason:
                self._virtualHost.promote(reason)
            case ("claim",):
                self._virtualHost.claim()
            case ("resign",):
                self._virtualHost.resign()
            case words:
                raise ValueError(f"unknown command: {words}")


def main() -> None:
    """
    Run until a signal ends the process.
    """
    terminal = filtered(TerminalObserver(), lambda: False)
    globalLogBeginner.beginLoggingTo([terminal], redirectStandardIO=False)
    line = read(sys.argv[1:])
    service = CARPService(line.configurations, stateFile=line.stateFile)
    service.privilegedStartService()
    service.startService()
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    StandardIO(Steering(service.virtualHosts[0]))
    reactor.run()


if __name__ == "__main__":
    main()
