"""
The program of the guard: it waits for the end of a daemon, and carries out its last will.

The daemon is at the other end of a pair of sockets.  It hands over a I{will} for each group, and
with each advertisement a bow-out that is ready to send.  The end of the connection means that the
daemon is dead, whatever killed it.  A daemon that hangs is silent.  In both cases the guard first
gives back what the will names, I{then} sends the bow-outs, so that no other host takes over while
this one still answers.  What could not be given back is not bowed out of.

Before the guard acts for a daemon that hangs, it writes the number of the will into memory that
both share.  The daemon reads that memory before whatever it does as master.

This file runs as a process of its own.  It is one file, long as it is, because it imports nothing
of txcarp, and little of the standard library, so that it is small and starts in milliseconds.
Messages are tuples (C{marshal}), because
both sides run the same interpreter, and nobody else can reach the sockets.
"""

from __future__ import annotations

# The modules socket and signal import others, which take 700 KiB.
import _signal as signal  # type: ignore[import-not-found]
import _socket
import errno
import marshal
import os
import select
import struct
import sys
import time

TYPE_CHECKING = False  # typing would make this process larger
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any

    #: The index of an interface, a packed address, and the length of its prefix.
    Address = tuple[int, bytes, int]

    #: The index of an interface, a destination, and what to send: an IP packet to a packed
    #: address of 4 or 16 bytes or to an Ethernet address of 6, or a frame without destination.
    Parcel = tuple[int, bytes, bytes]

    #: The path, arguments, environment, and time limit in seconds of a script.
    Script = tuple[str, list[str], dict[str, str], float | None]

#: The most bytes of a message.
LARGEST = 1 << 17

#: Seconds by which this process may wake late before it takes that for a pause of the machine.
_PUNCTUAL = 0.02

#: The least seconds between an advertisement that is due and the end of the patience with it: on a
#: busy host, an advertisement may be late by several of the shortest intervals.
LEAST_GRACE = 0.1

#: The most seconds for which messages of a daemon that lives wait to be read.
_LONGEST_NAP = 0.25

#: Seconds between two looks at running scripts.
_LOOK = 0.002

#: Seconds from SIGTERM to SIGKILL for a script that takes too long.
_GRACE = 2.0

#: Seconds that a script without a limit may run here.
_LONGEST = 30.0

#: The number of wills that are carried out together.
_TOGETHER = 32

#: Seconds of processor time without a pause after which the kernel stops a runaway guard, which
#: no ordinary process could stop.
_RUNAWAY = 5

#: What the file of the record has: the number of wills that were carried out, and when the last one
#: was, in seconds since 1970.
RECORD = struct.Struct("=Qd")

#: The errors that say that an address is not there.
_GONE = (errno.EADDRNOTAVAIL, errno.ENODEV, errno.ENXIO)


def ages() -> float:
    """
    The seconds on the clock that runs while the machine sleeps.
    """
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Will:
    """
    What is to be done for one group.

    @ivar number: The number that is written into the shared memory.
    @ivar name: The group, for log lines.
    @ivar addresses: The addresses to remove.
    @ivar script: The down script; C{None} if there is none.
    @ivar first: Seconds for which the addresses wait for the script; C{None} if it runs last.
    @ivar parcels: The bow-out; empty if this host is not master any more.
    @ivar due: When the patience with the daemon ends, in seconds of the clock.
    @ivar grace: Seconds from the time at which the next sign of life is expected to C{due}.
    @ivar expires: When the bow-out is too old to be sent, in seconds of the clock that runs while
        the machine sleeps.
    """

    __slots__ = (
        *("addresses", "due", "expires", "first", "grace"),
        *("name", "number", "parcels", "script"),
    )

    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name
        self.addresses: Sequence[Address] = ()
        self.script: Script | None = None
        self.first: float | None = None
        self.parcels: Sequence[Parcel] = ()
        self.due = self.expires = float("inf")
        self.grace = 1.0


