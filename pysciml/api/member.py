"""One experiment of a fit: what was measured, and how its problem follows from what is searched for."""

from dataclasses import dataclass, replace

import numpy as np

from ..datasets.experiments import Experiment
from ..fitting.observations import Observations
from ..fitting.trainable import Block, gather_x, scatter_x
from ..problems.flat import flatten_model
from ..problems.ode import ODEProblem
from ..requests import SolveRequest


@dataclass(frozen=True, eq=False)
class Member:
    """One experiment: its problem with known values, what was measured, and the elements of x that it depends on."""

    experiment: Experiment
    seen: Observations  # of all that was measured, all replicates side by side
    states: Observations  # of states, in the flat order of the problem
    blocks: tuple[Block, ...]  # as pieces of ``x[picks]``
    picks: np.ndarray
    solve: SolveRequest

    @property
    def problem(self) -> ODEProblem:
        return self.experiment.problem

    @property
    def coords(self) -> dict[str, object]:
        """The experiment's coordinate along each batch dim."""
        return self.experiment.coords

    @property
    def x0(self) -> np.ndarray:
        return gather_x(self.blocks, self.problem.u0_values, self.problem.p_values)

    def problem_of(self, u0: np.ndarray, p: np.ndarray) -> ODEProblem:
        """The problem with other initial values, where these don't follow from ``p``, and parameters (flat vectors)."""
        new = {"p": _as_given(self.problem.p_layout, p[: self.problem.p_values.size])}
        if self.problem.initial is None:
            new["u0"] = _as_given(self.problem.u_layout, u0)
        return self.problem.remake(**new)

    def problem_at(self, x: np.ndarray) -> ODEProblem:
        """The problem with values of all of x, in the user's own units."""
        own = x[self.picks]
        return self.problem_of(*scatter_x(self.blocks, own, self.problem.u0_values, self.problem.p_values))


def belongs(block: Block, coords) -> bool:
    """Whether a block is one of an experiment's."""
    return all(coords.get(dim) == label for dim, label in block.coords)


def make_member(experiment: Experiment, blocks, columns, replicates: int, numerics: dict) -> Member:
    """One experiment of a fit; ``columns`` are places of what is measured, ``numerics`` how it is solved."""
    problem, times = experiment.problem, experiment.times
    own = [block for block in blocks if belongs(block, experiment.coords)]
    picks = np.concatenate([np.zeros(0, dtype=np.int64), *(np.arange(b.start, b.start + b.size) for b in own)])
    starts = np.cumsum([0, *(block.size for block in own)])
    local = tuple(replace(block, start=int(start)) for block, start in zip(own, starts[:-1], strict=True))
    values = np.full((times.size, replicates, len(columns)), np.nan)
    values[:, : experiment.values.shape[1]] = experiment.values[..., columns]
    return Member(
        experiment,
        Observations(times, values.reshape(times.size, -1)),
        Observations(times, _mean(experiment.values[..., : problem.u_layout.size])),
        local,
        picks,
        _solve_request(problem, times, numerics),
    )


def _mean(values):
    """Means over replicates, NaN where there is none."""
    counts = np.isfinite(values).sum(axis=1)
    return np.where(counts > 0, np.nansum(values, axis=1) / np.maximum(counts, 1), np.nan)


def _solve_request(problem, times, numerics) -> SolveRequest:
    end = float(times[-1]) if times[-1] > problem.span[0] else problem.span[1]
    flat = flatten_model(problem, times)
    return SolveRequest(
        program=flat.program,
        u0=problem.u0_values,
        p=flat.p,
        t_span=(problem.span[0], end),
        saveat=times,
        **numerics,
        mass_matrix=problem.mass_matrix,
        tstops=problem.stop_times if problem.stop_times.size else None,
        events=flat.events,
    )


def _as_given(layout, flat):
    """A flat vector in the form in which a user gives it."""
    values = layout.unflatten(flat)
    if layout.form in ("record", "none"):
        return values or None
    return values[layout.names[0]]
