"""Values as users write them (numbers, arrays, DataArrays, networks) as arrays with dims, coordinates and a unit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite

import numpy as np
import xarray as xr

from ..errors import ProblemError
from ..networks import MLP
from ..tracing.external import ExternalInput, input_parts
from ..tracing.network import Network, network_parts
from ..tracing.record import Record, record_items
from ..tracing.table import Table
from .names import ONE_TRAJECTORY, check_name
from .units import read_unit


@dataclass(frozen=True, eq=False)
class Value:
    """One state or parameter: a float64 array and what is known of it. ``dims`` is None where none were given."""

    array: np.ndarray
    is_float: bool = True
    network: MLP | None = None
    dims: tuple | None = None
    coords: Mapping[str, xr.Variable] = field(default_factory=dict)
    unit: str | None = None
    long_name: str | None = None
    series: "Interpolation | ExternalInput | None" = None


@dataclass(frozen=True, eq=False)
class Interpolation:
    """A series that a model calls with a time: made by ``ps.interpolate``.

    ``times (n_times,)`` are numbers or dates as given, ``values (n_times, *shape)`` floats with the dims ``dims``.
    """

    table: Table
    times: np.ndarray
    values: np.ndarray
    dims: tuple[str, ...]
    coords: Mapping[str, xr.Variable]
    unit: str | None
    long_name: str | None
    time_unit: str | None

    def __repr__(self):
        return (
            f"<interpolate: {self.table.method}, {self.table.n_times} times from {self.times[0]} to {self.times[-1]}>"
        )


@dataclass(frozen=True, eq=False)
class Values:
    """All states, or all parameters, by name; ``form`` as in ``tracing.layout.Layout``."""

    form: str
    items: Mapping[str, Value]


def read_states(u0) -> Values:
    """Initial values in any accepted form; ProblemError otherwise."""
    if isinstance(u0, MLP):
        raise ProblemError("u0 is an MLP; networks are parameters: p={'net': ps.MLP(...)}")
    if u0 is None:
        raise ProblemError("u0 is None; give the initial state, such as {'x': 1.0}")
    values = _read_all("u0", "u", u0, "state")
    if not values.items:
        raise ProblemError("u0 is empty; a problem has at least one state, such as {'x': 1.0}")
    for name, value in values.items.items():
        if value.network is not None:
            raise ProblemError(f"u0[{name!r}] is an MLP; networks are parameters: p={{{name!r}: ps.MLP(...)}}")
        if value.series is not None:
            raise ProblemError(f"u0[{name!r}] is an external input; these are parameters: p={{{name!r}: ...}}")
    return values


def read_parameters(p) -> Values:
    """Parameters in any accepted form; ProblemError otherwise."""
    return Values("none", {}) if p is None else _read_all("p", "p", p, "parameter")


def is_named(values) -> bool:
    """Whether values come by name: a dict, a Dataset, or a record of another problem."""
    return isinstance(values, Mapping | xr.Dataset | Record)


def named_items(values) -> dict:
    """Name to raw value of a dict, a Dataset's variables, or a record."""
    if isinstance(values, Record):
        return record_items(values)
    return {name: values[name] for name in (values.data_vars if isinstance(values, xr.Dataset) else values)}


def _read_all(where, default, raw, kind):
    if is_named(raw):
        items = named_items(raw)
        for name in items:
            check_name(kind, name)
        form = "record" if items or where == "u0" else "none"
        return Values(form, {name: read_value(f"{where}[{name!r}]", name, value) for name, value in items.items()})
    if isinstance(raw, list | tuple) and any(is_named(item) for item in raw):
        raise ProblemError(f"{where} is a list of {type(raw[0]).__name__}s: {ONE_TRAJECTORY}")
    value = read_value(where, default, raw)
    name = raw.name if isinstance(raw, xr.DataArray) and raw.name is not None else default
    check_name(kind, name)
    form = "network" if value.network else "array" if value.array.ndim and value.series is None else "scalar"
    return Values(form, {str(name): value})


def read_value(where: str, name: str, raw) -> Value:
    """One value, called ``where`` in messages; ProblemError if it can't be one. A network is drawn for its name."""
    if type(raw) is float and isfinite(raw):  # the most frequent one
        return Value(np.array(raw))
    if isinstance(raw, MLP):
        return Value(raw.initial_weights(name), network=raw)
    if isinstance(raw, Network):
        spec, weights = network_parts(raw)
        return Value(weights, network=spec)
    if isinstance(raw, Interpolation):
        dims = (f"{name}_time", *raw.dims)
        return Value(raw.values, True, None, dims, raw.coords, raw.unit, raw.long_name, raw)
    if isinstance(raw, ExternalInput):
        table, flat = input_parts(raw)
        dims = (f"{name}_time", *(f"{name}_dim_{k}" for k in range(len(table.shape))))
        return Value(table.values(flat), dims=dims, series=raw)
    _check_kind(where, raw)
    if isinstance(raw, xr.Variable):
        raw = xr.DataArray(raw)
    array, is_float = _read_array(where, raw)
    if not isinstance(raw, xr.DataArray):
        return Value(array, is_float)
    return Value(
        array,
        is_float,
        None,
        tuple(raw.dims),
        {
            str(name): read_coord(f"{where}: coordinate {name!r}", coord)
            for name, coord in raw.coords.items()
            if coord.dims
        },
        *read_label(where, raw),
    )