class Running:
    """
    A script that runs.

    @ivar waited: Until when it is waited for, in seconds of the clock.
    @ivar end: When it has taken too long.
    @ivar then: Called with whether it was good, when it has ended or was waited for; C{None} when
        that is done.
    @ivar asked: Whether it was asked to end.
    """

    __slots__ = ("asked", "end", "pid", "then", "waited")

    def __init__(
        self, pid: int, waited: float, end: float, then: Callable[[bool], None]
    ) -> None:
        self.pid = pid
        self.waited = waited
        self.end = end
        self.then: Callable[[bool], None] | None = then
        self.asked = False

    def tell(self, good: bool) -> None:
        """
        Call C{then}, unless that is done.
        """
        then, self.then = self.then, None
        if then is not None:
            then(good)


class Sentry:
    """
    Decides when to act, and in which order.

    @ivar wills: The will of each slot.
    @ivar dismissed: Whether nothing is left to do.
    @ivar acted: The number of wills that were carried out.
    @ivar actedAt: When the last one was, in seconds since 1970.
    """

    def __init__(
        self,
        hands: Hands,
        marks: memoryview[int],
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        ages: Callable[[], float] = ages,
        told: Callable[[int], None] = lambda number: None,
    ) -> None:
        """
        @param hands: Does things.
        @param marks: The shared memory, with a number for each slot.
        @param report: Called with a sentence about what was done.
        @param ages: Returns the seconds on a clock that runs while the machine sleeps.
        @param told: Called with the number of wills that were carried out for a daemon that hangs.
        """
        self.wills: dict[int, Will] = {}
        self.dismissed = False
        self.acted = 0
        self.actedAt = 0.0
        self._running: list[Running] = []
        #: No patience ends before this, and no grace is shorter.  What a message costs must not
        #: depend on the number of groups, so that both are exact only after L{_recount}.
        self._next = self._shortest = float("inf")
        self._hands = hands
        self._marks = marks
        self._report = report
        self._clock = clock
        self._ages = ages
        self._told = told

    def received(self, message: tuple[Any, ...]) -> None:
        """
        Handle a message of the daemon.
        """
        what, slot, *rest = message
        will = self.wills.get(slot)
        if what == "dismissed":
            self.dismissed = True
            self.wills.clear()
        elif what == "will":
            number, name, addresses, script, first = rest
            if will is None or will.number != number:
                will = self.wills[slot] = Will(number, name)
            will.addresses, will.script, will.first = addresses, script, first
        elif will is None:
            pass  # it was carried out
        elif what == "alive":
            self._expect(will, *rest)
        elif what == "beat":
            due, grace, will.expires, will.parcels = rest
            self._expect(will, due, grace)
        elif what == "silent":
            will.parcels = ()
            will.due = float("inf")
        else:
            del self.wills[slot]

    def _expect(self, will: Will, due: float, grace: float) -> None:
        """
        @param due: When the daemon counts as hanging, in seconds of the clock.
        @param grace: Seconds from the next expected sign of life until then.
        """
        will.due = due
        will.grace = max(LEAST_GRACE, grace)
        self._next = min(self._next, will.due)
        self._shortest = min(self._shortest, will.grace)

    def _recount(self) -> None:
        watched = [will for will in self.wills.values() if will.due < float("inf")]
        self._next = min((will.due for will in watched), default=float("inf"))
        self._shortest = min((will.grace for will in watched), default=float("inf"))

    def timeout(self) -> float | None:
        """
        Seconds for which there is nothing to do; C{None} for ever.

        If the machine pauses, the next sign of life is as late as this process wakes up late.  That
        is noticed only at the end of a wait, so no wait is longer than half of the shortest grace.
        """
        if self._running:
            return _LOOK
        if self._next == float("inf"):
            return None
        return min(max(0.0, self._next - self._clock()), self._shortest / 2, _LONGEST_NAP)

    def late(self, seconds: float) -> None:
        """
        Handle that this process woke up late: the daemon probably did, too.

        A daemon of which a sign of life was late already gets that time.  One of which it became
        due in the pause gets its whole grace from now.  One of which it is not due yet gets
        nothing: it has lived since, or has time enough.

        @param seconds: How late; less than L{_PUNCTUAL} does not count.
        """
        if seconds > _PUNCTUAL:
            now = self._clock()
            for will in self.wills.values():
                will.due = min(will.due + seconds, max(will.due, now + will.grace))
            self._recount()

    def look(self, now: float) -> None:
        """
        Act for the groups of a daemon that hangs, and look after running scripts.

        @param now: When this process woke up, in seconds of the clock.  A later pause is noticed
            the next time, and must not count before.
        """
        if self._next <= now:
            due = {slot: will for slot, will in self.wills.items() if will.due <= now}
            for slot, will in due.items():
                self._marks[slot] = will.number  # before anything is done
                del self.wills[slot]
            self._recount()
            if due:
                kept = {address for will in self.wills.values() for address in will.addresses}
                self._carryOut(due.values(), "txcarp hangs", kept)
                self._told(len(due))
        for running in self._running[:]:
            good = self._hands.ended(running.pid)
            if good is not None:
                self._running.remove(running)
                running.tell(good and not running.asked)
                continue
            if now >= running.waited:
                running.tell(False)
            if now >= running.end:
                self._hands.kill(running.pid, signal.SIGKILL if running.asked else signal.SIGTERM)
                running.asked = True
                running.end = now + _GRACE

    def died(self) -> None:
        """
        Act for all groups, since the daemon is dead.
        """
        wills, self.wills = list(self.wills.values()), {}
        self._carryOut(wills, "txcarp has died", ())

    @property
    def isBusy(self) -> bool:
        """
        Whether scripts are running.
        """
        return bool(self._running)

    def _carryOut(
        self, wills: Iterable[Will], why: str, kept: Iterable[Address]
    ) -> None:
        """
        @param kept: Addresses that other groups hold.
        """
        now: list[Will] = []
        self.actedAt = time.time()
        for will in wills:
            self.acted += 1
            if will.script is None or (will.addresses and will.first is None):
                now.append(will)
            else:
                self._scriptFirst(will, why, kept)
        for start in range(0, len(now), _TOGETHER):
            self._giveBack(now[start : start + _TOGETHER], why, kept)
        for will in now:
            if will.script is not None:
                self._run(will, lambda good: None)

    def _scriptFirst(
        self, will: Will, why: str, kept: Iterable[Address]
    ) -> None:
        def ended(good: bool) -> None:
            if good or will.addresses:
                self._giveBack([will], why, kept)
            else:
                self._report(f"{why}; the down script of {will.name} failed: no bow-out is sent")

        self._run(will, ended)

    def _run(self, will: Will, then: Callable[[bool], None]) -> None:
        assert will.script is not None
        limit = _LONGEST if will.script[3] is None else will.script[3]
        try:
            pid = self._hands.run(will.script)
        except OSError as error:
            self._report(f"the down script of {will.name} could not be started: {error.strerror}")
            then(False)
        else:
            now = self._clock()
            waited = limit + _GRACE if will.first is None else will.first
            self._running.append(Running(pid, now + waited, now + limit, then))

    def _giveBack(
        self, wills: Sequence[Will], why: str, kept: Iterable[Address]
    ) -> None:
        """
        Remove the addresses, then bow out of the groups whose addresses are gone.
        """
        addresses = [one for will in wills for one in will.addresses if one not in kept]
        errors = self._hands.remove(addresses)
        age = self._ages()
        said = []
        for will in wills:
            failed = next((errors[one] for one in will.addresses if one in errors), None)
            if failed is not None:
                what = f"could not be removed ({failed}): no bow-out is sent"
            elif not will.parcels:
                what = "were removed"
            elif age > will.expires:
                what = "were removed; the bow-out is too old to be sent"
            else:
                refused = self._hands.send(will.parcels)
                what = "were removed, and "
                what += f"no bow-out could be sent: {refused}" if refused else "a bow-out was sent"
            said.append(f"{why}: the addresses of {will.name} {what}")
        for line in said:
            self._report(line)


