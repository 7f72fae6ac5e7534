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
from .to_dataset import parameter_coords


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
        coords[name] = ((*dims, *problem.dims[owner]), values.reshape(*rows.shape[:-1], *shape), attrs)
    for dim, labels in over.labels.items():
        if labels is not None and dim not in coords:
            coords[dim] = (dim, labels)
    return coords


def time_coord(batch: Batch, times: np.ndarray) -> tuple:
    """Save times as the user wrote them."""
    problem = batch.problem
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
    coords = batch_coords(batch) | dict(coords) | own_coords(batch.problem)
    if statistics:
        coords["statistic"] = ("statistic", np.array(list(statistics), dtype=object))
    ds = xr.Dataset(dict(variables) | endings(batch, codes, statistics), coords)
    ds.attrs = ensemble_attrs(batch, codes, raw, engine, settings)
    return ds


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
