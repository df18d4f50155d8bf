"""
A host that packets are thrown at: all that a virtual host does with a packet from
the network, on a clock that is set by hand.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.internet.task import Clock
from txcarp.protocol.keyring import Keyring
from zope.interface import implementer

from benchmarks.fuzzgroup import ADDRESSES, OWN, PASSWORD, REMOTE, VHID, WALL
from tests.fakes import MemoryFile
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.interfaces import IAdvertisementTransport
from txcarp.logs.limits import SayOnce
from txcarp.membership.channel import Channel
from txcarp.membership.reception import Heard, Reception
from txcarp.membership.sealing import Sealing
from txcarp.protocol import election
from txcarp.protocol.advertisement import Advertisement
from txcarp.protocol.counter import Counter as OrdinaryCounter
from txcarp.protocol.dialect import Dialect
from txcarp.protocol.effects import Peer
from txcarp.protocol.election import ICARPState, Standing
from txcarp.protocol.family import Family, familyOf
from txcarp.protocol.rejection import Rejected, Rejection
from txcarp.protocol.seal import Says
from txcarp.protocol.timing import Timing
from txcarp.statestore import StateStore

#: How many counters it knows to be its own: as many as a virtual host.
_RECENT = 32


@implementer(IAdvertisementTransport)
class _Nowhere:
    """
    A way out to nobody.
    """

    def send(self, packet: bytes) -> None:
        pass

    def linkLocal(self) -> bytes:
        return OWN[1]

    def hears(self) -> bool:
        return True

    def hasUnread(self) -> bool:
        return False

    def watchFront(self, wanted: bool) -> None:
        pass


class Receiver:
    """
    The way of a packet, as a virtual host has it.

    @ivar state: Of the election.
    @ivar moves: How often it moved.
    @ivar refused: How many packets were refused for each reason.
    @ivar why: What was wrong with the last one that was.
    """

    def __init__(self, dialect: Dialect, keyring: Keyring) -> None:
        self.moves = 0
        self.refused: Counter[Rejection] = Counter()
        self.why = ""
        self._clock = Clock()
        self._keyring = keyring
        self._disk = MemoryFile()
        self._heard: Heard | None = None
        self._sent: deque[int] = deque(maxlen=_RECENT)
        self._configuration = VirtualHostConfiguration(
            interface="eth0",
            vhid=VHID,
            password=PASSWORD,
            source=OWN[0],
            source6=OWN[1],
            addresses=ADDRESSES,
            dialect=dialect,
            advskew=100,
            preempt=True,
            peers=(REMOTE,),
        )
        self._echo = OrdinaryCounter(lambda: 112, constant=dialect.constantCounter)
        self._standings = {
            familyOf(source): Standing(
                timing=self._configuration.timing,
                deadRatio=self._configuration.deadRatio,
                preempt=True,
                source=source,
                dialect=dialect,
            )
            for source in OWN
        }
        self._start()

    def _start(self) -> None:
        sayOnce = SayOnce(self._clock)
        self._sealing = Sealing(
            self._configuration,
            self._keyring,
            self._clock,
            sayOnce,
            running=self._clock.seconds,
            wall=lambda: WALL + self.now,
            store=StateStore(self._disk, self._clock, maybeDeferred),
        )
        self._reception = Reception(
            self._configuration,
            self._keyring,
            self._sealing,
            self._clock,
            sayOnce,
            arrived=lambda: None,
            deliver=self._deliver,
            refused=self._refuse,
            hearing=lambda: None,
            isEcho=self._echo.isEcho,
            sentLately=self._sent.__contains__,
            expectsSilence=lambda: self.state is election.MASTER,
        )
        self._sealing.start()
        self._reception.start(
            [Channel(self._configuration, family, _Nowhere()) for family in Family]
        )
        self.state: ICARPState = election.BACKUP
        self._remembered = self._memory()

    def restart(self, crash: bool) -> None:
        """
        End this run, and begin another.

        @param crash: Whether it ends without a last word to the state file.
        """
        self._reception.stop()
        if not crash:
            self._sealing.stop()
        for call in self._clock.getDelayedCalls():
            call.cancel()
        self._start()

    @property
    def now(self) -> float:
        """
        Seconds since it was made.
        """
        seconds: float = self._clock.seconds()
        return seconds

    def advance(self, seconds: float) -> None:
        """
        Let time pass.
        """
        self._clock.advance(seconds)

    def advertise(self, says: Says) -> list[tuple[Advertisement, bytes]]:
        """
        Say something, in both families.

        @return: It, and the sources that it comes from.
        """
        sent = []
        for source in OWN:
            counter = self._sealing.counter(says, source)
            assert counter is not None
            self._sent.append(counter)
            advertisement = Advertisement(
                VHID,
                says.advbase,
                says.advskew,
                counter,
                self._keyring.sign(counter),
                says.demotion,
            )
            sent.append((advertisement, source))
        self._remembered = self._memory()
        return sent

    def receive(self, packet: bytes) -> Heard | None:
        """
        Take one packet.

        @return: What was believed.
        """
        self._heard = None
        self._reception.packetReceived(packet)
        return self._heard

    def remembersMore(self) -> bool:
        """
        Whether what it knows of the hosts that seal is other than after the last
        packet that it believed.
        """
        return self._memory() != self._remembered

    def _memory(self) -> list[tuple[Any, ...]]:
        sources = self._sealing._freshness.sources
        return [
            (address, known.tick, known.offset, known.at, known.sayings)
            for address, known in sources.items()
        ]

    def _deliver(self, heard: Heard) -> None:
        self._heard = heard
        self._remembered = self._memory()
        said = heard.advertisement
        peer = Peer(Timing(said.advbase, said.advskew), heard.source, said.demotion)
        before = self.state
        self.state, _ = before.heard(self._standings[peer.family], peer)
        if self.state is not before:
            self.moves += 1

    def _refuse(self, rejected: Rejected, source: bytes) -> None:
        self.refused[rejected.reason] += 1
        self.why = str(rejected)
