"""
What a change of role is made of, as steps, scripts, observers and log lines
are told it.
"""

from __future__ import annotations

import attrs

from txcarp.protocol.election import Reason, Role


@attrs.frozen
class Change:
    """
    A virtual host got another role.

    @ivar role: What it is now.
    @ivar previous: What it was.
    @ivar reason: Why.
    @ivar vhid: The virtual host.
    @ivar interface: The name of its interface.
    @ivar addresses: Its addresses as they were written.
    @ivar peer: The address of the host whose advertisement led to it, or an
        empty string.
    @ivar detail: More about the reason, for people; may be empty.
    """

    role: Role
    previous: Role
    reason: Reason
    vhid: int
    interface: str
    addresses: tuple[str, ...]
    peer: str = ""
    detail: str = ""

    def explain(self) -> str:
        """
        The reason in one phrase for a log line.
        """
        words = self.reason.value
        if self.detail:
            words += f" ({self.detail})"
        if self.peer:
            words += f", peer {self.peer}"
        return words
