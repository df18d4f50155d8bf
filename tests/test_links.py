"""
Tests for L{txcarp.links}.
"""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from txcarp.addresses import parseAddress
from txcarp.links import InterfaceAddress


class AddressTests(SynchronousTestCase):
    """
    L{InterfaceAddress}.
    """

    def test_covers(self) -> None:
        """
        Which addresses are in a network.
        """
        for text, length, inside, outside in (
            ("10.1.1.1", 24, "10.1.1.255", "10.1.2.1"),
            ("10.1.1.1", 32, "10.1.1.1", "10.1.1.0"),
            ("10.1.1.1", 0, "192.0.2.1", "::"),
            ("fd00::1", 64, "fd00::ffff:0:0:1", "fd00:0:0:1::1"),
        ):
            local = parseAddress(text)
            network = InterfaceAddress(2, socket.AF_INET, length, local)
            self.assertTrue(network.covers(parseAddress(inside)), text)
            self.assertFalse(network.covers(parseAddress(outside)), text)
