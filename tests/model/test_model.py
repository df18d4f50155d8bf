"""
Tests of the exhaustive model, with small groups.
"""

from __future__ import annotations

import io
import random
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from tests.model.__main__ import main
from tests.model.check import Report, check
from tests.model.machine import OFF, Kind, Spec
from tests.model.plain import FreeBSD, OldOpenBSD, OpenBSD, PlainHost
from tests.model.production import ProductionHost
from tests.model.replay import Mismatch, replay
from tests.model.scenarios import RULES, SCENARIOS, Scenario, ranked
from tests.model.space import LIMITED, Budget, Space, kindOf, target
from tests.model.story import steps
from tests.vectors import columns
from txcarp.protocol.dialect import DIALECTS, UCARP
from txcarp.protocol.effects import BowOut
from txcarp.protocol.election import Master, Standing, Transition
from txcarp.protocol.events import Event, OfferUnanswered
from txcarp.protocol.seal import Fields


def scenario(dialect: str, count: int, limits: dict[Kind, int], **settings: Any) -> Scenario:
    """
    A group of equal hosts of this program with different skews.
    """
    return Scenario("test", ranked(*[f"txcarp/{dialect}"] * count, **settings), limits)


class FaultTests(SynchronousTestCase):
    """
    Faults of the past, put back.
    """

    def found(self, wrong: Scenario, *words: str) -> Report:
        """
        A scenario is worse than the plain protocol.  The story says so in these words, in this
        order, and real virtual hosts do the same.
        """
        report = check(wrong)
        [found] = report.found[:1]
        rest = f"{found.title}\n{found.text}"
        for word in words:
            self.assertIn(word, rest)
            rest = rest.partition(word)[2]
        hosts = [(spec, DIALECTS[spec.rules.removeprefix("txcarp/")]) for spec in wrong.hosts]
        seen = replay(hosts, found.steps)
        self.assertEqual(len(seen), len(found.steps))
        bad = [when for when, masters in seen if len(masters) != 1]
        self.assertTrue(bad)
        return report

    def test_farewell(self) -> None:
        """
        A demoted master of three that yields with a farewell makes a second master.
        """
        for dialect in ("ucarp", "freebsd"):
            group = scenario(dialect, 3, {Kind.DEMOTE: 1}, preempt=True)
            self.assertEqual(check(group).found, [])
            self.patch(Standing, "saysFarewell", True)
            report = self.found(
                group,
                "several hosts are master for 1.25 s, and in the plain protocol for 0.00 s at most",
                "A is demoted, and sends an advertisement with skew 240",
                "A hears an advertisement with skew 64 from B, and becomes BACKUP and sends",
                "C hears an advertisement with skew 240 from A, and becomes MASTER",
                "From here on nothing fails.",
                "[master: B, C]",
            )
            self.doCleanups()
            hosts = [(spec, DIALECTS[dialect]) for spec in group.hosts]
            with self.assertRaises(Mismatch):  # the virtual host does so no longer
                replay(hosts, report.found[0].steps)

    def test_offer(self) -> None:
        """
        A demoted master whose offer is a bow-out hands over to a host that is demoted as well.
        With ucarp's rules both are master until the next advertisement of the better one.
        """
        group = scenario("ucarp", 2, {Kind.DEMOTE: 2})
        self.assertEqual(check(group).found, [])
        self.bowOut()
        self.found(
            group,
            "several hosts are master for 2.00 s, and in the plain protocol for 0.00 s at most",
            "nobody has accepted the offer of A, and sends a bow-out",
            "B hears a bow-out from A, and becomes MASTER and sends an advertisement with skew 240",
            "[master: A, B]",
        )

    def test_offerAndFarewell(self) -> None:
        """
        With FreeBSD's rules, and a farewell, both yield, and nobody is master.
        """
        group = scenario("freebsd", 2, {Kind.DEMOTE: 2})
        self.assertEqual(check(group).found, [])
        self.bowOut()
        self.patch(Standing, "saysFarewell", True)
        self.found(
            group,
            "nobody is master for 3.00 s, and in the plain protocol for 0.00 s at most",
            "nobody has accepted the offer of A, and sends a bow-out",
            "[master: nobody]",
        )

    def bowOut(self) -> None:
        """
        Let the offer of a demoted master be a bow-out, which every backup accepts.
        """
        decide = Master.decide

        def decided(state: Master, standing: Standing, event: Event) -> Transition:
            if isinstance(event, OfferUnanswered):
                return state, (BowOut(),)
            return decide(state, standing, event)

        self.patch(Master, "decide", decided)

    def test_patience(self) -> None:
        """
        A backup that takes the interval of an offer for that of the master waits for too long
        when the master crashes after its offer.
        """
        group = scenario("ucarp", 2, {Kind.DEMOTE: 2, Kind.CRASH: 1})
        self.assertEqual(check(group).found, [])
        patience = Standing.patience
        self.patch(
            Standing,
            "patience",
            lambda own, peer: patience(attrs.evolve(own, offered=None), peer),
        )
        self.found(group, "nobody is master for 5.00 s", "sends an offer", "A crashes")

    def test_neverYields(self) -> None:
        """
        Masters that never yield remain two for ever.
        """
        stubborn = attrs.evolve(UCARP, yields=lambda own, peer: False)
        rules = {**RULES, "txcarp/ucarp": self.rules(stubborn)}
        group = attrs.evolve(scenario("ucarp", 2, {Kind.LOSS: 6}), rules=rules)
        report = check(group)
        self.assertEqual(report.found[0].title, "the group never settles")
        self.assertIn("[master: A, B]", report.found[0].text)

    def test_neverTakesOver(self) -> None:
        """
        A backup with a dead time that is too long is found.
        """
        slow = attrs.evolve(UCARP, deadTime=lambda timing, ratio: 4.0)
        rules = {**RULES, "txcarp/ucarp": self.rules(slow)}
        group = attrs.evolve(scenario("ucarp", 2, {Kind.CRASH: 1}), rules=rules)
        [found] = check(group).found
        self.assertEqual(
            found.title,
            "nobody is master for 4.00 s, and in the plain protocol for 3.25 s at most",
        )

    def rules(self, dialect: Any) -> Any:
        """
        What makes a host with a dialect.
        """
        return lambda number, spec, kinds: ProductionHost(number, spec, kinds, dialect)


