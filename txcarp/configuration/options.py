"""
The options of C{txcarp}: one table, the grammar of a command line, and C{--help}.

L{txcarp.configuration.ucarp} says what the options mean.  C{docs/manual.py} makes the reference
and the manual pages from the table.  This module imports only light parts of the standard
library, so that C{txcarp --help} starts at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from textwrap import wrap
from typing import NamedTuple

from txcarp import __version__
from txcarp.configuration.places import CONTROL_SOCKET, STATE_DIRECTORY

#: The exit status of a wrong command line.
WRONG_USAGE = 1

#: The exit status of a wrong configuration file (sysexits(3), EX_CONFIG).  No failure of Python has
#: it, so that systemd can tell it from those that another start may mend.
WRONG_FILE = 78


class CommandLineError(Exception):
    """
    The command line is wrong.  The exit status is 1, as in ucarp.
    """


class Option(NamedTuple):
    """
    One option.  Those that ucarp has as well are exactly those with a short name.

    @ivar spelling: Its names and the name of its value, as C{--help} shows them.
    @ivar setting: The attribute of L{VirtualHostConfiguration
        <txcarp.configuration.model.VirtualHostConfiguration>} or of L{CommandLine
        <txcarp.configuration.request.CommandLine>} that it sets.
    @ivar default: The value without this option, as it would be written; an empty string if
        there is none.
    @ivar help: One line for C{--help}.
    @ivar text: Paragraphs that the reference adds.  C{``Literals``} stand in double backquotes.
    @ivar kind: What its value is: the name of a reader in L{txcarp.configuration.ucarp.READERS}.
        Flags have the default.
    @ivar words: All its values, if these are few words.
    """

    spelling: str
    setting: str
    default: str
    help: str
    text: str = ""
    kind: str = "text"
    words: tuple[str, ...] = ()

    @property
    def names(self) -> str:
        """
        The short and the long name, such as C{-k, --advskew}.
        """
        return self.spelling.partition("=")[0]

    @property
    def name(self) -> str:
        """
        The long name without its dashes.
        """
        return self.names.rpartition("--")[2]

    @property
    def short(self) -> str:
        """
        The letter of the short name; an empty string if there is none.
        """
        return self.spelling[1].strip("-")

    @property
    def takesValue(self) -> bool:
        """
        Whether a value follows.
        """
        return "=" in self.spelling


#: The width of the help in columns, and the column that descriptions start in.
_WIDTH, _INDENT = 80, 28

_SYNOPSIS = "Usage: txcarp [options]"

# fmt: off
GROUPS: dict[str, tuple[Option, ...]] = {
    "Group": (
        Option("-i, --interface=NAME", "interface", "",
            "network interface of the group [first one up]", """
            It may appear later: txcarp waits for it. By default, txcarp uses the first
            interface that is up and is not the loopback, and logs its name. A label of
            addresses (``eth0:1``) means its interface, and the scripts get the label."""),
        Option("-v, --vhid=NUMBER", "vhid", "",
            "number of the group, 1 to 255", """
            All hosts of a group have the same number. The numbers in options are read as ucarp
            reads them: ``0x0a`` and ``012`` are ten. A warning says so where a 0 in front
            changes the value.""", kind="number"),
        Option("-o, --passfile=FILE", "password", "",
            "read the password from the first line of FILE", """
            A password has 1 to 19 bytes. Only the owner should be able to read the file. The
            last ``-o`` or ``-p`` counts.""", kind="passwordFile"),
        Option("-p, --pass=PASSWORD", "password", "",
            "password of the group; --passfile is safer", """
            Other users can read the password in the process list until txcarp has
            overwritten it there.""", kind="password"),
        Option("--dialect=NAME", "dialect", "ucarp",
            "rules of the group: ucarp, freebsd, openbsd, openbsd-7.7", """
            The implementation that this host follows where they differ. ``openbsd`` is OpenBSD
            7.8 and later, ``openbsd-7.7`` is OpenBSD 7.7 and earlier; ``uname -r`` on the
            OpenBSD host prints its release. In a group with FreeBSD or OpenBSD hosts, give
            every host a different ``--advskew``, because a tie leaves the group without a
            master, and use no link-local virtual addresses. Balancing (``carpnodes``), VRRP,
            and ``carpdev`` by subnet are not supported.""",
            words=("ucarp", "freebsd", "openbsd", "openbsd-7.7")),
    ),
    "Addresses": (
        Option("-a, --addr=ADDRESS", "addresses", "",
            "virtual address; repeatable with --assign or --dialect", """
            An IPv4 or IPv6 address that the hosts of the group share. All hosts need the same
            addresses, in any order, because advertisements are signed with them. Advertisements
            are sent in each family that has an address. With ``--assign``, append the prefix
            length (``10.1.1.252/24``); the default is /32 or /128.

            ucarp has one address. Unless ``--assign`` or ``--dialect`` is given, the last
            ``-a`` counts, and a warning names the others.""", kind="virtualAddress"),
        Option("--assign", "assign", "",
            "manage the addresses on lease, without scripts", """
            txcarp adds and removes the addresses itself, and the kernel removes an address that
            the master no longer renews. See "Addresses on lease" in the manual."""),
        Option("--release-first", "releaseFirst", "",
            "when leaving, release everything before the bow-out", """
            A master that leaves bows out first and answers until its successor advertises.
            With this option it first removes the addresses and stops what depends on them: for
            services that must never run on two hosts."""),
        Option("--guard=SWITCH", "guard", "on",
            "give up the addresses if txcarp dies or hangs: on, off", """
            A small process, the guard, removes the addresses (or runs the down script, with
            ``--shutdown``) and bows out if txcarp is killed, or hangs for one and a half
            intervals. See "The guard" in the manual.""", kind="switch"),
        Option("--virtual-mac", "virtualMAC", "",
            "virtual MAC address 00:00:5e:00:01:VHID", """
            Needs ``--assign``. The MAC address moves to the next master together with the
            virtual addresses, on an interface of its own. See "Virtual MAC" in the manual."""),
        Option("--virtual-mac-address=MAC", "virtualMAC", "",
            "like --virtual-mac, with this MAC address", kind="hardwareAddress"),
        Option("--announce-every=SECONDS", "announceEvery", "60",
            "time between repeated announcements; 0 for none", """
            A new master announces its addresses to the neighbours (gratuitous ARP,
            unsolicited neighbour advertisements). It repeats that in the first seconds, and
            then at this interval; with 0, in the first seconds only.""", kind="limit"),
    ),
    "Election": (
        Option("-b, --advbase=SECONDS", "advbase", "1",
            "time between advertisements, 0 to 255", """
            A master advertises every ``advbase + advskew/256`` seconds. All hosts of a group
            should have the same advbase. It may be 0 if advskew is not, or with
            ``--dialect=openbsd``.""", kind="number"),
        Option("-k, --advskew=NUMBER", "advskew", "0",
            "addition to that interval in 1/256 s, 0 to 255", """
            The host that advertises most often is preferred as master: a higher advskew makes
            this host less preferred.""", kind="number"),
        Option("-r, --deadratio=NUMBER", "deadRatio", "3",
            "missed advbase intervals before a takeover", """
            A backup takes over after ``advbase * deadratio + advskew/256`` seconds of
            silence, but not before 1.25 intervals of the master are over.""", kind="number"),
        Option("-P, --preempt", "preempt", "",
            "take over from a less preferred master", """
            Without it, a backup waits until the master leaves or falls silent."""),
        Option("--preempt-delay=SECONDS", "preemptDelay", "",
            "preempt only after this time as a healthy backup", kind="seconds"),
        Option("--start-delay=SECONDS", "startDelay", "",
            "do not become master for this time after the start", """
            Use it where services take time to start.""", kind="limit"),
        Option("--flap-limit=CHANGES/SECONDS", "flapLimit", "10/60",
            "stay out after losing mastership this often; or none", """
            A host that becomes backup CHANGES times within SECONDS does not become master for
            the next SECONDS while another host is master, and logs that. Only changes after
            which another host was master count. CHANGES is at least 2.""", kind="flapLimit"),
        Option("--track-interface=NAME[:AMOUNT]", "trackedInterfaces", "",
            "demote this host while NAME has no link; repeatable", """
            AMOUNT, 1 to 240, is added to advskew, up to 240 in total. The default is 240. With
            OpenBSD's rules it is added to the demotion, and the default is 1, as in
            OpenBSD.""", kind="trackedInterface"),
        Option("--probe=SECONDS", "probe", "0",
            "ask the host of the master this often, and take over if it is gone; 0 for no", """
            A backup asks the host of the master for the master's own address (ARP, neighbour
            solicitation) at this interval, such as ``0.005``. It takes over within a few
            intervals if that host no longer answers and a witness does. See "The probe" in the
            manual.""", kind="limit"),
        Option("--witness=ADDRESS", "witnesses", "",
            "third host for the probe to ask; repeatable", """
            With ``--probe``: a host on the link of the group, 8 at most. The gateways of the
            routing table and the other hosts of the group are asked, too.""", kind="address"),
        Option("--any-family", "anyFamily", "",
            "take over when one address family falls silent", """
            This is the rule of the BSD kernels. By default, a master that is heard in one family is
            not replaced."""),
        Option("-S, --ignoreifstate", "ignoreLink", "",
            "ignore a lost carrier of the interface", """
            By default, a host takes no part in the election while its interface has no
            carrier."""),
    ),
    "Scripts": (
        Option("-u, --upscript=FILE", "upScript", "",
            "run FILE on becoming master", """
            It gets the arguments INTERFACE, ADDRESS and, if given, that of ``--xparam``. See
            "Scripts" in the manual."""),
        Option("-d, --downscript=FILE", "downScript", "",
            "run FILE on becoming backup, and at the start", """
            It gets the same arguments as the up script."""),
        Option("-x, --xparam=TEXT", "parameter", "",
            "one more argument for both scripts"),
        Option("-n, --neutral", "neutral", "",
            "do not run the down script at the start"),
        Option("-z, --shutdown", "shutdown", "",
            "run the down script when a master is stopped", """
            A signal then ends txcarp with exit status 0. Without this option, txcarp ends by
            the signal that it received."""),
        Option("--script-timeout=SECONDS", "scriptTimeout", "0",
            "end a script that runs longer; 0 for no limit", """
            The script gets TERM, and KILL two seconds later. Processes that the script has
            started get neither.""", kind="limit"),
        Option("--down-script-first=SECONDS", "downScriptFirst", "",
            "run the down script while the addresses are there", """
            Needs ``--assign``. By default the addresses are removed before the down script runs,
            because the next master has them already. With this option they are removed after
            it, or after SECONDS if it takes longer. A lease that is shorter ends before.""",
            kind="limit"),
    ),
    "Network": (
        Option("-s, --srcip=ADDRESS", "source", "",
            "address of this host that advertisements come from", """
            It is a real address, not a virtual one, and needed if a virtual address is IPv4. For
            IPv6 it is the link-local address of the interface by default. Give the option once
            for each family.""", kind="address"),
        Option("-m, --mcastip=ADDRESS", "group", "224.0.0.18, ff02::12",
            "multicast group that advertisements go to", """
            Give the option once for each family.""", kind="address"),
        Option("-M, --nomcast", "broadcast", "",
            "send to the Ethernet broadcast address"),
        Option("--peer=ADDRESS", "peers", "",
            "send to this host, not to the group; repeatable", """
            Name each other host of the group, 32 at most, where multicast is not forwarded,
            and across routers. Advertisements that came through a router are accepted from
            these addresses only.

            ``--peer auto`` sends to the group, and a copy to each peer that is named here or
            was heard with a seal, as a second path within a network.""", kind="peer"),
    ),
    "Security": (
        Option("--seal=MODE", "verification", "learn",
            "replay protection: off, learn or require", """
            Hosts that run txcarp seal their advertisements, so that nobody can repeat or
            change them; ucarp and BSD hosts do not notice. With ``learn``, a host that was heard
            with a seal must keep its seal, unless it shows that it runs ucarp or a BSD kernel
            now. ``require`` refuses all hosts without a seal: use it where all hosts run txcarp.
            ``off`` neither seals nor checks.""", words=("learn", "require", "off")),
        Option("--state-file=FILE", "stateFile", f"{STATE_DIRECTORY}/INTERFACE-VHID.json",
            "file that keeps seal state over a restart; or none", """
            It tells replays from new advertisements after a restart, and contains no secrets.
            If systemd sets STATE_DIRECTORY, the file is there; for users other than root it is
            in ~/.local/state/txcarp. A cloned virtual machine must not
            keep it. ``txcarp forget ADDRESS`` makes this host forget that a peer sealed."""),
        Option("--accept-passfile=FILE", "otherPasswords", "",
            "also accept and use the password in FILE; repeatable", """
            Use it for the old password while the hosts of a group change to a new one. As
            master, this host advertises with each password.""", kind="passwordFile"),
        Option("--accept-addrs=ADDRESS,...", "otherAddresses", "",
            "also accept this set of addresses; repeatable", """
            Use it for the old addresses while the hosts of a group change to new ones. As
            master, this host advertises for each set, and has the addresses of ``-a`` only.""",
            kind="addressSet"),
        Option("--signed-lladdr=MAC", "signedHardware", "",
            "MAC address that OpenBSD peers sign, if set by hand", kind="hardwareAddress"),
    ),
    "Configuration file": (
        Option("--config=FILE", "configFile", "",
            "read any number of groups from FILE", """
            FILE replaces all options but those of the process and ``--state-file``. See
            ``docs/file.rst``. HUP then reads it again, and does not end txcarp."""),
    ),
    "Process": (
        Option("-B, --daemonize", "daemonize", "",
            "run in the background"),
        Option("--pidfile=FILE", "pidFile", "",
            "write the process ID to FILE while txcarp runs", """
            txcarp does not start if FILE names a process that runs, and removes FILE when it
            ends."""),
        Option("--control=PATH", "control", "none",
            "socket for txcarp status and other commands; or none", f"""
            With ``--config`` it is ``{CONTROL_SOCKET}`` unless the file says
            otherwise. See ``docs/control.rst``."""),
        Option("--http=ENDPOINT", "http", "",
            "endpoint where everybody may read the state of all groups", """
            Any endpoint of Twisted for servers, such as ``tcp:9112:interface=127.0.0.1`` or
            ``tcp:9112:interface=10.1.1.1``. Nothing can be changed there. May be repeated.
            ``none`` is for none, although the file has some. See ``docs/control.rst``.""",
            "endpoint"),
        Option("--page", "page", "",
            "show a page for browsers on the endpoints of --http", """
            The page shows all groups as they change, and who was master when. Nothing can be
            changed there. See ``docs/control.rst``."""),
        Option("--realtime=SWITCH", "realtime", "",
            "run before ordinary processes: on, off [on for intervals below 1 s]", """
            By default, txcarp does so where a group advertises more often than once a second.
            See "Running on time" in the manual.""", kind="switch"),
        Option("-f, --facility=NAME", "facility", "daemon",
            "syslog facility; or none"),
        Option("-D, --debug", "debug", "",
            "log every packet"),
        Option("-h, --help", "", "",
            "print this text and exit"),
        Option("--version", "", "",
            "print the version and exit"),
    ),
}
# fmt: on

EXAMPLES = """\
Two hosts share 10.1.1.252. Run this on both, each with its own address:

  txcarp -i eth0 -s 10.1.1.1 -v 1 -o /etc/txcarp/password -a 10.1.1.252 \\
      -u /etc/txcarp/vip-up.sh -d /etc/txcarp/vip-down.sh -z

