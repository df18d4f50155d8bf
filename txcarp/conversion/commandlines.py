"""
ucarp's command lines in scripts and units.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

from txcarp.configuration.options import CommandLineError, Option, split
from txcarp.conversion.draft import Conversion, Draft, Place, seconds

#: The options that concern the process, each with what takes its place.
_PROCESS = {
    "daemonize": "give -B to txcarp itself, or leave that to systemd",
    "pidFile": "give --pidfile to txcarp itself",
    "facility": "write facility into [daemon], or give -f to txcarp itself",
    "stateFile": "write state_file into [daemon]",
    "control": "write control into [daemon]",
    "http": "write http into [daemon]",
    "page": "write page into [daemon]",
    "realtime": "write realtime into [daemon]",
    "configFile": "this command line has a file already",
}

_FLAGS = {
    "assign": "assign",
    "releaseFirst": "release_first",
    "anyFamily": "any_family",
    "ignoreLink": "ignore_link",
    "neutral": "neutral",
    "shutdown": "shutdown",
    "broadcast": "broadcast",
    "debug": "debug",
}

_NUMBERS = {
    "vhid": "vhid",
    "advbase": "advbase",
    "advskew": "advskew",
    "deadRatio": "dead_ratio",
}

_TIMES = {
    "announceEvery": "announce_every",
    "probe": "probe",
    "startDelay": "start_delay",
    "scriptTimeout": "script_timeout",
    "downScriptFirst": "down_script_first",
}

_TEXTS = {
    "dialect": "dialect",
    "upScript": "up_script",
    "downScript": "down_script",
    "parameter": "script_parameter",
    "verification": "seal",
    "signedHardware": "signed_mac",
}

_LISTS = {
    "source": "source",
    "group": "multicast",
    "trackedInterfaces": "track_interfaces",
    "peers": "peers",
    "witnesses": "witness",
}

#: A setting in a unit of systemd, before the command line.
_UNIT = re.compile(r"\s*Exec\w+\s*=\s*[-@:+!|]*")


def convert(text: str, path: str, conversion: Conversion) -> None:
    """
    Make a group of each command line of ucarp in a text.
    """
    for line, words in _commandLines(text, path, conversion):
        place = Place(path, line)
        try:
            given, leftOver = split(words)
        except CommandLineError as error:
            conversion.remark(place, f"this command line is left out: {error}")
            continue
        if leftOver:
            # A word may be a part of a password.
            count = len(leftOver)
            conversion.remark(place, f"{count} words that belong to no option are left out")
        _group(given, place, conversion)


def _commandLines(
    text: str, path: str, conversion: Conversion
) -> Iterator[tuple[int, list[str]]]:
    """
    The arguments of each command line, with the number of its first line.
    """
    lines = iter(enumerate(text.replace("\0", "?").splitlines(), 1))
    for number, line in lines:
        whole = line
        while whole.endswith("\\"):
            whole = whole[:-1] + " " + next(lines, (0, ""))[1]
        if "carp" not in whole or whole.lstrip().startswith("#"):
            continue
        lexer = shlex.shlex(_UNIT.sub("", whole), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        lexer.commenters = ""
        try:
            words = list(lexer)
        except ValueError as error:
            conversion.remark(Place(path, number), f"this line is left out: {error}")
            continue
        for index, word in enumerate(words):
            if word.rpartition("/")[2] in ("ucarp", "txcarp") and words[index + 1 :]:
                if words[index + 1].startswith("-"):
                    yield number, _untilOperator(words[index + 1 :])
                break


def _untilOperator(words: list[str]) -> list[str]:
    """
    The words before the first operator of the shell.
    """
    for index, word in enumerate(words):
        if word and not word.strip("();<>|&"):
            isNumbered = word[0] in "<>" and words[index - 1].isdigit()
            return words[: index - 1 if isNumbered else index]
        if word.startswith("#"):
            return words[:index]
    return words


def _group(given: list[tuple[Option, str]], place: Place, conversion: Conversion) -> None:
    values = {option.setting: text for option, text in given}
    interface, colon, _ = values.get("interface", "").partition(":")
    try:
        number: object = _number(values.get("vhid", ""))
    except ValueError:
        number = place.line
    draft = conversion.add(f"{interface or 'carp'}-{number}", place)
    settings = draft.settings
    if interface:
        settings["interface"] = interface
    else:
        conversion.remark(place, "there is no -i: write the interface into the file")
    if colon:
        settings["script_label"] = values["interface"]
    for option, text in given:
        if "$" in text and option.setting != "password":
            conversion.remark(place, f"{option.names}: a variable has to be replaced by hand")
        _option(draft, option, text, conversion)
    if "assign" not in settings and not {"up_script", "down_script"} & {*settings}:
        conversion.remark(
            place, "without scripts, txcarp adds the addresses itself, on lease; ucarp does not"
        )
    if not settings.get("assign") and settings.get("addresses"):
        settings["addresses"] = settings["addresses"][-1:]  # the last one counts
    for key in ("source", "multicast"):
        if len(settings.get(key, ())) == 1:
            settings[key] = settings[key][0]
    if not {"addresses", "vhid"} <= {*settings}:
        conversion.remark(place, "there is no -a or no -v: write it into the file")


def _option(draft: Draft, option: Option, text: str, conversion: Conversion) -> None:
    settings, setting, place = draft.settings, option.setting, draft.place
    readers: tuple[tuple[dict[str, str], Callable[[str], Any]], ...] = (
        (_FLAGS, lambda text: True),
        (_NUMBERS, _number),
        (_TIMES, _time),
        (_TEXTS, str),
    )
    for table, read in readers:
        if setting in table:
            try:
                settings[table[setting]] = read(text)
            except ValueError:
                conversion.remark(place, f"{option.names}: {text!r} is not a number")
    if setting in _LISTS:
        key = _LISTS[setting]
        several = [] if key == "source" and ":" not in text else settings.get(key, [])
        settings[key] = [*several, text]
    elif setting in _PROCESS:
        belongs = f"{option.names} belongs to the process, not to a group"
        conversion.remark(place, f"{belongs}: {_PROCESS[setting]}")
    elif setting == "addresses":
        settings.setdefault("addresses", []).append(text)
    elif setting == "guard":
        settings["guard"] = text != "off"
    elif setting == "preempt":
        settings.setdefault("preempt", True)
    elif setting == "preemptDelay":
        settings["preempt"] = f"{text}s"
    elif setting == "virtualMAC":
        settings["virtual_mac"] = text or True
    elif setting == "flapLimit":
        settings["flap_limit"] = f"{text}s" if "/" in text else False
    elif setting == "otherAddresses":
        settings.setdefault("former_addresses", []).append(text.split(","))
    elif setting == "otherPasswords":
        settings.setdefault("passfile", []).append(text)
    elif option.name == "passfile":
        settings["passfile"] = [text, *settings.get("passfile", [])]
        draft.password = None
    elif option.name == "pass":
        conversion.password(draft, place, text.encode("utf-8", "surrogateescape"))


def _number(text: str) -> int:
    """
    A number as C{strtoul} reads it: also octal and hexadecimal.
    """
    isOctal = re.fullmatch(r"0[0-7]+", text) is not None
    return int(text, 8) if isOctal else int(text, 0)


def _time(text: str) -> str | bool:
    value = float(text)
    return seconds(value) if value else False
