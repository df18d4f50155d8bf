"""
Write C{options.rst}, C{keys.rst} and the manual page C{txcarp.8}, beside this file, from the tables
of options and of keys.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent, wrap

from txcarp.configuration.checks import CHECK_KEYS, CheckKey
from txcarp.configuration.options import EXAMPLES, EXIT_STATUS, GROUPS, OPTIONS, Option
from txcarp.configuration.sets import SET_KEYS
from txcarp.configuration.settings import KEYS, Key
from txcarp.configuration.stepkeys import STEP_KEYS, StepKey

_PAGE_HEAD = r"""
.\" Written by docs/manual.py. Do not edit.
.TH TXCARP 8
.SH NAME
txcarp \- share IP addresses between hosts by CARP
.SH SYNOPSIS
.nf
\fBtxcarp\fR [\fIoptions\fR]
\fBtwistd\fR [\fItwistd options\fR] \fBtxcarp\fR [\fIoptions\fR]
\fBtxcarp check\fR [\fIoptions\fR] \fIFILE\fR
\fBtxcarp confirm\fR [\fIoptions\fR]
\fBtxcarp convert\fR [\fIoptions\fR] \fIKIND FILE\fR
\fBtxcarp demo\fR [\fIoptions\fR]
\fBtxcarp demote\fR [\fIoptions\fR] \fIGROUP NAME AMOUNT\fR
\fBtxcarp drain\fR [\fIoptions\fR] \fIGROUP\fR
\fBtxcarp events\fR [\fIoptions\fR] [\fIGROUP\fR ...]
\fBtxcarp explain\fR [\fIoptions\fR] \fIGROUP\fR
\fBtxcarp forget\fR [\fIoptions\fR] \fIADDRESS\fR
\fBtxcarp init\fR [\fIoptions\fR]
\fBtxcarp is\-master\fR [\fIoptions\fR] \fIGROUP\fR
\fBtxcarp observe\fR [\fIoptions\fR]
\fBtxcarp promote\fR [\fIoptions\fR] \fIGROUP NAME\fR
\fBtxcarp reload\fR [\fIoptions\fR]
\fBtxcarp resume\fR [\fIoptions\fR] \fIGROUP\fR
\fBtxcarp status\fR [\fIoptions\fR] [\fIGROUP\fR ...]
\fBtxcarp takeover\fR [\fIoptions\fR] \fIGROUP\fR
.fi
.SH DESCRIPTION
""".strip()

_DESCRIPTION = (
    "Two or more hosts share IP addresses by CARP. One of them, the master, answers; when it "
    "fails, another one takes over. txcarp takes the command line of ucarp, works together with "
    "ucarp, FreeBSD and OpenBSD hosts, and can add and remove the addresses itself."
)

_SIGNALS = {
    "TERM, INT, HUP, QUIT": "Leave the groups and end. A second signal, half a second later or "
    "more, ends txcarp at once. With a configuration file, HUP reads the file again, "
    "and ends nothing.",
    "USR1": "Log the state of this host, what keeps it from being master, and the hosts that it "
    "hears.",
    "USR2": "Hand over, if this host is master, and stay backup for three seconds.",
}


def _paragraphs(option: Option) -> list[str]:
    """
    What the reference and the manual page say of an option, each paragraph in one line.
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
            text = "\n\n".join(
                "\n".join(_wrapped(_linked(one), 85)) for one in _paragraphs(option)
            )
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
        *_wrapped(
            "Each of these keys can be in ``[group.NAME]``, and in ``[defaults]`` for all groups "
            "that do not have it. :doc:`file` explains the file. :doc:`options` says "
            "more about the options with the same meaning.",
            90,
        ),
    ]
    for key in KEYS:
        lines += ["", f"``{key.name}``"]
        lines += [indent(line, "    ") for line in _wrapped(_aboutKey(key), 86)]
    lines += [
        *("", "Keys of a health check", "----------------------", ""),
        *_wrapped(
            "Each of these keys can be in ``[group.NAME.check.CHECK]`` and "
            "``[defaults.check.CHECK]``. One key says what to check, and the keys "
            "that go with it follow. :doc:`checks` explains them.",
            90,
        ),
    ]
    for name, one in CHECK_KEYS.items():
        lines += ["", f"``{name}``"]
        lines += [indent(line, "    ") for line in _wrapped(_aboutPartKey(one), 86)]
    lines += [
        *("", "Keys of a step", "--------------", ""),
        *_wrapped(
            "Each of these keys can be in ``[[group.NAME.step]]``. A step has a name, and "
            "either a unit or commands. :ref:`steps:Steps` explains them.",
            90,
        ),
    ]
    for name, step in STEP_KEYS.items():
        lines += ["", f"``{name}``"]
        lines += [indent(line, "    ") for line in _wrapped(_aboutPartKey(step), 86)]
    lines += [
        *("", "Keys of a set", "-------------", ""),
        *_wrapped(
            "Each of these keys can be in ``[sync.NAME]``. :doc:`sets` explains them.",
            90,
        ),
    ]
    for name, (value, about) in SET_KEYS.items():
        part = CheckKey(None, value, about)
        lines += ["", f"``{name}``"]
        lines += [indent(line, "    ") for line in _wrapped(_aboutPartKey(part), 86)]
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


