"""
A virtual host that a test moves by hand.
"""

from __future__ import annotations

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.protocol.effects import Role
from txcarp.testing.fakes import runTo
from txcarp.testing.segment import Segment, SimulatedHost
from txcarp.virtualhost import VirtualHost

#: Seconds in which a host without a successor has left mastership, unless a step takes longer.
_HANDED_OVER = 1.0


class PuppetVirtualHost(VirtualHost):
    """
    A virtual host that becomes master and backup on command, and never otherwise.

    It is a real L{VirtualHost}: its services, steps, observers, demotions and status are those of
    production.  It is alone on a simulated network, and its clock stands still between commands.

    @ivar machine: The simulated host that it runs on.
    """

    def __init__(self, configuration: VirtualHostConfiguration | None = None) -> None:
        """
        @param configuration: C{None} for vhid 1 on C{eth0} with the address 192.0.2.100/24.
        """
        if configuration is None:
            configuration = VirtualHostConfiguration(
                interface="eth0",
                vhid=1,
                password=b"not a secret",
                source="192.0.2.1",
                addresses=["192.0.2.100/24"],
                assign=True,
            )
        self._segment = Segment()
        self.machine: SimulatedHost = self._segment.host(
            "192.0.2.1", interface=configuration.interface
        )
        super().__init__(configuration, self.machine)

    def becomeMaster(self) -> None:
        """
        Become master.  A host that is not running is started.

        Steps that return a Deferred go on when it fires; see C{status().complete}.

        @raise RuntimeError: If something keeps the host back for good, such as a lost link.
        """
        if not self.running:
            self.privilegedStartService()
            self.startService()
        while self.role is not Role.MASTER:
            ends = [hold.remaining for hold in self.status().holds]
            if None in ends:
                raise RuntimeError(f"{self.name} is held back: {self.status().holds}")
            self._pass(max((end for end in ends if end is not None), default=0.0))
            self.claim()

    def becomeBackup(self) -> None:
        """
        Become backup.  A host that is not running is started.
        """
        if not self.running:
            self.privilegedStartService()
            self.startService()
        if self.role is Role.MASTER:
            self.resign()
            self._pass(_HANDED_OVER)

    def _pass(self, seconds: float) -> None:
        runTo(self._segment.clock, self._segment.clock.seconds() + seconds)
