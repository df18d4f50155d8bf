"""
The difference of two configurations, as a value.

It says what a change will do before anything is done: which virtual hosts join and leave their
groups, and which change without that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import attrs

from txcarp.configuration.model import VirtualHostConfiguration
from txcarp.configuration.settings import nameOf, shown
from txcarp.protocol.family import Family, familyOf
from txcarp.protocol.seal import Verification

#: The settings that a running virtual host changes at once.  What the other hosts of the group can
#: notice of them is one advertisement.  Some others can be changed at once in most cases
#: (L{Changed.isLive}): addresses on lease, and which seals are demanded.  The rest concerns
#: sockets, scripts that add the addresses, or rules that all hosts of the group must share: with
#: another value, a virtual host leaves its group and joins it again.
LIVE = frozenset(
    ("advbase", "advskew", "deadRatio", "preempt", "preemptDelay", "startDelay", "flapLimit")
    + ("anyFamily", "trackedInterfaces", "checks", "steps", "ignoreLink", "releaseFirst")
    + ("announceEvery", "resetConnections", "probe", "witnesses")
    + ("upScript", "downScript", "label", "parameter", "scriptTimeout", "neutral", "shutdown")
    + ("guard",)
    + ("password", "otherPasswords", "otherAddresses", "signedHardware")
    + ("source", "source6", "peers", "followPeers", "title", "sync", "debug")
)

#: Those that determine in which forms a host advertises, and which it understands.
KEYS = frozenset(
    ("password", "otherPasswords", "addresses", "otherAddresses", "signedHardware")
)

#: Those that are in advertisements, or in the packets around them.
ADVERTISED = KEYS | frozenset(
    ("advbase", "advskew", "source", "source6", "peers", "followPeers")
)

#: With any of these two, a host seals.
_SEALING = (Verification.LEARN, Verification.REQUIRE)


def socketsOf(configuration: VirtualHostConfiguration) -> dict[Family, tuple[Any, ...]]:
    """
    The settings that the sockets of a virtual host depend on: the arguments of
    L{INetwork.attach<txcarp.interfaces.INetwork.attach>} for each family.
    """
    own = configuration
    return {
        family: (
            own.interface,
            own.vhid,
            own.group if family is Family.IPV4 else own.group6,
            own.broadcast and family is Family.IPV4,
            own.virtualMAC,
        )
        for family in own.families
    }


@attrs.frozen
class Changed:
    """
    A virtual host whose configuration changes.

    @ivar gains: Whether it gets an address that another virtual host of this process loses.  As the
        master of that group may be another host, which loses the address later, this virtual host
        may not have it at once.
    """

    before: VirtualHostConfiguration
    after: VirtualHostConfiguration
    gains: bool = False

    @property
    def settings(self) -> tuple[str, ...]:
        """
        The settings that change.
        """
        names = [field.name for field in attrs.fields(VirtualHostConfiguration)]
        return tuple(one for one in names if getattr(self.before, one) != getattr(self.after, one))

    @property
    def values(self) -> tuple[tuple[str, object], ...]:
        """
        The same, each with its new value.
        """
        return tuple((one, getattr(self.after, one)) for one in self.settings)

    @property
    def isLive(self) -> bool:
        """
        Whether a running virtual host changes without leaving its group.
        """
        before, after = self.before, self.after
        if before.families != after.families:
            return False
        live = set(LIVE)
        if before.verification in _SEALING and after.verification in _SEALING:
            live.add("verification")
        hardware = before.virtualMAC is None or _families(before) == _families(after)
        # An address that leaves alone would leave its connections behind.
        resets = before.resetConnections and bool(_packed(before) - _packed(after))
        if before.assign and hardware and not (self.gains or resets):
            live.add("addresses")
        return live.issuperset(self.settings)

    @property
    def forsakes(self) -> str:
        """
        What hosts that are not changed yet need, so that they and this one understand each other,
        and this one gives up: a phrase, or an empty string.
        """
        before, after = self.before, self.after
        kept = [_packed(after), *({one.packed for one in each} for each in after.otherAddresses)]
        found = []
        if before.password not in (after.password, *after.otherPasswords):
            found.append("password (as another passfile)")
        if _packed(before) not in kept:
            found.append("addresses (as former_addresses)")
        return " and the old ".join(found)

    @property
    def needsRights(self) -> bool:
        """
        Whether a running virtual host opens other sockets, or begins to add addresses.
        """
        gains = self.after.assign and not self.before.assign
        return gains or socketsOf(self.before) != socketsOf(self.after)

    def explain(self) -> str:
        """
        What changes and what that does, for people.
        """
        settings = self.settings
        parts = []
        for one in settings:
            before, after = (shown(one, getattr(x, one)) for x in (self.before, self.after))
            parts.append(nameOf(one) if before == after else f"{nameOf(one)} {before} -> {after}")
        if not self.isLive:
            does = "leaves its group and joins it again; a master hands over"
        elif ADVERTISED.isdisjoint(settings):
            does = "no interruption"
        else:
            does = "one advertisement at most, no interruption"
        return f"changes: {', '.join(dict.fromkeys(parts))}; {does}"


@attrs.frozen
class Difference:
    """
    What has to be done to get from some configurations to others.

    @ivar unchanged: Those that are in both.
    @ivar changed: Those with the same interface and vhid, and other settings.
    @ivar added: Those that are new.
    @ivar removed: Those that are gone.
    """

    unchanged: tuple[VirtualHostConfiguration, ...]
    changed: tuple[Changed, ...]
    added: tuple[VirtualHostConfiguration, ...]
    removed: tuple[VirtualHostConfiguration, ...]

    @property
    def isEmpty(self) -> bool:
        """
        Whether there is nothing to do.
        """
        return not (self.changed or self.added or self.removed)

    @property
    def needRights(self) -> list[VirtualHostConfiguration]:
        """
        The configurations that need capabilities again which the others do not.
        """
        return [*self.added, *(one.after for one in self.changed if one.needsRights)]

    def moves(self) -> Iterator[tuple[str, VirtualHostConfiguration, VirtualHostConfiguration]]:
        """
        The addresses that move from one group to another on the same interface, as text, each
        with the group that loses it and the one that gets it.
        """
        pairs: list[tuple[VirtualHostConfiguration | None, VirtualHostConfiguration | None]] = [
            *((one, None) for one in self.removed),
            *((None, one) for one in self.added),
            *((one.before, one.after) for one in self.changed),
        ]
        lost = {
            (loser.interface, packed): loser
            for loser, other in pairs
            if loser is not None
            for packed in _packed(loser) - _packed(other)
        }
        for before, gainer in pairs:
            if gainer is not None:
                for address in gainer.addresses:
                    loser = lost.get((gainer.interface, address.packed))
                    if loser is not None and address.packed not in _packed(before):
                        yield address.text, loser, gainer

    def lines(self, most: int | None = None) -> list[str]:
        """
        The difference for people: a line for each group, and one for each address that moves.

        @param most: If more groups than this are unchanged, a line says how many; C{None} to name
            them in any case.
        """
        few = most is None or len(self.unchanged) <= most
        named = self.unchanged if few else ()
        rows = [(one.display, "unchanged; nothing will be sent") for one in named]
        rows += [(one.after.display, one.explain()) for one in self.changed]
        rows += [
            (one.display, f"added: joins vhid {one.vhid} on {one.interface}") for one in self.added
        ]
        rows += [
            (one.display, f"removed: leaves vhid {one.vhid} on {one.interface}; a master bows out")
            for one in self.removed
        ]
        width = max((len(name) for name, _ in rows), default=0)
        lines = [f"{name:{width}}  {text}" for name, text in rows]
        if not few:
            lines.insert(0, f"{len(self.unchanged)} groups are unchanged; they send nothing")
        lines += [
            f"{address} moves from {loser.display} to {gainer.display}"
            for address, loser, gainer in self.moves()
        ]
        lines += [
            f"{one.after.display} may get a second master until all hosts are changed: until "
            f"then, keep the old {one.forsakes} beside the new"
            for one in self.changed
            if one.forsakes
        ]
        return lines


def difference(
    before: Iterable[VirtualHostConfiguration], after: Iterable[VirtualHostConfiguration]
) -> Difference:
    """
    Compare the present configurations with others.  No two of either may have the same name.
    """
    present = {one.name: one for one in before}
    wanted = {one.name: one for one in after}
    unchanged, changed, added = [], [], []
    for name, one in wanted.items():
        earlier = present.get(name)
        if earlier is None:
            added.append(one)
        elif earlier is one or earlier == one:  # comparing hundreds of them takes some time
            unchanged.append(one)
        else:
            changed.append(Changed(earlier, one))
    removed = [one for name, one in present.items() if name not in wanted]
    losers: list[tuple[VirtualHostConfiguration, VirtualHostConfiguration | None]] = [
        *((one, None) for one in removed),
        *((one.before, one.after) for one in changed),
    ]
    lost = {
        (one.interface, packed)
        for one, other in losers
        for packed in _packed(one) - _packed(other)
    }
    changed = [
        attrs.evolve(
            one,
            gains=any(
                (one.after.interface, packed) in lost
                for packed in _packed(one.after) - _packed(one.before)
            ),
        )
        for one in changed
    ]
    return Difference(tuple(unchanged), tuple(changed), tuple(added), tuple(removed))


def _families(configuration: VirtualHostConfiguration) -> set[Family]:
    """
    The families of the addresses that a master has.
    """
    return {familyOf(one.packed) for one in configuration.addresses}


def _packed(configuration: VirtualHostConfiguration | None) -> set[bytes]:
    """
    The packed addresses of a virtual host; none if there is no virtual host.
    """
    return set() if configuration is None else {one.packed for one in configuration.addresses}
