"""
Every ailment that C{txcarp doctor} knows, provoked by its cause between two hosts::

    python -m tests.ailments             # all
    python -m tests.ailments nft bridge  # those whose names begin so

Two doctors run at the same time, one on each host, and have to find exactly what was provoked.
Where a doctor prints a command that mends it, the command is run, and has to help.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from tests.lab.daemons import environment, programPath
from txcarp.daemon.capabilities import IPC_LOCK
from txcarp.testbed import Node, Testbed
from txcarp.testbed.namespaces import enable
from txcarp.testbed.program import TXCARP

#: How long a daemon may take to start, and a doctor to examine, on a busy machine.
_PATIENCE = 90.0

#: Seconds that the doctors wait for each other; if one of them will hear nobody, it waits for all
#: of that time.
_WAIT, _ALONE = "30", "10"

#: What is no trouble.
_ADVICE = "unlocked-memory"

_PASSWORD = "not a secret"

_IPV4, _IPV6 = "10.99.0.100", "fd00:99::100"

#: Runs txcarp with a wall clock that is ahead.
_AHEAD = (
    "import time; real = time.time_ns; time.time_ns = lambda: real() + 90 * 10**9\n"
    "from txcarp.commands.main import main; main()"
)


#: The names of the hosts, and the last byte of their addresses.
_NUMBERS = (("left", 1), ("right", 2))


class Pair:
    """
    Two hosts on a switch.

    @ivar options: The options of each host's doctor that others replace.
    @ivar command: The command of each host's txcarp.
    """

    def __init__(self, stack: ExitStack, snooping: bool) -> None:
        self._stack = stack
        self.testbed = stack.enter_context(Testbed.create(snooping))
        self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        names = dict(_NUMBERS)
        self.nodes = {
            name: self.testbed.node(name, f"10.99.0.{number}/24", f"fd00:99::{number}/64")
            for name, number in names.items()
        }
        self.interfaces = dict.fromkeys(names, "eth0")
        self.options: dict[str, list[str]] = {name: [] for name in names}
        self.addresses = {name: [_IPV4] for name in names}
        self.passwords = dict.fromkeys(names, _PASSWORD)
        self.commands: dict[str, Sequence[str]] = dict.fromkeys(names, TXCARP)
        self._environment = environment(self.directory)

    def run(self, where: str | Node, *commands: str) -> None:
        """
        Run commands of a shell on a host or the switch, which have to succeed.
        """
        node = self.nodes.get(where) if isinstance(where, str) else where
        for command in commands:
            with (node or self.testbed.lan).inside():
                done = subprocess.run(
                    command,
                    shell=True,
                    capture_output=True,
                    text=True,
                    check=False,
                    env={**os.environ, "PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin"},
                )
            if done.returncode:
                raise RuntimeError(f"{where}: {command}: {done.stdout}{done.stderr}")

    def group(self, name: str) -> list[str]:
        """
        The options of the group on a host.
        """
        words = ["-i", self.interfaces[name], "-v", "7", "-p", self.passwords[name]]
        for address in self.addresses[name]:
            words += ["-a", address]
        return words

    def start(self, name: str, program: Sequence[str], *options: str) -> Running:
        """
        Start a daemon on a host.
        """
        number = dict(_NUMBERS)[name]
        source = f"10.99.0.{number}"
        return self.spawn(name, [*program, *self.group(name), "-s", source, "-f", "none", *options])

    def spawn(self, name: str, command: Sequence[str]) -> Running:
        """
        Start any program on a host.
        """
        log = self.directory / f"{name}-{len(list(self.directory.iterdir()))}.log"
        with self.nodes[name].inside(), log.open("wb") as output:
            process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        running = Running(process, log)
        self._stack.callback(running.end)
        return running

    def txcarp(self, name: str, *options: str) -> Running:
        """
        Start txcarp on a host.
        """
        return self.start(name, TXCARP, "--state-file", "none", *options)

    def ucarp(self, name: str, *options: str) -> Running:
        """
        Start the real ucarp on a host.
        """
        path = programPath("ucarp")
        assert path is not None, "ucarp is not installed"
        return self.start(name, [str(path)], "-u", "/bin/true", "-d", "/bin/true", *options)

    def examine(self, wait: str) -> dict[str, dict[str, Any]]:
        """
        Run a doctor on both hosts at the same time.

        @param wait: For how many seconds each waits for the other one.

        @return: What each says, with its exit status.
        """
        processes = {}
        for name, node in self.nodes.items():
            words = [*self.commands[name], "doctor", "--json", "--wait", wait]
            words += [*self.group(name), *self.options[name]]
            with node.inside():
                processes[name] = subprocess.Popen(
                    words,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    env=self._environment,
                )
        found = {}
        for name, process in processes.items():
            try:
                output, errors = process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            try:
                found[name] = {**json.loads(output), "status": process.returncode}
            except ValueError:
                raise RuntimeError(f"{name}: {output}{errors}") from None
        return found


@attrs.frozen
class Running:
    """
    A daemon.
    """

    process: subprocess.Popen[bytes]
    log: Path

    def becomes(self, state: str) -> None:
        """
        Wait until it logs a state.
        """
        self.logs(f"Switching to state: {state}")

    def logs(self, words: str) -> None:
        """
        Wait until it logs some words.
        """
        end = time.monotonic() + _PATIENCE
        while words not in self.text:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"it does not log {words}: {self.text}")
            time.sleep(0.02)

    @property
    def text(self) -> str:
        """
        What it has logged.
        """
        return self.log.read_text(errors="replace")

    def end(self) -> None:
        """
        Kill it.
        """
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@attrs.frozen
class Ailing:
    """
    A cause, and what the doctors have to say.

    @ivar provoke: Makes the trouble, and returns what has to hold afterwards.
    @ivar left: What the doctor on the left host has to find.
    @ivar right: The same of the right host.
    @ivar words: Words that have to be in what the doctor on the left host says.
    @ivar programs: The programs that it needs.
    @ivar snooping: Whether the switch snoops.
    @ivar alone: Whether a doctor hears nobody.
    @ivar mends: Which of the commands that the left doctor prints mends it; C{None} if none can be
        run as it is.
    """

    name: str
    provoke: Callable[[Pair], Callable[[], None] | None]
    left: Sequence[str] = ()
    right: Sequence[str] = ()
    words: Sequence[str] = ()
    programs: Sequence[str] = ()
    snooping: bool = False
    alone: bool = False
    mends: int | None = None


def _unnoticed(*daemons: Running) -> Callable[[], None]:
    """
    A check that daemons do not notice what follows: they keep their roles, and refuse nothing.
    """
    before = [daemon.text for daemon in daemons]

    def check() -> None:
        for daemon, text in zip(daemons, before, strict=True):
            new = daemon.text[len(text) :]
            if re.search("switching|state|bad|vhid|digest|refuse|reject|receive", new, re.I):
                raise AssertionError(f"a daemon noticed the doctors: {new}")

    return check


def _healthy(pair: Pair) -> Callable[[], None]:
    """
    txcarp is backup of the real ucarp.
    """
    ucarp = pair.ucarp("right")
    ucarp.becomes("MASTER")
    backup = pair.txcarp("left", "--advskew", "100")
    backup.becomes("BACKUP")
    time.sleep(1.5)
    return _unnoticed(ucarp, backup)


def _healthyBoth(pair: Pair) -> Callable[[], None]:
    for addresses in pair.addresses.values():
        addresses[:] = [f"{_IPV4}/24", f"{_IPV6}/64"]
    for options in pair.options.values():
        options.append("--assign")
    master = pair.txcarp("left", "--assign")
    master.becomes("MASTER")
    backup = pair.txcarp("right", "--assign", "--advskew", "100")
    backup.becomes("BACKUP")
    time.sleep(1.5)
    return _unnoticed(master, backup)


def _healthyRouted(pair: Pair) -> None:
    """
    A group without multicast, whose hosts have a router between them.
    """
    networks = [(name, f"10.5{number}.0", pair.testbed.switch(name)) for name, number in _NUMBERS]
    pair.testbed.router(
        "router", *((switch, f"{network}.254/24") for _, network, switch in networks)
    )
    for name, network, switch in networks:
        [other] = [one for one in networks if one[0] != name]
        pair.nodes[name].connect(switch, f"{network}.1/24")
        pair.run(name, f"ip route add {other[1]}.0/24 via {network}.254")
        pair.interfaces[name] = "eth1"
        pair.options[name] += ["--peer", f"{other[1]}.1"]


def _nft(table: str, hook: str, rules: str, where: str = "left") -> Callable[[Pair], None]:
    text = f"table {table} {{ chain guarding {{ type filter hook {hook} priority 0; {rules} }}; }}"
    return lambda pair: pair.run(where, f"nft '{text}'")


_LOSSY = "table bridge f {{ chain g {{ type filter hook forward priority 0; {} drop; }}; }}"


def _lose(matches: str) -> Callable[[Pair], None]:
    return lambda pair: pair.run("switch", f"nft '{_LOSSY.format(matches)}'")


def _on(where: str, *commands: str) -> Callable[[Pair], None]:
    return lambda pair: pair.run(where, *commands)


def _reversePath(pair: Pair) -> None:
    side = pair.testbed.switch("side")
    pair.nodes["left"].connect(side, "10.88.0.1/24")
    pair.run(
        "left",
        "echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter",
        "ip route add 10.99.0.2/32 dev eth1",
    )


def _mute(pair: Pair) -> None:
    """
    The right host cannot say which groups it wants.
    """
    for addresses in pair.addresses.values():
        addresses[:] = [_IPV6]
    reports = "{ mld-listener-report, mld2-listener-report }"
    _nft("ip6 f", "output", f"icmpv6 type {reports} drop;", "right")(pair)


#: A bridge needs an address to ask, and sends everything everywhere until the answers to its first
#: question are due.
_QUERIER = (
    "for i in `seq 200`; do ip address show dev br0 | grep -q 'fe80.*link' && "
    "! ip address show dev br0 | grep -q tentative && exit 0; sleep 0.05; done; exit 1",
    "ip link set dev br0 type bridge mcast_query_response_interval 10",
    "ip link set dev br0 type bridge mcast_querier 1",
    "sleep 0.5",
)


def _snooping(pair: Pair) -> None:
    _mute(pair)
    pair.run("switch", *_QUERIER)
    # The right host may have named the groups of its own addresses before it became mute.  They are
    # there in any case, so that the hosts find each other's hardware address.
    for address in pair.nodes["right"].addresses():
        packed = ipaddress.ip_interface(address).packed
        if len(packed) == 16:
            group = f"ff02::1:ff{packed[13]:02x}:{packed[14]:02x}{packed[15]:02x}"
            entry = f"dev br0 port port1002 grp {group} permanent"
            pair.run("switch", f"bridge mdb del {entry} 2>&-; bridge mdb add {entry}")


def _healthySnooping(pair: Pair) -> None:
    for addresses in pair.addresses.values():
        addresses[:] = [f"{_IPV4}/24", f"{_IPV6}/64"]
    for options in pair.options.values():
        options.append("--assign")
    pair.run("switch", *_QUERIER)


def _bridge(pair: Pair) -> None:
    _mute(pair)
    pair.interfaces["left"] = "br0"
    pair.run(
        "left",
        "ip link add br0 type bridge forward_delay 0 mcast_snooping 1",
        "ip link set eth0 master br0",
        "ip link set br0 up",
        *_QUERIER,
    )


def _bridgePort(pair: Pair) -> None:
    pair.interfaces["left"] = "br0"
    pair.run(
        "left",
        "ip link add br0 type bridge forward_delay 0",
        "ip link set eth0 master br0",
        "ip address add 10.99.0.1/24 dev br0",
        "ip link set br0 up",
        "bridge link set dev eth0 state 0",
    )


def _enslaved(pair: Pair) -> None:
    pair.run("left", "ip link add br0 type bridge", "ip link set eth0 master br0")


def _keepalived(pair: Pair) -> Callable[[], None]:
    """
    keepalived with the same number as the group, which is another protocol.
    """
    path = pair.directory / "keepalived.conf"
    path.write_text(
        "vrrp_instance x {\n state MASTER\n interface eth0\n virtual_router_id 7\n"
        " priority 100\n virtual_ipaddress {\n 10.99.0.200/24\n }\n}\n"
    )
    number = str(pair.directory / "pid")
    command = ["keepalived", "-n", "-l", "-D", "-f", str(path), "-p", number, "-r", f"{number}2"]
    keepalived = pair.spawn("right", command)
    keepalived.logs("Entering MASTER STATE")
    time.sleep(1.5)
    return _unnoticed(keepalived)


def _clock(pair: Pair) -> None:
    pair.commands["right"] = (sys.executable, "-c", _AHEAD)


def _capability(pair: Pair) -> None:
    command = ("setpriv", "--bounding-set=-net_admin", *TXCARP)
    pair.start("left", command, "--state-file", "none").becomes("MASTER")
    for name in pair.addresses:
        pair.addresses[name] = [f"{_IPV4}/24"]
        pair.options[name].append("--assign")


def _memory(pair: Pair) -> None:
    command = ("prlimit", "--memlock=65536:65536", "setpriv", "--bounding-set=-ipc_lock", *TXCARP)
    pair.start("left", command, "--state-file", "none").becomes("MASTER")


def _two(pair: Pair) -> None:
    pair.txcarp("left").becomes("MASTER")
    pair.ucarp("left", "--advskew", "50").becomes("BACKUP")


def _leftover(pair: Pair) -> None:
    pair.run("right", f"ip address add {_IPV4}/24 dev eth0")
    pair.run("left", f"ip address add {_IPV4}/24 dev eth0")
    pair.txcarp("right").becomes("MASTER")


def _duplicate(pair: Pair) -> None:
    pair.run("right", "ip address add fd00:99::5/64 dev eth0 nodad")
    pair.run(
        "left",
        "echo 1 > /proc/sys/net/ipv6/conf/eth0/accept_dad",
        "echo 1 > /proc/sys/net/ipv6/conf/eth0/dad_transmits",
        "ip address add fd00:99::5/64 dev eth0",
        "for i in `seq 200`; do ip address show dev eth0 | grep -q dadfailed && exit 0; "
        "sleep 0.05; done; exit 1",
    )


def _other(name: str, **changes: Any) -> Callable[[Pair], None]:
    def provoke(pair: Pair) -> None:
        for attribute, value in changes.items():
            getattr(pair, attribute)[name] = value

    return provoke


def _sameSource(pair: Pair) -> None:
    pair.run("right", "ip address flush dev eth0", "ip address add 10.99.0.1/24 dev eth0")
    pair.txcarp("right", "-s", "10.99.0.1").becomes("MASTER")


def _equal(pair: Pair) -> None:
    for options in pair.options.values():
        options += ["--dialect", "freebsd"]


def _withoutIPv6(pair: Pair) -> None:
    for addresses in pair.addresses.values():
        addresses[:] = [_IPV6]
    pair.run("left", "echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6")


def _smallMTU(pair: Pair) -> None:
    for addresses in pair.addresses.values():
        addresses[:] = [_IPV6]
    pair.run("left", "ip link set dev eth0 mtu 1000")


def _masters(pair: Pair) -> None:
    _lose('iifname "port1001" ip protocol 112')(pair)
    pair.txcarp("left").becomes("MASTER")
    pair.txcarp("right", "--advskew", "50").becomes("MASTER")


def _withoutMulticast(pair: Pair) -> None:
    _lose("ip daddr 224.0.0.18")(pair)
    pair.options["left"] += ["--other", "10.99.0.2"]


AILMENTS = (
    Ailing("healthy", _healthy, programs=["ucarp"]),
    Ailing("healthy-both", _healthyBoth),
    Ailing("healthy-keepalived", _keepalived, programs=["keepalived"]),
    Ailing("healthy-routed", _healthyRouted),
    Ailing("healthy-snooping", _healthySnooping, snooping=True),
    Ailing(
        "nft-drop",
        _nft("inet f", "input", "ip protocol 112 drop;"),
        ["firewall"],
        ["other-firewall"],
        ['nft insert rule inet f guarding iifname "eth0" ip protocol 112 accept'],
        ["nft"],
        mends=0,
    ),
    Ailing(
        "nft-policy",
        _nft(
            "inet f",
            "input",
            "policy drop; ct state established,related accept; iifname lo accept; "
            "tcp dport 22 accept; icmpv6 type { nd-neighbor-solicit } accept;",
        ),
        ["firewall"],
        ["other-firewall"],
        ["policy drops", "chain guarding of the nft table inet f"],
        ["nft"],
        mends=0,
    ),
    Ailing(
        "nft-output",
        _nft("ip f", "output", "ip protocol 112 drop;"),
        ["firewall"],
        [],
        ['nft insert rule ip f guarding oifname "eth0" ip protocol 112 accept'],
        ["nft"],
        alone=True,
        mends=0,
    ),
    Ailing(
        "iptables",
        _on("left", "iptables -A INPUT -i eth0 -p 112 -j DROP"),
        ["firewall"],
        ["other-firewall"],
        ["iptables -I INPUT 1 -i eth0 -p 112 -j ACCEPT"],
        ["iptables"],
        mends=0,
    ),
    Ailing(
        "ufw",
        _on(
            "left",
            "iptables -N ufw-before-input; iptables -N ufw-not-local",
            "iptables -A INPUT -j ufw-before-input; iptables -P INPUT DROP",
            "iptables -A ufw-before-input -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
            "iptables -A ufw-before-input -m conntrack --ctstate INVALID -j DROP",
            "iptables -A ufw-before-input -j ufw-not-local",
            "iptables -A ufw-not-local -m addrtype --dst-type MULTICAST -j RETURN",
            "iptables -A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN",
            "iptables -A ufw-not-local -j DROP",
        ),
        ["firewall"],
        ["other-firewall"],
        ["iptables -I INPUT 1 -i eth0 -p 112 -j ACCEPT", "/etc/ufw/before.rules"],
        ["iptables"],
        mends=0,
    ),
    Ailing(
        "iptables-legacy",
        _on(
            "left",
            "iptables-legacy -P INPUT DROP",
            "iptables-legacy -A INPUT -i lo -j ACCEPT",
            "iptables-legacy -A INPUT -p icmp -j ACCEPT",
        ),
        ["firewall"],
        ["other-firewall"],
        ["iptables-legacy -I INPUT 1 -i eth0 -p 112 -j ACCEPT", "policy drops"],
        ["iptables-legacy"],
        mends=0,
    ),
    Ailing(
        "reverse-path", _reversePath, ["reverse-path"], ["other-firewall"], ["rp_filter=2"], mends=1
    ),
    Ailing(
        "snooping",
        _snooping,
        ["multicast-lost"],
        ["multicast-lost"],
        ["MLD snooping"],
        ["nft"],
        True,
    ),
    Ailing(
        "bridge",
        _bridge,
        ["multicast-lost"],
        [],
        ["mcast_snooping 0", "the bridge br0 of this host snoops, and has a querier"],
        ["nft"],
        alone=True,
        mends=0,
    ),
    Ailing(
        "multicast",
        _withoutMulticast,
        ["multicast-lost"],
        ["multicast-lost"],
        ["IGMP snooping"],
        ["nft"],
    ),
    Ailing(
        "bridge-port",
        _bridgePort,
        ["bridge-port"],
        [],
        ["eth0, a port of br0"],
        ["bridge"],
        alone=True,
    ),
    Ailing("enslaved", _enslaved, ["port-of-bridge"], [], ["-i br0"], alone=True),
    Ailing("carrier", lambda pair: pair.nodes["left"].unplug(), ["no-carrier"], alone=True),
    Ailing("down", _on("left", "ip link set eth0 down"), ["interface-down"], alone=True, mends=0),
    Ailing("interface", _other("left", interfaces="eth7"), ["no-interface"], alone=True),
    Ailing(
        "source",
        _on("left", "ip address flush dev eth0"),
        ["no-source"],
        [],
        ["eth0 does not have"],
        alone=True,
    ),
    Ailing("ipv6-off", _withoutIPv6, ["ipv6-off"], alone=True, mends=0),
    Ailing("mtu-small", _smallMTU, ["small-mtu"], alone=True),
    Ailing("mtu", _on("left", "ip link set eth0 mtu 1400"), ["mtu-differs"], ["mtu-differs"]),
    Ailing(
        "mtu-on-the-way",
        _on("switch", "ip link set port1002 mtu 1400"),
        ["large-lost"],
        ["large-lost"],
    ),
    Ailing("clock", _clock, ["clocks-apart"], ["clocks-apart"], ["90.0 s ahead"]),
    Ailing("capability", _capability, ["missing-capability"], [], ["CAP_NET_ADMIN"], ["setpriv"]),
    Ailing("memory", _memory, ["unlocked-memory"], [], ["LimitMEMLOCK=infinity"], ["setpriv"]),
    Ailing("two-daemons", _two, ["two-daemons"], [], ["txcarp", "ucarp"], ["ucarp"], mends=0),
    Ailing(
        "leftover",
        _leftover,
        ["leftover-address"],
        ["address-twice"],
        ["ip address del 10.99.0.100/24 dev eth0"],
        mends=0,
    ),
    Ailing("duplicate", _duplicate, ["duplicate-address"], [], ["fd00:99::5"], mends=1),
    Ailing(
        "one-way",
        _lose('iifname "port1001" ip protocol 112'),
        ["one-way"],
        [],
        ["10.99.0.2 sees none of this host"],
        ["nft"],
        alone=True,
    ),
    Ailing(
        "two-masters",
        _masters,
        ["one-way", "two-masters"],
        [],
        ["this host and 10.99.0.2 are master at the same time"],
        ["nft"],
        alone=True,
    ),
    Ailing(
        "unicast",
        _lose("ip daddr 10.99.0.2 ip protocol 112"),
        ["unicast-lost"],
        ["unicast-lost"],
        ["from this host to 10.99.0.2"],
        ["nft"],
    ),
    Ailing(
        "arp",
        _on("left", "arptables -A INPUT -j DROP"),
        ["neighbour-silent"],
        ["neighbour-silent"],
        ["arptables -I INPUT -i eth0 -j ACCEPT"],
        ["arptables"],
        mends=0,
    ),
    Ailing(
        "echo",
        _on("switch", "bridge link set dev port1001 hairpin on"),
        ["own-echo"],
        [],
        ["hairpin"],
        ["bridge"],
    ),
    Ailing("same-source", _sameSource, ["same-source"], ["same-source"], ["10.99.0.1"]),
    Ailing(
        "password",
        _other("right", passwords="another one"),
        ["other-password"],
        ["other-password"],
    ),
    Ailing(
        "addresses",
        _other("right", addresses=["10.99.0.101"]),
        ["other-settings"],
        ["other-settings"],
    ),
    Ailing("equal", _equal, ["equal-timing"], ["equal-timing"]),
)


def available() -> list[Ailing]:
    """
    Those whose programs are installed.
    """
    return [one for one in AILMENTS if all(map(programPath, one.programs))]


def _mayLockMemory() -> bool:
    """
    Whether daemons may lock their memory here: not in a container without that right, and not as
    root of a user namespace only.
    """
    status = Path("/proc/self/status").read_text()
    capabilities = int(status.partition("CapEff:")[2].split()[0], 16)
    isRoot = Path("/proc/self/uid_map").read_text().split()[:2] == ["0", "0"]
    return isRoot and bool(capabilities >> IPC_LOCK & 1)


def wrong(one: Ailing, mend: bool = False) -> str:
    """
    Provoke one ailment, and examine both hosts.

    @param mend: Whether to run the command that mends it, and to examine them again.
    @return: What is wrong with what the doctors say; empty if nothing is.
    """
    with ExitStack() as stack:
        pair = Pair(stack, one.snooping)
        check = one.provoke(pair)
        said = pair.examine(_ALONE if one.alone else _WAIT)
        if check is not None:
            check()
        for name, expected in (("left", one.left), ("right", one.right)):
            found = {complaint["ailment"] for complaint in said[name]["complaints"]}
            if not _mayLockMemory() and not expected:
                found.discard(_ADVICE)
            if found != set(expected):
                return (
                    f"{name} found {sorted(found)}, and not {sorted(expected)}: "
                    f"{json.dumps(said[name], indent=1)}"
                )
            alone = not any(path["doctors"] for path in said[name]["paths"])
            status = 2 if set(expected) - {_ADVICE} else 3 if alone or said[name]["untested"] else 0
            if said[name]["status"] != status:
                return f"{name} has the exit status {said[name]['status']}, and not {status}"
        text = json.dumps(said["left"]["complaints"]).replace('\\"', '"')
        missing = [words for words in one.words if words not in text]
        if missing:
            return f"left does not say {missing}: {text}"
        if mend and one.mends is not None:
            [complaint, *_] = said["left"]["complaints"]
            command = complaint["commands"][one.mends]
            pair.run("left", command)
            left = pair.examine(_WAIT)["left"]["complaints"]
            if left:
                return f"{command} does not mend it: {json.dumps(left)}"
        return ""


def main() -> int:
    """
    Run the command.
    """
    enable()  # before there is a second thread
    wanted = [
        one
        for one in available()
        if not sys.argv[1:] or any(one.name.startswith(word) for word in sys.argv[1:])
    ]
    skipped = [one.name for one in AILMENTS if one not in available()]
    failed = 0
    with ThreadPoolExecutor(4) as pool:
        for one, problem in zip(wanted, pool.map(_caught, wanted), strict=True):
            done = "named rightly" if one.mends is None else "named rightly, and mended"
            print(f"{one.name:18} {problem or done}", flush=True)
            failed += bool(problem)
    if skipped:
        print(f"without their programs: {', '.join(skipped)}")
    return 1 if failed else 0


def _caught(one: Ailing) -> str:
    try:
        return wrong(one, mend=True)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    sys.exit(main())
