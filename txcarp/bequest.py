"""
What a master leaves behind that another process can give back.
"""

from __future__ import annotations

import attrs


@attrs.frozen
class ScriptCommand:
    """
    A script, as another process runs it.

    @ivar path: The absolute path of the file.
    @ivar command: The command line: the name of the script, and its arguments.
    @ivar environment: What to add to the environment.
    @ivar timeLimit: Seconds until it is asked to end; C{None} for no limit.
    """

    path: str
    command: list[str]
    environment: dict[str, str]
    timeLimit: float | None


@attrs.frozen
class Bequest:
    """
    What a master has at a moment.

    @ivar addresses: The addresses to remove: for each the index of its interface, the packed
        address, and the length of its prefix.
    @ivar script: The down script to run; C{None} for none.
    @ivar first: Seconds for which the addresses wait for the script; C{None} if it runs after
        they were removed.
    """

    addresses: tuple[tuple[int, bytes, int], ...] = ()
    script: ScriptCommand | None = None
    first: float | None = None
