"""
Tests for L{txcarp.conversion.ifupdown}.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conversion.case import SECRET, ConversionTestCase
from txcarp.conversion import checked

DEBIAN = f"""\
auto lo eth0
iface lo inet loopback

iface eth0 inet static
    address 10.1.1.1
    netmask 255.255.255.0
    # ucarp-vid 9
    ucarp-vid 1
    ucarp-vip 10.1.1.252
    ucarp-password {SECRET}
    ucarp-advskew 100
    ucarp-advbase 2
    ucarp-deadratio 5
    ucarp-master yes
    ucarp_facility local1

iface eth0:ucarp inet static
    address 10.1.1.252
    netmask 255.255.255.128
"""


class InterfacesTests(ConversionTestCase):
    """
    Debian's interfaces(5).
    """

    kind = "interfaces"

    def test_package(self) -> None:
        """
        With the scripts of Debian's package, the address of NAME:ucarp is taken over by txcarp.
        """
        self.assertEqual(
            self.good(DEBIAN),
            {
                "eth0-1": {
                    "interface": "eth0",
                    "vhid": 1,
                    "passfile": "eth0-1.password",
                    "addresses": ["10.1.1.252/25"],
                    "source": "10.1.1.1",
                    "advskew": 100,
                    "advbase": 2,
                    "dead_ratio": 5,
                    "preempt": True,
                }
            },
        )
        self.assertEqual(self.conversion.drafts[0].password, SECRET.encode())
        self.assertEqual(self.remarks().keys(), {4, 8, 15, 17})
        self.assertSaid(4, "remove the options of ucarp from eth0")
        self.assertSaid(8, "the scripts of Debian's package are left out")
        self.assertSaid(15, "ucarp-facility does not carry over")
        self.assertSaid(17, "remove eth0:ucarp")

    def test_scripts(self) -> None:
        """
        Other scripts are kept.  Their addresses have no prefix.
        """
        [group] = self.good(
            "iface eth1 inet static\n address 10.2.0.2/24\n ucarp-vid 2\n ucarp-vip 10.2.0.1\n"
            " ucarp-passfile /etc/pw\n ucarp-upscript /x/up\n ucarp-xparam a b\n"
            " ucarp-nomcast yes\n ucarp-srcip 10.2.0.3\n ucarp-master no\n"
        ).values()
        self.assertEqual(
            group,
            {
                "interface": "eth1",
                "vhid": 2,
                "passfile": "/etc/pw",
                "addresses": ["10.2.0.1"],
                "source": "10.2.0.3",
                "up_script": "/x/up",
                "down_script": "/usr/share/ucarp/vip-down",
                "broadcast": True,
                "script_parameter": "a b",
            },
        )

    def test_assign(self) -> None:
        """
        C{ucarp-assign} is of txcarp.  The prefix is that of the interface.
        """
        [group] = self.good(
            "iface eth1 inet static\n address 10.2.0.2/20\n ucarp-vid 2\n ucarp-vip 10.2.0.1\n"
            " ucarp-upscript /x/up\n ucarp-assign yes\n"
        ).values()
        self.assertEqual(group["addresses"], ["10.2.0.1/20"])
        self.assertNotIn("up_script", group)

    def test_sources(self) -> None:
        """
        Other files are read, with their own line numbers, and no circle is endless.
        """
        (self.directory / "more").mkdir()
        more = self.directory / "more" / "eth3"
        more.write_text("source ../file\niface eth3 inet dhcp\n ucarp-vid x\n ucarp-vip 10.3.0.1\n")
        (self.directory / "file").write_text("source more/*\nsource-directory nothing\n")
        document = self.convert((self.directory / "file").read_text())
        self.assertIn("eth3-x", document["group"])
        said = {(one.place.path, one.place.line) for one in self.conversion.remarks}
        self.assertIn((str(more), 3), {(path.replace("/more/..", ""), line) for path, line in said})

    def test_unreadable(self) -> None:
        """
        A file that cannot be read is a remark.
        """
        (self.directory / "more").mkdir()
        self.convert("source mor*\n" + DEBIAN)
        self.assertSaid(1, "more cannot be read: Is a directory")

    @settings(max_examples=50, deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                ["iface eth0 inet static", "iface", "ucarp-vid 1", "ucarp-vip", "address x/y"]
                + ["netmask 255.0.255.0", "ucarp-vip 10.0.0.1/24", "source x\\", "ucarp-advskew -"]
                + ["iface eth0:ucarp inet static", "ucarp-password", "ucarp-assign yes", "\\", "ä"]
                + ["ucarp-upscript", "mapping eth0", "auto", "source", "ucarp-password \0"]
            ),
            max_size=12,
        )
    )
    def test_anything(self, lines: list[str]) -> None:
        """
        No text is too much.
        """
        self.convert("\n".join(lines))
        checked.problemsIn(self.conversion)
