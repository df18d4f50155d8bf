"""
Tests of a virtual host that assigns its addresses, with any events in any order.
"""

from __future__ import annotations

import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from tests.crafted import ADDRESS
from tests.fakes import INTERFACE
from tests.mastership.table import LeaseStage, refused
from txcarp.membership.holds import LONGEST_HOLD_OFF
from txcarp.membership.leaving import RESIGNATION
from txcarp.protocol.effects import Role
from txcarp.protocol.events import StepFailed

#: The number of lives to try.  More make a longer search.
_EXAMPLES = int(os.environ.get("TXCARP_EXAMPLES", "60"))

_EVENTS = st.one_of(
    st.tuples(st.just("heard"), st.sampled_from([(0, 1), (1, 0), (1, 9), (9, 0), (255, 255)])),
    st.tuples(st.just("demote"), st.sampled_from([-9, 1, 240])),
    st.tuples(st.just("link"), st.sampled_from([True, False, None])),
    st.tuples(st.just("hearing"), st.booleans()),
    st.tuples(st.just("sends"), st.booleans()),
    st.tuples(st.just("refuse"), st.booleans()),
    st.tuples(st.just("slow"), st.booleans()),
    st.tuples(st.just("late"), st.sampled_from([0.3, 1.1, 4.0])),
    st.tuples(st.just("asleep"), st.sampled_from([0.7, 5.0])),
    st.tuples(
        st.sampled_from(
            ["promote", "resign", "claim", "remove", "unfit", "answer", "stop", "start"]
        ),
        st.none(),
    ),
)


class Life:
    """
    One host and its events.
    """

    def __init__(self, **facts: Any) -> None:
        self.stage = LeaseStage(**facts)
        self.stopped: list[Deferred[None]] = []

    def act(self, event: str, fact: Any) -> None:
        """
        Carry out an event.
        """
        stage, host, table = self.stage, self.stage.host, self.stage.table
        match event:
            case "heard" if stage.network.receiver is not None:
                stage.deliver(advbase=fact[0], advskew=fact[1])
            case "demote":
                host.demote("reason", fact)
            case "promote":
                host.promote("reason")
            case "link" if fact is None:
                stage.links.set(INTERFACE, None)
            case "link":
                stage.links.change(up=True, running=fact)
            case "hearing":
                stage.transport.hearing = fact
                if stage.network.receiver is not None:
                    stage.network.receiver.transportChanged()
            case "sends":
                stage.transport.error = None if fact else OSError(105, "no buffers")
            case "refuse":
                table.error = refused() if fact else None
            case "slow":
                table.slow = fact
            case "late":
                stage.jump(fact)
            case "asleep":
                stage.asleep += fact
            case "remove" if ADDRESS in table.present:
                table.remove(ADDRESS)
            case "answer":
                for waiting in list(table.waiting):
                    table.waiting.remove(waiting)
                    waiting.callback(None)
            case "unfit" if host._run is not None:
                host._run.tell(StepFailed("work"))
            case "resign" | "claim":
                getattr(host, event)()
            case "stop":
                self.stopped.append(host.stopService())
            case "start":
                host.startService()

    def mend(self) -> None:
        """
        Undo everything that keeps the host from working.
        """
        for event, fact in (
            ("sends", True),
            ("refuse", False),
            ("slow", False),
            ("answer", None),
            ("link", True),
            ("hearing", True),
            ("promote", None),
            ("start", None),
        ):
            self.act(event, fact)


class LifeTests(SynchronousTestCase):
    """
    The properties that hold in every life.
    """

    @settings(max_examples=_EXAMPLES)
    @given(
        st.fixed_dictionaries(
            {
                "deadRatio": st.integers(1, 3),
                "preempt": st.booleans(),
                "releaseFirst": st.booleans(),
                "advskew": st.sampled_from([0, 200]),
            }
        ),
        st.lists(
            st.tuples(_EVENTS, st.sampled_from([0.0, 0.0, 0.02, 0.4, 1.0, 3.0])), max_size=20
        ),
    )
    def test_anything(
        self, facts: dict[str, Any], story: list[tuple[tuple[str, Any], float]]
    ) -> None:
        """
        When everything works again, a host that is alone is master, and always has its
        address.  When it is stopped, it has no address and no timer.  Each stop ends.
        """
        life = Life(**facts)
        stage = life.stage
        stage.start()
        for (event, fact), seconds in story:
            life.act(event, fact)
            stage.run(seconds)
        life.mend()
        stage.run(max(RESIGNATION, LONGEST_HOLD_OFF) + 20.0)
        for stopped in life.stopped:
            self.successResultOf(stopped)
        self.assertIs(stage.host.role, Role.MASTER)
        for _ in range(50):
            stage.run(0.1)
            self.assertIn(ADDRESS, stage.table.present)
        done = stage.host.stopService()
        stage.run(1.0)
        self.successResultOf(done)
        self.assertEqual(stage.table.present, {})
        stage.run(5.0)  # until the ends of earlier leases
        self.assertEqual(stage.clock.getDelayedCalls(), [])
