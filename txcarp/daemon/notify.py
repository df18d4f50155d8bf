"""
What is told to the service manager that started this process (sd_notify(3)).
"""

from __future__ import annotations

import socket
import time
from collections.abc import MutableMapping
from contextlib import suppress


class Notifier:
    """
    Tells the service manager about this process.  It does nothing if there is no service manager
    that listens, and never waits for it.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        """
        @param environment: Has the address of the service manager's socket (C{NOTIFY_SOCKET}).  It
            is removed, so that scripts of this process do not speak for it.
        """
        address = environment.pop("NOTIFY_SOCKET", "")
        #: A name that begins with C{@} is in the abstract namespace.
        self._address = "\0" + address[1:] if address.startswith("@") else address

    @property
    def listens(self) -> bool:
        """
        Whether there is a service manager that listens.
        """
        return bool(self._address)

    def tell(self, *assignments: str) -> None:
        """
        Send one message.

        @param assignments: Its lines, such as C{READY=1}.  They are for the manager: none of them
            may have a line break.
        """
        if not self._address:
            return
        # A message that does not leave is lost.  The service manager has limits for those that it
        # waits for.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
            connection.setblocking(False)
            connection.sendto("\n".join(assignments).encode(), self._address)

    def reloading(self) -> None:
        """
        Say that the configuration is read again.  L{ready} ends this.
        """
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.tell("RELOADING=1", f"MONOTONIC_USEC={now}")

    def ready(self) -> None:
        """
        Say that this process does its work.
        """
        self.tell("READY=1")
