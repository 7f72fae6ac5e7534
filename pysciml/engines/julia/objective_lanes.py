"""Experiments of one objective solved as lanes of a wide problem, whose steps reversed give all their gradients."""

from dataclasses import dataclass

import numpy as np

from ...ir.evaluate import evaluate_program, slice_index
from ...ir.lanes import widen_program
from ...ir.program import Program
from ...requests import SumRequest
from ..alike import order_alike
from .bridge import Bridge
from .catalogue import METHODS
from .checks import EXPLICIT, GENERATED, is_adaptive, stop_times
from .derivatives import Wide, widen
from .embed import Handle
from .ensemble import LANES, MOST_PARAMETERS, MOST_STATES, STIFF
from .loading import Loader

MANY = 32  # experiments, from which on they are solved so: two groups of the least lanes that pay
LEAST = 16
SPREAD = 0.1  # of the points at which parameters of experiments are compared


@dataclass(frozen=True, eq=False)
class WideObjective:
    """What experiments have in common, for several of them: parameters at the places ``varied`` are each one's own.

    If it ``is_fixed``, these and the initial states don't depend on x. ``order`` lists the experiments such that
    neighbours are alike; ``stops`` are the stop times of all.
    """

    model: Wide
    observe: Program | None
    varied: np.ndarray
    is_fixed: bool
    order: np.ndarray
    stops: np.ndarray


def add_lanes(bridge: Bridge, load: Loader, handle: Handle, request: SumRequest) -> int:
    """Have the parts of a sum solved as lanes where they can be: how many at once, 0 for none."""
    word, _ = bridge.call("chosen_words", handle)
    wide = widen_objective(request, is_stiff=word == STIFF)
    if wide is None:
        return 0
    bridge.call(
        "add_lanes!",
        handle,
        load.lanes(wide.model, GENERATED),
        None if wide.observe is None else load.reversed(wide.observe),
        wide.model.lanes,
        wide.varied,
        wide.is_fixed,
        wide.order,
        wide.stops,
    )
    return wide.model.lanes


def widen_objective(request: SumRequest, is_stiff: bool) -> WideObjective | None:
    """The lanes of a sum of objectives; None where it is of few, or they don't suit it."""
    parts = request.parts
    if len(parts) < MANY or not all(map(_is_simple, parts)) or len({_shape(part) for part in parts}) > 1:
        return None
    first = parts[0]
    values, varied = _compare_parameters(request)
    size = first.solve.u0.size
    fits = [n for n in LANES if n >= LEAST and n * size < MOST_STATES and n * len(varied) <= MOST_PARAMETERS]
    if not fits:
        return None
    lanes, in_group = _share_out(len(parts), fits, is_stiff)
    model = widen(first.solve.program, lanes, tuple(varied.tolist()), is_stiff)
    if model is None:
        return None
    observe = None if first.observe is None else widen_program(first.observe, lanes, varied)
    return WideObjective(
        model=model,
        observe=observe,
        varied=varied,
        is_fixed=all(_is_fixed(part.parametrization, varied) for part in parts),
        order=order_alike(values, in_group),
        stops=np.unique(np.concatenate([stop_times(part.solve) for part in parts])),
    )


def _share_out(n, fits, is_stiff):
    """How many lanes groups have, as equal ones as can be, and how many of them are experiments."""
    if is_stiff:  # a matrix of lanes has a power of two: the one that leaves the fewest empty
        lanes = min((m for m in fits if n > m), key=lambda m: (-(-n // m) * m, -m))
        return lanes, -(-n // -(-n // lanes))
    groups = max(2, -(-n // fits[0]))
    in_group = -(-n // groups)
    return 4 * -(-in_group // 4), in_group  # four fill a processor's vectors


def _is_fixed(parametrization, varied):
    """Whether an initial state and the parameters at some places are constants."""
    depends: list[np.ndarray] = []  # for each node which of its elements may depend on x
    for node in parametrization.nodes:
        if node.op == "update":
            base, piece = node.args
            found = depends[base].copy()
            found[slice_index(*node.attrs)] = depends[piece]
        else:
            found = np.full(node.shape, node.op == "input" or any(depends[i].any() for i in node.args))
        depends.append(found)
    u0, p = (depends[output.node] for output in parametrization.outputs)
    return not u0.any() and not p[varied].any()


def _is_simple(part):
    """Whether an experiment's steps may be those of a method of lanes, reversed, and its loss is a sum over times."""
    solve = part.solve
    is_plain = solve.mass_matrix is None and not solve.events and is_adaptive(solve) and solve.device == "cpu"
    is_explicit = solve.algorithm in EXPLICIT and METHODS[solve.algorithm].is_continuous
    is_known = solve.algorithm in ("auto", STIFF) and not solve.algorithm_options or is_explicit
    is_reversed = part.sensitivity in ("auto", "discrete") and part.vjp == GENERATED
    return is_plain and is_known and is_reversed and part.whole is None and not part.n_path


def _shape(part):
    """What all must have in common."""
    solve, observe = part.solve, part.observe
    seen = None if observe is None else observe.hash
    return solve.program.hash, seen, part.sees_data, solve.t_span[0], solve.saveat.tobytes()


def _compare_parameters(request):
    """Initial states and parameters of all at x0, and the places of those that are not the same function of x in all.

    Different functions differ somewhere near x0: two random points there tell.
    """
    rng, x0 = np.random.default_rng(0), request.x0
    points = [x0, *(x0 + SPREAD * (1.0 + np.abs(x0)) * rng.standard_normal(x0.size) for _ in range(2))]
    varied = np.zeros(request.parts[0].solve.p.size, dtype=bool)
    first = None
    for x in points:
        with np.errstate(all="ignore"):
            values = [
                evaluate_program(part.parametrization, x[picks])
                for part, picks in zip(request.parts, request.picks, strict=True)
            ]
        u0, p = (np.array(rows) for rows in zip(*values, strict=True))
        first = np.hstack([u0, p]) if first is None else first
        varied |= (p != p[0]).any(axis=0)
    return first, np.flatnonzero(varied)
