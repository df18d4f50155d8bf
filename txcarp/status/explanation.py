"""
Why a host is master of its group or is not, in words.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import attrs

from txcarp.change import StepState
from txcarp.protocol.effects import Role
from txcarp.protocol.events import HoldReason
from txcarp.protocol.explain import Comparison
from txcarp.protocol.timing import INSISTENT, Timing
from txcarp.status.parts import HoldStatus, PeerStatus, spoken
from txcarp.status.snapshot import Status

#: Seconds from which a time needs a date.
_DAY = 86400


@attrs.frozen
class Explanation:
    """
    A status, and what the election says about the other hosts.

    @ivar status: The state of this host.
    @ivar comparisons: The comparison with each peer of the status, by its address.
    """

    status: Status
    comparisons: dict[str, Comparison]

    def lines(self) -> list[str]:
        """
        The explanation for people.
        """
        return [self._headline(), *self._reasons(), *self._prospects(), *self._history()]

    def _headline(self) -> str:
        status = self.status
        place = f"vhid {status.vhid} on {status.interface}"
        name = f"{status.title} ({place})" if status.title else place
        if status.since is None:
            return f"{name}: {status.role.value}."
        since = f"since {self._clock(-status.since)}, {_duration(status.since)} ago"
        return f"{name}: {status.role.value} {since}."

    def _reasons(self) -> Iterator[str]:
        """
        Yield why this host has its role.
        """
        status = self.status
        if not status.running:
            yield "This host takes no part in the group, because it is stopped."
            return
        for hold in status.holds:
            if hold.reason is HoldReason.DRAINED:
                yield from self._drain(hold)
                continue
            left = "" if hold.remaining is None else f" for {hold.remaining:.1f} s more"
            yield f"This host is held back from the election{left}: {hold.explain()}."
        for step in status.steps:
            if step.state is StepState.FAILED:
                yield f"Its {step.name} failed {_duration(step.since)} ago: {step.text}."
            elif step.state in (StepState.ACQUIRING, StepState.RELEASING):
                yield f"It waits for its {step.name}, which is {step.explain()}."
        yield from self._whySet()
        if status.role is Role.MASTER:
            yield f"This host advertises every {self._own()}."
        elif not status.holds:
            yield from self._whyBackup()
        if len(status.forms) > 1:
            yield from self._change()

    def _change(self) -> Iterator[str]:
        """
        Yield how far a change of the password or the addresses is.
        """
        status = self.status
        when = "" if status.role is Role.MASTER else ", as master,"
        yield f"This host{when} signs each advertisement with {spoken(status.forms)}."
        behind = [peer for peer in status.peers if peer.isBehind]
        for peer in behind:
            yield (
                f"{peer.source} has not been changed: it signs with {spoken(peer.forms)}, which "
                "this host must keep until then."
            )
        if not behind:
            yield (
                "No host is heard that needs anything but the current ones. Backups are silent: "
                "remove the others when every host of the group has the current ones."
            )

    def _drain(self, hold: HoldStatus) -> Iterator[str]:
        """
        Yield that this host is drained, and what to do about it.
        """
        by = "" if hold.actor is None else f" by {hold.actor.explain()}"
        until = "" if hold.remaining is None else f" until {self._clock(hold.remaining)}"
        yield f"This host is drained{by}{until}, and stays out of the election."
        if not self.status.master:
            yield "No other host is heard as master."
        group = self.status.title or self.status.name
        yield f"To have it take part again, run 'txcarp resume {group}' here."

    def _whySet(self) -> Iterator[str]:
        """
        Yield what the set of the group has to do with it.
        """
        status, sync = self.status, self.status.sync
        if sync is None:
            return
        own = status.title or status.name
        others = " and ".join(one for one in sync.groups if one != own)
        if others:
            yield (
                f"The group belongs to the set {sync.name}: this host is master of it together "
                f"with {others}, or of none of them."
            )
        if sync.insists:
            yield (
                "The master was silent on one side of the set. Therefore this host took over, and "
                "advertises as the most preferred host until it hands over."
            )
        for one in sync.silent:
            where = "here" if one == own else f"on {one}"
            yield (
                f"The master is silent {where}, and heard on another side. It lives, so that the "
                "set does not take over."
            )

    def _whyBackup(self) -> Iterator[str]:
        status, master = self.status, self._master
        if master is None:
            yield f"No master is heard. As master, this host would advertise every {self._own()}."
            return
        comparison = self.comparisons[master.source]
        if master.timing == INSISTENT and status.configured.advbase:
            yield (
                f"{master.source} is master, and insists on that (advbase 0, advskew 1): when it "
                "took over, the master before was silent on one side of its set."
            )
        else:
            yield f"{master.source} is master, and advertises every {_said(master)}."
        yield f"As master, this host would advertise every {self._own()}."
        missing = self._notPreferred()
        if comparison.takesOver is not None and missing:
            yield (
                f"This host is preferred here, but not on {missing}. A set takes over from a "
                "master only if it is preferred on every side."
            )
        elif comparison.takesOver is not None:
            why = comparison.takesOver.value
            yield f"This host takes over when it hears {master.source} again: {why}."
        elif comparison.yields and self._isTie(master):
            yield f"The two are equally preferred, and {master.source} wins the tie."
        elif comparison.yields:
            yield f"Therefore {master.source} is preferred."
        else:
            yield (
                "This host is preferred, but does not take over from a master that works: it does "
                "not preempt, or not yet."
            )

    def _prospects(self) -> Iterator[str]:
        """
        Yield what would change that.
        """
        status = self.status
        if status.role is Role.MASTER:
            for peer in status.peers:
                comparison = self.comparisons[peer.source]
                would = "leave it the group" if comparison.yields else "stay master"
                yield (
                    f"{peer.source} was heard {_duration(peer.age)} ago, and advertised every "
                    f"{_said(peer)}. If it did so again, this host would {would}."
                )
        elif status.deadline is not None:
            silent = f"{status.master} falls silent" if status.master else "no master is heard"
            when = self._clock(status.deadline, digits=1)
            others = [] if status.sync is None else status.sync.groups
            own = status.title or status.name
            if len(others) > 1:
                silent += " here, and is silent on " if status.master else " here, nor on "
                silent += " and ".join(one for one in others if one != own)
            yield f"If {silent}, this host takes over at {when}."
            for probe in status.probes:
                yield probe.explain()

    def _history(self) -> Iterator[str]:
        """
        Yield the last changes of role, and what may have led to them.
        """
        lines = [
            (past.age, f"{past.change.previous.value} -> {past.change.role.value}: "
             f"{past.change.explain()}")
            for past in self.status.changes
        ]
        causes = [(past.age, past.occurrence.explain()) for past in self.status.history]
        # A cause comes before the change that it leads to at the same moment.
        for age, words in sorted((*causes, *lines), key=lambda line: -line[0]):
            yield f"  {self._clock(-age, digits=3)}  {words}"

    def _notPreferred(self) -> str:
        """
        The other members of the set on whose side this host would not take over.
        """
        sync, own = self.status.sync, self.status.title or self.status.name
        if sync is None:
            return ""
        missing = [one for one in sync.groups if one != own and one not in sync.preferred]
        return " and ".join(missing)

    @property
    def _master(self) -> PeerStatus | None:
        sources = [peer for peer in self.status.peers if peer.source == self.status.master]
        return sources[0] if sources else None

    def _isTie(self, peer: PeerStatus) -> bool:
        return peer.timing == self.status.advertised

    def _own(self) -> str:
        """
        How often this host advertises, and why.
        """
        status = self.status
        words = _timing(status.advertised)
        if not status.demotions:
            return words
        amounts = " and ".join(f"{amount} for {why!r}" for why, amount in status.demotions.items())
        if status.advertised == status.configured:
            return f"{words}, and is demoted by {amounts}"
        return f"{words[:-1]}: {status.configured.advskew}, demoted by {amounts})"

    def _clock(self, seconds: float, digits: int = 0) -> str:
        """
        The time of day some seconds after the status was taken; with a date if it is long before.
        """
        when = self.status.time + seconds
        form = "%b %d %H:%M:%S" if abs(seconds) >= _DAY else "%H:%M:%S"
        text = time.strftime(form, time.localtime(when))
        return f"{text}.{int(when * 10**digits) % 10**digits:0{digits}}" if digits else text


def _said(peer: PeerStatus) -> str:
    words = _timing(peer.timing)
    return f"{words}, with a demotion of {peer.demotion}" if peer.demotion else words


def _timing(timing: Timing) -> str:
    return f"{timing.interval:.2f} s (advbase {timing.advbase}, advskew {timing.advskew})"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} days"
