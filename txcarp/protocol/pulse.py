"""
The pulse of a master: what the answers of its host to one question after another mean.

A backup asks the host of the master, every few milliseconds, for the master's own address
(L{txcarp.checks.masterpulse}).  Here the answers are judged.  Nothing here asks or reads a clock:
what came of each question goes in, and the next L{Pulse} comes out.  The rules are:

  - B{Silence means nothing before answers do.}  Only a host that has answered the last
    L{ARMED_AFTER} questions is expected to answer the next one.
  - B{Three in a row.}  One lost packet is no death.  An answer begins the count anew, and the host
    has to answer L{ARMED_AFTER} questions again before its silence means something.
  - B{A third party answers.}  Along with each question after the first one without an answer, the
    witnesses are asked.  If none of them answers, the asking host itself is cut off, and the
    master has to answer for some time before its silence means something again.
  - B{Lateness does not count.}  If the asking host looked for an answer late, it may not have the
    answer because of the same lateness: a machine that was paused begins to run before it takes the
    packets of its network.  That question is left out.
"""

from __future__ import annotations

from collections.abc import Set

import attrs

#: The number of questions in a row that a host must have answered before its silence counts.
ARMED_AFTER = 32

#: The number of questions in a row without an answer that mean that the host is gone, if a witness
#: has answered the last two of them.
MISSES = 3

#: The number of questions in a row without an answer after which the asking host counts as cut
#: off, if no witness has answered.
CUT_OFF_AFTER = 2 * MISSES

#: How many intervals late an answer may be looked for.
TOLERATED = 1.0

_NOBODY: frozenset[bytes] = frozenset()


@attrs.frozen
class Pulse:
    """
    What is known of the host of a master after a question.

    @ivar answered: The number of answers in a row before the present silence, up to
        L{ARMED_AFTER}.
    @ivar missed: The number of questions in a row without an answer.
    @ivar witnesses: The packed addresses of the witnesses that answered along with the last two of
        them, when there were enough of these.
    """

    answered: int = 0
    missed: int = 0
    witnesses: frozenset[bytes] = _NOBODY
    _last: frozenset[bytes] = _NOBODY

    @property
    def isArmed(self) -> bool:
        """
        Whether silence means something.
        """
        return self.answered >= ARMED_AFTER

    @property
    def isLost(self) -> bool:
        """
        Whether the host is gone.
        """
        return self.missed >= MISSES and bool(self.witnesses)

    def after(
        self, answered: bool, witnesses: Set[bytes] = _NOBODY, *, isLate: bool = False
    ) -> Pulse:
        """
        The pulse after one more question.

        @param answered: Whether an answer has arrived since the question.
        @param witnesses: The packed addresses of the witnesses that answered along with it.
        @param isLate: Whether this host looked for the answer late, or could not ask.
        """
        if answered:
            if self.isArmed and not self.missed:
                return self
            return Pulse(min(self.answered + 1, ARMED_AFTER) if not self.missed else 1)
        if isLate:
            return self
        if self.isLost:
            return attrs.evolve(self, missed=self.missed + 1)
        if not self.isArmed or self.missed + 1 >= CUT_OFF_AFTER:
            return Pulse()
        both = frozenset(witnesses) & self._last
        missed = self.missed + 1
        vouching = both if missed >= MISSES else _NOBODY
        return Pulse(self.answered, missed, vouching, frozenset(witnesses))


@attrs.frozen
class Loss:
    """
    The host of a master is gone.

    @ivar address: The address that was asked for, as text.
    @ivar since: When the first question without an answer was asked, in seconds of the clock.
    @ivar missed: The number of questions in a row without an answer.
    @ivar seconds: The time in which they were asked.
    @ivar witnesses: The addresses of the witnesses that answered meanwhile, as text.
    """

    address: str
    since: float
    missed: int
    seconds: float
    witnesses: tuple[str, ...]

    def explain(self) -> str:
        """
        Return what was seen as a phrase.
        """
        answers = "answers" if len(self.witnesses) == 1 else "answer"
        return (
            f"{self.address} left {self.missed} questions in {self.seconds * 1000:.0f} ms "
            f"unanswered, and {' and '.join(self.witnesses)} {answers}"
        )


def stagger(interval: float, advskew: int) -> float:
    """
    Seconds that a backup waits before it takes over from a host that is gone, so that a better
    backup comes first and is heard.

    The backups ask at different moments, and so find out within one interval.  The time grows
    with the skew, by one interval for each third of the range.

    @param interval: Seconds between two questions.
    @param advskew: The skew that the backup advertises, 0 to 255.
    """
    return MISSES * interval * advskew / 255