class GoodTests(SynchronousTestCase):
    """
    The election as it is.
    """

    def test_pairs(self) -> None:
        """
        Two hosts of each dialect are as good as the plain protocol.
        """
        for dialect in DIALECTS:
            for kind in (Kind.DEMOTE, Kind.SLEEP, Kind.RESIGN, Kind.STOP):
                group = scenario(dialect, 2, {Kind.LOSS: 3, Kind.CRASH: 1, kind: 1})
                report = check(group)
                self.assertEqual([one.title for one in report.found], [], (dialect, kind))
                self.assertGreater(report.states, 500)

    def test_three(self) -> None:
        """
        Three hosts are, one of them with the plain rules of its dialect.
        """
        for dialect in DIALECTS:
            rules = (f"txcarp/{dialect}", dialect, f"txcarp/{dialect}")
            group = Scenario("test", ranked(*rules), {Kind.LOSS: 1, Kind.CRASH: 1})
            self.assertEqual(check(group).found, [], dialect)

    def test_outOfTurn(self) -> None:
        """
        With OpenBSD's rules, a demoted master that has just said so does not make a third host
        master by its next advertisement.
        """
        for preempt in (False, True):
            group = scenario("openbsd", 3, {Kind.DEMOTE: 1}, preempt=preempt)
            report = check(group)
            self.assertEqual(report.found, [])
            self.assertEqual(report.several, 0.0)


class ReplayTests(SynchronousTestCase):
    """
    The model against real virtual hosts.
    """

    def walk(self, space: Space, rng: random.Random, length: int) -> list[int]:
        """
        A way through a space at random, from hosts that are off.  Faults are rare, and sleeps long,
        so that hosts become master, and sleep for longer than is tolerated.
        """
        weight = {**dict.fromkeys(LIMITED, 1), Kind.SLEEPING: 100}
        number = space.number(space.pack([OFF] * len(space.machines)))
        way = [number]
        for _ in range(length):
            edges = space.edges(number)
            weights = [weight.get(kindOf(edge), 20) for edge in edges]
            number = target(rng.choices(edges, weights)[0])
            way.append(number)
        return way

    def test_anyWay(self) -> None:
        """
        Whatever happens, the same hosts are master in the model and for real, and their timers
        are due at the same times.
        """
        rng = random.Random(8)
        for dialect in DIALECTS.values():
            for count, preempt, demotion in ((2, False, 240), (3, True, 128), (3, False, 240)):
                hosts = ranked(
                    *[f"txcarp/{dialect.name}"] * count, preempt=preempt, demotion=demotion
                )
                machines = [
                    ProductionHost(number, spec, frozenset(LIMITED), dialect)
                    for number, spec in enumerate(hosts)
                ]
                space = Space(machines, Budget({}))
                for _ in range(10):
                    way = self.walk(space, rng, 150)
                    replay([(spec, dialect) for spec in hosts], steps(space, way))


