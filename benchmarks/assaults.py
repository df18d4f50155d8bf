"""
The attacks.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Awaitable, Callable

import attrs

from benchmarks.siege import ADDRESSES, DEAD_TIME, STRANGER, Expectation, Pair, Siege
from tests.crafted import forged
from txcarp.membership.sealing import SAVE_EVERY

#: Seconds for which a master that lives is attacked: twice a dead time and more.
_LIVING = 8.0

#: Seconds for which a backup is kept from taking over, if it lets itself.
_DEAD = 10.0

_STRANGER = socket.inet_aton(STRANGER)
_BACKUP = socket.inet_aton(ADDRESSES["b"])


async def _nothing(siege: Siege) -> None:
    """
    Nothing is to be done before.
    """


@attrs.frozen
class Attack:
    """
    Something to do with captured advertisements.

    @ivar what: what it is, for people.
    @ivar mount: does it.
    @ivar prepare: what happens to the hosts before.
    @ivar options: what the hosts with seals are started with, too.
    @ivar limits: the pairs with seals that do not promise to stop it.
    """

    name: str
    what: str
    mount: Callable[[Siege], Awaitable[Expectation]]
    prepare: Callable[[Siege], Awaitable[None]] = _nothing
    options: tuple[str, ...] = ()
    limits: frozenset[str] = frozenset()

    def isStoppedBy(self, pair: Pair) -> bool:
        """
        Whether a pair promises to be untouched by it.
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
    Send everything that was captured, in order and at its pace, over and over.
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
    Seconds that all that was captured lasts for, the next interval included.
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
    One captured advertisement, once a second, while the master lives.
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
    The master dies, and the backup is restarted in the same moment.

    @param replay: whether everything is replayed, and not one advertisement changed.
    @param forget: whether its state file is lost.
    @param crash: whether it had no time to write that.
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
        # What is heard for the first time is believed once if nothing is known.
        once = 0.0
        if replay:
            once = _pass(siege) if forget else SAVE_EVERY if crash else 0.0
        return Expectation("b", 1, waited + once + DEAD_TIME)

    return mount


async def _roleSwapped(siege: Siege) -> None:
    """
    The master was restarted, and is backup now.
    """
    await siege.stop("a")
    await siege.becomes("b", "MASTER")
    siege.start("a")
    await siege.becomes("a", "BACKUP")
    await siege.sleep(2.0)


async def _ownWords(siege: Siege) -> Expectation:
    siege.powerOff("b")
    packet = forged(siege.captured[0].packet, advbase=0, advskew=0, source=_STRANGER)
    await _repeat(siege, packet, _DEAD)
    return Expectation("a", 1, DEAD_TIME)


ATTACKS = (
    Attack(
        "0/0 from a new source",
        "one advertisement again as 0/0 from a host that is not there, once a second",
        _again(advbase=0, advskew=0, source=_STRANGER),
    ),
    Attack(
        "255/255 as the master",
        "one advertisement again as 255/255, a bow-out, once a second",
        _again(advbase=255, advskew=255),
    ),
    Attack(
        "skew 0 from a new source",
        "one advertisement again with a better skew, from a host that is not there",
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
        "one advertisement again as it was, from a host whose address wins a tie",
        _again(source=_STRANGER),
    ),
    Attack(
        "0/0 as the backup",
        "one advertisement again as 0/0 under the backup's address",
        _again(advbase=0, advskew=0, source=_BACKUP),
    ),
    Attack(
        "replay once the master is dead",
        "everything again, in order and at its pace, over and over, once the master is dead",
        _masterDead,
    ),
    Attack(
        "replay to a restarted backup",
        "the same with a backup that was restarted when the master died",
        _restarted(replay=True),
    ),
    Attack(
        "0/0 to a restarted backup",
        "one advertisement again as 0/0 from a host that is not there, after that restart",
        _restarted(replay=False),
    ),
    Attack(
        "replay to a crashed backup",
        "the same with a backup that crashed in that moment; what came in the five seconds "
        "before is believed once more, at most",
        _restarted(replay=True, crash=True),
    ),
    Attack(
        "replay to one without its state",
        "the same with a backup that lost its state file; everything is believed once, at most",
        _restarted(replay=True, forget=True),
    ),
    Attack(
        "0/0 to one without its state",
        "one advertisement again as 0/0 to such a backup; learn does not promise to stop it",
        _restarted(replay=False, forget=True),
        limits=frozenset({"learn"}),
    ),
    Attack(
        "0/0 made of a host's own words",
        "the old master was restarted and the new one dies: what the old one said before, "
        "again as 0/0",
        _ownWords,
        prepare=_roleSwapped,
    ),
)
