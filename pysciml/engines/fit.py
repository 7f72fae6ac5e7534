"""The stages of a fit one after the other, each from the best point so far, whatever the engine."""

import warnings
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..fitting.stages import Stage
from ..requests import FitRequest
from .base import AbstractEngine, LookAt, RawFit, Report, Status, Tell
from .checkpoint import read_arrays, write_arrays
from .evolution import run_evolution
from .least_squares import run_least_squares
from .trials import RunStage, StageRun, Start

COLUMNS = ("loss", "gradient_norm", "horizon", "seconds", "rejected", "status", "validation_loss")


@dataclass(frozen=True, eq=False)
class SoFar:
    """The stages that have ended."""

    x: np.ndarray
    value: float = np.nan
    ended: int = 0
    history: np.ndarray = field(default_factory=lambda: np.zeros((0, len(COLUMNS))))  # and behind these, penalties
    memory: int = 0
    algorithm: str = ""
    sensitivity: str = ""
    reasons: tuple[str, ...] = ()
    status: int = Status.SUCCESS.code  # of the last stage; another one ends the fit
    message: str = ""
    kept_x: np.ndarray = field(default_factory=lambda: np.zeros(0))  # where held-out data were fitted best
    kept_value: float = np.nan
    kept_loss: float = np.nan  # of these
    waited: int = 0  # looks since then

    def add(self, run: StageRun, stage: Stage) -> "SoFar":
        """These and one more; one that found no solution leaves what there was."""
        seconds = self.history[-1, 3] if len(self.history) else 0.0
        horizon = np.full(len(run.rows), stage.horizon)
        loss, norm, since, rejected, why, *added = run.rows.T
        unseen = np.full(len(loss), np.nan)
        rows = np.stack([loss, norm, horizon, seconds + since, rejected, why, unseen, *added], axis=1)
        is_better = np.isfinite(run.value)
        return replace(
            self,
            x=run.x if is_better else self.x,
            value=run.value if is_better else self.value,
            ended=self.ended + 1,
            history=np.concatenate([self.history, rows]) if len(self.history) else rows,
            memory=run.memory,
            algorithm=run.algorithm,
            sensitivity=run.sensitivity,
            reasons=run.reasons,
            status=run.status.code,
            message=run.message,
        )

    def look(self, validation: float) -> "SoFar":
        """After a look at held-out data."""
        history = self.history.copy()
        if len(history):
            history[-1, COLUMNS.index("validation_loss")] = validation
        if validation < self.kept_loss or not np.isfinite(self.kept_loss):
            return replace(self, history=history, kept_x=self.x, kept_value=self.value, kept_loss=validation, waited=0)
        return replace(self, history=history, waited=self.waited + 1)


_EARLY = "stopped early, since the loss of the held-out data no longer fell"
IN_PYTHON = {"cmaes": run_evolution, "levenberg_marquardt": run_least_squares}


def run_fit(
    engine: AbstractEngine,
    request: FitRequest,
    run_stage: RunStage,
    report: Tell = None,
    folder: Path | None = None,
    look_at: LookAt = None,
) -> RawFit:
    """All stages, each by ``run_stage`` unless its loop is a Python library's; Ctrl-C ends them with the best so far.

    With a ``folder`` what has ended is written there, and a fit that was killed goes on from what it finds.
    ``look_at`` is called before each stage with its number and start, and may raise.
    """
    stages = request.stages
    loops = {word: partial(loop, engine, request) for word, loop in IN_PYTHON.items()}
    files = Files(folder)
    so_far = files.read() or SoFar(np.array(request.objective.x0, dtype=np.float64))
    total = sum(stage.steps for stage in stages)
    validate = None if request.validation is None else engine.make_objective(request.validation).value
    for number in range(so_far.ended, len(stages)):
        if so_far.status != Status.SUCCESS.code or (validate and so_far.waited >= request.patience):
            break
        stage, done = stages[number], len(so_far.history)
        start = Start(number, so_far.x, files.path_of(number), done, so_far.memory, so_far.reasons)
        try:
            if look_at is not None:
                look_at(number, so_far.x)
            run = loops.get(stage.optimizer, run_stage)(stage, start, _watch(report, done, total, stage))
        except KeyboardInterrupt:  # before there was anything to be kept of this stage
            if not np.isfinite(so_far.value):
                raise
            so_far = replace(so_far, status=Status.INTERRUPTED.code, message=Status.INTERRUPTED.message)
            break
        files.warn(run.trouble)
        so_far = so_far.add(run, stage)
        if validate and stage.is_looked and np.isfinite(so_far.value):
            so_far = so_far.look(validate(so_far.x))
        if run.status is not Status.INTERRUPTED:
            files.write(so_far)
    is_kept = np.isfinite(so_far.kept_loss)
    return RawFit(
        x=so_far.kept_x if is_kept else so_far.x,
        value=so_far.kept_value if is_kept else so_far.value,
        history=dict(zip(COLUMNS, so_far.history.T.copy(), strict=False)),
        penalties=so_far.history[:, len(COLUMNS) :],
        status=next(status for status in Status if status.code == so_far.status),
        message=so_far.message or (_EARLY if validate and so_far.waited >= request.patience else ""),
        algorithm=so_far.algorithm,
        sensitivity=so_far.sensitivity,
        reason="; ".join(so_far.reasons),
    )


def _watch(report, done, total, stage):
    """What a stage tells its iterations, best loss and gradient norm."""
    if report is None:
        return None
    return lambda iteration, loss, norm: report(Report(done + iteration, total, loss, stage.horizon, norm))


class Files:
    """What a fit leaves in the folder of its checkpoint; nothing without one."""

    def __init__(self, folder: Path | None):
        self._folder = folder
        self._has_warned = False

    def path_of(self, number: int) -> Path | None:
        """The path, without an ending, of the files that a stage writes itself."""
        return None if self._folder is None else self._folder / f"stage-{number:03d}"

    def read(self) -> SoFar | None:
        """What the last stage that ended left."""
        found = None if self._folder is None else read_arrays(self._folder / "stages.npz")
        if found is None:
            return None
        reasons = tuple(map(str, found.pop("reasons")))
        return SoFar(reasons=reasons, **{name: x if x.ndim else x.item() for name, x in found.items()})

    def write(self, so_far: SoFar) -> None:
        """Write what there is now, and remove the files of the stage that has ended."""
        if self._folder is None:
            return
        try:
            write_arrays(self._folder / "stages.npz", **vars(so_far))
            for old in self._folder.glob(f"{self.path_of(so_far.ended - 1).name}.*"):
                old.unlink()
        except OSError as error:
            self.warn(str(error))

    def warn(self, trouble: str) -> None:
        """Say once what keeps files from being written."""
        if trouble and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"checkpoint: {trouble}; the fit goes on, and what was written before stays as it is",
                RuntimeWarning,
                stacklevel=2,
            )
