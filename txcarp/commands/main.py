"""
The C{txcarp} command: it finds out what is asked for.

Twisted is imported only by the commands that need it, so that the others start at once.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Callable
from importlib import import_module

from txcarp.configuration.options import WRONG_USAGE, CommandLineError, information
from txcarp.screen.output import giveUp

#: The subcommands, with the functions that get the arguments and return the exit status.
COMMANDS = {
    "check": "txcarp.commands.check:main",
    "completion": "txcarp.commands.completion:main",
    "confirm": "txcarp.commands.reload:confirm",
    "convert": "txcarp.commands.convert:main",
    "demo": "txcarp.commands.demo:main",
    "demote": "txcarp.commands.demotion:demote",
    "doctor": "txcarp.commands.doctor:main",
    "drain": "txcarp.commands.drain:drain",
    "events": "txcarp.commands.events:main",
    "explain": "txcarp.commands.explain:main",
    "forget": "txcarp.commands.forget:main",
    "init": "txcarp.commands.init:main",
    "is-master": "txcarp.commands.ismaster:main",
    "observe": "txcarp.commands.observe:main",
    "promote": "txcarp.commands.demotion:promote",
    "reload": "txcarp.commands.reload:main",
    "resume": "txcarp.commands.drain:resume",
    "status": "txcarp.commands.status:main",
    "takeover": "txcarp.commands.takeover:main",
}

#: What each command does, in the order in which somebody needs them.
_SUMMARIES = {
    "init": "make a first group, and print the command for the other host",
    "convert": "make a file from the configuration of ucarp or keepalived",
    "check": "find the mistakes in a configuration file",
    "status": "show who is master of each group",
    "explain": "say why this host is master of a group, or is not",
    "events": "follow what happens to the groups",
    "is-master": "find out in a script whether this host is master",
    "drain": "take this host out of the election, to work on it",
    "resume": "end a drain",
    "takeover": "make this host master now",
    "demote": "make this host less preferred",
    "promote": "end a demotion",
    "reload": "put a changed configuration file in effect",
    "confirm": "keep a change that is on trial",
    "forget": "allow another host to go back to ucarp",
    "doctor": "find out what is wrong between the hosts",
    "observe": "watch the groups of a network without taking part",
    "demo": "see take-overs in a network that exists only for that",
    "completion": "have a shell complete command lines",
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
        module, _, function = COMMANDS[arguments[0]].partition(":")
        run = getattr(import_module(module), function)
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
    lines = (f"  {name:<12}{summary}" for name, summary in _SUMMARIES.items())
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