On the host that is to serve only while the other one is down, add -k 100. On
the other one, add -P to take the address back when it returns. With IPv4 and
IPv6 addresses, and without scripts:

  txcarp -i eth0 -s 10.1.1.1 -v 1 -o /etc/txcarp/password \\
      -a 10.1.1.252/24 -a 2001:db8::252/64 --assign -z

Run several groups from a file, after looking for mistakes in it:

  txcarp check /etc/txcarp/txcarp.toml
  txcarp --config /etc/txcarp/txcarp.toml

Watch a failover on this machine alone, or list the masters of a network:

  txcarp demo
  txcarp observe -i eth0
"""

EXIT_STATUS = (
    "0 after an orderly end, 1 for a wrong command line, 2 if txcarp cannot run (missing "
    "privileges, an impossible setting), 78 for a wrong configuration file. Without --shutdown, "
    "txcarp ends by the signal that it received."
)

OPTIONS = tuple(option for options in GROUPS.values() for option in options)


def split(
    arguments: Iterable[str],
) -> tuple[list[tuple[Option, str]], list[tuple[Option | None, str]]]:
    """
    The options of a command line with their values, which are empty strings for flags; and the
    words that are left over, each with the option before it.  Both may be mixed, as for GNU
    getopt_long in ucarp.

    @raise CommandLineError: If an option is unknown or ambiguous, lacks a value, or has one that
        it does not take.
    """
    found: list[tuple[Option, str]] = []
    leftOver: list[tuple[Option | None, str]] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            leftOver += [(None, rest) for rest in words]
        elif word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            option = _named(name)
            if equals and not option.takesValue:
                raise CommandLineError(f"option --{option.name} must not have an argument")
            found.append((option, value if equals else _nextValue(option, words)))
        elif word.startswith("-") and word != "-":
            letters = word[1:]
            while letters:
                option, letters = _lettered(letters[0]), letters[1:]
                if option.takesValue and letters:
                    found.append((option, letters))
                    break
                found.append((option, _nextValue(option, words)))
        else:
            leftOver.append((found[-1][0] if found else None, word))
    return found, leftOver


def _nextValue(option: Option, words: Iterator[str]) -> str:
    value = next(words, None) if option.takesValue else ""
    if value is None:
        name = f"-{option.short}" if option.short else f"--{option.name}"
        raise CommandLineError(f"option {name} requires argument")
    return value


def _lettered(letter: str) -> Option:
    for option in OPTIONS:
        if option.short == letter:
            return option
    raise CommandLineError(f"option -{letter} not recognized")


def _named(name: str) -> Option:
    """
    The option with a long name or with an abbreviation of one.  An abbreviation that ucarp
    understands means the option that it means in ucarp.
    """
    ucarp = [option for option in OPTIONS if option.short]
    meant = [option for option in OPTIONS if option.name == name]
    for known in (ucarp, OPTIONS):
        if len(meant) != 1:
            meant = [option for option in known if option.name.startswith(name)]
    if not meant:
        raise CommandLineError(f"option --{name} not recognized")
    if len(meant) > 1:
        listed = ", ".join(f"--{option.name}" for option in meant)
        raise CommandLineError(f"option --{name} not a unique prefix of one of {listed}")
    return meant[0]


def information(arguments: Iterable[str], synopsis: str = _SYNOPSIS) -> str | None:
    """
    The text that a command line asks for with C{--help} or C{--version}, or by being empty as
    in ucarp; C{None} if it asks for none.

    @param synopsis: The first line of the help.
    @raise CommandLineError: If the command line is wrong.
    """
    words = list(arguments)
    for name in [option.name for option, _ in split(words)[0]] if words else ["help"]:
        if name == "help":
            return helpText(synopsis)
        if name == "version":
            return f"txcarp {__version__}\n"
    return None


def helpText(synopsis: str = _SYNOPSIS) -> str:
    """
    What C{--help} prints.
    """
    lines = [synopsis]
    for heading, options in GROUPS.items():
        lines += ["", f"{heading}:"]
        for option in options:
            lines += _helpLines(option)
    exitStatus = "\n".join(wrap(f"Exit status: {EXIT_STATUS}", _WIDTH))
    return "\n".join([*lines, "", EXAMPLES, exitStatus, ""])


def _helpLines(option: Option) -> Iterator[str]:
    default = f" [{option.default}]" if option.default else ""
    left = f"  {option.spelling}" if option.short else f"      {option.spelling}"
    if len(left) > _INDENT - 2:
        yield left
        left = ""
    for line in wrap(option.help + default, _WIDTH - _INDENT, break_on_hyphens=False):
        yield f"{left:{_INDENT}}{line}"
        left = ""
