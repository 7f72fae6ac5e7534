"""Flat arrays of an engine as a Dataset in the user's names, dims and units."""

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import xarray as xr

from ..engines.base import RawSolution
from ..problems.labels import coords_on
from ..problems.ode import ODEProblem
from .attrs import own_versions, to_json, variable_attrs
from .event_variables import changed_coords, event_variables


def to_dataset(
    raw: RawSolution, problem: ODEProblem, engine: str, settings: Mapping, times=None, events=(), failure=None
) -> xr.Dataset:
    """A solution of one trajectory: one variable a state and observable, parameters as coordinates.

    ``settings`` is what the solve was asked; ``times`` are the save times as the user wrote them; ``events`` are the
    request's; ``failure`` is a dataclass that says why and where a solve failed.
    """
    if times is None or len(raw.t) < len(times) or raw.u.nbytes > _MUCH or events or failure is not None:
        return _make_dataset(raw, problem, engine, settings, times, events, failure)
    # The next solution often differs from the last one in values alone, and xarray takes five times as long to put a
    # Dataset together as to copy one.
    facts = engine, settings, raw.status, raw.algorithm, raw.reason, raw.message, raw.statistics, raw.versions
    last, ds, said, p_values = problem.memory.get("solution", (None, None, None, None))
    if last is not times:
        problem.memory["solution"] = times, None, None, None
        return _make_dataset(raw, problem, engine, settings, times)
    if ds is None:
        ds, said, p_values = _make_dataset(raw, problem, engine, settings, times), facts, problem.p_values
        if not set(problem.p_layout.names) & set(ds.indexes):  # an index can't be given other values
            problem.memory["solution"] = times, ds, said, p_values
    ds = ds.copy(data=_arrays(raw, problem))
    if p_values is not problem.p_values:
        for name, values in parameter_values(problem).items():
            ds.variables[name].data = values
    if said != facts:
        ds.attrs = _solution_attrs(raw, problem, engine, settings, None)
    return ds


_MUCH = 1_000_000  # bytes: solutions beyond are not kept


def _make_dataset(raw, problem, engine, settings, times=None, events=(), failure=None):
    """A Dataset from its parts."""
    t = solution_times(raw, problem, times).copy()
    t.flags.writeable = False  # it may be shared
    attrs = variable_attrs("time", {} if problem.calendar else problem.units, {})
    coords = {"time": ("time", t, attrs)} | parameter_coords(problem)
    variables = {}
    for name, values in _arrays(raw, problem).items():
        dims = problem.dims[name]
        variables[name] = (("time", *dims), values, variable_attrs(name, problem.units, problem.long_names))
        coords |= coords_on(problem.coords, dims)
    if raw.firings is not None:
        variables |= event_variables(raw.firings, problem, events)
        coords |= changed_coords(raw, problem, events)
    return xr.Dataset(variables, coords, _solution_attrs(raw, problem, engine, settings, failure))


