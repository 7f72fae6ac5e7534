"""A solve from request to arrays: which method, chunk after chunk, what came of it."""

import time
from contextlib import contextmanager
from dataclasses import dataclass

import jax
import numpy as np

from ...errors import ProblemError
from ...requests import SolveRequest
from ..base import Firings, RawSolution, Status, Stop, is_success
from .algorithms import METHODS
from .control import RESULTS
from .events import Occasions
from .loop import Arguments, Loop, make_loop
from .methods import count_stages
from .precision import place
from .status import read_result

FIRST_CHUNK = 16  # steps; later chunks grow towards CHUNK_SECONDS, so that Ctrl-C is soon heard
CHUNK_SECONDS = 0.1
MOST_ROWS, MOST_NUMBERS = 1024, 2**20  # rows a chunk keeps without saveat, and how many numbers these may be
STIFF, LOOSE = "Kvaerno5", 1e-5


@dataclass(frozen=True, eq=False)
class Outcome:
    """A solve by one method, as far as it went."""

    t: np.ndarray
    u: np.ndarray
    status: Status
    message: str
    steps: int = 0
    rejected: int = 0
    t_end: float = np.nan
    is_stiff: bool = False  # given up: stability limits the steps
    firings: Firings | None = None
    stop: Stop | None = None


def solve_request(request: SolveRequest, most_left: float | None = None) -> RawSolution:
    """Solve by the method asked for; ``auto`` tries an explicit one, and starts again if the problem is stiff.

    It is taken as stiff if stability limits the steps and more than ``most_left`` are still to go; None: so many that
    an implicit method pays.
    """
    if request.algorithm != "auto":
        return _raw(request.algorithm, "", integrate(request, request.algorithm))
    word = explicit_word(request)
    first = integrate(request, word, patience(request.u0.size) if most_left is None else most_left)
    if not first.is_stiff:
        return _raw(word, "auto: not stiff, since stability did not limit the steps", first)
    reason = f"auto: stiff, since stability limited the steps of {word} near t = {first.t_end:.6g}"
    return _raw(STIFF, reason, integrate(request, STIFF))


def explicit_word(request: SolveRequest) -> str:
    """The method that ``auto`` tries first."""
    return "Tsit5" if request.rtol >= LOOSE else "DP8"


def patience(size: int) -> float:
    """Explicit steps still to go from which on an implicit method is worth its compilation and its matrices."""
    return 500.0 * max(1.0, size / 200) ** 2


def _raw(word, reason, outcome):
    statistics = {"steps": outcome.steps - outcome.rejected, "rejected": outcome.rejected}
    if not METHODS[word].is_stiff:
        statistics["function_evaluations"] = 2 + outcome.steps * count_stages(METHODS[word])
    u, status = outcome.u[None], (outcome.status,)
    return RawSolution(
        outcome.t,
        u,
        status,
        word,
        reason,
        outcome.message,
        statistics,
        firings=outcome.firings,
        stops=(outcome.stop,),
    )


def integrate(request: SolveRequest, word: str, patience: float = np.inf) -> Outcome:
    """One method from start to end; KeyboardInterrupt leaves what the finished chunks brought."""
    arguments, loop = prepare(request, word, patience)
    occasions = Occasions(request)
    state, chunks, was_interrupted = None, [], False
    try:
        with _progress_bar(request) as show:
            arguments = place(occasions.start(arguments), request.device)
            state, steps = loop.start(arguments), FIRST_CHUNK
            while _is_running(state, request) and not occasions.is_over:
                begin = time.perf_counter()
                state = jax.block_until_ready(loop.advance(arguments, state, np.int64(steps)))
                if request.saveat is None:
                    chunks.append((np.asarray(state.times)[: state.row], np.asarray(state.rows)[: state.row]))
                steps = next_chunk(steps, time.perf_counter() - begin)
                show(float(state.t))
                after = occasions.act(arguments, state)
                if after is not None and after.t0 < request.t_span[1]:
                    arguments, state = after, _begin_again(loop.start(after), state)
    except KeyboardInterrupt:
        was_interrupted = True
    return _read_outcome(request, state, chunks, was_interrupted, occasions)


def _begin_again(new, old):
    """The state before the first step after an event: rows and counts go on."""
    kept = ("steps", "rejected", "row", "times", "rows", "stiffness")
    return new._replace(**{name: getattr(old, name) for name in kept})


