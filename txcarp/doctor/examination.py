"""
The examination of a host: facts first, then judgements.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence

from txcarp.addresses import VirtualAddress
from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.doctor.complaint import Complaint, titleOf
from txcarp.doctor.exchange import NO_SOURCE, exchange
from txcarp.doctor.facts import Facts
from txcarp.doctor.gathering import gather, withReturns
from txcarp.doctor.onhost import canSend, onHost
from txcarp.doctor.onpath import onPath
from txcarp.network.defaults import sourceOn


def examine(
    groups: Sequence[VirtualHostConfiguration],
    others: Sequence[bytes],
    wait: float,
    progress: Callable[[str], None],
) -> Facts:
    """
    Gather the facts about some groups.  Blocks for some seconds.

    @param others: The packed own addresses of other hosts.
    @param wait: Seconds to wait for doctors on other hosts.
    @param progress: Told what happens, for people who wait.
    """
    untested: list[str] = []
    host = gather(groups, untested)
    paths = exchange(groups, host, others, wait, untested, progress)
    heard = [one.source for path in paths for one in path.partners]
    heard += [one.source for path in paths for one in path.advertisers]
    return Facts(withReturns(host, heard), paths, untested)


def sourceOrNone(
    interface: str, addresses: Sequence[VirtualAddress], virtual: Collection[bytes]
) -> bytes:
    """
    See L{sourceOn}.  A host that has no source yet has L{NO_SOURCE}, which is a complaint and no
    mistake in its configuration.
    """
    try:
        return sourceOn(interface, addresses, virtual)
    except ValueError:
        return NO_SOURCE


def judge(facts: Facts) -> list[Complaint]:
    """
    All that is wrong, without repetitions.
    """
    found: dict[tuple[str, str, str], Complaint] = {}
    for complaint in (*onHost(facts), *onPath(facts)):
        key = complaint.ailment.value, complaint.interface, complaint.seen
        found.setdefault(key, complaint)
    return list(found.values())


def untestedIn(facts: Facts) -> Iterator[str]:
    """
    What could not be tested, and what to do about it.
    """
    yield from facts.untested
    alone: dict[str, None] = {}
    for path in facts.paths:
        if path.isListening and canSend(facts, path) and not path.partners:
            alone[titleOf(path.group)] = None
    if alone:
        yield (
            f"the paths to the other hosts of {', '.join(alone)}: no doctor has answered there. "
            "Run 'txcarp doctor --wait 60' here, and the same on the other host meanwhile. If they "
            "do not find each other, give one of them --other with the address of the other host"
        )
