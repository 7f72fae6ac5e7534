"""Stages by CMA-ES (the package ``cma``), which needs values only, on any engine."""

from importlib.util import find_spec

import numpy as np

from ..errors import ProblemError
from ..fitting.stages import Stage
from ..requests import FitRequest
from .base import AbstractEngine, Status
from .trials import StageRun, Start, Trials, Watch, used_parts, why_failed

WORST = 1e300  # what a point that can't be solved counts as: values are only ranked


def check_evolution() -> None:
    """ProblemError if the package is missing."""
    if find_spec("cma") is None:
        raise ProblemError("CMAES needs the package cma, which isn't installed; run: pip install 'pysciml[cma]'")


def run_evolution(
    engine: AbstractEngine, request: FitRequest, stage: Stage, start: Start, watch: Watch | None
) -> StageRun:
    """A stage whose iterations are generations; its journal holds the answer of each point."""
    import cma

    parts, own = used_parts(request.objective, stage, start.x)
    objective = engine.make_objective(parts, own)
    trials = Trials(stage, start, watch, 2, parts.n_added)
    random = np.random.default_rng([request.seed, start.number])
    options = {
        "randn": lambda *shape: random.standard_normal(shape),
        "seed": 1,  # unused, with the numbers of above
        "popsize": stage.population or 4 + int(3 * np.log(start.x.size)),
        "verbose": -10,
        "verb_log": 0,
    }

    def compute(x):
        value = objective.value(x)
        status = Status.SUCCESS if np.isfinite(value) else why_failed(engine, parts, own, x)
        return np.array([status.code, value if np.isfinite(value) else np.nan])

    def value_at(x):
        value = trials.ask(x, lambda: compute(x))[1]
        return float(value) if np.isfinite(value) else WORST

    def loop():
        if value_at(start.x) == WORST:
            return
        strategy = cma.CMAEvolutionStrategy(start.x, stage.sigma, options)
        while not trials.is_done and not strategy.stop():
            points = [np.asarray(point, dtype=np.float64) for point in strategy.ask()]
            values = [value_at(point) for point in points]
            strategy.tell(points, values)
            best = points[int(np.argmin(values))]
            added = [*parts.penalty_values(best), *objective.path_values(best)]
            trials.note(min(values) if min(values) < WORST else np.nan, np.nan, added)

    return trials.run(loop, (objective.algorithm, objective.sensitivity))
