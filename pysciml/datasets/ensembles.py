"""Results of ensembles: trajectories, or summaries of them, over batch dims."""

from collections.abc import Mapping

import numpy as np
import xarray as xr

from ..engines.base import RawEnsemble, Status
from ..problems.batch import Batch
from ..problems.labels import coords_on
from ..tracing.layout import Layout
from .attrs import own_versions, to_json, variable_attrs
from .status import STATUS_ATTRS, succeeded
from .to_dataset import parameter_coords, parameter_values


def batch_coords(batch: Batch) -> dict:
    """Coordinates of the batch dims, and of every parameter and initial value that differs, or is the same for all."""
    problem, over = batch.problem, batch.over
    coords = {name: variable for name, variable in parameter_coords(problem).items() if name not in batch.p}
    varied = [(name, name, *rows, problem.p_layout) for name, rows in batch.p.items()]
    varied += [(f"u0_{name}", name, *rows, problem.u_layout) for name, rows in batch.u0.items()]
    for name, owner, dims, rows, layout in varied:
        entry = layout[owner]
        attrs = variable_attrs(owner, problem.units, problem.long_names)
        if owner != name:
            attrs["long_name"] = f"initial {attrs['long_name']}"
        values = rows.reshape(-1, entry.size)
        values = values if entry.table is None else np.stack([entry.table.values(row) for row in values])
        shape = entry.shape if entry.table is None else values.shape[1:]
        values = values.reshape(*rows.shape[:-1], *shape)
        values.flags.writeable = False  # it may be shared
        coords[name] = ((*dims, *problem.dims[owner]), values, attrs)
    for dim, labels in over.labels.items():
        if labels is not None and dim not in coords:
            coords[dim] = (dim, labels)
    return coords


def time_coord(batch: Batch, times: np.ndarray) -> tuple:
    """Save times as the user wrote them."""
    problem, times = batch.problem, times.copy()
    times.flags.writeable = False  # it may be shared
    return ("time", times, variable_attrs("time", {} if problem.calendar else problem.units, {}))


def trajectories(batch: Batch, rows: np.ndarray, layout: Layout) -> dict:
    """States and observables ``(*batch dims, time, *own dims)`` of rows ``(member, time, element)``."""
    problem, dims = batch.problem, (*batch.over.dims, "time")
    return {
        name: (
            (*dims, *problem.dims[name]),
            array.reshape(*batch.shape, *array.shape[1:]),
            variable_attrs(name, problem.units, problem.long_names),
        )
        for name, array in layout.unflatten(rows).items()
    }


def endings(batch: Batch, codes: np.ndarray, statistics: Mapping[str, np.ndarray]) -> dict:
    """How each solve ended, and what it took."""
    dims = batch.over.dims
    found: dict = {"status": (dims, codes.reshape(batch.shape), STATUS_ATTRS)}
    if statistics:
        stacked = np.stack([values.reshape(batch.shape) for values in statistics.values()], axis=-1)
        found["statistics"] = ((*dims, "statistic"), stacked, {"long_name": "what each solve took"})
    return found


def ensemble_to_dataset(
    batch: Batch, variables: Mapping, coords: Mapping, codes, statistics, raw: RawEnsemble, engine: str, settings
) -> xr.Dataset:
    """The whole result; ``raw`` is that of a last chunk, which says what ran."""
    variables = dict(variables) | endings(batch, codes, statistics)
    ds = _recall_dataset(batch, variables, coords, tuple(statistics))
    ds.attrs = ensemble_attrs(batch, codes, raw, engine, settings)
    return ds


def _recall_dataset(batch: Batch, variables: dict, coords: Mapping, names: tuple[str, ...]) -> xr.Dataset:
    """Variables and coordinates as a Dataset: a copy of the last one where that differs in values alone.

    As in ``to_dataset``: xarray takes much longer to put a Dataset together than to copy one.
    """
    problem, times = batch.problem, coords["time"][1] if "time" in coords else np.zeros(0)
    if sum(values.nbytes for _, values, *_ in variables.values()) > _MUCH:
        return _make_dataset(batch, variables, coords, names)
    form = {name: (dims, values.shape) for name, (dims, values, *_) in variables.items()}
    facts = list(form), form, list(coords), names, times.dtype
    over, last, shown, ds, p_values = problem.memory.get("ensemble", (None,) * 5)
    if over is not batch.over or last != facts or not np.array_equal(times, shown):
        problem.memory["ensemble"] = batch.over, facts, times, None, None
        return _make_dataset(batch, variables, coords, names)
    fixed = [name for name in problem.p_layout.names if name not in batch.p]
    if ds is None:
        ds, p_values = _make_dataset(batch, variables, coords, names), problem.p_values
        if not set(fixed) & set(ds.indexes):  # an index can't be given other values
            problem.memory["ensemble"] = batch.over, facts, times, ds, p_values
    ds = ds.copy(data={name: values for name, (_, values, *_) in variables.items()})
    if p_values is not problem.p_values:
        for name, values in parameter_values(problem).items():
            if name in fixed:
                ds.variables[name].data = values
    return ds


_MUCH = 1_000_000  # bytes: results beyond are not kept


def _make_dataset(batch, variables, coords, names):
    """A Dataset from its parts."""
    coords = batch_coords(batch) | dict(coords) | own_coords(batch.problem)
    if names:
        coords["statistic"] = ("statistic", np.array(names, dtype=object))
    return xr.Dataset(variables, coords)


def own_coords(problem) -> dict:
    """Coordinates of the own dims of states and observables."""
    coords: dict = {}
    for dims in (problem.dims[name] for name in (*problem.u_layout.names, *problem.y_layout.names)):
        coords |= coords_on(problem.coords, dims)
    return coords


def ensemble_attrs(batch: Batch, codes, raw: RawEnsemble, engine: str, settings: Mapping) -> dict[str, str]:
    """What a result says of itself."""
    failed = int(np.count_nonzero(~succeeded(codes)))
    rest = {
        "settings": dict(settings),
        "algorithm_reason": raw.reason,
        "parallel": raw.parallel,
        "t_span": [str(end) for end in batch.problem.t_span],
        "versions": own_versions() | raw.versions,
    }
    title = {"title": batch.problem.name} if batch.problem.name else {}
    status = f"{failed} of {batch.size} failed" if failed else Status.SUCCESS.name
    named = {"engine": engine, "algorithm": raw.algorithm, "status": status}
    return title | named | {"program_hash": batch.problem.program.hash, "pysciml": to_json(rest)}
