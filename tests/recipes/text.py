"""
The recipes in C{docs/recipes.rst}: their titles, and the files that they show.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import txcarp

RECIPES = Path(txcarp.__file__).parent.parent / "docs" / "recipes.rst"

#: What begins a table of a configuration file.
_TABLE = re.compile(r"(?m)^\[+(?:group|defaults|daemon|sync)\b")

_SECTION = re.compile(r"(?m)^(\S.*)\n-+\n")


def literals(text: str) -> Iterator[str]:
    """
    The literal blocks of a document.
    """
    for match in re.finditer(r"(?m)^(?:.*\S)?::\n\n((?:(?:    .*)?\n)+)", text):
        yield textwrap.dedent(match[1]).strip("\n") + "\n"


def isConfiguration(block: str) -> bool:
    """
    Whether a literal block is of a configuration file.
    """
    return bool(_TABLE.search(block)) and "unknown key" not in block


def recipes() -> dict[str, list[str]]:
    """
    The literal blocks of each recipe, by its title.
    """
    _, *parts = _SECTION.split(RECIPES.read_text(encoding="utf-8"))
    return {
        title: list(literals(f"\n{text}\n"))
        for title, text in zip(parts[::2], parts[1::2], strict=True)
    }


def configurations(title: str) -> list[str]:
    """
    The configuration files of a recipe.
    """
    return [block for block in recipes()[title] if isConfiguration(block)]


def block(title: str, words: str) -> str:
    """
    The one literal block of a recipe that has these words.
    """
    [found] = [one for one in recipes()[title] if words in one]
    return found


def forHost(configuration: str, advskew: int | None) -> str:
    """
    The file of one host: C{advskew} is what the hosts do not share.
    """
    if advskew is None:
        return configuration
    header = r"\[defaults\]" if "[defaults]\n" in configuration else r"\[group\.\w+\]"
    return re.sub(rf"(?m)^({header})$", rf"\1\nadvskew = {advskew}", configuration)


def exchangedSkews(configuration: str) -> str:
    """
    The file of the other host, where two groups have different skews on each host.
    """
    first, second = re.findall(r"(?m)^advskew = \d+$", configuration)
    other = {first: second, second: first}
    return re.sub(r"(?m)^advskew = \d+$", lambda found: other[found[0]], configuration)


def exchanged(text: str, *pairs: tuple[str, ...]) -> str:
    """
    The file of the other host, where the recipe has that of the first one: the two addresses of
    each pair change places.
    """
    other = {one: two for pair in pairs for one, two in (pair, pair[::-1])}
    return re.sub(r"\d+(?:\.\d+){3}", lambda found: other.get(found[0], found[0]), text)