def to_arrays(raw: RawSolution, problem: ODEProblem, times=None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A solution as ``(t, {name: array})``."""
    return solution_times(raw, problem, times).copy(), _arrays(raw, problem)


def _arrays(raw, problem):
    """States and observables by name."""
    observed = {} if raw.y is None else problem.y_layout.unflatten(raw.y[0])
    return problem.u_layout.unflatten(raw.u[0]) | observed


def solution_times(raw: RawSolution, problem: ODEProblem, times=None) -> np.ndarray:
    """Times as the user wrote them, as far as the solve came; else the engine's own in the span's calendar."""
    if times is not None:
        return times[: len(raw.t)]
    return raw.t if problem.calendar is None else problem.calendar.to_dates(raw.t)


def sensitivities_to_dataset(
    raw: RawSolution, problem: ODEProblem, engine: str, settings: Mapping, times, slopes: Mapping
) -> xr.Dataset:
    """Derivatives of states and observables over time, by the names ``(state, parameter)`` of both."""
    t = solution_times(raw, problem, times)
    coords = {"time": ("time", t, variable_attrs("time", {} if problem.calendar else problem.units, {}))}
    variables = {}
    for (state, name), values in slopes.items():
        first = ("time", *problem.dims[state])
        own, own_coords = _dims_of(problem, name, np.ndim(values) - len(first))
        new = {dim: f"{dim}_wrt" for dim in own if dim in first}
        coords |= coords_on(problem.coords, first[1:])
        for key, variable in own_coords.items():
            renamed = tuple(new.get(dim, dim) for dim in variable.dims)
            coords[f"{key}_wrt" if renamed != variable.dims else key] = (renamed, variable.values, variable.attrs)
        second = tuple(new.get(dim, dim) for dim in own)
        variables[f"d_{state}_d_{name}"] = ((*first, *second), values, {"long_name": f"d {state} / d {name}"})
    return xr.Dataset(variables, coords, _solution_attrs(raw, problem, engine, settings, None))


def _dims_of(problem, name, rank):
    """The dims of a parameter, initial value or layer, and the coordinates on them."""
    variables, coords = _values_of(problem, {name: np.zeros(_shape_of(problem, name, rank))})
    return variables[name][0], {
        key: value if isinstance(value, xr.Variable) else xr.Variable(*value) for key, value in coords.items()
    }


def _shape_of(problem, name, rank):
    """The shape of what has a name; of a layer only its rank counts."""
    for layout in (problem.p_layout, problem.u_layout):
        owner = name.removeprefix("u0_")
        if owner in layout.names:
            return layout[owner].shape
    return (0,) * rank


def _solution_attrs(raw, problem, engine, settings, failure):
    """The handful a person looks for, and the rest as JSON."""
    status = raw.status[0]
    rest = {
        "settings": dict(settings),
        "algorithm_reason": raw.reason,
        "status_message": raw.message or status.message,
        "statistics": raw.statistics,
        "t_span": [str(end) for end in problem.t_span],
        "versions": own_versions() | raw.versions,
    }
    if failure is not None:
        rest["failure"] = {name: _strict(value) for name, value in asdict(failure).items()}
    functions = {"initial": problem.initial, "observe": problem.observe}
    rest["functions"] = {name: program.hash for name, program in functions.items() if program is not None}
    title = {"title": problem.name} if problem.name else {}
    named = {"engine": engine, "algorithm": raw.algorithm, "status": status.name, "program_hash": problem.program.hash}
    return title | named | {"pysciml": to_json(rest)}


def _strict(value):
    """JSON has no NaN and no infinity: these as their text."""
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def parameter_coords(problem):
    """Every parameter as a coordinate on its own dims, with their coordinates."""
    variables, coords = _values_of(problem, parameter_values(problem))
    return coords | variables


def parameter_values(problem: ODEProblem) -> dict[str, np.ndarray]:
    """Parameters by name, read-only, since results may share them."""
    values = _parameter_values(problem, problem.p_values)
    for array in values.values():
        array.flags.writeable = False
    return values


def _parameter_values(problem, flat):
    """Arrays by name, integer parameters as integers, external inputs as their values."""
    arrays = problem.p_layout.unflatten(flat)
    for entry in problem.p_layout.entries:
        if entry.table is not None:
            arrays[entry.name] = entry.table.values(arrays[entry.name])
        elif not entry.is_float:
            arrays[entry.name] = arrays[entry.name].astype(np.int64)
    return arrays


def values_to_dataset(problem: ODEProblem, values: Mapping[str, np.ndarray]) -> xr.Dataset:
    """Values named as states, parameters, initial values (``u0_<state>``) or layers: one variable a name."""
    return xr.Dataset(*_values_of(problem, values))


def _values_of(problem, values):
    """Variables and the coordinates of their dims."""
    variables, coords = {}, {}
    for name, array in values.items():
        owner = name.removeprefix("u0_")
        array = np.asarray(array)
        attrs = variable_attrs(owner, problem.units, problem.long_names)
        if owner not in problem.dims:  # a layer of a network
            variables[name] = (tuple(f"{name}_dim_{k}" for k in range(array.ndim)), array, {"long_name": name})
            continue
        if owner != name:
            attrs["long_name"] = f"initial {attrs['long_name']}"
        dims = problem.dims[owner]
        variables[name] = (dims, array, attrs)
        coords |= coords_on(problem.coords, dims) | _input_times(problem, owner)
    return variables, coords


def _input_times(problem, name):
    """The times of an external input, as its own coordinate; nothing for anything else."""
    entry = problem.p_layout[name] if name in problem.p_layout.names else None
    if entry is None or entry.table is None:
        return {}
    times = entry.table.times(problem.p_values[entry.slice])
    unit = {"units": problem.units["time"]} if problem.calendar is None and "time" in problem.units else {}
    shown = times if problem.calendar is None else problem.calendar.to_dates(times)
    return {problem.dims[name][0]: (problem.dims[name][:1], shown, {"long_name": f"time of {name}"} | unit)}


def parameters_to_dataset(problem: ODEProblem, p_values: np.ndarray | None = None) -> xr.Dataset:
    """One variable a parameter, in its unit, on its dims; the problem's values unless ``p_values (m,)`` are given."""
    flat = problem.p_values if p_values is None else p_values
    return values_to_dataset(problem, _parameter_values(problem, flat))


def gradient_to_dataset(problem: ODEProblem, gradient: Mapping[str, np.ndarray], ends=None) -> xr.Dataset:
    """Derivatives of a loss by name of what they belong to, without units; ``ends`` are those by ``t_span``."""
    ds = values_to_dataset(problem, gradient)
    if ends is not None:
        ds = ds.assign({"t_span": ("end", ends)}).assign_coords(end=["t0", "t1"])
    for name, variable in ds.data_vars.items():
        variable.attrs = {"long_name": f"d loss / d {name}"}
    return ds
