"""Random Programs with inputs, over all operations, and the comparison of any evaluator with the oracle.

``programs()`` is the hypothesis strategy; ``random_programs(n, seed)`` makes the same kind without hypothesis, for
evaluators that compile each Program. Both run one generator on a ``random.Random``. Values are 0 or of a magnitude
in [1e-100, 1e100], mostly moderate; arguments are preferred that are finite so far, so that results aren't all NaN.
"""

import math
import random

import hypothesis.strategies as st
import numpy as np

from pysciml.ir.bound import evaluate_with_bound
from pysciml.ir.evaluate import make_step
from pysciml.ir.network import ACTIVATIONS, count_weights
from pysciml.ir.ops import BINARY, BOOL, COMPARISONS, FLOAT, OPERATIONS, UNARY
from pysciml.ir.program import Program, ProgramBuilder

MOST_ELEMENTS = 48
Example = tuple[Program, tuple[np.ndarray, ...]]


@st.composite
def programs(draw, rhs: bool = False, most_nodes: int = 12, without: frozenset[str] = frozenset()) -> Example:
    """Strategy of (program, inputs); ``rhs``: the inputs and the output of a right-hand side.

    The seed decides everything but the number of nodes, so that a failing example shrinks to its first nodes, and
    operations are as frequent as in ``random_programs`` (hypothesis' own choices are far from uniform).
    """
    n_nodes, seed = draw(st.integers(1, most_nodes)), draw(st.integers(0, 2**32 - 1))
    return random_program(random.Random(seed), rhs, n_nodes, without)


def random_programs(n: int, seed: int, rhs: bool = False, most_nodes: int = 12, without=frozenset()) -> list[Example]:
    """The same ``n`` examples for the same seed, on every machine."""
    rng = random.Random(seed)
    return [random_program(rng, rhs, rng.randint(1, most_nodes), without) for _ in range(n)]


def random_program(rng: random.Random, rhs: bool = False, n_nodes: int = 12, without=frozenset()) -> Example:
    """One Program of ``n_nodes`` chosen operations, and what they need, and arrays for its inputs."""
    maker = _Maker(rng, rhs)
    operations = [op for op in [*_MAKE, *("add", "sub", "mul", "div") * 3] if op not in without]
    for _ in range(n_nodes):
        maker.add_some(rng.choice(operations))
    return maker.finish_rhs() if rhs else maker.finish()


def decided_share(bounds: tuple[np.ndarray, ...]) -> float:
    """Share of the elements of all outputs that an evaluator can be held to."""
    decided = np.concatenate([np.isfinite(bound).ravel() for bound in bounds])
    return float(np.mean(decided)) if decided.size else 1.0


def assert_within_bound(got, want: np.ndarray, bound: np.ndarray) -> None:
    """Shapes equal; where the bound is finite: patterns of NaN and infinity equal, values within 100 bounds."""
    got = np.asarray(got)
    assert got.shape == want.shape, f"shape {got.shape}, the oracle's is {want.shape}"
    assert (got.dtype == np.bool_) == (want.dtype == np.bool_), f"type {got.dtype}, the oracle's is {want.dtype}"
    decided = np.isfinite(bound)
    got, want, bound = got[decided].astype(float), want[decided].astype(float), bound[decided]
    for pattern in (np.isnan, np.isposinf, np.isneginf):
        np.testing.assert_array_equal(pattern(got), pattern(want), err_msg=f"{pattern.__name__}: {got} against {want}")
    finite = np.isfinite(want)
    excess = np.abs(got[finite] - want[finite]) - 100 * bound[finite]
    assert np.all(excess <= 0), f"{got[finite]} against {want[finite]}, 100 x bound {100 * bound[finite]}"


def assert_equals_oracle(evaluate, program: Program, inputs) -> float:
    """Hold ``evaluate(*inputs) -> outputs`` to the oracle; returns the share of elements that could be held."""
    want, bounds = evaluate_with_bound(program, *inputs)
    got = evaluate(*inputs)
    assert len(got) == len(want)
    for item in zip(got, want, bounds, strict=True):
        assert_within_bound(*item)
    return decided_share(bounds)


