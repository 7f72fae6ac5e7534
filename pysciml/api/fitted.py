"""What a fit stands on, made again from its result: its experiments, what was trained, residuals and their slopes."""

from dataclasses import dataclass

import numpy as np

from ..datasets.experiments import Experiment, read_experiments
from ..errors import ProblemError
from ..fitting.trainable import Block, from_limits, gather_x, read_trainable, whole_networks
from ..tracing.layout import join_layouts
from .fit_result import FitResult
from .objective import Objective, element_names, is_weight, objective
from .sensitivities import sensitivities
from .solve import solve

SQUARES = ("nmse", "mse")  # losses that are sums of squares
TIGHT = 1e-9  # relative tolerance of solves whose small differences count


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted problem with its experiments, and what was trained in it."""

    result: FitResult
    experiments: tuple[Experiment, ...]
    blocks: tuple[Block, ...]

    @property
    def x(self) -> np.ndarray:
        """The fitted values ``(k,)``, in the user's own units."""
        problem = self.result.problem
        return gather_x(self.blocks, problem.u0_values, problem.p_values)

    @property
    def names(self) -> tuple[str, ...]:
        """One an element of ``x``."""
        return tuple(name for block in self.blocks for name in element_names(block))

    @property
    def units(self) -> list[str]:
        """The unit of each element of ``x``, ``""`` where there is none."""
        units = self.result.problem.units
        return [units.get(block.name.removeprefix("u0_"), "") for block in self.blocks for _ in range(block.size)]

    @property
    def n_data(self) -> int:
        """How many values were measured."""
        return sum(int(np.isfinite(experiment.values).sum()) for experiment in self.experiments)

    def objective(self) -> Objective:
        """The loss of the fit, from its result."""
        said = self.result.settings
        words = {key: said[key] for key in ("loss", "engine", "algorithm", "rtol", "atol", "sensitivity")}
        trainable = dict.fromkeys(said["trained"], True)
        trainable |= {name: from_limits(*ends) for name, ends in said.get("bounds", {}).items()}
        return objective(self.result.problem, self.result.data, trainable=trainable, verify="never", **words)

    def residuals(self) -> tuple[np.ndarray, np.ndarray]:
        """Residuals ``(datum,)`` in units of their scale, and slopes ``(datum, k)`` of what is measured in the same."""
        parts = [self._of_experiment(experiment) for experiment in self.experiments]
        residuals, slopes = (np.concatenate(part) for part in zip(*parts, strict=True))
        return residuals, slopes

    def _of_experiment(self, experiment):
        """The same for one experiment, solved to tight tolerances."""
        said, problem = self.result.settings, experiment.problem
        layout = join_layouts(problem.u_layout, problem.y_layout)
        rtol = min(said["rtol"], TIGHT)
        options = {
            "engine": said["engine"],
            "algorithm": said["algorithm"],
            "saveat": experiment.times,
            "rtol": rtol,
            "atol": said["atol"] * rtol / said["rtol"],
        }
        whole = whole_networks(self.blocks)
        names = list(dict.fromkeys(b.network if b.network in whole else b.name for b in self.blocks))
        values = solve(problem, **options)
        slopes = sensitivities(problem, names, **options)
        scale = np.concatenate([np.full(e.size, said["scales"].get(e.name, 1.0)) for e in layout.entries])
        shape = (experiment.times.size, -1)
        predicted = np.concatenate([values[name].values.reshape(shape) for name in layout.names], axis=1)
        by_name = [self._slopes_of(slopes, name, shape[0]) for name in layout.names]
        differences = (experiment.values - predicted[:, None]) / scale
        row, replicate, column = np.nonzero(np.isfinite(differences))
        slope = np.concatenate(by_name, axis=1)[row, column] / scale[column, None]
        return differences[row, replicate, column], slope

    def _slopes_of(self, slopes, state, n_times):
        """Slopes ``(time, element of the state, k)`` of one state or observable."""
        whole = whole_networks(self.blocks)
        parts, done = [], set()
        for block in self.blocks:
            if block.network in whole:
                if block.network not in done:
                    done.add(block.network)
                    size = sum(layer.size for layer in whole[block.network])
                    parts.append(slopes[f"d_{state}_d_{block.network}"].values.reshape(n_times, -1, size))
                continue
            values = slopes[f"d_{state}_d_{block.name}"].values
            if is_weight(block):
                values = np.swapaxes(values, -1, -2)
            parts.append(values.reshape(n_times, -1, block.size))
        return np.concatenate(parts, axis=2)


def read_fitted(function: str, result: FitResult) -> Fitted:
    """What a result stands on; ProblemError for anything but a result."""
    if not isinstance(result, FitResult):
        raise ProblemError(f"{function}: give what ps.fit returned, got {type(result).__name__}")
    problem = result.problem
    blocks = read_trainable(result.settings["trained"], None if problem.initial else problem.u_layout, problem.p_layout)
    return Fitted(result, read_experiments(result.data, problem), blocks)
