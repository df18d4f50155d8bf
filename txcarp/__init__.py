"""
txcarp: several hosts share IP addresses, and one of them answers.

These are the names that another program needs::

    from txcarp import CARPService, VirtualHostConfiguration

See L{txcarp.service.CARPService} and L{txcarp.interfaces}.
"""

from txcarp.addresses import parseIPv4, parseIPv6
from txcarp.change import Change
from txcarp.configuration import (
    ConfigurationError,
    FlapLimit,
    TrackedInterface,
    VirtualHostConfiguration,
)
from txcarp.membership.diagnosis import Diagnosis, Finding
from txcarp.protocol.election import Reason, Role
from txcarp.protocol.seal import Verification
from txcarp.service import CARPService
from txcarp.virtualhost import VirtualHost

__version__ = "0.1.0"

__all__ = [
    "CARPService",
    "Change",
    "ConfigurationError",
    "Diagnosis",
    "Finding",
    "FlapLimit",
    "Reason",
    "Role",
    "TrackedInterface",
    "Verification",
    "VirtualHost",
    "VirtualHostConfiguration",
    "__version__",
    "parseIPv4",
    "parseIPv6",
]
