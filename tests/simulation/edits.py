"""
Random edits of the configuration files of two hosts.

An L{Editor} changes both files as an administrator may: settings of all kinds, groups that are
added, renamed and removed, health checks, and, in the steps that the manual gives, passwords and
addresses, also addresses that move from one group to another.  What plays the edits, in simulation
or in the lab, writes the files and has them read.
"""

from __future__ import annotations

import json
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from zope.interface import implementer

from txcarp.interfaces import ICheck, IPlatform

#: The groups that never change, each with its address, and those that change.
STEADY = {1: "10.99.0.101", 2: "10.99.0.102"}
CHANGING = (11, 12, 13, 14)

#: The addresses of the groups that change.
POOL = tuple(f"10.99.0.{number}" for number in range(111, 121))

#: Seconds that addresses wait for the down script in some plays.
SCRIPT_FIRST = 0.3

#: How many passwords there are for the groups that change.
_WORDS = 99

#: The results of health checks, by host, group and number of the check: C{True}, C{False} or
#: C{None} (the check hangs).  The others are good.
RESULTS: dict[tuple[int, int, int], bool | None] = {}

_Group = dict[str, Any]


@implementer(ICheck)
@attrs.frozen
class Sensor:
    """
    A check whose result is in L{RESULTS}.
    """

    host: int
    vhid: int
    number: int

    def run(self, platform: IPlatform, timeout: float) -> object:
        found = RESULTS.get((self.host, self.vhid, self.number), True)
        return Deferred() if found is None else found


@attrs.frozen
class Edit:
    """
    A file was changed.

    @ivar kind: The kind of change, as a word.
    @ivar what: The change for people.
    @ivar host: The number of the host, 0 or 1.
    """

    kind: str
    what: str
    host: int


