"""What the printer decides before it writes: which nodes are computed inside another's loop, and which share memory.

Every array lies in one flat piece of memory; slices, transposes and reshapes are offsets and strides into it, never
copies. An ``update`` writes into its base where nothing reads the base afterwards.
"""

import math
from collections import defaultdict
from dataclasses import dataclass

from ...ir.ops import OPERATIONS
from ...ir.program import Program

MAX_FUSED = 40  # operations in one expression
MAX_REPEATED = 3  # and in one that each reader computes for itself
CHEAP = frozenset(("neg", "add", "sub", "mul"))
NEVER = 1 << 60


@dataclass(frozen=True)
class Where:
    """Where a node's elements lie: which node owns the memory, the first element in it, and one stride an axis."""

    owner: int
    offset: int
    strides: tuple[int, ...]


def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides in elements of a C-ordered array."""
    return tuple(math.prod(shape[k + 1 :]) for k in range(len(shape)))


def is_dense(strides: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Whether elements lie one after the other in C order."""
    return all(n == 1 or a == b for n, a, b in zip(shape, strides, c_strides(shape), strict=True))


def align(strides: tuple[int, ...], shape: tuple[int, ...], target: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of an array broadcast to a shape."""
    strides = (0,) * (len(target) - len(shape)) + strides
    shape = (1,) * (len(target) - len(shape)) + shape
    return tuple(0 if n == 1 else s for s, n in zip(strides, shape, strict=True))


def collapse(shape, operands) -> tuple[tuple[int, ...], list[tuple[int, ...]]]:
    """The fewest nested loops over a shape: axes of length 1 go, and neighbours that all step through as one merge."""
    sizes: list[int] = []
    strides: list[list[int]] = [[] for _ in operands]
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if sizes and all(kept[-1] == s[axis] * size for kept, s in zip(strides, operands, strict=True)):
            sizes[-1] *= size
            for kept, s in zip(strides, operands, strict=True):
                kept[-1] = s[axis]
        else:
            sizes.append(size)
            for kept, s in zip(strides, operands, strict=True):
                kept.append(s[axis])
    return tuple(sizes), [tuple(kept) for kept in strides]


def _loop_shape(program, i, argument):
    """The shape over which a node reads that argument."""
    node = program.nodes[i]
    if node.op == "update":
        return tuple(node.attrs[1])
    return node.shape if OPERATIONS[node.op].kind == "elementwise" else program.nodes[argument].shape


class Plan:
    """The decisions for one Program; attributes are indexed by node."""

    def __init__(self, program: Program):
        self.program = program
        self.outputs = {output.node for output in program.outputs}
        self.arguments = {i: self._find_arguments(i) for i in range(len(program.nodes))}
        self.live = self._find_live()
        self.consumers: dict[int, list[int]] = defaultdict(list)
        for i in self.live:
            for a in dict.fromkeys(self.arguments[i]):
                self.consumers[a].append(i)
        self.fused = self._find_fused()
        self.roots = self._find_roots()
        self.where: dict[int, Where] = {}
        self.members: dict[int, list[int]] = defaultdict(list)
        self.in_place: set[int] = set()
        for i in self.live:
            self.where[i] = self._place(i)
            self.members[self.where[i].owner].append(i)
        self.last = {owner: self._last_use(owner) for owner in self.members}

    def is_view(self, i: int) -> bool:
        """Whether a node has no memory of its own."""
        return self.where[i].owner != i and i not in self.in_place

    def _find_arguments(self, i):
        """The arguments of a node: those that it writes one behind the other without the reshapes of them."""
        node = self.program.nodes[i]
        axis = {"stack": 0, "concatenate": (*node.attrs, 0)[0]}.get(node.op)
        if axis is None or math.prod(node.shape[:axis]) != 1:
            return node.args
        return tuple(map(self._before_reshape, node.args))

    def _before_reshape(self, i):
        while self.program.nodes[i].op == "reshape":
            (i,) = self.program.nodes[i].args
        return i

    def loop_arguments(self, i: int) -> tuple[int, ...]:
        """The arguments that a node reads element by element in a loop, so that they may be computed there."""
        op, arguments = self.program.nodes[i].op, self.arguments[i]
        if op == "interp":
            return arguments[:1]
        if op == "update":
            return arguments[1:]
        is_loop = OPERATIONS[op].kind in ("elementwise", "reduction") and op != "cumsum"
        return arguments if is_loop or op in ("stack", "concatenate") else ()

    def _find_live(self):
        live, waiting = set(), list(self.outputs)
        while waiting:
            i = waiting.pop()
            if i not in live:
                live.add(i)
                waiting.extend(self.arguments[i])
        return sorted(live)

    def _find_fused(self):
        """Elementwise nodes that are computed where they are read, in loops over their own shape."""
        fused, weight = set(), {}
        for i in self.live:
            weight[i] = 1
            for a in self.loop_arguments(i):
                if a in fused or (self._is_fusable(i, a) and weight[i] + weight[a] <= MAX_FUSED):
                    weight[i] += weight[a]
                    fused.add(a)
            if self.program.nodes[i].op in ("stack", "concatenate"):
                weight[i] = 1
            if weight[i] <= MAX_REPEATED and self._is_cheap(i, fused):
                fused.add(i)
        return fused

    def _is_fusable(self, i, a):
        """Whether a node is read once, by a loop over its own shape."""
        nodes = self.program.nodes
        return (
            OPERATIONS[nodes[a].op].kind == "elementwise"
            and len(self.consumers[a]) == 1
            and self.arguments[i].count(a) == 1
            and a not in self.outputs
            and nodes[a].shape == _loop_shape(self.program, i, a)
        )

    def _is_cheap(self, i, fused):
        """Whether to compute a node for each of its readers costs no more than to read it: it is made of one array."""
        node, readers = self.program.nodes[i], self.consumers[i]
        return (
            node.op in CHEAP
            and len(node.shape) > 0
            and len(readers) > 1
            and i not in self.outputs
            and len(self._arrays_of(i, fused)) == 1
            and all(i in self.loop_arguments(c) and node.shape == _loop_shape(self.program, c, i) for c in readers)
        )

    def _arrays_of(self, i, fused):
        """The arrays that a node's elements are computed from."""
        nodes = self.program.nodes
        found = (self._arrays_of(a, fused) if a in fused else {a} for a in self.arguments[i])
        return {a for part in found for a in part if nodes[a].shape}

    def _find_roots(self):
        """The nodes in whose loops each node is computed."""
        roots: dict[int, frozenset[int]] = {}
        for i in reversed(self.live):
            roots[i] = frozenset().union(*(roots[c] for c in self.consumers[i])) if i in self.fused else frozenset((i,))
        return roots

    def _place(self, i):
        node = self.program.nodes[i]
        view = _VIEWS.get(node.op)
        if view is not None:
            found = view(self.where[node.args[0]], self.program.nodes[node.args[0]], node)
            if found is not None:
                return found
        if node.op in ("update", "scatter") and self._may_overwrite(i):
            self.in_place.add(i)
            return self.where[node.args[0]]
        return Where(i, 0, c_strides(node.shape))

    def region(self, i: int) -> tuple[int, tuple[int, ...]]:
        """Offset and strides of what an ``update`` writes, in the memory of its result (or of its base)."""
        where = self.where.get(i) or self.where[self.program.nodes[i].args[0]]
        starts, _, steps = self.program.nodes[i].attrs
        offset = where.offset + sum(s * k for s, k in zip(where.strides, starts, strict=True))
        return offset, tuple(s * k for s, k in zip(where.strides, steps, strict=True))

    def _may_overwrite(self, i):
        """Whether nothing but this node reads its base's memory from now on."""
        nodes, base = self.program.nodes, self.program.nodes[i].args[0]
        where = self.where[base]
        if OPERATIONS[nodes[where.owner].op].kind == "leaf" or not nodes[where.owner].shape:
            return False
        if not is_dense(where.strides, nodes[base].shape):
            return False
        return all(self._is_done(member, i, base) for member in self.members[where.owner])

    def _is_done(self, member, i, base):
        if member in self.outputs:
            return False
        for consumer in self.consumers[member]:
            if consumer < i and consumer in self.where and self.where[consumer].owner == self.where[member].owner:
                continue  # a view or an earlier update: a member of its own
            roots = self.roots[consumer]
            if max(roots) > i or (i in roots and not self._reads_in_step(member, consumer, i, base)):
                return False
        return True

    def _reads_in_step(self, member, consumer, i, base):
        """Whether, in update i's own loop, element k is read before (and only before) element k is written."""
        node = self.program.nodes[i]
        if consumer == i and member == base and node.args.count(base) == 1:
            return True
        if node.op != "update" or self.program.nodes[member].shape != tuple(node.attrs[1]):
            return False
        offset, strides = self.region(i)
        return self.where[member] == Where(self.where[base].owner, offset, strides)

    def _last_use(self, owner):
        """The node after whose loop this memory is free."""
        members = self.members[owner]
        if any(member in self.outputs for member in members):
            return NEVER
        return max(max(self.roots[c]) for member in members for c in (*self.consumers[member], member))


def _view_reshape(where, argument, node):
    if not any(where.strides):
        return Where(where.owner, where.offset, (0,) * len(node.shape))
    if is_dense(where.strides, argument.shape):
        return Where(where.owner, where.offset, c_strides(node.shape))
    long = [(n, s) for n, s in zip(argument.shape, where.strides, strict=True) if n != 1]
    if [n for n, _ in long] != [n for n in node.shape if n != 1]:
        return None
    strides = (s for _, s in long)  # only axes of length 1 come and go
    return Where(where.owner, where.offset, tuple(0 if n == 1 else next(strides) for n in node.shape))


def _view_broadcast(where, argument, node):
    return Where(where.owner, where.offset, align(where.strides, argument.shape, node.shape))


def _view_transpose(where, argument, node):
    return Where(where.owner, where.offset, tuple(where.strides[k] for k in node.attrs[0]))


def _view_slice(where, argument, node):
    starts, _, steps = node.attrs
    offset = where.offset + sum(s * k for s, k in zip(where.strides, starts, strict=True))
    return Where(where.owner, offset, tuple(s * k for s, k in zip(where.strides, steps, strict=True)))


def _view_gather(where, argument, node):
    indices, shape = node.attrs
    if len(indices) != 1 or not is_dense(where.strides, argument.shape):
        return None
    return Where(where.owner, where.offset + indices[0], (0,) * len(shape))


_VIEWS = {
    "reshape": _view_reshape,
    "broadcast": _view_broadcast,
    "transpose": _view_transpose,
    "slice": _view_slice,
    "gather": _view_gather,
}
