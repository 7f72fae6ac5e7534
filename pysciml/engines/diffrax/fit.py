"""The loop of a fit: stage after stage, each from the best point so far."""

import time
from collections.abc import Callable
from itertools import islice

import numpy as np

from ...requests import FitRequest
from ..base import RawFit, Report, Status
from .descent import Point, adam, lbfgs
from .objective import DiffraxSum

LOOK_AGAIN = 100  # iterations after which "auto" probes again
REPORT_SECONDS = 0.1


def run_fit(request: FitRequest, report: Callable[[Report], None] | None) -> RawFit:
    """All stages; KeyboardInterrupt ends them with the best point so far."""
    fit = Fit(request, report)
    try:
        status, message = fit.run()
    except KeyboardInterrupt:
        status, message = Status.INTERRUPTED, Status.INTERRUPTED.message
    return fit.result(status, message)


class Fit:
    """A fit under way: the best point it has found, its history, and the objective it uses now."""

    def __init__(self, request: FitRequest, report: Callable[[Report], None] | None):
        x0 = np.array(request.objective.x0, dtype=np.float64)
        self._request = request
        self._report = report
        self._total = sum(stage.steps for stage in request.stages)
        self._begin = self._reported = time.perf_counter()
        self._told = 0
        self._history: list[tuple[float, float, float, float]] = []
        self._best = Point(x0, np.nan, np.full_like(x0, np.nan))
        self._objective: DiffraxSum | None = None
        self._reasons: list[str] = []

    def run(self) -> tuple[Status, str]:
        """Run the stages: how it ended, and why."""
        for number, stage in enumerate(self._request.stages, 1):
            self._look(stage)
            start = self._evaluate(self._best.x)
            if not start.is_finite:
                return Status.FAILED, f"the solve fails at the start of stage {number}, to t = {stage.horizon:g}"
            self._best = start
            points = (
                adam(self._evaluate, start, stage.learning_rate)
                if stage.optimizer == "adam"
                else lbfgs(self._evaluate, start)
            )
            for point in islice(points, stage.steps):
                self._take(point, stage)
        self._tell(self._request.stages[-1], wait=0.0)
        return Status.SUCCESS, ""

    def _evaluate(self, x):
        return Point(x, *self._objective.value_and_gradient(x))

    def _look(self, stage):
        """Choose, or choose again, what ``auto`` is at the best point."""
        least = {} if self._objective is None else {"least_steps": self._objective.most_steps}
        self._objective = DiffraxSum(self._request.objective, self._best.x, stage, **least)
        reason = self._objective.reason
        if reason and (not self._reasons or self._reasons[-1].split(" (from")[0] != reason):
            after = len(self._history)
            self._reasons.append(f"{reason} (from iteration {after})" if after else reason)

    def _take(self, point, stage):
        """Keep a point if it is the best, write the history, report."""
        if point.is_finite and not point.value >= self._best.value:
            self._best = point
        seconds = time.perf_counter() - self._begin
        self._history.append((point.value, float(np.linalg.norm(point.gradient)), stage.horizon, seconds))
        self._tell(stage, REPORT_SECONDS)
        if len(self._history) % LOOK_AGAIN == 0 and self._request.objective.parts[0].solve.algorithm == "auto":
            self._look(stage)

    def _tell(self, stage, wait):
        """Report, unless it was done less than ``wait`` seconds ago or for this very iteration."""
        now, done = time.perf_counter(), len(self._history)
        if self._report is None or done == self._told or now - self._reported < wait:
            return
        self._reported, self._told = now, done
        self._report(Report(done, self._total, self._best.value, stage.horizon))

    def result(self, status: Status, message: str) -> RawFit:
        """What crosses back to the caller."""
        columns = np.array(self._history, dtype=np.float64).reshape(-1, 4).T
        history = dict(zip(("loss", "gradient_norm", "horizon", "seconds"), columns, strict=True))
        asked = self._request.objective.parts[0]
        return RawFit(
            x=self._best.x,
            value=self._best.value,
            history=history,
            status=status,
            message=message,
            algorithm=asked.solve.algorithm if self._objective is None else self._objective.algorithm,
            sensitivity=asked.sensitivity if self._objective is None else self._objective.sensitivity,
            reason="; ".join(self._reasons),
        )
