"""Known values that differ by experiment: ``over``, read as ``xarray.sel`` reads indexers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..words import nearest
from .ode import ODEProblem
from .values import Interpolation


@dataclass(frozen=True, eq=False)
class Over:
    """What differs, by batch dim.

    ``sizes`` has the length of each batch dim, ``labels`` its coordinate, numbers as an array, or None. ``p`` and
    ``u0`` hold values by name, over batch dims and dims of their own: numbers, or external inputs.
    """

    sizes: dict[str, int] = field(default_factory=dict)
    labels: dict[str, list | np.ndarray | None] = field(default_factory=dict)
    p: dict[str, xr.DataArray | Interpolation] = field(default_factory=dict)
    u0: dict[str, xr.DataArray | Interpolation] = field(default_factory=dict)

    @property
    def dims(self) -> tuple[str, ...]:
        return tuple(self.sizes)

    def label(self, dim: str, k: int):
        """The coordinate of place ``k`` along ``dim``; the place itself where there is none."""
        labels = self.labels[dim]
        if isinstance(labels, np.ndarray):
            return labels[k].item()
        return k if labels is None else labels[k]

    def members(self, problem: ODEProblem) -> Iterator[tuple[dict[str, object], ODEProblem]]:
        """Coordinates and problem of each combination, the last dim fastest."""
        for places in product(*(range(size) for size in self.sizes.values())):
            index = dict(zip(self.sizes, places, strict=True))
            coords: dict[str, object] = {dim: self.label(dim, k) for dim, k in index.items()}
            yield coords, self._remake(problem, index, coords)

    def _remake(self, problem, index, coords):
        """The problem with the values at one place."""
        p = {name: _select(value, index) for name, value in self.p.items()}
        u0 = {name: _select(value, index) for name, value in self.u0.items()}
        if not p and not u0:
            return problem
        try:
            return problem.remake(p=p or None, u0=u0 or None)
        except ProblemError as error:
            raise ProblemError(f"over, {show_coords(coords)}: {error}" if coords else f"over: {error}") from None


def show_coords(coords: Mapping[str, object]) -> str:
    """Coordinates of an experiment as messages show them."""
    return ", ".join(f"{dim} {label!r}" for dim, label in coords.items())


def plain_label(label):
    """A coordinate's value as Python's own, dates in ns, so that equal ones from any library are equal and hash so."""
    if hasattr(label, "to_datetime64"):
        label = label.to_datetime64()
    if isinstance(label, np.datetime64):
        return label.astype("datetime64[ns]")
    return label.item() if isinstance(label, np.generic) else label


def read_over(over, problem: ODEProblem, bare: Sequence[str] = ()) -> Over:
    """``over`` in any accepted form; ProblemError otherwise. Names of ``bare`` may be batch dims without a value."""
    found = Over()
    for name, raw in _items(over):
        where = f"over[{name!r}]"
        kind, owner = _owner(name, problem, bare)
        own = () if kind == "dim" else problem.dims[owner]
        value = _read_value(where, str(name), raw, own)
        for dim, size in zip(value.dims, _sizes(value), strict=True):
            if dim not in own:
                _check_dim(where, dim, problem)
                _add_dim(found, where, str(dim), size, _labels(value, dim, raw))
        if kind == "dim":
            if value.dims != (name,):
                raise ProblemError(f"{where} names no parameter and no state, so it must lie along {name!r} alone")
            continue
        values = found.p if kind == "p" else found.u0
        if owner in values:
            raise ProblemError(f"over has {owner!r} and 'u0_{owner}', which are one value; leave one out")
        values[owner] = value
    return found


def _items(over):
    """Name and raw value of every entry."""
    if over is None:
        return []
    if type(over).__module__.split(".")[0] == "pandas":
        mend = "over.to_xarray()"
        if over.index.name is None:
            mend = "over.set_index('experiment').to_xarray(), or what its column of experiments is called"
        raise ProblemError(f"over is a pandas {type(over).__name__}; write {mend}")
    if isinstance(over, xr.DataArray):
        raise ProblemError(f"over is a DataArray; write over={{{over.name or 'k'!r}: ...}}")
    if not isinstance(over, Mapping):
        raise ProblemError(f"over must be a Dataset or a dict such as {{'k': [1.0, 2.0]}}, got {type(over).__name__}")
    if not isinstance(over, xr.Dataset):
        return [(name, over[name]) for name in over]
    used = {dim for variable in over.data_vars.values() for dim in variable.dims}
    free = [dim for dim in over.dims if dim not in used and dim in over.coords]
    return [(name, over[name]) for name in (*over.data_vars, *free)]


def _owner(name, problem, bare):
    """What a name stands for: ``p`` or ``u0`` and the name there, or a batch dim."""
    parameters, states = problem.p_layout.names, problem.u_layout.names
    if name in parameters:
        return "p", name
    if str(name).removeprefix("u0_") in states:
        return "u0", str(name).removeprefix("u0_")
    if name in bare:
        return "dim", name
    known = [*parameters, *states]
    hint = nearest(name, known)
    raise ProblemError(f"over: {name!r} is neither a parameter nor a state (they are {', '.join(known)}){hint}")


def _read_value(where, name, raw, own):
    """A value that knows its dims; what comes without dims gets its own, behind a new one where there is one more.

    What lies along the new one alone is its coordinate as well, which isn't said twice: an index takes time to make.
    """
    if isinstance(raw, Interpolation | xr.DataArray):
        return raw
    if isinstance(raw, xr.Variable):
        return xr.DataArray(raw)
    array = _as_array(where, raw)
    if array.dtype == object:
        own = ()
    if array.ndim == len(own):
        return xr.DataArray(array, dims=own)
    if array.ndim != len(own) + 1:
        raise ProblemError(f"{where} has shape {array.shape}; give a list of values of {len(own)} dims, or a DataArray")
    return xr.DataArray(array, dims=(name, *own))


def _as_array(where, raw):
    """An array of numbers or labels, or of inputs."""
    if isinstance(raw, list | tuple) and any(isinstance(item, Interpolation) for item in raw):
        array = np.empty(len(raw), dtype=object)
        array[:] = raw
        return array
    try:
        array = np.asarray(raw)
    except ValueError:
        raise ProblemError(f"{where} has rows of different lengths; give each the same shape") from None
    if array.dtype == object and array.size and all(isinstance(item, str) for item in array.flat):
        return array.astype(str)  # as pandas gives text
    if array.dtype.kind not in "iufMUT":
        raise ProblemError(f"{where} is {raw!r}; give a list of numbers, one an experiment, or a DataArray")
    return array


def _sizes(value):
    """Lengths along ``value.dims``."""
    return value.values.shape[1:] if isinstance(value, Interpolation) else value.shape


def _labels(value, dim, raw):
    """The coordinate of a value along a dim: it itself, if it came without dims; None where it has none."""
    is_bare = not isinstance(raw, Interpolation | xr.DataArray | xr.Variable)
    if dim in value.coords:
        labels = value.coords[dim].values
    elif is_bare and value.ndim == 1 and value.dtype != object:
        labels = value.values
    else:
        return None
    if labels.dtype.kind not in "if":
        return [plain_label(label) for label in labels]
    labels = labels.astype(f"{labels.dtype.kind}8")  # a copy: the caller may write to them
    labels.flags.writeable = False
    return labels


def _check_dim(where, dim, problem):
    """ProblemError for a dim that can't be one of a batch."""
    if dim == "time":
        raise ProblemError(f"{where} has a dimension 'time'; a value that changes in time is ps.interpolate(...)")
    owners = [name for name in problem.u_layout.names + problem.y_layout.names if dim in problem.dims[name]]
    if owners:
        raise ProblemError(f"{where} has the dimension {dim!r} of the state {owners[0]!r}; rename one of them")


