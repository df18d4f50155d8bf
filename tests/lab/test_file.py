"""
A daemon with a configuration file, which changes while it runs.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.utils import getProcessOutputAndValue
from twisted.trial.unittest import SkipTest

from tests.lab.daemons import TWISTD, Daemon, environment
from tests.lab.holders import Holders
from tests.lab.wire import Advert
from tests.lab.world import STARTING, VIRTUAL, Host, LabTestCase
from txcarp.testbed.program import TXCARP

#: The address and the number of the group that no change concerns.
_OTHER, _STEADY = "10.99.0.101", 8

_CHANGING = 7

#: The user ID of nobody.
_NOBODY = 65534


class FileTests(LabTestCase):
    """
    C{txcarp --config}.
    """

    needsUcarp = False

    def setUp(self) -> None:
        super().setUp()
        # The path of a socket has at most 107 bytes, fewer than that of the directory of a host.
        directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, directory)
        self.control = directory / "control.sock"

    def write(self, host: Host, **groups: str) -> None:
        """
        Write the file of a host.

        @param groups: The lines of each group.
        """
        (host.directory / "password").write_text("not a secret\n")
        (host.directory / "password").chmod(0o600)
        text = f'[daemon]\nfacility = "none"\ncontrol = "{self.control}"\n'
        text += '[defaults]\ninterface = "eth0"\npassfile = "password"\n'
        text += "".join(f"[group.{name}]\n{lines}\n" for name, lines in groups.items())
        (host.directory / "txcarp.toml").write_text(text)

    def holders(self, host: Host, address: str) -> Holders:
        """
        Watch who has an address.
        """
        holders = Holders(reactor, address)  # type: ignore[arg-type]
        self.addCleanup(holders.stop)
        holders.watch(host.node)
        return holders

    def sent(self, vhid: int, since: float = 0.0) -> list[Advert]:
        """
        The advertisements of a group after a time.
        """
        return [one for one in self.wire.adverts if one.said.vhid == vhid and one.time > since]

    async def hangUp(self, daemon: Daemon, words: str) -> float:
        """
        Have the file read again, and wait for the last line about that.

        @return: The time of the signal.
        """
        since = time.monotonic()
        daemon.signal(signal.SIGHUP)
        await self.until(lambda: daemon.said(words, since), words, STARTING)
        return since

    async def txcarp(self, host: Host, *words: str) -> tuple[str, int | None]:
        """
        Run a command that asks the daemon of a host.

        @return: What it printed, and its exit status.
        """
        output, errors, status = await getProcessOutputAndValue(
            TXCARP[0],
            [*TXCARP[1:], words[0], "--control", str(self.control), *words[1:]],
            env=environment(host.directory),
        )
        self.assertEqual(errors, b"")
        return output.decode(), status

    async def test_asked(self) -> None:
        """
        A daemon with a file answers C{txcarp status} and others from the start to the end.
        """
        host = self.host("a")
        self.write(host, web=f'vhid = {_CHANGING}\naddresses = "{VIRTUAL}/24"\n')
        holders = self.holders(host, VIRTUAL)
        path = host.directory / "txcarp.toml"
        daemon = host.run("a txcarp", TXCARP, ["--config", str(path)])
        await self.until(lambda: holders.now == {"a"}, "it is master", STARTING)
        output, status = await self.txcarp(host, "status", "--json")
        self.assertEqual(status, 0)
        [web] = json.loads(output)["groups"]
        self.assertEqual((web["title"], web["role"]), ("web", "MASTER"))
        self.assertEqual((web["vhid"], web["addresses"][0]["held"]), (_CHANGING, True))
        self.assertEqual(await self.txcarp(host, "is-master", "web"), ("", 0))
        self.write(host, web=f'vhid = {_CHANGING}\naddresses = "{VIRTUAL}/24"\nadvskew = 9\n')
        output, status = await self.txcarp(host, "reload")
        self.assertEqual(status, 0)
        self.assertIn("web  changes: advskew 0 -> 9; one advertisement at most", output)
        output, status = await self.txcarp(host, "status", "web")
        self.assertRegex(output, rf"\nweb +MASTER .* this host .* {VIRTUAL}/24 ")
        self.write(host, web=f'vhid = {_CHANGING}\naddresses = "{VIRTUAL}/24"\nadvskew = 30\n')
        began = time.monotonic()
        output, status = await self.txcarp(host, "reload", "--confirm", "1s")
        self.assertEqual(status, 0)
        self.assertIn("This is undone in 1 s", output)
        await self.until(lambda: daemon.said("is undone. ", began), "it is undone", STARTING)
        await self.until(
            lambda: self.sent(_CHANGING, began)[-1].said.advskew == 9, "it advertises that", 5
        )
        self.assertIn(30, [one.said.advskew for one in self.sent(_CHANGING, began)])
        output, _ = await self.txcarp(host, "status", "--json")
        self.assertIs(json.loads(output)["configuration"]["differs"], True)
        self.assertTrue(self.control.exists())
        await self.stopped(daemon)
        self.assertFalse(self.control.exists())
        self.assertEqual((daemon.status, daemon.killedBy), (0, None))

    async def test_reload(self) -> None:
        """
        HUP changes one group without an interruption, refuses a file with a mistake, moves an
        address between groups, and removes a group.  Nothing of that disturbs another group.
        """
        host = self.host("a")
        web = f'vhid = {_CHANGING}\naddresses = "{VIRTUAL}/24"\n'
        steady = f'vhid = {_STEADY}\naddresses = "{_OTHER}/24"\n'
        self.write(host, web=web, steady=steady)
        moving, staying = self.holders(host, VIRTUAL), self.holders(host, _OTHER)
        path = host.directory / "txcarp.toml"
        daemon = host.run("a txcarp", TXCARP, ["--config", str(path)])
        both = {"a"}
        await self.until(lambda: moving.now == staying.now == both, "both are master", STARTING)
        await self.until(lambda: self.sent(_STEADY), "it advertises", 5)
        began = time.monotonic()
        self.assertTrue(daemon.said(f"steady, vhid {_STEADY} on eth0"), daemon.lines)

        self.write(host, web=f"{web}advskew = 20", steady=steady)
        when = await self.hangUp(daemon, "is in effect")
        await self.until(lambda: self.sent(_CHANGING, when), "it advertises the change", 5)
        self.assertEqual(self.sent(_CHANGING, when)[0].said.advskew, 20)

        self.write(host, web=f"{web}advskw = 30", steady=steady)
        when = await self.hangUp(daemon, "The configuration is not changed: the file")
        self.assertTrue(daemon.said("unknown key 'advskw' in [group.web]", when))
        await self.until(lambda: self.sent(_CHANGING, when), "it still advertises", 5)
        self.assertFalse([one for one in self.sent(_CHANGING) if one.said.isBowOut])
        held = moving.longest(lambda names: "a" not in names, began, time.monotonic())
        self.assertEqual(held.seconds, 0.0)

        taker = f'vhid = 9\naddresses = "{VIRTUAL}/24"\n'
        self.write(host, taker=taker, steady=steady)
        when = await self.hangUp(daemon, "is in effect")
        self.assertTrue(daemon.said(f"{VIRTUAL} moves from web to taker", when))
        self.assertTrue(self.sent(_CHANGING, when)[-1].said.isBowOut)
        await self.until(lambda: moving.now == both and self.sent(9), "it has moved", 10)

        end = time.monotonic()
        lost = staying.longest(lambda names: "a" not in names, began, end)
        self.assertEqual(lost.seconds, 0.0)
        times = [one.time for one in self.sent(_STEADY, began)]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        self.assertLess(max(gaps), 1.0 + self.slack)
        self.assertGreater(min(gaps), 1.0 - self.slack, "one was sent that was not due")

        await self.stopped(daemon)
        self.assertEqual((daemon.status, daemon.killedBy), (0, None))
        self.assertEqual([*moving.now, *staying.now], [])

    async def test_otherUser(self) -> None:
        """
        Under C{twistd --uid}, the addresses are assigned by an ordinary user, who can open sockets
        for another group later, and is asked through a socket of its own.
        """
        with open("/proc/self/uid_map") as users:
            if int(users.readline().split()[2]) <= _NOBODY:
                raise SkipTest("there is no other user here")
        host = self.host("a")
        # Nobody may look into the directory of a test.
        place = self.control.parent
        place.chmod(0o777)

        def write(**groups: str) -> None:
            self.write(host, **groups)
            for name in ("txcarp.toml", "password"):
                shutil.copy(host.directory / name, place)
                (place / name).chmod(0o644)

        web = f'vhid = {_CHANGING}\naddresses = "{VIRTUAL}/24"\n'
        write(web=web)
        holders, others = self.holders(host, VIRTUAL), self.holders(host, _OTHER)
        options = ["--nodaemon", "--pidfile=", f"--uid={_NOBODY}", f"--gid={_NOBODY}", "txcarp"]
        words = ["--config", str(place / "txcarp.toml"), "--state-file", "none"]
        daemon = host.run("a twistd", (*TWISTD, *options), words)
        await self.until(lambda: holders.now == {"a"}, "it is master", STARTING)
        self.assertEqual(os.stat(f"/proc/{daemon.pid}").st_uid, _NOBODY)
        self.assertEqual(self.control.stat().st_uid, _NOBODY)
        other = f'vhid = {_STEADY}\nmulticast = "224.0.0.99"\naddresses = "{_OTHER}/24"\n'
        write(web=web, other=other)
        await self.hangUp(daemon, "is in effect")
        await self.until(lambda: others.now == {"a"}, "it is master of both", STARTING)
        await self.stopped(daemon)
        self.assertFalse(self.control.exists())
        self.assertEqual([*holders.now, *others.now], [])

    async def test_check(self) -> None:
        """
        A master whose health check fails bows out and gives its address back.  It takes over
        again when the check is good.
        """
        host = self.host("a")
        ready = host.directory / "ready"
        ready.touch()
        self.write(
            host,
            web=f'vhid = {_CHANGING}\naddresses = "{VIRTUAL}/24"\n'
            '[group.web.check.ready]\nfile = "ready"\ninterval = "200ms"\nfall = 2\n',
        )
        holders = self.holders(host, VIRTUAL)
        path = host.directory / "txcarp.toml"
        daemon = host.run("a txcarp", TXCARP, ["--config", str(path)])
        await self.until(lambda: holders.now == {"a"}, "it is master", STARTING)
        began = time.monotonic()
        ready.unlink()
        await self.until(lambda: not holders.now, "the address is gone", 5)
        await self.until(lambda: daemon.said("Check ready is bad", began), "a log line", 5)
        last = self.sent(_CHANGING, began)[-1]
        self.assertTrue(last.said.isBowOut)
        ready.touch()
        await self.until(lambda: holders.now == {"a"}, "it is master again", STARTING)
        await self.stopped(daemon)

    async def test_steps(self) -> None:
        """
        Commands run before the address appears and when it is there, and are undone before it
        leaves and afterwards.  A reload gives a living master other steps, and a stop undoes them.
        """
        host = self.host("a")
        record = host.directory / "record"
        record.touch()
        note = host.directory / "note"
        note.write_text(
            "#!/bin/sh\n"
            f"ip -4 address show dev eth0 | grep -q {VIRTUAL}/ && there=there || there=away\n"
            f'echo "$TXCARP_STEP $1 $there" >> {record}\n'
        )
        note.chmod(0o755)

        def step(name: str, when: str) -> str:
            return (
                f'[[group.web.step]]\nname = "{name}"\nwhen = "{when}"\n'
                f'command = ["{note}", "do"]\nundo = ["{note}", "undo"]\n'
            )

        def taken() -> list[str]:
            lines = record.read_text().splitlines()
            record.write_text("")
            return lines

        group = f'vhid = {_CHANGING}\naddresses = "{VIRTUAL}/24"\n'
        first, last = step("first", "before-addresses"), step("last", "after-addresses")
        self.write(host, web=group + last + first)
        path = host.directory / "txcarp.toml"
        daemon = host.run("a txcarp", TXCARP, ["--config", str(path)])
        await self.until(lambda: "last do" in record.read_text(), "it is master", STARTING)
        self.assertEqual(
            taken(), ["last undo away", "first undo away", "first do away", "last do there"]
        )
        self.write(host, web=group + first + step("new", "after-addresses"))
        await self.hangUp(daemon, "is in effect")
        await self.until(lambda: "new do" in record.read_text(), "its step ran", STARTING)
        self.assertEqual(taken(), ["last undo there", "new do there"])
        output, _ = await self.txcarp(host, "status", "--json")
        [web] = json.loads(output)["groups"]
        states = {one["name"]: one["state"] for one in web["steps"]}
        self.assertEqual((states["step first"], states["step new"]), ("acquired", "acquired"))
        await self.stopped(daemon)
        self.assertEqual(taken(), ["new undo there", "first undo away"])

    async def test_resetConnections(self) -> None:
        """
        A client that only waits learns at once that the address leaves the host.
        """
        host, other = self.host("a"), self.host("b")
        lines = f'vhid = {_CHANGING}\naddresses = "{VIRTUAL}/24"\nreset_connections = true\n'
        self.write(host, web=lines)
        holders = self.holders(host, VIRTUAL)
        path = host.directory / "txcarp.toml"
        daemon = host.run("a txcarp", TXCARP, ["--config", str(path)])
        await self.until(lambda: holders.now == {"a"}, "it is master", STARTING)
        listener = host.node.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        listener.bind(("", 80))
        listener.listen(2)
        clients = []
        for address in (VIRTUAL, host.address):
            client = other.node.socket(socket.AF_INET, socket.SOCK_STREAM)
            self.addCleanup(client.close)
            client.settimeout(STARTING)
            client.connect((address, 80))
            self.addCleanup(listener.accept()[0].close)
            clients.append(client)
        await self.stopped(daemon)
        if daemon.said("no-reset"):
            raise SkipTest("this kernel cannot end connections")
        self.assertRaises(ConnectionResetError, clients[0].recv, 1)
        clients[1].setblocking(False)
        self.assertRaises(BlockingIOError, clients[1].recv, 1)
        self.assertTrue(daemon.said(f"1 TCP connections of {VIRTUAL} were ended"))
