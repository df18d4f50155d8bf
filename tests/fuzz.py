"""
A virtual host, its group, and an attacker on the segment: a state machine for Hypothesis.

The attacker hears every packet, keeps some from the host, and sends anything that it can make
without the password.  What the host does is held against three rules:

    - No packet makes it raise anything but L{Rejected}.
    - It believes only what L{Besieged.mayBelieve} allows, and every fresh sealed
      advertisement of its group.
    - What it refuses changes nothing: a second host, which is given the packets that the
      first one believed and no others, sends the same packets at the same times, changes its
      role at the same times, knows the same peers and saves the same state.

L{tests.test_fuzz} runs it for a moment, C{python -m benchmarks.fuzz} for as long as wanted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any
from unittest import mock

import attrs
from hypothesis import seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests import crafted
from tests.crafted import OWN, OWN6, packed, payloadAt, sourceOf, tickOf
from tests.fakes import MemoryFile, Stage
from tests.hostile import NOISE, STRANGERS, VRRP, attacks, isSealed
from txcarp.protocol import freshness
from txcarp.protocol.dialect import DIALECTS, Dialect
from txcarp.protocol.freshness import LAG
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.seal import Fields, Ticks, Verification

#: The hosts that seal.  The second one is behind a router and sends to the host alone.
SEALING = (crafted.PEER, "10.99.0.4", crafted.PEER6)
REMOTE = SEALING[1]

#: The hosts that do not, as ucarp and the BSD kernels.
PLAIN = ("10.99.0.3", "fe80::3")

#: What an attacker uses.
_SOURCES = (*STRANGERS, *SEALING, OWN, OWN6, *PLAIN)

#: What the hosts of the group say: advbase, advskew and demotion.  A host remembers more
#: of each.
SAYINGS = (
    Fields(1, 0),
    Fields(1, 100),
    Fields(1, 240),
    Fields(0, 200),
    Fields(2, 0, 30),
    Fields(255, 255),
)

#: Seconds since 1970 when the clock of the host says 0.
_WALL = 1.8e9

#: Seconds after which what a host heard just before a crash is too old to be believed again.
_AFTER_CRASH = 30.0

#: Seconds in which a host stops that was asked to.
_LEAVING = 5.0

#: Packets that a process receives at least before it ends.
_LIFE = 150

#: Sealed counters that a host remembers here: so few that it forgets some all the time.
_REMEMBERED = 30

#: The result of all machines of this process: refused packets by reason, and what else
#: happened by its name.
tally: Counter[Rejection | str] = Counter()


@attrs.define
class Fact:
    """
    A counter that a host of the group signed.

    @ivar made: When, in seconds of the clock.
    @ivar own: Whether the attacked host signed it.
    @ivar believed: Whether the attacked host believed it.
    """

    digest: bytes
    source: bytes
    says: Fields
    made: float
    sealed: bool
    own: bool = False
    believed: bool = False


class Subject:
    """
    A virtual host over several processes, with a state file.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.disk = MemoryFile()
        self.history: list[Any] = []
        self._settings = settings
        self._stage: Stage | None = None
        self.start()

    @property
    def stage(self) -> Stage:
        """
        The process that runs.
        """
        assert self._stage is not None
        return self._stage

    def start(self) -> None:
        """
        Start a process after the last one.
        """
        stage = Stage(disk=self.disk, **self._settings)
        if self._stage is not None:
            stage.clock.rightNow = self._stage.clock.rightNow
        self._stage = stage
        stage.start()

    def stop(self, crash: bool) -> None:
        """
        End the process, with or without time to save its state.
        """
        if not crash:
            self.stage.host.stopService()
            self.stage.run(_LEAVING)
            assert not self.stage.clock.getDelayedCalls()
        tally.update(self.stage.host.status().rejected)
        self.history.append(self._chapter())

    def receive(self, packet: bytes) -> bool:
        """
        @return: Whether the host believed the packet.
        """
        before = self.stage.host.status().received
        try:
            self.stage.deliver(packet)
        except Rejected as rejected:  # by the header: the host never sees it
            tally[rejected.reason] += 1
        return self.stage.host.status().received > before

    def behaviour(self) -> Any:
        """
        Everything that anybody can notice of this host.
        """
        return [*self.history, self._chapter()], dict(self.disk.texts)

    def _chapter(self) -> tuple[Any, ...]:
        stage = self.stage
        return (
            stage.host.role,
            stage.host.status().received,
            list(stage.host.status().peers),
            list(stage.journal),
            list(zip(stage.transport.times, stage.transport.packets, strict=True)),
            list(stage.observer.changes),
        )


