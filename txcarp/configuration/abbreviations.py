"""
Words of a command line that are short for the long name of an option.
"""

from __future__ import annotations

import getopt
from collections.abc import Sequence

from twisted.python import usage

#: The long names that ucarp has, and abbreviates.
_UCARP_NAMES = (
    *("interface", "srcip", "vhid", "pass", "passfile", "preempt", "neutral", "addr", "help"),
    *("advbase", "advskew", "upscript", "downscript", "deadratio", "shutdown", "daemonize"),
    *("ignoreifstate", "nomcast", "facility", "xparam", "debug", "mcastip"),
)


def split(given: Sequence[str], short: str, long: Sequence[str]) -> list[tuple[str, str]]:
    """
    The options in a command line, with their values.  An abbreviation that
    ucarp understands means what it means there, whatever new options begin
    with it, too.

    @param short: The short options, as C{getopt} wants them.
    @param long: The long options, likewise.
    @raise usage.UsageError: If there is one that nobody knows, or several are
        meant.
    """
    try:
        return getopt.gnu_getopt(_spelledOut(given, short, long), short, list(long))[0]
    except getopt.GetoptError as error:
        raise usage.UsageError(str(error)) from None


def _spelledOut(given: Sequence[str], short: str, long: Sequence[str]) -> list[str]:
    """
    The command line with ucarp's abbreviations written in full.  The values of
    options stay as they are, whatever they look like.
    """
    words = iter(given)
    whole: list[str] = []
    for word in words:
        takesNext = False
        if word == "--":
            return [*whole, word, *words]
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            name = _inFull(name, [each.rstrip("=") for each in long])
            word = f"--{name}{equals}{value}"
            takesNext = not equals and f"{name}=" in long
        elif word.startswith("-"):
            # The first that has a value takes the rest of the word for it, or the next word.
            takers = [at for at, letter in enumerate(word) if f"{letter}:" in short]
            takesNext = bool(takers) and takers[0] == len(word) - 1
        whole.append(word)
        if takesNext:
            whole += [value for value in (next(words, None),) if value is not None]
    return whole


def _inFull(name: str, names: Sequence[str]) -> str:
    """
    The one that is meant; a name that nobody knows stays as it is.
    """
    if name in names:
        return name
    meant = [full for full in _UCARP_NAMES if full.startswith(name)]
    if len(meant) != 1:
        meant = [full for full in names if full.startswith(name)]
    if len(meant) > 1:
        listed = ", ".join(f"--{full}" for full in meant)
        raise usage.UsageError(f"option --{name} not a unique prefix of one of {listed}")
    return meant[0] if meant else name
