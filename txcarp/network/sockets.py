"""
Sockets that need a capability, and whether this process has it.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Sequence

from txcarp.netlink.blocking import BlockingNetlink
from txcarp.netlink.requests import delAddress
from txcarp.protocol.advertisement import PROTOCOL

# linux/socket.h, linux/if_packet.h: not in the socket module.
SOL_PACKET = 263
PACKET_IGNORE_OUTGOING = 23

#: Bytes to read of one packet.  An advertisement has 76 with an IPv6 header, and 96 with an
#: IPv4 header and options.
MAXIMUM_PACKET = 2048

#: Bytes that the kernel keeps until they are read: a few hundred advertisements.
RECEIVE_BUFFER = 128 * 1024

_TIMESTAMP = struct.Struct("@ll")

#: Bytes of ancillary data that hold the kernel's timestamp of a packet.
TIMESTAMP_SPACE = socket.CMSG_SPACE(_TIMESTAMP.size)

# asm-generic/socket.h: not in the socket module.
_SO_TIMESTAMPNS = 35

#: Seconds that a packet may have waited to be read.  A longer time means that the wall clock
#: was set meanwhile.
_LONGEST_WAIT = 60.0

#: An index that no interface has.
_NO_INTERFACE = 0


class MissingCapability(PermissionError):
    """
    This process lacks a capability that txcarp needs.

    @ivar what: What the process wanted to do.
    @ivar capability: The capability that it lacks.
    """

    def __init__(self, what: str, capability: str, number: int = errno.EPERM) -> None:
        """
        @param number: The C{errno} of the kernel.
        """
        kind = "capabilities" if " and " in capability else "capability"
        super().__init__(
            number,
            f"cannot {what}: this process lacks the {kind} {capability}. Run it as "
            "root, or grant it (systemd: AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN; "
            "without: setpriv --reuid USER --regid GROUP --init-groups "
            "--inh-caps=+net_raw,+net_admin --ambient-caps=+net_raw,+net_admin COMMAND)",
        )
        self.what = what
        self.capability = capability


def openRawSocket(family: int, kind: int, protocol: int, what: str) -> socket.socket:
    """
    Open a raw IP socket or a packet socket that never blocks and that no child process
    inherits.

    @param what: What an error calls it.
    @raise MissingCapability: If this process may not open it.
    """
    try:
        return socket.socket(
            family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol
        )
    except PermissionError as error:
        raise MissingCapability(
            f"open {what}", "CAP_NET_RAW", error.errno or errno.EPERM
        ) from None


def dropped(interface: str) -> OSError:
    """
    Make the error for a packet that the kernel dropped behind the routing (C{ENOBUFS}).
    """
    return OSError(
        errno.ENOBUFS,
        f"the kernel dropped the packet: the queue of {interface} is full, or an egress rule "
        "(nft, tc) forbids it",
        interface,
    )


def discardReceived(sock: socket.socket) -> None:
    """
    Discard the packets that arrived before a socket had its filter.
    """
    with contextlib.suppress(OSError):
        while True:
            sock.recv(1)


def requestTimestamps(sock: socket.socket) -> None:
    """
    Have the kernel note when each packet arrives, if it can.
    """
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def waited(ancillary: Sequence[tuple[int, int, bytes]], wall: float) -> float:
    """
    Find out how many seconds ago the kernel received a packet.  This process may have been
    busy or stopped since then.

    @param ancillary: The ancillary data of the packet.
    @param wall: The wall clock, in seconds since 1970.
    @return: 0.0 without a usable timestamp.
    """
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS) and len(data) == _TIMESTAMP.size:
            seconds, nanoseconds = _TIMESTAMP.unpack(data)
            wait = wall - seconds - nanoseconds / 1e9
            return wait if 0 <= wait <= _LONGEST_WAIT else 0.0
    return 0.0


def checkCapabilities(assign: bool = False) -> None:
    """
    Find out now whether this process will be able to do its work.  Blocks for a few system
    calls.

    @param assign: Whether it will have to add addresses.
    @raise MissingCapability: If it lacks capabilities; the error names all of them.
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
            " or ".join(error.what for error in missing),
            " and ".join(error.capability for error in missing),
            missing[0].errno or errno.EPERM,
        )


def _checkSockets() -> None:
    """
    Open a raw socket, and request an impossible packet socket: the kernel checks the permission
    first.  To close a possible one would take 10 ms, in which all processors are waited for.
    """
    openRawSocket(socket.AF_INET, socket.SOCK_RAW, PROTOCOL, "a raw socket").close()
    try:
        openRawSocket(socket.AF_PACKET, socket.SOCK_STREAM, 0, "a packet socket").close()
    except OSError as error:
        if isinstance(error, MissingCapability) or error.errno == errno.EAFNOSUPPORT:
            raise


def _checkAdministration() -> None:
    """
    Request something impossible: the kernel checks the permission first.  The capabilities
    of this process say less, as they may be for a user namespace that does not own the
    network namespace.
    """
    with BlockingNetlink() as netlink:
        try:
            netlink.request(delAddress(_NO_INTERFACE, b"\x7f\0\0\1", 32))
        except PermissionError:
            raise MissingCapability("add addresses (--assign)", "CAP_NET_ADMIN") from None
        except OSError:
            return  # ENODEV
