"""
Warnings at the start about what would show only at the first takeover.
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
    Warn about settings that are possible, but are mistakes as a rule.  Blocks for the duration of
    a few system calls.
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
            "{source} is not an address of this host now. If another host of the group has it, the "
            "two ignore each other's advertisements and both become master: give each host its "
            "own address (-s, --srcip)",
            source=textOf(source),
        )


def _cannotRun(path: str) -> str:
    """
    The reason why a file cannot be run; an empty string if there seems to be none.
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
    Whether this host has an IPv4 address.  Where sockets may be bound to foreign addresses
    (net.ipv4.ip_nonlocal_bind), every address seems to be one of this host.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as probe:
            probe.bind((socket.inet_ntoa(address), 0))
    except OSError:
        return False
    return True
