"""
The C{txcarp} command: it finds out what is asked for.

Twisted is imported only by the commands that need it, so that the others start at once.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import NamedTuple

from txcarp.configuration.options import WRONG_USAGE, CommandLineError, information
from txcarp.screen.output import giveUp


class Subcommand(NamedTuple):
    """
    A subcommand.

    @ivar place: Its module in C{txcarp.commands}, and its function there.
    @ivar summary: What it does.
    """

    place: str
    summary: str

    def load(self) -> Callable[[Sequence[str]], object]:
        """
        Import its function, which gets the arguments and returns the exit status.
        """
        module, _, function = self.place.partition(":")
        run: Callable[[Sequence[str]], object] = getattr(
            import_module(f"txcarp.commands.{module}"), function
        )
        return run


#: The subcommands, in the order in which somebody needs them.
COMMANDS = {
    "init": Subcommand("init:main", "make a first group, and print the command for the other host"),
    "convert": Subcommand(
        "convert:main", "make a file from the configuration of ucarp or keepalived"
    ),
    "check": Subcommand("check:main", "find the mistakes in a configuration file"),
    "status": Subcommand("status:main", "show who is master of each group"),
    "explain": Subcommand("explain:main", "say why this host is master of a group, or is not"),
    "events": Subcommand("events:main", "follow what happens to the groups"),
    "is-master": Subcommand("ismaster:main", "find out in a script whether this host is master"),
    "drain": Subcommand("drain:drain", "take this host out of the election, to work on it"),
    "resume": Subcommand("drain:resume", "end a drain"),
    "takeover": Subcommand("takeover:main", "make this host master now"),
    "demote": Subcommand("demotion:demote", "make this host less preferred"),
    "promote": Subcommand("demotion:promote", "end a demotion"),
    "reload": Subcommand("reload:main", "put a changed configuration file in effect"),
    "confirm": Subcommand("reload:confirm", "keep a change that is on trial"),
    "forget": Subcommand("forget:main", "allow another host to go back to ucarp"),
    "doctor": Subcommand("doctor:main", "find out what is wrong between the hosts"),
    "observe": Subcommand("observe:main", "watch the groups of a network without taking part"),
    "demo": Subcommand("demo:main", "see take-overs in a network that exists only for that"),
    "completion": Subcommand("completion:main", "have a shell complete command lines"),
}

#: The exit status of a command whose output cannot be written.
CANNOT_WRITE = 2

#: What writing to the standard output can lead to.
_OF_OUTPUT = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def completeDescriptors() -> None:
    """
    Open standard input, output and error on C{/dev/null} if they are closed.  Otherwise a socket
    would get one of their numbers, and log lines would be written to it.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, this one
    # Python sets these to None if their descriptor was closed.
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def main() -> None:
    """
    The entry point.  If the first argument is not an option, it is a subcommand.
    """
    completeDescriptors()
    arguments = sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        run = COMMANDS[arguments[0]].load()
        raise SystemExit(_written(f"txcarp {arguments[0]}", lambda: run(arguments[1:])))
    try:
        if arguments and not arguments[0].startswith("-"):
            raise CommandLineError(_unknown(arguments[0]))
        text = information(arguments, _synopsis())
        if text is not None:
            raise SystemExit(_written("txcarp", lambda: print(text, end="")))
        _runDaemon(arguments)
    except CommandLineError as error:
        print(f"txcarp: {error}\nTry 'txcarp --help'.", file=sys.stderr)
        raise SystemExit(WRONG_USAGE) from None


def _written(program: str, run: Callable[[], object]) -> object:
    """
    Run what writes to the standard output.  If its reader goes away, that is no failure.

    @param program: What an error names.
    @return: The exit status; C{CANNOT_WRITE} if the output cannot be written.
    """
    try:
        try:
            status = run()
        except SystemExit as end:  # after --help, for example
            status = end.code
        sys.stdout.flush()
        return status or 0
    except OSError as error:
        if error.filename is not None or error.errno not in _OF_OUTPUT:
            raise
        isGone = error.errno == errno.EPIPE
        giveUp(sys.stdout, program, error, isGone=isGone)
        return 0 if isGone else CANNOT_WRITE


def _runDaemon(arguments: list[str]) -> None:
    """
    Run virtual hosts until they end.

    Modules stay, so the collector must not look for garbage among those that are loaded already:
    that would take a tenth of the start.  What an import leaves behind it does collect.

    @raise CommandLineError: If the command line is wrong.
    """
    first, second, _ = gc.get_threshold()
    gc.set_threshold(first, second, 2**31 - 1)
    import_module("twisted.scripts.twistd")
    gc.freeze()
    from txcarp.commands.run import run

    gc.freeze()
    run(arguments)


def _synopsis() -> str:
    """
    The first lines of the help.
    """
    lines = (f"  {name:<12}{one.summary}" for name, one in COMMANDS.items())
    return "\n".join(
        (
            "Usage: txcarp [options]",
            "       txcarp COMMAND ...",
            "",
            "Commands ('txcarp COMMAND --help' describes one):",
            *lines,
            "",
            "Without a command, txcarp is the daemon. Its options:",
        )
    )


def _unknown(word: str) -> str:
    """
    What is wrong with a word in the place of a subcommand.
    """
    from difflib import get_close_matches

    similar = get_close_matches(word, COMMANDS, 1)
    hint = f": did you mean {similar[0]!r}?" if similar else ""
    return f"there is no command {word!r}{hint}"


if __name__ == "__main__":
    main()
