"""
Tests for L{txcarp.testbed.network}, L{txcarp.testbed.node} and
L{txcarp.testbed.switch}.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.testbed.fixture import makeTestbed
from txcarp.testbed import Node, Testbed, TestbedUnavailable, namespaces, network

WAIT = 15.0


def arrives(sender: Node, receiver: Node, target: str, wait: float = WAIT) -> bool:
    """
    Whether a datagram from one node reaches another in time.
    """
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with (
        receiver.socket(family, socket.SOCK_DGRAM) as inbound,
        sender.socket(family, socket.SOCK_DGRAM) as outbound,
    ):
        inbound.bind((target, 0))
        end = time.monotonic() + wait
        while time.monotonic() < end:
            try:
                outbound.sendto(b"x", (target, inbound.getsockname()[1]))
            except OSError:
                pass
            if select.select([inbound], [], [], 0.02)[0]:
                return True
    return False


class NetworkTests(SynchronousTestCase):
    """
    Nodes, cables and switches.
    """

    def setUp(self) -> None:
        """
        Two nodes on a switch.
        """
        self.testbed = makeTestbed(self)
        self.a = self.testbed.node("a", "10.99.0.1/24", "fd00::1/64")
        self.b = self.testbed.node("b", "10.99.0.2/24", "fd00::2/64")

    def test_bothFamilies(self) -> None:
        """
        Nodes reach each other, without waiting for the detection of duplicate
        addresses.
        """
        self.assertTrue(arrives(self.a, self.b, "10.99.0.2"))
        self.assertTrue(arrives(self.a, self.b, "fd00::2"))
        with self.a.netlink() as netlink:
            tentative = [a for a in netlink.addresses() if a.flags & 0x40]
        self.assertEqual(tentative, [])

    def test_firstFrame(self) -> None:
        """
        Not even the first frame to a new node is lost.
        """
        frame = b"\xff" * 6 + b"\x02" * 6 + b"\x88\xb5" + b"x" * 46
        for number in range(12):
            node = self.testbed.node(f"node{number}")
            with (
                node.socket(socket.AF_PACKET, socket.SOCK_RAW) as inbound,
                self.a.socket(socket.AF_PACKET, socket.SOCK_RAW) as outbound,
            ):
                inbound.bind(("eth0", 0x88B5))
                outbound.bind(("eth0", 0))
                outbound.send(frame)
                self.assertTrue(select.select([inbound], [], [], WAIT)[0], number)

    def test_loopback(self) -> None:
        """
        A node reaches itself.
        """
        self.assertTrue(arrives(self.a, self.a, "127.0.0.1"))

    def test_hardwareAddress(self) -> None:
        """
        A node's MAC address follows from its name, unless it is given.
        """
        given = bytes.fromhex("02000000000c")
        self.assertEqual(self.testbed.node("c", hardwareAddress=given).link().address, given)
        with Testbed.create() as other:
            self.assertEqual(other.node("a").link().address, self.a.link().address)
        self.assertNotEqual(self.a.link().address, self.b.link().address)

    def test_cut(self) -> None:
        """
        A cut is silent: the carrier stays while nothing arrives.
        """
        self.assertTrue(arrives(self.a, self.b, "10.99.0.2"))
        self.b.cut()
        self.assertTrue(self.b.link().running)
        self.assertFalse(arrives(self.a, self.b, "10.99.0.2", 0.1))
        self.b.heal()
        self.assertTrue(arrives(self.a, self.b, "10.99.0.2"))

    def test_unplug(self) -> None:
        """
        A pulled cable takes the carrier away and keeps the interface on.
        """
        self.b.unplug()
        # The kernel says so a moment later.
        end = time.monotonic() + WAIT
        while self.b.link().running and time.monotonic() < end:
            time.sleep(0.002)
        link = self.b.link()
        self.assertEqual((link.up, link.running), (True, False))
        self.b.plugIn()
        self.assertTrue(arrives(self.a, self.b, "fd00::2"))

    def test_switchedOffAndOn(self) -> None:
        """
        An interface that was off has its addresses and routes again afterwards, also
        those that the kernel forgot.
        """
        self.a.route("default", "10.99.0.2")
        before = set(self.a.addresses())
        self.a.setInterface(False)
        self.assertFalse(self.a.link().up)
        self.a.setInterface(True)
        self.assertEqual(set(self.a.addresses()), before)
        with self.a.inside():
            routes = Path("/proc/thread-self/net/route").read_text()
        self.assertIn("eth0\t00000000", routes)
        self.assertTrue(arrives(self.a, self.b, "fd00::2"))

    def test_deletedAndMadeAgain(self) -> None:
        """
        A new interface takes the place of a deleted one, with another index.
        """
        before = self.a.link()
        self.a.deleteInterface()
        self.assertRaises(LookupError, self.a.link)
        self.a.createInterface()
        after = self.a.link()
        self.assertNotEqual(after.index, before.index)
        self.assertEqual(after.address, before.address)
        self.assertTrue(arrives(self.a, self.b, "10.99.0.2"))

    def test_addresses(self) -> None:
        """
        Addresses can be added and removed later, and those that remain survive a new
        interface.
        """
        self.a.addAddress("10.99.0.9/32")
        self.a.removeAddress("10.99.0.1/24")
        self.a.deleteInterface()
        self.a.createInterface()
        held = self.a.addresses()
        self.assertIn("10.99.0.9/32", held)
        self.assertNotIn("10.99.0.1/24", held)

    def test_notAnAddress(self) -> None:
        """
        What is not an address is refused by name, before anything is made.
        """
        error = self.assertRaises(ValueError, self.testbed.node, "c", "10.99.0.300/24")
        self.assertIn("10.99.0.300/24", str(error))

    def test_router(self) -> None:
        """
        A router carries from one switch to another.
        """
        far = self.testbed.switch("far")
        self.testbed.router("r", (self.testbed.lan, "10.99.0.254/24"), (far, "10.98.0.254/24"))
        distant = self.testbed.node("d", "10.98.0.1/24", switch=far)
        distant.route("default", "10.98.0.254")
        self.assertFalse(arrives(self.a, distant, "10.98.0.1", 0.1))
        self.a.route("10.98.0.0/24", "10.99.0.254")
        self.assertTrue(arrives(self.a, distant, "10.98.0.1"))

    def test_noRouter(self) -> None:
        """
        Another node does not, whatever the machine does: packets to an address that it does not
        have are dropped.
        """
        far = self.testbed.switch("far")
        node = self.testbed.node("n", "10.99.0.254/24")
        node.connect(far, "10.98.0.254/24")
        distant = self.testbed.node("d", "10.98.0.1/24", switch=far)
        distant.route("default", "10.98.0.254")
        self.a.route("10.98.0.0/24", "10.99.0.254")
        self.assertFalse(arrives(self.a, distant, "10.98.0.1", 0.1))
        node.forward()
        self.assertTrue(arrives(self.a, distant, "10.98.0.1"))

    def test_remove(self) -> None:
        """
        After its removal no cable is left in a node that something still runs in, and
        no descriptor in this process.
        """
        before = len(os.listdir("/proc/self/fd"))
        other = Testbed.create()
        node = other.node("x", "10.99.0.1/24")
        with node.inside():
            survivor = namespaces.NetworkNamespace.current()
        self.addCleanup(survivor.close)
        other.remove()
        other.remove()
        with survivor.inside():
            self.assertEqual([name for _, name in socket.if_nameindex()], ["lo"])
        survivor.close()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)

    def test_unavailable(self) -> None:
        """
        Where namespaces can be made but no bridges, the reason says what is missing.
        """

        def refuse(name: str, multicastSnooping: bool) -> None:
            raise OSError(95, "Operation not supported")

        self.patch(network, "Switch", refuse)
        error = self.assertRaises(TestbedUnavailable, Testbed.create)
        self.assertIn("modprobe -a bridge veth", str(error))


class Output(ProcessProtocol):
    """
    Collects what a process says.
    """

    def __init__(self) -> None:
        self.data = b""
        self.ended: Deferred[bytes] = Deferred()

    def outReceived(self, data: bytes) -> None:
        """
        Collect.
        """
        self.data += data

    def processEnded(self, reason: Failure) -> None:
        """
        Give what was collected.
        """
        if reason.check(ProcessDone):
            self.ended.callback(self.data)
        else:
            self.ended.errback(reason)


class ProcessTests(TestCase):
    """
    Processes in nodes, and what becomes of the network when this one ends.
    """

    timeout = 60.0

    async def test_spawn(self) -> None:
        """
        A process is born in the node, whichever way the reactor makes it, and this one
        stays outside.
        """
        from twisted.internet import reactor

        node = makeTestbed(self).node("a", "10.99.0.1/24")
        with node.inside():
            inside = os.readlink("/proc/thread-self/ns/net")
        home = os.readlink("/proc/thread-self/ns/net")
        program = ["readlink", "/proc/self/ns/net"]
        # With another working directory the reactor forks; otherwise it may use posix_spawn.
        for path in (None, "/"):
            output = Output()
            node.spawn(
                reactor,
                output,
                "/bin/readlink",
                program,
                env={},
                path=path,
            )
            self.assertEqual((await output.ended).decode().strip(), inside)
        self.assertEqual(os.readlink("/proc/thread-self/ns/net"), home)

    async def test_spawnRefused(self) -> None:
        """
        A program that does not exist does not keep this process in the node.
        """
        from twisted.internet import reactor

        node = makeTestbed(self).node("a")
        home = os.readlink("/proc/thread-self/ns/net")
        output = Output()
        try:
            node.spawn(reactor, output, "/nonexistent", ["x"], env={})
            await self.assertFailure(output.ended, ProcessTerminated)
        except OSError:
            pass
        self.assertEqual(os.readlink("/proc/thread-self/ns/net"), home)

    def test_killed(self) -> None:
        """
        When the process is killed outright its network is gone: nothing is left to
        find.
        """
        makeTestbed(self)
        program = (
            "import os, time\n"
            "from txcarp.testbed import Testbed\n"
            "testbed = Testbed.create()\n"
            "node = testbed.node('a', '10.99.0.1/24')\n"
            "with node.inside(): print(os.readlink('/proc/thread-self/ns/net'), flush=True)\n"
            "time.sleep(60)\n"
        )
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, env=environment
        )
        assert child.stdout is not None
        self.addCleanup(child.stdout.close)
        name = child.stdout.readline().decode().strip()
        self.assertRegex(name, r"net:\[\d+\]")
        named = Path("/run/netns")
        before = sorted(named.iterdir()) if named.exists() else []
        child.send_signal(signal.SIGKILL)
        child.wait()
        users = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(process / "ns/net") == name:
                    users.append(process)
                users += [fd for fd in (process / "fd").iterdir() if os.readlink(fd) == name]
            except OSError:
                continue
        self.assertEqual(users, [])
        self.assertEqual(sorted(named.iterdir()) if named.exists() else [], before)
