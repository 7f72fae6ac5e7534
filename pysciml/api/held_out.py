"""Data that a fit does not see: taken out of the others, and their loss."""

from dataclasses import replace

import numpy as np

from ..datasets.experiments import Experiment
from ..errors import ProblemError
from ..fitting.validation import Holdout
from ..problems.ode import ODEProblem
from ..problems.times import read_times
from .member import belongs, make_member
from .misfit import Misfit

Experiments = tuple[Experiment, ...]


def split(holdout: Holdout, experiments: Experiments, problem: ODEProblem) -> tuple[Experiments, Experiments]:
    """The experiments that are fitted, and those that are held out; ProblemError where nothing is left of one."""
    if holdout.after is None:
        fitted = tuple(one for one in experiments if not holdout.is_held(one.coords))
        held = tuple(one for one in experiments if holdout.is_held(one.coords))
        what = f"experiments={holdout.experiments!r}"
    else:
        after = read_times("Holdout: after", np.array([holdout.after]), problem.calendar)[0]
        fitted, held = ([_rows(one, keep(one.times)) for one in experiments] for keep in (after.__gt__, after.__le__))
        what = f"after={holdout.after!r}"
    fitted, held = (tuple(one for one in part if one.times.size) for part in (fitted, held))
    if not held or not fitted:
        raise ProblemError(f"Holdout: {what} leaves no data to be {'held out' if not held else 'fitted'}")
    return fitted, held


def _rows(experiment, is_kept):
    return replace(experiment, times=experiment.times[is_kept], values=experiment.values[is_kept])


def make_others(misfit: Misfit, held: Experiments) -> Misfit | None:
    """The misfit of data that are not fitted, in the same scales, a mean of their own if it is one; None without any.

    ProblemError if something is fitted for an experiment of which nothing is.
    """
    if not held:
        return None
    solve = misfit.members[0].solve
    numerics = {name: getattr(solve, name) for name in ("algorithm", "algorithm_options", "rtol", "atol", "device")}
    members = tuple(make_member(one, misfit.blocks, misfit.columns, misfit.replicates, numerics) for one in held)
    for member in members:
        for name in {block.name for block in misfit.blocks if block.coords}:
            if not any(block.name == name and belongs(block, member.coords) for block in misfit.blocks):
                labels = ", ".join(f"{dim}={label}" for dim, label in member.coords.items())
                raise ProblemError(f"Holdout: {name!r} is fitted for each experiment, so {labels} can't be held out")
    comparison = misfit.comparison.for_others([member.seen for member in members])
    return replace(misfit, members=members, comparison=comparison, penalties={}, path=(), priors={})
