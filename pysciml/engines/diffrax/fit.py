"""A stage of a fit: an optimizer that asks for values and gradients. ``engines/fit.py`` runs stage after stage."""

import time

import numpy as np

from ...fitting.stages import Stage
from ...requests import FitRequest
from ..base import Status
from ..checkpoint import Journal, read_arrays, write_arrays
from ..trials import MOST_REJECTED, REPORT_SECONDS, GivenUp, StageRun, Start, Watch, say_ending
from .descent import FIRST_ORDER, QUASI_NEWTON, FirstOrder, Point
from .objective import why_failed
from .sums import DiffraxSum

LOOK_AGAIN = 100  # iterations after which "auto" probes again
SAVE_SECONDS = 1.0


def run_stage(request: FitRequest, stage: Stage, start: Start, watch: Watch | None) -> StageRun:
    """A stage; KeyboardInterrupt ends it with the best point so far."""
    fit = Fit(request, stage, start, watch)
    try:
        status = fit.run()
    except KeyboardInterrupt:
        status = Status.INTERRUPTED
    except GivenUp:
        status = Status.GAVE_UP
    finally:
        fit.journal.close()
    return fit.result(status)


class Fit:
    """A stage under way: the best point it has found, its history, and the objective it uses now."""

    def __init__(self, request: FitRequest, stage: Stage, start: Start, watch: Watch | None):
        self._request, self._stage, self._start, self._watch = request.objective, stage, start, watch
        self._decay, self._batches = request.decay_of(stage), request.batches_of(stage, start.done)
        self._is_first_order = stage.optimizer in FIRST_ORDER
        self._begin = self._reported = self._saved = time.perf_counter()
        self._told = 0
        self._rows: list[tuple[float, ...]] = []
        self._rejected, self._in_a_row, self._why = 0, 0, Status.SUCCESS.code
        self._best = Point(start.x, np.nan, np.full_like(start.x, np.nan))
        self._reasons = list(start.reasons)
        self._trouble = ""
        self.journal = Journal(None if self._is_first_order else start.file("journal"), 1 + start.x.size)
        self._objective = self._look(start.x, start.memory)

    def run(self) -> Status:
        """Run it: how it ended."""
        saved = read_arrays(self._start.file("state")) if self._is_first_order else None
        self._choose_batch(0)
        first = self._evaluate(self._start.x) if saved is None else self._restore(saved)
        if not first.is_finite:
            return Status.FAILED
        if self._is_first_order:
            self._run_first_order(FirstOrder(self._stage, first, saved, self._decay))
        else:
            for point in QUASI_NEWTON[self._stage.optimizer](self._evaluate, first):
                self._take(point)
                if len(self._rows) == self._stage.steps:
                    break
        self._tell(wait=0.0)
        return Status.SUCCESS

    def _run_first_order(self, descent):
        while len(self._rows) < self._stage.steps:
            self._choose_batch(len(self._rows) + 1)
            self._take(descent.step(self._evaluate, self._is_whole))
            if time.perf_counter() - self._saved > SAVE_SECONDS:
                self._save(descent)

    def _evaluate(self, x):
        """Value and gradient at x; keeps the best, counts what is rejected."""
        objective = self._objective

        def compute():
            value, gradient = objective.value_and_gradient(x)
            return np.concatenate([[value], gradient])

        answer = self.journal.answer(x, compute)
        point = Point(x, float(answer[0]), answer[1:])
        if not point.is_finite:
            self._reject(x)
            return point
        self._in_a_row = 0
        if self._is_whole and not point.value >= self._best.value:
            self._best = point
        return point

    def _choose_batch(self, evaluation):
        """Look at the experiments of an evaluation, counted from 0."""
        batch = self._batches[evaluation].tolist() if len(self._batches) else [-1]
        self._objective.batch = None if batch[0] < 0 else batch

    @property
    def _is_whole(self):
        return self._objective.batch is None

    def _reject(self, x):
        self._rejected += 1
        self._in_a_row += 1
        self._why = why_failed(self._request, x, self._stage, self._objective.most_steps).code
        if self._in_a_row > MOST_REJECTED and self._best.is_finite:
            raise GivenUp

    def _look(self, x, least):
        """Choose, or choose again, what ``auto`` is at x; solves get room for ``least`` steps at least."""
        self._looked, self._least = x, least
        objective = DiffraxSum(self._request, x, self._stage, **({"least_steps": least} if least else {}))
        reason = objective.reason
        if reason and (not self._reasons or self._reasons[-1].split(" (from")[0] != reason):
            after = self._start.done + len(self._rows)
            self._reasons.append(f"{reason} (from iteration {after})" if after else reason)
        return objective

    def _take(self, point):
        """Write the history, report, look again."""
        seconds = time.perf_counter() - self._begin
        why = self._why if self._rejected else Status.SUCCESS.code
        added = [*self._request.penalty_values(point.x), *self._objective.path_values(point.x)]
        norm = float(np.linalg.norm(point.gradient))
        self._rows.append((point.value, norm, seconds, self._rejected, why, *added))
        self._rejected = 0
        self._tell(REPORT_SECONDS)
        if len(self._rows) % LOOK_AGAIN == 0 and self._request.parts[0].solve.algorithm == "auto":
            self._objective = self._look(self._best.x, self._objective.most_steps)

    def _tell(self, wait):
        """Report, unless it was done less than ``wait`` seconds ago or for this very iteration."""
        now, done = time.perf_counter(), len(self._rows)
        if self._watch is None or done == self._told or now - self._reported < wait:
            return
        self._reported, self._told = now, done
        self._watch(done, self._best.value, self._rows[-1][1])

    def _save(self, descent):
        """Write everything that a first-order stage goes on from."""
        path, self._saved = self._start.file("state"), time.perf_counter()
        if path is None or self._trouble:
            return
        counts = np.array([self._in_a_row, self._why, self._least, self._saved - self._begin])
        try:
            write_arrays(
                path,
                rows=self._history(),
                looked=self._looked,
                counts=counts,
                reasons=self._reasons,
                **descent.arrays(),
            )
        except OSError as error:
            self._trouble = str(error)

    def _restore(self, saved):
        """Go on where ``_save`` left off, from its best point."""
        in_a_row, why, least, seconds = saved["counts"].tolist()
        self._in_a_row, self._why = int(in_a_row), int(why)
        self._begin -= seconds
        self._rows = [tuple(row) for row in saved["rows"].tolist()]
        self._objective = self._look(saved["looked"], int(least))
        self._reasons = list(map(str, saved["reasons"]))
        self._best = Point(*(saved[f"best_{name}"][()] for name in Point._fields))
        return self._best

    def _history(self):
        return np.array(self._rows, dtype=np.float64).reshape(-1, 5 + self._request.n_added)

    def result(self, status: Status) -> StageRun:
        """What crosses back to the caller."""
        return StageRun(
            x=self._best.x,
            value=float(self._best.value),
            rows=self._history(),
            status=status,
            message=say_ending(status, self._stage, self._start.number),
            algorithm=self._objective.algorithm,
            sensitivity=self._objective.sensitivity,
            reasons=tuple(self._reasons),
            memory=self._objective.most_steps,
            trouble=self._trouble or self.journal.trouble,
        )
