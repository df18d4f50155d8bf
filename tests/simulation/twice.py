"""
Plays a story twice, with txcarp and with plain hosts, and compares the masters.

The rule: B{a safety feature may not make an honest group worse.}  In every story, a group of txcarp
hosts with seals, leases, offers, holds and pause detection has the same masters as the plain
protocol, within one interval.  In detail:

  - At each moment the same hosts are master in both plays, except for stretches that are no longer
    than one interval.  A host that stands still is no master.  To this rule, hosts with equal
    timing are one host.  It is no difference if txcarp has one master where the plain hosts have
    none or several.
  - Together, these stretches are no longer than one interval for each beginning and each end of
    what happens.
  - Hosts become master no more often than in the plain protocol, even for a moment.  One time more
    is allowed for each host that starts with a wrong clock or without its state, and for each clock
    that is set or stands still: the group refuses the first advertisement of such a host, because
    to seals it is an old one.
  - The address is on two hosts only while two plain hosts are master, standing or not, and for one
    interval.  If a master dies while there are two, it is the rest of its lease.
  - A host that is not master loses the address at the end of its lease.
  - At the end, the only master has the address, and no other host has it.

txcarp differs from the plain protocol on purpose in the following.  The plain hosts do the same,
but only where the story gives a reason, and not whenever txcarp does:

  - I{Sleep.}  A master that stood still for longer than its peers wait for it, and a backup that
    did so for longer than its interval, wait for the dead time.  What arrived meanwhile does not
    count.  The plain protocol has a second master instead: what the socket kept may be old.  A
    virtual machine that was paused cannot know it.
  - I{Offers.}  When a demoted txcarp offers mastership, the better hosts that hear it take over.
    In the plain protocol a demotion has no effect if the others do not preempt.
  - I{Flaps.}  A host that lost mastership ten times in a minute stays out of the election for a
    minute, or until it has heard no master for its dead time.
  - I{Strangers.}  A txcarp does not believe a host that it does not know, or that has lost its
    state or some time, if the clock of that host is more than L{LAG} seconds behind.  To seals, its
    advertisements may be a recording.  This ends when that host hears another one; until then, a
    backup takes over after its dead time.
  - I{The way back.}  A host that goes back to the plain protocol is believed after three
    advertisements.  Meanwhile a better host may stay, or become, the only master.

  - I{Leaps.}  The first advertisement after a clock was set more than ten years ahead is not
    believed, because a guessed seal looks like that.  Backups wait for their dead time again, also
    if it is a bow-out.

The last three are not compared meanwhile.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

import attrs

from tests.simulation.machine import Standstill
from tests.simulation.player import BELIEVED_AFTER, SLACK, Play, Player, Span
from tests.simulation.story import (
    NAMES,
    Crash,
    Demote,
    Disk,
    Freeze,
    GoBack,
    SetClock,
    Step,
    Stop,
    Story,
)
from txcarp.mastership.handover import LINGER
from txcarp.mastership.leases import leaseFor
from txcarp.protocol.freshness import LAG
from txcarp.protocol.seal import FAR_AHEAD

#: Hosts that become master within this many seconds of each other do so at the same moment.
_MOMENT = 0.02


def points(spans: Iterable[Iterable[Span]]) -> set[float]:
    """
    The beginnings and ends of spans.
    """
    return {time for each in spans for span in each for time in span}


def reigns(masters: Sequence[Sequence[Span]], doubts: Sequence[Span]) -> int:
    """
    How often a host became master.  Of hosts that did so at the same moment, because they could
    not hear each other yet, only those count that remained.

    @param doubts: Times that do not count.
    """
    begins = [(begin, host) for host, spans in enumerate(masters) for begin, _ in spans]

    def inVain(begin: float, end: float, host: int) -> bool:
        return end - begin < _MOMENT and any(
            abs(other - begin) < _MOMENT and number != host for other, number in begins
        )

    return sum(
        not inVain(begin, end, host) and not within(doubts, begin)
        for host, spans in enumerate(masters)
        for begin, end in spans
    )


def within(spans: Iterable[Span], time: float) -> bool:
    """
    Whether a time is in one of several spans.
    """
    return any(begin <= time < end for begin, end in spans)


def stretches(times: Iterable[float], holds: Callable[[float], bool]) -> list[Span]:
    """
    The longest stretches in which a condition holds.

    @param times: All times at which it may change.
    """
    found: list[Span] = []
    ordered = sorted(times)
    for begin, end in itertools.pairwise(ordered):
        if end > begin and holds((begin + end) / 2):
            if found and found[-1][1] == begin:
                found[-1] = (found[-1][0], end)
            else:
                found.append((begin, end))
    return found


@attrs.frozen
class Verdict:
    """
    What is wrong.

    @ivar faults: Sentences; none if all is well.
    """

    story: Story
    safe: Play
    plain: Play
    faults: list[str]

    def timeline(self) -> str:
        """
        The masters of both plays.
        """
        lines = []
        for name, play in (("txcarp", self.safe), ("plain", self.plain)):
            events = sorted(
                (time, f"{NAMES[host]} {what}")
                for host, spans in enumerate(play.masters)
                for span in spans
                for time, what in zip(span, ("is master", "is not"), strict=True)
                if time < self.story.lasts
            )
            text = "; ".join(f"{time:.2f} {what}" for time, what in events)
            lines.append(f"{name:>7}: {text}")
            if play.asked:
                asked = (f"{one.at:.2f} {one.host} {one.what} {one.other}" for one in play.asked)
                lines.append(f"         on purpose: {'; '.join(asked)}")
        return "\n".join(lines)

    def __str__(self) -> str:
        return "\n".join([str(self.story), self.timeline(), *self.faults, repr(self.story)])


def judge(story: Story) -> Verdict:
    """
    Play a story twice, and compare.
    """
    safe = Player(story, plainly=False).play()
    plain = Player(story, plainly=True, asked=safe.asked).play()
    return compare(story, safe, plain)


def compare(story: Story, safe: Play, plain: Play) -> Verdict:
    """
    Compare two plays of a story.

    @param safe: That of txcarp.
    """
    comparison = Comparison(story, safe, plain)
    return Verdict(story, safe, plain, [*comparison.mastership(), *comparison.addresses()])


def _fallenBehind(story: Story) -> int:
    """
    How many times the ticks of a host may have fallen behind those of the group.
    """
    return sum(abs(member.ahead) > LAG / 2 for member in story.group.members) + sum(
        isinstance(step, SetClock)
        or (isinstance(step, Crash | Stop) and step.disk is not Disk.KEPT)
        or (isinstance(step, Freeze) and step.how is Standstill.PAUSED)
        for step in story.steps
    )


def _doubts(story: Story, *plays: Play) -> Iterator[Span]:
    """
    The times in which hosts are not believed yet: those that went back to the plain protocol,
    strangers, and those whose clock was set years ahead.
    """
    begins = [begin for play in plays for spans in play.masters for begin, _ in spans]
    begins += [time for step in story.steps for time in (step.at, step.ends)]
    for step in story.steps:
        if isinstance(step, GoBack):
            waits = BELIEVED_AFTER * story.group.intervalOf(step.host) + SLACK
            for begin in begins:
                if step.at <= begin <= step.ends:
                    yield (begin, begin + waits)
    for play in plays:
        for at, _ in play.refusals:
            yield (at, at + 2 * story.group.interval + SLACK)
    for step in story.steps:
        if _leaps(step):
            yield (step.at, step.at + max(story.group.deadTimes) + story.group.interval + SLACK)


def _leaps(step: Step) -> bool:
    """
    Whether a clock is set so far ahead that the next advertisement is not believed.
    """
    return isinstance(step, SetClock) and step.by > FAR_AHEAD


class Comparison:
    """
    Compares two plays of a story.
    """

    def __init__(self, story: Story, safe: Play, plain: Play) -> None:
        self._story, self._safe, self._plain = story, safe, plain
        self._group = group = story.group
        self._hosts = range(len(group.members))
        demoted = any(isinstance(step, Demote) for step in story.steps)
        interval = max(group.interval, group.base + 240 / 256) if demoted else group.interval
        #: For how many seconds the plays may differ.
        self._bound = interval + SLACK
        self._doubts = [*_doubts(story, safe, plain)]
        #: When a stranger is not believed, and until a backup has taken over from it.
        self._strangers = [
            (at, at + 2 * group.interval + SLACK)
            for at, _ in (*safe.refusals, *plain.refusals)
            if not any(map(_leaps, story.steps))
        ]
        #: When a host runs a plain program.
        self._goneBack = [(one.at, one.ends) for one in story.steps if isinstance(one, GoBack)]
        #: For each host, when it stands still; and when it does not even answer.
        self._still: list[list[Span]] = [[] for _ in self._hosts]
        self._absent: list[list[Span]] = [[] for _ in self._hosts]
        for step in story.steps:
            if isinstance(step, Freeze):
                self._still[step.host].append((step.at, step.ends))
                if step.how is not Standstill.STOPPED:
                    self._absent[step.host].append((step.at, step.ends))
        #: All times at which anything changes.
        self._times = {0.0, story.lasts} | points(
            [*safe.masters, *plain.masters, *safe.holders, *self._still, self._doubts]
        )

    def mastership(self) -> Iterator[str]:
        """
        What is wrong about the masters.
        """
        for error in self._safe.errors:
            yield f"An internal error was logged: {error}"
        different = [each for each in self._stretches(self._differ) if not self._isStrange(each)]
        for begin, end in different:
            if end - begin > self._bound:
                time = (begin + end) / 2
                yield (
                    f"From {begin:.2f} to {end:.2f} s, for more than {self._bound:.2f} s, the "
                    f"masters have the skews {self._masters(self._safe, time)} with txcarp and "
                    f"{self._masters(self._plain, time)} with the plain protocol."
                )
        total = sum(end - begin for begin, end in different)
        allowed = self._bound * (2 * len(self._story.steps) + len(self._hosts))
        if total > allowed:
            yield f"The masters differ for {total:.2f} s, more than {allowed:.2f} s."
        often = reigns(self._safe.masters, self._doubts)
        seldom = reigns(self._plain.masters, self._doubts)
        if often > seldom + _fallenBehind(self._story):
            yield f"Hosts become master {often} times with txcarp, and {seldom} times without."

    def addresses(self) -> Iterator[str]:
        """
        What is wrong about the addresses.
        """
        lease = leaseFor(self._group.base, self._group.ratio)
        # A lease has one second at least, even if the dead time is shorter.
        early = max(0.0, lease - min(self._group.deadTimes))
        bound = max(self._bound, lease + SLACK) + early
        for begin, end in self._stretches(self._areShared):
            if end - begin > bound:
                yield f"From {begin:.2f} to {end:.2f} s, two hosts have the address."
        for host in self._hosts:
            for begin, end in self._stretches(lambda time, host=host: self._isIdle(host, time)):
                if end - begin > lease + LINGER + SLACK:
                    yield (
                        f"From {begin:.2f} to {end:.2f} s, {NAMES[host]} has the address and is no "
                        "master."
                    )
        last = self._story.lasts - 1e-6
        final = self._masters(self._safe, last)
        if len(final) == 1:
            having = [
                self._group.members[host].skew
                for host in self._hosts
                if self._present(self._safe.holders, host, last)
            ]
            if having != final:
                yield f"At the end the master has skew {final}, and {having} have the address."

    def _isStrange(self, stretch: Span) -> bool:
        """
        Whether a difference begins while a stranger is not believed.  Another host may take over
        meanwhile, and stays where nobody preempts.
        """
        return any(within([doubt], stretch[0] - SLACK) for doubt in self._strangers)

    def _stretches(self, holds: Callable[[float], bool]) -> list[Span]:
        return stretches(self._times, holds)

    def _isMaster(self, play: Play, host: int, time: float) -> bool:
        return within(play.masters[host], time) and not within(self._still[host], time)

    def _present(self, spans: Sequence[Sequence[Span]], host: int, time: float) -> bool:
        return within(spans[host], time) and not within(self._absent[host], time)

    def _masters(self, play: Play, time: float) -> list[int]:
        return sorted(
            self._group.members[host].skew
            for host in self._hosts
            if self._isMaster(play, host, time)
        )

    def _differ(self, time: float) -> bool:
        safe, plain = self._masters(self._safe, time), self._masters(self._plain, time)
        isBetter = len(safe) == 1 != len(plain)
        if len(safe) == len(plain) == 1 and within(self._goneBack, time):
            isBetter = safe < plain
        return safe != plain and not isBetter and not within(self._doubts, time)

    def _areShared(self, time: float) -> bool:
        safe, plain = (
            sum(self._present(spans, host, time) for host in self._hosts)
            for spans in (self._safe.holders, self._plain.masters)
        )
        return safe > 1 and plain < 2 and not within(self._doubts, time)

    def _isIdle(self, host: int, time: float) -> bool:
        has = self._present(self._safe.holders, host, time)
        return has and not self._isMaster(self._safe, host, time)
