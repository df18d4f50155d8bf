"""
Tests for L{txcarp.netlink.messages} and L{txcarp.netlink.requests}.
"""

from __future__ import annotations

import base64
import socket
import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from txcarp.links import InterfaceAddress, Link
from txcarp.netlink.format import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    NetlinkError,
    Request,
    attribute,
    nested,
    readAttributes,
)
from txcarp.netlink.messages import (
    RTM_DELLINK,
    RTM_NEWADDR,
    RTM_NEWLINK,
    getAddresses,
    getLinks,
    parseAddress,
    parseAll,
    parseLink,
)
from txcarp.netlink.requests import (
    IFA_F_NODAD,
    IFA_F_NOPREFIXROUTE,
    delAddress,
    delLink,
    newAddress,
    newMacvlan,
    setLink,
)

V4 = socket.inet_aton("10.99.0.252")
V6 = socket.inet_pton(socket.AF_INET6, "fd00::252")

# Bodies of what the kernel (6.18, x86_64) sent: a veth, with all its statistics and settings...
VETH = zlib.decompress(
    base64.b85decode(
        "c-"
        "qxdJxc>Y5PiG%m4v9L1Ox>?@EZ$*ib9N^(H~$VmLeWlDFI`Bg@uJbB7eq4>}+iXwXm|VJ7@ML=$(?NLC"
        "^=s+hJ#C-"
        "t4{u6f}T}ufWK{LU3|e<aGuexVHcYK3p(&n;Zuf#QQdG9p+hVns^RT#N03Y1H#L~gQiyolae<@ks>Y$u"
        "L`dTFX1Kfh|7|{A$5jK9S6fuCLWQxGZGgKyG9lBmgt@^oa33V?%bP2UTdn&0It!C1~ihW<A31*USf{l("
        "4WUN-D%vxM-"
        "O>N;grl1ztNbym4gS1b6p%AS8G8nK+)>M1)V#GO4L)S5AV2L`1JJb<utf{UFS%rq8ShtNH2R~|I$K!Cq"
        "DBmGqNk$?`e(fo_g0?{jiipxUIn9uI9V>IN#pm_jIe2W;D5<@M)pxzJcA)9_vr%%_|GzZQi*~@!22!S9"
        "FX0uj($7$Gso+D136#Ay+a+(b=-Mjg`>GdiV;uEkf7"
    )
)
# ...and two addresses, the second added with a lifetime, flags and a protocol.
ADDRESS = bytes.fromhex(
    "0218800002000000080001000a630001080002000a63000109000300657468300000000008000800"
    "8000000014000600ffffffffffffffff62c5030062c50300"
)
LEASE = bytes.fromhex(
    "0a8002000200000014000100fd000000000000000000000000000252140006001500000033000000"
    "62c5030062c50300080008000202000005000b0070000000"
)


def message(request: Request) -> Message:
    """
    Make the message that the kernel would receive.
    """
    return Message(request.type, request.flags, 1, 0, request.body)


