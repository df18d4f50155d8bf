"""
Tests for L{txcarp.doctor.onpath}, L{txcarp.doctor.drops} and L{txcarp.doctor.losses}.
"""

from __future__ import annotations

import errno

import attrs

from tests.doctor.case import (
    ELSEWHERE,
    EVERYTHING,
    OTHER,
    OTHER6,
    OWN,
    SHARED,
    THERE,
    JudgeCase,
    address,
    group,
    host,
    link,
    master,
    partner,
    path,
    path6,
    said,
)
from txcarp.doctor import nftables
from txcarp.doctor.examination import untestedIn
from txcarp.doctor.facts import Bridge, Facts
from txcarp.doctor.filtering import Chain, Match, Rule
from txcarp.doctor.packet import Kind, Seen

_FRONT = Seen.MULTICAST_AT_INTERFACE | Seen.UNICAST_AT_INTERFACE | Seen.LARGE_AT_INTERFACE
_MULTICAST = Seen.MULTICAST_AT_INTERFACE | Seen.MULTICAST
_UNICAST = Seen.UNICAST_AT_INTERFACE | Seen.UNICAST
_LARGE = Seen.LARGE_AT_INTERFACE | Seen.LARGE


def chain(*rules: Rule, **changes: object) -> Chain:
    """
    A chain that packets pass when they arrive.
    """
    usual = Chain("nft", "inet filter", "input", "input", 0, False, rules)
    return attrs.evolve(usual, **changes)  # type: ignore[arg-type]


DROPPING = chain(Rule((Match("protocol", (112,)),), "drop"))
UNCERTAIN = chain(Rule((Match(""),), "drop"))
LEAVING = chain(*DROPPING.rules, name="output", hook="output")


