"""The stages of a fit, each one call of ``julia/src/fit.jl``."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...fitting.stages import Stage
from ...requests import FitRequest
from ..base import Status
from ..checkpoint import foreign_journal
from ..trials import StageRun, Start, Watch, say_ending
from .bridge import Bridge
from .loading import floats
from .status import read_return_code

_ENDINGS = {
    "done": Status.SUCCESS,
    "interrupted": Status.INTERRUPTED,
    "no start": Status.FAILED,
    "given up": Status.GAVE_UP,
}


class JuliaStages:
    """The stages of a fit, each one call."""

    def __init__(self, bridge: Bridge, make_objective: Callable[[], Any], request: FitRequest):
        self._bridge, self._make_objective, self._request = bridge, make_objective, request

    def run(self, stage: Stage, start: Start, watch: Watch | None) -> StageRun:
        """One of them."""
        objective = self._make_objective()
        x, value, rows, ending, algorithm, sensitivity, trouble = self._bridge.call(
            "stage_request",
            objective.handle,
            floats(start.x),
            self._request.objective.device == "cpu" and self._request.objective.parts[0].solve.algorithm == "auto",
            np.array(stage.rows),
            float(stage.factor),
            stage.optimizer,
            int(stage.steps),
            stage.rates,
            float(stage.clip),
            floats(self._request.decay_of(stage)),
            self._request.batches_of(stage, start.done).T + 1,
            "" if start.path is None else str(start.path),
            has_partial=True,
            watch=None if watch is None else lambda numbers: _watch_stage(watch, numbers),
        )
        if ending == "foreign":
            raise foreign_journal(start.file("journal"))
        status = _ENDINGS[ending]
        rows = np.array(rows.T)
        if rows[:, 3].any():
            names = self._bridge.call("return_codes")
            why = [read_return_code(names[int(place) - 1]) if place else Status.FAILED for place in rows[:, 4]]
            rows[:, 4] = [status.code if n else 0 for status, n in zip(why, rows[:, 3], strict=True)]
        return StageRun(
            x=x,
            value=value if np.isfinite(value) else np.nan,
            rows=rows,
            status=status,
            message=say_ending(status, stage, start.number),
            algorithm=algorithm,
            sensitivity=sensitivity,
            reasons=(objective.reason,),
            trouble=trouble,
        )


def _watch_stage(watch, numbers):
    iteration, total, loss, norm = numbers[:4]
    if iteration and total:
        watch(int(iteration), loss, norm)
