"""
What the election would decide between this host and another one.

The election itself is asked, so that an explanation cannot differ from what will happen.
"""

from __future__ import annotations

import attrs

from txcarp.protocol import effects, events
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.election import BACKUP, MASTER, Standing
from txcarp.protocol.timing import Peer


@attrs.frozen
class Comparison:
    """
    This host compared with another one that advertises.

    @ivar yields: Whether this host, as master, leaves the group to the other one.
    @ivar takesOver: Why this host, as backup, takes over from the other one when it hears it;
        C{None} if it does not.
    @ivar patience: Seconds of silence of the other one after which this host takes over.
    """

    yields: bool
    takesOver: Reason | None
    patience: float


def compare(standing: Standing, peer: Peer) -> Comparison:
    """
    Ask the election about a host that advertises.

    @param standing: The present facts about this host.
    @param peer: What the other host advertises.
    """
    heard = events.Heard(peer=peer)
    asMaster, _ = MASTER.decide(standing, heard)
    _, asBackup = BACKUP.decide(standing, heard)
    reasons = [
        effect.reason
        for effect in asBackup
        if isinstance(effect, effects.ChangeRole) and effect.role is Role.MASTER
    ]
    return Comparison(
        yields=asMaster.role is not Role.MASTER,
        takesOver=reasons[0] if reasons else None,
        patience=standing.patience(peer),
    )
