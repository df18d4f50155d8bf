# How a program that embeds txcarp is tested, without a network and without waiting:
#
#     trial examples/test_failover.py
#
# The program is a counter that must run on one host at a time, and that hands over when
# its disk is full.

from attrs import evolve
from twisted.application.service import MultiService, Service
from twisted.trial.unittest import SynchronousTestCase

from txcarp import CARPService, IPlatform, VirtualHost, VirtualHostConfiguration
from txcarp.testing import PuppetVirtualHost, Segment

CONFIGURATION = VirtualHostConfiguration(
    interface="eth0",
    vhid=1,
    password=b"not a secret",
    source="10.1.1.1",
    addresses=["10.1.1.252/24"],
    assign=True,
)


class Counter(Service):
    """
    The work that only the master does.
    """

    def __init__(self, host: VirtualHost) -> None:
        self.host = host
        host.whileMaster(self)

    def checkDisk(self, full: bool) -> None:
        """
        Be less preferred than the other hosts while the disk is full.
        """
        if full:
            self.host.demote("disk is full")
        else:
            self.host.promote("disk is full")


def makeProgram(
    configuration: VirtualHostConfiguration, platform: IPlatform | None = None
) -> MultiService:
    """
    Return the whole program.

    @param platform: C{None} for this machine.
    """
    carp = CARPService([configuration], platform=platform)
    Counter(carp.virtualHosts[0])
    return carp


class CounterTests(SynchronousTestCase):
    """
    One host, which is master when the test says so.
    """

    def setUp(self) -> None:
        self.host = PuppetVirtualHost(CONFIGURATION)
        self.counter = Counter(self.host)

    def test_onlyWhileMaster(self) -> None:
        """
        The counter runs only on the master.
        """
        self.host.becomeBackup()
        self.assertFalse(self.counter.running)
        self.host.becomeMaster()
        self.assertTrue(self.counter.running)

    def test_diskFull(self) -> None:
        """
        A full disk demotes the host.
        """
        self.counter.checkDisk(full=True)
        self.assertEqual(self.host.status().demotions, {"disk is full": 240})
        self.counter.checkDisk(full=False)
        self.assertEqual(self.host.status().demotions, {})


class ProgramTests(SynchronousTestCase):
    """
    The whole program on two hosts.
    """

    def setUp(self) -> None:
        self.segment = Segment()
        self.first = self.segment.host("10.1.1.1")
        self.second = self.segment.host("10.1.1.2")
        for host, advskew in ((self.first, 0), (self.second, 100)):
            configuration = evolve(CONFIGURATION, source=host.source, advskew=advskew)
            host.start(makeProgram(configuration, platform=host))
        self.segment.advance(4)

    def test_crash(self) -> None:
        """
        The second host takes over when the first one crashes.
        """
        self.assertEqual(self.segment.masters(), [self.first])
        self.first.crash()
        self.segment.advance(4)
        self.assertEqual(self.segment.masters(), [self.second])
        self.assertEqual(self.segment.holders("10.1.1.252"), [self.second])

    def test_cut(self) -> None:
        """
        Hosts that do not hear each other are both master.  One remains when they do.
        """
        self.segment.cut(self.first, self.second)
        self.segment.advance(4)
        self.assertEqual(self.segment.masters(), [self.first, self.second])
        self.segment.heal()
        self.segment.advance(2)
        self.assertEqual(self.segment.masters(), [self.first])
