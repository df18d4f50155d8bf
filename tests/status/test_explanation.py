"""
Tests for L{txcarp.status.explanation} and L{txcarp.protocol.explain}.
"""

from __future__ import annotations

import socket

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests import crafted
from tests.fakes import INTERFACE, Stage
from txcarp.change import Change
from txcarp.membership.participation import RESIGNATION
from txcarp.protocol.actor import Actor
from txcarp.protocol.dialect import DIALECTS
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.events import HoldReason
from txcarp.protocol.explain import compare
from txcarp.protocol.timing import Peer, Timing
from txcarp.status.explanation import Explanation
from txcarp.status.parts import HoldStatus, PastChange

_PLACE = f"vhid {crafted.VHID} on {INTERFACE}"


def heard(stage: Stage, **fields: int) -> list[str]:
    """
    Let a host hear an advertisement half a second after its start, and explain itself.
    """
    stage.start()
    stage.run(0.5)
    stage.deliver(**fields)
    stage.run(0.25)
    return stage.host.explain().lines()


class ExplanationTests(SynchronousTestCase):
    """
    What hosts say about themselves.
    """

    def test_preferred(self) -> None:
        """
        A backup says why the master is preferred, and when it would take over.
        """
        stage = Stage(advskew=200, neutral=True, title="dns")
        stage.host.demote("resolver", 30)
        first, *lines, last = heard(stage, advskew=100)
        self.assertRegex(
            first, rf"^dns \({_PLACE}\): BACKUP since \d\d:\d\d:\d\d, 0\.8 s ago\.$"
        )
        self.assertEqual(
            lines[:3],
            [
                f"{crafted.PEER} is master, and advertises every 1.39 s (advbase 1, advskew 100).",
                "As master, this host would advertise every 1.90 s (advbase 1, advskew 230: 200, "
                "demoted by 30 for 'resolver').",
                f"Therefore {crafted.PEER} is preferred.",
            ],
        )
        self.assertRegex(
            lines[3],
            rf"^If {crafted.PEER} falls silent, this host takes over at \d\d:\d\d:\d\d\.\d\.$",
        )
        self.assertRegex(last, r"^  \d\d:\d\d:\d\d\.\d\d\d  INIT -> BACKUP: started$")

    def test_lessPreferred(self) -> None:
        """
        A preferred backup that does not preempt says that.
        """
        lines = heard(Stage(neutral=True), advskew=9)
        self.assertIn("This host is preferred, but does not take over", "\n".join(lines))

    def test_tie(self) -> None:
        """
        Of two equally preferred hosts, the address decides.
        """
        lines = heard(Stage(advskew=9, neutral=True), advskew=9)
        words = "\n".join(lines)
        wins = f"The two are equally preferred, and {crafted.PEER} wins the tie."
        stays = "This host is preferred, but does not take over"
        self.assertEqual((wins in words) + (stays in words), 1)

    def test_preempting(self) -> None:
        """
        A host whose preemption delay has passed takes over at the next advertisement.
        """
        stage = Stage(neutral=True, preempt=True, preemptDelay=0.6)
        lines = heard(stage, advskew=9)
        self.assertIn(
            f"This host takes over when it hears {crafted.PEER} again: "
            f"{Reason.PREEMPTION.value}.",
            lines,
        )
        stage.deliver(advskew=9)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_noMaster(self) -> None:
        """
        A backup that hears nobody says when it takes over, which it then does.
        """
        stage = Stage(neutral=True)
        stage.start()
        stage.run(1)
        explanation = stage.host.explain()
        words = "\n".join(explanation.lines())
        self.assertIn("No master is heard.", words)
        self.assertRegex(words, r"If no master is heard, this host takes over at ")
        assert explanation.status.deadline is not None
        stage.run(explanation.status.deadline + 0.01)
        self.assertIs(stage.host.role, Role.MASTER)

    def test_master(self) -> None:
        """
        A master says how often it advertises, and what it would do if it heard the others.
        """
        stage = Stage(neutral=True, advskew=50)
        stage.start()
        stage.deliver(advskew=9)
        stage.run(4)
        lines = stage.host.explain().lines()
        self.assertIn(": MASTER since ", lines[0])
        self.assertEqual(
            lines[1], "This host advertises every 1.20 s (advbase 1, advskew 50)."
        )
        self.assertIn("advertised every 1.04 s (advbase 1, advskew 9)", lines[2])
        self.assertTrue(lines[2].endswith("this host would leave it the group."), lines[2])
        self.assertIn(f"BACKUP -> MASTER: {Reason.SILENCE.value} (", lines[-1])
        stage.deliver(advskew=9)
        self.assertIs(stage.host.role, Role.BACKUP)

    def test_stopped(self) -> None:
        """
        A host that does not run says that.
        """
        self.assertEqual(
            Stage().host.explain().lines(),
            [
                f"{_PLACE}: INIT.",
                "This host takes no part in the group, because it is stopped.",
            ],
        )

    def test_holds(self) -> None:
        """
        Each reason that holds a host back is in the explanation, with its end if it has one.
        """
        stage = Stage()
        stage.start()
        explanation = stage.host.explain()
        for reason in HoldReason:
            for left, words in ((None, ""), (2.5, " for 2.5 s more")):
                status = attrs.evolve(
                    explanation.status, holds=[HoldStatus(reason, left, "so it is")]
                )
                lines = Explanation(status, {}).lines()
                if reason is HoldReason.DRAINED:
                    continue
                self.assertIn(
                    f"This host is held back from the election{words}: {reason.value} (so it is).",
                    lines,
                )

    def test_drained(self) -> None:
        """
        A drained host says by whom and until when, whether there is a master, and what to do.
        """
        stage = Stage()
        stage.start()
        explanation = stage.host.explain()
        actor = Actor(0, "root", 4711)
        for master, left, by in (("10.1.1.2", 150.0, actor), ("", None, None)):
            hold = HoldStatus(HoldReason.DRAINED, left, "", by)
            status = attrs.evolve(explanation.status, holds=[hold], master=master, deadline=None)
            lines = Explanation(status, {}).lines()
            self.assertEqual("No other host is heard as master." in lines, not master)
            terms = " by root, uid 0, process 4711 until 08:02:30" if master else ""
            self.assertIn(f"This host is drained{terms}, and stays out of the election.", lines)
            self.assertIn(
                "To have it take part again, run 'txcarp resume eth7:10' here.", lines
            )

    def test_changes(self) -> None:
        """
        Each reason for a change of role is in the history, with its peer; a day later with the
        date.
        """
        stage = Stage()
        stage.start()
        explanation = stage.host.explain()
        for reason in Reason:
            change = Change(
                Role.BACKUP, Role.MASTER, reason, 7, "eth0", (), peer="10.0.0.9", detail="why"
            )
            status = attrs.evolve(
                explanation.status, changes=[PastChange(90000.0, change), PastChange(5.0, change)]
            )
            *_, old, new = Explanation(status, {}).lines()
            words = rf"MASTER -> BACKUP: {reason.value} \(why\), peer 10\.0\.0\.9$"
            self.assertRegex(old, r"^  [A-Z]\w\w \d\d \d\d:\d\d:\d\d\.000  " + words)
            self.assertRegex(new, r"^  \d\d:\d\d:\d\d\.\d\d\d  " + words)

    def history(self, stage: Stage) -> list[str]:
        """
        The history of a host, without times.
        """
        lines = stage.host.explain().lines()
        return [line[16:] for line in lines if line.startswith("  ")]

    def test_actors(self) -> None:
        """
        Whatever was asked for is in the history with who asked, before what followed from it.
        """
        root, signal = Actor(0, "root", 4711), Actor.signal("SIGUSR2")
        stage = Stage(neutral=True)
        stage.start()
        for ask in (
            lambda: stage.host.claim(root),
            lambda: stage.host.demote("upgrade", 50, root),
            lambda: stage.host.promote("upgrade", Actor(1000, "", 7)),
            lambda: stage.host.resign(signal),
        ):
            stage.run(0.01)
            ask()
        stage.run(RESIGNATION + 0.1)
        self.assertEqual(
            self.history(stage),
            [
                "INIT -> BACKUP: started",
                "BACKUP -> MASTER: asked to take over (by root, uid 0, process 4711)",
                "demoted by 50 (in all, by 50): upgrade (by root, uid 0, process 4711)",
                "a demotion has ended (in all, demoted by 0): upgrade (by uid 1000, process 7)",
                "held back from the election for 3 s: handed over on request (by SIGUSR2)",
                "MASTER -> BACKUP: asked to hand over (by SIGUSR2)",
                "takes part in the election again: the hold has ended (handed over on request)",
            ],
        )

    def test_actorAfterRelease(self) -> None:
        """
        A master that releases everything before it hands over remembers who asked.
        """
        signal = Actor.signal("SIGUSR2")
        stage = Stage(neutral=True, releaseFirst=True)
        stage.becomeMaster()
        stage.host.resign(signal)
        stage.run(0.1)
        self.assertIs(stage.host.role, Role.BACKUP)
        self.assertEqual(stage.host.status().changes[-1].change.actor, signal)
        self.assertEqual([hold.actor for hold in stage.host.status().holds], [signal])

    def test_causes(self) -> None:
        """
        A lost link, a check and the addresses of a peer are there, each with its moment.
        """
        stage = Stage(neutral=True)
        stage.becomeMaster()
        since = stage.host.status().time
        stage.run(0.25)
        stage.links.change(running=False)
        stage.run(0.25)
        stage.links.change(running=True)
        stage.run(0.5)
        stage.deliver(advskew=9)
        status = stage.host.status()
        held, released = status.history
        self.assertAlmostEqual(status.time - held.age - since, 0.25)
        self.assertAlmostEqual(released.age, 0.5)
        self.assertEqual(
            self.history(stage)[-3:],
            [
                "held back from the election: no link",
                "MASTER -> BACKUP: the interface cannot be used",
                "takes part in the election again: the hold has ended (no link)",
            ],
        )

    def test_findings(self) -> None:
        """
        A problem is there with the host that has it, once for each host, however long it lasts,
        and does not push older causes out.
        """
        stage = Stage(neutral=True)
        stage.becomeMaster()
        stage.links.change(running=False)
        stage.links.change(running=True)
        for minute in range(30):
            stage.deliver(badDigest=True, source=f"10.99.0.{77 + minute % 2}")
            stage.run(61)
        found = [line for line in self.history(stage) if line.startswith("finding foreign-group")]
        self.assertEqual(len(found), 2, found)
        for line in found:
            self.assertRegex(line, r"10\.99\.0\.7[78] uses vhid \d+ with another password")
        self.assertIn("held back from the election: no link", self.history(stage))


