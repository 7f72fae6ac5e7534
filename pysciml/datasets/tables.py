"""pandas tables as arrays in a problem's own order; what does not fit is refused with its mend."""

import numpy as np

from ..errors import ProblemError
from ..problems.ode import ODEProblem
from ..problems.over import plain_label
from ..problems.times import check_times, read_times
from ..tracing.layout import join_layouts
from ..words import nearest
from .from_dataset import outside_message, span_ends

Key = tuple  # coordinates of one experiment, one a batch dim


def is_table(data) -> bool:
    """Whether data is a pandas object."""
    return type(data).__module__.split(".")[0] == "pandas"


def column_names(data) -> list:
    """Names of all columns and index levels of a table."""
    return [*data.columns, *(name for name in data.index.names if name is not None)]


def read_table(
    data, problem: ODEProblem, batch: tuple[str, ...] = (), time: str = "time", is_part: bool = False
) -> dict[Key, tuple[np.ndarray, np.ndarray]]:
    """Times ``(time,)`` and values ``(time, replicate, state + observable)`` of each experiment in a table.

    Rows are in any order; those of one experiment and one time are replicates. Rows without a value are left out;
    a column without any is refused, unless the table is a part of the data.
    """
    levels = data.index.names
    data = _with_columns(data, batch, time)
    _check_columns(data, problem, batch, time, levels)
    layout = join_layouts(problem.u_layout, problem.y_layout)
    values = np.full((len(data), layout.size), np.nan)
    for name in data.columns:
        if name not in (*batch, time):
            values[:, layout[name].slice] = _read_numbers(data[name], name)[:, None]
            if np.isnan(values[:, layout[name].slice]).all() and not is_part:
                raise ProblemError(f"data column {name!r} has only NaN; leave it out: data.drop(columns={name!r})")
    kept = np.isfinite(values).any(axis=1)
    data, values = data[kept], values[kept]
    floats = _read_times(data[time], problem, time)
    rows: dict[Key, list[int]] = {}
    for row, key in enumerate(_keys(data, batch)):
        rows.setdefault(key, []).append(row)
    return {key: _stack(floats[of_key], values[of_key], problem) for key, of_key in rows.items()}


def _with_columns(data, batch, time):
    """The table with its index as columns, as far as it has names or is the time."""
    if data.ndim != 2:
        raise ProblemError("data is a pandas Series; write data.to_frame(), with the name of its state")
    if data.columns.nlevels > 1:
        raise ProblemError(
            "data has columns of several levels; write data.stack() (and .reset_index()) for one row an observation"
        )
    index = data.index
    if index.nlevels == 1 and index.name is None and time not in data.columns and not index.equals(_rows(data)):
        return data.rename_axis(time).reset_index()
    named = [name for name in index.names if name is not None and name not in data.columns]
    return data.reset_index(named) if named else data


def _rows(data):
    """The index that a table has if it is given none."""
    return data.reset_index(drop=True).index


def _check_columns(data, problem, batch, time, levels):
    """ProblemError for a table that lacks a column, or has one that is neither state nor observable."""
    names = problem.u_layout.names + problem.y_layout.names
    listed = ", ".join(map(str, data.columns)) or "none"
    if not len(data):
        raise ProblemError("data is empty: it has no rows")
    if data.columns.has_duplicates:
        twice = data.columns[data.columns.duplicated()][0]
        raise ProblemError(f"data has two columns {twice!r}; write data.loc[:, ~data.columns.duplicated()]")
    if time not in data.columns:
        near = nearest(time, data.columns)
        raise ProblemError(f"data has no column {time!r} (it has: {listed}); write time=... with the right one{near}")
    for dim in batch:
        if dim not in data.columns:
            raise ProblemError(
                f"data has no column {dim!r}, by which over tells experiments apart (it has: {listed}); write "
                f"data.rename(columns={{...: {dim!r}}})"
            )
    for name in data.columns:
        if name in names and problem.dims[name]:
            raise ProblemError(
                f"data column {name!r}: the state has dims {problem.dims[name]}, and a table holds one number a row; "
                f"write data.set_index([{time!r}, {', '.join(map(repr, problem.dims[name]))}]).to_xarray()"
            )
        if name not in (*names, *batch, time):
            raise ProblemError(_unknown_column(name, problem, names, batch, name in levels))
    if not set(data.columns) & set(names):
        raise ProblemError(f"data has no column of a state (they are {', '.join(names)}; its columns: {listed})")