def _aboutPartKey(key: CheckKey | StepKey) -> str:
    of = f"With {' or '.join(f'``{one}``' for one in key.of)}: " if key.of else ""
    said = key.help if of else f"{key.help[0].upper()}{key.help[1:]}"
    value = re.sub(r'(\[[^]]*\]|\{[^}]*\}|"[^"]*"|\b(?:true|false)\b)', r"``\1``", key.value)
    default = f" Default: ``{key.default}``." if key.default else ""
    return f"{of}{said}. Value: {value}.{default}"


def _aboutKey(key: Key) -> str:
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


def manualPage() -> str:
    """
    The text of C{docs/txcarp.8}.
    """
    lines = [_PAGE_HEAD, *_roff(_DESCRIPTION), ".SH OPTIONS"]
    for heading, options in GROUPS.items():
        lines.append(f".SS {heading}")
        for option in options:
            names, equals, value = _escaped(option.spelling).partition("=")
            bold = ", ".join(rf"\fB{name}\fR" for name in names.split(", "))
            lines += [".TP", rf"{bold}=\fI{value}\fR" if equals else bold]
            first, *rest = map(_roff, _paragraphs(option))
            lines += first
            for paragraph in rest:
                lines += [".IP", *paragraph]
    lines.append(".SH SIGNALS")
    for signals, meaning in _SIGNALS.items():
        lines += [".TP", rf"\fB{signals}\fR", *_roff(meaning)]
    lines += [".SH EXIT STATUS", *_roff(EXIT_STATUS), ".SH EXAMPLES", ".nf"]
    return "\n".join([*lines, _escaped(EXAMPLES.rstrip()), ".fi", ""])


def _roff(paragraph: str) -> list[str]:
    """
    Lines of troff, with the literals in bold.
    """
    text = re.sub("``(.*?)``", r"\\fB\1\\fR", _escaped(paragraph))
    return [re.sub("^[.']", r"\\&\g<0>", line) for line in _wrapped(text, 90)]


def _escaped(text: str) -> str:
    return text.replace("\\", r"\e").replace("-", r"\-")


def _wrapped(text: str, width: int) -> list[str]:
    return wrap(text, width, break_on_hyphens=False, break_long_words=False)


def main() -> None:
    """
    Write the files.
    """
    for name, text in (
        ("options.rst", reference()),
        ("keys.rst", keyReference()),
        ("txcarp.8", manualPage()),
    ):
        Path(__file__).with_name(name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
