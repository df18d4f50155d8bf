"""
Opening sockets that need a capability, and whether this process has it.
"""

from __future__ import annotations

import contextlib
import errno
import socket

from txcarp.netlink.blocking import BlockingNetlink
from txcarp.netlink.requests import delAddress
from txcarp.protocol.advertisement import PROTOCOL

#: What is read of one packet; an advertisement has 56 bytes, or 76 with an
#: IPv6 header, and IPv4 options at most 40 more.
MAXIMUM_PACKET = 2048

#: How many packets wait in the kernel at most, about.
RECEIVE_BUFFER = 128 * 1024

#: Packets that are read before the reactor has its next turn.  A flood must not
#: keep every timer waiting.
PACKETS_A_TURN = 64

#: An index that no interface has.
_NO_INTERFACE = 0


class MissingCapability(PermissionError):
    """
    This process may not do what an IP failover program does.
    """

    def __init__(self, what: str, capability: str, number: int = errno.EPERM) -> None:
        """
        @param what: What it wanted to do.
        @param capability: What it lacks for that.
        @param number: What the kernel said, an C{errno}.
        """
        super().__init__(
            number,
            f"cannot {what}: this process lacks the capability {capability}. Run it as "
            "root, or grant it (systemd: AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN; "
            "without: setpriv --reuid USER --regid GROUP --init-groups "
            "--inh-caps=+net_raw,+net_admin --ambient-caps=+net_raw,+net_admin COMMAND)",
        )
        self.what = what
        self.capability = capability


def openSocket(family: int, kind: int, protocol: int, what: str) -> socket.socket:
    """
    A socket that never blocks, and that no child process gets.

    @param what: What an error calls it.
    @raise MissingCapability: If this process may not have it.
    """
    try:
        return socket.socket(
            family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol
        )
    except PermissionError as error:
        raise MissingCapability(
            f"open {what}", "CAP_NET_RAW", error.errno or errno.EPERM
        ) from None


def discardWaiting(sock: socket.socket) -> None:
    """
    Throw away what came in before the filter was there.
    """
    with contextlib.suppress(OSError):
        while True:
            sock.recv(1)


def checkCapabilities(assign: bool = False) -> None:
    """
    Find out now whether the sockets can be opened later.  Blocks for the time
    of a system call.

    @param assign: Whether addresses are to be added, too.
    @raise MissingCapability: If not; its text says what to do.
    """
    missing = []
    checks = [_checkSockets, _checkAdministration] if assign else [_checkSockets]
    for check in checks:
        try:
            check()
        except MissingCapability as error:
            missing.append(error)
    if missing:
        raise MissingCapability(
            " and ".join(error.what for error in missing),
            " and ".join(error.capability for error in missing),
            missing[0].errno or errno.EPERM,
        )


def _checkSockets() -> None:
    for opened in (
        openSocket(socket.AF_INET, socket.SOCK_RAW, PROTOCOL, "a raw socket"),
        openSocket(socket.AF_PACKET, socket.SOCK_RAW, 0, "a packet socket"),
    ):
        opened.close()


def _checkAdministration() -> None:
    """
    Ask for something impossible: the kernel looks at the right to ask first.
    That says more than the list of capabilities of this process, which may be
    for a user namespace that the network does not belong to.
    """
    with BlockingNetlink() as netlink:
        try:
            netlink.request(delAddress(_NO_INTERFACE, b"\x7f\0\0\1", 32))
        except PermissionError:
            raise MissingCapability("add addresses (--assign)", "CAP_NET_ADMIN") from None
        except OSError:
            return  # ENODEV
