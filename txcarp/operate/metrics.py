"""
The metrics: their names, meanings and values, as values that know of no format.

Two tables have all of them: L{GROUP_METRICS}, one value or some for each group, and
L{PROCESS_METRICS}.  C{docs/metrics.rst} describes the same ones.

Labels have few values, whatever other hosts send and operators type: the groups, addresses, checks
and steps of the configuration, words of this program, and the sources of the peers that a group
remembers (L{txcarp.membership.peers.MAXIMUM}).  The reasons for demotions are not among them.
"""

from __future__ import annotations

import enum
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import attrs

import twisted
from txcarp import __version__
from txcarp.change import FileStatus, Readiness, Runs, StepState
from txcarp.clock.monotonic import LATENESS_BOUNDS, Lateness
from txcarp.findings import Finding
from txcarp.mastership.leases import DONE
from txcarp.membership.advertiser import SEND_ERRORS
from txcarp.operate.tally import Counts
from txcarp.protocol.effects import Role
from txcarp.protocol.events import HoldReason
from txcarp.protocol.rejection import Rejection
from txcarp.status.parts import FamilyStatus, ProbeStatus
from txcarp.status.process import GuardStatus, PlatformStatus
from txcarp.status.snapshot import Status

#: The labels of each metric of a group, besides its own ones.
GROUP_LABELS = ("group", "interface", "vhid")

#: The states of a health check.
_HEALTH = ("good", "bad", "unknown")

#: Why a backup hears another master (L{Succession<txcarp.membership.peers.Succession>}).
_SUCCESSIONS = ("bow-out", "silence", "timing", "unknown")

#: What happens to addresses on lease: without this host, and by other programs.
_LOSSES = ("ended", "failed", *DONE)

#: What leads to a demotion, by the beginning of its name; the names of others are not txcarp's.
_CAUSES = {"check ": "check", "link of ": "link", SEND_ERRORS: "send-errors"}
_REQUEST = "request"

#: What may come of reading the configuration file again.
_RELOADS = ("done", "refused", "undone")


@attrs.frozen
class Sample:
    """
    A value.

    @ivar labels: The values of the labels.
    @ivar suffix: What is behind the name of the metric.
    """

    value: float
    labels: tuple[str, ...] = ()
    suffix: str = ""


class Kind(enum.Enum):
    """
    The kinds of metrics, by the names that Prometheus has for them.
    """

    GAUGE = "gauge"
    COUNTER = "counter"
    HISTOGRAM = "histogram"
    SUMMARY = "summary"


@attrs.frozen
class Group:
    """
    What is known of a group.

    @ivar counts: What has happened to it.
    """

    status: Status
    counts: Counts

    @property
    def labels(self) -> tuple[str, ...]:
        """
        The values of L{GROUP_LABELS}.
        """
        status = self.status
        return status.title or status.name, status.interface, str(status.vhid)

    def when(self, age: float) -> float:
        """
        The time, in seconds since 1970, of what is so many seconds old.
        """
        return round(self.status.time - age, 3)


@attrs.frozen
class Process:
    """
    What is known of the process.

    @ivar groups: The number of groups.
    @ivar reloads: How often the configuration file was read again, by the word of the result.
    @ivar file: The state of the configuration file; C{None} if there is none.
    @ivar lateness: How late timers were; C{None} if that is not measured.
    @ivar platform: What all groups share.
    """

    groups: int
    reloads: Mapping[str, int]
    file: FileStatus | None
    lateness: Lateness | None
    platform: PlatformStatus = attrs.field(factory=PlatformStatus)


@attrs.frozen
class GroupMetric:
    """
    A metric that each group has.

    @ivar name: Its name.  That of a counter ends in C{_total}.
    @ivar help: Its meaning.
    @ivar labels: Its labels besides L{GROUP_LABELS}.
    @ivar read: Returns the values for a group; the labels are those in C{labels}.
    """

    name: str
    kind: Kind
    help: str
    read: Callable[[Group], Iterable[Sample]]
    labels: tuple[str, ...] = ()


@attrs.frozen
class ProcessMetric:
    """
    A metric of the process.  The attributes are those of L{GroupMetric}.
    """

    name: str
    kind: Kind
    help: str
    read: Callable[[Process], Iterable[Sample]]
    labels: tuple[str, ...] = ()


