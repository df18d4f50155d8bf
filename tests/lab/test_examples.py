"""
The examples, as an administrator runs them, on two hosts.
"""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

from twisted.internet.threads import deferToThread

import txcarp
from tests.lab.daemons import TWISTD, Daemon
from tests.lab.world import STARTING, VIRTUAL, Host, LabTestCase

EXAMPLES = Path(txcarp.__file__).parent.parent / "examples"

_PORT = 8080


class ExampleTestCase(LabTestCase):
    """
    Hosts that run one of the examples.
    """

    needsUcarp = False

    def example(self, host: Host, name: str, **settings: object) -> Daemon:
        """
        Start an example with twistd, with these variables in its environment.
        """
        password = host.directory / "password"
        password.write_text("not a secret\n")
        settings = {"CARP_SOURCE": host.address, "CARP_PASSWORD_FILE": password, **settings}
        words = [f"{key}={value}" for key, value in settings.items()]
        command = [self.program("env", "coreutils"), *words, *TWISTD]
        options = ["--nodaemon", "--pidfile=", "--python", str(EXAMPLES / name)]
        return host.run(f"{host.name} {name}", command, options)


def ask(sock: socket.socket, address: str) -> str:
    """
    What a web server says; nothing if there is none.  Blocks.
    """
    answer = b""
    with sock:
        sock.settimeout(2.0)
        try:
            sock.connect((address, _PORT))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while data := sock.recv(4096):
                answer += data
        except OSError:
            return ""
    return answer.partition(b"\r\n\r\n")[2].decode()


class WebServerTests(ExampleTestCase):
    """
    C{web-server-while-master.tac}
    """

    def start(self, host: Host, **settings: object) -> Daemon:
        """
        Start it.
        """
        return self.example(
            host,
            "web-server-while-master.tac",
            CARP_ADDRESS=f"{VIRTUAL}/24",
            WEB_PORT=_PORT,
            WEB_NAME=host.name,
            **settings,
        )

    async def get(self, host: Host, address: str) -> str:
        """
        What a web server says to somebody on a host.
        """
        answer: str = await deferToThread(
            ask, host.node.socket(socket.AF_INET, socket.SOCK_STREAM), address
        )
        return answer

    async def talksTo(self, client: Host, name: str) -> None:
        """
        Wait until a client that asks at the virtual address gets its answer from a host: it
        learns a moment after the start of the server where the address is.
        """
        expected = f"You are talking to {name}.\n"
        end = time.monotonic() + 5
        while (answer := await self.get(client, VIRTUAL)) != expected:
            self.assertLess(time.monotonic(), end, f"{answer!r} instead of {name}")
            await self.during(0.05)

    async def test_moves(self) -> None:
        """
        The server answers at the virtual address only, on the master only, and moves
        with it.
        """
        a, b, client = self.host("a"), self.host("b"), self.host("client")
        first = self.start(a)
        await self.becomes(first, "MASTER")
        await self.until(lambda: first.said("Site starting"), "the server", 5)
        await self.talksTo(client, "a")
        second = self.start(b, CARP_SKEW=100)
        await self.becomes(second, "BACKUP")
        for host in (a, b):
            self.assertEqual(await self.get(client, host.address), "", f"not on {host.name}'s own")
        self.assertEqual(second.said("Site starting"), [])
        self.assertEqual(await self.get(client, VIRTUAL), "You are talking to a.\n")
        first.signal(signal.SIGTERM)
        await self.until(lambda: second.said("Site starting"), "the other server", 8)
        await self.talksTo(client, "b")
        await self.until(lambda: first.ended, "the first ends", STARTING)

    async def test_portTaken(self) -> None:
        """
        A host where something else has the port says so and is not master.
        """
        a, client = self.host("a"), self.host("client")
        other = a.node.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(other.close)
        other.bind(("0.0.0.0", _PORT))
        other.listen()
        daemon = self.start(a)
        # It is master for a millisecond: both lines may be read at once.
        await self.until(
            lambda: daemon.said("Switching to state: MASTER"), "it tries to be master", STARTING
        )
        await self.becomes(daemon, "BACKUP", 5)
        self.assertTrue(daemon.said("This host is not fit to be master: service"))
        await self.until(
            lambda: f"{VIRTUAL}/24" not in a.node.addresses(), "the address is given back", 3
        )
        self.assertEqual(await self.get(client, VIRTUAL), "")


class TwoAddressesTests(ExampleTestCase):
    """
    C{two-addresses.tac}
    """

    async def test_asItIs(self) -> None:
        """
        Each host is master of one of the two addresses; one that stops leaves both to
        the other, which reports it.
        """
        self.program("ip", "iproute2")  # for the scripts
        a, b = self.host("a", "10.1.1.1/24"), self.host("b", "10.1.1.2/24")
        daemons = {}
        for host, skews in ((a, "0,100"), (b, "100,0")):
            daemons[host] = self.example(
                host, "two-addresses.tac", CARP_SKEWS=skews, CARP_SCRIPTS=EXAMPLES
            )

        def have(host: Host, *expected: str) -> bool:
            virtual = {"10.1.1.252/24", "10.1.1.253/24"}
            return virtual & set(host.node.addresses()) == set(expected)

        await self.until(lambda: have(a, "10.1.1.252/24"), "a has its address", STARTING)
        await self.until(lambda: have(b, "10.1.1.253/24"), "b has its address", STARTING)
        daemons[a].signal(signal.SIGTERM)
        await self.until(lambda: have(b, "10.1.1.252/24", "10.1.1.253/24"), "b has both", 8)
        await self.until(lambda: have(a), "a has none", 8)
        await self.until(
            lambda: daemons[b].said("virtual host 1: BACKUP -> MASTER, the master bowed out"),
            "b reports it",
            5,
        )
