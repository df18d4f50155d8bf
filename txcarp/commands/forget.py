"""
C{txcarp forget}: makes the groups of this host forget that another one seals its advertisements.

The daemon behind the control socket is asked to forget, or one that has none, through a socket
beside its state file.  If no daemon runs, the state file is changed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from txcarp.commands.asking import NOT_PERMITTED, REFUSED, asked, clientOf, parserFor
from txcarp.configuration.options import WRONG_USAGE
from txcarp.operate.client import NoDaemon

_DESCRIPTION = """\
Forget that the host with this address seals its advertisements. From then on,
--seal learn believes the host without a seal, until it seals again.

Use this when a host goes back from txcarp to ucarp, and this host does not
believe it by itself. Run it on each other host of the group."""

_EPILOG = """\
Without a txcarp behind the control socket, the state files are changed. A
txcarp that has no control socket is asked through a socket beside its file.

Exit status: 0 if a group has forgotten the host; 1 if no group knows it, or for
a wrong command line; 2 if a file cannot be changed, or the process that uses it
does not answer; 4 if you may not do that.
"""


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp forget}.

    @param arguments: The command line after C{forget}.
    @return: The exit status.
    """
    parser = parserFor("forget", _DESCRIPTION, _EPILOG)
    parser.add_argument("address", metavar="ADDRESS", help="source address of the host")
    parser.add_argument(
        "--state-file",
        type=Path,
        action="append",
        metavar="FILE",
        dest="paths",
        help="change this state file, and ask no txcarp [if none answers: all in the directory of "
        "state files]",
    )
    parser.add_argument(
        "--group", metavar="INTERFACE:VHID", help="only this group, for example eth0:1"
    )
    options = parser.parse_args(arguments)

    from txcarp.addresses import parseAddress

    try:
        address = parseAddress(options.address)
    except ValueError as error:
        parser.error(str(error))
    if options.paths:
        return _forgetInFiles(options.paths, address, options.group)

    def ask() -> int:
        try:
            groups = clientOf(options).forget(options.address, options.group)
        except NoDaemon:
            return _forgetInFiles([], address, options.group)
        _report(groups, options.address)
        return 0

    return asked("forget", ask)


def _report(groups: Sequence[str], address: str) -> None:
    for group in groups:
        print(f"{group}: {address} is believed without a seal until it seals again")


def _forgetInFiles(given: Sequence[Path], address: bytes, wanted: str | None) -> int:
    """
    Forget a host in state files.

    @param given: The files; all in the directory of state files, if it is empty.
    @param wanted: The name of the only group; C{None} for all.
    @return: The exit status.
    """
    from txcarp.addresses import textOf
    from txcarp.state.store import defaultStateDirectory

    paths = given or sorted(defaultStateDirectory().glob("*.json"))
    where = ", ".join(map(str, paths)) or f"{defaultStateDirectory()}, which has no state files"
    status = 0
    groups: list[str] = []
    for path in paths:
        try:
            groups += _forgetIn(path, address, wanted)
        except PermissionError as error:
            print(f"txcarp forget: {error}", file=sys.stderr)
            status = NOT_PERMITTED
        except (OSError, ValueError) as error:
            print(f"txcarp forget: {error}", file=sys.stderr)
            status = status or REFUSED
    _report(groups, textOf(address))
    if status == 0 and not groups:
        scope = f"group {wanted}" if wanted else "any group"
        print(
            f"txcarp forget: {textOf(address)} is not known to seal its advertisements in {scope} "
            f"of {where}",
            file=sys.stderr,
        )
        status = WRONG_USAGE
    return status


def _forgetIn(path: Path, address: bytes, group: str | None) -> list[str]:
    """
    Forget a host in one state file.

    @return: The names of the groups that knew it.
    @raise OSError: If that is impossible.
    @raise ValueError: If the file is damaged, or the process that uses it refuses.
    """
    from txcarp.addresses import textOf
    from txcarp.state.file import StateFile, forgetIn
    from txcarp.state.requests import ask

    if not path.exists():
        raise FileNotFoundError(f"there is no state file {path}")
    file = StateFile(str(path))
    try:
        file.claim()
    except BlockingIOError as error:
        try:
            answer = ask(path, {"forget": textOf(address), "group": group})
        except PermissionError:
            raise
        except OSError as reason:
            in_use = str(error.strerror).partition(". ")[0]
            raise OSError(
                f"{in_use}, which does not answer ({reason}). Name its control socket with "
                "--control, or stop it, and try again"
            ) from None
        if "groups" not in answer:
            raise ValueError(f"{path}: {answer.get('error', answer)}") from None
        return [str(name) for name in answer["groups"]]
    try:
        return forgetIn(file, address, group)
    finally:
        file.release()
