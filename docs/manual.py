"""
Write C{options.rst} and C{keys.rst}, beside this file, from the tables of options and of keys,
C{statuses.rst} (see C{statuses.py}), and the manual pages in C{man} (see C{manpages.py}).
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent, wrap

from txcarp.configuration.checks import CHECK_KEYS, CheckKey
from txcarp.configuration.options import GROUPS, OPTIONS, Option
from txcarp.configuration.sets import SET_KEYS
from txcarp.configuration.settings import DAEMON_KEYS, KEYS, Key
from txcarp.configuration.stepkeys import STEP_KEYS, StepKey


def paragraphs(option: Option) -> list[str]:
    """
    What the references say of an option, each paragraph in one line.
    """
    said = re.sub(r" \[.*\]", "", option.help)
    said = re.sub(r"(?<!\S)(--[a-z-]+)", r"``\1``", said[0].upper() + said[1:])
    default = f" Default: ``{option.default}``." if option.default else ""
    first, *rest = [" ".join(one.split()) for one in option.text.split("\n\n")]
    return [f"{said}.{default} {first}".rstrip(), *rest]


def reference() -> str:
    """
    The text of C{docs/options.rst}.
    """
    lines = [
        *("Options", "=======", ""),
        ".. Written by docs/manual.py. Do not edit.",
    ]
    for heading, options in GROUPS.items():
        lines += ["", heading, "-" * len(heading)]
        for option in options:
            value = option.spelling.partition("=")[2]
            names = [f"{name} {value}".rstrip() for name in option.names.split(", ")]
            lines += ["", ", ".join(f"``{name}``" for name in names)]
            text = "\n\n".join("\n".join(wrapped(_linked(one), 85)) for one in paragraphs(option))
            lines.append(indent(text, "    "))
    return "\n".join([*lines, ""])


def keyReference() -> str:
    """
    The text of C{docs/keys.rst}.
    """
    lines = [
        *("Keys of a group", "===============", ""),
        ".. Written by docs/manual.py. Do not edit.",
        "",
        *wrapped(
            "Each of these keys can be in ``[group.NAME]``, and in ``[defaults]`` for all groups "
            "that do not have it. :doc:`file` explains the file. :doc:`options` says "
            "more about the options with the same meaning.",
            90,
        ),
    ]
    for key in KEYS:
        lines += ["", f"``{key.name}``"]
        lines += [indent(line, "    ") for line in wrapped(aboutKey(key), 86)]
    lines += [
        *("", "Keys of a health check", "----------------------", ""),
        *wrapped(
            "Each of these keys can be in ``[group.NAME.check.CHECK]`` and "
            "``[defaults.check.CHECK]``. One key says what to check, and the keys "
            "that go with it follow. :doc:`checks` explains them.",
            90,
        ),
    ]
    for name, one in CHECK_KEYS.items():
        lines += ["", f"``{name}``"]
        lines += [indent(line, "    ") for line in wrapped(aboutPartKey(one), 86)]
    lines += [
        *("", "Keys of a step", "--------------", ""),
        *wrapped(
            "Each of these keys can be in ``[[group.NAME.step]]``. A step has a name, and "
            "either a unit or commands. :ref:`steps:Steps` explains them.",
            90,
        ),
    ]
    for name, step in STEP_KEYS.items():
        lines += ["", f"``{name}``"]
        lines += [indent(line, "    ") for line in wrapped(aboutPartKey(step), 86)]
    lines += [
        *("", "Keys of a set", "-------------", ""),
        *wrapped(
            "Each of these keys can be in ``[sync.NAME]``. :doc:`sets` explains them.",
            90,
        ),
    ]
    for name, (value, about) in SET_KEYS.items():
        part = CheckKey(None, value, about)
        lines += ["", f"``{name}``"]
        lines += [indent(line, "    ") for line in wrapped(aboutPartKey(part), 86)]
    lines += [
        *("", "Keys of the process", "-------------------", ""),
        *wrapped("Each of these keys can be in ``[daemon]``.", 90),
    ]
    for name, (value, about) in DAEMON_KEYS.items():
        part = CheckKey(None, value, about)
        lines += ["", f"``{name}``"]
        lines += [indent(line, "    ") for line in wrapped(aboutPartKey(part), 86)]
    return "\n".join([*lines, ""])


def _linked(paragraph: str) -> str:
    """
    A paragraph of the manual page with its references to other documents as links.
    """
    text = re.sub(r"``docs/(\w+)\.rst``", r":doc:`\1`", paragraph)
    return re.sub(r'"([^"]+)" in the manual', lambda found: _link(found[1]), text)


def _link(title: str) -> str:
    heading = f"\n{title}\n{'-' * len(title)}\n"
    [document] = [
        path.stem
        for path in Path(__file__).parent.glob("*.rst")
        if path.name != "options.rst" and heading in path.read_text(encoding="utf-8")
    ]
    return f":ref:`{document}:{title}`"


def aboutPartKey(key: CheckKey | StepKey) -> str:
    """
    What the references say of a key that no option has, in one line.
    """
    of = f"With {' or '.join(f'``{one}``' for one in key.of)}: " if key.of else ""
    said = key.help if of else f"{key.help[0].upper()}{key.help[1:]}"
    value = re.sub(r'(\[[^]]*\]|\{[^}]*\}|"[^"]*"|\b(?:true|false)\b)', r"``\1``", key.value)
    default = f" Default: ``{key.default}``." if key.default else ""
    return f"{of}{said}. Value: {value}.{default}"


def aboutKey(key: Key) -> str:
    """
    What the references say of a key of a group, in one line.
    """
    options = [one for one in OPTIONS if one.setting in key.settings]
    said = key.help or re.sub(r" \[.*\]", "", options[0].help)
    value = re.sub(r'(\["[^]]*\]|"[^"]*"|\b(?:true|false)\b)', r"``\1``", key.value)
    default = options[0].default if options and not key.help else ""
    parts = [f"{said[0].upper()}{said[1:]}.", f"Value: {value}."]
    if default:
        parts.append(f"Default: ``{default}``.")
    if options:
        names = ", ".join(f"``--{one.name}``" for one in options)
        parts.append(f"Option{'s' if len(options) > 1 else ''}: {names}.")
    return " ".join(parts)


def wrapped(text: str, width: int) -> list[str]:
    """
    The lines of a text, in which no word is broken.
    """
    return wrap(text, width, break_on_hyphens=False, break_long_words=False)


def main() -> None:
    """
    Write the files.
    """
    from manpages import pages  # it imports this module
    from statuses import statuses

    here = Path(__file__).parent
    (here / "man").mkdir(exist_ok=True)
    texts = {"options.rst": reference(), "keys.rst": keyReference(), "statuses.rst": statuses()}
    texts |= {f"man/{name}": text for name, text in pages().items()}
    for name, text in texts.items():
        (here / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
