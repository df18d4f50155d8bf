"""
Tests for L{txcarp.doctor.report}.
"""

from __future__ import annotations

import json

from tests.doctor.case import (
    OTHER,
    OWN,
    JudgeCase,
    host,
    link,
    master,
    partner,
    path,
)
from txcarp.doctor.examination import judge
from txcarp.doctor.facts import Daemon, Facts, PathFacts
from txcarp.doctor.packet import Seen
from txcarp.doctor.report import asJSON, text


class ReportTests(JudgeCase):
    """
    What the doctor says.
    """

    def say(self, *paths: PathFacts, untested: tuple[str, ...] = (), up: bool = True) -> str:
        """
        The report as text.
        """
        facts = Facts(host(links=[link(up=up)]), paths)
        return text(facts, judge(facts), untested)

    def test_healthy(self) -> None:
        """
        A healthy pair.
        """
        here = master(OWN, isHere=True)
        self.assertEqual(
            self.say(path(advertisers=[here])).splitlines(),
            [
                "web: vhid 7 on eth0, IPv4 from 10.1.1.1",
                "  advertised by this host",
                "  the doctor on 10.1.1.2: multicast, unicast, large packets in both directions; "
                "clocks",
                "    1.0 ms apart",
                "",
                "No problem found.",
            ],
        )

    def test_nobody(self) -> None:
        """
        Nobody advertises, which need not be wrong.
        """
        self.assertIn("\n  nobody has advertised for 3 s\n", self.say(path()))
        self.assertNotIn("nobody", self.say(path(listened=0.0)))

    def test_directions(self) -> None:
        """
        What arrives in one direction only, behind routers.
        """
        there = partner(seenHere=Seen.MULTICAST, clockDistance=None, hops=1)
        said = self.say(path(partners=[there]), up=False)
        self.assertIn("from there multicast; to there multicast, unicast", said)
        self.assertIn("1 router on the way", said)
        self.assertIn("hears nothing of this", self.say(path(partners=[partner(isPresent=False)])))

    def test_trouble(self) -> None:
        """
        Each complaint has its name, the cause and the commands.
        """
        said = self.say(path(partners=[]), up=False)
        self.assertIn("web eth0: eth0 is switched off. [interface-down]\n", said)
        self.assertIn("  Likely cause: an administrator", said)
        self.assertIn("\n  Do this: ip link set eth0 up\n", said)
        self.assertTrue(said.endswith("\n1 problem found."))
        said = self.say(path(answers={}))
        self.assertIn("  Do this: txcarp doctor\n           # there: it names the rule\n", said)

    def test_advice(self) -> None:
        """
        Advice is not a problem.
        """
        daemons = {("eth0", 7): (Daemon("txcarp", 5, None, 0),)}
        facts = Facts(host(daemons=daemons), [path()])
        said = text(facts, judge(facts), ())
        self.assertIn("not locked. [unlocked-memory, advice]", said)
        self.assertTrue(said.endswith("\nNo problem found."))
        [complaint] = json.loads(asJSON(facts, judge(facts), ()))["complaints"]
        self.assertTrue(complaint["is_advice"])

    def test_untested(self) -> None:
        """
        What was not tested is not said to be well.
        """
        said = self.say(path(), untested=("the rules of nftables: no",))
        self.assertIn("Not tested:\n  - the rules of nftables: no\n", said)
        self.assertTrue(said.endswith("No problem found in what was tested."))

    def test_json(self) -> None:
        """
        The same for programs.
        """
        strange = master(isMember=False)
        facts = Facts(host(), [path(advertisers=[master(), strange], answers={})])
        found = json.loads(asJSON(facts, judge(facts), ["x"]))
        self.assertEqual(found["schema"], 1)
        self.assertEqual(found["untested"], ["x"])
        [complaint] = found["complaints"]
        self.assertEqual(
            (complaint["ailment"], complaint["group"], complaint["interface"], complaint["peer"]),
            ("neighbour-silent", "web", "eth0", "10.1.1.2"),
        )
        [group] = found["paths"]
        self.assertEqual(group["masters"], ["10.1.1.2"])
        [there] = group["doctors"]
        self.assertEqual(there["arrived_there"], ["multicast", "unicast", "large packets"])

    def test_secrets(self) -> None:
        """
        The password is nowhere.
        """
        facts = Facts(host(), [path(partners=[], strangers=[OTHER])])
        for said in (text(facts, judge(facts), ()), asJSON(facts, judge(facts), ()), repr(facts)):
            self.assertNotIn("secret", said)
