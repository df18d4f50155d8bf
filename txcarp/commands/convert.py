"""
C{txcarp convert}: the command line.

Twisted and cattrs are imported only after the command line is parsed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from txcarp.commands.arguments import CommandParser

_DESCRIPTION = """\
Make a configuration file of txcarp from the configuration of another program,
print it, and list on standard error what does not carry over:

  ucarp       scripts, units of systemd, other files with command lines of ucarp
  interfaces  Debian's /etc/network/interfaces with ucarp-vid and so on
  keepalived  keepalived.conf with VRRP instances

Passwords are never printed. --passwords DIR writes each into a file of its
own there, which only its owner can read."""

_EPILOG = """\
Exit status: 0 if the result can be used as it is, 1 for a wrong command line
or a file that cannot be read, 2 if there is nothing to convert, or the result
must be completed by hand first.
"""

#: The exit statuses.
_DONE, _WRONG, _INCOMPLETE = 0, 1, 2


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp convert}.

    @param arguments: The command line after C{convert}.
    @return: The exit status.
    """
    parser = CommandParser("convert", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "kind", metavar="KIND", choices=("ucarp", "interfaces", "keepalived"), help="see above"
    )
    parser.add_argument("file", metavar="FILE", help="the file; - for standard input")
    parser.add_argument(
        "--passwords",
        metavar="DIR",
        default="",
        help="write the passwords into new files in this directory",
    )
    options = parser.parse_args(arguments)

    from txcarp.conversion import checked

    path = "(standard input)" if options.file == "-" else options.file
    try:
        text = checked.readFile("/dev/stdin" if options.file == "-" else options.file)
    except (OSError, ValueError) as error:
        return _say(f"{path}: {getattr(error, 'strerror', None) or error}", _WRONG)
    conversion = checked.convert(options.kind, text, path)
    for remark in sorted(conversion.remarks):
        _say(str(remark), _DONE)
    if not conversion.drafts:
        return _say(f"{path}: there is nothing to convert", _INCOMPLETE)
    if options.passwords:
        try:
            for name in checked.writePasswords(conversion, options.passwords):
                _say(f"wrote {name}", _DONE)
        except OSError as error:
            return _say(f"{error.filename}: {error.strerror}", _WRONG)
    else:
        for draft in conversion.drafts:
            if draft.password is not None:
                name = checked.passwordFile(draft)
                _say(f"write the password of {draft.name} into {name}, or use --passwords", _DONE)
    print(checked.written(conversion, options.passwords), end="")
    problems = checked.problemsIn(conversion)
    if problems:
        _say(f"the result has to be completed:\n{problems}", _INCOMPLETE)
    return _INCOMPLETE if problems else _DONE


def _say(text: str, status: int) -> int:
    """
    Print a line for people.
    """
    print(text.encode("utf-8", "backslashreplace").decode(), file=sys.stderr)
    return status
