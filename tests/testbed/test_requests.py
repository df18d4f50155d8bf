"""
Tests for L{txcarp.testbed.requests}.
"""

from __future__ import annotations

import struct

from twisted.trial.unittest import SynchronousTestCase

from tests.netlink.test_messages import message
from txcarp.netlink.format import readAttributes
from txcarp.netlink.messages import parseLink
from txcarp.testbed.requests import newRoute, newVeth


class RequestTests(SynchronousTestCase):
    """
    What the requests say.  L{tests.testbed.test_network} has the kernel do them.
    """

    def test_veth(self) -> None:
        """
        A pair names its ends, and the namespace of the far one.
        """
        request = newVeth("near", "far", peerNamespace=9, peerAddress=b"\2abcde", index=1001)
        link = parseLink(message(request))
        assert link is not None
        self.assertEqual((link.index, link.name, link.kind), (1001, "near", "veth"))
        data = readAttributes(readAttributes(readAttributes(request.body[16:])[18])[2])[1]
        peer = readAttributes(data[16:])
        self.assertEqual(peer, {3: b"far\0", 1: b"\2abcde", 28: struct.pack("=I", 9)})

    def test_defaultRoute(self) -> None:
        """
        A default route has the family of its gateway, and no destination.
        """
        for gateway, family in (("10.99.0.1", 2), ("fd00::1", 10)):
            body = newRoute("default", gateway).body
            self.assertEqual(body[:2], bytes((family, 0)))
            self.assertEqual(set(readAttributes(body[12:])), {5})
