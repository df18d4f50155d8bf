"""
The keys of a group in the configuration file: one table.

It says which settings of the model a key gives, and of which kind its value is.  What a setting
means is said by the model and, for people, by the table of options; L{Key.help} has words of its
own only where a key takes other values than the option.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, NewType

from txcarp.addresses import VirtualAddress, textOf
from txcarp.checks.health import HealthCheck
from txcarp.configuration.model import FlapLimit, SyncSettings, TrackedInterface
from txcarp.configuration.places import CONTROL_SOCKET
from txcarp.configuration.steps import ConfiguredStep
from txcarp.protocol.dialect import Dialect
from txcarp.protocol.seal import Verification

# The kinds of values that need a reader of their own.

#: Seconds.
Duration = NewType("Duration", float)
#: Seconds, or C{None} for no limit.
Limit = NewType("Limit", object)
#: The packed address of one host.
HostAddress = NewType("HostAddress", bytes)
#: The packed address of one host, or an empty one for C{auto}.
PeerAddress = NewType("PeerAddress", bytes)
#: Whether to preempt, and the delay before that.
Preemption = NewType("Preemption", tuple)  # type: ignore[type-arg]
#: A L{FlapLimit}, or C{None}.
Flapping = NewType("Flapping", object)
#: One set of addresses.
AddressSet = NewType("AddressSet", tuple)  # type: ignore[type-arg]
#: The path of a file.
FilePath = NewType("FilePath", str)
#: The password in a file.
FilePassword = NewType("FilePassword", bytes)
#: The password in a credential of systemd.
CredentialPassword = NewType("CredentialPassword", bytes)
#: The six bytes of a hardware address.
HardwareAddress = NewType("HardwareAddress", bytes)
#: The same; C{True} for the one that belongs to the vhid, or C{None}.
MovingHardwareAddress = NewType("MovingHardwareAddress", object)


class Key(NamedTuple):
    """
    A key of C{[defaults]} and of each C{[group.NAME]}.

    @ivar name: The key.
    @ivar settings: The attributes of L{VirtualHostConfiguration
        <txcarp.configuration.model.VirtualHostConfiguration>} that it gives.  The option with the
        first of them has the same meaning.
    @ivar kind: What a value is read as.  Where it is a list, a single value is a list of one.
    @ivar value: What a value looks like, for people.
    @ivar help: One line about it; empty if that of the option fits.
    """

    name: str
    settings: tuple[str, ...]
    kind: Any
    value: str
    help: str = ""


_FLAG = bool, "true or false"
_NUMBER = int, "a whole number"
_TEXT = str, "text"
_TIME = 'a time such as "60s", "500ms" or "2m", or a number of seconds'
_OR_NONE = "; false for none"
_FILE = FilePath, "a path, relative to the directory of the configuration file"
_SEVERAL_ADDRESSES = list[VirtualAddress], 'a list such as ["10.1.1.252/24", "2001:db8::252/64"]'

KEYS = (
    Key("interface", ("interface",), *_TEXT, "network interface of the group"),
    Key("vhid", ("vhid",), *_NUMBER),
    Key(
        "passfile",
        ("password", "otherPasswords"),
        list[FilePassword],
        "a path or a list of paths, relative to the directory of the configuration file",
        "file with the password in its first line; several while a group changes it, the new one "
        "first",
    ),
    Key(
        "credential",
        ("password", "otherPasswords"),
        list[CredentialPassword],
        "a name or a list of names",
        "credential of systemd (LoadCredential=) with the password, in place of a file",
    ),
    Key("dialect", ("dialect",), Dialect, '"ucarp", "freebsd" or "openbsd"'),
    Key("addresses", ("addresses",), *_SEVERAL_ADDRESSES, "addresses that the hosts share"),
    Key(
        "former_addresses",
        ("otherAddresses",),
        list[AddressSet],
        "a list of addresses, or a list of such lists",
        "also advertise for these sets of addresses and accept them, while a group changes its own",
    ),
    Key(
        "assign",
        ("assign",),
        *_FLAG,
        "add and remove the addresses, on lease; false if the group has scripts, true otherwise",
    ),
    Key(
        "guard",
        ("guard",),
        *_FLAG,
        "give up the addresses if txcarp dies or hangs [true]",
    ),
    Key("release_first", ("releaseFirst",), *_FLAG),
    Key(
        "reset_connections",
        ("resetConnections",),
        *_FLAG,
        "end the TCP connections of the addresses when they leave, so that clients connect again "
        "at once",
    ),
    Key(
        "virtual_mac",
        ("virtualMAC",),
        MovingHardwareAddress,
        'true, false or a MAC address such as "02:00:00:00:00:07"',
        "MAC address that moves with the addresses; true for 00:00:5e:00:01:VHID",
    ),
    Key(
        "announce_every",
        ("announceEvery",),
        Limit,
        _TIME + _OR_NONE,
        "time between repeated announcements of the addresses",
    ),
    Key("advbase", ("advbase",), *_NUMBER, "whole seconds between advertisements, 0 to 255"),
    Key("advskew", ("advskew",), *_NUMBER),
    Key("dead_ratio", ("deadRatio",), *_NUMBER),
    Key(
        "preempt",
        ("preempt", "preemptDelay"),
        Preemption,
        "true, false, or " + _TIME,
        "take over from a less preferred master, at once or after this time as a healthy backup",
    ),
    Key("start_delay", ("startDelay",), Limit, _TIME + _OR_NONE),
    Key("flap_limit", ("flapLimit",), Flapping, 'text such as "10/60s"' + _OR_NONE),
    Key(
        "track_interfaces",
        ("trackedInterfaces",),
        list[TrackedInterface],
        'a list such as ["eth1", "eth2:50"]',
        "demote this host while one of these interfaces has no link",
    ),
    Key(
        "probe",
        ("probe",),
        Limit,
        _TIME + _OR_NONE,
    ),
    Key(
        "witness",
        ("witnesses",),
        list[HostAddress],
        "an address or a list of addresses on the link of the group",
    ),
    Key("any_family", ("anyFamily",), *_FLAG),
    Key("ignore_link", ("ignoreLink",), *_FLAG),
    Key("up_script", ("upScript",), *_FILE),
    Key("down_script", ("downScript",), *_FILE),
    Key("script_parameter", ("parameter",), *_TEXT),
    Key("script_label", ("label",), *_TEXT, "what scripts get in place of the interface name"),
    Key("neutral", ("neutral",), *_FLAG),
    Key("shutdown", ("shutdown",), *_FLAG),
    Key("script_timeout", ("scriptTimeout",), Limit, _TIME + _OR_NONE),
    Key("down_script_first", ("downScriptFirst",), Limit, _TIME),
    Key(
        "source",
        ("source", "source6"),
        list[HostAddress],
        "an address, or a list with one of each family",
        "address of this host that advertisements come from [that of the interface]",
    ),
    Key(
        "multicast",
        ("group", "group6"),
        list[HostAddress],
        "an address, or a list with one of each family",
    ),
    Key("broadcast", ("broadcast",), *_FLAG),
    Key(
        "peers",
        ("peers", "followPeers"),
        list[PeerAddress],
        'a list of addresses, which may contain "auto"',
        "send to these hosts, not to the group",
    ),
    Key("seal", ("verification",), Verification, '"off", "learn" or "require"'),
    Key("signed_mac", ("signedHardware",), HardwareAddress, "a MAC address"),
    Key("debug", ("debug",), *_FLAG),
)

_OR_FALSE = "a path, relative to the directory of the configuration file; false for none"

#: The keys of C{[daemon]}, each with what its value looks like, for people, and one line about it.
DAEMON_KEYS = {
    "facility": ('a name such as "daemon"; "none" for no syslog', "syslog facility [daemon]"),
    "state_file": (
        _OR_FALSE,
        "file that keeps what all groups must know after a restart [the name of the "
        "configuration file with .json, in the state directory]",
    ),
    "control": (
        _OR_FALSE,
        f"socket for commands such as txcarp status [{CONTROL_SOCKET}]",
    ),
    "http": (
        'text such as "tcp:9112:interface=127.0.0.1", or a list of such texts',
        "endpoint of Twisted where everybody may read the state of all groups",
    ),
    "page": ("true or false", "show a page for browsers on the endpoints of http [false]"),
    "realtime": (
        "true or false",
        "run before all ordinary processes [where a group advertises more often than once a "
        "second]",
    ),
}

#: The keys by their names.
BY_NAME = {key.name: key for key in KEYS}

#: The settings whose values are shown nowhere.
_SECRETS = ("password", "otherPasswords")


def settingsOf(key: Key, value: Any) -> dict[str, Any]:
    """
    The settings that a key gives.

    @param value: The value, of the kind of the key.
    @raise ValueError: If the members of a list do not fit together.
    """
    first = key.settings[0]
    if key.kind == list[HostAddress] and len(key.settings) == 2:
        return _byFamily(key.settings, value)
    if key.kind == list[PeerAddress]:
        return {"peers": list(dict.fromkeys(filter(None, value))), "followPeers": b"" in value}
    if key.kind is Preemption:
        return dict(zip(key.settings, value, strict=True))
    if first == "password":
        if not value:
            raise ValueError("the list is empty")
        return {"password": value[0], "otherPasswords": value[1:]}
    return {first: value}


def _byFamily(settings: tuple[str, ...], addresses: list[bytes]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for address in addresses:
        setting = settings[len(address) == 16]
        if setting in found:
            both = f"{textOf(found[setting])} and {textOf(address)}"
            raise ValueError(f"{both} are of one family, and each family has one")
        found[setting] = address
    return found


def nameOf(setting: str) -> str:
    """
    The key that gives a setting; the setting itself if none does.
    """
    if setting == "title":
        return "name"
    if setting == "preemptDelay":
        return "preempt delay"
    return next((key.name for key in KEYS if setting in key.settings), setting)


def shown(setting: str, value: object) -> str:
    """
    The value of a setting for people.
    """
    if setting in _SECRETS:
        return "(secret)"
    match value:
        case None | () | b"" | "":
            return "none"
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g} s"
        case bytes():
            return value.hex(":") if len(value) == 6 else textOf(value)
        case tuple():
            return ", ".join(shown(setting, one) for one in value)
        case SyncSettings():
            took = "" if value.takeover is None else f" (takeover after {value.takeover:g} s)"
            return f"{value.name}{took}"
        case FlapLimit():
            return f"{value.changes}/{value.seconds:g}s"
        case TrackedInterface():
            return value.name if value.amount is None else f"{value.name}:{value.amount}"
        case HealthCheck() | ConfiguredStep():
            return value.name
        case Dialect():
            return value.name
        case Verification():
            return value.value
        case _:
            return str(value)


# Readers of texts that more than one key or option has.

_UNITS: Mapping[str, float] = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "": 1}
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|d|)")


def seconds(value: object) -> float:
    """
    The seconds that a time of the file means.

    @raise ValueError: If it is none.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("a time")
    return float(match[1]) * _UNITS[match[2]]
