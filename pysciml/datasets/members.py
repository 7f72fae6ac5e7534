"""Results of several experiments by their coordinates."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..problems.ode import ODEProblem
from .to_dataset import parameters_to_dataset

Members = Sequence[tuple[Mapping[str, object], ODEProblem]]


def find_member(members: Sequence[tuple], coords: Mapping[str, object]) -> tuple:
    """The pair of coordinates and something at given coordinates; ProblemError unless there is one."""
    found = [pair for pair in members if all(pair[0].get(dim) == label for dim, label in coords.items())]
    if len(found) != 1 or set(coords) - set(found[0][0]):
        known = "; ".join(", ".join(f"{dim}={label!r}" for dim, label in own.items()) for own, _ in members)
        raise ProblemError(f"name one experiment by its coordinates; they are: {known or 'none'}")
    return found[0]


def join_members(found: Sequence[tuple[Mapping[str, object], xr.Dataset]]) -> xr.Dataset:
    """Datasets of experiments as one, over the batch dims, NaN where one has no time of another."""
    dims = list(found[0][0])
    if not dims:
        return found[0][1]
    first, rest = dims[0], dims[1:]
    labels = list(dict.fromkeys(coords[first] for coords, _ in found))
    groups = [
        join_members([({dim: coords[dim] for dim in rest}, ds) for coords, ds in found if coords[first] == label])
        for label in labels
    ]
    index = xr.DataArray(labels, dims=first, name=first)
    how = {"data_vars": "all", "coords": "different", "compat": "equals", "join": "outer"}
    return xr.concat(groups, index, **how, combine_attrs="drop_conflicts")


def over_to_dataset(members: Members) -> xr.Dataset:
    """Numbers among parameters and initial values that differ between experiments, over the batch dims."""
    if not members or not members[0][0]:
        return xr.Dataset()
    values = []
    for coords, problem in members:
        states = {f"u0_{name}": problem.u_layout.unflatten(problem.u0_values)[name] for name in problem.u_layout.names}
        plain = {name: (problem.dims[name.removeprefix("u0_")], state) for name, state in states.items()}
        values.append((coords, parameters_to_dataset(problem).reset_coords(drop=True).assign(plain)))
    first = values[0][1]
    same = [name for name, one in first.items() if all(np.array_equal(ds[name].values, one.values) for _, ds in values)]
    return join_members([(coords, ds.drop_vars(same)) for coords, ds in values])