class DropTests(JudgeCase):
    """
    What this host drops, and what it does not send.
    """

    def test_rule(self) -> None:
        """
        The rule that drops is named, and the one that mends it.
        """
        found = self.only(host(chains=[DROPPING]), path(partners=[partner(seenHere=_FRONT)]))
        self.assertEqual(found.ailment.value, "firewall")
        self.assertIn("chain input of the nft table inet filter", found.cause)
        self.assertIn("one of its rules drops them", found.cause)
        command = 'nft insert rule inet filter input iifname "eth0" ip protocol 112 accept'
        self.assertEqual(found.commands, (f"{command}    # and in /etc/nftables.conf",))
        self.assertEqual(found.peer, "10.1.1.2")

    def test_ipv6(self) -> None:
        """
        The command is for the family of the packets.
        """
        facts = path6(partners=[partner(OTHER6, seenHere=_FRONT)])
        found = self.only(host(chains=[DROPPING]), facts)
        self.assertIn("ip6 nexthdr 112", found.commands[0])

    def test_policy(self) -> None:
        """
        The policy drops what no rule accepts.
        """
        guarding = chain(isDropping=True)
        found = self.only(host(chains=[guarding]), path(partners=[partner(seenHere=_FRONT)]))
        self.assertIn("its policy drops what no rule accepts", found.cause)

    def test_uncertain(self) -> None:
        """
        A chain that may drop is blamed only if something is dropped, and only if none does for
        certain.
        """
        self.assertEqual(self.judged(host(chains=[UNCERTAIN]), path()), [])
        dropped = path(partners=[partner(seenHere=_FRONT)])
        found = self.only(host(chains=[UNCERTAIN]), dropped)
        self.assertIn("probably drops", found.cause)
        certain = attrs.evolve(DROPPING, name="second", priority=1)
        found = self.only(host(chains=[UNCERTAIN, certain]), dropped)
        self.assertIn("chain second", found.cause)

    def test_alone(self) -> None:
        """
        Rules that drop for certain need no other host, unless something has passed them.
        """
        found = self.only(host(chains=[DROPPING]), path(partners=[]))
        self.assertEqual(found.ailment.value, "firewall")
        facts = path(partners=[], advertisers=[master()])
        self.assertEqual(self.judged(host(chains=[DROPPING]), facts), [])

    def test_advertisements(self) -> None:
        """
        Advertisements that arrive and do not pass show it, too.
        """
        heard = master(atInterface=3, behind=0)
        found = self.only(host(chains=[UNCERTAIN]), path(partners=[], advertisers=[heard]))
        self.assertEqual((found.ailment.value, found.peer), ("firewall", "10.1.1.2"))
        once = master(atInterface=1, behind=0)
        self.assertEqual(self.judged(host(), path(partners=[], advertisers=[once])), [])

    def test_unknown(self) -> None:
        """
        If no rule is known, other places are named.
        """
        found = self.only(host(), path(partners=[partner(seenHere=_FRONT)]))
        self.assertIn("eBPF", found.cause)

    def test_managed(self) -> None:
        """
        Rules of iptables are mended by iptables.
        """
        managed = attrs.evolve(DROPPING, program="iptables", table="ip filter", name="INPUT")
        dropped = path(partners=[partner(seenHere=_FRONT)])
        found = self.only(host(chains=[managed]), dropped)
        command = "iptables -I INPUT 1 -i eth0 -p 112 -j ACCEPT"
        self.assertEqual(found.commands[0].partition("    #")[0], command)
        raw = attrs.evolve(managed, table="ip raw", name="PREROUTING", hook="prerouting")
        found = self.only(host(chains=[raw]), dropped)
        command = "iptables -t raw -I PREROUTING 1 -i eth0 -p 112 -j ACCEPT"
        self.assertEqual(found.commands[0].partition("    #")[0], command)

    def test_firewalld(self) -> None:
        """
        firewalld makes its rules anew, and has to know of this one.
        """
        managed = attrs.evolve(DROPPING, table="inet firewalld", name="filter_INPUT")
        found = self.only(host(chains=[managed]), path(partners=[partner(seenHere=_FRONT)]))
        self.assertIn("firewall-cmd --permanent --add-protocol=vrrp", found.commands[0])

    def test_device(self) -> None:
        """
        A chain of one interface needs no match for that.
        """
        ingress = attrs.evolve(DROPPING, table="netdev t", hook="ingress", device="eth0")
        found = self.only(host(chains=[ingress]), path(partners=[partner(seenHere=_FRONT)]))
        self.assertIn("nft insert rule netdev t input ip protocol 112 accept", found.commands[0])

    def test_reversePath(self) -> None:
        """
        rp_filter is to blame only if the way back is another one.
        """
        links = [link(), link(index=3, name="eth1")]
        dropped = path(partners=[partner(seenHere=_FRONT)])
        facts = host(links=links, reversePath={"eth0": 1}, returns={OTHER: 3})
        found = self.only(facts, dropped)
        self.assertEqual(found.ailment.value, "reverse-path")
        self.assertIn("would go by eth1", found.cause)
        nowhere = host(reversePath={"eth0": 2}, returns={OTHER: 0})
        self.assertIn("would go nowhere", self.only(nowhere, dropped).cause)
        for mode, back in ((1, 2), (2, 3), (0, 3)):
            facts = host(links=links, reversePath={"eth0": mode}, returns={OTHER: back})
            self.assertEqual(self.only(facts, dropped).ailment.value, "firewall")
        self.assertEqual(self.judged(host(reversePath={"eth0": 1}, returns={OTHER: 3}), path()), [])

    def test_leaving(self) -> None:
        """
        What does not leave is not blamed on the network.
        """
        errors = {Kind.MULTICAST: errno.EPERM, Kind.UNICAST: errno.EPERM}
        deaf = path(sendErrors=errors, partners=[partner(isPresent=False)])
        found = self.only(host(chains=[LEAVING]), deaf)
        command = 'nft insert rule inet filter output oifname "eth0" ip protocol 112 accept'
        self.assertEqual(found.ailment.value, "firewall")
        self.assertIn(command, found.commands[0])
        found = self.only(host(), path(sendErrors={Kind.MULTICAST: errno.ENOBUFS}))
        self.assertIn("cannot send to its group", found.seen)
        found = self.only(host(), path(sendErrors={Kind.UNICAST: errno.ENETUNREACH}))
        self.assertEqual(found.ailment.value, "no-source")
        self.assertEqual(self.judged(host(), path(sendErrors={Kind.LARGE: errno.EMSGSIZE})), [])

    def test_there(self) -> None:
        """
        What the other host drops, its own doctor explains.  That host does not answer ARP if its
        rp_filter is to blame, and this is not said, too.
        """
        facts = path(partners=[partner(seenThere=_FRONT)], answers={})
        found = self.only(host(), facts)
        self.assertEqual(found.ailment.value, "other-firewall")


