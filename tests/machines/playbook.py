"""
The role of C{examples/ansible}, on two machines, with a real C{ansible-playbook} on each.
"""

from __future__ import annotations

import json
import re

import attrs

from tests.lab.world import VIRTUAL
from tests.machines import roots
from tests.machines.machine import Machine, MachineTestCase

#: What the hosts have in common, as the inventory has it.
_COMMON = {
    "txcarp_package": "/wheels/{wheel}",
    "txcarp_pip_arguments": "--no-index --find-links=/wheels",
    "txcarp_packages": [],
    "txcarp_password": "not a secret",
    "txcarp_daemon": {"http": "tcp:9112", "page": True},
    "txcarp_defaults": {"interface": "eth0"},
}

_GROUPS = {
    "web": {
        "vhid": 7,
        "addresses": [f"{VIRTUAL}/24"],
        "check": {"here": {"file": "/etc/hostname", "interval": "500ms"}},
        "step": [{"name": "note", "command": ["/bin/true"], "required": False}],
    }
}

_SITE = "/root/ansible/site.yml"
_PLAYBOOK = "/opt/ansible/bin/ansible-playbook"


@attrs.frozen
class Recap:
    """
    What C{ansible-playbook} did on a host.
    """

    changed: int
    failed: int
    output: str


class PlaybookTests(MachineTestCase):
    """
    The role.
    """

    async def prepared(self, name: str) -> Machine:
        """
        Boot a machine with C{ansible-playbook} and the role.
        """
        given = (
            f"--bind-ro={self.run_ / 'wheels'}:/wheels",
            f"--bind-ro={self.run_ / 'ansible'}:/ansible",
            f"--bind-ro={roots.ROOT / 'examples' / 'ansible'}:/root/ansible",
        )
        machine = await self.machine(name, *given, root="fresh")
        pip = "/opt/ansible/bin/pip --quiet install --no-index --find-links=/ansible"
        await machine.shell(f"python3 -m venv /opt/ansible; {pip} ansible-core")
        return machine

    async def play(self, machine: Machine, groups: dict[str, object], skew: int = 0) -> Recap:
        """
        Run the playbook on a machine.
        """
        [wheel] = (self.run_ / "wheels").glob("txcarp-*.whl")
        own = {
            **_COMMON,
            "txcarp_package": f"/wheels/{wheel.name}",
            "txcarp_groups": groups,
            "txcarp_advskew": skew,
        }
        await machine.write("/root/variables.json", json.dumps(own), 0o600)
        # The Debian package python3-packaging, which the role installs, is there.
        python = "ansible_python_interpreter=/opt/ansible/bin/python3"
        inventory = f"[txcarp]\nhere ansible_connection=local {python}\n"
        await machine.write("/root/inventory", inventory)
        done = await machine.tried(
            *(_PLAYBOOK, "--inventory=/root/inventory", "--diff", "-vv"),
            *("--extra-vars=@/root/variables.json", _SITE),
        )
        output = done.stdout + done.stderr
        found = re.search(r"changed=(\d+) .*failed=(\d+)", output)
        self.assertIsNotNone(found, output)
        assert found is not None
        self.assertNotIn("not a secret", output)
        return Recap(int(found[1]), int(found[2]), output)

    async def test_role(self) -> None:
        """
        Two hosts are a pair after the first run.  The second run changes nothing, a change is
        reloaded, and a mistake changes nothing on the host.
        """
        roots.download(self.release, self.run_ / "ansible", "ansible-core")
        a, b = await self.prepared("a"), await self.prepared("b")
        for machine, skew in ((a, 0), (b, 100)):
            first = await self.play(machine, _GROUPS, skew)
            self.assertEqual(first.failed, 0, first.output)
            self.assertGreater(first.changed, 3)
            await self.says(machine, "Backup of web" if machine is b else "Master of web")
        self.assertIn("10.99.0.1", await b.run("txcarp", "status"))
        pid = await a.property("txcarp", "MainPID")
        second = await self.play(a, _GROUPS)
        self.assertEqual((second.changed, second.failed), (0, 0), second.output)
        mail = {"vhid": 8, "addresses": ["10.99.0.108/24"]}
        third = await self.play(a, {**_GROUPS, "mail": mail})
        self.assertEqual(third.failed, 0, third.output)
        self.assertIn("mail", await a.run("txcarp", "status"))
        wrong = await self.play(a, {**_GROUPS, "mail": {**mail, "vhid": 800}})
        self.assertEqual(wrong.failed, 1, wrong.output)
        self.assertIn("800 is not a number from 1 to 255", wrong.output)
        self.assertNotIn("800", await a.run("cat", "/etc/txcarp/txcarp.toml"))
        self.assertEqual(await a.property("txcarp", "MainPID"), pid)
