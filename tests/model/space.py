"""
All states that a group of hosts can reach, and the moves between them.

A state is what every host remembers, and how many faults of each kind may still happen.  What a
host remembers is a small number, its L{Local} in a table, and the numbers of all hosts make one
integer.  States that differ only in the faults that are left are handled together: those are one
bit each of a mask, so that one move of the hosts is looked up once for all of them.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from tests.model.graph import components, isCircle
from tests.model.machine import OFF, Kind, Local, Machine, Move
from txcarp.protocol.seal import Fields

#: The bits of a packed state for each host.
_BITS = 20
_MASK = (1 << _BITS) - 1

#: The bits for the kind of a move in a packed edge.
_KIND_BITS = 4
_KINDS = (1 << _KIND_BITS) - 1

#: The kinds of moves that are possible at any time, as bits.
_FREE = (1 << Kind.LOSS) - 1

#: The kinds of moves that happen a limited number of times.
LIMITED = tuple(kind for kind in Kind if kind >= Kind.LOSS)


class Step(NamedTuple):
    """
    A move of a group.

    @ivar group: The hosts afterwards.
    @ivar host: The number of the host that moves; C{None} if time passes.
    @ivar move: The move; C{None} if time passes.
    """

    group: tuple[Local, ...]
    host: int | None = None
    move: Move | None = None


class _Compiled(NamedTuple):
    """
    A move of one host, as numbers.

    @ivar delta: What it adds to the packed state.
    @ivar sends: The number of what it sends; 0 for nothing.
    """

    kind: int
    delta: int
    sends: int
    isShort: bool


class Budget:
    """
    How many faults of each kind may happen.  What is left of them is one number, an index of the
    bits in a mask.
    """

    def __init__(self, limits: Mapping[Kind, int]) -> None:
        self.limits = {kind: limits[kind] for kind in LIMITED if limits.get(kind)}
        self.strides: dict[Kind, int] = {}
        size = 1
        for kind, limit in self.limits.items():
            self.strides[kind] = size
            size *= limit + 1
        self.size = size
        #: The bits with at least one fault of a kind left.
        self.some = {
            kind: sum(1 << index for index in range(size) if self.left(index)[kind])
            for kind in self.limits
        }

    @property
    def full(self) -> int:
        """
        The index at which nothing has happened yet.
        """
        return self.size - 1

    def left(self, index: int) -> dict[Kind, int]:
        """
        How many faults of each kind are left at an index.
        """
        return {
            kind: index // stride % (self.limits[kind] + 1) for kind, stride in self.strides.items()
        }

    def spent(self, index: int) -> dict[Kind, int]:
        """
        How many faults of each kind have happened at an index.
        """
        return {kind: self.limits[kind] - left for kind, left in self.left(index).items()}


class Space:
    """
    The reachable states of a group.

    @ivar codes: The packed state of each number.
    @ivar masks: For each number, with which faults left it can be reached, as bits.
    """

    def __init__(self, machines: Sequence[Machine], budget: Budget) -> None:
        self.machines = machines
        self.budget = budget
        self.codes: list[int] = []
        self.masks: list[int] = []
        #: The numbers of the states in which everything begins.
        self.initial: list[int] = []
        self._numbers: dict[int, int] = {}
        self._locals: list[list[Local]] = [[] for _ in machines]
        self._indices: list[dict[Local, int]] = [{} for _ in machines]
        self._moves: list[list[list[_Compiled] | None]] = [[] for _ in machines]
        self._quiet: list[list[bool]] = [[] for _ in machines]
        #: What a tick adds to the packed state; C{None} if something is due.
        self._ticks: list[list[int | None]] = [[] for _ in machines]
        self._asleep: list[list[bool]] = [[] for _ in machines]
        self.isMaster: list[list[bool]] = [[] for _ in machines]
        self.isAlive: list[list[bool]] = [[] for _ in machines]
        self._sent: list[tuple[Fields, ...]] = [()]
        self._sentIndices: dict[tuple[Fields, ...], int] = {(): 0}
        self._hearing: list[dict[int, int]] = [{} for _ in machines]
        self._edges: list[array[int] | None] = []
        #: The kinds of moves that L{_edges} has, as bits.
        self._included: list[int] = []
        self._shifts = [_BITS * number for number in range(len(machines))]
        #: Where a state was reached from before the first fault; see L{settle}.
        self.origin: dict[int, int] = {}

    # Hosts as numbers.

    def _intern(self, host: int, local: Local) -> int:
        found = self._indices[host].get(local)
        if found is not None:
            return found
        index = self._indices[host][local] = len(self._locals[host])
        machine = self.machines[host]
        if index > _MASK:
            raise OverflowError(f"host {host} has too many states")
        self._locals[host].append(local)
        self._moves[host].append(None)
        self._quiet[host].append(machine.isQuiet(local))
        self._asleep[host].append(bool(local.sleep))
        self.isMaster[host].append(local.state == "master")
        self.isAlive[host].append(local.state != "off")
        self._ticks[host].append(None)
        if machine.isStill(local):
            after = self._intern(host, machine.tick(local))
            self._ticks[host][index] = (after - index) << self._shifts[host]
        return index

    def _compile(self, host: int, index: int) -> list[_Compiled]:
        compiled = self._moves[host][index] = []
        for move in self.machines[host].moves(self._locals[host][index]):
            sends = self._sentIndices.get(move.sends)
            if sends is None:
                sends = self._sentIndices[move.sends] = len(self._sent)
                self._sent.append(move.sends)
            delta = (self._intern(host, move.after) - index) << self._shifts[host]
            compiled.append(_Compiled(int(move.kind), delta, sends, move.isShort))
        return compiled

    def _hear(self, host: int, index: int, sender: int, sends: int) -> int:
        """
        What it adds to the packed state that packets are on their way to a host.
        """
        after = self.machines[host].receive(self._locals[host][index], sender, self._sent[sends])
        return (self._intern(host, after) - index) << self._shifts[host]

    def pack(self, group: Sequence[Local]) -> int:
        """
        The packed state of a group.
        """
        return sum(
            self._intern(host, local) << self._shifts[host] for host, local in enumerate(group)
        )

    def group(self, number: int) -> list[Local]:
        """
        The hosts of a numbered state.
        """
        code = self.codes[number]
        return [
            self._locals[host][code >> shift & _MASK] for host, shift in enumerate(self._shifts)
        ]

    # Moves.

    def _successors(self, code: int, kinds: int) -> Iterator[tuple[int, int]]:
        """
        The kind and the packed state of each move.

        @param kinds: The kinds of moves that are wanted, as bits.
        """
        indices = [code >> shift & _MASK for shift in self._shifts]
        quiet = all(map(list.__getitem__, self._quiet, indices))
        for host, index in enumerate(indices):
            moves = self._moves[host][index]
            if moves is None:
                moves = self._compile(host, index)
            for kind, delta, sends, isShort in moves:
                if not kinds >> kind & 1 or (isShort and not quiet):
                    continue
                after = code + delta
                if sends:
                    for other, heard in enumerate(indices):
                        if other != host:
                            key = (sends * 8 + host) << _BITS | heard
                            more = self._hearing[other].get(key)
                            if more is None:
                                more = self._hear(other, heard, host, sends)
                                self._hearing[other][key] = more
                            after += more
                yield kind, after
        if quiet:
            after = code
            sleeping = False
            for host, index in enumerate(indices):
                tick = self._ticks[host][index]
                if tick is None:
                    return
                after += tick
                sleeping |= self._asleep[host][index]
            yield (Kind.SLEEPING if sleeping else Kind.TICK), after

    def number(self, code: int) -> int:
        """
        The number of a packed state.
        """
        found = self._numbers.get(code)
        if found is None:
            found = self._numbers[code] = len(self.codes)
            self.codes.append(code)
            self.masks.append(0)
            self._edges.append(None)
            self._included.append(0)
        return found

    def edges(self, number: int, kinds: int = -1) -> array[int]:
        """
        The moves from a state: for each the number of the next one, and its kind in the lowest
        bits.  See L{target} and L{kindOf}.

        @param kinds: The kinds of moves that are wanted, as bits.  Others may be there as well.
        """
        edges = self._edges[number]
        if edges is None or kinds & ~self._included[number]:
            numbers = self._numbers
            self._included[number] |= kinds
            edges = self._edges[number] = array("L")
            for kind, code in self._successors(self.codes[number], self._included[number]):
                found = numbers.get(code)
                if found is None:
                    found = self.number(code)
                edges.append(found << _KIND_BITS | kind)
        return edges

    def step(self, number: int, after: int) -> Step:
        """
        The move that leads from one state to another.
        """
        group, code = self.group(number), self.codes[after]
        for host, machine in enumerate(self.machines):
            for move in machine.moves(group[host]):
                changed = list(group)
                changed[host] = move.after
                for other, listener in enumerate(self.machines):
                    if other != host and move.sends:
                        changed[other] = listener.receive(group[other], host, move.sends)
                if self.pack(changed) == code:
                    return Step(tuple(changed), host, move)
        return Step(tuple(self.group(after)))

    # Exploration.

    def begin(self, *codes: int) -> None:
        """
        Let states be the initial ones.
        """
        for code in codes:
            self.initial.append(self.number(code))

    def settle(self) -> None:
        """
        Begin with all states in which a group, all of whose hosts are on, can have settled: hosts
        start at any times, nothing fails, and exactly one host is master.
        """
        off = self.number(self.pack([OFF] * len(self.machines)))
        seen, queue = {off}, deque([off])
        self.origin[off] = off
        while queue:
            number = queue.popleft()
            for edge in self.edges(number, _FREE):
                after, kind = edge >> _KIND_BITS, edge & _KINDS
                if kind <= Kind.START and after not in seen:
                    seen.add(after)
                    self.origin[after] = number
                    queue.append(after)
        # A group has settled in the states to which it returns for ever.
        self.initial = sorted(
            number
            for circle in components(seen, self.follow)
            if isCircle(circle, self.follow)
            for number in circle
            if all(local.state != "off" for local in self.group(number))
            and self.masters(number) == 1
        )
        if not self.initial:
            raise AssertionError("the group never settles, even if nothing fails")

    def explore(self) -> None:
        """
        Find all states that can be reached.
        """
        budget, masks = self.budget, self.masks
        some = [-1] * (_KINDS + 1)
        shift = [0] * (_KINDS + 1)
        for kind in LIMITED:
            some[kind] = budget.some.get(kind, 0)
            shift[kind] = budget.strides.get(kind, 0)
        pending: dict[int, int] = {}
        queue: deque[int] = deque()
        for number in self.initial:
            masks[number] = pending[number] = 1 << budget.full
            queue.append(number)
        while queue:
            number = queue.popleft()
            bits = pending.pop(number)
            kinds = _FREE
            for kind, few in budget.some.items():
                if bits & few:
                    kinds |= 1 << kind
            for edge in self.edges(number, kinds):
                kind = edge & _KINDS
                fresh = (bits & some[kind]) >> shift[kind]
                if fresh:
                    after = edge >> _KIND_BITS
                    mask = masks[after]
                    fresh &= ~mask
                    if fresh:
                        masks[after] = mask | fresh
                        if after in pending:
                            pending[after] |= fresh
                        else:
                            pending[after] = fresh
                            queue.append(after)

    def calm(self, number: int) -> list[int]:
        """
        The edges of a state in a continuation without faults.
        """
        return [edge for edge in self.edges(number, _FREE) if edge & _KINDS <= Kind.TICK]

    def follow(self, number: int) -> list[int]:
        """
        The numbers of the states that they lead to.
        """
        return [
            edge >> _KIND_BITS for edge in self.edges(number, _FREE) if edge & _KINDS <= Kind.TICK
        ]

    @property
    def size(self) -> int:
        """
        The number of states that can be reached.
        """
        return sum(mask.bit_count() for mask in self.masks)

    def masters(self, number: int) -> int | None:
        """
        The number of hosts that are master; C{None} if no host is on.
        """
        code = self.codes[number]
        indices = [code >> shift & _MASK for shift in self._shifts]
        if not any(map(list.__getitem__, self.isAlive, indices)):
            return None
        return sum(map(list.__getitem__, self.isMaster, indices))


def target(edge: int) -> int:
    """
    The number of the state that a move leads to.
    """
    return edge >> _KIND_BITS


def kindOf(edge: int) -> Kind:
    """
    The kind of a move.
    """
    return Kind(edge & _KINDS)


def isTick(edge: int) -> bool:
    """
    Whether time passes in a move.
    """
    return edge & _KINDS == Kind.TICK
