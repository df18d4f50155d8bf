"""
The virtual hosts of one process as a Twisted service.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from functools import partial
from typing import Any

from twisted.application.service import MultiService, Service
from twisted.internet.defer import (
    Deferred,
    DeferredList,
    DeferredSemaphore,
    gatherResults,
    inlineCallbacks,
    maybeDeferred,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from txcarp.change import Drained, NotDrained
from txcarp.configuration.difference import difference
from txcarp.configuration.model import SyncSettings, VirtualHostConfiguration
from txcarp.interfaces import IOccurrenceObserver, IPlatform
from txcarp.membership.observers import tellAll
from txcarp.occurrences import Occurrence, OccurrenceKind
from txcarp.platform import LinuxPlatform
from txcarp.protocol.actor import Actor
from txcarp.protocol.effects import Role
from txcarp.sets.member import Member
from txcarp.sets.syncgroup import SyncGroup
from txcarp.virtualhost import VirtualHost

#: The most unchanged groups that the log names.  Hundreds of lines would make advertisements late.
_NAMED = 20

#: The most masters, or sets of them, that leave at the same time.  A successor needs about a
#: millisecond for each, and gets 50 ms after its first advertisement
#: (L{txcarp.mastership.handover.FOLLOW}).
_LEAVING = 50


class CARPService(MultiService):
    """
    Several virtual hosts that share one platform: clock, sockets, netlink and state file.

    Any Twisted application can run it::

        service = CARPService([VirtualHostConfiguration(...)])
        service.setServiceParent(application)

    Nothing is opened before L{privilegedStartService} or L{startService}, so the process can
    still fork after the service is made.
    """

    _log = Logger()

    def __init__(
        self,
        configurations: Iterable[VirtualHostConfiguration],
        *,
        stateFile: str | None = None,
        platform: IPlatform | None = None,
    ) -> None:
        """
        @param stateFile: The file that keeps over a restart what replayed advertisements are
            recognised by; C{None} for none.  Not used if a platform is given.
        @param platform: The platform; by default this Linux host and the global reactor.
        @raise ValueError: If two virtual hosts have the same interface and vhid, or two members
            of a set have different settings of it.
        """
        MultiService.__init__(self)
        self._observers: list[IOccurrenceObserver] = []
        self._sets: dict[str, SyncGroup] = {}
        self._members: dict[VirtualHost, Member] = {}
        self.platform: IPlatform = platform or LinuxPlatform(stateFile=stateFile)
        for configuration in _byName(configurations).values():
            self._add(configuration)

    @property
    def virtualHosts(self) -> list[VirtualHost]:
        """
        The virtual hosts, in the order in which they were added.
        """
        return [service for service in self.services if isinstance(service, VirtualHost)]

    def addVirtualHost(self, configuration: VirtualHostConfiguration) -> VirtualHost:
        """
        Add a virtual host.  If this service is running, the virtual host takes part in its
        group at once.

        @raise ValueError: If a virtual host with this interface and vhid already exists, or its
            set has other settings.
        @raise OSError: If this process may not open the sockets.  The virtual host is not
            added then.
        """
        _byName([*(host.configuration for host in self.virtualHosts), configuration])
        return self._add(configuration)

    def removeVirtualHost(self, host: VirtualHost) -> Deferred[None]:
        """
        Remove a virtual host.  If it is running, it leaves its group first.

        @return: Fires when the virtual host has left.
        @raise ValueError: If the virtual host does not belong to this service.
        """
        if host not in self.virtualHosts:
            raise ValueError(f"virtual host {host.name} does not belong to this service")
        self._arrange(one for one in self.virtualHosts if one is not host)
        return maybeDeferred(host.disownServiceParent)

    def reconfigure(
        self, configurations: Iterable[VirtualHostConfiguration], actor: Actor | None = None
    ) -> Deferred[None]:
        """
        Replace the configurations of all virtual hosts.  Those that are missing are removed,
        and new ones are added.  Those whose configuration has changed are changed as by
        L{VirtualHost.reconfigure}.  The others are not disturbed.

        @param actor: Who asks for it, for the history; C{None} for the program.
        @return: Fires when all of that is done.  Fails with C{OSError} if a virtual host that had
            to leave its group could not join it again; it takes no part then.
        @raise ValueError: If two virtual hosts have the same interface and vhid, or two members
            of a set have different settings of it.  Nothing is changed then.
        @raise OSError: If this process may not open the sockets of a new virtual host.  Nothing is
            changed then.
        """
        wanted = _byName(configurations)
        present = {host.configuration.name: host for host in self.virtualHosts}
        changes = difference((one.configuration for one in present.values()), wanted.values())
        added = self._opened(changes.added)
        for line in changes.lines(_NAMED):
            self._log.info("Configuration: {line}", line=line)
        # From here on nothing can be refused any more.
        for kind, some in (
            (OccurrenceKind.REMOVED, changes.removed),
            (OccurrenceKind.ADDED, changes.added),
        ):
            for one in some:
                self._tell(kind, one, actor)
        # A virtual host leaves its set before anything else happens to it, because the set would do
        # the same.
        self._arrange(one for one in present.values() if _staysInSet(one, wanted))
        # If one of these raises, the others are done all the same, and the result says so.
        calls: list[Callable[[], Any]] = [
            *(present[one.name].disownServiceParent for one in changes.removed),
            *(
                partial(
                    present[one.after.name].reconfigure, one.after, actor, anew=not one.isLive
                )
                for one in changes.changed
            ),
            *(partial(host.setServiceParent, self) for host in added),
        ]
        done = [maybeDeferred(call) for call in calls]
        self._arrange(self.virtualHosts)
        everything = gatherResults(done, consumeErrors=True)
        return everything.addCallbacks(lambda _: None, lambda failure: failure.value.subFailure)

    def addOccurrenceObserver(self, observer: IOccurrenceObserver) -> None:
        """
        Report whatever happens to the virtual hosts, and to those that are added later, to an
        observer from now on.
        """
        self._observers.append(observer)
        for host in self.virtualHosts:
            host.addOccurrenceObserver(observer)

    def removeOccurrenceObserver(self, observer: IOccurrenceObserver) -> None:
        """
        Undo L{addOccurrenceObserver}.

        @raise ValueError: If the observer was not added.
        """
        self._observers.remove(observer)
        for host in self.virtualHosts:
            host.removeOccurrenceObserver(observer)

    def report(self, occurrence: Occurrence) -> None:
        """
        Report something that happened to all groups to the observers.
        """
        tellAll(
            self._observers,
            lambda observer: observer.occurred(occurrence),
            "occurrences",
            occurrence.vhid,
            occurrence.interface,
        )

    def _tell(
        self, kind: OccurrenceKind, one: VirtualHostConfiguration, actor: Actor | None
    ) -> None:
        """
        Report that a virtual host is added or removed.
        """
        group, what = one.title or one.name, f"group {kind.value}"
        facts = kind, group, one.interface, one.vhid, "reconfigured", what
        self.report(Occurrence(*facts, "the configuration has changed", actor))

    def drain(
        self,
        seconds: float | None = None,
        anyway: bool = False,
        actor: Actor | None = None,
    ) -> Deferred[dict[str, Drained | NotDrained]]:
        """
        Take this host out of the election of all groups.  See L{VirtualHost.drain}.

        @return: Fires with what has become of each virtual host, by its name: those that are not
            drained take part as before.  Does not fail.
        """
        hosts = self.virtualHosts
        names = [host.configuration.name for host in hosts]
        drains: list[Deferred[Drained | NotDrained]] = [
            host.drain(seconds, anyway, actor).addErrback(_notDrained) for host in hosts
        ]
        return gatherResults(drains).addCallback(lambda found: dict(zip(names, found, strict=True)))

    def resume(self, actor: Actor | None = None) -> Deferred[None]:
        """
        End the drains of all groups.  See L{VirtualHost.resume}.

        @return: Fires when this host takes part in all elections again.
        """
        done = gatherResults([host.resume(actor) for host in self.virtualHosts])
        return done.addCallback(lambda _: None)

    def _opened(self, configurations: Iterable[VirtualHostConfiguration]) -> list[VirtualHost]:
        """
        Make virtual hosts, and open their sockets if this service is running.

        @raise OSError: If one could not be opened.  None is open then.
        """
        hosts: list[VirtualHost] = []
        try:
            for configuration in configurations:
                hosts.append(VirtualHost(configuration, self.platform))
                for observer in self._observers:
                    hosts[-1].addOccurrenceObserver(observer)
                if self.running:
                    hosts[-1].privilegedStartService()
        except BaseException:
            for host in hosts:
                host.stopService()
            raise
        return hosts

    def privilegedStartService(self) -> None:
        """
        Open everything that needs privileges.

        @raise txcarp.MissingCapability: If this process may not open it.
        @raise txcarp.AlreadyRunning: If another process on this host runs one of the virtual
            hosts.
        """
        self.platform.open()
        MultiService.privilegedStartService(self)

    def startService(self) -> None:
        """
        Take part in all groups.
        """
        self.platform.open()
        MultiService.startService(self)
        self._arrange(self.virtualHosts)

    @inlineCallbacks
    def stopService(self) -> Generator[Deferred[Any], Any, None]:
        """
        Leave all groups.

        Of many masters, some leave after others have left, so that their successor can keep up.
        The members of a set leave together.

        @return: Fires when everything that belongs to mastership is released, and the
            platform is closed.
        """
        self._dissolve()
        Service.stopService(self)
        others: list[Any] = []
        together: dict[object, list[VirtualHost]] = {}
        for one in self:
            if isinstance(one, VirtualHost) and one.role is Role.MASTER:
                together.setdefault(one.configuration.sync or one, []).append(one)
            else:
                others.append(one)
        places = DeferredSemaphore(_LEAVING)
        leaving = [places.run(self._leave, hosts) for hosts in together.values()]
        leaving += [maybeDeferred(one.stopService) for one in others]
        yield DeferredList(leaving)
        if not self.running:  # it may have been started again meanwhile
            yield self.platform.close()

    def _leave(self, hosts: Iterable[VirtualHost]) -> Deferred[Any] | None:
        """
        Have virtual hosts leave their groups, unless this service was started again meanwhile.
        """
        if self.running:
            return None
        return DeferredList([maybeDeferred(host.stopService) for host in hosts])

    def _dissolve(self) -> None:
        """
        Have no sets.  All virtual hosts leave now, each in its own way.
        """
        for group in self._sets.values():
            group.dissolve()
        self._sets.clear()
        for host in self._members:
            host.join(None)
        self._members.clear()

    def _add(self, configuration: VirtualHostConfiguration) -> VirtualHost:
        [host] = self._opened([configuration])
        host.setServiceParent(self)  # type: ignore[no-untyped-call]
        self._arrange(self.virtualHosts)
        return host

    def _arrange(self, hosts: Iterable[VirtualHost]) -> None:
        """
        Have the sets that these virtual hosts belong to, and no others, if this service is running.
        """
        hosts = list(hosts) if self.running else []
        before, self._members = self._members, {}
        sets: dict[SyncSettings, dict[str, Member]] = {}
        for host in hosts:
            own = host.configuration
            if own.sync is not None:
                member = self._members[host] = before.get(host) or Member(self.platform.clock)
                member.adopt(own)
                sets.setdefault(own.sync, {})[own.name] = member
        for settings in sets:
            self._sets.setdefault(settings.name, SyncGroup(settings, self.platform.clock))
        names = [settings.name for settings in sets]
        for name in [name for name in self._sets if name not in names]:
            self._sets.pop(name).dissolve()
        for host, member in self._members.items():
            if host not in before:
                host.join(member)
        for settings, members in sets.items():
            self._sets[settings.name].arrange(settings, members)
        for host in before:
            if host not in self._members:
                host.join(None)


def _notDrained(failure: Failure) -> NotDrained:
    failure.trap(NotDrained)
    assert isinstance(failure.value, NotDrained)
    return failure.value


def _byName(
    configurations: Iterable[VirtualHostConfiguration],
) -> dict[str, VirtualHostConfiguration]:
    """
    @raise ValueError: If two configurations have the same name, or two of one set have different
        settings of it.
    """
    found: dict[str, VirtualHostConfiguration] = {}
    sets: dict[str, SyncSettings] = {}
    for configuration in configurations:
        name = configuration.name
        if name in found:
            raise ValueError(
                f"two virtual hosts have vhid {configuration.vhid} on {configuration.interface}"
            )
        found[name] = configuration
        if (sync := configuration.sync) is not None and sets.setdefault(sync.name, sync) != sync:
            raise ValueError(f"the members of set {sync.name} have different settings of it")
    return found


def _staysInSet(host: VirtualHost, wanted: dict[str, VirtualHostConfiguration]) -> bool:
    """
    Whether a virtual host remains in the set to which it belongs.
    """
    before, after = host.configuration, wanted.get(host.configuration.name)
    return (
        before.sync is not None
        and after is not None
        and after.sync is not None
        and after.sync.name == before.sync.name
    )
