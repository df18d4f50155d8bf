"""
ucarp's command line.
"""

from __future__ import annotations

import getopt
import os
import re
import stat
from collections.abc import Callable, Sequence

from twisted.logger import Logger
from twisted.python import usage

from txcarp.configuration import (
    MAXIMUM_INTERFACE,
    ConfigurationError,
    VirtualHostConfiguration,
    parseHardwareAddress,
    parseIPv4,
    parseVirtualAddress,
)
from txcarp.logs import facilityNumber
from txcarp.mastership.virtualmac import virtualHardwareAddress
from txcarp.network.defaults import firstInterface
from txcarp.protocol.authentication import MAXIMUM_PASSWORD
from txcarp.protocol.envelope import GROUP
from txcarp.secrecy import hideArguments

_log = Logger()

#: What ucarp reads of a password file, in bytes.
_PASSWORD_FILE = 511

_UNSET = b"\0\0\0\0"

_EXAMPLES = """
Two hosts share 10.1.1.252; run this on both, each with its own address:

  txcarp -i eth0 -s 10.1.1.1 -v 1 -o /etc/txcarp/password -a 10.1.1.252 \\
      -u /etc/txcarp/vip-up.sh -d /etc/txcarp/vip-down.sh -z

The second host, used only while the first one is down, adds -k 100; the first
one adds -P to take the address back when it returns. See it work on this
machine alone with: txcarp demo

Exit status: 0 after an orderly end, 1 for a wrong command line, 2 if it cannot
run (no privileges, an impossible setting); ended by a signal without -z.
"""


class CannotRun(Exception):
    """
    The command line is well formed, but this program cannot do what it says.
    """


def _number(low: int, high: int, what: str) -> Callable[[str], int]:
    """
    Read a number as C does with base 0: C{0x0a} and C{012} are 10.
    """

    def read(text: str) -> int:
        match = re.fullmatch(r"\s*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)", text)
        if match is None:
            raise usage.UsageError(f"{what}: {text!r} is not a number from {low} to {high}")
        sign, digits = match.groups()
        base = 16 if digits[:2].lower() == "0x" else 8 if digits[0] == "0" else 10
        number = int(digits, base) * (-1 if sign == "-" else 1)
        if not low <= number <= high:
            raise usage.UsageError(f"{what}: {text} is not a number from {low} to {high}")
        return number

    return read


def _vhid(text: str) -> int:
    try:
        return _number(1, 255, "-v, --vhid")(text)
    except usage.UsageError as error:
        raise usage.UsageError(f"{error}: vhid must be between 1 and 255.") from None


def _ipv4(what: str) -> Callable[[str], bytes]:
    def read(text: str) -> bytes:
        try:
            return parseIPv4(text)
        except ValueError as error:
            raise usage.UsageError(f"{what}: Invalid address: [{text}]: {error}") from None

    return read


def _seconds(what: str) -> Callable[[str], float | None]:
    def read(text: str) -> float | None:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < 1e9:
            raise usage.UsageError(f"{what}: {text!r} is not a number of seconds (0: none)")
        return seconds or None

    return read


def _hardware(text: str) -> bytes:
    try:
        return parseHardwareAddress(text)
    except ValueError as error:
        raise usage.UsageError(f"--virtual-mac-address: {error}") from None