def _one(read: Callable[[Status], float]) -> Callable[[Group], list[Sample]]:
    """
    The value of a metric with no labels of its own.
    """
    return lambda group: [Sample(float(read(group.status)))]


def _choice(value: str, values: Iterable[str], *labels: str) -> list[Sample]:
    """
    A sample for each of some values: 1 for the present one, and 0 for the others.
    """
    return [Sample(float(one == value), (*labels, one)) for one in values]


def _numbers(counter: Mapping[str, int], keys: Sequence[str]) -> list[Sample]:
    """
    A sample for each key, also for those that were not counted yet: an increase from a value that
    was not there is none for Prometheus.
    """
    known = dict.fromkeys((*keys, *counter))
    return [Sample(float(counter.get(key, 0)), (key,)) for key in known]


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


def _families(read: Callable[[FamilyStatus], int]) -> Callable[[Group], list[Sample]]:
    """
    The value of a metric for each family of a group.
    """
    return lambda group: [
        Sample(float(read(one)), (family,)) for family, one in group.status.families.items()
    ]


def _probes(read: Callable[[ProbeStatus], float]) -> Callable[[Group], list[Sample]]:
    """
    A sample for each host that the probe asks.
    """
    return lambda group: [Sample(float(read(one)), (one.master,)) for one in group.status.probes]


def _silentSides(group: Group) -> list[Sample]:
    sync = group.status.sync
    return [] if sync is None else [Sample(float(len(sync.silent)), (sync.name,))]


def _version(process: Process) -> list[Sample]:
    return [Sample(1.0, (__version__, platform.python_version(), twisted.__version__))]


def _differs(process: Process) -> list[Sample]:
    file = process.file
    return [] if file is None else [Sample(float(file.differs is not False))]


def _unconfirmed(process: Process) -> list[Sample]:
    file = process.file
    return [] if file is None else [Sample(file.unconfirmed or 0.0)]


def _undone(process: Process) -> list[Sample]:
    file = process.file
    return [] if file is None else [Sample(float(file.undone is not None))]


def _lateness(process: Process) -> Iterator[Sample]:
    lateness = process.lateness
    if lateness is None:
        return
    number = 0
    bounds = [f"{bound:g}" for bound in LATENESS_BOUNDS]
    for bound, count in zip((*bounds, "+Inf"), lateness.counts, strict=True):
        number += count
        yield Sample(float(number), (bound,), "_bucket")
    yield Sample(float(number), (), "_count")
    yield Sample(lateness.total, (), "_sum")


def _netlinkErrors(process: Process) -> list[Sample]:
    netlink = process.platform.netlink
    return [
        Sample(float(netlink.overruns), ("overrun",)),
        Sample(float(netlink.malformed), ("malformed",)),
    ]


def _guard(read: Callable[[GuardStatus], float | None]) -> Callable[[Process], list[Sample]]:
    """
    The value of a metric of the guard, if there is one.
    """

    def samples(process: Process) -> list[Sample]:
        guard = process.platform.guard
        value = None if guard is None else read(guard)
        return [] if value is None else [Sample(float(value))]

    return samples


_GAUGE, _COUNTER = Kind.GAUGE, Kind.COUNTER

