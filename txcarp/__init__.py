"""
txcarp: several hosts share IP addresses, and one of them answers.

These are the names that another program needs::

    from txcarp import CARPService, VirtualHostConfiguration

See L{txcarp.service.CARPService} and L{txcarp.interfaces}.

A name is loaded from its module when it is first used (PEP 562), so that the
C{txcarp} command and the modules of L{txcarp.protocol} start without Twisted.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from txcarp.addresses import parseIPv4, parseIPv6
    from txcarp.change import Change
    from txcarp.configuration.model import (
        ConfigurationError,
        FlapLimit,
        TrackedInterface,
        VirtualHostConfiguration,
    )
    from txcarp.findings import Diagnosis, Finding
    from txcarp.protocol.effects import Reason, Role
    from txcarp.protocol.seal import Verification
    from txcarp.service import CARPService
    from txcarp.statestore import defaultStateDirectory
    from txcarp.virtualhost import VirtualHost

__version__ = "0.1.0"

_MODULES = {
    "CARPService": "txcarp.service",
    "Change": "txcarp.change",
    "ConfigurationError": "txcarp.configuration.model",
    "Diagnosis": "txcarp.findings",
    "Finding": "txcarp.findings",
    "FlapLimit": "txcarp.configuration.model",
    "Reason": "txcarp.protocol.effects",
    "Role": "txcarp.protocol.effects",
    "TrackedInterface": "txcarp.configuration.model",
    "Verification": "txcarp.protocol.seal",
    "VirtualHost": "txcarp.virtualhost",
    "VirtualHostConfiguration": "txcarp.configuration.model",
    "defaultStateDirectory": "txcarp.statestore",
    "parseIPv4": "txcarp.addresses",
    "parseIPv6": "txcarp.addresses",
}

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
    "defaultStateDirectory",
    "parseIPv4",
    "parseIPv6",
]


def __getattr__(name: str) -> object:
    """
    Load a public name from its module.

    @raise AttributeError: If this package has no such name.
    """
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(module), name)
    return value


def __dir__() -> list[str]:
    """
    The public names, loaded or not.
    """
    return __all__
