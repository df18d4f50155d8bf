"""
The configuration file: any number of groups in TOML.

A group has the settings of L{VirtualHostConfiguration
<txcarp.configuration.model.VirtualHostConfiguration>} under the keys of
L{txcarp.configuration.settings}.  The keys and the health checks of C{[defaults]} count for each
group that does not have them itself.  All mistakes are found at once, and a file with one gives
nothing.
"""

from __future__ import annotations

import errno
import os
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from cattrs.errors import IterableValidationError

from txcarp.addresses import VirtualAddress, textOf, virtualHardwareAddress
from txcarp.checks.health import HealthCheck
from txcarp.configuration.checks import CHECK_KEYS, readCheck
from txcarp.configuration.kinds import makeConverter
from txcarp.configuration.model import ConfigurationError, VirtualHostConfiguration
from txcarp.configuration.places import CONTROL_SOCKET
from txcarp.configuration.positions import Path as KeyPath
from txcarp.configuration.positions import Place, Positions
from txcarp.configuration.problems import FileError, Problem, hintFor, syntaxProblem
from txcarp.configuration.request import Configuration, endpoint
from txcarp.configuration.sets import SET_KEYS, SetReader
from txcarp.configuration.settings import BY_NAME, DAEMON_KEYS, KEYS, Key, settingsOf
from txcarp.configuration.stepkeys import STEP_KEYS, readStep
from txcarp.configuration.steps import ConfiguredStep
from txcarp.logs import facilityNumber
from txcarp.network.defaults import Listing, Sources, sourceOn
from txcarp.state.store import defaultStateDirectory

#: The most bytes that a file may have: some thousand groups.
_LARGEST = 1 << 20

#: Why a file cannot be read until somebody has corrected something.
_UNREADABLE = frozenset(
    (errno.EACCES, errno.EISDIR, errno.ELOOP, errno.ENOENT, errno.ENOTDIR, errno.EPERM)
)

#: The name of a group: a word for commands, file names and log lines.
_GROUP_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,31}")

#: The keys that a group must have, each with those of which it needs one.
_NEEDED = (("interface",), ("vhid",), ("addresses",), ("passfile", "credential"))

#: Values that the model accepts, in place of those that are missing or wrong, to find out what
#: else is wrong.
_STOPGAPS: Mapping[str, Any] = {
    "interface": "eth0",
    "vhid": 1,
    "password": b"-",
    "addresses": ["192.0.2.1"],
    "source": "192.0.2.2",
    "assign": True,
}

_TABLES = ("defaults", "group", "sync", "daemon")


def besideFile(path: str | os.PathLike[str]) -> dict[str, str]:
    """
    Return the environment in which a command reads the file of a daemon that systemd starts.
    systemd passes credentials to the daemon only.  The units of txcarp load them from the directory
    of the file, so that is where a command finds them.
    """
    directory = os.path.dirname(os.path.abspath(path))
    return {"CREDENTIALS_DIRECTORY": directory, **os.environ}


def readFile(
    path: str | os.PathLike[str],
    environment: Mapping[str, str] = os.environ,
    sources: Sources | None = None,
) -> Configuration:
    """
    Read a configuration file and everything that it refers to.  Blocks.

    @param environment: Has the directory of the credentials (C{CREDENTIALS_DIRECTORY}).
    @param sources: Finds the source for a group that does not have it; by default L{sourceOn}.
    @raise FileError: If anything is wrong.
    """
    name = os.fspath(path)
    try:
        with open(name, "rb") as file:
            data = file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        mayPass = isinstance(error, OSError) and error.errno not in _UNREADABLE
        raise FileError(name, "", (), f"cannot be read: {reason}", mayPass) from None
    if len(data) > _LARGEST:
        raise FileError(name, "", (), f"has more than {_LARGEST} bytes")
    listed = partial(sourceOn, listing=Listing())
    return readText(name, data, environment, sources or listed)


