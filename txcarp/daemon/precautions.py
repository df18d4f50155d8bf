"""
Warnings at the start about what would show only at the first takeover.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

from twisted.logger import Logger

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.mastership.configured import SYSTEMCTL

_log = Logger()


def warn(configuration: VirtualHostConfiguration) -> None:
    """
    Warn about L{badScripts}, and about an interface that is not called by its name.
    """
    for _, text in badScripts(configuration):
        _log.warn("{text}", text=text)
    name = _realName(configuration.interface)
    if name not in ("", configuration.interface):
        _log.warn(
            "{other} is another name of {name}. txcarp waits for an interface that is called "
            "{other}: give it {name}",
            other=configuration.interface,
            name=name,
        )


def badScripts(configuration: VirtualHostConfiguration) -> Iterator[tuple[str, str]]:
    """
    Find scripts and commands that cannot be run.  Blocks for the duration of a few system calls.

    @return: The name of each such setting, and what is wrong.
    """
    for name, path in (("up", configuration.upScript), ("down", configuration.downScript)):
        problem = path and _cannotRun(path)
        if problem:
            yield f"{name}Script", f"The {name} script {path} cannot be run: {problem}"
    for step in configuration.steps:
        systemctl = [SYSTEMCTL] if step.unit else []
        for program in dict.fromkeys((*step.command[:1], *step.undo[:1], *systemctl)):
            if problem := _cannotRun(program):
                yield "steps", f"Step {step.name}: {program} cannot be run: {problem}"


def _realName(interface: str) -> str:
    """
    The name of an interface that may be given by an alternative name; an empty string if there is
    none.
    """
    try:
        return socket.if_indextoname(socket.if_nametoindex(interface))
    except OSError:
        return ""


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
