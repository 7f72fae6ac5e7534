"""External inputs: measured series as parameters that are called with a time."""

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..tracing.external import ExternalInput, input_parts
from ..tracing.layout import Entry, Layout
from ..tracing.table import Table
from ..words import nearest
from .times import Calendar, read_times
from .units import check_same_unit
from .values import Interpolation, check_finite, check_pint, read_coord, read_label

METHODS = ("linear", "cubic", "previous")
EXTRAPOLATIONS = (None, "hold")


def interpolate(da: xr.DataArray, method: str = "linear", *, extrapolate: str | None = None) -> Interpolation:
    """Return a measured series as a parameter that a model calls with a time: ``p.I(t)``.

    Its times and values are data like any parameter, so that ``problem.remake(p={"I": ps.interpolate(other)})`` with a
    series of the same shape compiles nothing anew. A fit trains its values only where it is named.

    Parameters
    ----------
    da : xarray.DataArray
        Values over ``time`` and any dims of their own, without gaps; times increase, in the problem's unit or as dates.
    method : {"linear", "cubic", "previous"}, default "linear"
        Straight lines; a cubic spline (not-a-knot, twice continuously differentiable); or steps that hold each value
        until the next time, where solvers then stop.
    extrapolate : {None, "hold"}, default None
        None: the series must cover the whole span. ``"hold"``: its first and last value go on for ever.

    Returns
    -------
    Interpolation
        A value for ``p``.

    Raises
    ------
    ProblemError
        If it isn't a series over time, has NaN, or its times do not increase.

    Notes
    -----
    Where a model looks outside the times of the series, as ``p.I(t - 1)`` may at the start of the span, it finds the
    end values.

    References
    ----------
    de Boor (1978), A Practical Guide to Splines, Springer, doi:10.1007/978-1-4612-6333-3.

    Examples
    --------
    >>> import numpy as np, pysciml as ps, xarray as xr
    >>> rain = xr.DataArray([0.0, 2.0, 0.0], {"time": [0.0, 1.0, 2.0]}, "time")
    >>> p = {"rain": ps.interpolate(rain), "k": 0.5}
    >>> problem = ps.ODEProblem(lambda t, u, p: {"level": p.rain(t) - p.k * u.level}, {"level": 0.0}, (0, 2), p)
    >>> float(problem.p.rain(0.5))
    1.0
    """
    if method not in METHODS:
        raise ProblemError(
            f"interpolate: unknown method {method!r}; one of {', '.join(METHODS)}{nearest(method, METHODS)}"
        )
    if extrapolate not in EXTRAPOLATIONS:
        raise ProblemError(f"interpolate: extrapolate must be None or 'hold', got {extrapolate!r}")
    _check_series(da)
    da = da.transpose("time", ...)
    check_pint("interpolate", da)
    values = np.asarray(da.values)
    if values.dtype.kind not in "iuf":
        raise ProblemError(f"interpolate: the series holds {values.dtype} values; give real numbers")
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        word = "NaN" if np.isnan(values[tuple(bad[0])]) else "infinite"
        when = da["time"].values[bad[0][0]]
        raise ProblemError(
            f"interpolate: the series is {word} at time {when} ({len(bad)} of {values.size} values); "
            "write da.dropna('time'), or da.interpolate_na('time')"
        )
    coords = {
        str(name): read_coord(f"interpolate: coordinate {name!r}", coord)
        for name, coord in da.coords.items()
        if coord.dims and "time" not in coord.dims
    }
    dims = tuple(str(dim) for dim in da.dims[1:])
    table = Table(method, len(values), values.shape[1:], extrapolate)
    time = da["time"]
    return Interpolation(
        table,
        time.values,
        values.astype(np.float64),
        dims,
        coords,
        *read_label("interpolate", da),
        time.attrs.get("units"),
    )


def _check_series(da):
    """ProblemError unless ``da`` is a DataArray with times."""
    if type(da).__module__.split(".")[0] == "pandas":
        raise ProblemError(f"interpolate: got a pandas {type(da).__name__}; write da.rename_axis('time').to_xarray()")
    if not isinstance(da, xr.DataArray):
        hint = "; pick one of its variables" if isinstance(da, xr.Dataset) else ""
        raise ProblemError(f"interpolate: give an xarray.DataArray over 'time', got {type(da).__name__}{hint}")
    if "time" not in da.dims:
        listed = ", ".join(map(str, da.dims)) or "none"
        raise ProblemError(f"interpolate: the series has no dimension 'time' (it has: {listed}); write da.rename(...)")
    if "time" not in da.coords:
        raise ProblemError("interpolate: the series has no times; write da.assign_coords(time=...)")
    if da.sizes["time"] < 2:
        raise ProblemError(f"interpolate: the series needs at least two times, got {da.sizes['time']}")


