"""What is trained: patterns over names, bounds, and the flat vector x in the user's own units."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase

import numpy as np

from ..errors import ProblemError
from ..ir.program import Program, ProgramBuilder
from ..ir.rewrite import inline_program
from ..tracing.layout import Entry, Layout
from ..words import nearest

NOTHING = type("Nothing", (), {})()  # for ``trainable`` where x holds something else only


@dataclass(frozen=True)
class Positive:
    """The bound of a quantity that must stay above zero.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Positive()
    Positive()
    """


@dataclass(frozen=True)
class Interval:
    """The bounds of a quantity that must stay between two values, in its own unit.

    Parameters
    ----------
    lo, hi : float
        Finite, ``lo < hi``.

    Raises
    ------
    ProblemError
        If the bounds are not finite or reversed.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.Interval(0, 1)
    Interval(lo=0, hi=1)
    """

    lo: float
    hi: float

    def __post_init__(self):
        if not (np.isfinite(self.lo) and np.isfinite(self.hi) and self.lo < self.hi):
            raise ProblemError(f"Interval: needs finite lo < hi, got lo={self.lo!r}, hi={self.hi!r}")


Bound = Positive | Interval


def limits(bound: Bound | None) -> tuple[float | None, float | None]:
    """Lower and upper end of a bound, None where there is none."""
    if isinstance(bound, Positive):
        return (0.0, None)
    return (bound.lo, bound.hi) if isinstance(bound, Interval) else (None, None)


def from_limits(low: float | None, high: float | None) -> Bound:
    """The bound with these ends."""
    return Positive() if high is None else Interval(low, high)


@dataclass(frozen=True)
class Block:
    """A named piece of ``x``: where it lies in ``x`` and in the vector it comes from (``"u0"`` or ``"p"``).

    ``name`` is a parameter's, ``u0_<state>``, or a network's layer (``net.0.weight``), whose ``network`` is its owner.
    One that differs by experiment has a block for each, of which ``coords`` are the batch dims with their labels.
    """

    name: str
    vector: str
    start: int
    shape: tuple[int, ...]
    source: int
    bound: Bound | None = None
    network: str | None = None
    depth: int = 0  # the owner's hidden layers
    coords: tuple[tuple[str, object], ...] = ()

    @property
    def label(self) -> str:
        """The name, with the experiment's coordinates where it has some: ``"k(patient=3)"``."""
        return self.name + (f"({', '.join(f'{dim}={label}' for dim, label in self.coords)})" if self.coords else "")

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    @property
    def target(self) -> slice:
        """Place in ``u0`` or ``p``."""
        return slice(self.source, self.source + self.size)

    @property
    def slice(self) -> slice:
        """Place in ``x``."""
        return slice(self.start, self.start + self.size)


def candidate_blocks(u: Layout | None, p: Layout) -> list[Block]:
    """Everything that could be trained, in the order of ``p`` then ``u0``; positions in ``x`` not yet set.

    ``u`` is None where the initial state follows from ``p``.
    """
    blocks = []
    for entry in p.entries:
        if entry.table is not None:
            shape = (entry.table.n_times, *entry.table.shape)
            blocks.append(Block(entry.name, "p", 0, shape, entry.start + entry.table.values_slice.start))
            continue
        if entry.network is None:
            blocks.append(Block(entry.name, "p", 0, entry.shape, entry.start))
            continue
        for layer in entry.network.layers:
            name = f"{entry.name}.{layer.index}"
            weight = (layer.out_size, layer.in_size)
            owner = {"network": entry.name, "depth": entry.network.depth}
            blocks.append(Block(f"{name}.weight", "p", 0, weight, entry.start + layer.weight.start, **owner))
            bias = (layer.out_size,)
            blocks.append(Block(f"{name}.bias", "p", 0, bias, entry.start + layer.bias.start, **owner))
    if u is not None:
        blocks += [Block(f"u0_{entry.name}", "u0", 0, entry.shape, entry.start) for entry in u.entries]
    return blocks


def read_trainable(
    trainable: None | Sequence[str] | str | Mapping[str, object],
    u: Layout | None,
    p: Layout,
    batches: Mapping[str, Sequence[Mapping[str, object]]] | None = None,
) -> tuple[Block, ...]:
    """The blocks of ``x``; ProblemError for a pattern that matches nothing or a bound that can't be one.

    What differs by experiment, with labels of its experiments in ``batches``, is trained only if it is named, and
    then for each of them.
    """
    batches = batches or {}
    if trainable is NOTHING:
        return ()
    candidates = candidate_blocks(u, p)
    if trainable is None:
        chosen = [
            b for b in candidates if b.vector == "p" and b.name not in batches and _is_trained(p[b.network or b.name])
        ]
        bounds = [None] * len(chosen)
        if not chosen:
            names = [] if u is None else ["u0_" + name for name in u.names[:3]]
            raise ProblemError(
                "trainable: the problem has no float parameters and no networks, so nothing can be trained"
                + (f"; name initial values to train these: trainable={names}" if names else "")
            )
    else:
        patterns = _read_patterns(trainable)
        matches = {pattern: [b for b in candidates if _matches(pattern, b)] for pattern in patterns}
        _check_patterns(matches, candidates)
        last = {b.name: pattern for pattern in patterns for b in matches[pattern]}  # a later pattern wins
        chosen = [b for b in candidates if b.name in last]
        bounds = [patterns[last[b.name]] for b in chosen]
        _check_tables(chosen, p)
    blocks, start = [], 0
    for b, bound in zip(chosen, bounds, strict=True):
        for label in batches.get(b.name, [{}]):
            blocks.append(replace(b, start=start, bound=bound, coords=tuple(label.items())))
            start += b.size
    return tuple(blocks)


