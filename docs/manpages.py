r"""
The manual pages: txcarp(8) from the table of options, txcarp.toml(5) from the tables of keys, and
txcarp-COMMAND(1) from the parser of each command.  C{manual.py} writes them into C{man}.

The pages use the macros of man(7).  Each literal C{-} is C{\-}, so that options can be searched for
and copied.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from textwrap import dedent

from manual import aboutKey, aboutPartKey, paragraphs, wrapped

from txcarp import __version__
from txcarp.commands.arguments import CommandParser, parserOf
from txcarp.commands.grammar import Command, Value, grammar
from txcarp.commands.main import COMMANDS
from txcarp.configuration.checks import CHECK_KEYS, CheckKey
from txcarp.configuration.options import EXAMPLES, EXIT_STATUS, GROUPS
from txcarp.configuration.sets import SET_KEYS
from txcarp.configuration.settings import DAEMON_KEYS, KEYS
from txcarp.configuration.stepkeys import STEP_KEYS

_ROOT = Path(__file__).parent.parent

#: The bytes of a line of the source, at most.
_WIDTH = 79

_DESCRIPTION = """
Two or more hosts share IP addresses by CARP. One of them, the master, answers; when it fails,
another one takes over. txcarp takes the command line of ucarp, works together with ucarp, FreeBSD
and OpenBSD hosts, and can add and remove the addresses itself.

Without a command, txcarp runs one group with the options below, or all groups of a file with
``--config``. The commands ask and tell a running txcarp, or help before there is one.
"""

_SIGNALS = {
    "TERM, INT, HUP, QUIT": "Leave the groups and end. A second signal, half a second later or "
    "more, ends txcarp at once. With a configuration file, HUP reads the file again, "
    "and ends nothing.",
    "USR1": "Log the state of this host, what keeps it from being master, and the hosts that it "
    "hears.",
    "USR2": "Hand over, if this host is master, and stay backup for three seconds.",
}

_FILES = {
    "/etc/txcarp/txcarp.toml": "The configuration file of ``txcarp.service``. See txcarp.toml(5).",
    "/etc/txcarp/password": "The password of ``txcarp.service``. Only root should be able to read "
    "it.",
    "/etc/txcarp/NAME.conf, /etc/txcarp/NAME.password": "The options and the password of "
    "``txcarp@NAME.service``.",
    "/run/txcarp/control.sock": "The socket through which the commands reach a running txcarp.",
    "/var/lib/txcarp": "What txcarp has to know after a restart. There are no secrets in it.",
}

_SCHEMA = """
A file in TOML that ``txcarp --config`` runs: all groups in which this host shares addresses. All
hosts of a group can have the same file, except for ``advskew``. ``txcarp check`` finds the
mistakes in a file, ``txcarp init`` writes a first one, ``txcarp convert`` makes one from the
configuration of ucarp or keepalived, and ``txcarp reload`` has a running txcarp read it again.

