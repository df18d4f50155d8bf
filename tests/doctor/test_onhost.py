"""
Tests for L{txcarp.doctor.onhost}.
"""

from __future__ import annotations

from tests.doctor.case import (
    OTHER,
    OWN,
    OWN6,
    SHARED,
    SHARED6,
    JudgeCase,
    address,
    group,
    host,
    link,
    master,
    path,
    path6,
)
from txcarp.doctor.facts import BridgePort, Daemon

_DADFAILED = 0x08


class InterfaceTests(JudgeCase):
    """
    The interface of the group.
    """

    def test_healthy(self) -> None:
        """
        There is no complaint about a healthy host, as backup or as master.
        """
        self.assertEqual(self.judged(host(), path(), path6()), [])
        addresses = [address(OWN), address(SHARED)]
        here = master(OWN, isHere=True)
        self.assertEqual(self.judged(host(addresses=addresses), path(advertisers=[here])), [])

    def test_missing(self) -> None:
        """
        Without the interface there is nothing else to complain about.
        """
        found = self.only(host(links=[link(name="lo")]), path(source=b""))
        self.assertEqual(found.ailment.value, "no-interface")
        self.assertIn("there are: lo", found.seen)

    def test_down(self) -> None:
        """
        An interface that is switched off is switched on.
        """
        found = self.only(host(links=[link(up=False, running=False)]), path())
        self.assertEqual(found.ailment.value, "interface-down")
        self.assertEqual(found.commands, ("ip link set eth0 up",))

    def test_carrier(self) -> None:
        """
        There is no carrier.
        """
        found = self.only(host(links=[link(running=False)]), path(partners=[]))
        self.assertEqual(found.ailment.value, "no-carrier")

    def test_port(self) -> None:
        """
        A port of a bridge receives nothing.
        """
        links = [link(master=3, portOf="bridge"), link(index=3, name="br0", kind="bridge")]
        found = self.only(host(links=links), path(partners=[]))
        self.assertEqual(found.ailment.value, "port-of-bridge")
        self.assertIn("-i br0", found.commands[0])
        links = [link(master=3, portOf="vrf"), link(index=3, name="red", kind="vrf")]
        self.assertEqual(self.judged(host(links=links), path()), [])

    def test_bridgePort(self) -> None:
        """
        A port of the bridge does not forward, so that the bridge has no carrier.
        """
        bridge = link(kind="bridge", running=False)
        ports = [BridgePort("port1", 2, False), BridgePort("port2", 9, False)]
        found = self.only(host(links=[bridge], ports=ports), path(partners=[]))
        self.assertEqual(found.ailment.value, "bridge-port")
        self.assertIn("port1", found.seen)

    def test_source(self) -> None:
        """
        The source is missing.
        """
        found = self.only(host(addresses=[]), path(partners=[]))
        self.assertEqual(found.ailment.value, "no-source")
        self.assertIn("10.1.1.1", found.seen)
        found = self.only(host(addresses=[]), path6(source=b"", partners=[]))
        self.assertIn("link-local", found.seen)

    def test_ipv6(self) -> None:
        """
        IPv6 is switched off, or impossible.
        """
        found = self.only(host(withoutIPv6=frozenset(["eth0"])), path6(partners=[]))
        self.assertEqual(found.ailment.value, "ipv6-off")
        self.assertEqual(found.commands, ("sysctl net.ipv6.conf.eth0.disable_ipv6=0",))
        self.assertEqual(self.judged(host(withoutIPv6=frozenset(["eth0"])), path()), [])
        found = self.only(host(links=[link(mtu=1000)]), path6(partners=[]))
        self.assertEqual(found.ailment.value, "small-mtu")


