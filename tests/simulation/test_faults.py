"""
Tests of groups of any kind with any faults in any order.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.simulation.segment import LATENCY, Computer, Moment, Segment, Work
from txcarp.change import NotDrained, Readiness
from txcarp.configuration.model import FlapLimit
from txcarp.membership.holds import LONGEST_HOLD_OFF
from txcarp.protocol.demotion import DemotionLedger
from txcarp.protocol.dialect import DIALECTS, Dialect
from txcarp.protocol.effects import Reason, Role
from txcarp.protocol.election import OFFER_AFTER
from txcarp.protocol.family import Family
from txcarp.protocol.seal import Verification
from txcarp.protocol.timing import Timing
from txcarp.virtualhost import VirtualHost

#: The number of groups to try.  More make a longer search.
_EXAMPLES = int(os.environ.get("TXCARP_EXAMPLES", "60"))

#: The shortest time that passes between two actions, in seconds.
_TICK = 1 / 64

#: Seconds that cover a resignation and the damping of a flapping host.
_RESTING = 20.0

_ADDRESSES = (["10.99.0.100"], ["fd00::100", "fd00::101"], ["10.99.0.100", "fd00::100"])

_ACTIONS = st.one_of(
    st.tuples(
        st.sampled_from(
            ["crash", "start", "stop", "restart", "resign", "claim", "unplug", "plug"]
        ),
        st.integers(0, 4),
    ),
    st.tuples(st.sampled_from(["drain", "drain anyway", "resume"]), st.integers(0, 4)),
    st.tuples(st.sampled_from(["freeze", "thaw"]), st.integers(0, 4)),
    st.tuples(st.sampled_from(["refuse sockets", "give sockets"]), st.integers(0, 4)),
    st.tuples(st.sampled_from(["break", "repair", "lose work"]), st.integers(0, 4)),
    st.tuples(
        st.just("slow down"), st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.3, 0.9, 3.0]))
    ),
    st.tuples(st.sampled_from(["cut", "deafen"]), st.tuples(st.integers(0, 4), st.integers(0, 4))),
    st.tuples(st.just("heal"), st.none()),
    st.tuples(
        st.just("demote"),
        st.tuples(
            st.integers(0, 4),
            st.sampled_from(["one", "other"]),
            st.sampled_from([-255, -30, 1, 30, 240]),
        ),
    ),
    st.tuples(st.just("promote"), st.tuples(st.integers(0, 4), st.sampled_from(["one", "other"]))),
    st.tuples(st.just("lose"), st.sampled_from([0.0, 0.1, 0.5, 1.0])),
    st.tuples(st.just("jitter"), st.sampled_from([0.0, 0.02, 0.3])),
    st.tuples(st.just("lose family"), st.sampled_from(list(Family))),
    st.tuples(st.just("set clock"), st.tuples(st.integers(0, 4), st.sampled_from([-3600, 3600]))),
)

_STORIES = st.lists(
    st.tuples(
        _ACTIONS, st.one_of(st.integers(0, 8), st.integers(0, 8 * 64)).map(lambda n: n * _TICK)
    ),
    max_size=12,
)

_HOSTS = st.fixed_dictionaries(
    {
        "advskew": st.sampled_from([0, 1, 100, 101, 200, 240, 254]),
        "preempt": st.booleans(),
        "preemptDelay": st.sampled_from([0.0, 0.0, 5.0]),
        "startDelay": st.sampled_from([None, None, 3.0]),
        "flapLimit": st.sampled_from([None, FlapLimit(4, 10.0)]),
        "releaseFirst": st.booleans(),
    }
)

_GROUPS = st.fixed_dictionaries(
    {
        "dialect": st.sampled_from(sorted(DIALECTS)),
        "advbase": st.integers(1, 2),
        "deadRatio": st.integers(1, 4),
        "addresses": st.sampled_from(_ADDRESSES),
        "followPeers": st.booleans(),
        "anyFamily": st.booleans(),
        "verification": st.sampled_from(list(Verification)),
    }
).filter(
    # OpenBSD has a ratio of 3.  With 1 its rules contradict each other: a less demoted but
    # slower host stays master, and a backup takes over from it all the same.
    lambda group: not group["dialect"].startswith("openbsd") or group["deadRatio"] > 1
)


class World:
    """
    A group, the events that it meets, and the properties that must hold whatever happens.
    """

    def __init__(self, group: dict[str, Any], hosts: list[dict[str, Any]], seed: int) -> None:
        self.segment = Segment(seed)
        self.group = group
        self.dialect: Dialect = DIALECTS[group["dialect"]]
        self.computers = [
            # The last octet is not the only one that differs.
            self.segment.add(f"10.99.{index % 2}.{9 - index}", **group, **facts)
            for index, facts in enumerate(hosts)
        ]

    def pick(self, index: int) -> Computer:
        """
        The host with this number, modulo the number of hosts.
        """
        return self.computers[index % len(self.computers)]

    def act(self, action: str, facts: Any) -> None:
        """
        Carry out an action of a story.
        """
        segment = self.segment
        match action, facts:
            case "cut" | "deafen", (one, other):
                getattr(segment, action)(self.pick(one), self.pick(other))
            case "heal", _:
                segment.heal()
                segment.lost.clear()
            case "lose", share:
                segment.loss = share
            case "jitter", seconds:
                segment.jitter = seconds
            case "lose family", family:
                segment.lost.add(family)
            case "set clock", (index, seconds):
                self.pick(index).clockError += seconds
            case "demote" | "promote", (index, *what):
                host = self.attentive(self.pick(index))
                if host is not None:
                    getattr(host, action)(*what)
            case "resign" | "claim", index:
                host = self.attentive(self.pick(index))
                if host is not None:
                    getattr(host, action)()
            case "drain" | "drain anyway", index:
                host = self.attentive(self.pick(index))
                if host is not None:
                    done = host.drain(anyway=action == "drain anyway")
                    done.addErrback(lambda failure: failure.trap(NotDrained))
            case "resume", index:
                host = self.attentive(self.pick(index))
                if host is not None:
                    host.resume()
            case "stop" | "restart", index:
                if self.attentive(self.pick(index)) is not None:
                    getattr(self.pick(index), action)()
            case "refuse sockets" | "give sockets", index:
                self.pick(index).deafen(*(Family if action == "refuse sockets" else ()))
            case "break" | "repair", index:
                self.work(self.pick(index)).broken = action == "break"
            case "slow down", (index, pace):
                self.work(self.pick(index)).pace = pace
            case "lose work", index:
                one = self.pick(index)
                if self.attentive(one) is not None and self.work(one).done:
                    self.runOf(one).parts.mastership._lost("work")
            case "unplug" | "plug", index:
                self.pick(index).plug(action == "plug")
            case _, index:
                getattr(self.pick(index), action)()

    @staticmethod
    def attentive(computer: Computer) -> VirtualHost | None:
        """
        The virtual host of a computer; C{None} if there is none, or it is frozen and cannot
        obey.
        """
        return None if computer.frozen else computer.virtualHost

    @staticmethod
    def work(computer: Computer) -> Work:
        """
        The required step of a computer; a new one if the computer was never started.
        """
        return computer.work or Work(computer.clock)

    @staticmethod
    def runOf(computer: Computer) -> Any:
        """
        The L{Participation<txcarp.membership.participation.Participation>} of a computer.
        """
        assert computer.virtualHost is not None
        return computer.virtualHost._run

    def mend(self) -> None:
        """
        Undo everything that keeps hosts from hearing each other, or from working.
        """
        self.segment.heal()
        self.segment.lost.clear()
        self.segment.loss = self.segment.jitter = 0.0
        for computer in self.computers:
            computer.plug(True)
            computer.thaw()
            computer.deafen()
            self.work(computer).broken = False
            self.work(computer).pace = 0.0
            if computer.virtualHost is not None:
                computer.virtualHost.resume()

    @property
    def left(self) -> list[Computer]:
        """
        The computers on which a process runs.
        """
        return [one for one in self.computers if one.virtualHost is not None]

    def rank(self, computer: Computer) -> tuple[int, Timing]:
        """
        The demotion byte and the timing that a host advertises as master.  Lower is
        preferred.
        """
        host = computer.virtualHost
        assert host is not None
        ledger = DemotionLedger()
        for reason, amount in host.status().demotions.items():
            ledger.set(reason, amount)
        byte = ledger.byte if self.dialect.demotionByte else 0
        timing = host.configuration.timing
        return byte, ledger.apply(timing, self.dialect)

    def deadTime(self, computer: Computer) -> float:
        """
        Seconds without a master after which a host takes over.
        """
        timing = Timing(self.group["advbase"], computer.settings["advskew"])
        return self.dialect.deadTime(timing, self.group["deadRatio"])

    def fault(self, computer: Computer, moment: Moment) -> str:
        """
        What is wrong about a change of role; empty if nothing is.
        """
        change, heard = moment.change, moment.heard
        if change.role is Role.MASTER and moment.held:
            return "it was held back"
        own = Timing(self.group["advbase"], computer.settings["advskew"])
        match change.reason:
            case Reason.SILENCE:
                if moment.unread:
                    return "it did not read what waited"
                one = self.group["anyFamily"] and len(self.group["addresses"]) > 1
                soon = heard is not None and moment.when - heard[0] < self.deadTime(computer) - 1e-6
                if soon and not one:
                    return "somebody was heard"
            case Reason.PREEMPTION if not computer.settings["preempt"]:
                return "it does not preempt"
            case (
                Reason.PREEMPTION
                | Reason.BOW_OUT
                | Reason.SLOW_MASTER
                | Reason.PREFERRED_MASTER
            ):
                if heard is None or heard[0] != moment.when:
                    return "nobody was heard"
                said = heard[1]
                # The lowest limit: no demotion makes the skew less than 0.
                slow = (said.advbase, said.advskew) > (own.advbase * self.group["deadRatio"], 0)
                if change.reason is Reason.SLOW_MASTER and not slow:
                    return "the master was not slow"
                if change.reason is Reason.BOW_OUT and not said.isBowOut:
                    return "it was no bow-out"
                if change.reason is not Reason.BOW_OUT and said.isBowOut:
                    return "it was a bow-out"
        return ""


class FaultTests(SynchronousTestCase):
    """
    The properties that hold in every story.
    """

    @settings(max_examples=_EXAMPLES)
    @given(_GROUPS, st.lists(_HOSTS, min_size=1, max_size=5), _STORIES, st.integers(0, 9))
    def test_anything(
        self,
        group: dict[str, Any],
        hosts: list[dict[str, Any]],
        story: list[tuple[tuple[str, Any], float]],
        seed: int,
    ) -> None:
        """
        Hosts of any dialect and family crash, stop, freeze, are demoted, are drained, are cut off,
        hear some hosts and not others, lose packets, and return, in any order.

        No host becomes master, or gives mastership up, without the reason that it names.
        Once all hosts hear each other, there is one master; it is the right one; nothing
        changes any more; and until then no two hosts are master for longer than an
        interval.
        """
        world = World(group, hosts, seed)
        segment = world.segment
        for computer in world.computers:
            computer.start()
        for (action, facts), seconds in story:
            world.act(action, facts)
            segment.run(seconds)
        world.mend()
        mended = segment.clock.seconds()
        longest = max(map(world.deadTime, world.computers))
        failed = any(action in ("break", "slow down", "lose work") for (action, _), _ in story)
        segment.run(_RESTING + 2 * longest + (LONGEST_HOLD_OFF if failed else 0.0))
        for computer in world.computers:
            for moment in computer.changes:
                self.assertEqual(world.fault(computer, moment), "", (computer.source, moment))
        left = world.left
        ranks = [world.rank(one) for one in left]
        if not world.dialect.breaksTies and len(set(ranks)) < len(left):
            return  # they may give way to each other for ever, as the kernels do
        masters = segment.masters()
        self.assertEqual(len(masters), min(1, len(left)))
        for one in left:
            self.assertEqual(len(world.runOf(one).parts.holds), 0)
            done = Readiness.READY if one in masters else Readiness.RELEASED
            self.assertIs(world.runOf(one).parts.mastership.readiness, done)
            self.assertEqual(world.work(one).done, one in masters)
        if left and all(one.settings["preempt"] for one in left):
            self.assertEqual(world.rank(masters[0]), min(ranks))
        interval = max((timing.interval for _, timing in ranks), default=0.0)
        # Hosts whose clocks are far apart refuse each other until they have heard each other.
        apart = any(action == "set clock" for (action, _), _ in story)
        bound = interval * (2 if apart else 1) + OFFER_AFTER + 2 * LATENCY
        self.assertLessEqual(segment.longestOverlap(mended), bound)
        settled = len(segment.reigns)
        segment.run(_RESTING)
        self.assertEqual(len(segment.reigns), settled)