class ForecastTests(SynchronousTestCase):
    """
    What is said will happen.
    """

    @settings(max_examples=60, deadline=None)
    @given(
        st.integers(0, 254),
        st.integers(-30, 240),
        st.booleans(),
        st.booleans(),
        st.tuples(st.integers(1, 3), st.integers(0, 254)),
        st.sampled_from(["ucarp", "freebsd", "openbsd"]),
    )
    def test_comparison(
        self,
        advskew: int,
        demotion: int,
        preempt: bool,
        asMaster: bool,
        said: tuple[int, int],
        dialect: str,
    ) -> None:
        """
        A host does at the next advertisement of a peer what the comparison says.
        """
        stage = Stage(advskew=advskew, preempt=preempt, neutral=True, dialect=DIALECTS[dialect])
        stage.host.demote("test", demotion)
        stage.start()
        if asMaster:
            stage.run(20)
            self.assertIs(stage.host.role, Role.MASTER)
        advbase, skew = said
        before = stage.host.role
        # The forecast before anything is heard: the peer is not in the table yet.
        assert stage.host._run is not None
        peer = Peer(Timing(advbase, skew), socket.inet_aton(crafted.PEER))
        forecast = compare(stage.host._run.parts.standing, peer)
        stage.deliver(advbase=advbase, advskew=skew)
        after = stage.host.role
        if before is Role.MASTER:
            self.assertEqual(after is Role.BACKUP, forecast.yields)
        else:
            self.assertEqual(after is Role.MASTER, forecast.takesOver is not None)
            if forecast.takesOver is not None:
                self.assertIs(stage.host.status().changes[-1].change.reason, forecast.takesOver)