class Editor:
    """
    Two files.

    @ivar files: The keys of each group by its number, for each host.
    @ivar done: How often each kind of edit was made.
    """

    def __init__(
        self,
        chance: random.Random,
        sources: Sequence[str],
        *,
        scriptsFirst: bool,
        isHeld: Callable[[str], bool],
        isAlive: Callable[[int], bool],
        check: Callable[[int, int, int], Mapping[str, Any]],
    ) -> None:
        """
        @param sources: The addresses of the hosts.
        @param scriptsFirst: Whether addresses may wait for the down script.
        @param isHeld: Returns whether a host has an address.
        @param isAlive: Returns whether a host still has a group that no file has.
        @param check: Makes the keys of a health check of a host and a group.
        """
        self.done: Counter[str] = Counter()
        self.files: list[dict[int, _Group]] = [{}, {}]
        self._chance = chance
        self._sources = sources
        self._scriptsFirst = scriptsFirst
        self._isHeld = isHeld
        self._isAlive = isAlive
        self._check = check
        self._passwords = 0
        #: The steps that are left of a change that takes several, by the number of the group.
        self._steps: dict[int, deque[tuple[Edit, Callable[[], None]]]] = {}
        #: The addresses that groups are about to have.
        self._promised: set[str] = set()
        for host, file in enumerate(self.files):
            for vhid, address in STEADY.items():
                isMaster = vhid == host + 1
                file[vhid] = {
                    "name": f"steady{vhid}",
                    "passfile": ["word0"],
                    "addresses": [f"{address}/24"],
                    "advskew": 0 if isMaster else 100,
                    "preempt": True,
                }
        for vhid in CHANGING[:2]:
            self._create(vhid)

    def text(self, host: int, head: str) -> str:
        """
        The file of a host.

        @param head: Its first lines.
        """
        lines = [head]
        for vhid, group in self.files[host].items():
            name = group["name"]
            lines += [f"[group.{name}]", f"vhid = {vhid}"]
            for key, value in group.items():
                if key not in ("name", "checks") and value is not None:
                    lines.append(f"{key} = {json.dumps(value)}")
            for number, check in enumerate(group.get("checks", ())):
                lines.append(f"[group.{name}.check.check{number}]")
                for key, value in check.items():
                    shown = json.dumps(value)
                    if isinstance(value, dict):
                        pairs = (f"{one} = {json.dumps(other)}" for one, other in value.items())
                        shown = f"{{{', '.join(pairs)}}}"
                    lines.append(f"{key} = {shown}")
        return "\n".join(lines) + "\n"

    def wrongText(self, host: int, head: str) -> str:
        """
        A file with a mistake, which would change all groups.
        """
        text = self.text(host, head).replace("advskew = ", "advskew = 1")
        mistake = self._chance.choice(
            ("advskw = 3\n", "advbase = -1\n", 'passfile = "none"\n', "x = [\n", "[group.again]\n")
        )
        name = self.files[host][1]["name"]
        return text.replace(f"[group.{name}]\n", f"[group.{name}]\n{mistake}", 1)

    @staticmethod
    def writePasswords(directory: Path) -> None:
        """
        Write the files of all passwords.
        """
        for number in range(_WORDS + 1):
            path = directory / f"word{number}"
            path.write_text(f"word {number}\n")
            path.chmod(0o600)

    @property
    def hasSteps(self) -> bool:
        """
        Whether a change of several steps is not complete.
        """
        return bool(self._steps)

    def edit(self) -> Iterator[Edit]:
        """
        Make a random edit, of one file or of both.

        @return: Each change of a file, when it is made.
        """
        edits = (
            *(self._settings,) * 6,
            *(self._presence,) * 3,
            *(self._checks,) * 2,
            *(self._results,) * 2,
            *(self._rename, self._same),
            *(self._password, self._addresses, self._move),
        )
        for one in self._chance.choice(edits)():
            self.done[one.kind] += 1
            yield one

    def step(self) -> Edit | None:
        """
        Make the next step of a change that takes several.  Both hosts must have made the one
        before.
        """
        if not self._steps:
            return None
        steps = self._steps[self._chance.choice(sorted(self._steps))]
        edit, change = steps.popleft()
        change()
        if not steps:
            for one in [one for one, queue in self._steps.items() if queue is steps]:
                del self._steps[one]
        if not self._steps:
            self._promised.clear()
        self.done[edit.kind] += 1
        return edit

    def trial(self) -> tuple[Edit, Callable[[], None]] | None:
        """
        Change settings that may be undone.

        @return: The change of the file, and what restores the file.
        """
        if (found := self._some()) is None:
            return None
        host, vhid = found
        before = dict(self.files[host][vhid])
        self._set(host, vhid)
        self.done["trial"] += 1

        def restore() -> None:
            self.files[host][vhid] = before

        return Edit("trial", f"trial: group {vhid}", host), restore

    # Which.

    def _some(self) -> tuple[int, int] | None:
        """
        A host, and a group in its file.
        """
        host = self._chance.randint(0, 1)
        present = [vhid for vhid in CHANGING if vhid in self.files[host]]
        return (host, self._chance.choice(present)) if present else None

    def _idle(self) -> int | None:
        """
        A group that is on both hosts, and that no change of several steps concerns.
        """
        free = [
            vhid
            for vhid in CHANGING
            if vhid not in self._steps and all(vhid in file for file in self.files)
        ]
        return self._chance.choice(free) if free else None

    def _free(self) -> list[str]:
        """
        The addresses that no group has or is about to have.
        """
        used = {one for file in self.files for one in _addressesIn(file)} | self._promised
        # An address that was removed a moment ago may still be handed over.
        return [one for one in POOL if f"{one}/24" not in used and not self._isHeld(one)]

    def _create(self, vhid: int) -> bool:
        """
        Put a group into both files.
        """
        if not (free := self._free()):
            return False
        addresses = self._chance.sample(free, self._chance.randint(1, min(2, len(free))))
        word = self._word()
        for file in self.files:
            file[vhid] = {
                "name": f"group{vhid}",
                "passfile": [word],
                "addresses": [f"{one}/24" for one in addresses],
                "advskew": self._chance.randint(0, 200),
            }
        return True

    def _word(self) -> str:
        self._passwords = self._passwords % _WORDS + 1
        return f"word{self._passwords}"

    # Edits.

    def _settings(self) -> Iterator[Edit]:
        if (found := self._some()) is not None:
            self._set(*found)
            yield Edit("settings", f"settings: group {found[1]}", found[0])

    def _set(self, host: int, vhid: int) -> None:
        choices: dict[str, tuple[Any, ...]] = {
            "advskew": (0, 10, 100, 200, 240),
            "advbase": (1, 1, 1, 2),
            "preempt": (False, True, "500ms", "3s"),
            "start_delay": (None, "500ms", "5s"),
            "dead_ratio": (3, 4, 5),
            "flap_limit": (False, "4/20s"),
            "any_family": (False, True),
            "ignore_link": (False, True),
            "release_first": (False, True),
            "announce_every": (False, "2s"),
            "up_script": (None, "up.sh"),
            "down_script": (None, "down.sh"),
            "script_timeout": (False, "200ms"),
            "script_parameter": (None, "more"),
            "neutral": (False, True),
            "shutdown": (False, True),
            "seal": ("learn", "require"),
            "track_interfaces": ([], ["eth0:50"]),
            "peers": ([], [self._sources[1 - host]]),
            "debug": (False, False, True),
            # This needs another run of the group.
            "broadcast": (False, True),
        }
        if self._scriptsFirst:
            choices["down_script_first"] = (None, f"{SCRIPT_FIRST * 1000:.0f}ms")
        group = self.files[host][vhid]
        for name in self._chance.sample(sorted(choices), self._chance.randint(1, 3)):
            group[name] = self._chance.choice(choices[name])
        if group.get("peers"):
            group["broadcast"] = False  # nothing would be broadcast

    def _presence(self) -> Iterator[Edit]:
        """
        Add or remove a group, on one host or on both.
        """
        vhid = self._chance.choice(CHANGING)
        if vhid in self._steps:
            return
        present = [host for host in (0, 1) if vhid in self.files[host]]
        if not present:
            if not self._isAlive(vhid) and self._create(vhid):
                for host in self._shuffled():
                    yield Edit("add", f"add: group {vhid}", host)
            return
        if len(present) == 1 and self._chance.random() < 0.7:
            [other] = present
            host = 1 - other
            mine = self.files[other][vhid]
            self.files[host][vhid] = {
                "name": mine["name"],
                "passfile": mine["passfile"],
                "addresses": mine["addresses"],
                "advskew": self._chance.randint(0, 200),
            }
            yield Edit("add", f"add: group {vhid}", host)
            return
        leaving = present if self._chance.random() < 0.3 else [self._chance.choice(present)]
        for host in leaving:
            del self.files[host][vhid]
            yield Edit("remove", f"remove: group {vhid}", host)

    def _shuffled(self) -> list[int]:
        return self._chance.sample((0, 1), 2)

    def _checks(self) -> Iterator[Edit]:
        if (found := self._some()) is None:
            return
        host, vhid = found
        checks = []
        for number in range(self._chance.randint(0, 2)):
            check = dict(self._check(host, vhid, number))
            check |= {"interval": self._chance.choice((0.2, 0.5)), "timeout": "100ms"}
            check |= {"rise": 1, "fall": 2}
            check |= self._chance.choice(({"failing": "unfit"}, {"demote": 50}))
            checks.append(check)
        self.files[host][vhid]["checks"] = checks
        yield Edit("checks", f"checks: group {vhid}", host)

    def _results(self) -> Iterator[Edit]:
        """
        Let a check have another result.
        """
        if (found := self._some()) is not None:
            key = found[0], found[1], self._chance.randint(0, 1)
            RESULTS[key] = self._chance.choice((True, True, False, None))
            self.done["result"] += 1
        yield from ()

    def _rename(self) -> Iterator[Edit]:
        if (found := self._some()) is not None:
            host, vhid = found
            self.files[host][vhid]["name"] = f"name{vhid}-{self._chance.randint(0, 9)}"
            yield Edit("rename", f"rename: group {vhid}", host)

    def _same(self) -> Iterator[Edit]:
        yield Edit("nothing", "nothing", self._chance.randint(0, 1))

    # Changes that take several steps, each on both hosts.

    def _plan(self, kind: str, vhids: Sequence[int], *stages: Mapping[int, _Group]) -> None:
        steps: deque[tuple[Edit, Callable[[], None]]] = deque()
        for stage, changes in enumerate(stages, 1):
            for host in self._shuffled():

                def change(host: int = host, changes: Mapping[int, _Group] = changes) -> None:
                    for vhid, keys in changes.items():
                        self.files[host][vhid].update(keys)

                what = f"{kind}: groups {vhids}, step {stage}"
                steps.append((Edit(kind, what, host), change))
        for vhid in vhids:
            self._steps[vhid] = steps

    def _password(self) -> Iterator[Edit]:
        if (vhid := self._idle()) is not None:
            old, new = self.files[0][vhid]["passfile"][0], self._word()
            stages = ([new, old], [new])
            self._plan("password", [vhid], *({vhid: {"passfile": words}} for words in stages))
        yield from ()

    def _addresses(self) -> Iterator[Edit]:
        """
        Add an address to a group, or remove one.
        """
        if (vhid := self._idle()) is not None:
            old = list(self.files[0][vhid]["addresses"])
            free = self._free()
            if len(old) > 1 and self._chance.random() < 0.5:
                self._plan("addresses", [vhid], *_stages({vhid: (old, old[1:])}))
            elif free:
                new = f"{self._chance.choice(free)}/24"
                self._promised.add(new)
                self._plan("addresses", [vhid], *_stages({vhid: (old, [*old, new])}))
        yield from ()

    def _move(self) -> Iterator[Edit]:
        """
        Move an address from one group to another.
        """
        one, other = self._idle(), self._idle()
        if one is not None and other is not None and one != other:
            losing = list(self.files[0][one]["addresses"])
            gaining = list(self.files[0][other]["addresses"])
            if len(losing) > 1:
                changes = {one: (losing, losing[1:]), other: (gaining, [*gaining, losing[0]])}
                self._plan("move", [one, other], *_stages(changes))
        yield from ()


def _addressesIn(file: Mapping[int, _Group]) -> Iterator[str]:
    for group in file.values():
        yield from group["addresses"]
        for addresses in group.get("former_addresses") or ():
            yield from addresses


def _stages(changes: Mapping[int, tuple[list[str], list[str]]]) -> Iterator[dict[int, _Group]]:
    """
    The steps in which sets of addresses change.
    """
    yield {
        vhid: {"addresses": new, "former_addresses": [old]} for vhid, (old, new) in changes.items()
    }
    yield {vhid: {"former_addresses": None} for vhid in changes}