class Hands:
    """
    Does what a sentry decides.
    """

    def __init__(self, packets: int, frames: int, ipv4: int, ipv6: int) -> None:
        """
        @param packets: The descriptor of a packet socket for IP packets.  The kernel adds the
            Ethernet header.
        @param frames: The descriptor of a packet socket for frames.
        @param ipv4: The descriptor of a raw socket for IPv4 packets with their header.
        @param ipv6: The descriptor of such a socket for IPv6; -1 for none.
        """
        self._packets, self._frames, self._ipv4, self._ipv6 = (
            None if one < 0 else _socket.socket(fileno=one) for one in (packets, frames, ipv4, ipv6)
        )
        self._sequence = 0
        self._netlink = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW, 0)
        self._netlink.settimeout(1.0)
        self._netlink.setsockopt(_socket.SOL_SOCKET, _socket.SO_RCVBUF, 1 << 18)
        #: What scripts have in place of the priority of this process.
        try:
            with open("/proc/self/oom_score_adj", "rb") as file:
                self.scriptScore = file.read()
        except OSError:
            self.scriptScore = b"0"  # there is no /proc, so that nothing is changed

    def remove(
        self, addresses: Sequence[Address]
    ) -> dict[Address, str]:
        """
        Remove addresses, and wait until they are gone.

        @return: Why one could not be removed, by address.  An address that is not there is gone.
        """
        first = self._sequence + 1
        waiting: dict[int, Address] = {}
        messages = b""
        for one in addresses:
            self._sequence += 1
            waiting[self._sequence] = one
            index, packed, prefixLength = one
            family = _socket.AF_INET if len(packed) == 4 else _socket.AF_INET6
            # struct ifaddrmsg, then IFA_LOCAL for IPv4 and IFA_ADDRESS for IPv6
            body = struct.pack("=BBBBI", family, prefixLength, 0, 0, index)
            body += struct.pack("=HH", 4 + len(packed), 2 if len(packed) == 4 else 1) + packed
            # RTM_DELADDR with NLM_F_REQUEST and NLM_F_ACK
            messages += struct.pack("=IHHII", 16 + len(body), 21, 5, self._sequence, 0) + body
        errors: dict[Address, str] = {}
        try:
            if messages:
                self._netlink.send(messages)
            while waiting:
                answers = self._netlink.recv(1 << 16)
                while len(answers) >= 20:
                    length, kind, _, sequence, _, number = struct.unpack_from("=IHHIIi", answers)
                    if kind == 2 and sequence >= first and sequence in waiting:  # NLMSG_ERROR
                        one = waiting.pop(sequence)
                        if number and -number not in _GONE:
                            errors[one] = os.strerror(-number)
                    answers = answers[(max(length, 16) + 3) & ~3 :]
        except OSError as error:
            errors.update(dict.fromkeys(waiting.values(), error.strerror or str(error)))
        return errors

    def send(self, parcels: Sequence[Parcel]) -> str:
        """
        Send a bow-out.

        @return: Why a part of it could not be sent; empty if all of it was.
        """
        refused = ""
        for index, destination, packet in parcels:
            try:
                self._sendOne(index, destination, packet)
            except OSError as error:
                refused = error.strerror or str(error)
        return refused

    def _sendOne(self, index: int, destination: bytes, packet: bytes) -> None:
        if len(destination) in (0, 6):
            name = _socket.if_indextoname(index)
            if destination:
                protocol = 0x0800 if packet[0] >> 4 == 4 else 0x86DD
                where = name, protocol, 0, 0, destination
                _present(self._packets).sendto(packet, where)
            else:
                _present(self._frames).sendto(packet, (name, 0))
        elif len(destination) == 4:
            out = [(_socket.IPPROTO_IP, 8, struct.pack("=I8x", index))]  # IP_PKTINFO
            text = _socket.inet_ntop(_socket.AF_INET, destination)
            _present(self._ipv4).sendmsg([packet], out, 0, (text, 0))
        else:
            out = [(_socket.IPPROTO_IPV6, 50, struct.pack("=16xI", index))]  # IPV6_PKTINFO
            text = _socket.inet_ntop(_socket.AF_INET6, destination)
            scope = index if destination[:2] == b"\xfe\x80" else 0
            _present(self._ipv6).sendmsg([packet], out, 0, (text, 0, 0, scope))

    def run(self, script: Script) -> int:
        """
        Start a script as an ordinary process.

        @return: Its process ID.
        @raise OSError: If it cannot be started.
        """
        path, arguments, environment, _ = script
        pid = os.posix_spawn(
            path,
            arguments,
            {**os.environ, **environment},
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
            setsigdef=_IGNORED,
        )
        try:
            with open(f"/proc/{pid}/oom_score_adj", "wb") as file:
                file.write(self.scriptScore)
        except OSError:
            pass  # it has ended
        return pid

    def ended(self, pid: int) -> bool | None:
        """
        Whether a script was good; C{None} while it runs.
        """
        found, status = os.waitpid(pid, os.WNOHANG)
        return None if found == 0 else status == 0

    def kill(self, pid: int, number: int) -> None:
        """
        Send a signal to a script.
        """
        os.kill(pid, number)  # it has not been waited for, so the number is still its own