class AddressTests(JudgeCase):
    """
    Addresses that are where they should not be.
    """

    def test_leftover(self) -> None:
        """
        A host that does not advertise has an address of the group, on any interface.
        """
        links = [link(), link(index=3, name="eth1")]
        addresses = [address(OWN), address(SHARED, 3)]
        facts = host(links=links, addresses=addresses)
        found = self.only(facts, path(advertisers=[master()]))
        self.assertEqual(found.ailment.value, "leftover-address")
        self.assertEqual(found.commands, ("ip address del 10.1.1.252/24 dev eth1",))

    def test_lease(self) -> None:
        """
        An address that will end is left to its end.
        """
        addresses = [address(OWN), address(SHARED, validLifetime=2)]
        self.assertEqual(self.judged(host(addresses=addresses), path()), [])

    def test_unheard(self) -> None:
        """
        A host that was not listened to for long enough may be master.
        """
        facts = host(addresses=[address(OWN), address(SHARED)])
        slow = group(advbase=10)
        self.assertEqual(self.judged(facts, path(group=slow)), [])
        self.assertEqual(self.judged(facts, path(isListening=False)), [])

    def test_otherFamily(self) -> None:
        """
        A master that advertises in one family has the addresses of both.
        """
        both = group(addresses=["10.1.1.252", "fd00::252"])
        facts = host(addresses=[address(OWN), address(OWN6), address(SHARED6)])
        here = master(OWN, isHere=True)
        paths = path(group=both, advertisers=[here]), path6(group=both)
        self.assertEqual(self.judged(facts, *paths), [])

    def test_duplicate(self) -> None:
        """
        The kernel has found another host with an address.
        """
        addresses = [
            address(OWN),
            address(OWN6),
            address(SHARED6, flags=_DADFAILED, validLifetime=5),
        ]
        found = self.only(host(addresses=addresses), path6())
        self.assertEqual(found.ailment.value, "duplicate-address")
        self.assertIn("ip -6 address del fd00::252/64 dev eth0", found.commands)
        elsewhere = address(SHARED6, 3, flags=_DADFAILED, validLifetime=5)
        self.assertEqual(self.judged(host(addresses=[address(OWN6), elsewhere]), path6()), [])


class DaemonTests(JudgeCase):
    """
    The processes that run the group.
    """

    def daemons(self, *daemons: Daemon) -> dict[tuple[str, int], tuple[Daemon, ...]]:
        return {("eth0", 7): daemons}

    def test_two(self) -> None:
        """
        Two programs run the group.
        """
        both = self.daemons(Daemon("txcarp", 5), Daemon("ucarp", 6))
        found = self.only(host(daemons=both), path())
        self.assertEqual(found.ailment.value, "two-daemons")
        self.assertIn("txcarp (process 5) and ucarp (process 6)", found.seen)
        self.assertIn("kill 6", found.commands[0])
        self.assertEqual(self.judged(host(daemons=self.daemons(Daemon("ucarp", 6))), path()), [])

    def test_capabilities(self) -> None:
        """
        Only what the group needs is missed.
        """
        raw = self.daemons(Daemon("txcarp", 5, frozenset([13])))
        self.assertEqual(self.judged(host(daemons=raw), path()), [])
        found = self.only(host(daemons=raw), path(group=group(assign=True)))
        self.assertEqual(found.ailment.value, "missing-capability")
        self.assertIn("without CAP_NET_ADMIN", found.seen)
        unknown = self.daemons(Daemon("txcarp", 5))
        self.assertEqual(self.judged(host(daemons=unknown), path(group=group(assign=True))), [])

    def test_memory(self) -> None:
        """
        The memory of a daemon with several groups is complained about once.
        """
        daemon = Daemon("txcarp", 5, frozenset([12, 13]), 0)
        facts = host(daemons={("eth0", 7): (daemon,), ("eth0", 8): (daemon,)})
        found = self.only(facts, path(), path(group=group(vhid=8, title="dns")))
        self.assertEqual(found.ailment.value, "unlocked-memory")
        locked = self.daemons(Daemon("txcarp", 5, None, 4096))
        self.assertEqual(self.judged(host(daemons=locked), path()), [])

    def test_other(self) -> None:
        """
        A daemon here has other settings than those that are examined.
        """
        own = master(OWN, isHere=True, isMember=False)
        found = self.only(host(), path(advertisers=[own, master(OTHER)]))
        self.assertEqual(found.ailment.value, "other-settings")
        self.assertIn("txcarp reload", found.commands[0])
