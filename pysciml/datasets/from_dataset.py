"""Data as users hold them, as arrays in a problem's own order; what does not fit is refused with its mend."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ..errors import ProblemError, UnsupportedByEngine
from ..problems.ode import ODEProblem
from ..problems.times import check_times, read_times, show_time
from ..problems.units import check_same_unit
from ..problems.values import check_pint
from ..tracing.layout import join_layouts
from ..words import nearest


def read_observations(data: xr.Dataset, problem: ODEProblem) -> tuple[np.ndarray, np.ndarray]:
    """Times ``(time,)`` as the problem's floats, and values with NaN where nothing was measured.

    These are ``(time, state + observable)``, in the order of ``join_layouts(problem.u_layout, problem.y_layout)``.
    """
    _check_dataset(data)
    _check_variables(data, problem)
    times = _read_data_times(data, problem)
    layout = join_layouts(problem.u_layout, problem.y_layout)
    values = np.full((times.size, layout.size), np.nan)
    for name in data.data_vars:
        entry = layout[str(name)]
        values[:, entry.slice] = _read_variable(data[name], str(name), problem).reshape(times.size, entry.size)
    return times, values


def _check_dataset(data):
    """ProblemError unless ``data`` is a Dataset with at least one variable over ``time``."""
    if isinstance(data, xr.DataArray):
        raise ProblemError(f"data is a DataArray; write data.to_dataset(name={data.name or 'the state'!r})")
    if type(data).__module__.split(".")[0] == "pandas":
        raise UnsupportedByEngine(
            f"data is a pandas {type(data).__name__}, which no engine's fit takes yet; "
            "write data.set_index('time').to_xarray() for a Dataset"
        )
    if isinstance(data, Mapping) and not isinstance(data, xr.Dataset):
        if any(isinstance(item, xr.Dataset) for item in data.values()):
            raise UnsupportedByEngine(
                "data is a dict of Datasets; several experiments are not supported yet: pass one of them"
            )
        raise ProblemError("data is a dict; write xr.Dataset({'x': ('time', values)}, coords={'time': times})")
    if not isinstance(data, xr.Dataset):
        raise ProblemError(f"data must be an xarray.Dataset over 'time', got {type(data).__name__}")
    if not data.data_vars:
        raise ProblemError("data has no variables; give one a measured state, named as in u0")


def _check_variables(data, problem):
    """ProblemError for variables that are no states or observables, or have no time."""
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
    if "time" not in data.dims:
        if "time" in data.coords:
            raise ProblemError("data has one single time and no dimension 'time'; write data.expand_dims('time')")
        dims = [str(dim) for dim in data.dims] or ["t"]
        listed = ", ".join(map(str, data.dims)) or "none"
        raise ProblemError(
            f"data has no dimension 'time' (it has: {listed}); write data.rename({{{dims[0]!r}: 'time'}})"
        )
    if "time" not in data.coords:
        raise ProblemError("data has a dimension 'time' without times; write data.assign_coords(time=...)")


def _read_data_times(data, problem):
    """The problem's floats for the data's times."""
    time = data["time"]
    if time.size == 0:
        raise ProblemError("data is empty: its time has length 0")
    if time.dtype.kind == "m":
        raise ProblemError(
            "data: time holds durations; write data.assign_coords(time=data.time / np.timedelta64(1, 'D')) for days"
        )
    if problem.calendar is None:
        check_same_unit("data: time", time.attrs.get("units"), problem.units.get("time"))
    floats = read_times("data: time", time, problem.calendar)
    order = np.argsort(floats, kind="stable")
    repeated = np.flatnonzero(np.diff(floats[order]) == 0)
    if repeated.size:
        when = show_time(float(floats[order][repeated[0]]), problem)
        raise ProblemError(
            f"data has the time {when} more than once; write data.groupby('time').mean(), or keep one of them"
        )
    if (np.diff(floats) < 0).any():
        raise ProblemError("data is not in order of time; write data.sortby('time')")
    try:
        return check_times("data", floats, problem)
    except ProblemError:
        raise ProblemError(_outside_message(floats, problem)) from None


def _outside_message(floats, problem):
    """How many times lie outside the span, and what can be done."""
    start, end = problem.span
    outside = floats[(floats < start) | (floats > end)]
    first, last = (f"{end}" if problem.calendar is None else f"'{end}'" for end in problem.t_span)
    return (
        f"data has {outside.size} of {floats.size} times outside t_span ({first}, {last}), such as "
        f"{show_time(outside[0], problem)}; write data.sel(time=slice({first}, {last})), or widen t_span"
    )


def _read_variable(variable, name, problem):
    """One variable's values ``(time, *own dims)``."""
    dims = problem.dims[name]
    if "time" not in variable.dims:
        raise ProblemError(
            f"data variable {name!r} has no dimension 'time' (it has: {', '.join(variable.dims) or 'none'})"
        )
    extra = [dim for dim in variable.dims if dim not in ("time", *dims)]
    if extra:
        raise ProblemError(
            f"data variable {name!r} has a dimension {extra[0]!r} that the state lacks; a fit takes one experiment: "
            f"write data.isel({extra[0]}=0) or data.mean({extra[0]!r})"
        )
    missing = [dim for dim in dims if dim not in variable.dims]
    if missing:
        raise ProblemError(
            f"data variable {name!r} lacks the dimension {missing[0]!r} of the state; its dims are {dims}"
        )
    variable = variable.transpose("time", *dims)
    _check_coords(variable, name, problem)
    check_same_unit(f"data variable {name!r}", variable.attrs.get("units"), problem.units.get(name))
    return _read_numbers(variable, name, problem)


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


def _read_numbers(variable, name, problem):
    """Float values; ProblemError if they are no real numbers, infinite, or all missing."""
    check_pint(f"data variable {name!r}", variable)
    values = np.asarray(variable.values)
    if values.dtype.kind not in "iuf":
        raise ProblemError(
            f"data variable {name!r} holds {values.dtype} values; give real numbers, NaN where there is none"
        )
    values = values.astype(np.float64)
    if np.isinf(values).any():
        k = np.argwhere(np.isinf(values))[0][0]
        when = show_time(float(read_times("data: time", variable["time"], problem.calendar)[k]), problem)
        raise ProblemError(f"data variable {name!r} is infinite at time {when}; write NaN where there is no value")
    if np.isnan(values).all():
        raise ProblemError(f"data variable {name!r} has only NaN; leave it out: data.drop_vars({name!r})")
    return values