#: The metrics that each group has.
GROUP_METRICS = (
    GroupMetric(
        "txcarp_group_role",
        _GAUGE,
        "1 for the role of this host in the group, and 0 for the others.",
        lambda group: _choice(group.status.role.value, [one.value for one in Role]),
        ("role",),
    ),
    GroupMetric(
        "txcarp_group_role_timestamp_seconds",
        _GAUGE,
        "When this host got its role, in seconds since 1970.",
        _since,
    ),
    GroupMetric(
        "txcarp_group_readiness",
        _GAUGE,
        "1 for how far this host is with acquiring or releasing what belongs to mastership, and 0 "
        "for the others.",
        lambda group: _choice(
            group.status.readiness.value, [one.value for one in Readiness]
        ),
        ("readiness",),
    ),
    GroupMetric(
        "txcarp_group_running",
        _GAUGE,
        "Whether this host takes part in the group (1) or not (0).",
        _one(lambda status: status.running),
    ),
    GroupMetric(
        "txcarp_group_has_master",
        _GAUGE,
        "Whether this host is master or hears one (1), or knows of none (0).",
        _one(_hasMaster),
    ),
    GroupMetric(
        "txcarp_group_transitions_total",
        _COUNTER,
        "Changes of role, by the role before, the role after and the reason.",
        _transitions,
        ("from", "to", "reason"),
    ),
    GroupMetric(
        "txcarp_group_master_changes_total",
        _COUNTER,
        "How often this backup heard another master than before, by the reason.",
        lambda group: _numbers(group.counts.masters, _SUCCESSIONS),
        ("reason",),
    ),
    GroupMetric(
        "txcarp_group_contested_seconds_total",
        _COUNTER,
        "Seconds in which this host was master and heard another master.",
        _one(lambda status: status.contested),
    ),
    GroupMetric(
        "txcarp_group_vacant_seconds_total",
        _COUNTER,
        "Seconds in which this host heard no master, and was none; a gap counts when it ends.",
        _one(lambda status: status.vacant),
    ),
    GroupMetric(
        "txcarp_group_pauses_total",
        _COUNTER,
        "How often this host found that it did not run for so long that what it knew could be out "
        "of date.",
        _one(lambda status: status.pauses),
    ),
    GroupMetric(
        "txcarp_group_held",
        _GAUGE,
        "1 for each reason that holds this host back from the election, and 0 for the others.",
        _holds,
        ("reason",),
    ),
    GroupMetric(
        "txcarp_group_demotion",
        _GAUGE,
        "By how much this host is demoted, for all reasons.",
        _one(lambda status: status.demotion),
    ),
    GroupMetric(
        "txcarp_group_demotion_amount",
        _GAUGE,
        "By how much this host is demoted, by what leads to it: a health check, the link of an "
        "interface, errors when it sends, or a request of an operator or another program.",
        _demotions,
        ("cause",),
    ),
    GroupMetric(
        "txcarp_group_interval_seconds",
        _GAUGE,
        "The interval at which this host advertises, or would as master.",
        _one(lambda status: status.advertised.interval),
    ),
    GroupMetric(
        "txcarp_group_forms",
        _GAUGE,
        "With how many passwords and address sets this host signs, or would as master; more than "
        "one only while the group changes them.",
        _one(lambda status: len(status.forms)),
    ),
    GroupMetric(
        "txcarp_group_silent_sides",
        _GAUGE,
        "On how many sides of its set the master is silent while another side hears it.",
        _silentSides,
        ("set",),
    ),
    GroupMetric(
        "txcarp_advertisements_sent_total",
        _COUNTER,
        "Advertisements sent.",
        _one(lambda status: status.sent),
    ),
    GroupMetric(
        "txcarp_advertisement_send_errors_total",
        _COUNTER,
        "Advertisements that could not be sent.",
        _one(lambda status: status.sendErrors),
    ),
    GroupMetric(
        "txcarp_advertisements_received_total",
        _COUNTER,
        "Good advertisements heard.",
        _one(lambda status: status.received),
    ),
    GroupMetric(
        "txcarp_family_packets_sent_total",
        _COUNTER,
        "Packets with advertisements that were sent, by the family: one for each password or "
        "address set with which this host signs, and for each configured peer.",
        _families(lambda family: family.sent),
        ("family",),
    ),
    GroupMetric(
        "txcarp_family_send_errors_total",
        _COUNTER,
        "Packets with advertisements that could not be sent, by the family.",
        _families(lambda family: family.sendErrors),
        ("family",),
    ),
    GroupMetric(
        "txcarp_family_packets_received_total",
        _COUNTER,
        "Good advertisements heard, by the family.",
        _families(lambda family: family.received),
        ("family",),
    ),
    GroupMetric(
        "txcarp_announcements_sent_total",
        _COUNTER,
        "Announcements of addresses sent: gratuitous ARP and unsolicited neighbour advertisements.",
        _one(lambda status: status.announced),
    ),
    GroupMetric(
        "txcarp_packets_rejected_total",
        _COUNTER,
        "Packets that were not believed, by the reason. Of packets with a wrong header, 32 in a "
        "second, on an interface and in a family, are counted at most.",
        _rejected,
        ("reason",),
    ),
    GroupMetric(
        "txcarp_findings_total",
        _COUNTER,
        "Problems that were found in the group, by their kind.",
        _findings,
        ("finding",),
    ),
    GroupMetric(
        "txcarp_address_held",
        _GAUGE,
        "Whether this host holds a shared address on lease (1) or not (0).",
        _held,
        ("address",),
    ),
    GroupMetric(
        "txcarp_address_lease_seconds",
        _GAUGE,
        "Seconds until the kernel removes a shared address unless its lease is renewed.",
        _leases,
        ("address",),
    ),
    GroupMetric(
        "txcarp_address_losses_total",
        _COUNTER,
        "Reports that shared addresses were lost that this host held, by what happened: their "
        "lease ended or is not renewed (ended, failed), or another program interfered and they "
        "were put back (the other words), which is reported once a minute.",
        lambda group: _numbers(group.counts.lost, _LOSSES),
        ("reason",),
    ),
    GroupMetric(
        "txcarp_check_health",
        _GAUGE,
        "1 for the state of a health check, and 0 for the others.",
        _checks,
        ("check", "health"),
    ),
    GroupMetric(
        "txcarp_check_health_timestamp_seconds",
        _GAUGE,
        "When the state of a health check began, in seconds since 1970.",
        lambda group: [
            Sample(group.when(one.since), (one.name,)) for one in group.status.checks
        ],
        ("check",),
    ),
    GroupMetric(
        "txcarp_check_duration_seconds",
        Kind.SUMMARY,
        "How often a health check was run, and how long all runs took together.",
        _checkTimes,
        ("check",),
    ),
    GroupMetric(
        "txcarp_check_failures_total",
        _COUNTER,
        "How often a run of a health check failed, or took too long.",
        lambda group: [
            Sample(float(one.runs.failures), (one.name,)) for one in group.status.checks
        ],
        ("check",),
    ),
    GroupMetric(
        "txcarp_probe_armed",
        _GAUGE,
        "Whether this backup takes over if the host of the master no longer answers (1), or not "
        "(0): the host does not always answer, or no witness does.",
        _probes(lambda probe: probe.canAct),
        ("master",),
    ),
    GroupMetric(
        "txcarp_probe_questions_total",
        _COUNTER,
        "Questions to the host of the master. Groups with the same master have the same.",
        _probes(lambda probe: probe.asked),
        ("master",),
    ),
    GroupMetric(
        "txcarp_probe_answers_total",
        _COUNTER,
        "Those that were answered.",
        _probes(lambda probe: probe.answered),
        ("master",),
    ),
    GroupMetric(
        "txcarp_probe_missed_total",
        _COUNTER,
        "Those that were not answered, although the host had always answered before.",
        _probes(lambda probe: probe.missed),
        ("master",),
    ),
    GroupMetric(
        "txcarp_step_state",
        _GAUGE,
        "1 for the state of a step of mastership, and 0 for the others.",
        _steps,
        ("step", "state"),
    ),
    GroupMetric(
        "txcarp_step_state_timestamp_seconds",
        _GAUGE,
        "When the state of a step of mastership began, in seconds since 1970.",
        lambda group: [
            Sample(group.when(one.since), (one.name,)) for one in group.status.steps
        ],
        ("step",),
    ),
    GroupMetric(
        "txcarp_step_duration_seconds",
        Kind.SUMMARY,
        "How often a step of mastership was acquired or released, and how long that took together.",
        _stepTimes,
        ("step", "phase"),
    ),
    GroupMetric(
        "txcarp_step_failures_total",
        _COUNTER,
        "How often acquiring or releasing a step of mastership failed, or took too long.",
        lambda group: [
            Sample(float(runs.failures), tuple(labels)) for runs, *labels in _phases(group)
        ],
        ("step", "phase"),
    ),
    GroupMetric(
        "txcarp_peer_advertisements_received_total",
        _COUNTER,
        "Good advertisements heard from another host, apart from bow-outs, since it became known.",
        lambda group: [
            Sample(float(one.number), (one.source,)) for one in group.status.peers
        ],
        ("peer",),
    ),
    GroupMetric(
        "txcarp_peer_last_advertisement_timestamp_seconds",
        _GAUGE,
        "When the last advertisement of another host arrived, in seconds since 1970.",
        lambda group: [
            Sample(group.when(one.age), (one.source,)) for one in group.status.peers
        ],
        ("peer",),
    ),
    GroupMetric(
        "txcarp_peer_interval_seconds",
        _GAUGE,
        "The interval that another host advertises.",
        lambda group: [
            Sample(one.timing.interval, (one.source,)) for one in group.status.peers
        ],
        ("peer",),
    ),
    GroupMetric(
        "txcarp_peer_sealed",
        _GAUGE,
        "Whether the last advertisement of another host was sealed (1) or not (0).",
        lambda group: [
            Sample(float(one.sealed), (one.source,)) for one in group.status.peers
        ],
        ("peer",),
    ),
    GroupMetric(
        "txcarp_peer_behind",
        _GAUGE,
        "Whether another host still signs with former passwords or address sets only (1) or not "
        "(0).",
        lambda group: [
            Sample(float(one.isBehind), (one.source,)) for one in group.status.peers
        ],
        ("peer",),
    ),
)