def _add_dim(found, where, dim, size, labels):
    """Take a batch dim in; ProblemError where it has another length or coordinate elsewhere."""
    if size == 0:
        raise ProblemError(f"{where} has length 0 along {dim!r}; give at least one value")
    if found.sizes.setdefault(dim, size) != size:
        raise ProblemError(f"{where} has length {size} along {dim!r}, but another entry of over has {found.sizes[dim]}")
    known = found.labels.get(dim)
    if labels is not None and (twice := _find_twice(labels)) is not None:
        raise ProblemError(
            f"{where} has {twice!r} twice along {dim!r}; give each experiment a name of its own: "
            "xr.DataArray(values, {'experiment': names}, 'experiment')"
        )
    if labels is not None and known is not None and not same_labels(labels, known):
        here, there = np.asarray(labels).tolist(), np.asarray(known).tolist()
        raise ProblemError(f"{where} has the coordinates {here} along {dim!r}, but another entry of over has {there}")
    found.labels[dim] = known if labels is None else labels


def same_labels(one, other) -> bool:
    """Whether coordinates are the same ones in the same order."""
    are_arrays = isinstance(one, np.ndarray) or isinstance(other, np.ndarray)
    return np.array_equal(one, other) if are_arrays else one == other


def _find_twice(labels):
    """A label that is there twice; None if there is none."""
    if isinstance(labels, np.ndarray):
        ordered = np.sort(labels)
        if (ordered[1:] != ordered[:-1]).all():
            return None
        labels = labels.tolist()
    seen = set()
    return next((label for label in labels if label in seen or seen.add(label)), None)


def _select(value, index):
    """A value at one place."""
    here = {dim: k for dim, k in index.items() if dim in value.dims}
    if isinstance(value, xr.DataArray):
        chosen = value.isel(here)
        return chosen.values.item() if chosen.dtype == object and not chosen.ndim else chosen
    place = (slice(None), *(here.get(dim, slice(None)) for dim in value.dims))
    values = value.values[place]
    dims = tuple(dim for dim in value.dims if dim not in here)
    coords = {name: variable for name, variable in value.coords.items() if set(variable.dims) <= set(dims)}
    return replace(value, values=values, dims=dims, coords=coords, table=replace(value.table, shape=values.shape[1:]))
