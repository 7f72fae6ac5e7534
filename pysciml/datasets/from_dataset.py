"""Data as users hold them, as arrays in a problem's own order; what does not fit is refused with its mend."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..problems.ode import ODEProblem
from ..problems.times import check_times, read_times, show_time
from ..problems.units import check_same_unit
from ..problems.values import check_pint
from ..tracing.layout import join_layouts
from ..words import nearest


def read_dataset(
    data: xr.Dataset, problem: ODEProblem, batch: tuple[str, ...] = (), time: str = "time", is_part: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Times ``(time,)``, and values ``(*batch, time, state + observable)`` of a Dataset whose time is called so.

    A variable without any value is refused, unless the Dataset is a part of the data.
    """
    _check_variables(data, problem, time)
    for dim in batch:
        if dim not in data.dims:
            listed = ", ".join(map(str, data.dims))
            raise ProblemError(f"data has no dimension {dim!r}, as over has (it has: {listed})")
    times = _read_data_times(data, problem, time)
    layout = join_layouts(problem.u_layout, problem.y_layout)
    shape = (*(data.sizes[dim] for dim in batch), times.size)
    values = np.full((*shape, layout.size), np.nan)
    for name in data.data_vars:
        entry = layout[str(name)]
        read = _read_variable(data[name], str(name), problem, (*batch, time))
        if np.isnan(read).all() and not is_part:
            raise ProblemError(f"data variable {name!r} has only NaN; leave it out: data.drop_vars({name!r})")
        values[..., entry.slice] = read.reshape(*shape, entry.size)
    return times, values


def check_dataset(data) -> None:
    """ProblemError unless ``data`` is a Dataset, naming every form that data may have."""
    if isinstance(data, xr.DataArray):
        raise ProblemError(f"data is a DataArray; write data.to_dataset(name={data.name or 'the state'!r})")
    if isinstance(data, Mapping) and not isinstance(data, xr.Dataset):
        raise ProblemError("data is a dict; write xr.Dataset({'x': ('time', values)}, coords={'time': times})")
    if not isinstance(data, xr.Dataset):
        raise ProblemError(
            "data must be an xarray.Dataset over 'time', a pandas DataFrame, or a dict of these by experiment, got "
            f"{type(data).__name__}"
        )


def _check_variables(data, problem, time):
    """ProblemError for variables that are no states or observables, or have no time."""
    if not data.data_vars:
        raise ProblemError("data has no variables; give one a measured state, named as in u0")
    names = problem.u_layout.names + problem.y_layout.names
    kind = "state or observable" if problem.y_layout.names else "state"
    for name in data.data_vars:
        if name in names:
            continue
        if name in problem.p_layout.names:
            raise ProblemError(
                f"data variable {name!r} is a parameter, not a {kind}; leave it out: data.drop_vars({name!r})"
            )
        raise ProblemError(
            f"data variable {name!r} is not a {kind} (they are {', '.join(names)}); leave it out, "
            f"data.drop_vars({name!r}), or rename it, data.rename({{{name!r}: ...}}){nearest(name, names)}"
        )
    if time not in data.dims:
        if time in data.coords:
            raise ProblemError(f"data has one single time and no dimension {time!r}; write data.expand_dims({time!r})")
        dims = [str(dim) for dim in data.dims] or ["t"]
        listed = ", ".join(map(str, data.dims)) or "none"
        raise ProblemError(
            f"data has no dimension {time!r} (it has: {listed}); write data.rename({{{dims[0]!r}: {time!r}}})"
        )
    if time not in data.coords:
        raise ProblemError(f"data has a dimension {time!r} without times; write data.assign_coords({time}=...)")


