"""
ucarp's command line.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from twisted.logger import Logger
from twisted.python import usage

from txcarp.addresses import parseSource, parseVirtualAddress
from txcarp.configuration.abbreviations import split
from txcarp.configuration.model import (
    MAXIMUM_INTERFACE,
    ConfigurationError,
    TrackedInterface,
    VirtualHostConfiguration,
)
from txcarp.configuration.optiontable import EXAMPLES, FLAGS, PARAMETERS
from txcarp.configuration.optionvalues import flapLimit, passwordFrom, trackedInterface
from txcarp.daemon.secrecy import hideArguments
from txcarp.logs import facilityNumber
from txcarp.mastership.virtualmac import virtualHardwareAddress
from txcarp.network.defaults import firstInterface
from txcarp.protocol import ipv4, ipv6
from txcarp.protocol.authentication import MAXIMUM_PASSWORD
from txcarp.protocol.dialect import DIALECTS
from txcarp.protocol.family import Family, familyOf, isLinkLocal
from txcarp.protocol.seal import Verification
from txcarp.statestore import defaultStateDirectory, fileNameOf

_log = Logger()

_UNSET = b"\0\0\0\0"


class CannotRun(Exception):
    """
    The command line is well formed, but this program cannot do what it says.
    """


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
    optParameters = PARAMETERS
    optFlags = FLAGS

    def __init__(self) -> None:
        usage.Options.__init__(self)
        self.passwords: list[bytes] = []
        self.addresses: list[str] = []
        self._sources: dict[Family, bytes] = {}
        self._groups: dict[Family, bytes] = {}
        self._peers: list[bytes] = []
        self._scopes: set[str] = set()
        self._followPeers = False
        self._tracked: list[TrackedInterface] = []
        self._otherPasswords: list[bytes] = []
        self._otherAddresses: list[list[str]] = []
        self._chosenDialect = False
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

    def opt_srcip(self, address: str) -> None:
        """
        source address of this host, a real one; for IPv6 the link-local one by default
        """
        try:
            packed = parseSource(address)
        except ValueError as error:
            raise usage.UsageError(f"-s, --srcip: Invalid address: [{address}]: {error}") from None
        self._sources[familyOf(packed)] = packed

    opt_s = opt_srcip

    def opt_mcastip(self, address: str) -> None:
        """
        multicast group of the advertisements [224.0.0.18, ff02::12]
        """
        try:
            packed = parseSource(address)
        except ValueError as error:
            raise usage.UsageError(
                f"-m, --mcastip: Invalid address: [{address}]: {error}"
            ) from None
        self._groups[familyOf(packed)] = packed

    opt_m = opt_mcastip

    def opt_peer(self, address: str) -> None:
        """
        send to this host, not to the group (repeatable); auto: also to all who were heard
        """
        if address == "auto":
            self._followPeers = True
            return
        bare, percent, scope = address.partition("%")
        try:
            packed = parseSource(bare)
            if percent and not isLinkLocal(packed):
                raise ValueError(f"{address!r} has a scope, which only link-local addresses have")
        except ValueError as error:
            raise usage.UsageError(f"--peer: Invalid address: [{address}]: {error}") from None
        if percent:
            self._scopes.add(scope)
        self._peers.append(packed)

    def opt_track_interface(self, text: str) -> None:
        """
        NAME or NAME:AMOUNT [240]: be demoted while it has no link (repeatable)
        """
        self._tracked.append(trackedInterface(text))

    def opt_accept_passfile(self, path: str) -> None:
        """
        accept the password in this file, too, while the group changes it (repeatable)
        """
        secret = passwordFrom(path)
        if not 1 <= len(secret) <= MAXIMUM_PASSWORD:
            raise usage.UsageError(
                f"--accept-passfile: the password in {path} has {len(secret)} bytes, not 1 to "
                f"{MAXIMUM_PASSWORD}"
            )
        self._otherPasswords.append(secret)

    def opt_accept_addrs(self, text: str) -> None:
        """
        A,B,...: accept this set of addresses, too, while the group changes it (repeatable)
        """
        addresses = text.split(",")
        for address in addresses:
            try:
                parseVirtualAddress(address)
            except ValueError as error:
                raise usage.UsageError(
                    f"--accept-addrs: Invalid address: [{address}]: {error}"
                ) from None
        self._otherAddresses.append(addresses)

    def opt_addr(self, address: str) -> None:
        """
        virtual shared address; repeatable with --assign (each with its prefix length) or --dialect
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
        secret = passwordFrom(path)
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
        pairs = split(given, self.shortOpt, self.longOpt)
        # A value stays in one piece with its option, however it begins.
        self._chosenDialect = any(name == "--dialect" for name, _ in pairs)
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
        zeroBase = DIALECTS[self["dialect"]].zeroBase
        if self["advbase"] == 0 and self["advskew"] == 0 and not zeroBase:
            raise usage.UsageError("You must supply an advertisement time base (-b)")
        if self._sources.get(Family.IPV4) == _UNSET:
            del self._sources[Family.IPV4]
        if not self["assign"] and not self._chosenDialect:
            self._keepLastAddress()
        needed = not self.addresses or any(":" not in address for address in self.addresses)
        if needed and Family.IPV4 not in self._sources:
            raise usage.UsageError("You must supply a persistent source address (-s)")
        if not self.addresses or self.addresses == ["0.0.0.0"]:
            raise usage.UsageError("You must supply a virtual host address (-a)")
        if not self["assign"]:
            for address in self.addresses:
                if "/" in address:
                    raise usage.UsageError(
                        f"-a, --addr: Invalid address: [{address}]: a prefix length needs --assign"
                    )
        for scope in self._scopes - {self["interface"]}:
            raise usage.UsageError(
                f"--peer: the scope {scope!r} is not the interface, {self['interface']}"
            )
        flapLimit(self["flap-limit"])
        if self["deadratio"] == 0:
            raise usage.UsageError("Dead ratio can't be zero (-r)")

    def _keepLastAddress(self) -> None:
        """
        Do as ucarp, which has one address, with several.
        """
        last = self.addresses[-1:]
        ignored = [address for address in self.addresses if address not in last]
        if ignored:
            _log.warn(
                "-a, --addr: [{last}] is the virtual address, as in ucarp the last one given; "
                "[{ignored}] is ignored. With --assign or --dialect all of them count",
                last=last[0],
                ignored="], [".join(ignored),
            )
        self.addresses = last

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
        if len(os.fsencode(self["interface"])) > MAXIMUM_INTERFACE:
            raise CannotRun(
                f"-i, --interface: Interface name too long: [{self['interface']}] has more than "
                f"{MAXIMUM_INTERFACE} bytes"
            )
        try:
            return VirtualHostConfiguration(
                interface=self["interface"],
                vhid=self["vhid"],
                password=password,
                source=self._sources.get(Family.IPV4),
                source6=self._sources.get(Family.IPV6),
                addresses=self.addresses,
                dialect=self["dialect"],
                peers=tuple(dict.fromkeys(self._peers)),
                followPeers=self._followPeers,
                trackedInterfaces=tuple(self._tracked),
                otherPasswords=tuple(self._otherPasswords),
                otherAddresses=self._otherAddresses,
                verification=Verification(self["seal"]),
                stateFile=self._stateFile(),
                signedHardware=self["signed-lladdr"] or b"",
                startDelay=self["start-delay"],
                flapLimit=flapLimit(self["flap-limit"]),
                anyFamily=bool(self["any-family"]),
                assign=bool(self["assign"]),
                virtualMAC=self._virtualMAC(),
                releaseFirst=bool(self["release-first"]),
                announceEvery=self["announce-every"],
                group=self._groups.get(Family.IPV4, ipv4.GROUP),
                group6=self._groups.get(Family.IPV6, ipv6.GROUP),
                broadcast=bool(self["nomcast"]),
                advbase=self["advbase"],
                advskew=self["advskew"],
                deadRatio=self["deadratio"],
                preempt=bool(self["preempt"]) or self["preempt-delay"] is not None,
                preemptDelay=self["preempt-delay"] or 0.0,
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

    def _stateFile(self) -> str | None:
        """
        The state file.  Each daemon has a file of its own, since two processes must not
        write the same one.
        """
        path: str | None = self["state-file"]
        if path == "none":
            return None
        name = fileNameOf(f"{self['interface']}:{self['vhid']}")
        # Absolute, because a daemon changes its working directory.
        return os.path.abspath(path or defaultStateDirectory() / name)

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

    def getSynopsis(self) -> str:
        """
        The first line of the help text; Twisted would put twistd's in front of
        this program's.
        """
        return self.synopsis if self.parent is None else "Usage: twistd [options] txcarp [options]"

    def getUsage(self, width: int | None = None) -> str:
        """
        The help text; Twisted would fill the lines of the examples.
        """
        return str(usage.Options.getUsage(self, width)).rstrip() + "\n" + EXAMPLES


_OPTION_OF = {
    "group": "-m, --mcastip",
    "group6": "-m, --mcastip",
    "peers": "--peer",
    "otherPasswords": "--accept-passfile",
    "interface": "-i, --interface",
    "source": "-s, --srcip",
    "source6": "-s, --srcip",
    "addresses": "-a, --addr",
    "virtualMAC": "--virtual-mac",
}