def _unknown_column(name, problem, names, batch, is_level):
    """What a column, or a level of the index, is not, and what can be done."""
    drop, unique = f"data.drop(columns={name!r})", f"data[{name!r}].unique()"
    if is_level:
        drop, unique = f"data.droplevel({name!r})", f"data.index.unique({name!r})"
    kind = "state or observable" if problem.y_layout.names else "state"
    if name in problem.p_layout.names:
        by = repr(list(batch)) if batch else "'experiment'"
        known = f"over=data.groupby({by})[[{name!r}]].first().to_xarray()"
        return (
            f"data column {name!r} is a parameter, not a {kind}; leave it out, {drop}, and give known values as {known}"
        )
    renamed = "" if is_level else f" rename it, data.rename(columns={{{name!r}: ...}}),"
    return (
        f"data {'index level' if is_level else 'column'} {name!r} is not a {kind} (they are {', '.join(names)}); leave "
        f"it out, {drop},{renamed} or, if it tells experiments apart, write over={{{name!r}: {unique}}}"
        f"{nearest(name, names)}"
    )


def _read_numbers(column, name):
    """A column as floats, NaN where there is none; ProblemError if it holds no real numbers, or infinite ones."""
    kind = getattr(column.dtype, "kind", "O")
    if kind not in "iuf":
        first = next((value for value in column if not isinstance(value, float | int)), column.iloc[0])
        raise ProblemError(
            f"data column {name!r} holds {column.dtype} values such as {first!r}; write "
            f"data[{name!r}] = pd.to_numeric(data[{name!r}], errors='coerce') for numbers, NaN where there is none"
        )
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    if np.isinf(values).any():
        row = column.index[np.isinf(values)][0]
        raise ProblemError(f"data column {name!r} is infinite in row {row}; write NaN where there is no value")
    return values


def _read_times(column, problem, time):
    """The problem's floats for a table's times."""
    where = f"data column {time!r}"
    if column.isna().any():
        raise ProblemError(f"{where} has rows without a time; write data.dropna(subset={time!r})")
    if column.dtype.kind == "m":
        raise ProblemError(
            f"{where} holds durations; write data[{time!r}] = data[{time!r}] / np.timedelta64(1, 'D') for days"
        )
    if problem.calendar is None and _is_text(column):
        raise ProblemError(f"{where} holds text such as {column.iloc[0]!r}; write pd.to_numeric(data[{time!r}])")
    floats = read_times(where, column.to_numpy(), problem.calendar)
    try:
        check_times("data", np.unique(floats), problem)
    except ProblemError:
        mend = f"data[data[{time!r}].between({', '.join(span_ends(problem))})]"
        raise ProblemError(outside_message(floats, problem, mend)) from None
    return floats


def _is_text(column):
    return any(isinstance(value, str) for value in column[:1])


def _keys(data, batch):
    """Coordinates of the experiment of each row."""
    for dim in batch:
        if data[dim].isna().any():
            raise ProblemError(f"data column {dim!r} has rows without a value; write data.dropna(subset={dim!r})")
    columns = [[plain_label(label) for label in data[dim]] for dim in batch]
    return list(zip(*columns, strict=True)) if batch else [()] * len(data)


def _stack(floats, values, problem):
    """One experiment's times, and its values with rows of one time side by side."""
    times, place, counts = np.unique(floats, return_inverse=True, return_counts=True)
    replicate = np.empty(len(floats), dtype=int)
    replicate[np.argsort(place, kind="stable")] = np.concatenate([np.arange(count) for count in counts])
    stacked = np.full((times.size, counts.max(), values.shape[1]), np.nan)
    stacked[place, replicate] = values
    return check_times("data", times, problem), stacked
