"""
What a virtual host remembers from one run to the next.
"""

from __future__ import annotations

from collections import Counter, deque

import attrs

from txcarp.change import Change
from txcarp.findings import Finding
from txcarp.logs.limits import SayOnce
from txcarp.membership.peers import Peers
from txcarp.protocol.freshness import Freshness
from txcarp.protocol.rejection import Rejection
from txcarp.protocol.seal import Ticks

#: How many changes of role are remembered.
CHANGES = 10


@attrs.define
class SealMemory:
    """
    What was sealed and heard.

    @ivar ticks: The ticks of this host.
    @ivar freshness: What was heard, and what that says about the next advertisement.
    @ivar reserved: The tick up to which the state store allows ticks to be used.
    """

    ticks: Ticks
    freshness: Freshness
    reserved: int


@attrs.define
class Memory:
    """
    The part of a virtual host that lives on when it is stopped and started again, perhaps
    with another configuration.

    @ivar limits: Limits how often each log line is written.
    @ivar seals: What was sealed and heard; C{None} before the first run.
    @ivar peers: The other hosts.
    @ivar demotions: The reasons for a demotion that an operator or another program gave,
        with their amounts.
    @ivar received: How many good advertisements were heard.
    @ivar sent: How many advertisements left.
    @ivar sendErrors: How many advertisements did not leave.
    @ivar rejected: How many packets were refused, by reason.
    @ivar findings: How often each fault of the group was seen.
    @ivar changes: The last changes of role, each with its moment in seconds of the
        program's clock.
    """

    limits: SayOnce
    seals: SealMemory | None = None
    peers: Peers = attrs.field(factory=Peers)
    demotions: dict[str, int] = attrs.field(factory=dict)
    received: int = 0
    sent: int = 0
    sendErrors: int = 0
    rejected: Counter[Rejection] = attrs.field(factory=Counter)
    findings: Counter[Finding] = attrs.field(factory=Counter)
    changes: deque[tuple[float, Change]] = attrs.field(
        factory=lambda: deque(maxlen=CHANGES)
    )
