"""Ensembles in Julia: trajectories shared out over threads, and over the lanes of wide problems where that pays."""

from functools import lru_cache

import numpy as np

from ...errors import UnsupportedByEngine
from ...ir.lanes import widen_program
from ...requests import EnsembleRequest
from ..base import RawEnsemble
from .catalogue import METHODS
from .checks import EXPLICIT, is_adaptive
from .status import read_return_code

LANES = (64, 32, 16, 8)  # trajectories in one wide problem, the most first
MOST_STATES = 500  # of all lanes: such a state and its stages stay near the processor, and its products need no threads
MOST_PARAMETERS = 20_000
MANY = 64  # trajectories, from which on lanes are taken unasked
wide_program = lru_cache(maxsize=64)(widen_program)


def count_lanes(request: EnsembleRequest) -> tuple[int, bool]:
    """How many trajectories go into one problem (0: lanes don't suit this one), and whether parameters differ."""
    solve = request.solve
    has_wide_parameters = bool((request.p != request.p[0]).any())
    size = request.p.shape[1] if has_wide_parameters else 0
    fits = [n for n in LANES if n * solve.u0.size < MOST_STATES and n * size <= MOST_PARAMETERS] or [0]
    filled = next((n for n in fits if 2 * n <= len(request.u0)), fits[-1])  # two groups at least
    is_simple = solve.mass_matrix is None and not solve.events and (solve.algorithm == "auto" or _is_explicit(solve))
    return (filled if is_simple else 0), has_wide_parameters


def _is_explicit(solve):
    return solve.algorithm in EXPLICIT and METHODS[solve.algorithm].is_continuous and is_adaptive(solve)


def choose_lanes(request: EnsembleRequest) -> tuple[int, bool]:
    """The lanes of a request, 0 for none; UnsupportedByEngine where they were asked for and there can be none."""
    n_lanes, has_wide_parameters = count_lanes(request)
    if request.parallel == "lanes" and not n_lanes:
        raise UnsupportedByEngine(
            "engine 'julia' does not support parallel='lanes' here: it takes 'auto' or an explicit Runge-Kutta method "
            "with step control ('Tsit5', 'Vern7', ...), no mass matrix, no events, and few states and parameters; got "
            f"{request.solve.algorithm!r}, {request.u0.shape[1]} states; use parallel='threads'"
        )
    is_wanted = request.parallel == "lanes" or request.parallel == "auto" and len(request.u0) >= MANY
    return (n_lanes if is_wanted else 0), has_wide_parameters


def read_ensemble(answer, request: EnsembleRequest, names: tuple[str, ...], versions: dict[str, str]) -> RawEnsemble:
    """What Julia gave, as arrays of members."""
    u, words, places, counts, ran, n_tasks, n_lanes = answer
    codes = np.array([read_return_code(word).code for word in words.split()], dtype=np.int8)[places]
    counts = counts.reshape(-1, len(names))
    assert request.solve.saveat is not None
    return RawEnsemble(
        u=u.T.reshape(len(codes), len(request.solve.saveat), request.u0.shape[1]),
        codes=codes,
        statistics={name: counts[:, k] for k, name in enumerate(names)},
        algorithm=ran,
        parallel=f"lanes ({n_lanes})" if n_lanes else "threads" if n_tasks > 1 else "serial",
        versions=versions,
    )
