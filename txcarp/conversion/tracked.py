"""
Health checks of what keepalived tracks: interfaces, scripts and processes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from typing import Any

from txcarp.conversion.blocks import Statement
from txcarp.conversion.draft import Conversion, Draft, nameLike, programOf, seconds

#: The most that a check or an interface may demote a host.
_MOST = 240


class Tracking:
    """
    What is tracked.

    @ivar knownScripts: The blocks C{vrrp_script}, by their names.
    @ivar knownProcesses: The blocks C{vrrp_track_process}, by their names.
    """

    def __init__(self, conversion: Conversion) -> None:
        self.knownScripts: dict[str, Statement] = {}
        self.knownProcesses: dict[str, Statement] = {}
        self._conversion = conversion

    def _remark(self, statement: Statement, text: str) -> None:
        self._conversion.remark(statement.place, text)

    def interfaces(self, draft: Draft, block: Statement) -> None:
        """
        Track the interfaces of a list.
        """
        own = draft.settings
        for one in membersOf(block, ("weight",)):
            if one.keyword == own.get("interface"):
                continue  # it is always tracked
            weight = self._weight(one)
            name = f"{one.keyword}:{weight}" if weight else one.keyword
            own.setdefault("track_interfaces", []).append(name)
            if not weight:
                self._remark(
                    one,
                    f"without a link on {one.keyword}, this host is demoted by {_MOST}; keepalived "
                    "would stop taking part",
                )

    def scripts(self, draft: Draft, block: Statement) -> None:
        """
        Make checks of the scripts of a list.
        """
        for one in membersOf(block, ("weight", "reverse", "noreverse")):
            script = self.knownScripts.get(one.keyword)
            if script is None:
                self._remark(one, f"there is no vrrp_script {one.keyword}")
            else:
                self._check(draft, one, script, self._command(script))

    def processes(self, draft: Draft, block: Statement) -> None:
        """
        Make checks of the processes of a list.
        """
        for one in membersOf(block, ("weight", "reverse", "noreverse")):
            process = self.knownProcesses.get(one.keyword)
            lines = [] if process is None else process.members
            names = [line for line in lines if line.keyword == "process" and line.value]
            if process is None or not names:
                self._remark(one, f"there is no vrrp_track_process {one.keyword}")
                continue
            if len(names[0].words) > 2:
                self._remark(names[0], "a process is known by its name, without its arguments")
            self._check(draft, one, process, {"process": names[0].value.rpartition("/")[2]})

    def _check(
        self, draft: Draft, one: Statement, block: Statement, subject: dict[str, Any]
    ) -> None:
        """
        Add a health check.

        @param one: The line of the instance.
        @param block: The block that says what to check.
        """
        if not subject:
            return
        checks = draft.checks
        name = nameLike(one.keyword, list(checks))
        weight = self._weight(one)
        check: dict[str, Any] = dict(subject)
        given: dict[str, float] = {"interval": 1.0, "rise": 1, "fall": 1}
        for line in block.members:
            if line.keyword in ("interval", "timeout", "rise", "fall"):
                given[line.keyword] = numberIn(self._conversion, line, 1.0)
            elif line.keyword == "weight":
                weight = self._weight(one, line)
            elif line.keyword == "init_fail":
                check["initial"] = "bad"
            elif line.keyword == "user":
                self._remark(line, "txcarp runs checks as its own user")
            elif line.keyword not in ("script", "process"):
                self._remark(line, f"{line.keyword} does not carry over")
        if "reverse" in one.words:
            self._remark(one, f"{one.keyword}: reverse has no counterpart; turn the check around")
        check["interval"] = seconds(given["interval"])
        check["timeout"] = seconds(given.get("timeout", given["interval"]))
        check["rise"], check["fall"] = int(given["rise"]), int(given["fall"])
        if weight:
            check["demote"] = weight
        else:
            check["failing"] = "unfit"
        checks[name] = check

    def _weight(self, *lines: Statement) -> int:
        """
        By how much a failure demotes; 0 if it makes this host unfit.  The first line that says so
        counts.
        """
        for one in lines:
            match = re.search(r"\bweight\s+([+-]?\d{1,4})\b", " ".join(one.words))
            if match:
                return min(_MOST, abs(int(match[1])))
        return 0

    def _command(self, script: Statement) -> dict[str, Any]:
        lines = [one for one in script.members if one.keyword == "script"]
        if not lines or not lines[0].value:
            self._remark(script, f"vrrp_script {script.value} has no script")
            return {}
        words, text = commandIn(lines[0])
        match words:
            case ["killall" | "/usr/bin/killall", "-0", process] | ["pidof", process]:
                return {"process": process}
            case ["pgrep" | "/usr/bin/pgrep", *exactly, process] if exactly in ([], ["-x"]):
                return {"process": process}
        command = programOf(text, words)
        if command != words:
            self._remark(lines[0], "this needs a shell; better give the path of a program")
        return {"command": command}


def wholeIn(conversion: Conversion, one: Statement) -> int | None:
    """
    The whole number in a line; C{None} if there is none, which is noted.
    """
    if re.fullmatch(r"\d{1,9}", one.value):
        return int(one.value)
    conversion.remark(one.place, f"{one.keyword}: a whole number is missing")
    return None


def numberIn(conversion: Conversion, one: Statement, default: float) -> float:
    """
    The number in a line; a default if there is none, which is noted.
    """
    if re.fullmatch(r"\d{1,9}(\.\d{1,9})?", one.value):
        return float(one.value)
    conversion.remark(one.place, f"{one.keyword}: a number is missing")
    return default


def membersOf(block: Statement, takesMore: Iterable[str]) -> list[Statement]:
    """
    The members of a block that is a list.  Several may be in one line, and those that have words
    of their own have a line for themselves.
    """
    found: list[Statement] = []
    for one in block.members:
        words = one.words
        isList = all(_isMember(word) for word in words) and not {*takesMore} & {*words}
        if len(words) > 1 and isList:
            found += [Statement([word], "", one.place) for word in words]
        else:
            found.append(one)
    return found


def _isMember(word: str) -> bool:
    """
    Whether a word is a member itself, and no word about the one before it.
    """
    return word not in ("dev", "home", "nodad", "weight", "-nodad", "use_vmac")


def commandIn(one: Statement) -> tuple[list[str], str]:
    """
    The words of a command, and its text.  It may be quoted as a whole, and have a user after it.
    """
    if " " not in one.value and len(one.words) != 2:
        return one.words[1:], one.text
    text = one.value
    try:
        return shlex.split(text), text
    except ValueError:
        return [], text
