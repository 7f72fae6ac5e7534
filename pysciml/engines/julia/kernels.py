"""Ensembles solved member by member by one compiled function of numbers: in float32, and on a GPU."""

from functools import lru_cache

import numpy as np

from ...errors import UnsupportedByEngine
from ...ir.expand import expand_networks
from ...ir.jacobian import time_gradient, unrolled_jacobian
from ...ir.origin import uses_time
from ...ir.program import Program
from ...ir.simplify import simplify_program
from ...ir.unroll import count_operations
from ...requests import EnsembleRequest
from .algorithms import METHODS
from .printer_scalars import print_scalars

EXPLICIT = ("Tsit5", "Vern7", "Vern9", "DP5", "BS3")
ROSENBROCK = ("Rodas5P", "Rodas4")
MOST_STATES, MOST_FACTORED = 32, 12  # with a matrix, which is factored by written-out operations
MOST_OPERATIONS = 1000  # of a right-hand side, each written out: compiling them takes seconds
TIGHT = 1e-6  # tolerances below ask for methods of higher order


def words_of(request: EnsembleRequest) -> tuple[str, ...]:
    """The methods of a request: the first, and the one for members that it finds stiff.

    Raises
    ------
    UnsupportedByEngine
        For other methods, too many states or too large a model.
    """
    solve, size = request.solve, request.u0.shape[1]
    what = "device='gpu'" if request.device == "gpu" else f"dtype={request.dtype!r}"
    word = solve.algorithm
    if solve.algorithm_options or word not in ("auto", *EXPLICIT, *ROSENBROCK):
        known = ", ".join(("auto", *EXPLICIT, *ROSENBROCK))
        given = f"{word!r} with options" if solve.algorithm_options else repr(word)
        raise UnsupportedByEngine(f"engine 'julia' does not support the algorithm {given} with {what}, only: {known}")
    most = MOST_STATES if word in EXPLICIT else MOST_FACTORED
    if size > most:
        more = f" ({', '.join(EXPLICIT)}: {MOST_STATES})" if word not in EXPLICIT else ""
        raise UnsupportedByEngine(
            f"engine 'julia' with {what} keeps members in registers: at most {most} states with {word!r}{more}, "
            f"got {size}; engine='diffrax' takes any number"
        )
    if (count := count_operations(expand_networks(solve.program))) > MOST_OPERATIONS:
        raise UnsupportedByEngine(
            f"engine 'julia' with {what} writes out each operation of a model: at most {MOST_OPERATIONS}, got {count}; "
            "engine='diffrax' takes any number"
        )
    if word != "auto":
        return (word,)
    return ("Tsit5" if solve.rtol >= TIGHT else "Vern7", "Rodas5P")


@lru_cache(maxsize=64)
def print_kernel(program: Program, has_matrix: bool) -> tuple[str, str, str]:
    """The texts of a right-hand side, its Jacobian by columns and its slope in time; empty where not needed."""
    expanded = simplify_program(expand_networks(program))
    if not has_matrix:
        return print_scalars(expanded), "", ""
    n = expanded.nodes[expanded.outputs[0].node].size
    entries, rows, columns = unrolled_jacobian(expanded)
    matrix = print_scalars(entries, (columns * n + rows).tolist(), n * n)
    return print_scalars(expanded), matrix, print_scalars(time_gradient(expanded)) if uses_time(expanded) else ""


def kernel_arguments(request: EnsembleRequest) -> tuple:
    """What Julia is given: device, type, texts, methods with their orders, and the members."""
    solve, words = request.solve, words_of(request)
    assert solve.saveat is not None
    is_same = bool((request.p == request.p[0]).all())
    stops = np.zeros(0) if solve.tstops is None else solve.tstops
    if request.dtype == "float32" and len(stops):
        before = np.nextafter(stops.astype(np.float32), np.float32(-np.inf)).astype(np.float64)
    else:
        before = np.nextafter(stops, -np.inf)
    return (
        request.device,
        request.dtype,
        *print_kernel(solve.program, words[-1] in ROSENBROCK),
        " ".join(words),
        np.array([METHODS[word].order for word in words], dtype=np.int64),
        np.ascontiguousarray(request.u0, dtype=np.float64).T,
        np.ascontiguousarray(request.p[:1] if is_same else request.p, dtype=np.float64).T,
        *map(float, solve.t_span),
        np.ascontiguousarray(solve.saveat, dtype=np.float64),
        np.union1d(stops, before),  # the model may jump at a stop: steps end before it too
        float(solve.rtol),
        float(solve.atol),
        float(solve.dt or 0.0),
        float(solve.dtmax or 0.0),
        int(solve.max_steps),
    )
