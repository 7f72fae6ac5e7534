"""Ensembles in Julia: trajectories shared out over threads, and over the lanes of wide problems where that pays."""

from dataclasses import replace
from functools import cache

import numpy as np

from ...errors import UnsupportedByEngine
from ...requests import EnsembleRequest
from ..alike import order_alike
from ..base import NOTHING_FIRED, EnsembleFirings, RawEnsemble
from .catalogue import METHODS
from .checks import EXPLICIT, is_adaptive
from .derivatives import Wide, widen
from .loading import floats
from .status import read_return_code

LANES = (64, 32, 16, 8)  # trajectories in one wide problem, the most first
MOST_STATES = 500  # of all lanes: such a state and its stages stay near the processor, and its products need no threads
MOST_PARAMETERS = 20_000
MANY = 64  # trajectories, from which on lanes are taken unasked
STIFF = "Rodas5P"  # the stiff method whose lanes are compiled beforehand, and which "auto" takes there


def _count_lanes(request: EnsembleRequest, has_wide_parameters: bool) -> int:
    """How many trajectories go into one problem; 0: lanes don't suit this one."""
    solve = request.solve
    size = request.p.shape[1] if has_wide_parameters else 0
    fits = [n for n in LANES if n * solve.u0.size < MOST_STATES and n * size <= MOST_PARAMETERS] or [0]
    filled = next((n for n in fits if 2 * n <= len(request.u0)), fits[-1])  # two groups at least
    is_simple = solve.mass_matrix is None and not solve.events
    return filled if is_simple and (solve.algorithm == "auto" or _is_explicit(solve) or _is_stiff(solve)) else 0


def _is_explicit(solve):
    return solve.algorithm in EXPLICIT and METHODS[solve.algorithm].is_continuous and is_adaptive(solve)


def _is_stiff(solve):
    return solve.algorithm == STIFF and not solve.algorithm_options


def choose_lanes(request: EnsembleRequest) -> Wide | None:
    """The lanes of a request, None for none; UnsupportedByEngine where they were asked for and there can be none."""
    wide = _find_lanes(request)
    if request.parallel == "lanes" and wide is None:
        raise UnsupportedByEngine(
            "engine 'julia' does not support parallel='lanes' here: it takes 'auto', an explicit Runge-Kutta method "
            f"with step control ('Tsit5', 'Vern7', ...) or {STIFF!r}, no mass matrix, no events, and few states and "
            f"parameters; got {request.solve.algorithm!r}, {request.u0.shape[1]} states; use parallel='threads'"
        )
    return wide


def stiff_request(request: EnsembleRequest) -> EnsembleRequest | None:
    """What to ask where "auto" finds most members stiff: lanes of a stiff method; None if there can be none."""
    if request.solve.algorithm != "auto":
        return None
    stiff = replace(request, solve=replace(request.solve, algorithm=STIFF))
    return None if _find_lanes(stiff) is None else stiff


def _find_lanes(request):
    if request.parallel not in ("auto", "lanes") or request.parallel == "auto" and len(request.u0) < MANY:
        return None
    has_wide_parameters = bool((request.p != request.p[0]).any())
    lanes = _count_lanes(request, has_wide_parameters)
    varied = range(request.p.shape[1]) if has_wide_parameters else range(0)
    return widen(request.solve.program, lanes, varied, _is_stiff(request.solve)) if lanes else None


def find_order(request: EnsembleRequest, lanes: int) -> np.ndarray | None:
    """Members in an order in which neighbours are alike; None if that is their own."""
    order = order_alike(request.values, lanes)
    return None if np.array_equal(order, np.arange(len(order))) else order


def columns_of(request: EnsembleRequest, order: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Initial states and parameters as columns in an order: one column where all have the same."""
    same_u0, same_p = (not (rows != rows[0]).any() for rows in (request.u0, request.p))
    u0 = _in_order(request.u0[:1], None) if same_u0 and not same_p else _in_order(request.u0, order)
    return u0, _in_order(request.p[:1] if same_p else request.p, None if same_p else order)


def _in_order(rows, order):
    return floats(rows if order is None else rows[order]).T


def read_ensemble(
    answer, request: EnsembleRequest, names: tuple[str, ...], versions: dict[str, str], order: np.ndarray | None = None
) -> RawEnsemble:
    """What Julia gave, as arrays of members; those solved in an ``order`` in their own again."""
    u, words, places, counts, ran, n_tasks, n_lanes, *fired = answer
    rows, counts = u.T, counts.reshape(-1, len(names))
    if order is not None:  # there are no events where there are lanes
        rows, places, counts = (_put_back(values, order) for values in (rows, places, counts))
    codes = _codes_of(words)[places]
    assert request.solve.saveat is not None
    return RawEnsemble(
        u=rows.reshape(len(codes), len(request.solve.saveat), request.u0.shape[1]),
        codes=codes,
        statistics={name: counts[:, k] for k, name in enumerate(names)},
        algorithm=ran,
        parallel=f"lanes ({n_lanes})" if n_lanes else "threads" if n_tasks > 1 else "serial",
        versions=versions,
        firings=EnsembleFirings(np.repeat(np.arange(len(codes)), fired[0]), *fired[1:]) if fired else NOTHING_FIRED,
    )


@cache
def _codes_of(words: str) -> np.ndarray:
    """Our statuses' codes of some return codes."""
    return np.array([read_return_code(word).code for word in words.split()], dtype=np.int8)


def _put_back(values, order):
    """Rows in an order, in their own again."""
    found = np.empty_like(values)
    found[order] = values
    return found