def readText(
    path: str, data: bytes, environment: Mapping[str, str], sources: Sources
) -> Configuration:
    """
    Read the contents of a file; see L{readFile}.

    @raise FileError: If anything is wrong.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        place = Place(data.count(b"\n", 0, error.start) + 1, 0, 1)
        raise FileError(path, "", [Problem(place, "this is not UTF-8")]) from None
    text = text.replace("\r\n", "\n")
    try:
        document = tomllib.loads(text)
    except RecursionError:
        raise FileError(path, "", (), "is nested too deeply") from None
    except ValueError as error:
        raise FileError(path, text, [syntaxProblem(str(error), text)]) from None
    reading = _Reading(path, document, text, environment, sources)
    configuration = reading.read()
    if reading.problems:
        raise FileError(path, text, reading.problems)
    return configuration


class _Reading:
    """
    One file while it is read.

    @ivar problems: What was found to be wrong.
    """

    def __init__(
        self,
        path: str,
        document: Mapping[str, Any],
        text: str,
        environment: Mapping[str, str],
        sources: Sources,
    ) -> None:
        self.problems: list[Problem] = []
        self._path = path
        self._document = document
        self._text = text
        self._positions = cache(partial(Positions, text))  # most files have no problem
        self._sources = sources
        self._warnings: list[str] = []
        directory = os.path.dirname(os.path.abspath(path))
        self._converter = makeConverter(directory, environment, self._warnings.append)
        #: What was read of each key, by its path, so that each mistake is found once.
        self._read: dict[KeyPath, dict[str, Any] | None] = {}
        self._checks: dict[KeyPath, HealthCheck | None] = {}

    def read(self) -> Configuration:
        """
        Read everything.  The result means something only if there are no problems.
        """
        self._unknown((), self._document, _TABLES, "the file")
        defaults = self._table(("defaults",))
        groups = self._table(("group",))
        if not groups and not self.problems:
            self._problem(("group",), "there is no group: a group begins with [group.NAME]")
        self._unknown(("defaults",), _without(defaults, "check"), BY_NAME, "[defaults]")
        for key in defaults:
            if key in BY_NAME:
                self._key(("defaults", key), BY_NAME[key], defaults[key])
        for key in self._table(("defaults", "check")):
            self._check(("defaults", "check", key))
        found: list[tuple[str, dict[str, Any], dict[str, KeyPath]]] = []
        for name in groups:
            if _GROUP_NAME.fullmatch(name) is None:
                self._problem(
                    ("group", name),
                    f"{name!r} cannot be the name of a group, which has 1 to 32 letters, digits "
                    "or _, and then also . or -",
                )
            elif not isinstance(groups[name], dict):
                self._problem(("group", name), f"group.{name} must be a table")
            else:
                found.append((name, *self._group(name, defaults)))
        self._sets(groups, found)
        self._resolve(found)
        configurations = [self._configured(*one) for one in found]
        self._compare(found)
        facility, stateFile, control = self._daemon()
        return Configuration(
            path=os.path.abspath(self._path),
            groups=tuple(filter(None, configurations)),
            stateFile=stateFile,
            control=control,
            http=self._http(),
            page=self._page(),
            realtime=self._realtime(),
            facility=facility,
            warnings=tuple(dict.fromkeys(self._warnings)),
            text=self._text,
            positions=self._positions,
        )

    # Problems.

    def _problem(
        self, path: KeyPath, text: str, *, value: bool = False, mayPass: bool = False
    ) -> None:
        positions = self._positions()
        place = positions.ofValue(path) if value else positions.of(path)
        self.problems.append(Problem(place, text, mayPass))

    def _unknown(
        self, path: KeyPath, table: Mapping[str, Any], known: Collection[str], where: str
    ) -> None:
        """
        Report the keys of a table that do not exist.
        """
        for key in table:
            if key not in known:
                text = f"unknown key {key!r} in {where}{hintFor(key, known)}"
                self._problem((*path, key), text)

    def _table(self, path: KeyPath) -> Mapping[str, Any]:
        """
        A table of the document; an empty one if it is missing or no table.
        """
        table: Any = self._document
        for key in path:
            table = table.get(key, {}) if isinstance(table, dict) else {}
        if isinstance(table, dict):
            return table
        self._problem(path, f"{'.'.join(map(str, path))} must be a table")
        return {}

    # Groups.

    def _group(
        self, name: str, defaults: Mapping[str, Any]
    ) -> tuple[dict[str, Any], dict[str, KeyPath]]:
        """
        The settings of a group, and the place of each key that gives them.
        """
        path = "group", name
        own = self._table(path)
        self._unknown(path, _without(own, "check", "step"), BY_NAME, f"[group.{name}]")
        places: dict[str, KeyPath] = {key: ("defaults", key) for key in defaults}
        if "passfile" in own or "credential" in own:
            places.pop("passfile", None)
            places.pop("credential", None)
        places.update({key: (*path, key) for key in own})
        settings: dict[str, Any] = {"title": name, "checks": self._healthChecks(name)}
        settings["steps"] = self._steps(name)
        for key, place in places.items():
            if key in BY_NAME:
                given = self._key(place, BY_NAME[key], own[key] if key in own else defaults[key])
                # The model is to find out what else is wrong, but nothing about this.
                settings.update(
                    dict.fromkeys(BY_NAME[key].settings, _WRONG) if given is None else given
                )
        for keys in _NEEDED:
            present = [key for key in keys if key in places]
            if not present:
                self._problem(path, f"[group.{name}] has no {' and no '.join(keys)}")
                settings[BY_NAME[keys[0]].settings[0]] = _WRONG
            elif len(present) > 1:
                self._problem(places[present[-1]], f"give either {' or '.join(keys)}")
        scripts = [settings.get(one) for one in ("upScript", "downScript")]
        settings.setdefault("assign", _WRONG if _WRONG in scripts else not any(scripts))
        if settings.get("virtualMAC") is True:
            vhid = settings["vhid"]
            isNumber = isinstance(vhid, int) and 0 < vhid < 256
            settings["virtualMAC"] = virtualHardwareAddress(vhid) if isNumber else _WRONG
        return settings, places

    def _healthChecks(self, name: str) -> Any:
        """
        The health checks of a group: its own, and those of C{[defaults]} that it does not have
        itself or leave out.
        """
        own = self._table(("group", name, "check"))
        common: Any = self._document.get("defaults")
        common = common.get("check") if isinstance(common, dict) else None
        paths: dict[str, KeyPath] = {
            one: ("defaults", "check", one) for one in (common if isinstance(common, dict) else ())
        }
        for one, value in own.items():
            path = "group", name, "check", one
            if value is not False:
                paths[one] = path
            elif paths.pop(one, None) is None:
                self._problem(path, f"there is no [defaults.check.{one}] to leave out", value=True)
        checks = [self._check(path) for path in paths.values()]
        return _WRONG if None in checks else checks

    def _check(self, path: KeyPath) -> HealthCheck | None:
        """
        Read a health check.

        @return: The check; C{None} if it is wrong.
        """
        if path not in self._checks:
            self._checks[path] = None
            given = len(self.problems)
            table = self._table(path)
            if len(self.problems) == given:
                where = f"[{'.'.join(map(str, path))}]"
                self._unknown(path, table, CHECK_KEYS, where)
                check, problems = readCheck(str(path[-1]), table, self._converter, where)
                self._checks[path] = check
                for key, text in problems:
                    self._problem((*path, key) if key else path, text, value=bool(key))
        return self._checks[path]

    def _steps(self, name: str) -> Any:
        """
        The steps of a group.
        """
        several = self._table(("group", name)).get("step", [])
        if not isinstance(several, list):
            text = f"steps have an order: write [[group.{name}.step]], and a name in it"
            self._problem(("group", name, "step"), text)
            return _WRONG
        steps: list[ConfiguredStep | None] = []
        for index, table in enumerate(several):
            path = "group", name, "step", index
            if not isinstance(table, dict):
                self._problem(path, f"a step must be a table: write [[group.{name}.step]]")
                steps.append(None)
                continue
            where = f"[[group.{name}.step]]"
            self._unknown(path, table, STEP_KEYS, where)
            step, problems = readStep(table, self._converter, where)
            steps.append(step)
            for key, text in problems:
                self._problem((*path, key) if key else path, text, value=bool(key))
        return _WRONG if None in steps else steps

    def _sets(
        self,
        groups: Mapping[str, Any],
        found: Iterable[tuple[str, dict[str, Any], dict[str, KeyPath]]],
    ) -> None:
        """
        Give each group the settings of the set to which it belongs.
        """
        reader = SetReader({name: settings for name, settings, _ in found}, self._converter)
        sets = self._table(("sync",))
        for name in sets:
            table = self._table(("sync", name))
            if table is sets[name]:
                self._unknown(("sync", name), table, SET_KEYS, f"[sync.{name}]")
                reader.read(name, table, groups)
        for one in reader.problems:
            self._problem(one.path, one.text, value=len(one.path) > 2)
        self._warnings += reader.warnings()
        for name, settings, _ in found:
            settings["sync"] = reader.settings.get(name)

    def _key(self, path: KeyPath, key: Key, value: Any) -> dict[str, Any] | None:
        """
        Read the value of a key.

        @return: The settings that it gives; C{None} if it is wrong.
        """
        if path not in self._read:
            self._read[path] = self._settings(path, key, value)
        return self._read[path]

    def _settings(self, path: KeyPath, key: Key, value: Any) -> dict[str, Any] | None:
        isList = getattr(key.kind, "__origin__", None) is list
        several = value if isinstance(value, list) or not isList else [value]
        if isList and key.kind == BY_NAME["former_addresses"].kind:
            several = [several] if all(isinstance(one, str) for one in several) else several
        try:
            return settingsOf(key, self._converter.structure(several, key.kind))
        except IterableValidationError as error:
            for one, note in error.group_exceptions()[0]:
                within = (*path, note.index) if several is value else path
                self._problem(within, self._wrong(key, one), value=True)
        except ValueError as error:
            self._problem(path, self._wrong(key, error), value=True)
        return None

    def _wrong(self, key: Key, error: BaseException) -> str:
        return f"{key.name}: {error}" if str(error) else f"{key.name}: expected {key.value}"

    def _resolve(
        self, found: Iterable[tuple[str, dict[str, Any], dict[str, KeyPath]]]
    ) -> None:
        """
        Give each group that needs a source and has none that of its interface.
        """
        virtual = {
            address.packed
            for _, settings, _ in found
            if settings["addresses"] is not _WRONG
            for address in (*settings["addresses"], *_former(settings))
        }
        for name, settings, places in found:
            interface, addresses = settings["interface"], settings["addresses"]
            if _WRONG in (interface, addresses) or not addresses:
                settings.setdefault("source", _WRONG)
            if "source" in settings:
                continue
            ipv4 = [address for address in (*addresses, *_former(settings)) if address.isIPv4]
            if not ipv4:
                continue
            try:
                settings["source"] = self._sources(interface, ipv4, virtual)
            except (OSError, ValueError) as error:
                settings["source"] = _WRONG
                reason = getattr(error, "strerror", None) or error
                self._problem(
                    places["interface"],
                    f"[group.{name}] has no source, and the interface gives none: {reason}",
                    value=True,
                    mayPass=True,  # the network may not be configured yet
                )

    def _configured(
        self, name: str, settings: Mapping[str, Any], places: Mapping[str, KeyPath]
    ) -> VirtualHostConfiguration | None:
        """
        The configuration of a group; C{None} if something is wrong.
        """
        wrong = {setting for setting, value in settings.items() if value is _WRONG}
        good = {setting: value for setting, value in settings.items() if setting not in wrong}
        stopgaps = {one: value for one, value in _STOPGAPS.items() if one in wrong}
        try:
            return VirtualHostConfiguration(**{**stopgaps, **good})
        except ConfigurationError as error:
            for one in (error, *error.others):
                if one.setting not in wrong and not (wrong and one.contradiction):
                    keys = [key.name for key in KEYS if one.setting in key.settings]
                    present = [key for key in keys if key in places]
                    path = places[present[0]] if present else ("group", name)
                    key = present[0] if present else keys[0] if keys else one.setting
                    self._problem(path, f"{key}: {one.problem}", value=bool(present))
        return None

    def _compare(
        self, found: Iterable[tuple[str, dict[str, Any], dict[str, KeyPath]]]
    ) -> None:
        """
        Report what several groups have that only one can have.
        """
        owners: dict[tuple[str, int | bytes], str] = {}
        for name, settings, places in found:
            interface, vhid = settings["interface"], settings["vhid"]
            if interface is _WRONG:
                continue
            if vhid is not _WRONG:
                other = owners.setdefault((interface, vhid), name)
                if other != name:
                    text = f"[group.{other}] has vhid {vhid} on {interface}, too"
                    self._problem(places["vhid"], text, value=True)
            addresses = settings["addresses"]
            for address in () if addresses is _WRONG else addresses:
                other = owners.setdefault((interface, address.packed), name)
                if other != name:
                    text = f"{textOf(address.packed)} is an address of [group.{other}], too"
                    self._problem(places["addresses"], text, value=True)

    # The process.

    def _daemon(self) -> tuple[str | None, str | None, str | None]:
        """
        The facility, the path of the state file, and that of the control socket.
        """
        daemon = self._table(("daemon",))
        self._unknown(("daemon",), daemon, DAEMON_KEYS, "[daemon]")
        facility = daemon.get("facility")
        if facility is not None:
            try:
                if not isinstance(facility, str):
                    raise ValueError(f"{facility!r} is not text")
                facilityNumber(facility)
            except ValueError as error:
                self._problem(("daemon", "facility"), f"facility: {error}", value=True)
        stateFile = defaultStateDirectory() / f"{Path(self._path).stem}.json"
        return (
            facility,
            self._daemonPath(daemon, "state_file", stateFile),
            self._daemonPath(daemon, "control", Path(CONTROL_SOCKET)),
        )

    def _http(self) -> tuple[str, ...]:
        """
        The endpoints on which everybody may read.
        """
        given = self._table(("daemon",)).get("http", ())
        try:
            if not all(isinstance(one, str) for one in given):
                raise ValueError("expected an endpoint, or a list of endpoints")
            return tuple(map(endpoint, [given] if isinstance(given, str) else given))
        except (ValueError, TypeError) as error:
            text = "expected an endpoint" if isinstance(error, TypeError) else str(error)
            self._problem(("daemon", "http"), f"http: {text}", value=True)
            return ()

    def _page(self) -> bool:
        """
        Whether there is a page for browsers.
        """
        given = self._table(("daemon",)).get("page", False)
        if not isinstance(given, bool):
            self._problem(("daemon", "page"), "page: expected true or false", value=True)
        return given is True

    def _realtime(self) -> bool | None:
        """
        Whether to run before all ordinary processes; C{None} for the default.
        """
        given: object = self._table(("daemon",)).get("realtime")
        if given is None or isinstance(given, bool):
            return given
        self._problem(("daemon", "realtime"), "realtime: expected true or false", value=True)
        return None

    def _daemonPath(self, daemon: Mapping[str, Any], key: str, default: Path) -> str | None:
        """
        The absolute path that a key of C{[daemon]} gives; C{None} for none.
        """
        given = daemon.get(key, "")
        if given is False or given == "none":
            return None
        if not isinstance(given, str) or "\0" in given:
            self._problem(("daemon", key), f"{key}: expected a path, or false", value=True)
            return None
        directory = Path(os.path.abspath(self._path)).parent
        return os.path.abspath(directory / given if given else default)


#: In place of a value that is wrong, which was reported.
_WRONG: Any = object()


def _without(table: Mapping[str, Any], *keys: str) -> Mapping[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}


def _former(settings: Mapping[str, Any]) -> Iterable[VirtualAddress]:
    sets = settings.get("otherAddresses", ())
    return () if sets is _WRONG else [address for one in sets for address in one]
