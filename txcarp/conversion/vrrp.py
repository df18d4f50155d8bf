"""
Groups of the VRRP instances in keepalived.conf.

The protocols differ: VRRP's priority becomes CARP's skew, and what VRRP does not sign, CARP does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import attrs

from txcarp.conversion.blocks import Reader, Statement
from txcarp.conversion.draft import Conversion, Draft, nameLike, programOf, seconds
from txcarp.conversion.tracked import Tracking, commandIn, membersOf, numberIn, wholeIn

#: keepalived's defaults.
_PRIORITY, _INTERVAL = 100, 1.0

#: What needs no counterpart: txcarp always does so, or it concerns VRRP alone.
_NEEDLESS = frozenset(
    ("version", "native_ipv6", "strict_mode", "skip_check_adv_addr", "promote_secondaries")
    + ("track_interface_delay", "down_timer_adverts", "accept", "check_unicast_src")
    + ("old_unicast_checksum", "thread_timer_expired", "rlimit_rttime", "debug")
)

#: What a value in a line of an address means.
_ADDRESS_WORDS = ("brd", "broadcast", "scope", "label", "preferred_lft", "proto")


@attrs.define(eq=False)
class _Instance:
    """
    An instance while it is converted.

    @ivar name: Its name in keepalived.conf.
    """

    name: str
    draft: Draft
    priority: str = str(_PRIORITY)


def convert(
    text: str, path: str, conversion: Conversion, readFile: Callable[[str], str]
) -> None:
    """
    Make a group of each VRRP instance.

    @param readFile: Returns the text of another file; raises C{OSError}.
    """
    _Converter(conversion).convert(Reader(conversion, readFile).read(text, path))


class _Converter:
    """
    Converts the lines of one file.
    """

    def __init__(self, conversion: Conversion) -> None:
        self._conversion = conversion
        self._tracking = Tracking(conversion)
        self._instances: dict[str, _Instance] = {}
        #: Those that belong to a set.
        self._together: list[_Instance] = []

    def convert(self, statements: Sequence[Statement]) -> None:
        """
        Convert all lines.
        """
        tables = {
            "vrrp_script": self._tracking.knownScripts,
            "vrrp_track_process": self._tracking.knownProcesses,
        }
        for one in statements:
            if one.keyword in tables:
                tables[one.keyword][one.value] = one
        defaults: dict[str, Any] = {}
        for one in statements:
            if one.keyword == "global_defs":
                defaults.update(self._globals(one))
        for one in statements:
            if one.keyword == "vrrp_instance":
                self._instance(one, defaults)
            elif one.keyword not in (*tables, "global_defs", "vrrp_sync_group"):
                why = ": txcarp does not balance load" if "server" in one.keyword else ""
                self._remark(one, f"{one.keyword} does not carry over{why}")
        for one in statements:
            if one.keyword == "vrrp_sync_group":
                self._sync(one)

    def _remark(self, statement: Statement, text: str) -> None:
        self._conversion.remark(statement.place, text)

    def _globals(self, block: Statement) -> dict[str, Any]:
        """
        What counts for each instance.
        """
        found: dict[str, Any] = {}
        for one in block.members:
            if one.keyword == "vrrp_startup_delay":
                delay = numberIn(self._conversion, one, 0.0)
                if delay:
                    found["start_delay"] = seconds(delay)
            elif one.keyword == "vrrp_mcast_group4":
                found["multicast"] = [one.value]
            elif one.keyword == "vrrp_garp_master_refresh":
                found["announce_every"] = self._refresh(one)
            elif one.keyword != "router_id" and one.keyword.removeprefix("vrrp_") not in _NEEDLESS:
                self._remark(one, f"global_defs: {one.keyword} does not carry over")
        return found

    # Instances.

    def _instance(self, block: Statement, defaults: dict[str, Any]) -> None:
        draft = self._conversion.add(block.value or "vrrp", block.place)
        instance = _Instance(block.value, draft)
        self._instances[block.value] = instance
        for one in block.members:
            if one.keyword == "priority":
                instance.priority = one.value
            elif one.keyword == "interface":  # addresses are compared with it
                self._do_interface(instance, one)
        draft.settings.update(defaults)
        draft.settings["preempt"] = True
        for one in block.members:
            method = getattr(self, f"_do_{one.keyword}", None)
            if method is not None:
                method(instance, one)
            elif one.keyword not in _NEEDLESS:
                self._remark(one, f"{one.keyword} does not carry over")
        self._notified(instance, block)
        settings = draft.settings
        if not any(one.keyword == "priority" for one in block.members):
            self._do_priority(instance, Statement(["priority", instance.priority], "", block.place))
        if draft.password is None:
            self._remark(block, "there is no password, and CARP needs one: make it, on all hosts")
        for key, keyword in (
            ("interface", "interface"),
            ("vhid", "virtual_router_id"),
            ("addresses", "virtual_ipaddress"),
        ):
            if not settings.get(key):
                self._remark(block, f"there is no {keyword}: write {key} into the file")

    def _do_interface(self, instance: _Instance, one: Statement) -> None:
        instance.draft.settings["interface"] = one.value

    def _do_state(self, instance: _Instance, one: Statement) -> None:
        if one.value.upper() == "MASTER":
            self._remark(one, "state MASTER has no counterpart: every host starts as backup")

    def _do_virtual_router_id(self, instance: _Instance, one: Statement) -> None:
        if (number := wholeIn(self._conversion, one)) is not None:
            instance.draft.settings["vhid"] = number

    def _do_priority(self, instance: _Instance, one: Statement) -> None:
        number = wholeIn(self._conversion, one)
        if number is None:
            return
        if not 0 < number < 256:
            self._remark(one, f"the priority {number} is not possible")
            return
        instance.draft.settings["advskew"] = 255 - number
        self._remark(
            one,
            f"the priority {number} becomes advskew {255 - number}. Only the order of the hosts "
            "counts, and each unit makes a take-over 1/256 s slower: give the preferred host 0",
        )

    def _do_advert_int(self, instance: _Instance, one: Statement) -> None:
        interval = numberIn(self._conversion, one, _INTERVAL)
        whole = max(1, round(interval))
        instance.draft.settings["advbase"] = whole
        if whole != interval:
            self._remark(
                one,
                f"advert_int {one.value} becomes advbase {whole}: CARP has whole seconds, or "
                "advbase 0, where advskew alone is the interval",
            )

    def _do_authentication(self, instance: _Instance, block: Statement) -> None:
        for one in block.members:
            if one.keyword == "auth_pass" and one.value:
                password = one.value.encode("utf-8", "surrogateescape")
                self._conversion.password(instance.draft, one.place, password)
                self._remark(
                    one,
                    "VRRP sends the password in clear text, so that others may have read it. A "
                    "new one is better: CARP keeps it secret",
                )
            elif one.keyword not in ("auth_pass", "auth_type"):
                self._remark(one, f"{one.keyword} does not carry over: CARP signs by a password")

    def _do_virtual_ipaddress(self, instance: _Instance, block: Statement) -> None:
        for one in membersOf(block, _ADDRESS_WORDS):
            self._address(instance, one)

    def _do_virtual_ipaddress_excluded(self, instance: _Instance, block: Statement) -> None:
        for one in membersOf(block, _ADDRESS_WORDS):
            self._address(instance, one)
        self._remark(block, "excluded addresses become ordinary ones: CARP signs all of them")

    def _address(self, instance: _Instance, one: Statement) -> None:
        settings = instance.draft.settings
        for word, value in pairwise([*one.words[1:], ""]):
            if word == "dev" and value != settings.get("interface", value):
                self._remark(
                    one,
                    f"{one.keyword} is on {value}, which is not the interface of the group: it is "
                    "left out, and can have a group there",
                )
                return
            if word == "label":
                self._remark(one, f"{one.keyword}: addresses have no labels")
        addresses = settings.setdefault("addresses", [])
        if one.keyword.partition("/")[0] in [known.partition("/")[0] for known in addresses]:
            self._remark(one, f"{one.keyword} is there twice")
        else:
            addresses.append(one.keyword)

    def _do_unicast_src_ip(self, instance: _Instance, one: Statement) -> None:
        instance.draft.settings["source"] = one.value

    _do_mcast_src_ip = _do_unicast_src_ip

    def _do_unicast_peer(self, instance: _Instance, block: Statement) -> None:
        peers = [one.keyword for one in membersOf(block, ("min_ttl", "max_ttl"))]
        instance.draft.settings["peers"] = peers

    def _do_nopreempt(self, instance: _Instance, one: Statement) -> None:
        instance.draft.settings["preempt"] = False

    def _do_preempt_delay(self, instance: _Instance, one: Statement) -> None:
        delay = numberIn(self._conversion, one, 0.0)
        if delay and instance.draft.settings["preempt"] is not False:
            instance.draft.settings["preempt"] = seconds(delay)

    def _do_garp_master_refresh(self, instance: _Instance, one: Statement) -> None:
        instance.draft.settings["announce_every"] = self._refresh(one)

    def _do_use_vmac(self, instance: _Instance, one: Statement) -> None:
        instance.draft.settings["virtual_mac"] = True

    def _do_dont_track_primary(self, instance: _Instance, one: Statement) -> None:
        instance.draft.settings["ignore_link"] = True

    # What is tracked.

    def _do_track_interface(self, instance: _Instance, block: Statement) -> None:
        self._tracking.interfaces(instance.draft, block)

    def _do_track_script(self, instance: _Instance, block: Statement) -> None:
        self._tracking.scripts(instance.draft, block)

    def _do_track_process(self, instance: _Instance, block: Statement) -> None:
        self._tracking.processes(instance.draft, block)

    # What is run.

    def _notified(self, instance: _Instance, block: Statement) -> None:
        """
        Make steps of the programs that are told about a change.
        """
        lines = {one.keyword: one for one in block.members if one.keyword.startswith("notify")}
        up, down = lines.get("notify_master"), lines.get("notify_backup")
        if up is not None or down is not None:
            step: dict[str, Any] = {"name": "notify"}
            for key, line in (("command", up), ("undo", down)):
                if line is not None and line.value:
                    words, text = commandIn(line)
                    step[key] = programOf(text, words)
            instance.draft.steps.append({**step, "required": False})
        if "notify" in lines and lines["notify"].value:
            words, text = commandIn(lines["notify"])
            kind = "GROUP" if block.keyword == "vrrp_sync_group" else "INSTANCE"
            keys = {
                key: programOf(text, [*words, kind, block.value, state, instance.priority])
                for key, state in (("command", "MASTER"), ("undo", "BACKUP"))
            }
            instance.draft.steps.append({"name": "notify-all", **keys, "required": False})
        for keyword, one in lines.items():
            if keyword in ("notify_fault", "notify_stop"):
                self._remark(one, f"{keyword}: a step is undone then, too; nothing else is run")
            elif keyword not in ("notify", "notify_master", "notify_backup"):
                self._remark(one, f"{keyword} does not carry over")

    def _do_notify(self, instance: _Instance, one: Statement) -> None:
        """
        See L{_notified}.
        """

    _do_notify_master = _do_notify_backup = _do_notify_fault = _do_notify_stop = _do_notify

    # Sets.

    def _sync(self, block: Statement) -> None:
        """
        Note which groups move together, and do what the set says in its first group.
        """
        members: list[_Instance] = []
        others = self._together
        for one in block.members:
            if one.keyword == "group":
                for line in membersOf(one, ()):
                    member = self._instances.get(line.keyword)
                    if member is None:
                        self._remark(line, f"there is no vrrp_instance {line.keyword}")
                    elif member in others:
                        self._remark(line, f"{line.keyword} is in another set already")
                    elif member not in members:
                        members.append(member)
        if not members:
            self._remark(block, f"vrrp_sync_group {block.value} has no instances")
            return
        if len(members) > 1:
            name = nameLike(block.value or "sync", list(self._conversion.syncs))
            self._conversion.syncs[name] = [one.draft.name for one in members]
            self._together += members
        else:
            self._remark(block, f"vrrp_sync_group {block.value} has one instance, and is no set")
        for one in block.members:
            if one.keyword in ("track_interface", "track_script", "track_process"):
                for member in members:
                    getattr(self, f"_do_{one.keyword}")(member, one)
            elif one.keyword != "group" and not one.keyword.startswith("notify"):
                self._remark(one, f"{one.keyword} does not carry over")
        self._notified(members[0], block)

    def _refresh(self, one: Statement) -> str | bool:
        interval = numberIn(self._conversion, one, 0.0)
        return seconds(interval) if interval else False
