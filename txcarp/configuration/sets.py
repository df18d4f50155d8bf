"""
Sets of groups in the configuration file, C{[sync.NAME]}: how they are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

import attrs
from cattrs import Converter

from txcarp.configuration.model import SyncSettings
from txcarp.configuration.positions import Path
from txcarp.configuration.settings import Limit
from txcarp.interfaces import IWitness

#: The keys, each with what its value looks like, for people, and one line about it.
SET_KEYS = {
    "groups": (
        'a list of names of groups such as ["outer", "inner"]',
        "the groups that this host is master of together, or of none of them",
    ),
    "takeover": (
        'a time such as "60s"; false for never',
        "take over for good from a master that is silent on one side for so long, and heard on "
        "another, if a gateway of the silent side answers",
    ),
}


@attrs.frozen
class SetProblem:
    """
    What is wrong with a set.

    @ivar path: The path of the key.
    @ivar text: What is wrong, and what is expected.
    """

    path: Path
    text: str


class SetReader:
    """
    Reads all sets of a file.

    @ivar problems: What was found to be wrong.
    @ivar settings: The settings of the set of each group that belongs to one, by its name.
    """

    def __init__(self, groups: Mapping[str, Mapping[str, Any]], converter: Converter) -> None:
        """
        @param groups: The settings of each group that could be read.
        """
        self.problems: list[SetProblem] = []
        self.settings: dict[str, SyncSettings] = {}
        self._groups = groups
        self._converter = converter
        self._owners: dict[str, str] = {}

    def read(self, name: str, table: Mapping[str, Any], known: Mapping[str, object]) -> None:
        """
        Read a set.

        @param table: Its keys.  Unknown ones are ignored.
        @param known: All groups of the file, even those that could not be read.
        """
        path: Path = ("sync", name)
        takeover = None
        if "takeover" in table:
            try:
                takeover = self._converter.structure(table["takeover"], Limit)
            except ValueError as error:
                self._problem((*path, "takeover"), f"takeover: {error}")
        settings = SyncSettings(name, takeover)  # type: ignore[arg-type]
        problem = settings.problem
        if problem:
            if attrs.evolve(settings, takeover=None).problem:
                self._problem(path, problem)
            else:
                self._problem((*path, "takeover"), f"takeover: {problem}")
        members = list(self._members(name, table, known))
        for one in members:
            self.settings[one] = settings
        if takeover is not None:
            for one in members:
                if one in self._groups and not _hasWitness(self._groups[one]):
                    self._problem(
                        (*path, "takeover"),
                        f"takeover: [group.{one}] has no check with the key gateway, without which "
                        "this host cannot know whether it is deaf itself",
                    )

    def _members(
        self, name: str, table: Mapping[str, Any], known: Mapping[str, object]
    ) -> Iterator[str]:
        """
        Yield the names of the groups of a set.
        """
        path: Path = ("sync", name, "groups")
        given = table.get("groups")
        if given is None:
            self._problem(path[:-1], f"[sync.{name}] has no groups")
            return
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            self._problem(path, f"groups: expected {SET_KEYS['groups'][0]}")
            return
        if len(set(given)) < 2:
            self._problem(path, f"groups: a set has at least two groups; [sync.{name}] has fewer")
        seen: set[str] = set()
        for index, one in enumerate(given):
            place: Path = (*path, index)
            if one not in known:
                similar = get_close_matches(one, known, 1, 0.6)
                hint = f"; did you mean {similar[0]!r}?" if similar else ""
                self._problem(place, f"groups: there is no [group.{one}]{hint}")
            elif one in seen:
                self._problem(place, f"groups: {one!r} is given twice")
            elif self._owners.setdefault(one, name) != name:
                owner = self._owners[one]
                self._problem(place, f"groups: {one!r} belongs to [sync.{owner}], too")
            else:
                yield one
            seen.add(one)

    def warnings(self) -> Iterator[str]:
        """
        Yield what is possible, but probably a mistake.
        """
        for name in dict.fromkeys(self._owners.values()):
            members = [one for one, owner in self._owners.items() if owner == name]
            preempts = {
                one: self._groups[one].get("preempt") is True
                for one in members
                if one in self._groups
            }
            lacking = [one for one, does in preempts.items() if not does]
            if lacking and any(preempts.values()):
                yield (
                    f"The set [sync.{name}] never preempts, because [group.{lacking[0]}] does not, "
                    "although others of its groups do"
                )

    def _problem(self, path: Path, text: str) -> None:
        self.problems.append(SetProblem(path, text))


def _hasWitness(settings: Mapping[str, Any]) -> bool:
    """
    Whether a health check of a group asks another host on its link.
    """
    checks = settings.get("checks")
    if not isinstance(checks, list):
        return True  # it could not be read
    return any(IWitness.providedBy(one.check) for one in checks)