A relative path starts from the directory of the file. A time is text such as "500ms", "60s" or
"2m", or a number of seconds. Where a list is expected, a single value is a list of one.
"""

#: The tables of the file, each with what it is and with its keys: name and paragraph.
_TABLES = {
    "[group.NAME] and [defaults]": (
        "A group, and what counts for all groups that do not say it themselves. NAME is a word "
        "for people; nothing depends on it between hosts.",
        {key.name: aboutKey(key) for key in KEYS},
    ),
    "[group.NAME.check.CHECK] and [defaults.check.CHECK]": (
        "A health check. One key says what to check, and the keys that go with it follow.",
        {name: aboutPartKey(key) for name, key in CHECK_KEYS.items()},
    ),
    "[[group.NAME.step]]": (
        "Something that a host does when it becomes master, and undoes when it ceases to be. A "
        "step has a name, and either a unit or commands. The order of the steps counts.",
        {name: aboutPartKey(key) for name, key in STEP_KEYS.items()},
    ),
    "[sync.NAME]": (
        "A set of groups that this host is master of together, or of none of them.",
        {name: aboutPartKey(CheckKey(None, *texts)) for name, texts in SET_KEYS.items()},
    ),
    "[daemon]": (
        "Settings of the process. They count at its start only.",
        {name: aboutPartKey(CheckKey(None, *texts)) for name, texts in DAEMON_KEYS.items()},
    ),
}

#: The pages, other than txcarp(8), that somebody may want to read after that of a command.
_RELATED: Mapping[str, tuple[str, ...]] = {
    "check": ("txcarp.toml(5)", "txcarp-reload(1)"),
    "confirm": ("txcarp-reload(1)",),
    "convert": ("txcarp.toml(5)", "txcarp-check(1)"),
    "demote": ("txcarp-promote(1)",),
    "doctor": ("txcarp-check(1)", "txcarp-explain(1)", "txcarp-observe(1)"),
    "drain": ("txcarp-resume(1)", "txcarp-takeover(1)"),
    "events": ("txcarp-status(1)",),
    "explain": ("txcarp-status(1)", "txcarp-observe(1)"),
    "init": ("txcarp.toml(5)", "txcarp-check(1)"),
    "is-master": ("txcarp-status(1)",),
    "promote": ("txcarp-demote(1)",),
    "reload": ("txcarp.toml(5)", "txcarp-check(1)", "txcarp-confirm(1)"),
    "resume": ("txcarp-drain(1)",),
    "status": ("txcarp-explain(1)", "txcarp-events(1)"),
    "takeover": ("txcarp-drain(1)",),
}


def pages() -> dict[str, str]:
    """
    The text of each manual page, by the name of its file.
    """
    commands = [one for one in grammar() if one.name]
    texts = {"txcarp.8": _daemonPage(commands), "txcarp.toml.5": _filePage()}
    for command in commands:
        parser = parserOf(COMMANDS[command.name].load())
        texts[f"txcarp-{command.name}.1"] = _commandPage(command, parser)
    return texts


def _daemonPage(commands: list[Command]) -> str:
    lines = [
        *_head("txcarp", 8, "share IP addresses between hosts by CARP"),
        *_synopsis("txcarp", "[OPTIONS]"),
        *_synopsis("txcarp", "COMMAND ..."),
        *_synopsis("twistd", "[TWISTD-OPTIONS] txcarp [OPTIONS]"),
        *_section("DESCRIPTION", _DESCRIPTION),
        ".SH COMMANDS",
    ]
    for command in commands:
        lines += [".TP", rf"\fBtxcarp\-{_escaped(command.name)}\fR(1)", *_roff(f"{command.help}.")]
    lines.append(".SH OPTIONS")
    for heading, options in GROUPS.items():
        lines.append(f".SS {heading}")
        for option in options:
            names, _, value = option.spelling.partition("=")
            lines += _tagged(_names(names.split(", "), value), *paragraphs(option))
    for heading, table in ("SIGNALS", _SIGNALS), ("FILES", _FILES):
        lines.append(f".SH {heading}")
        for name, meaning in table.items():
            lines += _tagged(rf"\fB{_escaped(name)}\fR", meaning)
    lines += _section("EXIT STATUS", EXIT_STATUS)
    lines += _section("EXAMPLES", EXAMPLES)
    lines += _seeAlso("txcarp.toml(5)", *(f"txcarp-{one.name}(1)" for one in commands))
    return "\n".join([*lines, ""])


def _filePage() -> str:
    lines = [
        *_head("txcarp.toml", 5, "configuration file of txcarp"),
        *_tagged(r"\fB/etc/txcarp/txcarp.toml\fR"),
        *_section("DESCRIPTION", _SCHEMA),
    ]
    for heading, (about, keys) in _TABLES.items():
        lines.append(f'.SH "{_escaped(heading)}"')
        lines += _roff(about)
        for name, text in keys.items():
            lines += _tagged(rf"\fB{_escaped(name)}\fR", text)
    example = (_ROOT / "examples" / "txcarp.toml").read_text(encoding="utf-8")
    lines += [".SH EXAMPLE", ".EX", *map(_literal, example.rstrip().splitlines()), ".EE"]
    lines += _seeAlso("txcarp(8)", "txcarp-check(1)", "txcarp-init(1)", "txcarp-reload(1)")
    return "\n".join([*lines, ""])


def _commandPage(command: Command, parser: CommandParser) -> str:
    title = f"txcarp-{command.name}"
    usage = " ".join(parser.format_usage().split()).removeprefix(f"usage: {parser.prog} ")
    lines = [
        *_head(title, 1, command.help[0].lower() + command.help[1:]),
        *_synopsis(parser.prog, usage),
        *_section("DESCRIPTION", parser.description or ""),
        ".SH OPTIONS",
    ]
    for value in command.values:
        lines += _tagged(rf"\fI{_escaped(value.name)}\fR", _sentence(_about(value)))
    for flag in command.flags:
        name = flag.value.name if flag.value else ""
        tag = _names(flag.names, f"[{name}]" if flag.isOptional else name)
        lines += _tagged(tag, _sentence(flag.help))
    examples, status, notes = _parts(parser.epilog or "")
    lines += _section("EXIT STATUS", status)
    lines += _section("NOTES", notes)
    lines += _section("EXAMPLES", examples)
    lines += _seeAlso("txcarp(8)", *_RELATED.get(command.name, ()))
    return "\n".join([*lines, ""])


def _parts(epilog: str) -> tuple[str, str, str]:
    """
    The examples, the exit status and the notes of the last part of a help text.
    """
    examples, status, notes = [], "", []
    blocks = [one for one in re.split(r"\n\n+", epilog.strip("\n")) if one]
    for position, block in enumerate(blocks):
        following = blocks[position + 1] if position + 1 < len(blocks) else ""
        before, found, after = block.partition("Exit status: ")
        if found:
            status = f"{after[0].upper()}{after[1:]}"
            block = before.rstrip()
        if block.startswith("  ") or following.startswith("  "):
            examples.append(block)
        elif block:
            notes.append(block)
    return "\n\n".join(examples), status, "\n\n".join(notes)


def _about(value: Value) -> str:
    """
    One line about an argument.
    """
    return value.help or f"one of {', '.join(value.words)}"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def _head(title: str, section: int, about: str) -> list[str]:
    head = f'.TH {_escaped(title.upper())} {section} {_date()} "txcarp {__version__}"'
    name = wrapped(f"{_escaped(title)} \\- {_escaped(about)}", _WIDTH)
    written = r".\" Written by docs/manual.py. Do not edit."
    return [written, head, ".SH NAME", *name, ".SH SYNOPSIS"]


def _date() -> str:
    """
    The day of the release, from the changelog of the Debian package.
    """
    changelog = (_ROOT / "packaging" / "debian" / "changelog").read_text(encoding="utf-8")
    stamp = next(line for line in changelog.splitlines() if line.startswith(" -- "))
    return parsedate_to_datetime(stamp.partition(">  ")[2]).date().isoformat()


def _synopsis(program: str, usage: str) -> list[str]:
    text = re.sub(r"(?<![\w\\-])(\\-[a-z\\-]+|txcarp)", r"\\fB\1\\fR", _escaped(usage))
    text = re.sub(r"\b([A-Z][A-Z\\-]*[A-Z])\b", r"\\fI\1\\fR", text)
    return [f'.SY "{_escaped(program)}"', *wrapped(text, _WIDTH), ".YS"]


def _names(names: Iterable[str], value: str) -> str:
    bold = ", ".join(rf"\fB{_escaped(name)}\fR" for name in names)
    if value.startswith("["):
        return rf"{bold} [\fI{_escaped(value[1:-1])}\fR]"
    return rf"{bold} \fI{_escaped(value)}\fR" if value else bold


def _tagged(tag: str, *texts: str) -> list[str]:
    """
    A term and what it means.
    """
    lines = [".TP", tag]
    for number, text in enumerate(texts):
        lines += [".IP"] * bool(number) + _roff(text)
    return lines


def _section(heading: str, text: str) -> list[str]:
    """
    A section of paragraphs, which blank lines separate.  Indented lines are literal.
    """
    lines: list[str] = []
    for block in re.split(r"\n\n+", text.strip("\n")):
        if block.startswith("  "):
            code = map(_literal, dedent(block).splitlines())
            lines += [".PP", ".RS 4", ".EX", *code, ".EE", ".RE"]
        elif block:
            lines += [".PP"] * bool(lines) + _roff(block)
    return [f".SH {heading}", *lines] if lines else []


def _seeAlso(*titles: str) -> list[str]:
    linked = [re.sub(r"(.*)\((\d)\)", r"\\fB\1\\fR(\2)", _escaped(title)) for title in titles]
    return [".SH SEE ALSO", *(f"{one}," for one in linked[:-1]), linked[-1]]


def _roff(paragraph: str) -> list[str]:
    """
    Lines of troff, with the literals in bold.
    """
    text = re.sub("``(.*?)``", r"\\fB\1\\fR", _escaped(" ".join(paragraph.split())))
    return [re.sub("^[.']", r"\\&\g<0>", line) for line in wrapped(text, _WIDTH)]


def _literal(line: str) -> str:
    return re.sub("^[.']", r"\\&\g<0>", _escaped(line))


def _escaped(text: str) -> str:
    return text.replace("\\", r"\e").replace("-", r"\-")
