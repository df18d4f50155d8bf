"""
What the kernel says about this host.  Blocks for the duration of some system calls, and of programs
that print the rules of the firewalls.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import attrs

from txcarp.addresses import textOf
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.doctor import bridges, iptables, nftables
from txcarp.doctor.facts import Daemon, HostFacts
from txcarp.doctor.filtering import Chain
from txcarp.netlink.blocking import BlockingNetlink
from txcarp.netlink.format import readAttributes
from txcarp.netlink.messages import getLinks, parseAll, parseLink
from txcarp.netlink.routes import getRoute
from txcarp.network.hostlock import holder

#: Seconds that a program may take.
_PATIENCE = 5.0

#: Where programs for administrators are, beside the directories of C{PATH}.
_PATH = "/usr/sbin:/sbin:/usr/local/sbin"

#: struct rtmsg before the attributes, and the attribute with the interface.
_ROUTE_HEADER, _RTA_OIF = 12, 4

#: Bytes of a configuration file of keepalived that are read.
_LONGEST_FILE = 1 << 20

_KEEPALIVED = "/etc/keepalived/keepalived.conf"


def gather(groups: Sequence[VirtualHostConfiguration], untested: list[str]) -> HostFacts:
    """
    Find out what concerns some groups.

    @param untested: What could not be found out is added to it.
    """
    with BlockingNetlink() as netlink:
        messages = netlink.ask(getLinks())
        addresses = netlink.addresses()
    found, ports = bridges.read(messages)
    names = list(dict.fromkeys(group.interface for group in groups))
    return HostFacts(
        parseAll(messages, parseLink),
        addresses,
        found,
        ports,
        list(_chains(untested)),
        {name: _reversePath(name) for name in names},
        withoutIPv6=frozenset(
            name for name in names if _setting(f"ipv6/conf/{name}/disable_ipv6") != "0"
        ),
        daemons=_daemons(groups, untested),
    )


def withReturns(host: HostFacts, heard: Iterable[bytes]) -> HostFacts:
    """
    Find out by which interface packets go to hosts that were heard.

    @param heard: Packed addresses.
    """
    returns = {}
    with BlockingNetlink() as netlink:
        for address in dict.fromkeys(heard):
            if len(address) != 4:
                continue
            try:
                [answer, *_] = netlink.ask(getRoute(address, 0))
            except OSError as error:
                if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
                    returns[address] = 0
                continue
            attributes = readAttributes(answer.body[_ROUTE_HEADER:])
            if _RTA_OIF in attributes:
                returns[address] = int.from_bytes(attributes[_RTA_OIF], sys.byteorder)
    return attrs.evolve(host, returns=returns)


def _setting(name: str) -> str:
    """
    A setting of the kernel below C{net/}, of the network namespace of this process.
    """
    try:
        return Path("/proc/sys/net", name).read_text().strip()
    except OSError:
        return ""


def _reversePath(interface: str) -> int:
    """
    The greater value counts (C{Documentation/networking/ip-sysctl.rst}).
    """
    values = [_setting(f"ipv4/conf/{name}/rp_filter") for name in ("all", interface)]
    return max(int(one) if one.isdecimal() else 0 for one in values)


def _chains(untested: list[str]) -> Iterator[Chain]:
    """
    The chains of all firewalls whose programs are installed.
    """
    # iptables and arptables of today keep their rules in nftables, and nft shows them.
    text = _output(["nft", "--json", "list", "ruleset"], "the rules of nftables", untested)
    if text is not None:
        yield from _parsed(lambda: nftables.read(text), "the rules of nftables", untested)
    elif _which("nft") is None:
        for program in ("iptables", "ip6tables"):
            saved = _output([f"{program}-save"], f"the rules of {program}", untested)
            if saved is not None and "(nf_tables)" in saved:
                yield from iptables.read(saved, program)
    for family, program in (("ip", "iptables-legacy"), ("ip6", "ip6tables-legacy")):
        # The program would load modules of the kernel that are not in use.
        try:
            isUsed = bool(Path(f"/proc/net/{family}_tables_names").read_text().strip())
        except OSError:
            continue
        if isUsed:
            what = f"the rules of {program}"
            saved = _output([f"{program}-save"], what, untested)
            if saved is not None:
                yield from _parsed(
                    lambda saved=saved, program=program: iptables.read(saved, program),  # type: ignore[misc]
                    what,
                    untested,
                )


def _parsed(read: Callable[[], list[Chain]], what: str, untested: list[str]) -> list[Chain]:
    try:
        return read()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        untested.append(f"{what}: they are not understood ({error})")
        return []


def _which(program: str) -> str | None:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:{_PATH}")


def _output(command: Sequence[str], what: str, untested: list[str]) -> str | None:
    """
    What a program prints; C{None} if it is not installed, or fails.
    """
    path = _which(command[0])
    if path is None:
        return None
    try:
        done = subprocess.run(
            [path, *command[1:]],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            env={"LC_ALL": "C"},
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError) as error:
        untested.append(f"{what}: {command[0]} cannot be asked ({error})")
        return None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        untested.append(f"{what}: {command[0]} says: {lines[0]}")
        return None
    return done.stdout


def _daemons(
    groups: Sequence[VirtualHostConfiguration], untested: list[str]
) -> dict[tuple[str, int], list[Daemon]]:
    """
    The processes that run each group on this host.
    """
    found: dict[tuple[str, int], list[Daemon]] = {}
    others = list(_others(untested))
    for group in groups:
        key = group.interface, group.vhid
        daemons = found.setdefault(key, [])
        pid = holder(*key)
        if pid is not None:
            capabilities, locked = _rights(pid)
            if pid and capabilities is None:
                untested.append(f"the rights of txcarp (process {pid}): /proc does not show them")
            daemons.append(Daemon("txcarp", pid, capabilities, locked))
        for name, process, arguments in others:
            isHere = name == "ucarp" and _ucarp(arguments) == key
            if isHere or (name == "keepalived" and _hasAddress(arguments, group)):
                daemons.append(Daemon(name, process))
    return found


def _rights(pid: int) -> tuple[frozenset[int] | None, int | None]:
    """
    The effective capabilities of a process, and bytes of locked memory.
    """
    try:
        status = Path("/proc", str(pid), "status").read_text(errors="replace")
    except OSError:
        return None, None
    values = dict(re.findall(r"^(CapEff|VmLck):\s*(\w+)", status, re.MULTILINE))
    if "CapEff" not in values:
        return None, None
    mask = int(values["CapEff"], 16)
    capabilities = frozenset(number for number in range(64) if mask >> number & 1)
    locked = int(values["VmLck"]) * 1024 if "VmLck" in values else None
    return capabilities, locked


def _others(untested: list[str]) -> Iterator[tuple[str, int, list[str]]]:
    """
    The name, number and arguments of each ucarp and keepalived in this network namespace.  A
    process that one of them has started is left out.
    """
    with suppress(OSError):
        namespace = os.readlink("/proc/thread-self/ns/net")
        found = {}
        for entry in os.scandir("/proc"):
            if not entry.name.isdecimal():
                continue
            with suppress(OSError):
                line = os.fsdecode(Path(entry.path, "cmdline").read_bytes())
                words = line.split("\0")[:-1]
                name = os.path.basename(words[0]) if words else ""
                if name not in ("ucarp", "keepalived"):
                    continue
                try:
                    isHere = os.readlink(f"{entry.path}/ns/net") == namespace
                except PermissionError:
                    untested.append(f"{name} (process {entry.name}): it belongs to another user")
                    continue
                if not isHere:
                    continue
                status = Path(entry.path, "stat").read_text(errors="replace")
                parent = int(status.rpartition(")")[2].split()[1])
                found[int(entry.name)] = name, parent, words
        for pid, (name, parent, words) in found.items():
            if parent not in found:
                yield name, pid, words


def _ucarp(arguments: Sequence[str]) -> tuple[str, int] | None:
    """
    The interface and the vhid of a command line of ucarp.
    """
    values = {"-i": "", "-v": ""}
    names = {"--interface": "-i", "--vhid": "-v"}
    words = iter(arguments[1:])
    for word in words:
        name, equals, value = word.partition("=")
        if name in names:
            values[names[name]] = value if equals else next(words, "")
        elif word[:2] in values:
            values[word[:2]] = word[2:] or next(words, "")
    try:
        return values["-i"], int(values["-v"], 0)
    except ValueError:
        return None


def _hasAddress(arguments: Sequence[str], group: VirtualHostConfiguration) -> bool:
    """
    Whether a keepalived with a command line has an address of a group in its configuration.
    """
    file = _KEEPALIVED
    for word, following in zip(arguments, (*arguments[1:], ""), strict=True):
        if word in ("-f", "--use-file"):
            file = following
        elif word.startswith("--use-file="):
            file = word.partition("=")[2]
    try:
        with open(file, encoding="utf-8", errors="replace") as opened:
            text = opened.read(_LONGEST_FILE)
    except OSError:
        return False
    words = set(re.split(r"[\s/{}]+", text))
    return any(textOf(one.packed) in words or one.text in words for one in group.addresses)
