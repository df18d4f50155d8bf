"""
A virtual host as a Twisted service.
"""

from __future__ import annotations

from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.change import Drained, NotDrained
from txcarp.checks.health import HealthCheck, admit
from txcarp.configuration.difference import Changed
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import (
    IAdvertisementTransport,
    IDiagnosisObserver,
    IMastershipObserver,
    IMastershipStep,
    IOccurrenceObserver,
    IPlatform,
    ISetMember,
    ITrace,
)
from txcarp.membership.demotions import changeDemotion
from txcarp.membership.memory import Drain, newMemory
from txcarp.membership.participation import Participation
from txcarp.membership.parts import Additions, Parts
from txcarp.membership.portrait import explanationOf, statusOf
from txcarp.membership.ready import UntilReady
from txcarp.network.attachment import Attachment
from txcarp.protocol.actor import Actor
from txcarp.protocol.demotion import FULL_DEMOTION, DemotionLedger
from txcarp.protocol.effects import Role
from txcarp.protocol.events import (
    Claimed,
    Demoted,
    DrainAsked,
    Promoted,
    Reconfigured,
    ResignAsked,
    ResumeAsked,
)
from txcarp.protocol.family import Family
from txcarp.protocol.periods import Period
from txcarp.status.explanation import Explanation
from txcarp.status.snapshot import Status

#: Seconds of the longest drain that ends by itself.
LONGEST_DRAIN = 366 * 86400.0


