"""
Changes of role: what they are made of, and who is told.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.change import Change
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IMastershipObserver
from txcarp.membership.memory import Memory
from txcarp.protocol.effects import ChangeRole, Reason, Role

#: The line that ucarp writes after some changes.
_UCARP_WORDS = {
    Reason.PREEMPTION: "Putting MASTER down - preemption",
    Reason.SLOW_MASTER: "Putting MASTER DOWN (going to time out)",
    Reason.PREFERRED_MASTER: "Preferred master advertised: going back to BACKUP state",
}


class Roles:
    """
    Writes changes of role to the log, remembers them, and tells observers.
    """

    _log = Logger()

    def __init__(
        self,
        configuration: VirtualHostConfiguration,
        clock: IReactorTime,
        memory: Memory,
        observers: Sequence[IMastershipObserver],
    ) -> None:
        """
        @param observers: Are told each change; others may be added to it later.
        """
        self._configuration = configuration
        self._clock = clock
        self._memory = memory
        self._observers = observers
        self._addresses = tuple(address.text for address in configuration.addresses)
        self._deadTime = configuration.dialect.deadTime(
            configuration.timing, configuration.deadRatio
        )

    def change(self, effect: ChangeRole, previous: Role) -> Change:
        """
        An effect of the election with the facts around it.
        """
        configuration, peer = self._configuration, effect.peer
        detail = ""
        if effect.reason is Reason.SILENCE:
            detail = f"{self._deadTime:.3f} s"
        elif effect.reason is Reason.PAUSED:
            detail = f"for {effect.pause:.3f} s"
        elif peer is not None:
            detail = f"advbase {peer.timing.advbase} advskew {peer.timing.advskew}"
            if peer.demotion:
                detail += f" demoted by {peer.demotion}"
        return Change(
            role=effect.role,
            previous=previous,
            reason=effect.reason,
            vhid=configuration.vhid,
            interface=configuration.interface,
            addresses=self._addresses,
            peer=textOf(peer.source) if peer else "",
            detail=detail,
        )

    def log(self, change: Change) -> None:
        """
        Write a change to the log.
        """
        self._log.warn(
            "Switching to state: {role} ({why}; vhid {vhid} on {interface})",
            role=change.role.value,
            why=change.explain(),
            vhid=change.vhid,
            interface=change.interface,
            change=change,
        )
        words = _UCARP_WORDS.get(change.reason)
        if words is not None:
            self._log.warn(words)

    def logStop(self) -> None:
        """
        Write to the log that a master is stopped.
        """
        self._log.warn(
            "Stopping: bowing out as master (vhid {vhid} on {interface})",
            vhid=self._configuration.vhid,
            interface=self._configuration.interface,
        )

    def notify(self, change: Change) -> None:
        """
        Remember a change, and tell the observers.
        """
        self._memory.changes.append((self._clock.seconds(), change))
        for observer in list(self._observers):
            try:
                observer.roleChanged(change)
            except Exception:
                self._log.failure(
                    "An observer of vhid {vhid} on {interface} failed",
                    vhid=change.vhid,
                    interface=change.interface,
                )