def random_value(rng: random.Random) -> float:
    """Zero, small whole numbers, moderate and extreme magnitudes of either sign."""
    kind = rng.random()
    if kind < 0.08:
        return 0.0
    sign = rng.choice((1.0, 1.0, -1.0))
    if kind < 0.2:
        return sign * rng.choice((0.5, 1.0, 2.0, 3.0))
    if kind < 0.92:
        return sign * rng.uniform(0.1, 4.0)
    return sign * 10.0 ** rng.randint(-100, 100)


def random_array(rng: random.Random, shape) -> np.ndarray:
    """An array of ``random_value``."""
    return np.array([random_value(rng) for _ in range(math.prod(shape))]).reshape(shape)


def _random_shape(rng):
    return tuple(rng.randint(1, 3) for _ in range(rng.choice((0, 1, 1, 2, 2, 3))))


class _Maker:
    """A Program under construction whose nodes are evaluated as they come, to prefer those that are finite."""

    def __init__(self, rng, rhs):
        self.rng = rng
        self.builder = ProgramBuilder()
        self.values: list[np.ndarray] = []
        self.arrays: list[np.ndarray] = []
        shapes = [(), (rng.randint(1, 6),), (rng.randint(1, 8),)] if rhs else [_random_shape(rng)]
        shapes += [] if rhs else [_random_shape(rng) for _ in range(rng.randint(0, 2))]
        names = ("t", "u", "p") if rhs else ("x", "y", "z")
        for name, shape in zip(names, shapes, strict=False):
            self.builder.add_input(name, shape)
            self.arrays.append(random_array(rng, shape))
            self.values.append(self.arrays[-1])

    def shape(self, node):
        return self.builder.nodes[node].shape

    def constant(self, value):
        node = self.builder.constant(value)
        if node == len(self.values):
            self.values.append(np.asarray(value))
        return node

    def add(self, op, *args, attrs=()):
        node = self.builder.add(op, args, attrs)
        with np.errstate(all="ignore"):
            made = self.builder.nodes[node]
            self.values.append(np.asarray(make_step(made)(*(self.values[i] for i in args))))
        assert self.values[node].shape == self.shape(node)
        return node

    def pick(self, dtype=FLOAT, fits=lambda shape: True):
        """A node of a type whose shape fits, rather one that is finite; a new scalar if there is none."""
        found = [i for i, n in enumerate(self.builder.nodes) if n.dtype == dtype and fits(n.shape)]
        if not found or self.rng.random() < 0.1 and dtype == FLOAT and fits(()):
            return self.constant(random_value(self.rng)) if dtype == FLOAT else self.compare()
        for _ in range(3):
            node = found[max(self.rng.randrange(len(found)), self.rng.randrange(len(found)))]  # rather a late one
            if np.isfinite(self.values[node]).all():
                break
        return node

    def pick_any(self, fits=lambda shape: True):
        bools = any(n.dtype == BOOL and fits(n.shape) for n in self.builder.nodes)
        return self.pick(BOOL if bools and self.rng.random() < 0.2 else FLOAT, fits)

    def pick_array(self, dtype=FLOAT):
        """A node with at least one axis."""
        node = self.pick(dtype, lambda shape: shape != ())
        if self.shape(node) == ():
            node = self.add("stack", node, self.pick(dtype, lambda shape: shape == ()))
        return node

    def pick_with(self, *nodes, dtype=FLOAT):
        """A node that broadcasts with others, to a result that isn't large."""
        shapes = [self.shape(i) for i in nodes]

        def fits(shape):
            try:
                return math.prod(np.broadcast_shapes(shape, *shapes)) <= MOST_ELEMENTS
            except ValueError:
                return False

        node = self.pick(dtype, fits)
        return node if fits(self.shape(node)) else self.reshaped(node, shapes[0])

    def reshaped(self, node, shape):
        """A node of the given shape, made of another's elements."""
        if self.shape(node) == shape:
            return node
        if self.shape(node) == ():
            return self.add("broadcast", node, attrs=(shape,))
        size = math.prod(self.shape(node))
        indices = tuple(self.rng.randrange(size) for _ in range(math.prod(shape)))
        return self.add("gather", node, attrs=(indices, shape))

    def compare(self):
        a = self.pick()
        return self.add(self.rng.choice(COMPARISONS), a, self.pick_with(a))

    def window(self, shape):
        """Attributes of a slice of an array."""
        starts, lengths, steps = [], [], []
        for n in shape:
            step = self.rng.choice((1, 1, 2, -1, -2))
            start = self.rng.randrange(n)
            room = (n - 1 - start) // step if step > 0 else start // -step
            length = self.rng.randint(1, room + 1)
            starts.append(start)
            lengths.append(length)
            steps.append(step)
        return tuple(starts), tuple(lengths), tuple(steps)

    def add_some(self, op):
        _MAKE[op](self, op)

    def finish(self):
        """One to three outputs, the last node among them."""
        last = len(self.values) - 1
        nodes = [last] + [self.rng.randint(0, last) for _ in range(self.rng.randint(0, 2))]
        return self.builder.build((f"out{k}", node) for k, node in enumerate(nodes)), tuple(self.arrays)

    def finish_rhs(self):
        """``du`` of ``u``'s size, from the last nodes."""
        n = self.shape(1)[0]
        floats = [i for i, node in enumerate(self.builder.nodes) if node.dtype == FLOAT and i > 1][-3:]
        parts = [self.add("reshape", i, attrs=((math.prod(self.shape(i)),),)) for i in floats]
        du = self.add("concatenate", *parts, attrs=(0,))
        du = self.reshaped(du, (n,))
        if len(parts) == 1 and self.shape(du) == (n,) and self.builder.nodes[du].op == "concatenate":
            du = parts[0]
        return self.builder.build([("du", du)]), tuple(self.arrays)


