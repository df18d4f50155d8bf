"""
CARP for Linux: several hosts share IP addresses, and one of them answers at a time.

A program that embeds txcarp imports its names from here::

    from txcarp import CARPService, VirtualHostConfiguration

Begin with L{txcarp.service.CARPService}, and with L{txcarp.interfaces} to replace parts or
to observe.

Each name is loaded from its module when it is first used (PEP 562), so that the C{txcarp}
command and L{txcarp.protocol} load without Twisted.

C{docs/architecture.rst} explains the design.  In reading order:

  - C{interfaces}: the whole program on one page.
  - C{protocol}: bytes and decisions.
  - C{membership}: one run of a virtual host in its group.
  - C{mastership}: what a master does, and undoes afterwards.
  - C{checks}: whether what a master needs works.
  - C{plugins}: where the checks of other programs are found.
  - C{sets}: virtual hosts that are master together or not at all.
  - C{virtualhost}: a virtual host, as other programs see it.
  - C{status}: everything about a virtual host at one moment, and why it is so.
  - C{platform}: the machine, made once for all virtual hosts.
  - C{service}: all virtual hosts of a process.
  - C{configuration}: settings, and ucarp's command line.
  - C{commands}: the C{txcarp} command.
  - C{daemon}: the process around the service.
  - C{operate}: how a running process is asked and told.
  - C{clock}: time.
  - C{logs}: logs that never make the process wait.
  - C{guard}: gives back what a process holds when it dies or hangs.
  - C{companion}: starts the small processes beside this one.
  - C{network}: sockets, links and addresses of the kernel.
  - C{netlink}: the kernel's side of links and addresses.
  - C{socketreader}: reads a socket on the reactor.
  - C{state}: what must be known after a restart.
  - C{addresses}: addresses as people write them.
  - C{links}: links and addresses as the kernel describes them.
  - C{change}: a change of role, and the result of a script.
  - C{bequest}: what a master leaves behind.
  - C{findings}: the faults of a group.
  - C{occurrences}: what happens to a virtual host.
  - C{observer}: the engine of C{txcarp observe}.
  - C{conversion}: the engine of C{txcarp convert}.
  - C{doctor}: the engine of C{txcarp doctor}.
  - C{demo}: the engine of C{txcarp demo}.
  - C{setup}: the engines of C{txcarp init} and C{txcarp check}.
  - C{screen}: what commands print: text, tables and live pictures.
  - C{testing}: doubles for the tests of other programs.
  - C{testbed}: throw-away networks on this machine.
  - C{__main__}: C{python -m txcarp}.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from txcarp.addresses import Holding as Holding
    from txcarp.addresses import VirtualAddress as VirtualAddress
    from txcarp.addresses import parseIPv4 as parseIPv4
    from txcarp.addresses import parseIPv6 as parseIPv6
    from txcarp.bequest import Bequest as Bequest
    from txcarp.bequest import ScriptCommand as ScriptCommand
    from txcarp.change import Change as Change
    from txcarp.change import Drained as Drained
    from txcarp.change import FileStatus as FileStatus
    from txcarp.change import NotDrained as NotDrained
    from txcarp.change import Readiness as Readiness
    from txcarp.change import ReloadResult as ReloadResult
    from txcarp.change import Runs as Runs
    from txcarp.change import ScriptResult as ScriptResult
    from txcarp.change import StepState as StepState
    from txcarp.checks.dns import DNSCheck as DNSCheck
    from txcarp.checks.gateway import GatewayCheck as GatewayCheck
    from txcarp.checks.health import HealthCheck as HealthCheck
    from txcarp.checks.http import HTTPCheck as HTTPCheck
    from txcarp.checks.local import CommandCheck as CommandCheck
    from txcarp.checks.local import FileCheck as FileCheck
    from txcarp.checks.local import InterfaceCheck as InterfaceCheck
    from txcarp.checks.local import ProcessCheck as ProcessCheck
    from txcarp.checks.plugins import CheckPlugin as CheckPlugin
    from txcarp.checks.tcp import TCPCheck as TCPCheck
    from txcarp.checks.verdict import Health as Health
    from txcarp.configuration.model import ConfigurationError as ConfigurationError
    from txcarp.configuration.model import FlapLimit as FlapLimit
    from txcarp.configuration.model import SyncSettings as SyncSettings
    from txcarp.configuration.model import TrackedInterface as TrackedInterface
    from txcarp.configuration.model import VirtualHostConfiguration as VirtualHostConfiguration
    from txcarp.configuration.steps import ConfiguredStep as ConfiguredStep
    from txcarp.daemon.scheduling import stayOnTime as stayOnTime
    from txcarp.findings import Diagnosis as Diagnosis
    from txcarp.findings import Finding as Finding
    from txcarp.interfaces import IAddressObserver as IAddressObserver
    from txcarp.interfaces import IAddressTable as IAddressTable
    from txcarp.interfaces import IAdvertisementTransport as IAdvertisementTransport
    from txcarp.interfaces import IAnnouncer as IAnnouncer
    from txcarp.interfaces import ICheck as ICheck
    from txcarp.interfaces import ICheckPlugin as ICheckPlugin
    from txcarp.interfaces import IConnections as IConnections
    from txcarp.interfaces import IDiagnosisObserver as IDiagnosisObserver
    from txcarp.interfaces import IGuard as IGuard
    from txcarp.interfaces import ILeaseObserver as ILeaseObserver
    from txcarp.interfaces import ILinkMonitor as ILinkMonitor
    from txcarp.interfaces import ILinkObserver as ILinkObserver
    from txcarp.interfaces import IMastershipObserver as IMastershipObserver
    from txcarp.interfaces import IMastershipStep as IMastershipStep
    from txcarp.interfaces import INeighbours as INeighbours
    from txcarp.interfaces import INetwork as INetwork
    from txcarp.interfaces import IOccurrenceObserver as IOccurrenceObserver
    from txcarp.interfaces import IPacketReceiver as IPacketReceiver
    from txcarp.interfaces import IPlatform as IPlatform
    from txcarp.interfaces import IPolling as IPolling
    from txcarp.interfaces import IReadinessObserver as IReadinessObserver
    from txcarp.interfaces import IReloader as IReloader
    from txcarp.interfaces import IScriptRunner as IScriptRunner
    from txcarp.interfaces import ISetMember as ISetMember
    from txcarp.interfaces import IStateStore as IStateStore
    from txcarp.interfaces import ITrace as ITrace
    from txcarp.interfaces import IVirtualInterfaces as IVirtualInterfaces
    from txcarp.interfaces import IWill as IWill
    from txcarp.interfaces import IWitness as IWitness
    from txcarp.links import InterfaceAddress as InterfaceAddress
    from txcarp.links import Link as Link
    from txcarp.network.hostlock import AlreadyRunning as AlreadyRunning
    from txcarp.network.sockets import MissingCapability as MissingCapability
    from txcarp.occurrences import Occurrence as Occurrence
    from txcarp.occurrences import OccurrenceKind as OccurrenceKind
    from txcarp.operate.client import Client as Client
    from txcarp.operate.client import ControlError as ControlError
    from txcarp.operate.client import NoDaemon as NoDaemon
    from txcarp.operate.client import NotPermitted as NotPermitted
    from txcarp.operate.resource import ControlResource as ControlResource
    from txcarp.platform import LinuxPlatform as LinuxPlatform
    from txcarp.protocol.actor import Actor as Actor
    from txcarp.protocol.dialect import Dialect as Dialect
    from txcarp.protocol.effects import Effect as Effect
    from txcarp.protocol.effects import Reason as Reason
    from txcarp.protocol.effects import Role as Role
    from txcarp.protocol.envelope import Packet as Packet
    from txcarp.protocol.events import Event as Event
    from txcarp.protocol.events import HoldReason as HoldReason
    from txcarp.protocol.explain import Comparison as Comparison
    from txcarp.protocol.family import Family as Family
    from txcarp.protocol.freshness import SealedSource as SealedSource
    from txcarp.protocol.periods import Period as Period
    from txcarp.protocol.periods import Who as Who
    from txcarp.protocol.rejection import Rejection as Rejection
    from txcarp.protocol.seal import Fields as Fields
    from txcarp.protocol.seal import Verification as Verification
    from txcarp.protocol.sealstate import SavedDrain as SavedDrain
    from txcarp.protocol.sealstate import SealState as SealState
    from txcarp.protocol.timing import Timing as Timing
    from txcarp.service import CARPService as CARPService
    from txcarp.state.format import BadState as BadState
    from txcarp.state.store import defaultStateDirectory as defaultStateDirectory
    from txcarp.status.explanation import Explanation as Explanation
    from txcarp.status.parts import AddressStatus as AddressStatus
    from txcarp.status.parts import CheckStatus as CheckStatus
    from txcarp.status.parts import FamilyStatus as FamilyStatus
    from txcarp.status.parts import HoldStatus as HoldStatus
    from txcarp.status.parts import Note as Note
    from txcarp.status.parts import PastChange as PastChange
    from txcarp.status.parts import PastOccurrence as PastOccurrence
    from txcarp.status.parts import PeerStatus as PeerStatus
    from txcarp.status.parts import ProbeStatus as ProbeStatus
    from txcarp.status.parts import StepStatus as StepStatus
    from txcarp.status.parts import SyncStatus as SyncStatus
    from txcarp.status.process import GuardStatus as GuardStatus
    from txcarp.status.process import NetlinkStatus as NetlinkStatus
    from txcarp.status.process import PlatformStatus as PlatformStatus
    from txcarp.status.snapshot import Status as Status
    from txcarp.virtualhost import VirtualHost as VirtualHost

__version__ = "0.1.0"

_MODULES = {
    "Actor": "txcarp.protocol.actor",
    "AddressStatus": "txcarp.status.parts",
    "AlreadyRunning": "txcarp.network.hostlock",
    "BadState": "txcarp.state.format",
    "Bequest": "txcarp.bequest",
    "CARPService": "txcarp.service",
    "Change": "txcarp.change",
    "CheckPlugin": "txcarp.checks.plugins",
    "CheckStatus": "txcarp.status.parts",
    "CommandCheck": "txcarp.checks.local",
    "Client": "txcarp.operate.client",
    "Comparison": "txcarp.protocol.explain",
    "ConfigurationError": "txcarp.configuration.model",
    "ConfiguredStep": "txcarp.configuration.steps",
    "ControlError": "txcarp.operate.client",
    "ControlResource": "txcarp.operate.resource",
    "Diagnosis": "txcarp.findings",
    "Dialect": "txcarp.protocol.dialect",
    "DNSCheck": "txcarp.checks.dns",
    "Drained": "txcarp.change",
    "Effect": "txcarp.protocol.effects",
    "Event": "txcarp.protocol.events",
    "Explanation": "txcarp.status.explanation",
    "Family": "txcarp.protocol.family",
    "Fields": "txcarp.protocol.seal",
    "FileCheck": "txcarp.checks.local",
    "FamilyStatus": "txcarp.status.parts",
    "FileStatus": "txcarp.change",
    "Finding": "txcarp.findings",
    "FlapLimit": "txcarp.configuration.model",
    "GatewayCheck": "txcarp.checks.gateway",
    "Health": "txcarp.checks.verdict",
    "HealthCheck": "txcarp.checks.health",
    "Holding": "txcarp.addresses",
    "HoldReason": "txcarp.protocol.events",
    "GuardStatus": "txcarp.status.process",
    "HoldStatus": "txcarp.status.parts",
    "HTTPCheck": "txcarp.checks.http",
    "IAddressObserver": "txcarp.interfaces",
    "IAddressTable": "txcarp.interfaces",
    "IAdvertisementTransport": "txcarp.interfaces",
    "IAnnouncer": "txcarp.interfaces",
    "ICheck": "txcarp.interfaces",
    "ICheckPlugin": "txcarp.interfaces",
    "IConnections": "txcarp.interfaces",
    "IDiagnosisObserver": "txcarp.interfaces",
    "IGuard": "txcarp.interfaces",
    "ILeaseObserver": "txcarp.interfaces",
    "ILinkMonitor": "txcarp.interfaces",
    "ILinkObserver": "txcarp.interfaces",
    "IMastershipObserver": "txcarp.interfaces",
    "IMastershipStep": "txcarp.interfaces",
    "INeighbours": "txcarp.interfaces",
    "INetwork": "txcarp.interfaces",
    "InterfaceAddress": "txcarp.links",
    "InterfaceCheck": "txcarp.checks.local",
    "IPacketReceiver": "txcarp.interfaces",
    "IPlatform": "txcarp.interfaces",
    "IPolling": "txcarp.interfaces",
    "IReadinessObserver": "txcarp.interfaces",
    "IReloader": "txcarp.interfaces",
    "IScriptRunner": "txcarp.interfaces",
    "ISetMember": "txcarp.interfaces",
    "IStateStore": "txcarp.interfaces",
    "ITrace": "txcarp.interfaces",
    "IVirtualInterfaces": "txcarp.interfaces",
    "IWitness": "txcarp.interfaces",
    "IWill": "txcarp.interfaces",
    "Link": "txcarp.links",
    "LinuxPlatform": "txcarp.platform",
    "MissingCapability": "txcarp.network.sockets",
    "NetlinkStatus": "txcarp.status.process",
    "NoDaemon": "txcarp.operate.client",
    "NotDrained": "txcarp.change",
    "NotPermitted": "txcarp.operate.client",
    "Packet": "txcarp.protocol.envelope",
    "PastChange": "txcarp.status.parts",
    "PeerStatus": "txcarp.status.parts",
    "PlatformStatus": "txcarp.status.process",
    "ProbeStatus": "txcarp.status.parts",
    "ProcessCheck": "txcarp.checks.local",
    "Readiness": "txcarp.change",
    "Reason": "txcarp.protocol.effects",
    "Rejection": "txcarp.protocol.rejection",
    "ReloadResult": "txcarp.change",
    "Role": "txcarp.protocol.effects",
    "SavedDrain": "txcarp.protocol.sealstate",
    "ScriptCommand": "txcarp.bequest",
    "Runs": "txcarp.change",
    "ScriptResult": "txcarp.change",
    "SealedSource": "txcarp.protocol.freshness",
    "SealState": "txcarp.protocol.sealstate",
    "Status": "txcarp.status.snapshot",
    "StepState": "txcarp.change",
    "StepStatus": "txcarp.status.parts",
    "SyncSettings": "txcarp.configuration.model",
    "SyncStatus": "txcarp.status.parts",
    "TCPCheck": "txcarp.checks.tcp",
    "Timing": "txcarp.protocol.timing",
    "TrackedInterface": "txcarp.configuration.model",
    "Verification": "txcarp.protocol.seal",
    "VirtualAddress": "txcarp.addresses",
    "VirtualHost": "txcarp.virtualhost",
    "VirtualHostConfiguration": "txcarp.configuration.model",
    "defaultStateDirectory": "txcarp.state.store",
    "IOccurrenceObserver": "txcarp.interfaces",
    "Occurrence": "txcarp.occurrences",
    "OccurrenceKind": "txcarp.occurrences",
    "parseIPv4": "txcarp.addresses",
    "parseIPv6": "txcarp.addresses",
    "Note": "txcarp.status.parts",
    "PastOccurrence": "txcarp.status.parts",
    "Period": "txcarp.protocol.periods",
    "Who": "txcarp.protocol.periods",
    "stayOnTime": "txcarp.daemon.scheduling",
}


def __getattr__(name: str) -> object:
    """
    Load a public name from its module when it is first used.
    """
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    """
    List the public names, loaded or not.
    """
    return ["__version__", *_MODULES]
