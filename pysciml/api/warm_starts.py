"""Warm starts of a fit: strategies that run before it and give it a better place to begin at."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..engines.base import AbstractEngine, RawFit, Report, Status
from ..engines.workers import Crew, joint_reports, was_interrupted
from ..errors import ProblemError
from ..fitting.batches import Minibatch
from ..fitting.collocation import matching_program, minimise, smooth_states
from ..fitting.observations import fill_gaps
from ..fitting.segments import begin_at, cut, end_gap, of_first, segment_parametrization, widen
from ..fitting.stages import Stage
from ..fitting.strategies import Collocation, MultipleShooting, MultiStart, WarmStart
from ..ir.program import Program
from ..problems.doses import widen_parameters
from ..requests import FitRequest, SumRequest
from .member import Member
from .misfit import Misfit
from .scaled import draw_networks, fresh_networks

RATE = 1e-2  # of Adam, in scaled coordinates


@dataclass(frozen=True, eq=False)
class Search:
    """What a warm start works with: the misfit in scaled coordinates, who is told, and where files go."""

    misfit: Misfit
    make: Callable[[Member, np.ndarray], Program]
    horizon: tuple[int, ...]  # rows of the shortest one, one a member
    seed: int
    crew: Crew
    report: Callable[[Report], None] | None = None
    folder: Path | None = None

    def on(self, engine: AbstractEngine, report: Callable[[Report], None] | None) -> "Search":
        """The same on another engine, which tells another."""
        return replace(self, misfit=replace(self.misfit, engine=engine), report=report)

    def minimise(self, request: SumRequest, stages: tuple[Stage, ...], name: str) -> RawFit:
        """Run stages on the engine; with a checkpoint, in a folder of their own."""
        folder = None if self.folder is None else self.folder / name
        if folder is not None:
            folder.mkdir(exist_ok=True)
        return self.misfit.engine.fit(FitRequest(request, stages, self.seed), self.report, folder)


class Interrupted(Exception):
    """A warm start was interrupted; ``x (k,)`` is the best point that it knows."""

    def __init__(self, x: np.ndarray):
        super().__init__()
        self.x = x


def warm_start(strategies: tuple[WarmStart, ...], search: Search, z0: np.ndarray) -> tuple[np.ndarray, list[dict]]:
    """Where the fit begins, and what each strategy did: its name, first and last value, iterations, seconds.

    Raises
    ------
    Interrupted
        Instead of an interrupt after which there is something to be kept.
    """
    z, told = z0, []
    for number, strategy in enumerate(strategies):
        begin = time.perf_counter()
        z, values = _RUN[type(strategy)](strategy, search, z, f"warm-{number}")
        finite = [float(value) for value in values if np.isfinite(value)]
        told.append({
            "strategy": repr(strategy),
            "first": finite[0] if finite else None,
            "last": min(finite) if finite else None,
            "iterations": len(values),
            "seconds": round(time.perf_counter() - begin, 3),
        })  # fmt: skip
    return z, told


def _collocate(strategy: Collocation, search: Search, z: np.ndarray, name: str):
    if search.misfit.problem.mass_matrix is not None or search.misfit.problem.events:
        raise ProblemError("Collocation: slopes of data tell nothing of events or mass matrices; leave it out")
    programs = []
    for member in search.misfit.members:
        smooth = smooth_states(member.states, member.problem.u_layout)
        program = matching_program(member.problem.program, search.make(member, z[member.picks]), smooth)
        programs.append((program, member.picks))
    return minimise(programs, z, strategy.steps)


def _shoot(strategy: MultipleShooting, search: Search, z: np.ndarray, name: str):
    misfit = search.misfit
    if misfit.problem.mass_matrix is not None or misfit.problem.events:
        raise ProblemError("MultipleShooting: segments can't begin between events or with a mass matrix; leave it out")
    comparison = misfit.comparison.as_squares([member.seen for member in misfit.members])
    request = replace(misfit, comparison=comparison, penalties={}, path=(), priors={}).request(search.make, z)
    if all(len(cut(len(member.experiment.times), strategy.group_size)) == 1 for member in misfit.members):
        raise ProblemError("MultipleShooting: no data have more times than group_size; make it smaller")
    total = _with_starts(misfit, request, strategy.group_size, strategy.continuity)
    parts = total.parts
    rows = tuple(len(part.solve.saveat) for part in parts)
    horizon = float(max(part.solve.saveat[-1] for part in parts))
    stages = tuple(Stage(word, strategy.steps, RATE, rows, 1.0, horizon) for word in ("adam", "lbfgs"))
    raw = search.minimise(total, stages, name)
    z = raw.x[: z.size] if np.isfinite(raw.value) else z
    if raw.status is Status.INTERRUPTED:
        raise Interrupted(z)
    return z, raw.history["loss"]


def _with_starts(misfit: Misfit, request: SumRequest, size: int, continuity: float) -> SumRequest:
    """A sum of segments of so many data times, whose starts stand behind ``x`` and are held to the ends before them."""
    parts, picks, starts, k = [], [], [], request.x0.size
    plans = [cut(len(member.experiment.times), size) for member in misfit.members]
    gaps = sum(len(plan) - 1 for plan in plans)
    for member, part, own, plan in zip(misfit.members, request.parts, request.picks, plans, strict=True):
        n = member.problem.u_layout.size
        scales = _state_scales(misfit, member)
        filled = fill_gaps(member.states, member.problem.u0_values)
        widened = widen_parameters(part.solve.program, n)
        gap = end_gap(part.solve.program, part.observe, scales)
        for segment in plan:
            has_start = segment.first > 0
            found = segment_parametrization(part.parametrization, n, scales, has_start, not segment.is_last)
            observe = part.observe if segment.is_last else gap
            parts.append(widen(part, widened, segment, found, observe, continuity / (n * max(gaps, 1))))
            here = k + n * len(starts) + np.arange(n)
            if not has_start:  # its start is the fit's own
                picks.append([own, here] if not segment.is_last else [own])
            else:
                starts.append(filled[segment.first] / scales)
                picks.append([own, here, here + n] if not segment.is_last else [own, here])
    x0 = np.concatenate([request.x0, *starts])
    penalties = tuple(of_first(penalty, x0.size) for penalty in request.penalties)
    return SumRequest(tuple(parts), tuple(np.concatenate(pick) for pick in picks), x0, penalties).starting_at(x0)


def cut_members(misfit: Misfit, request: SumRequest, batch: Minibatch) -> SumRequest:
    """A sum of segments of so many data times.

    Each begins at the data of the one before; where a state has none, all starts stand behind ``x``.
    """
    assert batch.segment is not None
    if misfit.problem.mass_matrix is not None or misfit.problem.events:
        raise ProblemError("Minibatch: segments can't begin between events or with a mass matrix; leave segment out")
    if any(part.whole is not None for part in request.parts):
        raise ProblemError("Minibatch: a loss of the whole solution can't be cut into segments; leave segment out")
    name = _without_data(misfit)
    if name and not all(part.is_squares for part in request.parts):
        raise ProblemError(
            f"Minibatch: segments begin at data, and {name!r} has none; their starts can be fitted where the loss is a "
            "sum of squares ('nmse', 'mse', 'relative') without penalties of the path: use one first, and then fit "
            "result.problem without segments"
        )
    if name:
        return _with_starts(misfit, request, batch.segment, batch.continuity)
    parts, picks = [], []
    for member, part, own in zip(misfit.members, request.parts, request.picks, strict=True):
        filled = fill_gaps(member.states, member.problem.u0_values)
        for segment in cut(len(member.experiment.times), batch.segment):
            parts.append(begin_at(part, segment, filled[segment.first]))
            picks.append(own)
    return replace(request, parts=tuple(parts), picks=tuple(picks))


def _without_data(misfit):
    """The first state that some experiment has no data of, or an empty name."""
    for member in misfit.members:
        unseen = ~member.states.mask.any(axis=0)
        if unseen.any():
            return next(e.name for e in member.problem.u_layout.entries if unseen[e.slice].any())
    return ""


def _state_scales(misfit, member):
    """The spread of each state's data ``(state,)``; where there are none, the size of the start, or 1."""
    scales = np.where(member.problem.u0_values != 0, np.abs(member.problem.u0_values), 1.0)
    for entry in member.problem.u_layout.entries:
        if entry.name in misfit.scales:
            scales[entry.slice] = misfit.scales[entry.name]
    return scales


