"""
A change of role and how far a host is with it, the result of a script, and that of reading the
configuration file again, as steps, scripts, observers, commands and log lines see them.
"""

from __future__ import annotations

import enum

import attrs

from txcarp.protocol.actor import Actor
from txcarp.protocol.effects import Reason, Role


class Readiness(enum.Enum):
    """
    How far a host is with what belongs to mastership: the addresses, their announcement, scripts,
    services.  A role changes at once, and this follows.

    @cvar ACQUIRING: The host is master, and acquires it.
    @cvar READY: It has acquired all of it.
    @cvar RELEASING: It is master no longer, or leaves after this, and releases it; at the start,
        what an earlier process may have left.
    @cvar RELEASED: It has released all of it.
    """

    ACQUIRING = "acquiring"
    READY = "ready"
    RELEASING = "releasing"
    RELEASED = "released"


class StepState(enum.Enum):
    """
    How far one of the steps of a master is: adding the addresses, announcing them, a script, a
    command, a unit, a service.

    @cvar WAITING: It is not acquired: this host is not master, or earlier steps come first.
    @cvar ACQUIRING: It is being acquired.
    @cvar ACQUIRED: It is acquired.
    @cvar RELEASING: It is being undone.
    @cvar FAILED: It could not be acquired or undone, or was lost afterwards.
    """

    WAITING = "waiting"
    ACQUIRING = "acquiring"
    ACQUIRED = "acquired"
    RELEASING = "releasing"
    FAILED = "failed"


@attrs.frozen
class Change:
    """
    A virtual host changed its role.

    @ivar role: The new role.
    @ivar previous: The old role.
    @ivar vhid: The virtual host ID.
    @ivar interface: The name of the interface.
    @ivar addresses: The virtual addresses as they were configured.
    @ivar peer: The address of the host whose advertisement caused the change, or an empty
        string.
    @ivar detail: More about the reason, as text; may be empty.
    @ivar actor: Who asked for it; C{None} if nobody did.
    """

    role: Role
    previous: Role
    reason: Reason
    vhid: int
    interface: str
    addresses: tuple[str, ...]
    peer: str = ""
    detail: str = ""
    actor: Actor | None = None

    def explain(self) -> str:
        """
        Return the reason as a phrase for a log line.
        """
        words = self.reason.value
        if self.detail:
            words += f" ({self.detail})"
        if self.peer:
            words += f", peer {self.peer}"
        if self.actor is not None:
            words += f" (by {self.actor.explain()})"
        return words


@attrs.frozen
class ScriptResult:
    """
    How a script ended.

    @ivar status: The exit status; C{None} if there is none.
    @ivar signal: The name of the signal that killed it, or an empty string.
    @ivar timedOut: Whether it was stopped at its time limit.
    @ivar error: Why it could not be started, or an empty string.
    """

    status: int | None = None
    signal: str = ""
    timedOut: bool = False
    error: str = ""

    @property
    def good(self) -> bool:
        """
        Whether it exited with status 0 within its time limit.
        """
        return self.status == 0 and not self.timedOut

    def explain(self) -> str:
        """
        Return the result as a phrase for a log line.
        """
        if self.error:
            return self.error
        end = f"killed by {self.signal}" if self.signal else f"exit status {self.status}"
        return f"{end}, after its time limit" if self.timedOut else end


@attrs.frozen
class Drained:
    """
    A host is drained: it stays out of the election, and has released everything that belongs to
    mastership.

    @ivar master: The address of the host that is master now; empty if none is.
    @ivar isKept: Whether that is saved, so that it survives a restart of this process.
    """

    master: str
    isKept: bool = False


class NotDrained(Exception):
    """
    A host is not drained, although that was asked for.

    @ivar word: Why, as a word that stays the same in later versions: C{"no-successor"} if it bowed
        out and nobody took over, C{"no-master"} if it is no master and hears none,
        C{"withdrawn"} if somebody resumed it meanwhile, C{"stopped"} if it was stopped meanwhile.
    """

    def __init__(self, word: str, message: str) -> None:
        super().__init__(message)
        self.word = word


@attrs.frozen
class ReloadResult:
    """
    What came of reading the configuration file again.

    @ivar lines: What has changed, or would change: a line for each group, and one for each
        address that moves.
    @ivar warnings: What is possible, but probably a mistake.
    @ivar error: Why nothing or only a part has changed; an empty string if all is in effect.
    @ivar unconfirmed: Seconds after which the change is undone unless it is confirmed; C{None} if
        it need not be.
    """

    lines: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    error: str = ""
    unconfirmed: float | None = None


@attrs.frozen
class FileStatus:
    """
    How the configuration file and what runs are related at one moment.

    @ivar path: The path of the file.
    @ivar differs: Whether the file has another text than that which is in effect; C{None} if it
        cannot be read.
    @ivar problem: Why the file cannot be read, or an empty string.
    @ivar unconfirmed: Seconds until the last change is undone, unless it is confirmed; C{None} if
        it need not be.
    @ivar undone: Seconds since a change was undone, if no other one has followed; otherwise
        C{None}.
    """

    path: str
    differs: bool | None = False
    problem: str = ""
    unconfirmed: float | None = None
    undone: float | None = None

    def explain(self) -> str:
        """
        What an operator should know; an empty string if the file is what runs.
        """
        said = []
        if self.unconfirmed is not None:
            said.append(
                f"The last change is undone in {self.unconfirmed:.0f} s unless 'txcarp confirm' "
                f"keeps it. After a restart nothing is undone: {self.path} counts."
            )
        if self.undone is not None:
            said.append(f"A change was undone {self.undone:.0f} s ago: nobody had confirmed it.")
        if self.problem:
            said.append(f"{self.path} cannot be read: {self.problem}.")
        elif self.differs:
            how = "txcarp reload" if self.undone is None else "txcarp reload --confirm"
            said.append(
                f"{self.path} is not what runs: 'txcarp reload --dry-run' shows the difference, "
                f"and {how!r} or a restart puts it in effect."
            )
        return " ".join(said)


@attrs.frozen
class Runs:
    """
    What is known of all runs of a health check, or of a step that was acquired or released.

    @ivar number: How often it was done.
    @ivar failures: How often that failed, or took too long.
    @ivar seconds: How long all runs took together.
    @ivar last: How long the last one took, in seconds; C{None} if there was none.
    """

    number: int = 0
    failures: int = 0
    seconds: float = 0.0
    last: float | None = None

    def plus(self, seconds: float, hasFailed: bool) -> Runs:
        """
        These runs, and one more.
        """
        return Runs(
            self.number + 1, self.failures + hasFailed, self.seconds + seconds, seconds
        )


#: What is known of runs before the first one.
NO_RUNS = Runs()