def table_of(series: Interpolation | ExternalInput) -> Table:
    """The kind and sizes of a series."""
    return input_parts(series)[0] if isinstance(series, ExternalInput) else series.table


def flatten_series(
    where: str, series: Interpolation | ExternalInput, calendar: Calendar | None, time_unit: str | None
) -> np.ndarray:
    """A series as the flat table ``(size,)`` of a problem; ProblemError where its times can't be the problem's."""
    if isinstance(series, ExternalInput):
        return input_parts(series)[1]
    if calendar is None:
        check_same_unit(f"{where}: time", series.time_unit, time_unit)
    times = read_times(f"{where}: time", series.times, calendar)
    steps = np.diff(times)
    if (steps <= 0).any():
        k = int(np.argmax(steps <= 0))
        raise ProblemError(
            f"{where}: its times must increase, but {series.times[k + 1]} comes after {series.times[k]}; "
            "write da.sortby('time'), or drop what is there twice: da.drop_duplicates('time')"
        )
    return join_table(series.table, times, series.values)


def join_table(table: Table, times: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The flat table ``(size,)`` of times ``(n_times,)`` and values ``(n_times, *shape)``."""
    parts = [times, np.ravel(values)]
    if table.method == "cubic":
        from scipy.interpolate import CubicSpline

        parts.append(np.ravel(CubicSpline(times, values)(times, 1)))
    return np.concatenate(parts)


def merge_table(where: str, entry: Entry, raw, old: np.ndarray, calendar, time_unit) -> np.ndarray:
    """The flat table of a new value in the place of ``old``; ProblemError if it has another kind or shape."""
    table = entry.table
    assert table is not None
    if isinstance(raw, ExternalInput):
        given, raw = input_parts(raw)
        return np.array(_same_kind(where, table, given, raw))
    if isinstance(raw, Interpolation):
        return _same_kind(where, table, raw.table, flatten_series(where, raw, calendar, time_unit))
    array = np.asarray(raw, dtype=np.float64)
    check_finite(where, array)
    if array.shape == (table.size,):
        times, values = table.times(array), table.values(array)
        return join_table(table, times, values)
    if array.shape == (table.n_times, *table.shape):
        return join_table(table, table.times(old), array)
    raise ProblemError(
        f"remake: {where} is an external input; give ps.interpolate(...), or values of shape "
        f"{(table.n_times, *table.shape)} at its times, got shape {array.shape}"
    )


def _same_kind(where, table, given, flat):
    if given != table:
        raise ProblemError(
            f"remake: {where} is {_describe(given)}, expected {_describe(table)}: method and shape are traced; "
            "interpolate to the old number of times, or make a new problem"
        )
    return flat


def _describe(table):
    shape = f" of shape {table.shape}" if table.shape else ""
    hold = ", extrapolate='hold'" if table.extrapolate else ""
    return f"a {table.method} input{shape} with {table.n_times} times{hold}"


def tables(layout: Layout) -> list[tuple[Entry, Table]]:
    """The external inputs among parameters."""
    return [(entry, entry.table) for entry in layout.entries if entry.table is not None]


def check_coverage(layout: Layout, flat: np.ndarray, t_span: tuple, span: tuple, calendar: Calendar | None) -> None:
    """ProblemError for an input that has no values for some part of the span."""
    for entry, table in tables(layout):
        times = table.times(flat[entry.slice])
        slack = 8 * np.finfo(float).eps * max(abs(span[0]), abs(span[1]))
        if table.extrapolate is None and (times[0] > span[0] + slack or times[-1] < span[1] - slack):
            first, last = times[[0, -1]] if calendar is None else calendar.to_dates(times[[0, -1]])
            raise ProblemError(
                f"p[{entry.name!r}] has values from t = {first} to {last}, which does not cover t_span "
                f"({t_span[0]}, {t_span[1]}); give a longer series, a shorter span, or extrapolate='hold'"
            )


def move_epoch(layout: Layout, flat: np.ndarray, old: Calendar | None, new: Calendar | None) -> np.ndarray:
    """Tables whose times count from the start of another span."""
    if old is None or new is None or old == new or not tables(layout):
        return flat
    flat = flat.copy()
    for entry, table in tables(layout):
        place = slice(entry.start, entry.start + table.n_times)
        flat[place] = new.to_floats(old.to_dates(flat[place]))
    return flat


def stop_times(layout: Layout, flat: np.ndarray, span: tuple[float, float]) -> np.ndarray:
    """Times inside the span at which an input steps to another value."""
    found = [table.times(flat[entry.slice]) for entry, table in tables(layout) if table.method == "previous"]
    if not found:
        return np.zeros(0)
    times = np.unique(np.concatenate(found))
    return times[(times > span[0]) & (times < span[1])]
