"""
C{txcarp demo}: two hosts share an address on this machine, one of them fails, and one
is stopped.

L{story<txcarp.demo.story>} says what happens in which order,
L{cast<txcarp.demo.cast>} has the hosts, L{witness<txcarp.demo.witness>} is the client
that notices everything, L{display<txcarp.demo.display>} shows it, and
L{command<txcarp.demo.command>} holds them together and tidies up.
"""

from __future__ import annotations

from txcarp.demo.command import main

__all__ = ["main"]