def run(examples: int, number: int | None = None, **more: Any) -> None:
    """
    Attack hosts until something is wrong.

    @param examples: How many hosts are attacked.
    @param number: The seed of what is random; C{None} for another one each time.
    @param more: Settings of Hypothesis.
    @raise AssertionError: With the steps that lead to what is wrong.
    """
    chosen = settings(max_examples=examples, stateful_step_count=40, deadline=None, **more)
    with mock.patch.object(freshness, "REMEMBERED", _REMEMBERED):
        machine = type("Besieged", (Besieged,), {})
        if number is not None:
            machine = seed(number)(machine)
        run_state_machine_as_test(machine, settings=chosen)


class Besieged(RuleBasedStateMachine):
    """
    See the module.
    """

    captured: Bundle[bytes] = Bundle("captured")

    #: Whether everything is as it should be until now.
    _sound = False

    @initialize(
        target=captured,
        dialect=st.sampled_from(list(DIALECTS.values())),
        verification=st.sampled_from([Verification.LEARN, Verification.REQUIRE]),
    )
    def begin(self, dialect: Dialect, verification: Verification) -> Any:
        """
        The host starts, and hears every host that seals say everything that it says.
        """
        addresses = [crafted.ADDRESS, crafted.ADDRESS6, "fe80::100"]
        self._signed = addresses if dialect.signsLinkLocal else addresses[:2]
        self._demotions = dialect.demotionByte
        self._requires = verification is Verification.REQUIRE
        self._ticks = Ticks()
        self._facts: dict[int, Fact] = {}
        self._delivered = 0
        configuration = {
            "dialect": dialect,
            "verification": verification,
            "addresses": addresses,
            "source6": packed(OWN6),
            "peers": (packed(REMOTE),),
            "advskew": 100,
            "preempt": True,
        }
        self._subject = Subject(configuration)
        self._twin = Subject(configuration)
        self._wait(0.1)
        return multiple(*self._introduce())

    @rule(
        target=captured,
        source=st.sampled_from(SEALING * 5 + PLAIN),
        says=st.sampled_from(SAYINGS),
        arrives=st.sampled_from([True, True, True, False]),
        counter=st.integers(0, 2**64 - 1),
    )
    def speak(self, source: str, says: Fields, arrives: bool, counter: int) -> bytes:
        """
        A host of the group advertises; the attacker may keep the packet from the host.

        @param counter: For a host that does not seal.
        """
        packet = self._advertisement(source, says, counter)
        if arrives:
            self._deliver(packet, mustBelieve=source in SEALING)
        else:
            tally["kept back"] += 1
        return packet

    @rule(
        packets=st.lists(captured, min_size=5, max_size=15),
        attacks=st.lists(attacks(_SOURCES), min_size=5, max_size=15),
        noise=st.lists(NOISE | VRRP, max_size=3),
    )
    def attack(
        self, packets: list[bytes], attacks: list[Callable[[bytes], bytes]], noise: list[bytes]
    ) -> None:
        """
        The attacker does everything to each of some packets.
        """
        for packet in packets:
            for make in attacks:
                self._deliver(make(packet))
        for packet in noise:
            self._deliver(packet)

    @rule(target=captured, seconds=st.floats(0.1, 1.5) | st.floats(0.1, 2 * LAG))
    def wait(self, seconds: float) -> Any:
        """
        Time passes; the attacker hears what the host sends.
        """
        return multiple(*self._wait(seconds))

    @precondition(lambda self: self._delivered > _LIFE)
    @rule(target=captured, crash=st.booleans())
    def restart(self, crash: bool) -> Any:
        """
        The process ends, and another one starts.
        """
        tally["restarts"] += 1
        self._delivered = 0
        sent: list[bytes] = []
        for subject in (self._subject, self._twin):
            subject.stop(crash)
            subject.start()
        if crash:
            # Its ticks are up to a minute ahead now.  An attacker who keeps back the first
            # packets that follow gains that minute: a known limit, which is not tested here.
            sent += self._wait(_AFTER_CRASH)
            sent += self._introduce()
        return multiple(*sent)

    def teardown(self) -> None:
        """
        The second host, which was never attacked, behaves the same.
        """
        if self._sound:
            self._wait(2 * LAG)
            for subject in (self._subject, self._twin):
                subject.stop(crash=False)
            same = self._subject.behaviour() == self._twin.behaviour()
            assert same, "the host behaves as if it had believed something that it refused"
            tally["changes of role"] += len(self._subject.stage.observer.changes)

    def _deliver(self, packet: bytes, mustBelieve: bool = False) -> None:
        host = self._subject.stage.host
        role, refused = host.role, dict(host.status().rejected) if mustBelieve else {}
        self._sound = False
        tally["packets"] += 1
        self._delivered += 1
        if self._subject.receive(packet):
            tally["believed"] += 1
            objection = self.mayNotBelieve(packet)
            assert not objection, f"{packet.hex()} was believed: {objection}"
            self._facts[_counterOf(packet)].believed = True
            assert self._twin.receive(packet), f"{packet.hex()} was refused by the other host"
        else:
            if mustBelieve:
                reasons = host.status().rejected - Counter(refused)
                raise AssertionError(f"{packet.hex()} is good and was refused: {reasons}")
            assert host.role is role, f"{packet.hex()} was refused, and the host is {host.role}"
        self._sound = True

    def mayNotBelieve(self, packet: bytes) -> str:
        """
        Why the host must not believe a packet; empty if it may.
        """
        start = payloadAt(packet)
        body, source = packet[start : start + 36], sourceOf(packet)
        fact = self._facts.get(_counterOf(packet)) if len(body) == 36 else None
        if fact is None or fact.digest != body[16:]:
            return "no host signed it"
        if fact.own:
            return "this host sent it"
        says = Fields(body[5], body[2], body[4])
        if fact.sealed and (fact.source, fact.says) == (source, says):
            age = self._now - fact.made
            if fact.believed:
                return "it was believed before"
            return f"it is {age:.1f} s old" if age > LAG + 1.0 else ""
        if isSealed(packet):
            tally["seals guessed"] += 1  # one of 16 million fits by chance
            return ""
        if fact.sealed:
            return "it is sealed for something else"
        if self._requires:
            return "it is not sealed"
        if source in map(packed, (*SEALING, OWN, OWN6)):
            return "it is not sealed, and its source seals"
        return ""

    @property
    def _now(self) -> float:
        return float(self._subject.stage.clock.seconds())

    def _wait(self, seconds: float) -> list[bytes]:
        """
        @return: What the host sent.
        """
        for subject in (self._subject, self._twin):
            subject.stage.run(seconds)
        return self._overhear()

    def _overhear(self) -> list[bytes]:
        """
        Note what the host has sent since the last call.
        """
        transport = self._subject.stage.transport
        new = [one for one in transport.packets if _counterOf(one) not in self._facts]
        for packet in new:
            self._note(packet, sealed=True, own=True)
            self._ticks.heard(tickOf(_counterOf(packet)), self._now)
        return list(dict.fromkeys(new))

    def _introduce(self) -> list[bytes]:
        packets = []
        for source in SEALING:
            for says in SAYINGS:
                packets.append(self._advertisement(source, says))
                self._deliver(packets[-1], mustBelieve=True)
        return packets

    def _advertisement(self, source: str, says: Fields, counter: int = 0) -> bytes:
        """
        An advertisement of a host of the group, signed by a second implementation.
        """
        fields: dict[str, Any] = {
            "advbase": says.advbase,
            "advskew": says.advskew,
            "demotion": says.demotion if self._demotions else 0,
        }
        if source in SEALING:
            self._overhear()  # as the other hosts do
            tick = self._ticks.next(_WALL + self._now, self._now)
            assert tick is not None
            counter = crafted.sealed(tick, source, **fields)
        body = crafted.payload(counter=counter, addresses=self._signed, **fields)
        if source == REMOTE:
            packet = crafted.packet(body, source=source, destination=OWN, ttl=254)
        elif ":" in source:
            packet = crafted.packet6(body, source=source)
        else:
            packet = crafted.packet(body, source=source)
        self._note(packet, sealed=source in SEALING)
        return packet

    def _note(self, packet: bytes, *, sealed: bool, own: bool = False) -> None:
        body = packet[payloadAt(packet) :]
        self._facts[_counterOf(packet)] = Fact(
            body[16:36],
            sourceOf(packet),
            Fields(body[5], body[2], body[4]),
            self._now,
            sealed,
            own,
        )


def _counterOf(packet: bytes) -> int:
    start = payloadAt(packet)
    return int.from_bytes(packet[start + 8 : start + 16], "big")
