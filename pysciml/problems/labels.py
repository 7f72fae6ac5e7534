"""Dims, coordinates, units and long names of a problem's states and parameters, put together and checked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import xarray as xr

from ..errors import ProblemError
from .names import ONE_TRAJECTORY, RESERVED, check_dims, check_known
from .units import check_same_unit, read_unit
from .values import Value, Values, read_coord


@dataclass(frozen=True, eq=False)
class Labels:
    """``dims`` has every name, the others only those that were given; ``units`` may hold ``"time"``."""

    dims: Mapping[str, tuple[str, ...]]
    coords: Mapping[str, xr.Variable]
    units: Mapping[str, str]
    long_names: Mapping[str, str]

    @property
    def names(self) -> set[str]:
        """Everything that has a name: states, parameters, dimensions and coordinates."""
        return {*self.dims, *(dim for dims in self.dims.values() for dim in dims), *map(str, self.coords)}


NOTHING = Values("none", {})


def make_labels(
    states: Values, parameters: Values, dims=None, coords=None, units=None, observables: Values = NOTHING
) -> Labels:
    """Labels from what DataArrays brought and what was given by keyword; ProblemError where they do not fit."""
    values = {**states.items, **parameters.items, **observables.items}
    given = _read_dims(dims, states, values)
    all_dims = {}
    for name, value in values.items():
        is_bare_state = states.form == "array" and name in states.items
        all_dims[name] = _value_dims(name, value, given.get(name), is_bare_state)
        check_dims(repr(name), all_dims[name], values)
    sizes = _dim_sizes(values, all_dims)
    all_coords = _own_coords(values, sizes) | _given_coords(coords, values, sizes)
    all_units = _read_units(units, values, all_coords)
    long_names = {name: value.long_name for name, value in values.items() if value.long_name}
    return Labels(all_dims, all_coords, all_units, long_names)


def _read_dims(dims, states, values) -> dict[str, tuple]:
    """``dims=`` as a dict: a bare tuple belongs to the one array state."""
    if dims is None:
        return {}
    if isinstance(dims, str | tuple | list):
        if states.form != "array":
            names = ", ".join(states.items)
            raise ProblemError(
                f"dims={dims!r}: u0 is not one array; say whose dims they are: dims={{name: (...)}} ({names})"
            )
        dims = {next(iter(states.items)): dims}
    if not isinstance(dims, Mapping):
        raise ProblemError(f"dims must be a tuple for one array, else a dict of tuples; got {type(dims).__name__}")
    check_known("dims", dims, list(values))
    return {name: (d,) if isinstance(d, str) else tuple(d) for name, d in dims.items()}


def _value_dims(name, value: Value, given, is_bare_state) -> tuple[str, ...]:
    if given is not None and value.dims is not None and tuple(given) != value.dims:
        raise ProblemError(f"dims[{name!r}] is {given}, but its DataArray has {value.dims}; leave one of them out")
    dims = given if given is not None else value.dims
    n = value.array.ndim
    if dims is None:
        if value.network is not None:
            return (f"{name}_weight",)
        return ("state",) if is_bare_state and n == 1 else tuple(f"{name}_dim_{k}" for k in range(n))
    if len(dims) != n:
        batch = f" ({ONE_TRAJECTORY})" if len(dims) < n else ""
        raise ProblemError(
            f"dims[{name!r}] is {dims}, but {name!r} has shape {value.array.shape}: {n} dims expected{batch}"
        )
    return dims


def _dim_sizes(values, dims) -> dict[str, int]:
    """Length of every dimension; ProblemError if two values disagree."""
    sizes, owners = {}, {}
    for name, value in values.items():
        for dim, size in zip(dims[name], value.array.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                raise ProblemError(
                    f"dimension {dim!r} has length {size} in {name!r} but {sizes[dim]} in {owners[dim]!r}; "
                    "give them one length, or two names"
                )
            owners.setdefault(dim, name)
    return sizes


def _own_coords(values, sizes) -> dict[str, xr.Variable]:
    """Coordinates that came with DataArrays; one with the name of a state or parameter gives way to it."""
    coords, owners = {}, {}
    for name, value in values.items():
        for key, variable in value.coords.items():
            if key in values:
                continue
            if key in coords and not coords[key].equals(variable):
                raise ProblemError(
                    f"coordinate {key!r} differs between {owners[key]!r} and {name!r}; give both the same"
                )
            _check_coord(key, variable, sizes)
            coords[key], owners[key] = variable, name
    return coords


def _given_coords(coords, values, sizes) -> dict[str, xr.Variable]:
    """``coords=`` as variables."""
    if coords is None:
        return {}
    if not isinstance(coords, Mapping | xr.Coordinates):
        raise ProblemError(f"coords must be a dict such as {{'x': values}}, got {type(coords).__name__}")
    read = {}
    for key, raw in coords.items():
        if key in values:
            raise ProblemError(f"coords: {key!r} is the name of a state or parameter; rename the coordinate")
        if not isinstance(raw, tuple | xr.DataArray | xr.Variable):
            raw = (key, raw)
            check_known("coords", [str(key)], list(sizes))
        read[key] = read_coord(f"coords[{key!r}]", raw)
        _check_coord(key, read[key], sizes)
    return read


def _check_coord(name, variable, sizes):
    check_dims(f"coordinate {name!r}", (name,), ())
    if name in RESERVED and name not in sizes:
        raise ProblemError(f"coordinate {name!r}: the name is reserved; rename it")
    if name in sizes and variable.dims != (name,):
        raise ProblemError(
            f"coordinate {name!r} has dims {variable.dims}; the coordinate of a dimension has that one alone"
        )
    for dim, size in variable.sizes.items():
        if sizes.get(dim) != size:
            expected = f"{sizes[dim]} expected" if dim in sizes else f"the dims are {', '.join(sizes) or 'none'}"
            raise ProblemError(f"coordinate {name!r}: length {size} along {dim!r}; {expected}")


def _read_units(units, values, coords) -> dict[str, str]:
    """Labels by name from DataArrays and ``units=``; a coordinate's goes to its own attrs."""
    labels = {name: value.unit for name, value in values.items() if value.unit is not None}
    if units is None:
        return labels
    if not isinstance(units, Mapping):
        raise ProblemError(
            f"units must be a dict such as {{'{next(iter(values))}': 'mg/L', 'time': 'day'}}, got {units!r}"
        )
    check_known("units", units, [*values, *coords, "time"])
    for name, label in units.items():
        if label is None:
            continue
        read = read_unit(f"units[{name!r}]", label)
        if name in coords:
            check_same_unit(f"coordinate {name!r}", coords[name].attrs.get("units"), read)
            coords[name] = coords[name].copy()
            coords[name].attrs["units"] = read
        else:
            check_same_unit(repr(name), labels.get(name), read)
            labels[name] = read
    return labels


def coords_on(coords: Mapping[str, xr.Variable], dims: Iterable[str]) -> dict[str, xr.Variable]:
    """The coordinates that lie on some of ``dims`` and on no other."""
    return {name: variable for name, variable in coords.items() if set(variable.dims) <= set(dims)}
