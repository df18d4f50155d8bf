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
    The advertisements of one virtual host in one family, on their way out and in.
    """

    def deliverTo(receiver: IPacketReceiver | None) -> None:
        """
        Give the packets of this virtual host to a receiver from now on, in place of an
        earlier one.

        @param receiver: The receiver; C{None} to drop the packets.
        """

    def send(packet: bytes) -> None:
        """
        Send one IP packet, header included, to where the header says: to the
        group, or to one peer.

        @raise OSError: If the kernel would not take it.
        """

    def linkLocal() -> bytes:
        """
        The packed link-local address that the kernel would send to the IPv6
        group from now.

        @raise OSError: If there is none: the interface is down or gone, or the
            kernel is still looking whether another host has the address, or
            this is not the transport of IPv6.
        """

    def hears() -> bool:
        """
        Whether packets of the group can arrive: not while the interface is
        missing, or the kernel refuses a socket.
        """

    def hasUnread() -> bool:
        """
        Whether packets wait that the reactor has not read yet.
        """

    def watchFront(wanted: bool) -> None:
        """
        Whether packets are to be reported as they arrive in front of the
        firewall, too.
        """


class IPacketReceiver(Interface):
    """
    Takes the packets of one virtual host.
    """

    def packetReceived(packet: Packet) -> None:
        """
        Take a packet of either family that names this virtual host.
        """

    def packetFiltered(packet: Packet) -> None:
        """
        Take a packet that was only seen in front of the firewall: the socket
        that a firewall guards did not get it, or was not read yet.
        """

    def hearingChanged() -> None:
        """
        L{IAdvertisementTransport.hears} gives another answer than before in one
        of the families.
        """


class INetwork(Interface):
    """
    The edge to the kernel, as far as a virtual host sees it.
    """

    def attach(
        interface: str,
        vhid: int,
        group: bytes,
        broadcast: bool,
        hardware: bytes | None,
    ) -> IAdvertisementTransport:
        """
        Take part in a group on an interface, and be reached there by peers.
        Packets are dropped until there is a receiver for them
        (L{IAdvertisementTransport.deliverTo}).

        @param interface: The name of the interface; it need not exist yet.
        @param vhid: The virtual host, 1 to 255.
        @param group: The packed address that advertisements go to, which says
            the family.
        @param broadcast: Send what is for the group to the Ethernet broadcast
            address, whatever the group is.
        @param hardware: The Ethernet address that it comes from; C{None} for
            the card's own.
        @raise ValueError: If this virtual host is attached already in this
            family.
        @raise OSError: If this process may not send and receive.
        """

    def detach(interface: str, vhid: int) -> None:
        """
        Leave again, in all families; nothing is delivered after this.
        """

    def announcer(interface: str, hardware: bytes | None) -> IAnnouncer:
        """
        Who tells the neighbours on an interface where an address is now.

        @param hardware: The Ethernet address to announce; C{None} for the
            card's own.
        """


class IAnnouncer(Interface):
    """
    Tells the neighbours on one interface where an address is now.
    """

    def announce(address: bytes) -> None:
        """
        Send one gratuitous announcement for a packed address.

        @raise OSError: If the kernel would not take it.
        """


class ILinkObserver(Interface):
    """
    Who wants to know about the link of one name.
    """

    def linkChanged(name: str, link: Link | None) -> None:
        """
        The interface of this name appeared, changed, was made anew or is gone
        (C{None}; also when another name was given to it).
        """


class ILinkMonitor(Interface):
    """
    Knows the state of the network interfaces without asking again and again.
    """

    def watch(name: str, observer: ILinkObserver) -> None:
        """
        Tell an observer about every change from now on, the state of now
        first.
        """

    def unwatch(name: str, observer: ILinkObserver) -> None:
        """
        Tell this observer nothing more.
        """

    def link(name: str) -> Link | None:
        """
        What is known now; C{None} if no interface has this name.
        """


class IAddressObserver(Interface):
    """
    Who wants to know about the addresses of this host.
    """

    def addressChanged(address: InterfaceAddress, present: bool) -> None:
        """
        The kernel added, changed or removed an address.
        """

    def addressesUncertain() -> None:
        """
        Messages from the kernel were lost; what is believed must be checked.
        """


class IAddressTable(Interface):
    """
    The addresses of this host.  Behind it may be the kernel, or the interface
    of a cloud that moves addresses between machines.
    """

    def watch(interface: str, observer: ILeaseObserver) -> None:
        """
        Tell an observer about removed addresses from now on.
        """

    def unwatch(interface: str, observer: ILeaseObserver) -> None:
        """
        Tell it nothing more.
        """

    def holding(interface: str, address: VirtualAddress) -> Holding:
        """
        Who put an address where it is now.
        """

    def isElsewhere(interface: str, address: VirtualAddress) -> bool:
        """
        Whether somebody else put an address on another interface of this host,
        which may then answer for it on all of them.
        """

    def known() -> Deferred[None]:
        """
        Wait until what is present is known.
        """

    def hold(
        interface: str, addresses: Sequence[VirtualAddress], lease: int | None, routed: bool
    ) -> Deferred[None]:
        """
        Add addresses, or renew them.

        @param routed: Whether their networks are reached by this interface.
        @param lease: Seconds after which they vanish by themselves unless they
            are held again before; C{None} for addresses that stay.
        @return: Fires when all are there; fails with C{OSError} otherwise.
        """

    def drop(interface: str, addresses: Sequence[VirtualAddress]) -> Deferred[None]:
        """
        Remove addresses, as far as they are ours.  It is no error when they
        are not there.  What is present is known (L{known}) when this is called.
        """


class IVirtualInterfaces(Interface):
    """
    Interfaces with hardware addresses that move between hosts.
    """

    def create(name: str, parent: str, hardware: bytes, ipv6: bool) -> Deferred[None]:
        """
        Make an interface with its own hardware address on top of another, or
        take over one that an earlier run left.

        @param ipv6: Whether it will have IPv6 addresses.
        @return: Fires when it is usable; fails with C{OSError} otherwise.
        """

    def remove(name: str, parent: str) -> Deferred[None]:
        """
        Remove it, also if an earlier run left it, and put back what was
        changed for it.  It is no error when it is not there.
        """


class ILeaseObserver(Interface):
    """
    Who wants to know when an address that it held is gone.
    """

    def addressesGone(addresses: Sequence[bytes]) -> None:
        """
        Somebody removed these packed addresses, or their time was over.
        """

    def addressesTaken(addresses: Sequence[bytes]) -> None:
        """
        Somebody made these packed addresses its own: they are there, and are
        not ours any more.
        """

    def addressesPossiblyGone() -> None:
        """
        Messages were lost and the addresses were read anew: what is believed
        is to be compared with L{IAddressTable.holding}.
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


__all__ = [
    "IAddressObserver",
    "IAddressTable",
    "IAdvertisementTransport",
    "IAnnouncer",
    "IDiagnosisObserver",
    "ILeaseObserver",
    "ILinkMonitor",
    "ILinkObserver",
    "IMastershipObserver",
    "IMastershipStep",
    "INetwork",
    "IPacketReceiver",
    "IPlatform",
    "IScriptRunner",
    "IStateStore",
    "ITrace",
    "IVirtualInterfaces",
]
