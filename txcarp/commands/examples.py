"""
An example of each command, for its help.
"""

from __future__ import annotations

from collections.abc import Mapping

#: What somebody wants, and the command line for it.  Commands that are missing have examples in
#: their own help.
EXAMPLES: Mapping[str, tuple[str, str]] = {
    "check": (
        "Find the mistakes in a file before it is used",
        "txcarp check /etc/txcarp/txcarp.toml",
    ),
    "confirm": ("Keep what 'txcarp reload --confirm' has changed", "txcarp confirm"),
    "convert": (
        "Replace keepalived",
        "txcarp convert keepalived /etc/keepalived/keepalived.conf > txcarp.toml",
    ),
    "demo": ("See a take-over without a terminal", "txcarp demo --once"),
    "demote": (
        "Make this host less preferred while it is upgraded",
        "txcarp demote web upgrade 50",
    ),
    "drain": (
        "Have the other hosts serve all groups for ten minutes",
        "txcarp drain --all --for 10m",
    ),
    "explain": ("Find out why this host is not master", "txcarp explain web"),
    "forget": ("Believe a host that runs ucarp now", "txcarp forget 10.1.1.2"),
    "promote": ("End that demotion", "txcarp promote web upgrade"),
    "reload": (
        "Change the configuration, for good only if 'txcarp confirm' follows",
        "txcarp reload --confirm 2m",
    ),
    "resume": ("Take part in all groups again", "txcarp resume --all"),
    "status": ("Follow two groups", "txcarp status web dns --watch"),
    "takeover": ("Become master of a group", "txcarp takeover web"),
}


def withExample(command: str, epilog: str) -> str:
    """
    The last part of the help of a command.

    @param epilog: What its own module has.
    """
    if command not in EXAMPLES:
        return epilog
    purpose, line = EXAMPLES[command]
    return f"{purpose}:\n\n  {line}\n\n{epilog}"