class CARPOptions(usage.Options):
    """
    The options of one virtual host, with ucarp's meaning and defaults.

    What differs from ucarp: an unknown option, and a number that is none or is
    out of range, is an error; ucarp prints its usage and exits with status 0,
    or takes the number modulo 256.
    """

    synopsis = "Usage: txcarp [options]"
    longdesc = ""

    # Twisted builds its own parser from these; see twisted.python.usage.
    optParameters = [  # noqa: RUF012
        ["interface", "i", None, "bind to this interface; the first one that is up by default"],
        ["srcip", "s", None, "source address of this host, a real one", _ipv4("-s, --srcip")],
        [
            "mcastip",
            "m",
            None,
            "multicast group of the advertisements [224.0.0.18]",
            _ipv4("-m, --mcastip"),
        ],
        ["vhid", "v", None, "number of the virtual host, 1-255", _vhid],
        ["advbase", "b", 1, "seconds between advertisements", _number(0, 255, "-b, --advbase")],
        [
            "advskew",
            "k",
            0,
            "256ths of a second more, 0-255; higher is less preferred",
            _number(0, 255, "-k, --advskew"),
        ],
        ["upscript", "u", None, "run this file on becoming master"],
        ["downscript", "d", None, "run this file on becoming backup"],
        [
            "deadratio",
            "r",
            3,
            "how many bases of silence make a master dead",
            _number(0, 2**32 - 1, "-r, --deadratio"),
        ],
        ["facility", "f", "daemon", "syslog facility, or none"],
        ["xparam", "x", None, "one more argument for both scripts"],
        [
            "script-timeout",
            None,
            None,
            "seconds that a script may take; 0 for no limit [0]",
            _seconds("--script-timeout"),
        ],
        [
            "announce-every",
            None,
            60.0,
            "seconds after which a master announces its addresses again; 0 for never",
            _seconds("--announce-every"),
        ],
        [
            "virtual-mac-address",
            None,
            None,
            "the same with this address",
            _hardware,
        ],
    ]
    optFlags = [  # noqa: RUF012
        ["preempt", "P", "take over from a slower master that lives"],
        ["neutral", "n", "do not run the down script at start"],
        ["shutdown", "z", "run the down script when a master is stopped"],
        ["daemonize", "B", "run in the background"],
        ["ignoreifstate", "S", "ignore the state of the interface (no carrier)"],
        ["assign", None, "add and remove the addresses without scripts, as leases"],
        [
            "virtual-mac",
            None,
            "with --assign: the addresses have the hardware address 00:00:5e:00:01:VHID, "
            "which moves with them",
        ],
        ["release-first", None, "on leaving, give everything back before saying so"],
        ["nomcast", "M", "send to the Ethernet broadcast address"],
        ["debug", "D", "log each packet"],
    ]

    def __init__(self) -> None:
        usage.Options.__init__(self)
        self.passwords: list[bytes] = []
        self.addresses: list[str] = []
        self._readPassword: Callable[[], bytes] | None = None

    def opt_help(self) -> None:
        """
        print this text and exit
        """
        print(str(self), end="")
        raise SystemExit(0)

    opt_h = opt_help

    def opt_version(self) -> None:
        """
        print the version and exit
        """
        from txcarp import __version__

        print(f"txcarp {__version__}")
        raise SystemExit(0)

    def opt_addr(self, address: str) -> None:
        """
        virtual shared address; with --assign as often as there are addresses, each IPv4 or
        IPv6 with a prefix length
        """
        try:
            parseVirtualAddress(address)
        except ValueError as error:
            raise usage.UsageError(f"-a, --addr: Invalid address: [{address}]: {error}") from None
        self.addresses.append(address)

    opt_a = opt_addr

    def opt_pass(self, password: str) -> None:
        """
        password of the group; better is --passfile
        """
        secret = os.fsencode(password)
        self.passwords.append(secret)
        self._readPassword = lambda: secret

    opt_p = opt_pass

    def opt_passfile(self, path: str) -> None:
        """
        read the password from the first line of this file
        """
        secret = _passwordFrom(path)
        self._readPassword = lambda: secret

    opt_o = opt_passfile

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """
        Read a command line.  Options and operands may be mixed and operands
        are ignored, as GNU getopt_long has it for ucarp.
        """
        given = list(options or ())
        if not given:
            self.opt_help()
        try:
            pairs, _ = getopt.gnu_getopt(given, self.shortOpt, self.longOpt)
        except getopt.GetoptError as error:
            raise usage.UsageError(str(error)) from None
        # A value stays in one piece with its option, however it begins.
        flat: list[str] = []
        for name, value in pairs:
            takesValue = name[2:] + "=" in self.longOpt or name[1:] + ":" in self.shortOpt
            flat += [name, value] if takesValue else [name]
        usage.Options.parseOptions(self, flat)

    def postOptions(self) -> None:
        """
        Check what is missing, in ucarp's order.

        @raise usage.UsageError: If something is.
        """
        if not self["interface"]:
            self["interface"] = firstInterface()
            if self["interface"] is None:
                raise usage.UsageError("You must supply a network interface (-i)")
            _log.info("Using [{name}] as a network interface", name=self["interface"])
        if self["vhid"] is None:
            raise usage.UsageError("You must supply a valid virtual host id (-v)")
        if self._readPassword is None or not self._readPassword():
            raise usage.UsageError("You must supply a password (-o FILE or -p)")
        if self["advbase"] == 0 and self["advskew"] == 0:
            raise usage.UsageError("You must supply an advertisement time base (-b)")
        if self["srcip"] in (None, _UNSET):
            raise usage.UsageError("You must supply a persistent source address (-s)")
        if not self["assign"]:
            for address in self.addresses:
                _ipv4("-a, --addr (without --assign)")(address)
            del self.addresses[:-1]  # the last one wins, as in ucarp
        if not self.addresses or self.addresses == ["0.0.0.0"]:
            raise usage.UsageError("You must supply a virtual host address (-a)")
        if self["deadratio"] == 0:
            raise usage.UsageError("Dead ratio can't be zero (-r)")

    @property
    def facility(self) -> str | None:
        """
        The name of the syslog facility; C{None} for no syslog.  A name that
        nobody knows is reported, and the default used, as in ucarp.
        """
        name: str = self["facility"]
        try:
            return None if facilityNumber(name) is None else name
        except ValueError as error:
            _log.error("Unknown syslog facility: [{name}]: {error}", name=name, error=error)
            return "daemon"

    def configuration(self) -> VirtualHostConfiguration:
        """
        What the command line asks for.

        @raise CannotRun: If it cannot be.
        """
        assert self._readPassword is not None
        password = self._readPassword()
        if len(password) > MAXIMUM_PASSWORD:
            raise CannotRun(
                f"Password too long: {len(password)} bytes, a CARP key holds {MAXIMUM_PASSWORD}"
            )
        if len(self["interface"].encode()) > MAXIMUM_INTERFACE:
            raise CannotRun(
                f"-i, --interface: Interface name too long: [{self['interface']}] has more than "
                f"{MAXIMUM_INTERFACE} bytes"
            )
        try:
            return VirtualHostConfiguration(
                interface=self["interface"],
                vhid=self["vhid"],
                password=password,
                source=self["srcip"],
                addresses=self.addresses,
                assign=bool(self["assign"]),
                virtualMAC=self._virtualMAC(),
                releaseFirst=bool(self["release-first"]),
                announceEvery=self["announce-every"],
                group=self["mcastip"] or GROUP,
                broadcast=bool(self["nomcast"]),
                advbase=self["advbase"],
                advskew=self["advskew"],
                deadRatio=self["deadratio"],
                preempt=bool(self["preempt"]),
                neutral=bool(self["neutral"]),
                shutdown=bool(self["shutdown"]),
                ignoreLink=bool(self["ignoreifstate"]),
                upScript=self["upscript"],
                downScript=self["downscript"],
                parameter=self["xparam"],
                scriptTimeout=self["script-timeout"],
                debug=bool(self["debug"]),
            )
        except ConfigurationError as error:
            raise CannotRun(f"{_OPTION_OF.get(error.setting, error.setting)}: {error}") from None

    def _virtualMAC(self) -> bytes | None:
        chosen: bytes | None = self["virtual-mac-address"]
        if chosen is None and self["virtual-mac"]:
            return virtualHardwareAddress(self["vhid"])
        return chosen

    def hidePasswords(self) -> None:
        """
        Take the passwords out of the process list.
        """
        for secret in self.passwords:
            hideArguments(secret)

    def getUsage(self, width: int | None = None) -> str:
        """
        The help text; Twisted would fill the lines of the examples.
        """
        return str(usage.Options.getUsage(self, width)).rstrip() + "\n" + _EXAMPLES


_OPTION_OF = {
    "group": "-m, --mcastip",
    "interface": "-i, --interface",
    "addresses": "-a, --addr",
    "virtualMAC": "--virtual-mac",
}


def _passwordFrom(path: str) -> bytes:
    """
    The password in a file: its first line, read as ucarp reads it.

    @raise usage.UsageError: If there is none to be read.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(_PASSWORD_FILE)
            mode = os.fstat(file.fileno()).st_mode
    except OSError as error:
        raise usage.UsageError(
            f"unable to open passfile {path} for reading: {error.strerror}"
        ) from None
    if not text:
        raise usage.UsageError(f"error reading passfile {path}: unexpected end of file")
    if stat.S_ISREG(mode) and mode & (stat.S_IRGRP | stat.S_IROTH):
        _log.warn(
            "Others can read the password in {path} (mode {mode:04o}): chmod 600 {path}",
            path=path,
            mode=stat.S_IMODE(mode),
        )
    return text.split(b"\n", 1)[0].split(b"\0", 1)[0]