class VirtualHost(Service):
    """
    This host's membership in one group: a set of hosts that share addresses.

    Its L{Memory} lives as long as this object.  While it is running it also has a
    L{Participation}, which is made anew for each run.

    @ivar configuration: The present configuration.
    """

    _log = Logger()

    def __init__(self, configuration: VirtualHostConfiguration, platform: IPlatform) -> None:
        """
        @param platform: The machine to run on.  Its owner opens and closes it.
        """
        self.configuration = configuration
        self.setName(configuration.name)  # type: ignore[no-untyped-call]
        self._platform = platform
        self._memory = newMemory(platform.clock, configuration, platform.wallSeconds)
        self._added = Additions()
        self._sockets = Attachment(platform.network)
        self._run: Participation | None = None
        #: This virtual host in its set; C{None} if it belongs to none.
        self._member: ISetMember | None = None
        self._leaving = False
        self._stopped: list[Deferred[None]] = []

    @property
    def role(self) -> Role:
        """
        The present role of this host in the group.
        """
        return Role.INIT if self._parts is None else self._parts.role

    def status(self) -> Status:
        """
        Return the present state of this virtual host as one value.
        """
        own, memory = self.configuration, self._memory
        return statusOf(own, self._platform, memory, self._parts, self._member)

    def periods(self) -> tuple[Period, ...]:
        """
        Return who was master when, as this host saw it, the present period at the end.
        """
        return self._memory.chronicle.timeline.now()

    def explain(self) -> Explanation:
        """
        Explain why this host is master or is not.
        """
        return explanationOf(self.status(), self._memory, self._parts)

    @property
    def _ledger(self) -> DemotionLedger:
        return DemotionLedger(self._memory.demotions) if self._parts is None else self._parts.ledger

    def logStatus(self) -> None:
        """
        Log the state of this virtual host in a few lines.  See L{Status.lines}.
        """
        for line in self.status().lines():
            self._log.info("{line}", line=line)

    # Requests.

    def demote(
        self, reason: str, amount: int = FULL_DEMOTION, actor: Actor | None = None
    ) -> None:
        """
        Make this host less preferred for a reason, until L{promote} is called with it.  A
        master advertises the change at once, and hands over to a better host.

        @param reason: The name of the reason, which log lines and the status show.
        @param amount: What to add to the demotion.  It raises the skew to 240 at most.  With
            OpenBSD's rules it is sent in a field of its own, as 255 at most.
        @param actor: Who asks for it, for the log and the history; C{None} for the program.
        @raise ValueError: If the amount is not from -255 to 255, or there are too many
            reasons.
        """
        self._ledger.check(reason, amount)
        self._changeDemotion(Demoted(reason, amount, actor))
        self._memory.demotions[reason] = amount

    def promote(self, reason: str, actor: Actor | None = None) -> None:
        """
        Clear a reason for demotion.  It is no error if the reason is not set.

        @param actor: Who asks for it; C{None} for the program.
        """
        self._changeDemotion(Promoted(reason, actor))
        self._memory.demotions.pop(reason, None)

    def _changeDemotion(self, event: Demoted | Promoted) -> None:
        if self._run is not None:
            self._run.tell(event)
        else:
            own, memory = self.configuration, self._memory
            changeDemotion(self._ledger, own, memory.chronicle, event)

    def claim(self, actor: Actor | None = None) -> None:
        """
        Become master now, unless this host is held back from the election.  A better master
        takes over again when it hears this one.

        @param actor: Who asks for it; C{None} for the program.
        """
        if self._active is not None:
            self._active.tell(Claimed(actor))

    def resign(self, actor: Actor | None = None) -> None:
        """
        Hand over, if this host is master, and stay out of the election for a while so that
        another host can take over.  Afterwards this host may preempt it, if configured to.

        @param actor: Who asks for it; C{None} for the program.
        """
        if self._active is not None:
            self._active.tell(ResignAsked(actor))

    def drain(
        self,
        seconds: float | None = None,
        anyway: bool = False,
        actor: Actor | None = None,
    ) -> Deferred[Drained]:
        """
        Take this host out of the election, for example to work on it.

        A master bows out, and goes on answering until its successor has taken over.  If no host
        does within L{SUCCESSION<txcarp.mastership.handover.SUCCESSION>} seconds, it takes the
        group back.  A backup stays out if it hears a master.  A drained host that is drained again
        gets another end.

        @param seconds: For how long; C{None} until L{resume} is called.
        @param anyway: Whether this host stays out even if no other host is master.
        @param actor: Who asks for it; C{None} for the program.
        @return: Fires when this host is out of the election and has released everything that
            belongs to mastership.  Fails with L{NotDrained} if it takes part as before.  Cancelling
            ends the waiting, and not the drain.
        @raise ValueError: If the seconds are not more than 0, and at most L{LONGEST_DRAIN}.
        """
        if seconds is not None and not 0 < seconds <= LONGEST_DRAIN:
            raise ValueError(
                f"a drain lasts more than 0 and at most {LONGEST_DRAIN:.0f} s, not {seconds} s"
            )
        until = None if seconds is None else self._platform.clock.seconds() + seconds
        if self._active is not None:
            return self._active.parts.draining.drain(DrainAsked(until, anyway, actor))
        if self.running or not anyway:
            words = f"{self.configuration.display} does not take part in its group at the moment."
            return fail(NotDrained("stopped", words))
        self._memory.setDrain(Drain(until, actor))
        return succeed(Drained(""))

    def resume(self, actor: Actor | None = None) -> Deferred[None]:
        """
        End a drain.  It is no error if this host is not drained.

        @param actor: Who asks for it; C{None} for the program.
        @return: Fires when this host takes part in the election again.
        """
        if self._active is not None:
            return self._active.parts.draining.resume(ResumeAsked(actor))
        self._memory.setDrain(None)
        return succeed(None)

    def settled(self) -> Deferred[None]:
        """
        Wait until everything is acquired or released that belongs to the present role.
        """
        return succeed(None) if self._parts is None else self._parts.mastership.settled()

    def forget(self, source: bytes) -> bool:
        """
        Forget that a host seals its advertisements.  If the platform has a state store, its
        L{forget<txcarp.interfaces.IStateStore.forget>} does so, and saves it.

        @param source: The packed source address of the host.
        @return: Whether that was known.
        """
        seals = self._memory.seals
        return seals is not None and seals.freshness.forget(source)

    def reconfigure(
        self,
        configuration: VirtualHostConfiguration,
        actor: Actor | None = None,
        *,
        anew: bool = False,
    ) -> Deferred[None]:
        """
        Replace the configuration.  Settings that are live (L{txcarp.configuration.difference.LIVE})
        change at once.  For others, a running virtual host leaves its group and joins it again;
        what it knows about the group is kept.

        @param actor: Who asks for it; C{None} for the program.
        @param anew: Whether a running virtual host leaves its group in any case.
        @return: Fires when it takes part with the new configuration, or when it is stopped.
            Fails with C{OSError} if its sockets cannot be opened; it takes no part then.
        @raise ValueError: If the interface or the number is another one: that is another
            virtual host.
        """
        if configuration.name != self.configuration.name:
            raise ValueError(
                f"virtual host {self.configuration.name} cannot become "
                f"{configuration.name}: its interface and vhid cannot change"
            )
        changed = Changed(self.configuration, configuration)
        self.configuration = configuration
        self._memory.chronicle.adopt(configuration)
        if not self.running:
            return succeed(None)
        if self._active is not None and changed.isLive and not anew:
            if changed.settings:
                self._active.tell(Reconfigured(changed.values))
            return succeed(None)
        return self._leave(actor)  # the next run begins with the new configuration

    def whileMaster(self, service: IService, *, required: bool = True) -> None:
        """
        Run a service only while this host is master.  It is started once the addresses are
        usable, and has stopped before they are removed.

        @param required: Whether this host must not be master if the service does not start.
        @raise RuntimeError: If this virtual host is running.
        """
        from txcarp.mastership.services import ServiceStep

        self.addStep(ServiceStep(service, required=required))

    def whenMaster(self) -> Deferred[None]:
        """
        Wait until this host is master and has acquired everything that belongs to that: the
        addresses, scripts and services.  It may be master no longer when a program acts on that:
        what must run only on the master belongs to L{whileMaster}.

        @return: Fires at once if that is so now, and otherwise the next time, over any number of
            stops and starts.  It can be cancelled.
        """
        if self._isReady():
            return succeed(None)
        return UntilReady(self._added.observers, self._isReady).done

    def _isReady(self) -> bool:
        return self._parts is not None and self._parts.isReady

    def addStep(self, step: IMastershipStep, *, beforeAddresses: bool = False) -> None:
        """
        Add a step of becoming master.

        @param beforeAddresses: Whether it comes before the addresses; otherwise it comes last.
        @raise RuntimeError: If this virtual host is running.
        """
        if self.running:
            raise RuntimeError(f"virtual host {self.name} is running: add steps before it starts")
        (self._added.before if beforeAddresses else self._added.after).append(step)

    def addCheck(self, check: HealthCheck) -> None:
        """
        Run a health check from now on, besides those of the configuration.  A running virtual
        host takes a new check for good until it has failed often enough.

        @raise ValueError: If a setting of the check is wrong, or a check has this name.
        """
        admit(check, [one.name for one in (*self.configuration.checks, *self._added.checks)])
        self._added.checks.append(check)
        self._checksChanged()

    def removeCheck(self, name: str) -> None:
        """
        Undo L{addCheck}.

        @raise ValueError: If no check with this name was added.
        """
        for one in self._added.checks:
            if one.name == name:
                self._added.checks.remove(one)
                self._checksChanged()
                return
        raise ValueError(f"no check {name!r} was added")

    def _checksChanged(self) -> None:
        if self._active is not None:
            self._active.tell(Reconfigured(()))

    def addObserver(self, observer: IMastershipObserver) -> None:
        """
        Report each change of role to an observer from now on.  If it provides
        L{IReadinessObserver<txcarp.interfaces.IReadinessObserver>}, it also gets to know when the
        change is carried out.
        """
        self._added.observers.append(observer)

    def removeObserver(self, observer: IMastershipObserver) -> None:
        """
        Undo L{addObserver}.

        @raise ValueError: If the observer was not added.
        """
        self._added.observers.remove(observer)

    def addOccurrenceObserver(self, observer: IOccurrenceObserver) -> None:
        """
        Report whatever happens to this virtual host to an observer from now on.
        """
        self._memory.chronicle.observers.append(observer)

    def removeOccurrenceObserver(self, observer: IOccurrenceObserver) -> None:
        """
        Undo L{addOccurrenceObserver}.

        @raise ValueError: If the observer was not added.
        """
        self._memory.chronicle.observers.remove(observer)

    def addDiagnosisObserver(self, observer: IDiagnosisObserver) -> None:
        """
        Report each problem between the hosts of the group to an observer from now on.
        """
        self._added.diagnosisObservers.append(observer)

    def removeDiagnosisObserver(self, observer: IDiagnosisObserver) -> None:
        """
        Undo L{addDiagnosisObserver}.

        @raise ValueError: If the observer was not added.
        """
        self._added.diagnosisObservers.remove(observer)

    def join(self, member: ISetMember | None) -> None:
        """
        Belong to a set of virtual hosts from now on.

        @param member: This virtual host in the set; C{None} for no set.
        """
        self._member = member
        if member is not None and self._parts is not None:
            member.began(self._parts)

    def follow(self, trace: ITrace | None) -> None:
        """
        Report each event and effect to this trace alone from now on; C{None} for no trace.
        """
        self._added.trace = trace
        if self._parts is not None:
            self._parts.candidate.trace = trace

    # Service.

    def privilegedStartService(self) -> None:
        """
        Open the sockets.

        @raise txcarp.MissingCapability: If this process may not open them.
        @raise txcarp.AlreadyRunning: If another process on this host runs this virtual host.
        """
        self._attach()

    def startService(self) -> None:
        """
        Take part in the group.
        """
        if self.running:
            return
        if self._run is None:
            self._attach()  # first, because it may fail
        Service.startService(self)
        if self._run is None:  # otherwise the next run begins when this one has ended
            self._begin()

    def stopService(self) -> Deferred[None]:
        """
        Leave the group.

        @return: Fires when everything that belongs to mastership is released.
        """
        Service.stopService(self)
        if self._run is None:
            self._sockets.detach()
            return succeed(None)
        return self._leave().addErrback(lambda failure: None)  # of a start in the meantime

    @property
    def _parts(self) -> Parts | None:
        """
        The parts of the present run.
        """
        return None if self._run is None else self._run.parts

    @property
    def _active(self) -> Participation | None:
        """
        The present run, unless it is leaving.
        """
        return None if self._leaving else self._run

    def _begin(self) -> None:
        own, memory, transports = self.configuration, self._memory, self._attach()
        self._run = Participation(own, self._platform, transports, memory, self._added)
        if self._member is not None:
            self._member.began(self._run.parts)
        self._run.start()

    def _leave(self, actor: Actor | None = None) -> Deferred[None]:
        """
        End the present run.

        @return: Fires when it has ended, and the next one has begun if this service is running.
            Fails if the next one could not begin.
        """
        stopped: Deferred[None] = Deferred()
        self._stopped.append(stopped)
        if self._run is None:
            self._left(None)
        elif not self._leaving:
            self._leaving = True
            self._sockets.markLeaving(not self.running)
            self._run.stop(actor).addCallback(self._left)
        return stopped

    def _left(self, result: None) -> None:
        self._run = None
        self._leaving = False
        if self._member is not None:
            self._member.ended()
        stopped, self._stopped = self._stopped, []
        outcome: Failure | None = None
        if self.running:
            # The sockets are still open: the privileges to open them may be gone.
            try:
                self._sockets.markLeaving(False)
                self._begin()
            except Exception:
                outcome = Failure()
                self._log.failure("{name} could not be started again", outcome, name=self.name)
        else:
            self._sockets.detach()
        for one in stopped:
            one.callback(outcome)

    def _attach(self) -> dict[Family, IAdvertisementTransport]:
        return self._sockets.attach(self.configuration, isUsed=self._run is not None)