class LinkTests(SynchronousTestCase):
    """
    Links in messages.
    """

    def test_veth(self) -> None:
        """
        A message of the kernel is parsed as the link that it describes.
        """
        self.assertEqual(
            parseLink(Message(RTM_NEWLINK, 0, 0, 0, VETH)),
            Link(
                index=2,
                name="eth0",
                up=True,
                running=True,
                address=bytes.fromhex("02cae506d337"),
                kind="veth",
                hardwareType=1,
                parent=1001,
                mtu=1500,
            ),
        )

    def body(self, flags: int = 0, family: int = 0, extra: bytes = b"") -> bytes:
        """
        Make the shortest body of a link.
        """
        return struct.pack("=BxHiII", family, 1, 5, flags, 0) + attribute(3, b"eth5\0") + extra

    def test_running(self) -> None:
        """
        A link can be up without running; one that is not up does not run, whatever the other
        flags are.
        """
        states = {}
        for flags in (0, 0x1, 0x40, 0x41):
            link = parseLink(Message(RTM_NEWLINK, 0, 0, 0, self.body(flags)))
            assert link is not None
            states[flags] = (link.up, link.running)
        self.assertEqual(
            states, {0: (False, False), 1: (True, False), 0x40: (False, False), 0x41: (True, True)}
        )

    def test_alias(self) -> None:
        """
        The alias of a link is parsed as it was requested.
        """
        asked = readAttributes(setLink(5, alias="für later").body[16:])
        self.assertEqual(asked, {20: "für later".encode()})
        link = parseLink(
            Message(RTM_NEWLINK, 0, 0, 0, self.body(extra=attribute(20, asked[20] + b"\0")))
        )
        assert link is not None
        self.assertEqual(link.alias, "für later")

    def test_enslaved(self) -> None:
        """
        A port of a bridge or a bond is enslaved.  One of a VRF is not, nor is one of a kind that is
        not known: it may receive all packets itself.
        """
        for kind, isEnslaved in (("bridge", True), ("bond", True), ("vrf", False), (None, False)):
            info = b"" if kind is None else nested(18, attribute(4, kind.encode() + b"\0"))
            extra = attribute(10, struct.pack("=I", 9)) + info
            link = parseLink(Message(RTM_NEWLINK, 0, 0, 0, self.body(extra=extra)))
            assert link is not None
            self.assertEqual((link.portOf, link.isEnslaved), (kind, isEnslaved))

    def test_leavingABridge(self) -> None:
        """
        The C{RTM_DELLINK} of a port that leaves a bridge is not the deletion of the link.
        """
        self.assertIsNone(
            parseLink(Message(RTM_DELLINK, 0, 0, 0, self.body(family=socket.AF_BRIDGE)))
        )

    def test_wirelessEvent(self) -> None:
        """
        An event of a wireless driver does not describe the link.
        """
        body = self.body(extra=attribute(11, b"news"))
        self.assertIsNone(parseLink(Message(RTM_NEWLINK, 0, 0, 0, body)))

    def test_port(self) -> None:
        """
        The master of a port is found; 0 means that there is none.
        """
        for number, master in ((7, 7), (0, None)):
            body = self.body(extra=attribute(10, struct.pack("=I", number)))
            link = parseLink(Message(RTM_NEWLINK, 0, 0, 0, body))
            assert link is not None
            self.assertEqual(link.master, master)

    def test_operational(self) -> None:
        """
        The operational state is parsed, and does not make links different.
        """
        links = []
        for state, expected in ((b"\6", True), (b"\0", False), (b"\2", False)):
            link = parseLink(Message(RTM_NEWLINK, 0, 0, 0, self.body(extra=attribute(16, state))))
            assert link is not None
            self.assertIs(link.operational, expected)
            links.append(link)
        self.assertEqual(links[0], links[1])

    def test_withoutName(self) -> None:
        """
        A link without a name is malformed.
        """
        body = struct.pack("=BxHiII", 0, 1, 5, 0, 0)
        error = self.assertRaises(NetlinkError, parseLink, Message(16, 0, 0, 0, body))
        self.assertIn("index 5 and name ''", str(error))

    @given(st.binary(max_size=120))
    def test_anyBytes(self, body: bytes) -> None:
        """
        Any bytes raise L{NetlinkError}, or nothing, also behind a good header.
        """
        for data in (body, self.body() + body, self.body(extra=nested(18, body))):
            for parse in (parseLink, parseAddress):
                try:
                    parse(Message(RTM_NEWLINK, 0, 0, 0, data))
                except NetlinkError:
                    pass

    @given(st.integers(0, len(VETH)))
    def test_cutOff(self, length: int) -> None:
        """
        A message that is cut off gives an error, or a link with the same name and index.
        """
        try:
            link = parseLink(Message(RTM_NEWLINK, 0, 0, 0, VETH[:length]))
        except NetlinkError:
            return
        assert link is not None
        self.assertEqual((link.index, link.name), (2, "eth0"))