#: The metrics of the process.
PROCESS_METRICS = (
    ProcessMetric(
        "txcarp_build_info",
        _GAUGE,
        "Always 1; the versions are in the labels.",
        _version,
        ("version", "python", "twisted"),
    ),
    ProcessMetric(
        "txcarp_groups",
        _GAUGE,
        "The number of groups.",
        lambda process: [Sample(float(process.groups))],
    ),
    ProcessMetric(
        "txcarp_reloads_total",
        _COUNTER,
        "How often the configuration file was read again, by the result.",
        lambda process: _numbers(process.reloads, _RELOADS),
        ("result",),
    ),
    ProcessMetric(
        "txcarp_configuration_differs",
        _GAUGE,
        "Whether the configuration file has another text than what runs, or cannot be read (1).",
        _differs,
    ),
    ProcessMetric(
        "txcarp_configuration_unconfirmed_seconds",
        _GAUGE,
        "Seconds until the last change is undone unless it is confirmed; 0 if none waits for that.",
        _unconfirmed,
    ),
    ProcessMetric(
        "txcarp_configuration_undone",
        _GAUGE,
        "Whether the last change was undone because nobody confirmed it (1).",
        _undone,
    ),
    ProcessMetric(
        "txcarp_timer_lateness_seconds",
        Kind.HISTOGRAM,
        "How late the timers of this process were.",
        _lateness,
        ("le",),
    ),
    ProcessMetric(
        "txcarp_netlink_errors_total",
        _COUNTER,
        "How often messages of the kernel about links and addresses were lost (overrun) or could "
        "not be understood (malformed).",
        _netlinkErrors,
        ("kind",),
    ),
    ProcessMetric(
        "txcarp_netlink_lists_total",
        _COUNTER,
        "How often the links or the addresses of this host were listed: at the start, and after "
        "each loss of messages.",
        lambda process: [Sample(float(process.platform.netlink.lists))],
    ),
    ProcessMetric(
        "txcarp_guard_running",
        _GAUGE,
        "Whether the process of the guard runs (1) or not (0).",
        _guard(lambda guard: guard.running),
    ),
    ProcessMetric(
        "txcarp_guard_starts_total",
        _COUNTER,
        "How often a guard was started.",
        _guard(lambda guard: guard.starts),
    ),
    ProcessMetric(
        "txcarp_guard_wills",
        _GAUGE,
        "For how many groups a guard would act if txcarp died now.",
        _guard(lambda guard: guard.wills),
    ),
    ProcessMetric(
        "txcarp_guard_acted_total",
        _COUNTER,
        "For how many groups a guard has acted because txcarp had died or hung; with a state file, "
        "this counts on over restarts.",
        _guard(lambda guard: guard.acted),
    ),
    ProcessMetric(
        "txcarp_guard_acted_timestamp_seconds",
        _GAUGE,
        "When a guard acted the last time, in seconds since 1970.",
        _guard(lambda guard: guard.actedAt),
    ),
)