def _is_trained(entry: Entry) -> bool:
    """Whether a parameter is trained without being named."""
    return entry.is_float and entry.table is None


def _check_tables(chosen, p):
    """ProblemError for a spline: the slopes in its table follow from its values."""
    for block in chosen:
        table = p[block.name].table if block.name in p.names else None
        if table is not None and table.method == "cubic":
            raise ProblemError(
                f"trainable: {block.name!r} is a cubic input, which can't be trained; write method='linear'"
            )


def _read_patterns(trainable):
    """Bound by pattern, None where there is no bound."""
    if isinstance(trainable, str):
        trainable = [trainable]
    if not isinstance(trainable, Mapping):
        trainable = dict.fromkeys(trainable, True)
    if not trainable:
        raise ProblemError("trainable: empty, so nothing would be trained; leave it out to train all parameters")
    patterns = {}
    for pattern, bound in trainable.items():
        if isinstance(bound, type) and issubclass(bound, Positive):
            bound = bound()
        if bound is not True and not isinstance(bound, Positive | Interval):
            allowed = "True, ps.Positive() or ps.Interval(lo, hi)"
            raise ProblemError(f"trainable[{pattern!r}] must be {allowed}, got {bound!r}")
        patterns[str(pattern)] = None if bound is True else bound
    return patterns


def _matches(pattern, block):
    return fnmatchcase(block.name, pattern) or (block.network is not None and fnmatchcase(block.network, pattern))


def _check_patterns(matches, candidates):
    names = [b.name for b in candidates] + sorted({b.network for b in candidates if b.network})
    for pattern, blocks in matches.items():
        if not blocks and pattern == "t_span":
            raise ProblemError(
                "trainable: the ends of t_span stay where they are; ps.gradient(wrt=['t_span']) has slopes"
            )
        if not blocks:
            raise ProblemError(
                f"trainable: {pattern!r} names nothing; names are {', '.join(names)}{nearest(pattern, names)}"
            )


def whole_networks(blocks: Sequence[Block]) -> dict[str, list[Block]]:
    """The networks of which every layer is trained: their blocks, in order, by the network's name."""
    found: dict[str, list[Block]] = {}
    for block in blocks:
        if block.network is not None:
            found.setdefault(block.network, []).append(block)
    return {name: layers for name, layers in found.items() if len(layers) == 2 * (layers[0].depth + 1)}


def check_inside(blocks: Sequence[Block], x: np.ndarray) -> None:
    """ProblemError where a start value lies outside its bound."""
    for block in blocks:
        values = x[block.slice]
        if isinstance(block.bound, Positive) and not (values > 0).all():
            raise ProblemError(f"{block.name}: Positive() needs a start value above 0, got {values.min():g}")
        if isinstance(block.bound, Interval) and not ((values > block.bound.lo) & (values < block.bound.hi)).all():
            raise ProblemError(f"{block.name}: {block.bound} needs a start value strictly inside, got {values}")


def gather_x(blocks: Sequence[Block], u0: np.ndarray, p: np.ndarray) -> np.ndarray:
    """``x`` of given initial values and parameters."""
    return np.concatenate([np.zeros(0), *((u0 if b.vector == "u0" else p)[b.target] for b in blocks)])


def scatter_x(blocks: Sequence[Block], x: np.ndarray, u0: np.ndarray, p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Copies of ``u0`` and ``p`` with the trained pieces replaced by those of ``x``."""
    vectors = {"u0": np.array(u0), "p": np.array(p)}
    for block in blocks:
        vectors[block.vector][block.target] = x[block.slice]
    return vectors["u0"], vectors["p"]


def add_scatter(
    builder: ProgramBuilder, blocks: Sequence[Block], x: int, u0: np.ndarray, p: np.ndarray, initial: Program | None
) -> Program:
    """Finish a parametrization: from the node of ``x`` to the outputs ``u0`` and ``p``; ``initial`` is ``p -> u0``."""
    vectors = {"u0": builder.constant(u0), "p": builder.constant(p)}
    for block in blocks:
        piece = builder.add("slice", (x,), ((block.start,), (block.size,), (1,)))
        place = ((block.source,), (block.size,), (1,))
        vectors[block.vector] = builder.add("update", (vectors[block.vector], piece), place)
    if initial is not None:
        (vectors["u0"],) = inline_program(builder, initial, [vectors["p"]])
    return builder.build(vectors.items())


def natural_parametrization(
    blocks: Sequence[Block], u0: np.ndarray, p: np.ndarray, initial: Program | None = None
) -> Program:
    """``x -> u0, p`` with ``x`` in the user's own units."""
    builder = ProgramBuilder()
    x = builder.add_input("x", (sum(block.size for block in blocks),))
    return add_scatter(builder, blocks, x, u0, p, initial)
