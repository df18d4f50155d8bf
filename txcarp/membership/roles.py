"""
Changes of role: described, logged, remembered and reported to observers.
"""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from txcarp.addresses import textOf
from txcarp.change import Change, Readiness
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IMastershipObserver, IReadinessObserver
from txcarp.membership.memory import CHANGES, Memory
from txcarp.membership.observers import tellAll
from txcarp.occurrences import OccurrenceKind
from txcarp.protocol.actor import Actor
from txcarp.protocol.effects import ChangeRole, Reason, Role
from txcarp.protocol.timing import Peer

#: The line that ucarp logs after a change, for some reasons.
_UCARP_WORDS = {
    Reason.PREEMPTION: "Putting MASTER down - preemption",
    Reason.SLOW_MASTER: "Putting MASTER DOWN (going to time out)",
    Reason.PREFERRED_MASTER: "Preferred master advertised: going back to BACKUP state",
}


class Roles:
    """
    Describes, logs and remembers changes of role, and calls the observers.
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
        @param observers: Called with each change.  The caller may change the list.
        """
        self._clock = clock
        self._memory = memory
        self._observers = observers
        self.adopt(configuration)

    def adopt(self, configuration: VirtualHostConfiguration) -> None:
        """
        Describe changes by other settings.
        """
        self._configuration = configuration
        self._addresses = tuple(address.text for address in configuration.addresses)
        self._deadTime = configuration.dialect.deadTime(
            configuration.timing, configuration.deadRatio
        )

    def change(self, effect: ChangeRole, previous: Role) -> Change:
        """
        Describe a change of role that the election decided.
        """
        configuration, peer = self._configuration, effect.peer
        detail = effect.detail
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
            actor=effect.actor,
        )

    def log(self, change: Change) -> None:
        """
        Log a change.
        """
        self._log.warn(
            "Switching to state: {role} ({why}; {title}vhid {vhid} on {interface})",
            role=change.role.value,
            why=change.explain(),
            title=f"{title}, " if (title := self._configuration.title) else "",
            vhid=change.vhid,
            interface=change.interface,
            change=change,
        )
        words = _UCARP_WORDS.get(change.reason)
        if words is not None:
            self._log.warn(words)

    def logReassertion(self, peer: Peer) -> None:
        """
        Log, at most once a minute, that a less preferred master claims the addresses.
        """
        if self._memory.limits.ready("reassert") is not None:
            self._log.warn(
                "Non-preferred master advertising: reasserting control of VIP with another "
                "gratuitous arp (peer {peer})",
                peer=textOf(peer.source),
            )

    def logSleep(self, seconds: float) -> None:
        """
        Log, at most once a minute, that this backup did not run.

        @param seconds: For how long, at least.
        """
        if self._memory.limits.ready("slept") is not None:
            self._log.warn(
                "This backup did not run for at least {seconds:.3f} s and may have missed "
                "advertisements, so it waits for its whole dead time of {wait:.3f} s again (vhid "
                "{vhid} on {interface}). Check whether the machine was suspended or overloaded",
                seconds=seconds,
                wait=self._deadTime,
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )

    def stopping(self, role: Role, actor: Actor | None = None) -> Change:
        """
        Describe the change to L{Role.INIT}, and report it.

        @param role: The role until now.
        @param actor: Who asked for it; C{None} if nobody did.
        """
        if role is Role.MASTER:
            self._log.warn(
                "Stopping: bowing out as master (vhid {vhid} on {interface})",
                vhid=self._configuration.vhid,
                interface=self._configuration.interface,
            )
        change = self.change(ChangeRole(Role.INIT, Reason.STOPPED, actor=actor), role)
        self.notify(change)
        return change

    def notify(self, change: Change) -> None:
        """
        Remember a change, and call the observers.
        """
        changes = self._memory.changes
        changes.append((self._clock.seconds(), change))
        del changes[:-CHANGES]
        chronicle = self._memory.chronicle
        chronicle.timeline.roleChanged(change)
        if chronicle.observers:
            chronicle.changed(change)
        if self._observers:  # the daemon has none
            tellAll(
                self._observers,
                lambda observer: observer.roleChanged(change),
                "role changes",
                change.vhid,
                change.interface,
            )

    def notifyReadiness(
        self, change: Change, readiness: Readiness, failed: Sequence[str] = ()
    ) -> None:
        """
        Call the observers that want to know how far this host is with a change.

        @param failed: The names of the steps that failed.
        """
        complete = (
            f"everything that belongs to this master is there, except its {' and '.join(failed)}"
            if failed
            else "everything that belongs to this master is there"
        )
        if readiness is Readiness.READY:
            self._log.info(
                "This master is ready, {seconds:.3f} s after it took over: {complete} "
                "(vhid {vhid} on {interface})",
                complete=complete,
                seconds=self._clock.seconds() - self._memory.changes[-1][0],
                vhid=change.vhid,
                interface=change.interface,
            )
        chronicle = self._memory.chronicle
        if chronicle.observers:
            chronicle.note(
                OccurrenceKind.READINESS,
                readiness.value,
                f"{readiness.value} what belongs to mastership"
                if readiness is not Readiness.READY
                else complete,
            )
        if self._observers:
            ready = [one for one in self._observers if IReadinessObserver.providedBy(one)]
            tellAll(
                ready,
                lambda observer: observer.readinessChanged(change, readiness),
                "role changes",
                change.vhid,
                change.interface,
            )