class PlainTests(SynchronousTestCase):
    """
    The plain rules of the kernels against what the kernels decided.
    """

    def check(self, kind: type[PlainHost], table: str, deadTimes: str) -> None:
        """
        The decisions in a table are those of the plain rules.
        """
        found = columns(table)
        names = (
            "state",
            "preempt",
            "own_advbase",
            "own_advskew",
            "own_demotion",
            "peer_advbase",
            "peer_advskew",
            "peer_demotion",
            "new_state",
        )
        compared = 0
        for row in zip(*(found[name] for name in names), found[deadTimes], strict=True):
            state, preempt, base, skew, demotion, *said, after, timer = row
            if base != 1:
                continue  # all hosts of the model have an advbase of 1
            host = kind(0, Spec(kind.__name__, skew, bool(preempt), demotion), frozenset())
            isMaster = state == 2
            local, _ = host._master(OFF) if isMaster else host.start()
            local = local._replace(demoted=demotion != 0)
            heard, _ = host.hear(local, 1, Fields(said[0], said[1], said[2]))
            self.assertEqual(heard.state, "master" if after == 2 else "backup", row)
            if after == 1 and timer > 0:
                self.assertAlmostEqual(host.deadTime(), timer / 1e6, 3, str(row))
            compared += 1
        self.assertGreater(compared, 1000)

    def test_freebsd(self) -> None:
        self.check(FreeBSD, "freebsd", "timer_us 14")

    def test_openbsd(self) -> None:
        self.check(OpenBSD, "openbsd", "timer_us 1.372")

    def test_oldOpenBSD(self) -> None:
        self.check(OldOpenBSD, "openbsd", "timer_us 1.367")


class CommandTests(SynchronousTestCase):
    """
    C{python -m tests.model}.
    """

    def run_(self, *arguments: str) -> tuple[int, str]:
        """
        @return: The exit status and the output.
        """
        output = io.StringIO()
        with redirect_stdout(output), redirect_stderr(output):
            try:
                status = main(list(arguments))
            except SystemExit as end:
                status = int(end.code or 0)
        return status, output.getvalue()

    def test_good(self) -> None:
        """
        A row for each scenario, and the sum.
        """
        status, output = self.run_("equal-ucarp-mixed", "--processes", "1")
        self.assertEqual(status, 0)
        self.assertRegex(output, r"equal-ucarp-mixed +2 +[\d,]+ .* good")
        self.assertIn("1 of 1 scenarios are as good as the plain protocol", output)

    def test_worse(self) -> None:
        """
        The stories follow the table.
        """
        self.patch(Standing, "saysFarewell", True)
        name = "three-farewell"
        group = scenario("freebsd", 3, {Kind.DEMOTE: 1}, preempt=True)
        self.addCleanup(SCENARIOS.pop, name)
        SCENARIOS[name] = attrs.evolve(group, name=name)
        status, output = self.run_(name, "--processes", "1")
        self.assertEqual(status, 1)
        self.assertIn("WORSE", output)
        self.assertIn("several hosts are master for 1.25 s", output)
        self.assertIn("From here on nothing fails.", output)

    def test_list(self) -> None:
        """
        The list says what each scenario has.
        """
        status, output = self.run_("--list", "pair-demote-ucarp")
        self.assertEqual(status, 0)
        self.assertIn("txcarp/ucarp, txcarp/ucarp; 6 loss, 3 crash, 2 demote", output)

    def test_unknown(self) -> None:
        """
        A name that no scenario has, and a number that makes no sense.
        """
        status, output = self.run_("nothing")
        self.assertEqual(status, 2)
        self.assertIn("there is no scenario 'nothing'", output)
        status, output = self.run_("--processes", "0")
        self.assertEqual(status, 2)
        self.assertIn("--processes must be at least 1, not 0", output)