def _start_many(strategy: MultiStart, search: Search, z: np.ndarray, name: str):
    points = [z, *(_draw(search, z, strategy.spread, k) for k in range(1, strategy.starts))]
    request = search.misfit.request(search.make, z)
    counts = [member.seen.mask.sum(axis=1) for member in search.misfit.members]
    used = sum(count[:n].sum() for count, n in zip(counts, search.horizon, strict=True))
    factor = float(sum(count.sum() for count in counts) / used)
    ends = [part.solve.saveat[n - 1] for part, n in zip(request.parts, search.horizon, strict=True) if n]
    stage = Stage("adam", strategy.steps, RATE, search.horizon, factor, float(max(ends)))
    values, round_number = [], 0
    while len(points) > 1:
        reports = joint_reports(search.report, len(points))
        tasks = [
            partial(_begin, search, report, request.starting_at(point), stage, f"{name}-{round_number}-{k}")
            for k, (point, report) in enumerate(zip(points, reports, strict=True))
        ]
        outcomes = search.crew.run(tasks)
        found = sorted(map(_reached, outcomes, points), key=lambda pair: pair[0])
        values += [value for value, _ in map(_reached, outcomes, points)]
        if any(map(was_interrupted, outcomes)):
            raise Interrupted(found[0][1])
        points = [x for _, x in found[: (len(points) + 1) // 2]] if len(points) > 2 else [found[0][1]]
        round_number += 1
    return points[0], values


def _begin(search, report, request, stage, name, engine):
    """What a search from one point gives."""
    return search.on(engine, report).minimise(request, (stage,), name)


def _reached(outcome, point):
    """The value that a search has reached, infinite where there is none, and where."""
    is_found = isinstance(outcome, RawFit) and np.isfinite(outcome.value)
    return (outcome.value, outcome.x) if is_found else (np.inf, point)


def _draw(search, z, spread, number):
    """A point near z; networks that have not learnt get other weights, those that have keep theirs."""
    rng = np.random.default_rng([search.seed, number])
    drawn = z + spread * rng.standard_normal(z.size)
    for block in search.misfit.blocks:
        if block.network is not None:
            drawn[block.slice] = z[block.slice]
    return draw_networks(search.misfit, drawn, rng, fresh_networks(search.misfit))


_RUN = {Collocation: _collocate, MultipleShooting: _shoot, MultiStart: _start_many}
