"""A fit that has ended, as a function again: its experiments, what was trained, residuals and their slopes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..fitting.trainable import Block, from_limits, whole_networks
from ..problems.ode import ODEProblem
from ..tracing.layout import join_layouts
from .fit_result import FitResult
from .objective import Objective, is_weight, objective
from .sensitivities import sensitivities
from .solve import solve

SQUARES = ("nmse", "mse")  # losses that are sums of squares
DIFFERENCE = 1e-2  # relative change of an element for second derivatives
TIGHT = 1e-9  # relative tolerance of solves whose small differences count


@dataclass(frozen=True, eq=False)
class Fitted:
    """An objective at the fitted values, and the fitted problem of each of its experiments."""

    objective: Objective
    problems: tuple[ODEProblem, ...]
    loss: str

    @property
    def _misfit(self):
        return self.objective._misfit

    @property
    def is_squares(self) -> bool:
        """Whether the loss is a sum of squares."""
        return self.loss in SQUARES

    @property
    def is_plain(self) -> bool:
        """Whether nothing is added to the loss, and no datum counts more than others of its variable."""
        return len(self._misfit.terms) == 1 and not self._misfit.comparison.is_weighted

    @property
    def is_likelihood(self) -> bool:
        """Whether the loss is a negative log likelihood, or one with priors."""
        return self._misfit.loss.is_likelihood

    @property
    def scatter(self) -> np.ndarray:
        """Which elements of ``x`` are a likelihood's scatter ``(k,)``."""
        is_scatter = np.zeros(self.objective.x0.size, dtype=bool)
        for block in self.objective.blocks:
            is_scatter[block.slice] = block.name in self._misfit.noise
        return is_scatter

    @property
    def scales(self) -> dict[str, float]:
        """What each measured variable is divided by."""
        return self._misfit.scales

    @property
    def n_data(self) -> int:
        """How many values were measured."""
        return sum(int(np.isfinite(member.experiment.values).sum()) for member in self._misfit.members)

    @property
    def units(self) -> list[str]:
        """The unit of each element of ``x``, ``""`` where there is none."""
        blocks, units = self.objective.blocks, self._misfit.problem.units
        return [units.get(block.name.removeprefix("u0_"), "") for block in blocks for _ in range(block.size)]

    def residuals(self) -> tuple[np.ndarray, np.ndarray]:
        """Residuals ``(datum,)`` in units of their scale, and slopes ``(datum, k)`` of what is measured in the same."""
        residuals, slopes = [], []
        for member, problem in zip(self._misfit.members, self.problems, strict=True):
            own, own_slopes = self._of_member(member, problem)
            wide = np.zeros((own.size, self.objective.x0.size))
            wide[:, member.picks] = own_slopes
            residuals.append(own)
            slopes.append(wide)
        return np.concatenate(residuals), np.concatenate(slopes)

    def _of_member(self, member, problem):
        """The same for one experiment by its own elements of ``x``, solved to tight tolerances."""
        layout, experiment = join_layouts(problem.u_layout, problem.y_layout), member.experiment
        rtol = min(member.solve.rtol, TIGHT)
        options = {
            "engine": self.objective.engine,
            "algorithm": self.objective.algorithm,
            "saveat": experiment.times,
            "rtol": rtol,
            "atol": member.solve.atol * rtol / member.solve.rtol,
        }
        whole = whole_networks(member.blocks)
        names = list(dict.fromkeys(b.network if b.network in whole else b.name for b in member.blocks))
        values = solve(problem, **options)
        slopes = sensitivities(problem, names, **options)
        scales = self._misfit.scales
        scale = np.concatenate([np.full(e.size, scales.get(e.name, 1.0)) for e in layout.entries])
        n_times = experiment.times.size
        predicted = np.concatenate([values[name].values.reshape(n_times, -1) for name in layout.names], axis=1)
        by_name = [_slopes_of(slopes, name, n_times, member.blocks) for name in layout.names]
        differences = (experiment.values - predicted[:, None]) / scale
        row, replicate, column = np.nonzero(np.isfinite(differences))
        slope = np.concatenate(by_name, axis=1)[row, column] / scale[column, None]
        return differences[row, replicate, column], slope


def _slopes_of(slopes: xr.Dataset, state: str, n_times: int, blocks: tuple[Block, ...]) -> np.ndarray:
    """Slopes ``(time, element of the state, k)`` of one state or observable."""
    whole = whole_networks(blocks)
    parts, done = [], set()
    for block in blocks:
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


def read_fitted(function: str, fitted: FitResult | Objective) -> Fitted:
    """A result, or an objective at fitted values, as both; ProblemError for anything else."""
    if isinstance(fitted, Objective):
        members = fitted._misfit.members
        return Fitted(fitted, tuple(member.problem for member in members), repr(fitted._misfit.loss))
    if not isinstance(fitted, FitResult):
        raise ProblemError(f"{function}: give what ps.fit or ps.objective returned, got {type(fitted).__name__}")
    said = fitted.settings
    if said["loss"] not in SQUARES or len(said["terms"]) > 1 or said["is_weighted"]:
        raise ProblemError(
            f"{function}: the result doesn't hold the loss {said['loss']!r} with its weights, priors and penalties; "
            "give the objective: ps.objective(result.problem, data, loss=..., trainable=...)"
        )
    if np.isfinite(fitted.history["validation_loss"]).any():
        raise ProblemError(
            f"{function}: the fit held data back, which result.data has; give the objective of those that were fitted: "
            "ps.objective(result.problem, data, trainable=...)"
        )
    words = {key: said[key] for key in ("loss", "engine", "algorithm", "rtol", "atol", "sensitivity")}
    trainable = dict.fromkeys(said["trained"], True)
    trainable |= {label.split("(")[0]: from_limits(*ends) for label, ends in said["bounds"].items()}
    more = {"over": over_of(fitted), "trainable": trainable, "verify": "never"}
    problems = tuple(problem for _, problem in fitted.members) or (fitted.problem,)
    return Fitted(objective(fitted.problem, fitted.data, **words, **more), problems, said["loss"])


def curvature(value_and_gradient: Callable, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Second derivatives ``(k, k)`` by relative changes of ``x (k,)``, from differences of gradients; and its size.

    Central differences over two lengths, extrapolated (Richardson), since lengths must stay well above the tolerances.
    """
    size = np.where(x != 0, np.abs(x), 1.0)

    def differences(length):
        moves = length * np.diag(size)
        return [(value_and_gradient(x + h)[1] - value_and_gradient(x - h)[1]) / (2 * length) for h in moves]

    found = (4 * np.array(differences(DIFFERENCE)) - np.array(differences(2 * DIFFERENCE))) / 3 * size
    return 0.5 * (found + found.T), size


def over_of(result: FitResult) -> xr.Dataset | None:
    """What differs by experiment in a result."""
    if not result.members or not result.members[0][0]:
        return None
    over = result.over
    if result.problem.initial is not None:  # initial values follow from the parameters
        over = over.drop_vars([name for name in over.data_vars if str(name).startswith("u0_")])
    return over
