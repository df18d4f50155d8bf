"""
Attacks with captured advertisements.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable

import attrs

from benchmarks.siege import ADDRESSES, DEAD_TIME, STRANGER, Expectation, Pair, Siege
from tests.crafted import forged
from txcarp.membership.sealing import SAVE_EVERY

#: Seconds for which a living master is attacked: more than twice the dead time.
_LIVING = 8.0

#: Seconds for which the attacker tries to keep a backup from taking over.
_DEAD = 10.0

_STRANGER = socket.inet_aton(STRANGER)
_BACKUP = socket.inet_aton(ADDRESSES["b"])


async def _nothing(siege: Siege) -> None:
    """
    The preparation of an attack that needs none.
    """


@attrs.frozen
class Attack:
    """
    An attack.

    @ivar what: What the attacker does, in words.
    @ivar mount: Attacks, and returns what a pair that it cannot harm does meanwhile.
    @ivar prepare: Changes the hosts before the attack.
    @ivar options: More options of txcarp.
    @ivar limits: The pairs with seals that do not promise to stop it.
    """

    name: str
    what: str
    mount: Callable[[Siege], Awaitable[Expectation]]
    prepare: Callable[[Siege], Awaitable[None]] = _nothing
    options: tuple[str, ...] = ()
    limits: frozenset[str] = frozenset()

    def isStoppedBy(self, pair: Pair) -> bool:
        """
        Whether a pair promises to stop it.
        """
        return "off" not in pair.seals and bool(pair.seals) and pair.name not in self.limits


async def _repeat(siege: Siege, packet: bytes, seconds: float) -> None:
    """
    Send one packet once a second.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        siege.attacker.send(packet)
        await siege.sleep(1.0)


async def _replay(siege: Siege, seconds: float) -> None:
    """
    Send everything that was captured again and again, with the original intervals.
    """
    begun = time.monotonic()
    end = begun + seconds
    while begun < end:
        for captured in siege.captured:
            due = begun + captured.time - siege.captured[0].time
            if due >= end:
                break
            await siege.sleep(due - time.monotonic())
            siege.attacker.send(captured.packet)
        begun += _pass(siege)
    await siege.sleep(end - time.monotonic())


def _pass(siege: Siege) -> float:
    """
    Seconds that one replay takes, the interval after it included.
    """
    times = [captured.time for captured in siege.captured]
    span = times[-1] - times[0]
    return span + span / max(1, len(times) - 1)


def _again(
    *,
    advbase: int | None = None,
    advskew: int | None = None,
    demotion: int | None = None,
    source: bytes | None = None,
) -> Callable[[Siege], Awaitable[Expectation]]:
    """
    An attack with one captured advertisement, changed and sent once a second, while the master
    lives.
    """

    async def mount(siege: Siege) -> Expectation:
        packet = forged(
            siege.captured[0].packet,
            advbase=advbase,
            advskew=advskew,
            demotion=demotion,
            source=source,
        )
        await _repeat(siege, packet, _LIVING)
        return Expectation()

    return mount


async def _masterDead(siege: Siege) -> Expectation:
    siege.powerOff("a")
    await _replay(siege, _DEAD)
    return Expectation("b", 1, DEAD_TIME)


def _restarted(
    *, replay: bool, forget: bool = False, crash: bool = False
) -> Callable[[Siege], Awaitable[Expectation]]:
    """
    An attack on a backup that is restarted when the master dies.

    @param replay: Whether everything is replayed; otherwise one advertisement is changed.
    @param forget: Whether the backup loses its state file.
    @param crash: Whether the backup had no time to write its state file.
    """

    async def mount(siege: Siege) -> Expectation:
        siege.powerOff("a")
        died = time.monotonic()
        await siege.stop("b", crash)
        if forget:
            siege.forget("b")
        siege.start("b")
        await siege.becomes("b", "BACKUP")
        waited = time.monotonic() - died
        if replay:
            await _replay(siege, _DEAD)
        else:
            packet = forged(siege.captured[0].packet, advbase=0, advskew=0, source=_STRANGER)
            await _repeat(siege, packet, _DEAD)
        # A host without its state believes each advertisement once.
        once = 0.0
        if replay:
            once = _pass(siege) if forget else SAVE_EVERY if crash else 0.0
        return Expectation("b", 1, waited + once + DEAD_TIME)

    return mount


async def _roleSwapped(siege: Siege) -> None:
    """
    Restart the master, so that it is the backup.
    """
    await siege.stop("a")
    await siege.becomes("b", "MASTER")
    siege.start("a")
    await siege.becomes("a", "BACKUP")
    await siege.sleep(2.0)


async def _ownAdverts(siege: Siege) -> Expectation:
    siege.powerOff("b")
    packet = forged(siege.captured[0].packet, advbase=0, advskew=0, source=_STRANGER)
    await _repeat(siege, packet, _DEAD)
    return Expectation("a", 1, DEAD_TIME)


ATTACKS = (
    Attack(
        "0/0 from a new source",
        "one advertisement again as 0/0 from a host that does not exist, once a second",
        _again(advbase=0, advskew=0, source=_STRANGER),
    ),
    Attack(
        "255/255 as the master",
        "one advertisement again as 255/255, a bow-out, once a second",
        _again(advbase=255, advskew=255),
    ),
    Attack(
        "skew 0 from a new source",
        "one advertisement again with a better skew, from a host that does not exist",
        _again(advskew=0, source=_STRANGER),
    ),
    Attack(
        "demotion 255 as the master",
        "one advertisement again with the demotion byte set (txcarp in OpenBSD's dialect)",
        _again(demotion=255),
        options=("--dialect", "openbsd"),
    ),
    Attack(
        "unchanged from a new source",
        "one advertisement again, unchanged but for a source that wins a tie",
        _again(source=_STRANGER),
    ),
    Attack(
        "0/0 as the backup",
        "one advertisement again as 0/0 under the backup's address",
        _again(advbase=0, advskew=0, source=_BACKUP),
    ),
    Attack(
        "replay once the master is dead",
        "everything again and again, with the original intervals, after the master's death",
        _masterDead,
    ),
    Attack(
        "replay to a restarted backup",
        "the same with a backup that is restarted when the master dies",
        _restarted(replay=True),
    ),
    Attack(
        "0/0 to a restarted backup",
        "one advertisement again as 0/0 from a host that does not exist, after such a restart",
        _restarted(replay=False),
    ),
    Attack(
        "replay to a crashed backup",
        "the same with a backup that crashes when the master dies; it may believe once more what "
        "it heard in the last five seconds",
        _restarted(replay=True, crash=True),
    ),
    Attack(
        "replay to one without its state",
        "the same with a backup that lost its state file; it may believe everything once",
        _restarted(replay=True, forget=True),
    ),
    Attack(
        "0/0 to one without its state",
        "one advertisement again as 0/0 to such a backup; learn does not promise to stop this",
        _restarted(replay=False, forget=True),
        limits=frozenset({"learn"}),
    ),
    Attack(
        "0/0 made of a host's own adverts",
        "one advertisement of a former master again as 0/0, after its restart and the death of "
        "its successor",
        _ownAdverts,
        prepare=_roleSwapped,
    ),
)