def _present(sock: _socket.socket | None) -> _socket.socket:
    if sock is None:
        raise OSError(errno.ENOTCONN, "there is no socket for it")
    return sock


#: A service manager sends these to all processes of a service; the daemon decides what follows.
#: SIGABRT is what systemd sends to them when its watchdog finds that the daemon hangs.  A guard
#: that must go is killed, or dismissed.
_IGNORED = [
    *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGABRT),
    *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGPIPE, signal.SIGTSTP),
]


def protect(lent: int) -> list[str]:
    """
    Have this process run when others cannot, as far as its privileges allow.

    @param lent: The capabilities that scripts must not have, one bit for each.
    @return: What it may not have.
    """
    import ctypes

    lacking = []
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(15, b"txcarp-guard")  # PR_SET_NAME
    for number in range(lent.bit_length()):
        if lent >> number & 1:
            libc.prctl(47, 3, number, 0, 0)  # PR_CAP_AMBIENT_LOWER
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_RTTIME, (_RUNAWAY * 10**6,) * 2)
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (ImportError, OSError, ValueError):
        lacking.append("real-time priority (CAP_SYS_NICE)")
    try:
        with open("/proc/self/oom_score_adj", "wb", buffering=0) as file:
            file.write(b"-1000")
    except OSError:
        lacking.append("protection from the out-of-memory killer (CAP_SYS_RESOURCE)")
    # MCL_CURRENT, MCL_FUTURE and MCL_ONFAULT, as in txcarp.daemon.scheduling.
    if libc.mlockall(7):
        lacking.append("locked memory (CAP_IPC_LOCK)")
    libc.malloc_trim(0)
    return lacking


