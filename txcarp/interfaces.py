"""
The interfaces of txcarp.

Each implementation can be replaced: by a test, for another operating system, or by a program
that embeds virtual hosts.  All interfaces are in this one module, although it is long,
because together they are the outline of the program.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime

    from txcarp.addresses import Holding, VirtualAddress
    from txcarp.bequest import Bequest
    from txcarp.change import Change, FileStatus, Readiness, ReloadResult, ScriptResult
    from txcarp.findings import Diagnosis
    from txcarp.links import InterfaceAddress, Link
    from txcarp.occurrences import Occurrence
    from txcarp.protocol.actor import Actor
    from txcarp.protocol.effects import Effect
    from txcarp.protocol.envelope import Packet
    from txcarp.protocol.events import Event
    from txcarp.protocol.family import Family
    from txcarp.protocol.sealstate import SealState
    from txcarp.status.parts import SyncStatus
    from txcarp.status.process import GuardStatus, PlatformStatus


class IAdvertisementTransport(Interface):
    """
    Sends and receives the advertisements of one virtual host in one family.
    """

    def deliverTo(receiver: IPacketReceiver | None) -> None:
        """
        Replace the receiver of the packets of this virtual host.

        @param receiver: The receiver; C{None} to drop the packets.
        """

    def send(packet: bytes) -> None:
        """
        Send an IP packet to the destination in its header: the group, or one peer.

        @raise OSError: If the kernel refuses it.
        """

    def parcel(packet: bytes) -> tuple[int, bytes, bytes] | None:
        """
        Return what L{send} would send, for another process: the index of the interface, the
        destination, and what to send to it, as for L{IWill.beat}; C{None} if the interface is
        missing.
        """

    def admitRouted(peers: Collection[bytes]) -> None:
        """
        Deliver packets that come through routers from some packed addresses.  Others with a lower
        hop limit than that of an advertisement need not be delivered, except a few for the
        diagnosis.  None are admitted at first.
        """

    def linkLocals() -> Sequence[bytes]:
        """
        Return the packed IPv6 link-local addresses that packets can come from, the best ones
        first.  One is left out while the kernel checks whether another host has it.
        """

    def isLocal(address: bytes) -> bool:
        """
        Whether packets to a packed address that arrive on the interface are for this host.
        """

    def isSwitchedOff() -> bool:
        """
        Whether an administrator switched this family off on the interface.
        """

    def hears() -> bool:
        """
        Whether packets of the group can arrive.  They cannot while the interface is missing,
        or the kernel refuses a socket.
        """

    def hasUnread() -> bool:
        """
        Whether packets have arrived that the reactor has not read.
        """

    def readUnread() -> None:
        """
        Deliver the packets that have arrived now, without waiting for the reactor.  In a flood,
        a limited number of them is delivered.
        """

    def whyDropped(source: bytes) -> str:
        """
        Explain, as a sentence for a log line, why the kernel may drop packets from a packed
        address that no firewall drops; empty if it passes them.
        """

    def watchFront(wanted: bool, missing: Collection[bytes] = ()) -> None:
        """
        Set whether packets are also reported before the firewall filters them
        (L{IPacketReceiver.packetFiltered}).  When many packets pass the firewall, some of those are
        not reported.

        @param missing: Packed addresses whose packets do not pass the firewall.  These are always
            reported.
        """


class IPacketReceiver(Interface):
    """
    Receives the packets of one virtual host.
    """

    def packetReceived(packet: Packet) -> None:
        """
        Handle a packet, of either family, with the vhid of this virtual host.
        """

    def packetFiltered(packet: Packet) -> None:
        """
        Handle a packet seen in front of the firewall.  The raw socket, behind the firewall,
        may get it as well, before or after this, or never.
        """

    def transportChanged() -> None:
        """
        Handle that a transport of one of the families may now answer otherwise: whether it
        hears, has link-local addresses or a local address, or is switched off.
        """


class INetwork(Interface):
    """
    The network of this host, for advertisements and announcements.
    """

    def attach(
        interface: str,
        vhid: int,
        group: bytes,
        broadcast: bool,
        hardware: bytes | None,
    ) -> IAdvertisementTransport:
        """
        Receive the advertisements of a group on an interface, multicast and unicast.  They
        are dropped until L{IAdvertisementTransport.deliverTo} is called.

        @param interface: The name of the interface; it need not exist yet.
        @param vhid: The virtual host ID, 1 to 255.
        @param group: The packed address that advertisements are sent to.  Its family is that
            of the transport.
        @param broadcast: Whether to send packets for the group to the Ethernet broadcast
            address.
        @param hardware: The Ethernet address to send from; C{None} for the interface's own.
        @raise ValueError: If this virtual host is already attached in this family, or elsewhere
            in this process.
        @raise OSError: If this process may not open the sockets.
        @raise txcarp.AlreadyRunning: If another process on this host has this virtual host.
        """

    def detach(interface: str, vhid: int) -> None:
        """
        Undo L{attach} in all families; no packet is delivered after this.
        """

    def markLeaving(interface: str, vhid: int, leaving: bool) -> None:
        """
        Let other processes know whether an attached virtual host will soon be detached, so that
        one that starts the same virtual host waits for that.
        """

    def announcer(interface: str, hardware: bytes | None) -> IAnnouncer:
        """
        Make an announcer for an interface with an attached virtual host.

        @param hardware: The Ethernet address to announce; C{None} for the interface's own.
        """


class IAnnouncer(Interface):
    """
    Tells the neighbours on one interface that an address has moved.
    """

    def announce(address: bytes) -> None:
        """
        Send one gratuitous ARP packet or unsolicited neighbour advertisement for a packed
        address.

        @raise OSError: If the kernel refuses it.
        """


class ILinkObserver(Interface):
    """
    Observes the state of one link.
    """

    def linkChanged(name: str, link: Link | None) -> None:
        """
        Handle that the link of this name appeared, changed or was replaced, or that no link
        has this name any more (C{None}).
        """


class ILinkMonitor(Interface):
    """
    Follows the state of all network interfaces.
    """

    def watch(name: str, observer: ILinkObserver) -> None:
        """
        Report the present state of a link to an observer, and every change after it.
        """

    def unwatch(name: str, observer: ILinkObserver) -> None:
        """
        Undo L{watch}.
        """

    def known() -> Deferred[None]:
        """
        Wait until the present links are known.
        """

    def link(name: str) -> Link | None:
        """
        Return the present state of a link; C{None} if no interface has this name.
        """


class IAddressObserver(Interface):
    """
    Observes the kernel's events about all addresses of this host.
    """

    def addressChanged(address: InterfaceAddress, present: bool) -> None:
        """
        Handle that an address was added or changed, or (C{present} is false) removed.
        """

    def addressesUncertain() -> None:
        """
        Handle that events were lost.  Only a new list of the addresses is reliable.
        """

    def ipv6Changed(index: int) -> None:
        """
        Handle that the kernel begins to do IPv6 on an interface, or that a setting of IPv6
        changed there.
        """


class IAddressTable(Interface):
    """
    Adds and removes the addresses of this host.  An implementation may use the kernel, or
    the API of a cloud that moves addresses between machines.
    """

    def watch(interface: str, addresses: Collection[bytes], observer: ILeaseObserver) -> None:
        """
        Report to an observer which of these packed addresses on an interface are lost.
        """

    def unwatch(interface: str, observer: ILeaseObserver) -> None:
        """
        Undo L{watch}.
        """

    def holding(interface: str, address: VirtualAddress) -> Holding:
        """
        Return which program, if any, added an address to an interface.
        """

    def isElsewhere(interface: str, address: VirtualAddress) -> bool:
        """
        Whether another program, such as another txcarp, added an address to another interface of
        this host.  The host may then answer for the address on all interfaces.
        """

    def known() -> Deferred[None]:
        """
        Wait until the present addresses are known.
        """

    def hold(
        interface: str, addresses: Sequence[VirtualAddress], lease: int | None, routed: bool
    ) -> Deferred[None]:
        """
        Add addresses, or renew them.  IPv4 addresses that come before an address of the
        host's own in its network are moved behind it, without being absent.

        @param lease: Seconds until the kernel removes the addresses, unless this is called
            again before; C{None} for never.
        @param routed: Whether to route the networks of the addresses through this interface.
        @return: Fires when the interface has all of them; fails with C{OSError} otherwise.
        """

    def drop(interface: str, addresses: Sequence[VirtualAddress]) -> Deferred[None]:
        """
        Remove those of the addresses that this program added, except those that an observer
        on this interface holds now: another group has them.  An address that is already gone is no
        error.  Call this only after L{known} has fired.
        """


class IConnections(Interface):
    """
    The TCP connections of this host.
    """

    def reset(addresses: Sequence[bytes], index: int | None) -> Deferred[int]:
        """
        End the connections with these packed local addresses, and reset their peers.  Sockets
        that listen stay.  The kernel can tell the peers only while this host has the addresses.

        @param index: The index of the interface that link-local addresses belong to; C{None} if it
            is unknown.
        @return: Fires with the number of connections; fails with C{OSError} if the kernel refuses.
            It can be cancelled.
        """

    def whyNot() -> Deferred[str]:
        """
        Find out why this host cannot do that.

        @return: Fires with the reason; with an empty string if it can.
        """


class IVirtualInterfaces(Interface):
    """
    Makes interfaces with hardware addresses that move between hosts.
    """

    def create(name: str, parent: str, hardware: bytes, ipv6: bool) -> Deferred[None]:
        """
        Make an interface with its own hardware address on top of another, or take over the
        one that an earlier run of this program left.

        @param ipv6: Whether it will have IPv6 addresses.
        @return: Fires when the interface is up; fails with C{OSError} otherwise.
        """

    def remove(name: str, parent: str) -> Deferred[None]:
        """
        Remove an interface that this program made, in this run or an earlier one, and
        restore the settings that were changed for it.  An interface that is already gone is
        no error.
        """


class ILeaseObserver(Interface):
    """
    Observes the loss of addresses that were held on one interface.
    """

    def holdsAddress(address: bytes) -> bool:
        """
        Whether this observer holds a packed address now, so that nobody else may remove it.
        """

    def addressesGone(addresses: Sequence[bytes]) -> None:
        """
        Handle that these packed addresses were removed, or their lease ended.
        """

    def addressesTaken(addresses: Sequence[bytes]) -> None:
        """
        Handle that another program took these packed addresses over.  The interface still has
        them, but not on lease.
        """

    def addressesPromoted(addresses: Sequence[bytes]) -> None:
        """
        Handle that these packed IPv4 addresses come before an address of the host's own in its
        network.  That address is no longer the source of what the host sends there.
        L{IAddressTable.hold} changes that.
        """

    def addressesPossiblyGone() -> None:
        """
        Handle that events were lost, and the addresses have been listed again.  Ask
        L{IAddressTable.holding} which of the held addresses remain.
        """


class IScriptRunner(Interface):
    """
    Runs the administrator's scripts.
    """

    def run(
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeLimit: float | None,
        *,
        whole: bool = False,
    ) -> Deferred[ScriptResult]:
        """
        Run a script in a process of its own.

        @param path: The path of the script.  Neither a shell nor C{PATH} is used.
        @param arguments: The arguments after the path.
        @param environment: Variables to add to the environment of this process.
        @param timeLimit: Seconds until the script is asked to end (SIGTERM); it is killed
            if it does not.  C{None} for no limit.
        @param whole: Whether the time limit ends the processes that the script has started, too.
        @return: Fires when the process has ended.  Never fails: the result also tells that
            the script could not be started.
        """


    def locate(path: str) -> str | None:
        """
        Return the absolute path of the file that L{run} starts; C{None} if another program cannot
        start it.
        """


class IMastershipStep(Interface):
    """
    A step of becoming master: something that a host acquires when it becomes master, and
    releases when it stops being master.
    """

    name = Attribute("""The name of the step in log lines.""")

    required = Attribute("""Whether a host must not be master if the step fails.""")

    timeLimit = Attribute(
        """Seconds until L{acquire} or L{release} counts as failed: its Deferred is cancelled
        and no longer waited for.  C{None} for no limit."""
    )

    def acquire(change: Change) -> Deferred[None] | None:
        """
        Acquire.

        @return: Fires when the next step can begin; C{None} if it can begin at once.
        """

    def release(change: Change) -> Deferred[None] | None:
        """
        Undo what L{acquire} did, even if it failed or did only a part.

        @return: As for L{acquire}.
        """


class IMastershipObserver(Interface):
    """
    Observes the role of a virtual host.
    """

    def roleChanged(change: Change) -> None:
        """
        Handle a decision of the election.  This is called before any step has run.
        """


class IReadinessObserver(IMastershipObserver):
    """
    Observes, besides the role, when everything that belongs to it is done.  Observers that do
    not provide this interface are told the role alone.
    """

    def readinessChanged(change: Change, readiness: Readiness) -> None:
        """
        Handle that the host has begun or finished to acquire or to release what belongs to
        mastership.  A new master is C{READY} when it has the addresses and has announced them,
        and its scripts and services have started.  A step that fails and is not required does
        not keep it from that.

        A host whose role changes again meanwhile omits the end of what it had begun.

        @param change: The change of role that led to it.  With C{releaseFirst}, a master releases
            everything before its role changes.
        """


class IDiagnosisObserver(Interface):
    """
    Observes problems between the hosts of a group.
    """

    def found(diagnosis: Diagnosis) -> None:
        """
        Handle an occurrence of a problem.  Repetitions are reported, too: in a flood of packets
        this is called for every packet.
        """


class IOccurrenceObserver(Interface):
    """
    Observes whatever happens to virtual hosts, apart from advertisements: changes of role, holds,
    demotions, results of checks, problems.
    """

    def occurred(occurrence: Occurrence) -> None:
        """
        Handle an occurrence.  Problems that are repeated are reported once a minute at most.
        """


class ITrace(Interface):
    """
    Records the events and effects of a virtual host.  Its exceptions are logged, and change
    nothing else.
    """

    def happened(event: Event) -> None:
        """
        Record an event before it is handled.
        """

    def decided(effect: Effect) -> None:
        """
        Record an effect that the election asks for, before it is carried out.
        """


class ICheck(Interface):
    """
    Finds out whether something works that a master needs.
    """

    def run(platform: IPlatform, timeout: float) -> object:
        """
        Find out once whether it works.  This must not block: the reactor waits for it.

        @param platform: The machine that this host runs on.
        @param timeout: Seconds until the run counts as failed.  Its Deferred is cancelled then, and
            can fail with an exception that says what was missing.
        @return: One line about what was found, or C{None}; or a Deferred that fires with that; or
            a coroutine that returns it.  C{False} means that it does not work.
        @raise Exception: If it does not work.  The text of the exception says why.
        """


class ICheckPlugin(Interface):
    """
    Makes health checks of one kind for the configuration file.  Twisted's plugin system finds it in
    C{txcarp/plugins}.
    """

    name: str = Attribute("""What the configuration file calls it.""")

    def make(**arguments: Any) -> ICheck:
        """
        Make a check.

        @param arguments: The table C{arguments} of the file.
        @raise Exception: If they are wrong.
        """


class IWitness(ICheck):
    """
    A check that asks other hosts on the link of a group.  If one of them answers, this host is not
    the one that is cut off.
    """

    addresses: Sequence[bytes] = Attribute(
        """The packed addresses of those that are asked; empty for the next hops of the default
        routes."""
    )

    def on(interface: str, sources: Sequence[bytes]) -> ICheck:
        """
        Return the check for the group of one virtual host.

        @param interface: The interface of the group.
        @param sources: The packed addresses that this host alone has there; may be empty.
        """


class INeighbours(Interface):
    """
    Asks the other hosts on a link, past the kernel's table of neighbours.
    """

    def ask(interface: str, address: bytes, sources: Sequence[bytes]) -> Deferred[bytes]:
        """
        Ask once who has an address, by ARP or neighbour solicitation.  No neighbour learns from
        that where a virtual address is.

        @param interface: The name of an interface with an attached virtual host.
        @param address: The packed address.
        @param sources: The packed addresses that this host alone has on the interface; the question
            comes from one of them if possible.
        @return: Fires with the hardware address that answers.  Fails with C{OSError} if the
            interface goes.  Nothing limits the time: cancel it.
        @raise OSError: If nobody can be asked: the link is down, or the address is one of this
            host.  C{strerror} says why.
        """

    def poll(interface: str, family: Family) -> IPolling:
        """
        Ask neighbours of one family again and again, in the same way as L{ask}.

        @raise OSError: If the interface is missing, or the kernel refuses a socket.
        """

    def gateways(interface: str) -> Deferred[Sequence[bytes]]:
        """
        Find the packed addresses of the next hops of the default routes on an interface, as they
        are now.  Fails with C{OSError} if the kernel does not answer.
        """


class IPolling(Interface):
    """
    Asks neighbours on one interface again and again.  The answers wait until somebody looks.
    """

    isIdle = Attribute("""Whether no address is followed.""")

    def follow(addresses: Iterable[bytes]) -> None:
        """
        Count the answers of some packed addresses, until L{unfollow} is called as often.

        @raise OSError: If there are too many.
        """

    def unfollow(addresses: Iterable[bytes]) -> None:
        """
        Undo L{follow}.
        """

    def ask(address: bytes, sources: Sequence[bytes], to: bytes | None = None) -> None:
        """
        Ask once who has an address.

        @param address: The packed address.
        @param sources: See L{INeighbours.ask}.
        @param to: The hardware address of the only host that is asked; C{None} for all.
        @raise OSError: See L{INeighbours.ask}.
        """

    def refresh() -> None:
        """
        Look again, before the next questions, from which address to ask.
        """

    def read() -> None:
        """
        Take in the answers that have arrived.
        """

    def heard(address: bytes) -> tuple[int, bytes]:
        """
        Return how many answers of a followed address were taken in, and the hardware address of
        the last one, which is empty if there was none.
        """

    def close() -> None:
        """
        End this.
        """


class ISetMember(Interface):
    """
    A virtual host as a member of its set, of which all are master together or none is.
    """

    def began(run: Any) -> None:
        """
        Handle that the virtual host takes part in its group.

        @param run: The parts of the present run (L{txcarp.membership.parts.Parts}).
        """

    def ended() -> None:
        """
        Handle that the virtual host takes no part in its group any more.
        """

    def status() -> SyncStatus | None:
        """
        Return the present state of the set; C{None} if there is none any more.
        """

    # The types of the election (txcarp.protocol.election) are none of other programs' business.
    def decided(state: Any, standing: Any, event: Event, decided: Any) -> Any:
        """
        Let the set agree to a decision of the election (L{txcarp.protocol.election}).

        @param state: The state in which the decision was made.
        @param standing: The facts with which it was made.
        @param event: What it was made about.
        @param decided: The decision of the virtual host alone.
        @return: That decision, or another one if the set does not agree.
        """

    def settle() -> None:
        """
        Have the set do what follows, since a fact about this member may have changed.
        """

    def slept(pause: float) -> None:
        """
        Handle that this master found that this host slept.

        @param pause: The seconds for which it did not run, at least.
        """


class IWill(Interface):
    """
    What a guard does for one virtual host when this process dies or hangs.  It begins anew each
    time that this host becomes master.
    """

    isDeposed = Attribute(
        """Whether the guard has carried the will out although this process lives, so that another
        host is master by now."""
    )

    def begin(bequest: Bequest) -> None:
        """
        Begin a will, in place of one before.

        @param bequest: What to give back.
        """

    def change(bequest: Bequest) -> None:
        """
        Change what L{begin} said.  Does nothing if there is no will.
        """

    def beat(
        expected: float,
        patience: float,
        lasting: float,
        parcels: Sequence[tuple[int, bytes, bytes]],
    ) -> None:
        """
        Hand over a bow-out in place of the one before, and show that this process does not hang.

        @param expected: Seconds until the next sign of life is due.
        @param patience: Seconds until this process counts as hanging.
        @param lasting: Seconds until the bow-out is too old to be sent.
        @param parcels: What to send: for each packet the index of the interface, the destination
            (a packed IP address, an Ethernet address, or nothing for a frame), and the packet.
        """

    def alive(expected: float, patience: float) -> None:
        """
        Show that this process does not hang.  See L{beat} for the parameters.
        """

    def silence() -> None:
        """
        Have no bow-out sent from now on, because this host is not master any more, and do not
        expect signs of life.  The addresses and the script remain.
        """

    def withdraw() -> None:
        """
        End the will, because everything is given back.
        """

    def close() -> None:
        """
        Do what L{withdraw} does, for ever.
        """


class IGuard(Interface):
    """
    Carries out the wills of the virtual hosts of this process when it dies or hangs.
    """

    def will(name: str, lost: Callable[[], None]) -> IWill:
        """
        Make the place for the will of a virtual host.

        @param name: The virtual host, for log lines.
        @param lost: Called when the guard has died.  Another one will take its place.
        @raise OSError: If there are too many.
        """

    def status() -> GuardStatus:
        """
        Return the present state.
        """


class IPlatform(Interface):
    """
    The machine that virtual hosts run on.  All virtual hosts of a process share one.
    """

    clock: IReactorTime = Attribute("""The clock of all timers.""")

    metronome: Any = Attribute(
        """When masters advertise (L{txcarp.clock.metronome.Metronome})."""
    )

    reactor: Any = Attribute(
        """The reactor, for the connections of health checks; C{None} if there is none."""
    )

    links: ILinkMonitor = Attribute("""The network interfaces.""")

    network: INetwork = Attribute("""The network.""")

    neighbours: INeighbours | None = Attribute(
        """The other hosts on each link; C{None} if they cannot be asked."""
    )

    addresses: IAddressTable | None = Attribute(
        """The IP addresses; C{None} if they cannot be changed."""
    )

    virtualInterfaces: IVirtualInterfaces | None = Attribute(
        """Makes interfaces with virtual hardware addresses; C{None} if that is impossible."""
    )

    connections: IConnections | None = Attribute(
        """The TCP connections; C{None} if they cannot be ended."""
    )

    scripts: IScriptRunner = Attribute("""Runs scripts.""")

    store: IStateStore | None = Attribute(
        """Keeps over a restart what replayed advertisements are recognised by; C{None} if
        nothing does."""
    )

    probes: Any = Attribute(
        """Runs the health checks of all virtual hosts (L{txcarp.checks.probes.Probes})."""
    )

    pulses: Any = Attribute(
        """Asks the hosts of masters whether they are there (L{txcarp.checks.pulses.Pulses})."""
    )

    guard: IGuard | None = Attribute(
        """Gives back what this process holds if it dies or hangs; C{None} if nothing does."""
    )

    def status() -> PlatformStatus:
        """
        Return the present state of what all virtual hosts share.
        """

    def pauseSeconds() -> float:
        """
        Return the seconds on a clock that is never set or slewed, and runs while the machine
        sleeps.
        """

    def wallSeconds() -> float:
        """
        Return the seconds since 1970.
        """

    def random(bits: int) -> int:
        """
        Return an unpredictable number with at most so many bits.
        """

    def open() -> None:
        """
        Open whatever is not open.

        @raise OSError: If this process may not open it, or the kernel refuses.
        """

    def close() -> Deferred[None]:
        """
        Close everything.  It can be opened again.

        @return: Fires when that is done.
        """


class IStateStore(Interface):
    """
    Keeps the states of all groups of a process over a restart.  A group is named by
    interface and vhid, as in C{eth0:7}.
    """

    def load(group: str) -> SealState:
        """
        Return the last saved state; an empty one if this group was never saved.

        @raise OSError: If the state cannot be read, or another process uses the file.
        @raise txcarp.state.format.BadState: If the content of the file is invalid.
        """

    def changed(group: str, snapshot: Callable[[], SealState], within: float) -> None:
        """
        Save the state of a group soon, perhaps together with others.  A failure is logged,
        and the state is saved as soon as possible.

        @param snapshot: Returns the state; called when it is written.
        @param within: The time limit in seconds.  Writes are at least a second apart, so that
            0 means at once or with the next write.
        """

    def onForget(group: str, forget: Callable[[bytes], bool]) -> None:
        """
        Set what is called when an operator wants a group to forget that a host seals its
        advertisements.

        @param forget: Is called with the packed address of the host.  Returns whether the group
            knew it, and has the new state saved (L{changed}).
        """

    def forget(address: bytes, group: str | None = None) -> Deferred[list[str]]:
        """
        Forget that a host seals its advertisements.

        @param address: The packed source address of the host.
        @param group: The name of the only group in which to forget it; C{None} for all.
        @return: Fires with the names of the groups that knew it, when that is saved; fails with
            C{OSError} if it cannot be saved.
        """

    def save(group: str, snapshot: Callable[[], SealState]) -> Deferred[None]:
        """
        Save the state of a group now.

        @return: Fires when the state is safe on disk; fails with C{OSError} if it cannot be
            written, or the disk does not answer within some seconds.  The state is then
            saved as soon as possible.
        """

    def close() -> Deferred[None]:
        """
        Save what is pending, and let other processes use the file.  The store can be used
        again afterwards.

        @return: Fires when that is done, has failed, or has taken some seconds.
        """


class IReloader(Interface):
    """
    Reads the configuration file again, on behalf of an operator.
    """

    def reload(
        confirm: float | None = None, actor: Actor | None = None
    ) -> Deferred[ReloadResult]:
        """
        Read the file, and change the virtual hosts to what it says.  If a change is under way,
        the file is read after that.

        @param confirm: Seconds after which the change is undone unless it is confirmed; C{None} if
            it need not be.
        @param actor: Who asks for it; C{None} for the program.
        @return: Fires when all is done; never fails.
        """

    def preview() -> Deferred[ReloadResult]:
        """
        Read the file, and find out what L{reload} would change.

        @return: Fires with that; never fails.
        """

    def confirm() -> ReloadResult:
        """
        Keep the change that waits for this.

        @return: What has changed since the last configuration that needed no confirmation; or the
            error that no change waits.
        """

    def status() -> Deferred[FileStatus]:
        """
        Find out whether the file is what runs.

        @return: Fires with that within a second, even if the disk hangs; never fails.
        """
