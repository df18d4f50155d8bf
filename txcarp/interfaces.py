"""
Every interface of txcarp: the whole program on one page.

Whatever stands behind one of these can be replaced, by a test, by another
operating system, or by another program that holds virtual hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IReactorTime

    from txcarp.addresses import Holding, VirtualAddress
    from txcarp.change import Change, ScriptResult
    from txcarp.findings import Diagnosis
    from txcarp.links import InterfaceAddress, Link
    from txcarp.protocol.effects import Effect
    from txcarp.protocol.envelope import Packet
    from txcarp.protocol.events import Event
    from txcarp.protocol.freshness import SealState


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

    def linkLocal() -> bytes:
        """
        Return the packed link-local address from which the kernel would send to the IPv6
        group.

        @raise OSError: If there is none: the interface is down or gone, or the kernel is
            still checking whether another host has the address, or this is a transport of
            IPv4.
        """

    def hears() -> bool:
        """
        Whether packets of the group can arrive.  They cannot while the interface is missing
        or the kernel refuses a socket.
        """

    def hasUnread() -> bool:
        """
        Whether packets have arrived that the reactor has not read.
        """

    def watchFront(wanted: bool) -> None:
        """
        Set whether packets are reported as they arrive in front of the firewall, too
        (L{IPacketReceiver.packetFiltered}).
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
        Handle a packet that was seen in front of the firewall.  The raw socket, behind the
        firewall, never gets it, or has not been read yet.
        """

    def hearingChanged() -> None:
        """
        Handle that L{IAdvertisementTransport.hears} has changed in one of the families.
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
        Join a group on an interface, and receive what peers send to this host alone.
        Packets are dropped until L{IAdvertisementTransport.deliverTo} is called.

        @param interface: The name of the interface; it need not exist yet.
        @param vhid: The number of the virtual host, 1 to 255.
        @param group: The packed address that advertisements are sent to.  Its family is that
            of the transport.
        @param broadcast: Whether to send what is for the group to the Ethernet broadcast
            address.
        @param hardware: The Ethernet address to send from; C{None} for the interface's own.
        @raise ValueError: If this virtual host is already attached in this family.
        @raise OSError: If this process may not open the sockets.
        """

    def detach(interface: str, vhid: int) -> None:
        """
        Undo L{attach} in all families; no packet is delivered after this.
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
        Handle that the link of this name appeared, changed or was made anew, or that no link
        has this name any more (C{None}): it was deleted or renamed.
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
        Handle that events were lost: only a fresh list of the addresses is true.
        """


class IAddressTable(Interface):
    """
    Adds and removes the addresses of this host.  An implementation may use the kernel, or
    the API of a cloud that moves addresses between machines.
    """

    def watch(interface: str, observer: ILeaseObserver) -> None:
        """
        Report to an observer which of the addresses on an interface are lost.
        """

    def unwatch(interface: str, observer: ILeaseObserver) -> None:
        """
        Undo L{watch}.
        """

    def holding(interface: str, address: VirtualAddress) -> Holding:
        """
        Return who added an address to an interface.
        """

    def isElsewhere(interface: str, address: VirtualAddress) -> bool:
        """
        Whether another interface of this host has an address, and another program added it
        there.  The host may then answer for it on all interfaces.
        """

    def known() -> Deferred[None]:
        """
        Wait until the present addresses are known.
        """

    def hold(
        interface: str, addresses: Sequence[VirtualAddress], lease: int | None, routed: bool
    ) -> Deferred[None]:
        """
        Add addresses, or renew them.

        @param lease: Seconds until the addresses vanish by themselves, unless this is called
            again before; C{None} for addresses that stay.
        @param routed: Whether the networks of the addresses are reached by this interface.
        @return: Fires when the interface has all of them; fails with C{OSError} otherwise.
        """

    def drop(interface: str, addresses: Sequence[VirtualAddress]) -> Deferred[None]:
        """
        Remove those of the addresses that this program added.  An address that is already
        gone is no error.  Only call this when L{known} has fired.
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

    def addressesGone(addresses: Sequence[bytes]) -> None:
        """
        Handle that these packed addresses were removed, or their lease ended.
        """

    def addressesTaken(addresses: Sequence[bytes]) -> None:
        """
        Handle that another program made these packed addresses its own.  The interface still
        has them, but not on lease.
        """

    def addressesPossiblyGone() -> None:
        """
        Handle that events were lost, and the addresses were listed again: compare with
        L{IAddressTable.holding} what was held.
        """