def _unary(maker, op):
    attrs = (maker.rng.choice((-3, -2, -1, 0, 1, 2, 3, 4, 7)),) if op == "integer_power" else ()
    maker.add(op, maker.pick(), attrs=attrs)


def _binary(maker, op):
    dtype = BOOL if op.startswith("logical") else FLOAT
    a = maker.pick(dtype)
    args = [a, maker.pick_with(a, dtype=dtype)]
    maker.rng.shuffle(args)
    maker.add(op, *args)


def _unary_bool(maker, op):
    maker.add(op, maker.pick(BOOL))


def _where(maker, op):
    a = maker.pick_any()
    b = maker.pick_with(a, dtype=maker.builder.nodes[a].dtype)
    maker.add("where", maker.pick_with(a, b, dtype=BOOL), a, b)


def _interp(maker, op):
    n = maker.rng.randint(2, 5)
    places = sorted(maker.rng.uniform(-5, 5) for _ in range(n))
    heights = maker.pick(FLOAT, lambda shape: shape == (n,))
    heights = heights if maker.shape(heights) == (n,) else maker.constant(random_array(maker.rng, (n,)))
    maker.add("interp", maker.pick(), maker.constant(np.array(places)), heights)


def _reduction(maker, op):
    x = maker.pick()
    rank = len(maker.shape(x))
    maker.add(op, x, attrs=(tuple(sorted(maker.rng.sample(range(rank), maker.rng.randint(min(rank, 1), rank)))),))


def _cumsum(maker, op):
    x = maker.pick_array()
    maker.add(op, x, attrs=(maker.rng.randrange(len(maker.shape(x))),))


def _matmul(maker, op):
    a = maker.pick_array()
    shape, rng = maker.shape(a), maker.rng
    inner = shape[-1]
    choices = [(inner,), (inner, rng.randint(1, 3))]
    if len(shape) == 3:
        choices.append((shape[0], inner, rng.randint(1, 3)))
    b = maker.pick(FLOAT, lambda s: s in choices)
    b = b if maker.shape(b) in choices else maker.reshaped(b, rng.choice(choices))
    maker.add(op, a, b)


def _reshape(maker, op):
    x = maker.pick_any()
    n, left = math.prod(maker.shape(x)), []
    for _ in range(maker.rng.randint(0, 2)):
        left.append(maker.rng.choice([k for k in range(1, n + 1) if n % k == 0]))
        n //= left[-1]
    maker.add(op, x, attrs=((*left, n) if left or n > 1 or maker.rng.random() < 0.5 else (),))


