"""
The units of C{packaging/systemd} under a real systemd.
"""

from __future__ import annotations

import signal

from tests.lab.world import VIRTUAL
from tests.machines.machine import Machine, MachineTestCase

#: What the daemon logs when it becomes master.
_CHANGE = "Switching to state: MASTER"

#: The capabilities CAP_NET_ADMIN and CAP_NET_RAW, as in /proc.
_BOTH = f"{1 << 12 | 1 << 13:016x}"

#: The options of a group with a number of its own, and the same password.
_OPTIONS = (
    "OPTIONS=-i eth0 -s {address} -v 8 -a 10.99.0.108/24 --assign -z -u /etc/txcarp/up\n"
)


class ServiceTests(MachineTestCase):
    """
    C{txcarp.service}.
    """

    async def master(self, name: str = "a") -> Machine:
        """
        Boot a machine, and start txcarp on it.
        """
        machine = await self.machine(name)
        await self.configure(machine)
        await machine.run("systemctl", "start", "txcarp")
        await self.says(machine, "Master of web")
        return machine

    async def facts(self, machine: Machine, pid: int) -> dict[str, str]:
        """
        What the kernel says about a process.
        """
        text = await machine.run("cat", f"/proc/{pid}/status")
        pairs = (line.split(":", 1) for line in text.splitlines())
        return {name: value.strip() for name, value in pairs}

    async def test_start(self) -> None:
        """
        systemd learns when txcarp is ready, and which roles it has.  Its user exists only while it
        runs, and it and its guard have two capabilities and no others.
        """
        machine = await self.master()
        unit = await machine.properties("txcarp", "ActiveState", "SubState", "NRestarts", "MainPID")
        pid = int(unit.pop("MainPID"))
        self.assertEqual(unit, {"ActiveState": "active", "SubState": "running", "NRestarts": "0"})
        self.assertIn(f"{VIRTUAL}/24", machine.addresses)
        processes = await machine.processes("txcarp")
        self.assertIn(pid, processes)
        [guard] = [one for one in processes if await machine.comm(one) == "txcarp-guard"]
        for one in processes:
            facts = await self.facts(machine, one)
            for capabilities in ("CapEff", "CapPrm", "CapBnd"):
                self.assertEqual(facts[capabilities], _BOTH, f"{capabilities} of {facts['Name']}")
            self.assertGreaterEqual(int(facts["Uid"].split()[0]), 61184)
            self.assertEqual(facts["NoNewPrivs"], "1")
        nice = await machine.run("ps", "-o", "ni=", "-p", str(pid))
        self.assertEqual(nice.strip(), "-15")
        self.assertNotEqual(guard, pid)
        limits = await machine.run("cat", f"/proc/{pid}/limits")
        self.assertRegex(limits, r"Max core file size +0 +0")
        status = await machine.run("txcarp", "status")
        self.assertIn("web    MASTER", status)

    async def test_password(self) -> None:
        """
        The password reaches the process, and nobody else but root.
        """
        machine = await self.master()
        pid = await machine.property("txcarp", "MainPID")
        [uid] = (await machine.run("ps", "-o", "uid=", "-p", pid)).split()
        path = "/run/credentials/txcarp.service/password"
        for one, expected in ((uid, "not a secret\n"), ("65534", "")):
            user = ("setpriv", f"--reuid={one}", "--clear-groups")
            done = await machine.tried(*user, "cat", path)
            self.assertEqual(done.stdout, expected, done.stderr)
        for path in ("cmdline", "environ"):
            self.assertNotIn("not a secret", await machine.run("cat", f"/proc/{pid}/{path}"))
        self.assertNotIn("not a secret", str(await machine.journal("txcarp")))

    async def test_journal(self) -> None:
        """
        Each line is in the journal once, with its fields.
        """
        machine = await self.master()
        entries = await machine.journal("txcarp")
        [change] = [one for one in entries if _CHANGE in str(one["MESSAGE"])]
        expected = {
            "TXCARP_VHID": "7",
            "TXCARP_INTERFACE": "eth0",
            "TXCARP_STATE": "MASTER",
            "TXCARP_PREVIOUS": "BACKUP",
            "TXCARP_REASON": "silence",
            "SYSLOG_IDENTIFIER": "txcarp",
            "_TRANSPORT": "journal",
        }
        self.assertEqual({name: change.get(name) for name in expected}, expected)
        found = await machine.journal("txcarp", "TXCARP_STATE=MASTER")
        self.assertEqual([one["MESSAGE"] for one in found], [change["MESSAGE"]])
        own = [one["MESSAGE"] for one in entries if one.get("SYSLOG_IDENTIFIER") == "txcarp"]
        self.assertEqual(len(own), len(set(map(str, own))), own)

    async def test_reload(self) -> None:
        """
        C{systemctl reload} returns when the file is in effect, and fails if the file is wrong.
        """
        machine = await self.master()
        pid = await machine.property("txcarp", "MainPID")
        path = "/etc/txcarp/txcarp.toml"
        other = '[group.dns]\nvhid = 9\naddresses = ["10.99.0.109/24"]\n'
        await machine.run("tee", "-a", path, given=other)
        await machine.run("systemctl", "reload", "txcarp")
        self.assertIn("dns", await machine.run("txcarp", "status"))
        self.assertEqual(await machine.property("txcarp", "MainPID"), pid)
        lines = [str(one["MESSAGE"]) for one in await machine.journal("txcarp")]
        for words in ("Reloading txcarp.service", "Reloaded txcarp.service"):
            self.assertTrue([one for one in lines if one.startswith(words)], lines)
        await machine.run("sed", "-i", "s/vhid = 9/vhid = 900/", path)
        failed = await machine.tried("systemctl", "reload", "txcarp")
        self.assertNotEqual(failed.returncode, 0)
        self.assertEqual(await machine.property("txcarp", "MainPID"), pid)
        self.assertEqual(await machine.property("txcarp", "ActiveState"), "active")
        status = await machine.run("txcarp", "status")
        self.assertIn("dns", status)
        lines = [str(one["MESSAGE"]) for one in await machine.journal("txcarp")]
        self.assertTrue([one for one in lines if "900 is not a number" in one], lines)

    async def test_wrongFile(self) -> None:
        """
        systemd does not start txcarp again and again with a wrong file.  Each mistake is in the
        journal once.
        """
        machine = await self.master()
        path = "/etc/txcarp/txcarp.toml"
        await machine.run("sed", "-i", "s/vhid = 7/vhid = 700/", path)
        failed = await machine.tried("systemctl", "restart", "txcarp")
        self.assertNotEqual(failed.returncode, 0)
        facts = ("ActiveState", "SubState", "NRestarts", "ExecMainStatus")
        self.assertEqual(
            await machine.properties("txcarp", *facts),
            {
                "ActiveState": "failed",
                "SubState": "failed",  # and not "auto-restart"
                "NRestarts": "0",
                "ExecMainStatus": "78",
            },
        )
        lines = [str(one["MESSAGE"]) for one in await machine.journal("txcarp")]
        self.assertEqual(len([one for one in lines if "700 is not a number" in one]), 1, lines)
        await machine.run("sed", "-i", "s/vhid = 700/vhid = 7/", path)
        await machine.run("systemctl", "start", "txcarp")
        await self.says(machine, "Master of web")

    async def test_dies(self) -> None:
        """
        However often txcarp is killed, systemd starts it again.
        """
        machine = await self.master()
        for number in range(1, 7):
            await machine.signal("txcarp", signal.SIGKILL)

            async def again(number: int = number) -> bool:
                found = await machine.properties("txcarp", "NRestarts", "SubState")
                return found == {"NRestarts": str(number), "SubState": "running"}

            await self.eventually(again, f"restart {number}")
        await self.says(machine, "Master of web")
        # systemd found nothing left of the one before.
        lines = [str(one["MESSAGE"]) for one in await machine.journal("txcarp")]
        self.assertFalse([one for one in lines if "left-over" in one.lower()], lines)

    async def test_watchdog(self) -> None:
        """
        A process that is stopped for ten seconds is replaced.
        """
        machine = await self.master()
        pid = await machine.property("txcarp", "MainPID")
        await machine.signal("txcarp", signal.SIGSTOP)

        async def replaced() -> bool:
            return await machine.property("txcarp", "NRestarts") == "1"

        await self.eventually(replaced, "systemd notices it")
        await self.says(machine, "Master of web")
        self.assertNotEqual(await machine.property("txcarp", "MainPID"), pid)
        lines = [str(one["MESSAGE"]) for one in await machine.journal("txcarp")]
        self.assertTrue([one for one in lines if "Watchdog timeout" in one], lines)

    async def test_stop(self) -> None:
        """
        A stop is a planned one, and leaves nothing but the state: no address, process, socket or
        user.  The machine itself is stopped in the same way.
        """
        machine = await self.master()
        await self.leaves(machine, "systemctl", "stop", "txcarp")
        unit = await machine.properties("txcarp", "Result", "SubState", "NRestarts")
        self.assertEqual(unit, {"Result": "success", "SubState": "dead", "NRestarts": "0"})

        async def isAlone() -> bool:
            return await machine.processes("txcarp") == []

        await self.eventually(isAlone, "all processes end")
        left = await machine.tried("ls", "/run/txcarp", "/run/credentials/txcarp.service")
        self.assertEqual(left.stdout, "")
        state = (await machine.run("ls", "/var/lib/txcarp/")).split()
        self.assertEqual(set(state) - {"txcarp.json.guard"}, {"txcarp.json"})
        await machine.run("systemctl", "start", "txcarp")
        await self.says(machine, "Master of web")
        await self.leaves(machine, "systemctl", "poweroff")

    async def leaves(self, machine: Machine, *command: str) -> None:
        """
        Run a command that makes a master leave, and look whether it bows out.
        """
        before = len(self.wire.adverts)
        await machine.tried(*command)
        address = f"{VIRTUAL}/24"
        await self.until(lambda: address not in machine.addresses, "the address leaves", 10.0)
        last = [advert.said for advert in self.wire.adverts[before:]][-1]
        self.assertEqual((last.advbase, last.advskew), (255, 255))

    async def test_template(self) -> None:
        """
        C{txcarp@.service} runs a group with the command line of ucarp, beside the other unit.  Its
        scripts have the capabilities of the unit.
        """
        machine = await self.master()
        options = _OPTIONS.format(address=machine.host.address)
        await machine.write("/etc/txcarp/mail.conf", options)
        script = "#!/bin/sh\ngrep ^Cap /proc/self/status >/var/lib/txcarp-mail/capabilities\n"
        await machine.write("/etc/txcarp/up", script, 0o755)
        await machine.write("/etc/txcarp/mail.password", "not a secret\n", 0o600)
        await machine.run("systemctl", "start", "txcarp@mail")

        async def isMaster() -> bool:
            return "10.99.0.108/24" in machine.addresses

        await self.eventually(isMaster, "it is master")
        control = "/run/txcarp-mail/control.sock"
        self.assertIn("eth0:8", await machine.run("txcarp", "status", "--control", control))
        scripts = await machine.run("cat", "/var/lib/txcarp-mail/capabilities")
        self.assertIn(f"CapEff:\t{_BOTH}", scripts)
        await machine.run("systemctl", "stop", "txcarp@mail")
        self.assertNotIn("10.99.0.108/24", machine.addresses)
        self.assertEqual(await machine.property("txcarp", "ActiveState"), "active")
