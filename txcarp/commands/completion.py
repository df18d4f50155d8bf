"""
C{txcarp completion}: scripts for the completion of command lines.
"""

from __future__ import annotations

from collections.abc import Sequence

from txcarp.commands.asking import parserFor, title

_DESCRIPTION = """\
Print a script that completes the command lines of txcarp in a shell: its
commands, options, files, interfaces and the groups that run. Packages install
it. "groups" prints the names of the groups instead, one a line."""

_EPILOG = """\
Example, for this shell alone:

  eval "$(txcarp completion bash)"
  eval "$(txcarp completion zsh)"
  txcarp completion fish | source

Exit status: 0, also if no txcarp answers; 1 for a wrong command line.
"""

_SHELLS = ("bash", "zsh", "fish")

#: Seconds until the names of the groups are given up: somebody waits at a prompt.
_PATIENCE = 0.5


def main(arguments: Sequence[str]) -> int:
    """
    Run C{txcarp completion}.

    @param arguments: The command line after C{completion}.
    @return: The exit status.
    """
    parser = parserFor("completion", _DESCRIPTION, _EPILOG)
    parser.add_argument("what", metavar="SHELL", choices=(*_SHELLS, "groups"))
    options = parser.parse_args(arguments)
    if options.what == "groups":
        print("".join(f"{one}\n" for one in _groups(options.control)), end="")
        return 0

    from txcarp.commands import shells
    from txcarp.commands.grammar import grammar

    write = {"bash": shells.bash, "zsh": shells.zsh, "fish": shells.fish}[options.what]
    print(write(grammar()), end="")
    return 0


def _groups(control: str) -> list[str]:
    """
    The names of the groups of a running txcarp; none if there is no answer.
    """
    from txcarp.operate.client import Client, ControlError

    try:
        return [title(group) for group in Client(control, _PATIENCE).status()["groups"]]
    except ControlError:
        return []
