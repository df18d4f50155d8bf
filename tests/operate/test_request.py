"""
Tests of L{txcarp.operate.request}.  L{tests.operate.test_server} has the same by way of a socket.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from txcarp.operate.request import (
    LONGEST_REASON,
    Refused,
    Request,
    Terms,
    amountIn,
    confirmationIn,
    flagIn,
    reasonIn,
)
from txcarp.protocol.actor import Actor
from txcarp.protocol.demotion import FULL_DEMOTION


class RequestTests(SynchronousTestCase):
    """
    Tests of L{Request}.
    """

    def test_method(self) -> None:
        """
        A path is for one method, and HEAD is as good as GET.
        """
        for method, wanted, isGood in (
            ("GET", "GET", True),
            ("HEAD", "GET", True),
            ("POST", "POST", True),
            ("POST", "GET", False),
            ("HEAD", "POST", False),
        ):
            request = Request(method, ("v1",), b"", None)
            if isGood:
                request.must(wanted)
            else:
                refused = self.assertRaises(Refused, request.must, wanted)
                self.assertEqual(refused.answer.code, 405)

    def test_actor(self) -> None:
        """
        A user who is unknown, or who may only read, may not act.
        """
        root = Actor(0, "root", 1, mayAct=True)
        self.assertIs(Request("POST", (), b"", root).mayAct(), root)
        for actor, who in (
            (None, "Whoever asks here"),
            (Actor(99, "alice", 1, mayAct=False), "The user with uid 99"),
        ):
            refused = self.assertRaises(Refused, Request("POST", (), b"", actor).mayAct)
            self.assertEqual(refused.answer.code, 403)
            self.assertIn(f"{who} may read, but not act", str(refused))

    def test_given(self) -> None:
        """
        An object may come with a request, and nothing else.
        """
        for body, expected in ((b"", {}), (b" \n", {}), (b'{"wait": true}', {"wait": True})):
            self.assertEqual(Request("POST", (), body, None).given(), expected)
        for body in (b"[]", b"1", b"{", b"\xff", b"[" * 100_000):
            refused = self.assertRaises(Refused, Request("POST", (), body, None).given)
            self.assertEqual(refused.answer.code, 400)


class ValueTests(SynchronousTestCase):
    """
    Tests of the functions that read one value.
    """

    def test_good(self) -> None:
        """
        A value is returned, or what stands for none.
        """
        self.assertEqual(reasonIn({"reason": "slow disk"}), "slow disk")
        self.assertEqual((amountIn({}), amountIn({"amount": 3})), (FULL_DEMOTION, 3))
        self.assertEqual((confirmationIn({}), confirmationIn({"confirm": "2m"})), (None, 120.0))
        self.assertIs(flagIn({}, "dry_run", False), False)
        self.assertIs(flagIn({"dry_run": True}, "dry_run", False), True)

    def test_wrong(self) -> None:
        """
        What is not understood is refused with a sentence.
        """
        for read, given in (
            *((reasonIn, {"reason": one}) for one in (None, 1, "", " ", "two\nlines")),
            (reasonIn, {"reason": "x" * (LONGEST_REASON + 1)}),
            *((amountIn, {"amount": one}) for one in (True, "1", 1.5, None)),
            *((confirmationIn, {"confirm": one}) for one in ("soon", 0.5, 86401, [], True)),
        ):
            refused = self.assertRaises(Refused, read, given)
            self.assertEqual(refused.answer.code, 400, given)
            self.assertRegex(str(refused), r"^\S.*\.$")


class TermsTests(SynchronousTestCase):
    """
    Tests of L{Terms}.
    """

    def test_wrong(self) -> None:
        """
        What is not understood is refused with a sentence.
        """
        for given in (
            {"wait": 1},
            {"anyway": "yes"},
            {"for": "soon"},
            {"for": 0},
            {"for": -5},
            {"for": True},
            {"for": [1]},
            {"for": "999999999d"},
            {"timeout": 241},
            {"timeout": "1e5"},
            {"timeout": None},
            {"timeout": float("nan")},
        ):
            error = self.assertRaises(Refused, Terms.read, given)
            self.assertRegex(str(error), r"^[a-z]+ must be .*\.$")

    def test_good(self) -> None:
        """
        All terms have a default.
        """
        self.assertEqual(Terms.read({}), Terms())
        self.assertEqual(
            Terms.read({"for": "10m", "anyway": True, "wait": False, "timeout": 2}),
            Terms(duration=600.0, anyway=True, wait=False, timeout=2),
        )
