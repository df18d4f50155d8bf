"""
Tests that tell each story twice, the second time with an attacker on the segment.  The
hosts must do exactly the same, at the same times.

The attacker hears everything from the first packet on, also what hosts miss while they are
down.  Twice a second it sends all of that again, unchanged and altered.

Two attacks that may work are left out.  The attacker does not send an advertisement
unchanged that a host has missed and that is less than ten seconds old.  And the hosts have
heard each other once before the attacker starts: in C{learn} mode, a host takes altered
advertisements of a sealed host that it never heard for those of a stranger.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import attrs
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from tests.crafted import destinationOf, payloadOf, sourceOf
from tests.fakes import MemoryFile, configured
from tests.membership.test_sealing import resent
from tests.simulation.segment import Computer, Reign, Segment
from txcarp.protocol.advertisement import decode, encode
from txcarp.protocol.effects import Role
from txcarp.protocol.envelope import wrap
from txcarp.protocol.freshness import LAG
from txcarp.protocol.seal import Fields, Verification

#: Seconds between two volleys.
_EVERY = 0.5

#: How many recent and how many old packets a volley has.
_RECENT, _OLD = 4, 2

_STRANGERS = (socket.inet_aton("10.99.0.66"), socket.inet_pton(socket.AF_INET6, "fe80::66"))

#: The contents that an attacker would like an advertisement to have.
_WISHES = (Fields(0, 0), Fields(255, 255), Fields(0, 1), Fields(1, 240), Fields(1, 0, 9))

_YEAR = 365 * 86400.0


class Attacker:
    """
    Captures everything, and can send anything.

    @ivar sent: How many packets it sent.
    """

    def __init__(self, segment: Segment, usable: Callable[[bytes], bool]) -> None:
        """
        @param usable: Returns whether a packet would be accepted unchanged.  The attacker
            alters such a packet.
        """
        self.sent = 0
        self._segment = segment
        self._usable = usable
        self._wishes = 0

    def volley(self) -> None:
        """
        Send some of the last packets, some of the first, and some from between.
        """
        record = self._segment.record
        step = max(1, len(record) // _OLD)
        for packet in [*record[-_RECENT:], *record[:_OLD], *record[self._wishes % step :: step]]:
            self._mount(packet)

    def _mount(self, packet: bytes) -> None:
        family = len(sourceOf(packet))
        addresses = [each for host in self._segment.computers for each in sorted(host.addresses)]
        hosts = [each for each in addresses if len(each) == family]
        sources = [None, *hosts, *(each for each in _STRANGERS if len(each) == family)]
        self._wishes += 1
        source = sources[self._wishes % len(sources)]
        wish = _WISHES[self._wishes // len(sources) % len(_WISHES)]
        if not self._usable(packet):
            self._send(packet)
            for address in hosts:  # unicast
                self._send(wrap(payloadOf(packet), sourceOf(packet), address))
        if source is not None and source != sourceOf(packet):
            self._send(resent(packet, source=source))
        said = decode(payloadOf(packet))
        if wish != Fields(said.advbase, said.advskew, said.demotion):
            self._send(resent(packet, says=wish, source=source))
        other = attrs.evolve(said, vhid=7)
        self._send(wrap(encode(other), sourceOf(packet), destinationOf(packet)))

    def _send(self, packet: bytes) -> None:
        self.sent += 1
        for computer in self._segment.computers:
            computer.arrived(packet)


class Story:
    """
    Two hosts with state files that have heard each other, and what happens to them.
    """

    def __init__(self, attacked: bool, settings: dict[str, Any]) -> None:
        self.segment = Segment()
        self.first = self.segment.add("10.99.0.1", preempt=True, **settings)
        self.second = self.segment.add("10.99.0.2", preempt=True, advskew=100, **settings)
        self.attacker = Attacker(self.segment, self._usable)
        self._attacked = attacked
        self._missed: dict[bytes, float] = {}
        self._noted = 0
        for computer in (self.second, self.first):
            computer.disk = MemoryFile()
            computer.start()
            self.segment.run(10.3)  # no packet is under way when the attacker sends
        # A host that preempts has heard its peer once, and counts it as sealed after two
        # advertisements.  Not all dialects have a farewell.
        assert self.first.virtualHost is not None
        self.first.virtualHost.resign()
        self.segment.run(10.3)

    def wait(self, seconds: float) -> None:
        """
        Let time pass while the attacker works.
        """
        for _ in range(round(seconds / _EVERY)):
            self.segment.run(_EVERY)
            self._note()
            if self._attacked:
                self.attacker.volley()

    def _note(self) -> None:
        """
        Find the packets that a host has missed.
        """
        record, self._noted = self.segment.record[self._noted :], len(self.segment.record)
        deaf = any(computer.virtualHost is None for computer in self.segment.computers)
        if deaf or self.segment.cuts:
            self._missed.update(dict.fromkeys(record, self.segment.clock.seconds()))

    def _usable(self, packet: bytes) -> bool:
        return self.segment.clock.seconds() < self._missed.get(packet, -LAG) + LAG


def _masterDies(story: Story) -> None:
    story.first.crash()
    story.wait(20)
    story.first.start()
    story.wait(20)


def _stopped(story: Story) -> None:
    story.first.stop()
    story.wait(10)
    story.first.start()
    story.wait(10)


def _backupRestarted(story: Story) -> None:
    """
    The master dies while the backup restarts.
    """
    story.second.stop()
    story.first.crash()
    story.wait(1)
    story.second.start()
    story.wait(20)


def _longAway(story: Story) -> None:
    """
    The backup is down for long.  The master dies before it returns.
    """
    story.second.stop()
    story.wait(20)
    story.first.crash()
    story.wait(LAG + 1)
    story.second.start()
    story.wait(20)


def _powerCut(story: Story) -> None:
    for computer in (story.first, story.second):
        computer.crash()
    story.wait(30)
    for computer in (story.second, story.first):
        computer.start()
    story.wait(20)


def _clocks(story: Story) -> None:
    """
    The clocks of both hosts are set by years, and the master dies each time.
    """
    for error in (10 * _YEAR, -5 * _YEAR, 0.0):
        story.first.clockError = error
        story.wait(5)
        story.second.clockError = -error
        story.wait(5)
        story.first.crash()
        story.wait(5)
        story.first.start()
        story.wait(10)


def _setBack(story: Story) -> None:
    """
    The state file of the backup is restored from a copy that is a minute old.
    """
    disk = story.second.disk
    assert disk is not None
    copy = dict(disk.texts)
    story.wait(60)
    story.second.stop()
    disk.texts = copy
    story.first.crash()
    story.wait(LAG + 1)
    story.second.start()
    story.wait(20)


def _readOnly(story: Story) -> None:
    """
    The state file of the backup cannot be written for a minute.
    """
    assert story.second.disk is not None
    story.second.disk.writeError = OSError("Read-only file system")
    story.second.stop()
    story.second.start()
    story.wait(60)
    story.second.crash()
    story.first.crash()
    story.wait(LAG + 1)
    story.second.start()
    story.wait(20)


def _demoted(story: Story) -> None:
    host = story.first.virtualHost
    assert host is not None
    for amount in (200, 240, 150):
        host.demote("test", amount)
        story.wait(5)
        host.promote("test")
        story.wait(5)


def _newHardware(story: Story) -> None:
    story.first.crash()
    story.wait(10)
    for error in (-20 * _YEAR, 8 * _YEAR):
        story.first.disk = MemoryFile()
        story.first.clockError = error
        story.first.start()
        story.segment.run(3)  # before it has heard a host twice, it can be fooled
        story.wait(10)
        story.first.crash()
        story.wait(10)


def _partition(story: Story) -> None:
    """
    There are two masters for a while.  The attacker hears both, and both hear the attacker.
    """
    story.segment.cut(story.first, story.second)
    story.wait(10)
    story.segment.heal()
    story.wait(20)


def _rolling(story: Story) -> None:
    """
    The hosts change their password one after the other.  The attacker captured what was
    sealed with the old one.
    """
    old, new = configured().password, b"another"
    for change in (
        {"otherPasswords": [new]},
        {"password": new, "otherPasswords": [old]},
        {"otherPasswords": []},
    ):
        for computer in (story.second, story.first):
            computer.settings.update(change)
            computer.stop()
            story.wait(1)
            computer.start()
            story.wait(10)


_STORIES = (
    _rolling,
    _masterDies,
    _stopped,
    _backupRestarted,
    _longAway,
    _powerCut,
    _clocks,
    _setBack,
    _readOnly,
    _demoted,
    _newHardware,
    _partition,
)


class StoryTests(SynchronousTestCase):
    """
    Each story with and without the attacker.
    """

    def told(
        self, tell: Callable[[Story], None], attacked: bool, settings: dict[str, Any]
    ) -> tuple[list[Reign], list[Role], int]:
        """
        Tell a story.

        @return: Who was master when, the roles at the end, and how many packets the
            attacker sent.
        """
        with capturedLogs():
            story = Story(attacked, settings)
            tell(story)
        roles = [computer.role for computer in story.segment.computers]
        return story.segment.reigns, roles, story.attacker.sent

    def untouched(self, **settings: Any) -> None:
        """
        Assert that the attacker changes nothing in any story.
        """
        for tell in _STORIES:
            reigns, roles, _ = self.told(tell, False, settings)
            attackedReigns, attackedRoles, sent = self.told(tell, True, settings)
            self.assertGreater(sent, 500, tell.__name__)
            self.assertEqual(attackedReigns, reigns, tell.__name__)
            self.assertEqual(attackedRoles, roles, tell.__name__)
            self.assertEqual(roles.count(Role.MASTER), 1, tell.__name__)

    def test_learn(self) -> None:
        """
        With the default settings.
        """
        self.untouched()

    def test_require(self) -> None:
        """
        With seals required.
        """
        self.untouched(verification=Verification.REQUIRE)

    def test_bothFamilies(self) -> None:
        """
        With addresses of both families.
        """
        self.untouched(addresses=["10.99.0.100", "fd00::100"])

    def test_openbsd(self) -> None:
        """
        In the dialect that uses the demotion field.
        """
        self.untouched(dialect="openbsd")

    def test_withoutSeals(self) -> None:
        """
        Without seals the attacker does change the stories: it is a real attacker.
        """
        settings = {"verification": Verification.OFF}
        for tell in (_masterDies, _demoted):
            reigns, _, _ = self.told(tell, False, settings)
            attackedReigns, _, _ = self.told(tell, True, settings)
            self.assertNotEqual(attackedReigns, reigns, tell.__name__)


class SegmentTests(SynchronousTestCase):
    """
    A group on another segment, whose advertisements an attacker carries to this one.
    """

    def carried(self, **settings: Any) -> tuple[Segment, Computer]:
        """
        A group whose master dies.  From then on the advertisements of another group arrive
        as they are sent.

        @param settings: The settings that are different in the other group.
        @return: The segment of the group, and its backup.
        """
        here, there = Segment(), Segment()
        master = here.add("10.99.0.1")
        backup = here.add("10.99.0.2", advskew=100)
        other = there.add("10.99.0.1", **settings)
        for computer in (master, backup, other):
            computer.disk = MemoryFile()
            computer.start()
        with capturedLogs():
            for _ in range(20):
                here.run(1)
                there.run(1)
            master.crash()
            for _ in range(20):
                there.record.clear()
                there.run(1)
                here.run(1)
                for packet in there.record:
                    backup.arrived(packet)
        return here, backup

    def test_another(self) -> None:
        """
        A group with another password, vhid or set of addresses is another group.
        """
        for settings in (
            {"password": b"another"},
            {"vhid": 7},
            {"addresses": ["10.99.0.100", "10.99.0.101"]},
        ):
            here, backup = self.carried(**settings)
            self.assertEqual(here.masters(), [backup], settings)

    def test_same(self) -> None:
        """
        A limit of seals: a group with the same password, vhid and addresses is the same
        group, so the master seems to be alive.
        """
        here, _ = self.carried()
        self.assertEqual(here.masters(), [])
        here.run(4)
        self.assertEqual(len(here.masters()), 1)