def read_label(where: str, raw: xr.DataArray) -> tuple[str | None, str | None]:
    """Unit and long name of a DataArray."""
    unit, long_name = raw.attrs.get("units"), raw.attrs.get("long_name")
    return None if unit is None else read_unit(where, unit), long_name if isinstance(long_name, str) else None


def _check_kind(where, raw):
    """ProblemError for what isn't a number or an array of numbers, each with its mend."""
    check_pint(where, raw)
    if is_named(raw):
        raise ProblemError(
            f"{where} is a nested {type(raw).__name__}; names are flat: write 'a_b' instead of 'a': {{'b': ...}}"
        )
    if isinstance(raw, np.ma.MaskedArray) and np.ma.is_masked(raw):
        raise ProblemError(f"{where} has masked elements; give every value: .filled(...)")
    if type(raw).__module__.split(".")[0] == "pandas":
        raise ProblemError(
            f"{where} is a pandas {type(raw).__name__}; write .to_dict() for names or .to_numpy() for an array"
        )
    if callable(raw) and not hasattr(raw, "__array__"):
        raise ProblemError(f"{where} is a function; call it inside the model, or give its values as an array")
    if raw is None:
        raise ProblemError(f"{where} is None; give a number or an array")


def check_pint(where: str, raw) -> None:
    """ProblemError for a pint quantity, also in a DataArray or a list."""
    data = raw.data if isinstance(raw, xr.DataArray | xr.Variable) else raw
    first = data[0] if isinstance(data, list | tuple) and data else data
    if type(first).__module__.split(".")[0] == "pint":
        raise ProblemError(
            f"{where} is a pint quantity; units are labels here: give the bare number (.magnitude, or "
            f"ds.pint.dequantify()) and write units={{...: {str(getattr(first, 'units', ''))!r}}}"
        )


def _read_array(where, raw):
    """Float64 copy and whether it came as floats; ProblemError if it isn't all finite real numbers."""
    try:
        array = np.asarray(raw)
    except (ValueError, TypeError):
        raise ProblemError(f"{where} is not an array of numbers: {_short(raw)}; give rows of one length") from None
    if array.dtype.kind not in "iuf":
        raise ProblemError(f"{where} is {_shown(raw)}; {_KINDS.get(array.dtype.kind, 'give real numbers')}")
    if array.size == 0:
        raise ProblemError(f"{where} is empty (shape {array.shape}); give at least one number")
    values = np.array(array, dtype=np.float64, order="C")
    check_finite(where, values)
    return values, array.dtype.kind == "f"


_KINDS = {
    "b": "a bool is not a number here: write 1.0 or 0.0, or close over it in the model",
    "c": "complex numbers are not supported: give real and imaginary part as two states or parameters",
    "U": "text is not a number: write float(...)",
    "S": "text is not a number: write float(...)",
    "M": "dates are not numbers: give the time since t_span[0] as a number",
    "m": "durations are not numbers: divide by np.timedelta64(1, ...) first",
}


def _shown(raw):
    text = _short(raw) if np.ndim(raw) == 0 else f"an array of {np.asarray(raw).dtype}"
    return f"{text} ({type(raw).__name__})"


def _short(raw):
    text = repr(raw)
    return text if len(text) <= 60 else text[:57] + "..."


def check_finite(where: str, array: np.ndarray) -> None:
    """ProblemError naming the first NaN or infinite element."""
    if np.isfinite(array).all():
        return
    bad = np.argwhere(~np.isfinite(array))
    word = "NaN" if np.isnan(array[tuple(bad[0])]) else "infinite"
    if array.ndim == 0:
        raise ProblemError(f"{where} is {word}; give a finite number")
    place = ", ".join(map(str, bad[0]))
    raise ProblemError(
        f"{where} is {word} at index [{place}] ({len(bad)} of {array.size} elements); give finite numbers"
    )


def read_coord(where: str, raw) -> xr.Variable:
    """A coordinate as an in-memory variable that files can hold; ProblemError otherwise."""
    try:
        variable = raw.variable if isinstance(raw, xr.DataArray) else xr.as_variable(raw)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"{where}: {error}") from None
    values = np.array(variable.values)
    is_text = values.dtype.kind in "UT" or (values.dtype == object and all(isinstance(v, str) for v in values.flat))
    if is_text:
        values = values.astype(str).astype(object)  # Zarr has no settled form for strings of fixed length
    elif values.dtype.kind not in "biufMm":
        raise ProblemError(
            f"{where} holds {values.dtype} values; give numbers, strings or dates "
            "(a MultiIndex: .reset_index(...) first)"
        )
    attrs = {k: v for k, v in variable.attrs.items() if isinstance(v, str | int | float) and not isinstance(v, bool)}
    return xr.Variable(variable.dims, values, attrs)