def rehearse(hands: Hands) -> None:
    """
    Do once what has to be done when no memory may be left, so that little of this process is read
    or allocated then.  No interface has this index, so that nothing happens.
    """
    nowhere = 0x7FFFFFFF
    hands.remove(((nowhere, b"\x7f\0\0\1", 32), (nowhere, bytes(15) + b"\1", 128)))
    for destination in (bytes(6), b"", b"\x7f\0\0\1", bytes(15) + b"\1"):
        hands.send(((nowhere, destination, b"E" + bytes(55)),))


def watch(sentry: Sentry, daemon: _socket.socket) -> None:
    """
    Serve a daemon until it dismisses the guard, or dies.

    While there is something to watch, only the end of the connection wakes this process.  The
    messages wait until it looks: waking it for each one would cost more than what it does.
    """
    poller = select.poll()
    poller.register(daemon, select.POLLIN)
    isAlive = True
    woke = time.monotonic()
    while isAlive or sentry.isBusy:
        timeout = sentry.timeout()
        if isAlive:
            poller.modify(daemon, select.POLLIN if timeout is None else 0)
        poller.poll(None if timeout is None else timeout * 1000)
        before, woke = woke, time.monotonic()
        late = 0.0 if timeout is None else woke - before - timeout
        while isAlive:
            try:
                data = daemon.recv(LARGEST)
            except BlockingIOError:
                break
            except OSError:
                data = b""
            if data:
                sentry.received(marshal.loads(data))  # noqa: S302 (nobody else has the socket)
            if sentry.dismissed:
                return
            if not data:
                isAlive = False
                poller.unregister(daemon)
                sentry.died()
        # After the messages, because the daemon sent some of them before a pause of the machine.
        sentry.late(late)
        sentry.look(woke)


