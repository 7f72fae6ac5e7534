"""Data of one or several experiments, in every form in which users hold them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..problems.labels import coords_on
from ..problems.ode import ODEProblem
from ..problems.over import Over, plain_label, read_over, show_coords
from ..tracing.layout import join_layouts
from .attrs import variable_attrs
from .from_dataset import check_dataset, read_dataset
from .tables import column_names, is_table, read_table


@dataclass(frozen=True, eq=False)
class Experiment:
    """One series of measurements, and the problem that it measures.

    ``name`` is its coordinate for messages and results, ``""`` where there is one experiment; ``coords`` the same by
    batch dim. ``times (time,)`` are strictly increasing floats in the problem's unit. ``values (time, replicate, state
    + observable)`` are in the order of ``join_layouts(problem.u_layout, problem.y_layout)``, NaN where nothing was
    measured.
    """

    name: str
    coords: dict[str, object]
    times: np.ndarray
    values: np.ndarray
    problem: ODEProblem


REPLICATE = ("replicate",)  # the dim of a Dataset along which it has several values of one time
Series = tuple[np.ndarray, np.ndarray]  # times (time,) and values (time, replicate, state + observable)


def read_experiments(data, problem: ODEProblem, over=None, time: str = "time") -> tuple[Experiment, ...]:
    """The experiments in data, in the order of ``over``, or of the data where that says nothing of them.

    ``data`` is a Dataset or a pandas DataFrame, of one experiment or with the batch dims of ``over``, or a dict of
    these whose keys are coordinates of ``"experiment"``. A Dataset may have replicates along ``"replicate"``; in a
    table they are rows of one time. ``time`` is the name of its times.
    """
    if not isinstance(time, str):
        raise ProblemError(f"time must be the name of the times in data, got {time!r}")
    known = read_over(over, problem, _dims_of(data))
    if _is_several(data):
        known = _by_experiment(known, data)
        series = dict(_read_several(data, problem, known, time))
        _check_measured(series, data, problem)
    else:
        _take_labels(known, data)
        series = dict(_read_series(data, problem, known, time))
    members = list(known.members(problem))
    _check_match(series, [coords for coords, _ in members], known)
    return tuple(
        Experiment(", ".join(map(str, coords.values())), coords, *series[tuple(coords.values())], member)
        for coords, member in members
    )


def _is_several(data):
    """Whether data is a dict of experiments."""
    if not isinstance(data, Mapping) or isinstance(data, xr.Dataset):
        return False
    return any(isinstance(item, xr.Dataset) or is_table(item) for item in data.values())


def _dims_of(data):
    """What can be a batch dim of data."""
    if _is_several(data):
        return ["experiment", *(dim for item in data.values() for dim in _dims_of(item))]
    if is_table(data):
        return column_names(data) if data.ndim == 2 else []
    return [str(dim) for dim in data.dims] if isinstance(data, xr.Dataset) else []


def _by_experiment(known, data):
    """``over`` of a dict of experiments: along ``"experiment"``, whose coordinates are the keys if it is silent."""
    if not known.dims:
        return Over({"experiment": len(data)}, {"experiment": list(data)}, known.p, known.u0)
    if "experiment" not in known.dims:
        raise ProblemError(
            f"data is a dict of experiments, so over needs a dimension 'experiment' (it has: {', '.join(known.dims)}); "
            f"write xr.DataArray(values, {{'experiment': {list(data)}}}, 'experiment')"
        )
    return known


def _take_labels(known, data):
    """Coordinates along batch dims to which ``over`` gives none, from a Dataset of the same length."""
    for dim, labels in known.labels.items():
        if labels is None and isinstance(data, xr.Dataset) and dim in data.coords:
            if data.sizes[dim] == known.sizes[dim]:
                known.labels[dim] = [plain_label(label) for label in data[dim].values]


def _read_several(data, problem, known, time) -> Iterator[tuple[tuple, Series]]:
    """The series of a dict of experiments."""
    k = known.dims.index("experiment")
    rest = {dim: size for dim, size in known.sizes.items() if dim != "experiment"}
    inner = Over(rest, {dim: known.labels[dim] for dim in rest})
    for label, item in data.items():
        try:
            found = list(_read_series(item, problem, inner, time, is_part=True))
        except ProblemError as error:
            raise ProblemError(f"experiment {label!r}: {error}") from None
        for key, series in found:
            yield (*key[:k], plain_label(label), *key[k:]), series


def _check_measured(series, data, problem):
    """ProblemError for a state that all experiments have, and none a value of."""
    layout = join_layouts(problem.u_layout, problem.y_layout)
    for name in layout.names:
        given = any(name in (item.columns if is_table(item) else item) for item in data.values())
        if given and not any(np.isfinite(values[..., layout[name].slice]).any() for _, values in series.values()):
            raise ProblemError(f"data: {name!r} has only NaN in every experiment; leave it out")


def _read_series(data, problem, known, time, is_part=False) -> Iterator[tuple[tuple, Series]]:
    """The series of one Dataset or table by their coordinates."""
    if is_table(data):
        yield from read_table(data, problem, known.dims, time, is_part).items()
        return
    check_dataset(data)
    replicates = REPLICATE if _has_replicates(data, problem, known) else ()
    times, values = read_dataset(data, problem, (*known.dims, *replicates), time, is_part)
    values = np.moveaxis(values, -3, -2) if replicates else values[..., np.newaxis, :]
    if not known.dims and not is_part:
        yield (), (times, values)
        return
    labels = [_labels_of(data, dim, known) for dim in known.dims]
    for place in np.ndindex(values.shape[:-3]):
        measured = np.isfinite(values[place]).any(axis=(1, 2))
        if measured.any():
            key = tuple(along[k] for along, k in zip(labels, place, strict=True))
            yield key, (times[measured], values[place][measured])


def _has_replicates(data, problem, known):
    """Whether a Dataset has replicates along a dim of that name."""
    (dim,) = REPLICATE
    own = [dim for name in problem.u_layout.names + problem.y_layout.names for dim in problem.dims[name]]
    return dim in data.dims and dim not in (*known.dims, *own)


def _labels_of(data, dim, known):
    """Coordinates of a Dataset along a batch dim: its own, or those of ``over`` by place where it has none."""
    if dim in data.coords:
        labels = [plain_label(label) for label in data[dim].values]
        twice = [label for k, label in enumerate(labels) if label in labels[:k]]
        if twice:
            raise ProblemError(f"data has the experiment {dim} {twice[0]!r} twice; write data.drop_duplicates({dim!r})")
        return labels
    if data.sizes[dim] != known.sizes[dim]:
        got, expected = data.sizes[dim], known.sizes[dim]
        raise ProblemError(f"data has length {got} along {dim!r}, but over has {expected}; give both coordinates")
    return [known.label(dim, k) for k in range(known.sizes[dim])]


def _check_match(series, members, known):
    """ProblemError for an experiment without data, and for data of an experiment that ``over`` lacks."""
    silent = [dim for dim in known.dims if known.labels[dim] is None]
    wanted = [tuple(coords.values()) for coords in members]
    for key in series:
        if key not in wanted:
            got = show_coords(dict(zip(known.dims, key, strict=True)))
            if silent:
                found = list(dict.fromkeys(key[known.dims.index(silent[0])] for key in series))
                mend = f"over has no coordinates along {silent[0]!r}: give it {found}, with .assign_coords"
            else:
                mend = "leave it out of data, or give over its values"
            raise ProblemError(f"data has an experiment ({got}) that is not in over; {mend}")
    for coords in members:
        if tuple(coords.values()) not in series:
            raise ProblemError(
                f"data has no values of the experiment ({show_coords(coords)}); leave it out of over and data"
            )


def experiments_to_dataset(experiments: tuple[Experiment, ...], problem: ODEProblem) -> xr.Dataset:
    """All data as one Dataset over batch dims, replicates (where there are any) and time, NaN where there is none."""
    times = np.unique(np.concatenate([one.times for one in experiments]))
    batch = {dim: list(dict.fromkeys(one.coords[dim] for one in experiments)) for dim in experiments[0].coords}
    replicates = max(one.values.shape[1] for one in experiments)
    layout = join_layouts(problem.u_layout, problem.y_layout)
    sizes = [len(labels) for labels in batch.values()]
    values = np.full((*sizes, replicates, times.size, layout.size), np.nan)
    for one in experiments:
        place = tuple(labels.index(one.coords[dim]) for dim, labels in batch.items())
        rows = np.searchsorted(times, one.times)
        values[place][: one.values.shape[1], rows] = np.swapaxes(one.values, 0, 1)
    dims = (*batch, "replicate", "time") if replicates > 1 else (*batch, "time")
    values = values if replicates > 1 else values[..., 0, :, :]
    shown = times if problem.calendar is None else problem.calendar.to_dates(times)
    units = {} if problem.calendar else problem.units
    coords = {dim: (dim, labels) for dim, labels in batch.items()}
    coords["time"] = ("time", shown, variable_attrs("time", units, {}))
    variables = {}
    for entry in layout.entries:
        own = values[..., entry.slice]
        if np.isfinite(own).any():
            shape, attrs = (
                (*own.shape[:-1], *entry.shape),
                variable_attrs(entry.name, problem.units, problem.long_names),
            )
            variables[entry.name] = ((*dims, *problem.dims[entry.name]), own.reshape(shape), attrs)
            coords |= coords_on(problem.coords, problem.dims[entry.name])
    return xr.Dataset(variables, coords)
