"""
What an administrator should know at the start, not at the first take-over.
"""

from __future__ import annotations

import os
import socket

from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.configuration.model import VirtualHostConfiguration

_log = Logger()


def warn(configuration: VirtualHostConfiguration) -> None:
    """
    Warn about what can be meant as it is, but seldom is.  Blocks for the time
    of a few system calls.
    """
    for name, path in (("up", configuration.upScript), ("down", configuration.downScript)):
        problem = path and _cannotRun(path)
        if problem:
            _log.warn(
                "The {name} script {path} cannot be run: {problem}",
                name=name,
                path=path,
                problem=problem,
            )
    source = configuration.source
    if source is not None and not _isHere(source):
        _log.warn(
            "{source} is not an address of this host now. If it is another host's in this group, "
            "both do not hear each other, and both become master (-s, --srcip)",
            source=textOf(source),
        )


def _cannotRun(path: str) -> str:
    """
    Why a file cannot be run; an empty string if it looks as if it can.
    """
    try:
        os.stat(path)
    except (OSError, ValueError) as error:
        return getattr(error, "strerror", None) or str(error)
    if not os.path.isfile(path):
        return "it is not a file"
    return "" if os.access(path, os.X_OK) else "it is not executable"


def _isHere(address: bytes) -> bool:
    """
    Whether an IPv4 address is one of this host.  Where anything may be bound
    (net.ipv4.ip_nonlocal_bind), it seems so.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
            probe.bind((socket.inet_ntoa(address), 0))
    except OSError:
        return False
    return True