def remember(record: int, number: int, when: float) -> None:
    """
    Add to the record of wills that were carried out, which outlives daemon and guard.

    @param record: The descriptor of the file; -1 for none.
    @param number: How many were carried out.
    @param when: When the last one was, in seconds since 1970.
    """
    try:
        before, _ = RECORD.unpack(os.pread(record, RECORD.size, 0))
        os.pwrite(record, RECORD.pack(before + number, when), 0)
    except (OSError, struct.error):
        pass  # the log has said what was done


def say(line: str, facility: int, log: str = "/dev/log") -> None:
    """
    Write a line to the standard error output and to syslog, unless that would have to be waited
    for.

    @param facility: The number of a syslog facility; -1 for no syslog.
    @param log: The socket of the log daemon.
    """
    poller = select.poll()
    poller.register(2, select.POLLOUT)
    if poller.poll(0):
        try:
            os.write(2, f"txcarp guard: {line}\n".encode())
        except OSError:
            pass
    if facility >= 0:
        try:
            sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK)
            sock.connect(log)
            # 4 is LOG_WARNING.
            sock.send(f"<{facility << 3 | 4}>txcarp[{os.getpid()}]: [WARNING] {line}".encode())
        except OSError:
            pass


def main() -> None:
    """
    Guard the daemon at the other end of a socket.  The arguments of the process are the
    capabilities that scripts must not have, the number of a syslog facility, or -1, and
    descriptors: the socket, the shared memory, the record, and the four sockets of L{Hands}.
    """
    import mmap

    lent, facility, *descriptors = (int(one) for one in sys.argv[1:])

    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    daemon = _socket.socket(fileno=descriptors[0])
    daemon.setblocking(False)
    marks = memoryview(mmap.mmap(descriptors[1], 0)).cast("I")
    hands = Hands(*descriptors[3:])

    def report(line: str) -> None:
        try:
            daemon.send(marshal.dumps(("done", line)))
        except OSError:
            say(line, facility)

    def told(number: int) -> None:
        try:
            daemon.send(marshal.dumps(("acted", number)))
        except OSError:
            pass

    rehearse(hands)
    lacking = protect(lent)
    try:
        daemon.send(marshal.dumps(("ready", lacking)))
    except OSError:
        pass  # it has died already, and its wills wait to be read
    sentry = Sentry(hands, marks, report, told=told)
    watch(sentry, daemon)
    if sentry.acted:
        # Only now, because the disk may hang.
        remember(descriptors[2], sentry.acted, sentry.actedAt)