class LossTests(JudgeCase):
    """
    What the network loses.
    """

    def test_oneWay(self) -> None:
        """
        The other host sees nothing of this one.
        """
        deaf = partner(isPresent=False, seenThere=Seen.NOTHING, seenHere=_MULTICAST)
        found = self.only(host(), path(partners=[deaf], answers={}))
        self.assertEqual((found.ailment.value, found.peer), ("one-way", "10.1.1.2"))
        self.assertNotIn("MLD", found.cause)

    def test_mute(self) -> None:
        """
        With IPv6 that may be MLD snooping, which loses neighbour solicitations, too.
        """
        deaf = partner(OTHER6, isPresent=False, seenThere=Seen.NOTHING, seenHere=_MULTICAST)
        facts = path6(partners=[deaf], answers={})
        self.assertIn("MLD snooping", self.only(host(), facts).cause)
        bridge = host(links=[link(kind="bridge")], bridges={2: Bridge("eth0", True, True)})
        found = self.only(bridge, facts)
        self.assertEqual(found.ailment.value, "multicast-lost")
        self.assertIn("ip link set dev eth0 type bridge mcast_snooping 0", found.commands)

    def test_multicast(self) -> None:
        """
        Multicast is lost in one direction, or in both.
        """
        found = self.only(host(), path(partners=[partner(seenHere=_UNICAST | _LARGE)]))
        self.assertEqual(found.ailment.value, "multicast-lost")
        self.assertIn("from 10.1.1.2 to this host", found.seen)
        self.assertIn("IGMP snooping", found.cause)
        deaf = partner(seenHere=_UNICAST | _LARGE, seenThere=_UNICAST | _LARGE)
        self.assertFound(
            self.judged(host(), path(partners=[deaf])), "multicast-lost", "multicast-lost"
        )

    def test_querier(self) -> None:
        """
        A bridge of this host that snoops is named, with whether there is a querier.
        """
        facts = path(partners=[partner(seenHere=_UNICAST | _LARGE)])
        for hasQuerier, words in ((True, "has a querier"), (False, "has no querier")):
            bridges = {2: Bridge("eth0", True, hasQuerier)}
            found = self.only(host(links=[link(kind="bridge")], bridges=bridges), facts)
            self.assertIn(words, found.cause)
            # Without trouble there is no complaint about snooping.
            self.assertEqual(self.judged(host(bridges=bridges), path()), [])

    def test_unicastGroup(self) -> None:
        """
        A group that only sends unicast does not miss multicast.
        """
        peers = group(peers=["10.1.1.2"])
        facts = path(group=peers, partners=[partner(seenHere=_UNICAST | _LARGE)])
        self.assertEqual(self.judged(host(), facts), [])
        facts = attrs.evolve(facts, group=group(peers=["10.1.1.2"], followPeers=True))
        self.assertFound(self.judged(host(), facts), "multicast-lost")

    def test_unicast(self) -> None:
        """
        Unicast is lost; if ARP is to blame, only that is said.
        """
        facts = path(partners=[partner(seenThere=_MULTICAST)])
        found = self.only(host(), facts)
        self.assertEqual(found.ailment.value, "unicast-lost")
        self.assertIn("from this host to 10.1.1.2", found.seen)
        facts = attrs.evolve(facts, answers={})
        self.assertEqual(self.only(host(), facts).ailment.value, "neighbour-silent")

    def test_large(self) -> None:
        """
        Large packets are lost.
        """
        facts = path(partners=[partner(seenHere=_MULTICAST | _UNICAST)])
        found = self.only(host(), facts)
        self.assertEqual(found.ailment.value, "large-lost")
        self.assertIn("those of 1500 bytes", found.seen)


