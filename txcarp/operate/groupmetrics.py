"""
The metrics that each group has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from txcarp.change import Readiness, Runs, StepState
from txcarp.findings import Finding
from txcarp.mastership.leases import DONE
from txcarp.membership.advertiser import SEND_ERRORS
from txcarp.operate.metrics import Group, Kind, Metric, Sample, counter, numbers
from txcarp.protocol.effects import Role
from txcarp.protocol.events import HoldReason
from txcarp.protocol.rejection import Rejection
from txcarp.status.snapshot import Status

_Part = TypeVar("_Part")

#: The states of a health check.
_HEALTH = ("good", "bad", "unknown")

#: Why a backup hears another master (L{Succession<txcarp.membership.peers.Succession>}).
_SUCCESSIONS = ("bow-out", "silence", "timing", "unknown")

#: What happens to addresses on lease: without this host, and by other programs.
_LOSSES = ("ended", "failed", *DONE)

#: What leads to a demotion, by the beginning of its name; the names of others are not txcarp's.
_CAUSES = {"check ": "check", "link of ": "link", SEND_ERRORS: "send-errors"}
_REQUEST = "request"


def _one(read: Callable[[Status], float]) -> Callable[[Group], list[Sample]]:
    """
    The value of a metric with no labels of its own.
    """
    return lambda group: [Sample(float(read(group.status)))]


def _each(
    several: Callable[[Status], Iterable[tuple[str, _Part]]],
) -> Callable[[Callable[[Group, _Part], float]], Callable[[Group], list[Sample]]]:
    """
    What makes the values of a metric that each of several parts of a status has.

    @param several: Returns the parts, each with its label.
    """
    return lambda read: lambda group: [
        Sample(float(read(group, one)), (label,)) for label, one in several(group.status)
    ]


_ofPeers = _each(lambda status: [(one.source, one) for one in status.peers])
_ofChecks = _each(lambda status: [(one.name, one) for one in status.checks])
_ofSteps = _each(lambda status: [(one.name, one) for one in status.steps])
_ofProbes = _each(lambda status: [(one.master, one) for one in status.probes])
_ofFamilies = _each(lambda status: status.families.items())


def _choice(value: str, values: Iterable[str], *labels: str) -> list[Sample]:
    """
    A sample for each of some values: 1 for the present one, and 0 for the others.
    """
    return [Sample(float(one == value), (*labels, one)) for one in values]


def _rejected(group: Group) -> list[Sample]:
    return [
        Sample(float(group.status.rejected[one]), (one.name.lower(),)) for one in Rejection
    ]


def _findings(group: Group) -> list[Sample]:
    return [Sample(float(group.status.findings[one]), (one.value,)) for one in Finding]


def _holds(group: Group) -> list[Sample]:
    present = {hold.reason for hold in group.status.holds}
    return [Sample(float(one in present), (one.name.lower(),)) for one in HoldReason]


def _demotions(group: Group) -> list[Sample]:
    amounts = dict.fromkeys((*_CAUSES.values(), _REQUEST), 0)
    for reason, amount in group.status.demotions.items():
        known = [cause for begin, cause in _CAUSES.items() if reason.startswith(begin)]
        amounts[known[0] if known else _REQUEST] += amount
    return [Sample(float(amount), (cause,)) for cause, amount in amounts.items()]


def _since(group: Group) -> list[Sample]:
    since = group.status.since
    return [] if since is None else [Sample(group.when(since))]


def _hasMaster(status: Status) -> bool:
    return status.role is Role.MASTER or bool(status.master)


def _takeovers(group: Group) -> int:
    changes = group.counts.transitions.items()
    return sum(number for (_, role, _), number in changes if role == Role.MASTER.value)


def _transitions(group: Group) -> list[Sample]:
    return [Sample(float(number), key) for key, number in group.counts.transitions.items()]


def _held(group: Group) -> list[Sample]:
    known = [one for one in group.status.addresses if one.held is not None]
    return [Sample(float(bool(one.held)), (one.text,)) for one in known]


def _leases(group: Group) -> list[Sample]:
    return [
        Sample(one.lease, (one.text,)) for one in group.status.addresses if one.lease is not None
    ]


def _checks(group: Group) -> Iterator[Sample]:
    for one in group.status.checks:
        yield from _choice(one.health, _HEALTH, one.name)


def _steps(group: Group) -> Iterator[Sample]:
    for one in group.status.steps:
        yield from _choice(one.state.value, [state.value for state in StepState], one.name)


def _summary(runs: Runs, *labels: str) -> list[Sample]:
    return [
        Sample(float(runs.number), labels, "_count"),
        Sample(round(runs.seconds, 6), labels, "_sum"),
    ]


def _checkTimes(group: Group) -> Iterator[Sample]:
    for one in group.status.checks:
        yield from _summary(one.runs, one.name)


def _phases(group: Group) -> Iterator[tuple[Runs, str, str]]:
    for one in group.status.steps:
        yield one.acquired, one.name, "acquire"
        yield one.released, one.name, "release"


def _stepTimes(group: Group) -> Iterator[Sample]:
    for runs, *labels in _phases(group):
        yield from _summary(runs, *labels)


def _silentSides(group: Group) -> list[Sample]:
    sync = group.status.sync
    return [] if sync is None else [Sample(float(len(sync.silent)), (sync.name,))]


#: The metrics that each group has.
GROUP_METRICS: tuple[Metric[Group], ...] = (
    Metric(
        "txcarp_group_role",
        "1 for the role of this host in the group, and 0 for the others.",
        lambda group: _choice(group.status.role.value, [one.value for one in Role]),
        ("role",),
    ),
    Metric(
        "txcarp_group_role_timestamp_seconds",
        "When this host got its role, in seconds since 1970.",
        _since,
    ),
    Metric(
        "txcarp_group_readiness",
        "1 for how far this host is with acquiring or releasing what belongs to mastership, and 0 "
        "for the others.",
        lambda group: _choice(group.status.readiness.value, [one.value for one in Readiness]),
        ("readiness",),
    ),
    Metric(
        "txcarp_group_running",
        "Whether this host takes part in the group (1) or not (0).",
        _one(lambda status: status.running),
    ),
    Metric(
        "txcarp_group_has_master",
        "Whether this host is master or hears one (1), or knows of none (0).",
        _one(_hasMaster),
    ),
    counter(
        "txcarp_group_takeovers_total",
        "How often this host became master of the group.",
        lambda group: [Sample(float(_takeovers(group)))],
    ),
    counter(
        "txcarp_group_transitions_total",
        "Changes of role, by the role before, the role after and the reason.",
        _transitions,
        ("from", "to", "reason"),
    ),
    counter(
        "txcarp_group_master_changes_total",
        "How often this backup heard another master than before, by the reason.",
        lambda group: numbers(group.counts.masters, _SUCCESSIONS),
        ("reason",),
    ),
    counter(
        "txcarp_group_contested_seconds_total",
        "Seconds in which this host was master and heard another master.",
        _one(lambda status: status.contested),
    ),
    counter(
        "txcarp_group_vacant_seconds_total",
        "Seconds in which this host heard no master, and was none; a gap counts when it ends.",
        _one(lambda status: status.vacant),
    ),
    counter(
        "txcarp_group_pauses_total",
        "How often this host found that it did not run for so long that what it knew could be out "
        "of date.",
        _one(lambda status: status.pauses),
    ),
    Metric(
        "txcarp_group_held",
        "1 for each reason that holds this host back from the election, and 0 for the others.",
        _holds,
        ("reason",),
    ),
    Metric(
        "txcarp_group_demotion",
        "By how much this host is demoted, for all reasons.",
        _one(lambda status: status.demotion),
    ),
    Metric(
        "txcarp_group_demotion_amount",
        "By how much this host is demoted, by what leads to it: a health check, the link of an "
        "interface, errors when it sends, or a request of an operator or another program.",
        _demotions,
        ("cause",),
    ),
    Metric(
        "txcarp_group_interval_seconds",
        "The interval at which this host advertises, or would as master.",
        _one(lambda status: status.advertised.interval),
    ),
    Metric(
        "txcarp_group_forms",
        "With how many passwords and address sets this host signs, or would as master; more than "
        "one only while the group changes them.",
        _one(lambda status: len(status.forms)),
    ),
    Metric(
        "txcarp_group_silent_sides",
        "On how many sides of its set the master is silent while another side hears it.",
        _silentSides,
        ("set",),
    ),
    counter(
        "txcarp_advertisements_sent_total",
        "Advertisements sent.",
        _one(lambda status: status.sent),
    ),
    counter(
        "txcarp_advertisement_send_errors_total",
        "Advertisements that could not be sent.",
        _one(lambda status: status.sendErrors),
    ),
    counter(
        "txcarp_advertisements_received_total",
        "Good advertisements heard.",
        _one(lambda status: status.received),
    ),
    counter(
        "txcarp_family_packets_sent_total",
        "Packets with advertisements that were sent, by the family: one for each password or "
        "address set with which this host signs, and for each configured peer.",
        _ofFamilies(lambda group, one: one.sent),
        ("family",),
    ),
    counter(
        "txcarp_family_send_errors_total",
        "Packets with advertisements that could not be sent, by the family.",
        _ofFamilies(lambda group, one: one.sendErrors),
        ("family",),
    ),
    counter(
        "txcarp_family_packets_received_total",
        "Good advertisements heard, by the family.",
        _ofFamilies(lambda group, one: one.received),
        ("family",),
    ),
    counter(
        "txcarp_announcements_sent_total",
        "Announcements of addresses sent: gratuitous ARP and unsolicited neighbour advertisements.",
        _one(lambda status: status.announced),
    ),
    counter(
        "txcarp_packets_rejected_total",
        "Packets that were not believed, by the reason. Of packets with a wrong header, 32 in a "
        "second, on an interface and in a family, are counted at most.",
        _rejected,
        ("reason",),
    ),
    counter(
        "txcarp_findings_total",
        "Problems that were found in the group, by their kind.",
        _findings,
        ("finding",),
    ),
    Metric(
        "txcarp_address_held",
        "Whether this host holds a shared address on lease (1) or not (0).",
        _held,
        ("address",),
    ),
    Metric(
        "txcarp_address_lease_seconds",
        "Seconds until the kernel removes a shared address unless its lease is renewed.",
        _leases,
        ("address",),
    ),
    counter(
        "txcarp_address_losses_total",
        "Reports that shared addresses were lost that this host held, by what happened: their "
        "lease ended or is not renewed (ended, failed), or another program interfered and they "
        "were put back (the other words), which is reported once a minute.",
        lambda group: numbers(group.counts.lost, _LOSSES),
        ("reason",),
    ),
    Metric(
        "txcarp_check_health",
        "1 for the state of a health check, and 0 for the others.",
        _checks,
        ("check", "health"),
    ),
    Metric(
        "txcarp_check_health_timestamp_seconds",
        "When the state of a health check began, in seconds since 1970.",
        _ofChecks(lambda group, one: group.when(one.since)),
        ("check",),
    ),
    Metric(
        "txcarp_check_duration_seconds",
        "How often a health check was run, and how long all runs took together.",
        _checkTimes,
        ("check",),
        Kind.SUMMARY,
    ),
    counter(
        "txcarp_check_failures_total",
        "How often a run of a health check failed, or took too long.",
        _ofChecks(lambda group, one: one.runs.failures),
        ("check",),
    ),
    Metric(
        "txcarp_probe_armed",
        "Whether this backup takes over if the host of the master no longer answers (1), or not "
        "(0): the host does not always answer, or no witness does.",
        _ofProbes(lambda group, one: one.canAct),
        ("master",),
    ),
    counter(
        "txcarp_probe_questions_total",
        "Questions to the host of the master. Groups with the same master have the same.",
        _ofProbes(lambda group, one: one.asked),
        ("master",),
    ),
    counter(
        "txcarp_probe_answers_total",
        "Those that were answered.",
        _ofProbes(lambda group, one: one.answered),
        ("master",),
    ),
    counter(
        "txcarp_probe_missed_total",
        "Those that were not answered, although the host had always answered before.",
        _ofProbes(lambda group, one: one.missed),
        ("master",),
    ),
    Metric(
        "txcarp_step_state",
        "1 for the state of a step of mastership, and 0 for the others.",
        _steps,
        ("step", "state"),
    ),
    Metric(
        "txcarp_step_state_timestamp_seconds",
        "When the state of a step of mastership began, in seconds since 1970.",
        _ofSteps(lambda group, one: group.when(one.since)),
        ("step",),
    ),
    Metric(
        "txcarp_step_duration_seconds",
        "How often a step of mastership was acquired or released, and how long that took together.",
        _stepTimes,
        ("step", "phase"),
        Kind.SUMMARY,
    ),
    counter(
        "txcarp_step_failures_total",
        "How often acquiring or releasing a step of mastership failed, or took too long.",
        lambda group: [
            Sample(float(runs.failures), tuple(labels)) for runs, *labels in _phases(group)
        ],
        ("step", "phase"),
    ),
    counter(
        "txcarp_peer_advertisements_received_total",
        "Good advertisements heard from another host, apart from bow-outs, since it became known.",
        _ofPeers(lambda group, one: one.number),
        ("peer",),
    ),
    Metric(
        "txcarp_peer_last_advertisement_timestamp_seconds",
        "When the last advertisement of another host arrived, in seconds since 1970.",
        _ofPeers(lambda group, one: group.when(one.age)),
        ("peer",),
    ),
    Metric(
        "txcarp_peer_interval_seconds",
        "The interval that another host advertises.",
        _ofPeers(lambda group, one: one.timing.interval),
        ("peer",),
    ),
    Metric(
        "txcarp_peer_sealed",
        "Whether the last advertisement of another host was sealed (1) or not (0).",
        _ofPeers(lambda group, one: one.sealed),
        ("peer",),
    ),
    Metric(
        "txcarp_peer_behind",
        "Whether another host still signs with former passwords or address sets only (1) or not "
        "(0).",
        _ofPeers(lambda group, one: one.isBehind),
        ("peer",),
    ),
)