def _read_data_times(data, problem, time):
    """The problem's floats for the data's times."""
    values = data[time]
    if values.size == 0:
        raise ProblemError(f"data is empty: its {time} has length 0")
    if values.dtype.kind == "m":
        raise ProblemError(
            f"data: {time} holds durations; write data.assign_coords({time}=data.{time} / np.timedelta64(1, 'D')) "
            "for days"
        )
    if problem.calendar is None:
        check_same_unit(f"data: {time}", values.attrs.get("units"), problem.units.get("time"))
    floats = read_times(f"data: {time}", values, problem.calendar)
    order = np.argsort(floats, kind="stable")
    repeated = np.flatnonzero(np.diff(floats[order]) == 0)
    if repeated.size:
        when = show_time(float(floats[order][repeated[0]]), problem)
        raise ProblemError(
            f"data has the time {when} more than once; write data.groupby({time!r}).mean(), or keep one of them"
        )
    if (np.diff(floats) < 0).any():
        raise ProblemError(f"data is not in order of time; write data.sortby({time!r})")
    try:
        return check_times("data", floats, problem)
    except ProblemError:
        first, last = span_ends(problem)
        mend = f"data.sel({time}=slice({first}, {last}))"
        raise ProblemError(outside_message(floats, problem, mend)) from None


def span_ends(problem: ODEProblem) -> tuple[str, str]:
    """The ends of the span as a user writes them."""
    first, last = (f"{end}" if problem.calendar is None else f"'{end}'" for end in problem.t_span)
    return first, last


def outside_message(floats: np.ndarray, problem: ODEProblem, mend: str) -> str:
    """How many times lie outside the span, and what can be done."""
    start, end = problem.span
    outside = floats[(floats < start) | (floats > end)]
    return (
        f"data has {outside.size} of {floats.size} times outside t_span ({', '.join(span_ends(problem))}), such as "
        f"{show_time(outside[0], problem)}; write {mend}, or widen t_span"
    )


def _read_variable(variable, name, problem, leading):
    """One variable's values ``(*leading, *own dims)``; the last of ``leading`` is the time."""
    dims, time = problem.dims[name], leading[-1]
    lacking = [dim for dim in leading if dim not in variable.dims]
    if lacking:
        listed = ", ".join(variable.dims) or "none"
        raise ProblemError(f"data variable {name!r} has no dimension {lacking[-1]!r} (it has: {listed})")
    extra = [dim for dim in variable.dims if dim not in (*leading, *dims)]
    if extra:
        raise ProblemError(
            f"data variable {name!r} has a dimension {extra[0]!r} that the state lacks; write "
            f"over={{{extra[0]!r}: data[{extra[0]!r}]}} if each is an experiment, else data.isel({extra[0]}=0) or "
            f"data.mean({extra[0]!r})"
        )
    missing = [dim for dim in dims if dim not in variable.dims]
    if missing:
        raise ProblemError(
            f"data variable {name!r} lacks the dimension {missing[0]!r} of the state; its dims are {dims}"
        )
    variable = variable.transpose(*leading, *dims)
    _check_coords(variable, name, problem)
    check_same_unit(f"data variable {name!r}", variable.attrs.get("units"), problem.units.get(name))
    return _read_numbers(variable, name, problem, time)


def _check_coords(variable, name, problem):
    """ProblemError unless the own dims of a state or observable have the problem's sizes and coordinates."""
    shape = (problem.u_layout if name in problem.u_layout.names else problem.y_layout)[name].shape
    for dim, size in zip(problem.dims[name], shape, strict=True):
        if variable.sizes[dim] != size:
            raise ProblemError(
                f"data variable {name!r} has length {variable.sizes[dim]} along {dim!r}, expected {size}"
            )
        if dim in problem.coords and dim in variable.coords:
            expected, got = problem.coords[dim].values, variable[dim].values
            if not np.array_equal(expected, got):
                raise ProblemError(
                    f"data variable {name!r} has other coordinates along {dim!r} than the state ({got[:3]}... against "
                    f"{expected[:3]}...); they must match exactly: data.reindex or data.interp with "
                    f"problem.coords[{dim!r}].values"
                )


def _read_numbers(variable, name, problem, time):
    """Float values; ProblemError if they are no real numbers, or infinite."""
    check_pint(f"data variable {name!r}", variable)
    values = np.asarray(variable.values)
    if values.dtype.kind not in "iuf":
        raise ProblemError(
            f"data variable {name!r} holds {values.dtype} values; give real numbers, NaN where there is none"
        )
    values = values.astype(np.float64)
    if np.isinf(values).any():
        k = np.argwhere(np.isinf(values))[0][variable.dims.index(time)]
        when = show_time(float(read_times(f"data: {time}", variable[time], problem.calendar)[k]), problem)
        raise ProblemError(f"data variable {name!r} is infinite at time {when}; write NaN where there is no value")
    return values