def prepare(request: SolveRequest, word: str, patience: float = np.inf) -> tuple[Arguments, Loop]:
    """The compiled loop for a request, and the request's numbers as it takes them."""
    dt = request.dt
    if dt is None and not METHODS[word].is_adaptive:
        raise ProblemError(f"algorithm {word!r} has no step size control: give its step as dt=")
    if dt is not None and request.dtmax is not None:
        dt = min(dt, request.dtmax)
    t0, t1 = map(np.float64, request.t_span)
    size = request.u0.size
    rows = max(16, min(MOST_ROWS, MOST_NUMBERS // max(size, 1)))
    if request.saveat is not None:
        rows = bucket(len(request.saveat), 16)
    stops = pad_stops(request.tstops, t0, t1)
    conditions = tuple((e.condition, e.direction) for e in request.events if e.condition is not None)
    n_stops = 0 if stops is None else len(stops)
    loop = make_loop(request.program, word, rows, request.saveat is not None, n_stops, conditions)
    arguments = Arguments(
        p=np.asarray(request.p, dtype=np.float64),
        t0=t0,
        t1=t1,
        u0=np.asarray(request.u0, dtype=np.float64),
        dt=np.float64(np.nan if dt is None else dt),
        dtmax=np.float64(np.inf if request.dtmax is None else request.dtmax),
        rtol=np.float64(request.rtol),
        atol=np.float64(request.atol),
        saveat=None if request.saveat is None else pad(request.saveat, rows),
        tstops=stops,
        max_steps=np.int64(request.max_steps),
        patience=np.float64(patience),
        t_end=t1,
        fresh=np.zeros(len(conditions), dtype=bool),
        quiet=t0,
    )
    return arguments, loop


def bucket(count: int, least: int) -> int:
    """The power of two, ``least`` or more, that ``count`` values fit into."""
    return max(least, 1 << max(count - 1, 0).bit_length())


def pad(values, length: int) -> np.ndarray:
    """``values`` followed by infinities."""
    padded = np.full(length, np.inf)
    padded[: len(values)] = values
    return padded


def pad_stops(tstops, t0, t1) -> np.ndarray | None:
    """The stop times inside the span, sorted and padded to a bucket; None if there are none."""
    stops = np.unique(np.asarray([] if tstops is None else tstops, dtype=np.float64))
    stops = stops[(stops > t0) & (stops < t1)]
    return pad(stops, bucket(len(stops), 4)) if len(stops) else None


def _is_running(state, request):
    running = state.t < request.t_span[1] and not state.stiffness.is_stiff and state.steps < request.max_steps
    return bool(running) and bool(state.result == RESULTS.successful)


def next_chunk(steps, seconds):
    """More or fewer steps, so that the next chunk takes about CHUNK_SECONDS."""
    return int(np.clip(steps * np.clip(CHUNK_SECONDS / max(seconds, 1e-9), 0.1, 8.0), 1, 10**7))


def _read_outcome(request, state, chunks, was_interrupted, occasions):
    """Times, rows and status of what was computed."""
    t0, saveat = request.t_span[0], request.saveat
    if state is None:
        empty = np.empty((0, request.u0.size))
        stop = Stop(t0, np.asarray(request.u0, dtype=np.float64))
        return Outcome(np.empty(0), empty, Status.INTERRUPTED, Status.INTERRUPTED.message, stop=stop)
    if saveat is None:
        t = np.concatenate([[t0], *(times for times, _ in chunks)])
        u = np.concatenate([np.asarray(request.u0, dtype=np.float64)[None], *(rows for _, rows in chunks)])
    else:
        row = max(int(state.row), int(saveat[0] == t0))
        t, u = np.array(saveat[:row], dtype=np.float64), np.array(state.rows[:row])
        if saveat[0] == t0:
            u[0] = request.u0
    occasions.put_samples(t, u)
    status, message = _read_status(request, state, was_interrupted, occasions)
    steps, rejected, is_stiff = int(state.steps), int(state.rejected), bool(state.stiffness.is_stiff)
    stop = None if is_success(status) else Stop(float(state.t), np.asarray(state.u))
    return Outcome(t, u, status, message, steps, rejected, float(state.t), is_stiff, occasions.report(), stop)


def _read_status(request, state, was_interrupted, occasions):
    """Why a solve ended, and diffrax's own words for it."""
    if occasions.is_over:
        return Status.ZENO if occasions.is_zeno else Status.TERMINATED, ""
    if bool(state.result != RESULTS.successful):
        return read_result(state.result), RESULTS[state.result]
    if state.t >= request.t_span[1]:
        return Status.SUCCESS, ""
    if was_interrupted:
        return Status.INTERRUPTED, Status.INTERRUPTED.message
    return Status.MAX_STEPS, RESULTS[RESULTS.max_steps_reached]


@contextmanager
def _progress_bar(request):
    """A function that shows how far a solve is; silent unless the request wants it."""
    if not request.progress:
        yield lambda t: None
        return
    from tqdm.auto import tqdm

    t0, t1 = request.t_span
    with tqdm(total=100, unit="%", desc="solve", bar_format="{l_bar}{bar}| {elapsed}<{remaining}") as bar:
        yield lambda t: bar.update(100 * (t - t0) / (t1 - t0) - bar.n)
