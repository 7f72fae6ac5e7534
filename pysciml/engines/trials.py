"""What a stage of a fit begins with and gives back, and the trials of one whose loop is a Python library's."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..fitting.stages import Stage
from ..ir.evaluate import evaluate_program
from ..requests import SumRequest
from .base import AbstractEngine, Status, is_success
from .checkpoint import Journal

MOST_REJECTED = 30  # trials in a row, before a stage ends
REPORT_SECONDS = 0.1


@dataclass(frozen=True, eq=False)
class StageRun:
    """What an engine gives back of one stage.

    ``rows (iteration, 5 + penalty)`` are loss, gradient norm, seconds since the start of the stage, trials rejected,
    the ``Status`` code of the last of these, and what each penalty adds to the loss. ``value`` is NaN where nothing
    could be solved. ``memory`` is whatever the engine wants to be given at the next stage. ``trouble`` is what kept
    files from being written.
    """

    x: np.ndarray
    value: float
    rows: np.ndarray
    status: Status
    message: str
    algorithm: str
    sensitivity: str
    reasons: tuple[str, ...] = ()
    memory: int = 0
    trouble: str = ""


@dataclass(frozen=True, eq=False)
class Start:
    """What a stage begins with: where it is among all, ``x (k,)``, and what those before left.

    ``path`` is that of the files which it goes on from if it was killed, without their endings; None: there are none.
    """

    number: int
    x: np.ndarray
    path: Path | None = None
    done: int = 0  # iterations of the stages before
    memory: int = 0
    reasons: tuple[str, ...] = ()

    def file(self, ending: str) -> Path | None:
        """The path of one of its files."""
        return None if self.path is None else self.path.with_suffix(f".{ending}")


Watch = Callable[[int, float, float], None]  # iteration, best loss, gradient norm
RunStage = Callable[[Stage, Start, Watch | None], StageRun]


def say_ending(status: Status, stage: Stage, number: int) -> str:
    """How a stage ended, in words."""
    where = f"of stage {number + 1}, to t = {stage.horizon:g}"
    if status is Status.SUCCESS:
        return ""
    said: dict[Status, str] = {
        Status.FAILED: f"the solve fails at the start {where}",
        Status.GAVE_UP: f"{Status.GAVE_UP.message} (in the midst {where}): {Status.GAVE_UP.next_step}",
    }
    return said.get(status) or str(status.message)


class GivenUp(Exception):
    """So many trials in a row were rejected that the stage ends."""


class Trials:
    """The best point of a stage, its history, and the answers of its trials ``(n,)``, recorded if it has a path.

    The first number of an answer is the code of a ``Status``, the second the value.
    """

    def __init__(self, stage: Stage, start: Start, watch: Watch | None, size: int, n_penalties: int = 0):
        self._stage, self._start, self._watch, self._columns = stage, start, watch, 5 + n_penalties
        self._journal = Journal(start.file("journal"), size)
        self._begin = self._reported = time.perf_counter()
        self._rows: list[tuple[float, ...]] = []
        self._rejected, self._in_a_row, self._why = 0, 0, Status.SUCCESS.code
        self.best_x, self.best = start.x, np.nan

    def ask(self, x: np.ndarray, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The answer at x; keeps the best, counts what is rejected."""
        answer = self._journal.answer(x, compute)
        status, value = answer[:2]
        if not np.isfinite(value):
            self._rejected += 1
            self._in_a_row += 1
            self._why = int(status)
            if self._in_a_row > MOST_REJECTED and np.isfinite(self.best):
                raise GivenUp
            return answer
        self._in_a_row = 0
        if not value >= self.best:
            self.best_x, self.best = x.copy(), float(value)
        return answer

    def note(self, value: float, gradient_norm: float, added: Sequence[float] = ()) -> None:
        """Write one iteration into the history, with what each penalty ``added``, and report."""
        now = time.perf_counter()
        why = self._why if self._rejected else Status.SUCCESS.code
        self._rows.append((value, gradient_norm, now - self._begin, self._rejected, why, *added))
        self._rejected = 0
        if self._watch is not None and (now - self._reported > REPORT_SECONDS or len(self._rows) == self._stage.steps):
            self._reported = now
            self._watch(len(self._rows), self.best, gradient_norm)

    @property
    def is_done(self) -> bool:
        """Whether all iterations have been made."""
        return len(self._rows) >= self._stage.steps

    def run(self, loop: Callable[[], None], words: tuple[str, str]) -> StageRun:
        """Run a loop that asks and notes; ``words`` are those of algorithm and sensitivity."""
        status = Status.SUCCESS
        try:
            loop()
        except KeyboardInterrupt:
            status = Status.INTERRUPTED
        except GivenUp:
            status = Status.GAVE_UP
        finally:
            self._journal.close()
        if status is Status.SUCCESS and not np.isfinite(self.best):
            status = Status.FAILED
        return StageRun(
            x=self.best_x,
            value=self.best,
            rows=np.array(self._rows, dtype=np.float64).reshape(-1, self._columns),
            status=status,
            message=say_ending(status, self._stage, self._start.number),
            algorithm=words[0],
            sensitivity=words[1],
            reasons=self._start.reasons,
            memory=self._start.memory,
            trouble=self._journal.trouble,
        )


def used_parts(request: SumRequest, stage: Stage, x: np.ndarray) -> tuple[SumRequest, Stage]:
    """The parts of which a stage uses rows, starting at x, and the stage for these."""
    used = [k for k, rows in enumerate(stage.rows) if rows]
    return request.only(used).starting_at(x), replace(stage, rows=tuple(stage.rows[k] for k in used))


def why_failed(engine: AbstractEngine, request: SumRequest, stage: Stage, x: np.ndarray) -> Status:
    """How the first solve at x that fails ends; FAILED if none does."""
    for part, picks, rows in zip(request.parts, request.picks, stage.rows, strict=True):
        u0, p = evaluate_program(part.parametrization, x[picks])
        last = float(part.solve.saveat[rows - 1])
        end = last if last > part.solve.t_span[0] else part.solve.t_span[1]
        span = (part.solve.t_span[0], end)
        status = engine.solve(replace(part.solve, u0=u0, p=p, t_span=span, saveat=np.array([end]))).status[0]
        if not is_success(status):
            return status
    return Status.FAILED