def _broadcast(maker, op):
    x = maker.pick_any(lambda shape: math.prod(shape) <= MOST_ELEMENTS // 3)
    lead = (maker.rng.randint(1, 3),) if len(maker.shape(x)) < 3 else ()
    grown = tuple(maker.rng.randint(1, 3) if n == 1 else n for n in maker.shape(x))
    maker.add(op, x, attrs=(lead + grown if math.prod(lead + grown) <= MOST_ELEMENTS else maker.shape(x),))


def _transpose(maker, op):
    x = maker.pick_any()
    maker.add(op, x, attrs=(tuple(maker.rng.sample(range(len(maker.shape(x))), len(maker.shape(x)))),))


def _stack(maker, op):
    x = maker.pick_any(lambda shape: len(shape) < 3 and math.prod(shape) <= MOST_ELEMENTS // 3)
    dtype, shape = maker.builder.nodes[x].dtype, maker.shape(x)
    others = [maker.pick(dtype, lambda s: s == shape) for _ in range(maker.rng.randint(0, 2))]
    maker.add(op, x, *(maker.reshaped(i, shape) for i in others))


def _concatenate(maker, op):
    x = maker.pick_array()
    shape = maker.shape(x)
    axis = maker.rng.randrange(len(shape))
    other = maker.reshaped(maker.pick(), shape[:axis] + (maker.rng.randint(1, 2),) + shape[axis + 1 :])
    args = [x, other] + [x] * (math.prod(shape) <= MOST_ELEMENTS // 3 and maker.rng.random() < 0.3)
    maker.rng.shuffle(args)
    maker.add(op, *args, attrs=(axis,))


def _slice(maker, op):
    x = maker.pick_any()
    maker.add(op, x, attrs=maker.window(maker.shape(x)))


def _gather(maker, op):
    x = maker.pick_any(lambda shape: shape != ())
    shape = _random_shape(maker.rng)
    indices = tuple(maker.rng.randrange(math.prod(maker.shape(x))) for _ in range(math.prod(shape)))
    maker.add(op, x, attrs=(indices, shape))


def _update(maker, op):
    x = maker.pick_any()
    window = maker.window(maker.shape(x))
    value = maker.pick(maker.builder.nodes[x].dtype)
    maker.add(op, x, maker.reshaped(value, window[1]), attrs=window)


def _scatter(maker, op):
    x = maker.pick_array()
    size = math.prod(maker.shape(x))
    indices = tuple(maker.rng.sample(range(size), maker.rng.randint(1, min(size, 4))))
    maker.add(op, x, maker.reshaped(maker.pick(), (len(indices),)), attrs=(indices,))


def _network(maker, op):
    x, rng = maker.pick_array(), maker.rng
    sizes = (maker.shape(x)[-1], rng.randint(1, 2), rng.randint(1, 3), rng.randint(0, 2))
    words = list(ACTIVATIONS)
    ranges = tuple((-rng.uniform(0.5, 5), rng.uniform(0.5, 5)) for _ in range(sizes[0])) if rng.random() < 0.3 else None
    weights = maker.reshaped(maker.pick(FLOAT, lambda shape: shape != ()), (count_weights(*sizes),))
    final = rng.choice([None, None, *words])
    maker.add(op, weights, x, attrs=(*sizes, rng.choice(words), final, ranges))


_MAKE = {
    **{op: _unary for op in [*UNARY, "isnan", "isfinite"]},
    **{op: _binary for op in [*BINARY, *COMPARISONS, "logical_and", "logical_or"]},
    **{op: _unary_bool for op in ("logical_not", "to_float")},
    **{op: _reduction for op in ("sum", "prod", "max", "min")},
    **{"where": _where, "interp": _interp, "cumsum": _cumsum, "matmul": _matmul, "reshape": _reshape},
    **{"broadcast": _broadcast, "transpose": _transpose, "stack": _stack, "concatenate": _concatenate},
    **{"slice": _slice, "gather": _gather, "update": _update, "scatter": _scatter, "network": _network},
}
assert _MAKE.keys() | {"input", "constant"} == OPERATIONS.keys()