class IScriptRunner(Interface):
    """
    Runs the scripts of an administrator as processes.
    """

    def run(
        path: str,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        timeLimit: float | None,
    ) -> Deferred[ScriptResult]:
        """
        Start a program and wait until it ended.

        @param path: The file; neither a shell nor a search path is used.
        @param arguments: What follows the path in argv.
        @param environment: Added to the environment of this process.
        @param timeLimit: Seconds until it is told to end, and a grace later
            is killed; C{None} for no limit.
        @return: Fires when the process is gone, and never fails: a script
            that could not be started is a result too.
        """


class IMastershipStep(Interface):
    """
    One thing that being master means for a host.
    """

    name = Attribute("""What log lines call it.""")

    required = Attribute("""Whether a host where it fails must not be master.""")

    timeLimit = Attribute(
        """Seconds after which it counts as failed and its Deferred is
        cancelled, and waited for no more; C{None} if it ends by itself."""
    )

    def acquire(change: Change) -> Deferred[None] | None:
        """
        Begin.  The next step waits for the Deferred.
        """

    def release(change: Change) -> Deferred[None] | None:
        """
        Undo what L{acquire} did, also where it did only a part.
        """


class IMastershipObserver(Interface):
    """
    Who wants to know when a virtual host changes its role.
    """

    def roleChanged(change: Change) -> None:
        """
        The election decided.  Called at once, before any step has run.
        """


class IDiagnosisObserver(Interface):
    """
    Who wants to know what goes wrong between the hosts of a group.
    """

    def found(diagnosis: Diagnosis) -> None:
        """
        Something was seen, once more or for the first time.  A flood of
        packets may call this as often as it has packets.
        """


class ITrace(Interface):
    """
    Follows what happens to a virtual host, and what it does.
    """

    def happened(event: Event) -> None:
        """
        An event came in by the door.
        """

    def decided(effect: Effect) -> None:
        """
        The election asked for an effect, which is about to be carried out.
        """


class IPlatform(Interface):
    """
    Everything that virtual hosts need of the machine that they run on, made once for all
    of them.
    """

    clock: IReactorTime = Attribute("""The clock of all timers.""")

    links: ILinkMonitor = Attribute("""Knows the interfaces.""")

    network: INetwork = Attribute("""Sends and receives.""")

    addresses: IAddressTable | None = Attribute(
        """Adds and removes addresses; C{None} if this machine cannot."""
    )

    virtualInterfaces: IVirtualInterfaces | None = Attribute(
        """Makes interfaces with virtual hardware addresses; C{None} if this machine cannot."""
    )

    scripts: IScriptRunner = Attribute("""Runs scripts.""")

    store: IStateStore | None = Attribute(
        """Remembers over a restart what replays are told by; C{None} if nothing does."""
    )

    def pauseSeconds() -> float:
        """
        Seconds on a clock that is never set, and that also counts while the machine
        sleeps.
        """

    def wallSeconds() -> float:
        """
        Seconds since 1970.
        """

    def random(bits: int) -> int:
        """
        A random number of so many bits that nobody can foresee.
        """

    def open() -> None:
        """
        Open what needs to be open, if it is not.

        @raise OSError: If this process may not, or the kernel refuses.
        """

    def close() -> Deferred[None]:
        """
        Close it; L{open} may follow.

        @return: Fires when that is done.
        """


class IStateStore(Interface):
    """
    Keeps the seal states of all groups of a process over a restart.  A group is named
    by interface and vhid, as in "eth0:7".
    """

    def load(group: str) -> SealState:
        """
        The state that was saved last; an empty one if this group was never saved.

        @raise OSError: If the state cannot be read, or another process uses the file.
        @raise txcarp.statefile.BadState: If the content of the file makes no sense.
        """

    def changed(group: str, snapshot: Callable[[], SealState], within: float) -> None:
        """
        Save the state of a group within some time, together with others.

        A failure is logged, and the state is saved as soon as that is possible.

        @param snapshot: Returns the state; called when the state is written.
        @param within: Seconds.  Writes are at least a second apart, so that 0 means at
            once or with the next write.
        """

    def save(group: str, snapshot: Callable[[], SealState]) -> Deferred[None]:
        """
        Save the state of a group now.

        @return: Fires when the state is safe on disk; fails with C{OSError} if it cannot
            be written, or the disk does not answer within some seconds.  As with
            L{changed}, it is not given up then.
        """

    def close() -> Deferred[None]:
        """
        Save what is pending, and let other processes use the file.  The store can be used
        again afterwards.

        @return: Fires when that is done, or failed, or takes more than some seconds.
        """
