"""
Tests for L{txcarp.conversion.commandlines}.
"""

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conversion.case import SECRET, ConversionTestCase
from txcarp.configuration.options import OPTIONS
from txcarp.conversion import checked, commandlines


class CommandLineTests(ConversionTestCase):
    """
    ucarp's command lines.
    """

    kind = "ucarp"

    def test_script(self) -> None:
        """
        A command line of a shell script, over several lines, up to the first operator.
        """
        groups = self.good(
            "#!/bin/sh\n# ucarp -i eth9 -v 9\n"
            f"/usr/sbin/ucarp -i eth0 -s 10.1.1.1 -v 010 -p '{SECRET}' -a 10.1.1.250 "
            "-a 10.1.1.252 \\\n"
            "  --upscript=/etc/up.sh --downscript=/etc/down.sh -k50 -Pz -B -x 'a b' "
            ">/dev/null 2>&1 &\n"
        )
        self.assertEqual(
            groups,
            {
                "eth0-8": {
                    "interface": "eth0",
                    "vhid": 8,
                    "passfile": "eth0-8.password",
                    "addresses": ["10.1.1.252"],
                    "source": "10.1.1.1",
                    "up_script": "/etc/up.sh",
                    "down_script": "/etc/down.sh",
                    "advskew": 50,
                    "preempt": True,
                    "shutdown": True,
                    "script_parameter": "a b",
                }
            },
        )
        [draft] = self.conversion.drafts
        self.assertEqual(draft.password, SECRET.encode())
        self.assertEqual(self.remarks().keys(), {3})
        self.assertSaid(3, "-B, --daemonize belongs to the process")

    def test_unit(self) -> None:
        """
        A unit of systemd, and the other options of ucarp.
        """
        [group] = self.good(
            "[Service]\nExecStart=-/usr/sbin/ucarp --interface=eth0:1 --srcip=10.1.1.1 "
            "--vhid=0x10 -o /etc/pw -a 10.1.1.253 -u /up -b 2 -r 5 -n -S -M "
            "-m 224.0.0.19 --debug\n"
        ).values()
        self.assertEqual(group["script_label"], "eth0:1")
        self.assertEqual((group["vhid"], group["passfile"]), (16, "/etc/pw"))
        self.assertEqual((group["advbase"], group["dead_ratio"]), (2, 5))
        self.assertEqual(group["multicast"], "224.0.0.19")
        for key in ("neutral", "ignore_link", "broadcast", "debug"):
            self.assertIs(group[key], True)
        self.assertEqual(self.remarks(), {})

    def test_txcarp(self) -> None:
        """
        txcarp's own options.
        """
        [group] = self.good(
            "exec txcarp -i eth1 -v 3 -a 10.2.0.1/24 -a 2001:db8::1/64 --assign --peer auto "
            "--track-interface eth0:5 --peer 10.2.0.2 --flap-limit 5/30 -o pw --start-delay 2.5 "
            "--accept-passfile old --accept-addrs 10.2.0.9,10.2.0.8 --preempt --preempt-delay 60 "
            "--virtual-mac --announce-every 0 --seal require --dialect openbsd\n"
        ).values()
        self.assertEqual(group["addresses"], ["10.2.0.1/24", "2001:db8::1/64"])
        self.assertEqual(group["passfile"], ["pw", "old"])
        self.assertEqual(group["former_addresses"], [["10.2.0.9", "10.2.0.8"]])
        self.assertEqual((group["preempt"], group["start_delay"]), ("60s", "2.5s"))
        self.assertEqual((group["virtual_mac"], group["announce_every"]), (True, False))
        self.assertEqual((group["flap_limit"], group["peers"]), ("5/30s", ["auto", "10.2.0.2"]))

    def test_everyOption(self) -> None:
        """
        Each option of a group gives a key, and the others a remark.
        """
        texts = {"interface": "eth0", "otherPasswords": "pw", "flapLimit": "5/30"}
        for option in OPTIONS:
            if not option.setting or option.setting == "interface":
                continue
            text = texts.get(option.setting, "5")
            value = f"=/{text}" if option.name in ("pass", "passfile") else f"={text}"
            words = f"--{option.name}{value if option.takesValue else ''}"
            document = self.convert(f"ucarp -i eth0 {words}")
            [group] = document["group"].values()
            said = [one for one in self.conversion.remarks if option.names in one.text]
            hasPassword = self.conversion.drafts[0].password is not None
            isOther = group != {"interface": "eth0", "passfile": "eth0-1.password"}
            self.assertEqual(isOther or hasPassword, not said, option.name)

    def test_notUnderstood(self) -> None:
        """
        What is no command line is left out, and a remark never has a password.
        """
        document = self.convert(
            f"ucarp -q -p {SECRET}\nucarp 'unbalanced\nsystemctl start ucarp\n"
            f"ucarp -i eth0 -v 1 -a 10.0.0.1 -p very {SECRET}\n"
            f"ucarp -i eth0 -v $VHID -a 10.0.0.2 -p {SECRET * 3}\n"
            "ucarp -a 10.0.0.1 -k x\n"
        )
        self.assertEqual([*document["group"]], ["eth0-1", "eth0-5", "carp-6"])
        self.assertEqual(self.remarks().keys(), {1, 2, 4, 5, 6})
        self.assertSaid(1, "this command line is left out: option -q not recognized")
        self.assertSaid(2, "this line is left out")
        self.assertSaid(4, "1 words that belong to no option", "without scripts, txcarp adds")
        self.assertSaid(5, "a variable has to be replaced", "password of [group.eth0-5] is left")
        self.assertSaid(6, "there is no -i", "no -a or no -v", "'x' is not a number")
        self.assertIn("has no vhid", checked.problemsIn(self.conversion))

    @settings(max_examples=60, deadline=None)
    @given(st.text(st.sampled_from(string.printable + "äx"), max_size=80))
    def test_anything(self, text: str) -> None:
        """
        No text is too much.
        """
        commandlines.convert(f"ucarp -i eth0 {text}\nucarp {text}", "x", self.conversion)
        checked.written(self.conversion, "")