class DifferenceTests(JudgeCase):
    """
    What differs between the hosts.
    """

    def test_mtu(self) -> None:
        """
        The MTUs differ, which is said once for a host, whatever the group and the family.
        """
        there = said(mtu=9000)
        paths = path(partners=[partner(said=there)]), path6(partners=[partner(OTHER6, said=there)])
        found = self.only(host(), *paths)
        self.assertEqual(found.ailment.value, "mtu-differs")
        self.assertIn("ip link set dev eth0 mtu 1500    # on the host with 9000", found.commands[0])

    def test_clocks(self) -> None:
        """
        The clocks differ.
        """
        for distance, words in ((-3.0, "3.0 s behind"), (1.5, "1.5 s ahead of")):
            found = self.only(host(), path(partners=[partner(clockDistance=distance)]))
            self.assertEqual(found.ailment.value, "clocks-apart")
            self.assertIn(words, found.seen)
        for distance in (0.9, -0.9, None):
            self.assertEqual(
                self.judged(host(), path(partners=[partner(clockDistance=distance)])), []
            )

    def test_settings(self) -> None:
        """
        The addresses differ.  The bad digests of the other host follow from that.
        """
        facts = path(
            partners=[partner(hasSameSettings=False)],
            advertisers=[master(isMember=False)],
        )
        self.assertEqual(self.only(host(), facts).ailment.value, "other-settings")

    def test_timing(self) -> None:
        """
        Equal timing matters only without a tie-break.
        """
        facts = path(partners=[partner(said=said(advskew=0))])
        self.assertEqual(self.judged(host(), facts), [])
        facts = attrs.evolve(facts, group=group(dialect="freebsd"))
        self.assertEqual(self.only(host(), facts).ailment.value, "equal-timing")

    def test_password(self) -> None:
        """
        Another password shows in the packets of a doctor, and in advertisements.
        """
        strange = master(isMember=False)
        for facts in (
            path(partners=[], strangers=[OTHER]),
            path(partners=[], strangers=[OTHER], advertisers=[strange]),
            path(partners=[], advertisers=[strange]),
        ):
            found = self.only(host(), facts)
            self.assertEqual((found.ailment.value, found.peer), ("other-password", "10.1.1.2"))
        # While the group changes its password, a host advertises with both.
        self.assertEqual(self.judged(host(), path(advertisers=[strange, master()])), [])

    def test_masters(self) -> None:
        """
        Two hosts that advertise by turns are both master; a take-over is something else.
        """
        both = [master(OWN, isHere=True), master()]
        found = self.only(host(), path(advertisers=both, turns=3))
        self.assertEqual((found.ailment.value, found.peer), ("two-masters", "10.1.1.2"))
        self.assertIn("this host and 10.1.1.2 are master", found.seen)
        self.assertEqual(self.judged(host(), path(advertisers=both, turns=2)), [])

    def test_sameSource(self) -> None:
        """
        Another host has the source of this one.  That its packets are dropped follows from it.
        """
        for facts in (
            path(partners=[partner(OWN, seenHere=_FRONT, seenThere=_FRONT)], asked=[]),
            path(partners=[], advertisers=[master(OWN, behind=0)]),
        ):
            self.assertEqual(self.only(host(), facts).ailment.value, "same-source")
        facts = path(isEchoed=True, advertisers=[master(OWN, behind=0)])
        self.assertEqual(self.only(host(), facts).ailment.value, "own-echo")


class NeighbourTests(JudgeCase):
    """
    ARP and neighbour solicitations.
    """

    def test_silent(self) -> None:
        """
        A host that lives does not answer.
        """
        found = self.only(host(), path(answers={}))
        self.assertEqual((found.ailment.value, found.peer), ("neighbour-silent", "10.1.1.2"))
        self.assertIn("ARP", found.seen)
        self.assertIn("neighbour solicitations", self.only(host(), path6(answers={})).seen)
        # Nothing shows that this one lives.
        self.assertEqual(self.judged(host(), path(partners=[], answers={})), [])

    def test_filter(self) -> None:
        """
        A filter for ARP on this host is named.
        """
        text = (
            '{"nftables": [{"chain": {"family": "arp", "table": "filter", "name": "INPUT", '
            '"hook": "input", "prio": 0, "policy": "drop"}}]}'
        )
        found = self.only(host(chains=nftables.read(text)), path())
        self.assertEqual(found.ailment.value, "neighbour-silent")
        self.assertIn("arptables -I INPUT -i eth0 -j ACCEPT", found.commands[0])

    def test_twice(self) -> None:
        """
        Two hosts answer for an address of the group.
        """
        both = {SHARED: frozenset([THERE, ELSEWHERE])}
        found = self.only(host(), path(asked=[], answers=both))
        self.assertEqual(found.ailment.value, "address-twice")
        self.assertIn("02:00:00:00:00:02 and 02:00:00:00:00:03", found.seen)
        one = path(asked=[], answers={SHARED: frozenset([THERE])})
        self.assertEqual(self.judged(host(), one), [])
        facts = host(addresses=[address(OWN), address(SHARED)])
        here = attrs.evolve(one, advertisers=[master(OWN, isHere=True)])
        self.assertIn("this host and", self.only(facts, here).seen)
        # Without being master, this host has a leftover, and nothing else.
        self.assertEqual(self.only(facts, one).ailment.value, "leftover-address")


class UntestedTests(JudgeCase):
    """
    What could not be tested.
    """

    def test_alone(self) -> None:
        """
        Without another doctor the paths are not tested, and the groups are named.
        """
        [said] = untestedIn(Facts(host(), [path(partners=[]), path6(partners=[])]))
        self.assertIn("the other hosts of web:", said)
        self.assertEqual(list(untestedIn(Facts(host(), [path()], ["x"]))), ["x"])

    def test_everything(self) -> None:
        """
        All marks are known to the report of a healthy pair.
        """
        self.assertEqual(EVERYTHING, ~Seen.NOTHING)
