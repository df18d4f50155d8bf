"""
The option table as text: C{--help}, C{docs/options.rst} and the manual page
C{docs/txcarp.8}.

C{python -m txcarp.configuration.manual docs} writes the two files.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from textwrap import indent, wrap

from txcarp.configuration.options import GROUPS, Option, split

#: The width of the help in columns, and the column that descriptions start in.
_WIDTH, _INDENT = 80, 28

_SYNOPSIS = "Usage: txcarp [options]"

_EXAMPLES = """\
Two hosts share 10.1.1.252. Run this on both, each with its own address:

  txcarp -i eth0 -s 10.1.1.1 -v 1 -o /etc/txcarp/password -a 10.1.1.252 \\
      -u /etc/txcarp/vip-up.sh -d /etc/txcarp/vip-down.sh -z

On the host that is to serve only while the other one is down, add -k 100. On
the other one, add -P to take the address back when it returns. With IPv4 and
IPv6 addresses, and without scripts:

  txcarp -i eth0 -s 10.1.1.1 -v 1 -o /etc/txcarp/password \\
      -a 10.1.1.252/24 -a 2001:db8::252/64 --assign -z

Watch a failover on this machine alone, or list the masters of a network:

  txcarp demo
  txcarp observe -i eth0
"""

_EXIT_STATUS = (
    "0 after an orderly end, 1 for a wrong command line, 2 if txcarp cannot run (missing "
    "privileges, an impossible setting). Without --shutdown, txcarp ends by the signal that it "
    "received."
)

_PAGE_HEAD = r"""
.\" Written by python -m txcarp.configuration.manual docs. Do not edit.
.TH TXCARP 8
.SH NAME
txcarp \- share IP addresses between hosts by CARP
.SH SYNOPSIS
.nf
\fBtxcarp\fR [\fIoptions\fR]
\fBtwistd\fR [\fItwistd options\fR] \fBtxcarp\fR [\fIoptions\fR]
\fBtxcarp demo\fR [\fIoptions\fR]
\fBtxcarp observe\fR [\fIoptions\fR]
.fi
.SH DESCRIPTION
""".strip()

_DESCRIPTION = (
    "Two or more hosts share IP addresses by CARP. One of them, the master, answers; when it "
    "fails, another one takes over. txcarp takes the command line of ucarp, works together with "
    "ucarp, FreeBSD and OpenBSD hosts, and can add and remove the addresses itself."
)

_SIGNALS = {
    "TERM, INT, HUP, QUIT": "Leave the group and end. A second signal, half a second later or "
    "more, ends txcarp at once.",
    "USR1": "Log the state of this host, what keeps it from being master, and the hosts that it "
    "hears.",
    "USR2": "Hand over, if this host is master, and stay backup for three seconds.",
}


def information(arguments: Iterable[str], synopsis: str = _SYNOPSIS) -> str | None:
    """
    The text that a command line asks for with C{--help} or C{--version}, or by being empty as
    in ucarp; C{None} if it asks for none.

    @param synopsis: The first line of the help.
    @raise CommandLineError: If the command line is wrong.
    """
    words = list(arguments)
    for name in [option.name for option, _ in split(words)] if words else ["help"]:
        if name == "help":
            return helpText(synopsis)
        if name == "version":
            from txcarp import __version__

            return f"txcarp {__version__}\n"
    return None


def helpText(synopsis: str = _SYNOPSIS) -> str:
    """
    What C{--help} prints.
    """
    lines = [synopsis]
    for heading, options in GROUPS.items():
        lines += ["", f"{heading}:"]
        for option in options:
            lines += _helpLines(option)
    exitStatus = "\n".join(_wrapped(f"Exit status: {_EXIT_STATUS}", _WIDTH))
    return "\n".join([*lines, "", _EXAMPLES, exitStatus, ""])


def _helpLines(option: Option) -> Iterator[str]:
    default = f" [{option.default}]" if option.default else ""
    left = f"  {option.spelling}" if option.short else f"      {option.spelling}"
    if len(left) > _INDENT - 2:
        yield left
        left = ""
    for line in _wrapped(option.help + default, _WIDTH - _INDENT):
        yield f"{left:{_INDENT}}{line}"
        left = ""


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
        ".. Written by python -m txcarp.configuration.manual docs. Do not edit.",
    ]
    for heading, options in GROUPS.items():
        lines += ["", heading, "-" * len(heading)]
        for option in options:
            value = option.spelling.partition("=")[2]
            names = [f"{name} {value}".rstrip() for name in option.names.split(", ")]
            lines += ["", ", ".join(f"``{name}``" for name in names)]
            text = "\n\n".join("\n".join(_wrapped(one, 85)) for one in _paragraphs(option))
            lines.append(indent(text, "    "))
    return "\n".join([*lines, ""])


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
    lines += [".SH EXIT STATUS", *_roff(_EXIT_STATUS), ".SH EXAMPLES", ".nf"]
    return "\n".join([*lines, _escaped(_EXAMPLES.rstrip()), ".fi", ""])


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


def main(directory: str) -> None:
    """
    Write the reference and the manual page.
    """
    for name, text in (("options.rst", reference()), ("txcarp.8", manualPage())):
        Path(directory, name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
