"""Ensembles in JAX: blocks of trajectories, each a lane of the compiled loop of a single solve."""

import time
from functools import lru_cache

import jax
import numpy as np

from ...requests import EnsembleRequest
from ..alike import order_alike
from ..base import RawEnsemble, Status
from .algorithms import METHODS
from .loop import Arguments, Loop
from .methods import count_stages
from .solve import FIRST_CHUNK, STIFF, bucket, explicit_word, next_chunk, patience, prepare
from .status import result_codes

FEW = 8  # trajectories of a block at least: a few sizes only, since each compiles
BLOCK = {"cpu": 128, "gpu": 2**16}  # at most: more wait for the slowest, fewer leave vectors, or a GPU's cores, empty
MOST_NUMBERS = {"cpu": 2**22, "gpu": 2**26}  # states at save times in a block


def solve_ensemble(request: EnsembleRequest) -> RawEnsemble:
    """Solve all members; what ``"auto"`` finds stiff is solved again by a stiff method."""
    solve = request.solve
    if solve.algorithm != "auto":
        results = _Results(request)
        _solve_some(request, solve.algorithm, np.inf, order_alike(request.values, BLOCK[request.device]), results)
        return results.gather(solve.algorithm, "")
    word = explicit_word(solve) if request.dtype == "float64" else "Tsit5"  # sums of many stages round off digits
    results = _Results(request)
    order = order_alike(request.values, BLOCK[request.device])
    is_stiff = _solve_some(request, word, patience(solve.u0.size), order, results)
    words, reason = word, "auto: not stiff, since stability did not limit the steps"
    if is_stiff.size:
        _solve_some(request, STIFF, np.inf, is_stiff, results)
        words = STIFF if is_stiff.size == len(request.u0) else f"{word}, {STIFF}"
        reason = f"auto: {is_stiff.size} of {len(request.u0)} stiff, since stability limited the steps of {word}"
    return results.gather(words, reason)


def _solve_some(request: EnsembleRequest, word, most_left, members, results) -> np.ndarray:
    """Solve some members by one method, block by block; those that were given up as stiff."""
    saveat = request.solve.saveat
    assert saveat is not None
    most = MOST_NUMBERS[request.device] // (len(saveat) * request.u0.shape[1])
    size = int(np.clip(most, 1, min(BLOCK[request.device], bucket(len(members), FEW))))
    stiff = []
    for start in range(0, len(members), size):
        block = members[start : start + size]
        padded = np.append(block, np.repeat(block[-1], size - len(block)))
        arguments, loop = prepare(request.solve, word, most_left)
        arguments = arguments._replace(u0=request.u0[padded], p=request.p[padded])
        state, was_interrupted = _run(make_lanes(loop), arguments)
        if state is None:
            break
        stiff.append(block[np.asarray(state.stiffness.is_stiff)[: len(block)]])
        results.take(block, state, word, was_interrupted)
        if was_interrupted:
            break
    return np.concatenate([np.zeros(0, dtype=np.int64), *stiff])


@lru_cache(maxsize=64)
def make_lanes(loop: Loop) -> Loop:
    """The loop over a leading axis of initial states and parameters."""
    axes = Arguments(*(0 if name in ("u0", "p") else None for name in Arguments._fields))
    return Loop(
        jax.jit(jax.vmap(loop.start, (axes,))),
        jax.jit(jax.vmap(loop.advance, (axes, 0, None))),
    )


def _run(loop, arguments):
    """The last state of a block, and whether the user interrupted it; None: before there was one."""
    state = None
    try:
        state, steps = loop.start(arguments), FIRST_CHUNK
        while np.any(_is_running(state, arguments)):
            begin = time.perf_counter()
            state = jax.block_until_ready(loop.advance(arguments, state, np.int64(steps)))
            steps = next_chunk(steps, time.perf_counter() - begin)
    except KeyboardInterrupt:
        return state, True
    return state, False


def _is_running(state, arguments):
    is_good = np.asarray(state.result._value) == result_codes()[Status.SUCCESS][0]
    is_short = np.asarray(state.steps) < arguments.max_steps
    return (np.asarray(state.t) < arguments.t1) & ~np.asarray(state.stiffness.is_stiff) & is_short & is_good


class _Results:
    """What has become of the members so far."""

    def __init__(self, request: EnsembleRequest):
        saveat, size = request.solve.saveat, len(request.u0)
        assert saveat is not None
        self.request, self.saveat = request, saveat
        self.u = np.full((size, len(saveat), request.u0.shape[1]), np.nan)
        self.codes = np.full(size, Status.INTERRUPTED.code, dtype=np.int8)
        self.statistics = {name: np.zeros(size, dtype=np.int64) for name in ("steps", "rejected")}
        self.evaluations = np.zeros(size, dtype=np.int64)

    def take(self, block, state, word, was_interrupted) -> None:
        """The end of a block."""
        count, t0 = len(block), self.request.solve.t_span[0]
        rows = np.asarray(state.rows)[:count, : len(self.saveat)].copy()
        reached = np.asarray(state.row)[:count]
        if self.saveat[0] == t0:
            rows[:, 0] = self.request.u0[block]
            reached = np.maximum(reached, 1)
        rows[np.arange(rows.shape[1]) >= reached[:, np.newaxis]] = np.nan
        self.u[block] = rows
        self.codes[block] = self._codes(state, count, was_interrupted)
        steps, rejected = np.asarray(state.steps)[:count], np.asarray(state.rejected)[:count]
        self.statistics["steps"][block], self.statistics["rejected"][block] = steps - rejected, rejected
        if not METHODS[word].is_stiff:
            self.evaluations[block] = 2 + steps * count_stages(METHODS[word])

    def _codes(self, state, count, was_interrupted):
        is_over = np.asarray(state.t)[:count] >= self.request.solve.t_span[1]
        unfinished = Status.INTERRUPTED if was_interrupted else Status.MAX_STEPS
        codes = np.where(is_over, Status.SUCCESS.code, unfinished.code)
        results = np.asarray(state.result._value)[:count]
        for status, values in result_codes().items():
            if status is not Status.SUCCESS:
                codes[np.isin(results, values)] = status.code
        return codes

    def gather(self, words: str, reason: str) -> RawEnsemble:
        """All of it, as the contract wants it."""
        evaluations = {"function_evaluations": self.evaluations} if self.evaluations.any() else {}
        return RawEnsemble(self.u, self.codes, self.statistics | evaluations, words, "lanes", reason)