class AddressTests(SynchronousTestCase):
    """
    Addresses in messages, and requests for addresses.
    """

    def test_kernel(self) -> None:
        """
        A message of the kernel is parsed as the address that it describes.
        """
        self.assertEqual(
            parseAddress(Message(RTM_NEWADDR, 0, 0, 0, ADDRESS)),
            InterfaceAddress(2, socket.AF_INET, 24, socket.inet_aton("10.99.0.1"), flags=0x80),
        )

    def test_lease(self) -> None:
        """
        Lifetimes, all 32 bits of flags and the mark of an address are parsed.
        """
        self.assertEqual(
            parseAddress(Message(RTM_NEWADDR, 0, 0, 0, LEASE)),
            InterfaceAddress(
                index=2,
                family=socket.AF_INET6,
                prefixLength=128,
                local=V6,
                flags=IFA_F_NODAD | IFA_F_NOPREFIXROUTE,
                validLifetime=51,
                preferredLifetime=21,
                protocol=112,
            ),
        )

    @given(
        st.sampled_from([V4, V6]),
        st.integers(0, 32),
        st.none() | st.integers(1, 2**32 - 2),
        st.integers(0, 2**32 - 1),
        st.none() | st.integers(1, 255),
    )
    def test_roundTrip(
        self,
        local: bytes,
        prefixLength: int,
        lifetime: int | None,
        flags: int,
        protocol: int | None,
    ) -> None:
        """
        A requested address is parsed as it was requested.
        """
        request = newAddress(
            3, local, prefixLength, validLifetime=lifetime, flags=flags, protocol=protocol
        )
        self.assertEqual(
            parseAddress(message(request)),
            InterfaceAddress(
                index=3,
                family=socket.AF_INET if local is V4 else socket.AF_INET6,
                prefixLength=prefixLength,
                local=local,
                flags=flags,
                validLifetime=lifetime,
                preferredLifetime=lifetime,
                protocol=protocol,
            ),
        )

    def test_preferredLifetime(self) -> None:
        """
        The preferred lifetime of an address may be shorter than its lifetime.
        """
        request = newAddress(3, V4, 32, validLifetime=9, preferredLifetime=4)
        address = parseAddress(message(request))
        self.assertEqual((address.validLifetime, address.preferredLifetime), (9, 4))

    def test_farEnd(self) -> None:
        """
        The near address of a point-to-point link is parsed.
        """
        body = struct.pack("=BBBBI", 2, 32, 0, 0, 4)
        body += attribute(1, socket.inet_aton("10.0.0.2")) + attribute(2, V4)
        self.assertEqual(parseAddress(Message(RTM_NEWADDR, 0, 0, 0, body)).local, V4)

    def test_wrongSize(self) -> None:
        """
        An address without the size of its family is refused.
        """
        body = struct.pack("=BBBBI", 2, 32, 0, 0, 4) + attribute(2, V6)
        error = self.assertRaises(NetlinkError, parseAddress, Message(20, 0, 0, 0, body))
        self.assertIn("family 2 of 16 bytes, expected 4", str(error))

    def test_addOrRenew(self) -> None:
        """
        A request for a new address has C{NLM_F_EXCL}; one for a renewal adds the address if it
        is gone.
        """
        self.assertEqual(newAddress(1, V4, 32).flags, NLM_F_CREATE | NLM_F_EXCL)
        self.assertEqual(newAddress(1, V4, 32, replace=True).flags, NLM_F_CREATE | NLM_F_REPLACE)

    def test_flags(self) -> None:
        """
        Flags beyond the eight bits of the header are sent, too.
        """
        address = parseAddress(message(newAddress(1, V6, 128, flags=0x202)))
        self.assertEqual(address.flags, IFA_F_NODAD | IFA_F_NOPREFIXROUTE)

    def test_refused(self) -> None:
        """
        The errors for values that no kernel accepts have the value and what was expected.
        """
        for arguments, words in (
            ({"validLifetime": 0}, "validLifetime 0, expected whole seconds, 1 or more"),
            ({"validLifetime": 1.5}, "validLifetime 1.5, expected whole seconds"),
            (
                {"validLifetime": 3, "preferredLifetime": 4},
                "preferredLifetime 4, expected at most validLifetime 3",
            ),
            ({"protocol": 0}, "address protocol 0, expected 1 to 255"),
        ):
            error = self.assertRaises(ValueError, newAddress, 1, V4, 32, **arguments)
            self.assertIn(words, str(error))
        self.assertRaises(ValueError, newAddress, 1, V4, 33)
        self.assertRaises(ValueError, newAddress, 1, b"abc", 3)
        self.assertRaises(ValueError, delAddress, 1, V6, 129)


class RequestTests(SynchronousTestCase):
    """
    Requests for links and routes.
    """

    def test_dumps(self) -> None:
        """
        Lists are requested as dumps, other things are not.
        """
        self.assertTrue(getLinks().isDump and getAddresses().isDump)
        for request in (newAddress(1, V4, 32), newAddress(1, V4, 32, replace=True), delLink(1)):
            self.assertFalse(request.isDump)

    def test_macvlanMode(self) -> None:
        """
        The error for an unknown mode names it.
        """
        error = self.assertRaises(ValueError, newMacvlan, "carp1", 2, mode="vepa")
        self.assertIn("'vepa', expected one of private, bridge", str(error))

    def test_names(self) -> None:
        """
        Names that no kernel accepts are refused.
        """
        for name in ("", "sixteencharacter"):
            self.assertRaises(ValueError, setLink, 1, name=name)

    def test_upOnlyWhenAsked(self) -> None:
        """
        A link is switched on or off only if that is requested.
        """
        flags = [struct.unpack_from("=II", setLink(1, up=up).body, 8) for up in (None, True, False)]
        self.assertEqual(flags, [(0, 0), (1, 1), (0, 1)])

    def test_parseAll(self) -> None:
        """
        Messages that describe no whole link are left out of a list.
        """
        good = Message(RTM_NEWLINK, 0, 0, 0, VETH)
        bridge = Message(RTM_NEWLINK, 0, 0, 0, b"\7" + VETH[1:])
        self.assertEqual(parseAll([bridge, good], parseLink), [parseLink(good)])
