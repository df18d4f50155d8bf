"""
Tests for L{txcarp.conversion.vrrp}.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conversion.case import SECRET, ConversionTestCase
from txcarp.conversion import checked


def instance(*lines: str, name: str = "VI_1", vhid: int = 51) -> str:
    """
    An instance, whose lines begin in the sixth line.
    """
    return "\n".join(
        [
            f"vrrp_instance {name} {{",
            "interface eth0",
            f"virtual_router_id {vhid}",
            f"virtual_ipaddress {{ 10.{vhid}.0.252/24 }}",
            f"authentication {{ auth_type PASS\nauth_pass {SECRET[:8]} }}",
            *lines,
            "}\n",
        ]
    )


class VRRPTests(ConversionTestCase):
    """
    keepalived.conf.
    """

    kind = "keepalived"

    def group(self, *lines: str, before: str = "") -> dict[str, Any]:
        """
        The group of an instance.
        """
        group: dict[str, Any] = self.good(instance(*lines) + before)["VI_1"]
        return group

    def test_plain(self) -> None:
        """
        What every instance has.
        """
        self.assertEqual(
            self.group("priority 150", "advert_int 2", "state BACKUP"),
            {
                "interface": "eth0",
                "vhid": 51,
                "passfile": "VI_1.password",
                "addresses": ["10.51.0.252/24"],
                "preempt": True,
                "advskew": 105,
                "advbase": 2,
            },
        )
        self.assertEqual(self.conversion.drafts[0].password, SECRET[:8].encode())
        self.assertSaid(6, "VRRP sends the password in clear text")
        self.assertSaid(7, "the priority 150 becomes advskew 105")
        self.assertEqual(self.remarks().keys(), {6, 7})

    def test_order(self) -> None:
        """
        A higher priority is preferred, and so is a lower skew.
        """
        skews = [self.group(f"priority {one}")["advskew"] for one in (1, 100, 101, 254, 255)]
        self.assertEqual(skews, [254, 155, 154, 1, 0])
        self.assertEqual(self.group()["advskew"], 155)  # keepalived's default

    def test_preemption(self) -> None:
        """
        keepalived preempts by default, CARP does not.
        """
        for lines, expected in (
            ((), True),
            (("nopreempt",), False),
            (("preempt_delay 300",), "300s"),
            (("preempt_delay 0.5",), "0.5s"),
            (("preempt_delay 0",), True),
            (("nopreempt", "preempt_delay 5"), False),
            (("preempt_delay 5", "nopreempt"), False),
        ):
            self.assertEqual(self.group(*lines)["preempt"], expected, lines)

    def test_addresses(self) -> None:
        """
        Addresses may have words about them.  One of another interface is left out.
        """
        group = self.group(
            "virtual_ipaddress {",
            "10.1.1.1/24 brd 10.1.1.255 dev eth0 label eth0:1",
            "10.9.9.9/24 dev eth9",
            "2001:db8::1/64 nodad",
            "10.1.1.2 10.1.1.3",
            "10.1.1.3/24",
            "}",
            "virtual_ipaddress_excluded {\n10.1.1.4/24\n}",
        )
        self.assertEqual(
            group["addresses"],
            ["10.51.0.252/24", "10.1.1.1/24", "2001:db8::1/64", "10.1.1.2", "10.1.1.3"]
            + ["10.1.1.4/24"],
        )
        self.assertSaid(8, "10.1.1.1/24: addresses have no labels")
        self.assertSaid(9, "10.9.9.9/24 is on eth9, which is not the interface of the group")
        self.assertSaid(12, "10.1.1.3/24 is there twice")
        self.assertSaid(14, "excluded addresses become ordinary ones")

    def test_unicast(self) -> None:
        """
        Peers and the source.
        """
        group = self.group("unicast_src_ip 10.1.1.1", "unicast_peer {\n10.1.1.2\n10.1.1.3\n}")
        self.assertEqual((group["source"], group["peers"]), ("10.1.1.1", ["10.1.1.2", "10.1.1.3"]))

    def test_others(self) -> None:
        """
        Lines with a counterpart of another name.
        """
        group = self.group(
            *("garp_master_refresh 30", "use_vmac vrrp.51", "dont_track_primary", "version 3")
        )
        self.assertEqual(group["announce_every"], "30s")
        self.assertIs(group["virtual_mac"], True)
        self.assertIs(group["ignore_link"], True)

    def test_globals(self) -> None:
        """
        What counts for all instances.
        """
        [group] = self.good(
            "global_defs {\n vrrp_startup_delay 10\n vrrp_mcast_group4 224.0.0.19\n"
            " router_id A\n script_user root\n notification_email { a@b }\n}\n" + instance()
        ).values()
        self.assertEqual((group["start_delay"], group["multicast"]), ("10s", ["224.0.0.19"]))
        self.assertSaid(5, "global_defs: script_user does not carry over")
        self.assertSaid(6, "global_defs: notification_email does not carry over")

    def test_tracking(self) -> None:
        """
        Interfaces, scripts and processes: a weight demotes, and without one a failure makes the
        host unfit.
        """
        group = self.group(
            "track_interface {\n eth0\n eth1 weight -50\n eth2\n}",
            "track_script {\n proxy\n shell weight 300\n plain\n none\n}",
            "track_process { dns }",
            before='vrrp_script proxy {\n script "killall -0 haproxy"\n interval 2\n weight -20\n'
            " fall 3\n rise 2\n timeout 1\n init_fail\n}\n"
            'vrrp_script shell {\n script "curl -sf http://127.0.0.1/ | grep ok"\n user x\n}\n'
            "vrrp_script plain {\n script /usr/bin/pg_isready -q\n}\n"
            'vrrp_track_process dns {\n process /usr/sbin/named -f\n weight 10\n}\n',
        )
        self.assertEqual(group["track_interfaces"], ["eth1:50", "eth2"])
        checks = group["check"]
        self.assertEqual(
            checks["proxy"],
            {
                "process": "haproxy",
                "interval": "2s",
                "timeout": "1s",
                "rise": 2,
                "fall": 3,
                "initial": "bad",
                "demote": 20,
            },
        )
        self.assertEqual(checks["shell"]["command"][:2], ["/bin/sh", "-c"])
        self.assertEqual(checks["shell"]["demote"], 240)
        self.assertEqual(checks["plain"]["command"], ["/usr/bin/pg_isready", "-q"])
        self.assertEqual(checks["plain"]["failing"], "unfit")
        self.assertEqual((checks["dns"]["process"], checks["dns"]["demote"]), ("named", 10))
        self.assertSaid(10, "without a link on eth2, this host is demoted by 240")
        self.assertSaid(16, "there is no vrrp_script none")

    def test_notify(self) -> None:
        """
        Programs that are told become steps that are not required.
        """
        group = self.group(
            'notify_master "/etc/up.sh a \'b\'" root',
            "notify_backup /etc/down.sh",
            "notify_fault /etc/fault.sh",
            "notify_stop /etc/stop.sh",
            "notify /etc/notify.sh",
            "priority 90",
        )
        one, other = group["step"]
        self.assertEqual(one["undo"], ["/etc/down.sh"])
        self.assertEqual(one["command"], ["/etc/up.sh", "a", "b"])
        self.assertEqual(other["command"][1:], ["INSTANCE", "VI_1", "MASTER", "90"])
        self.assertEqual(other["undo"][1:], ["INSTANCE", "VI_1", "BACKUP", "90"])
        self.assertEqual((one["required"], other["required"]), (False, False))
        self.assertSaid(9, "notify_fault: a step is undone then, too")
        self.assertSaid(10, "notify_stop: a step is undone then, too")

    def test_sync(self) -> None:
        """
        A set: what it tracks counts for all of its instances, and what it runs, for the first.
        """
        document = self.convert(
            instance(name="A") + instance(name="B", vhid=52) + "vrrp_sync_group VG {\n"
            " group {\n  A\n  B\n  C\n }\n track_script { chk }\n notify_master /up\n"
            " global_tracking\n}\nvrrp_sync_group none {\n}\n"
            "vrrp_script chk {\n script /chk\n}\n"
        )
        self.assertEqual(self.conversion.syncs, {"VG": ["A", "B"]})
        groups = document["group"]
        self.assertEqual([*groups["A"]["check"], *groups["B"]["check"]], ["chk", "chk"])
        self.assertEqual(groups["A"]["step"][0]["command"], ["/up"])
        self.assertNotIn("step", groups["B"])
        text = checked.written(self.conversion, "")
        self.assertTrue(text.endswith('\n[sync.VG]\ngroups = ["A", "B"]\n'))
        self.assertEqual(checked.problemsIn(self.conversion), "")
        said = [one.text for one in self.conversion.remarks]
        self.assertIn("there is no vrrp_instance C", said)
        self.assertIn("vrrp_sync_group none has no instances", said)
        self.assertIn("global_tracking does not carry over", said)

    def test_noSet(self) -> None:
        """
        A set has two groups at least, and a group belongs to one.
        """
        two = instance(name="A") + instance(name="B", vhid=52)
        sets = "vrrp_sync_group one {\n group {\n A\n B\n A\n }\n}\n"
        document = self.convert(f"{two}{sets}vrrp_sync_group two {{\n group {{\n A\n }}\n}}\n")
        self.assertEqual(document["sync"], {"one": {"groups": ["A", "B"]}})
        self.assertEqual(checked.problemsIn(self.conversion), "")
        said = [one.text for one in self.conversion.remarks]
        self.assertIn("A is in another set already", said)
        self.assertIn("vrrp_sync_group two has no instances", said)
        document = self.convert(f"{two}vrrp_sync_group one {{\n group {{ B }}\n}}\n")
        self.assertNotIn("sync", document)
        said = [one.text for one in self.conversion.remarks]
        self.assertIn("vrrp_sync_group one has one instance, and is no set", said)

    def test_notCarriedOver(self) -> None:
        """
        Everything else is named with its line.
        """
        self.group(
            *("state MASTER", "smtp_alert", "advert_int 0.1", "priority 300"),
            "virtual_routes {\n 0.0.0.0/0 via 10.1.1.9\n}",
            before="virtual_server 10.1.1.1 80 {\n lb_algo rr\n}\nstatic_routes {\n}\n",
        )
        self.assertSaid(7, "state MASTER has no counterpart")
        self.assertSaid(8, "smtp_alert does not carry over")
        self.assertSaid(9, "advert_int 0.1 becomes advbase 1")
        self.assertSaid(10, "the priority 300 is not possible")
        self.assertSaid(11, "virtual_routes does not carry over")
        self.assertSaid(15, "virtual_server does not carry over: txcarp does not balance load")
        self.assertSaid(18, "static_routes does not carry over")

    def test_incomplete(self) -> None:
        """
        What is missing is said, and the result cannot be used as it is.
        """
        self.convert("vrrp_instance a/b {\n virtual_router_id x\n}\n")
        self.assertSaid(
            1,
            *("'a/b' becomes [group.a-b]", "there is no password", "there is no interface"),
            *("there is no virtual_router_id", "there is no virtual_ipaddress"),
        )
        self.assertSaid(2, "virtual_router_id: a whole number is missing")
        self.assertIn("[group.a-b] has no vhid", checked.problemsIn(self.conversion))

    def test_twice(self) -> None:
        """
        Two instances with one name become two groups.
        """
        groups = self.good(instance() + instance(vhid=52))
        self.assertEqual([*groups], ["VI_1", "VI_1-2"])

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                ["vrrp_instance a {", "vrrp_instance {", "}", "{", "interface eth0", "interface"]
                + ["virtual_router_id 5", "priority", "priority x", "advert_int 1e9", "weight"]
                + ["virtual_ipaddress {", "10.0.0.1/24", "10.0.0.1 dev", "dev dev", "notify"]
                + ["vrrp_script s {", "script", 'script ""', 'script "/x"', "interval -1", "s"]
                + ["track_script {", "track_interface {", "eth1 weight", "s weight 99999"]
                + ["vrrp_sync_group g {", "group {", "a", "notify_master", 'notify_backup ""']
                + ["auth_pass", "authentication {", "auth_pass x", "global_defs {"]
                + ["track_process {"]
                + ["vrrp_track_process s {", "process", "preempt_delay", "unicast_peer {"]
                + ["__class__"]
                + ["rise 0.5", "timeout 0", "fall 99999999", "garp_master_refresh 0", "notify a b"]
            ),
            max_size=20,
        )
    )
    def test_anything(self, lines: list[str]) -> None:
        """
        No text is too much, and what comes of it is TOML.
        """
        self.convert("\n".join(lines))
        checked.problemsIn(self.conversion)
