"""New values and labels in the place of a problem's old ones: what ``ODEProblem.remake`` does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from ..errors import ProblemError
from ..tracing.layout import Entry, Layout
from .inputs import merge_table
from .labels import Labels, coords_on, make_labels
from .names import ONE_TRAJECTORY, check_known
from .times import Calendar
from .units import check_same_unit
from .values import Value, Values, is_named, named_items, read_value


def merge_values(
    where: str, layout: Layout, flat: np.ndarray, new, labels: Labels, calendar: Calendar | None = None
) -> tuple[Layout, np.ndarray]:
    """Layout and flat vector with new values in their places; ProblemError for unknown names and other shapes."""
    items = _read_new(where, layout, new)
    check_known(f"remake({where}=...)", items, layout.names)
    flat = flat.copy()
    entries = {entry.name: entry for entry in layout.entries}
    for name, raw in items.items():
        entry = entries[name]
        place = f"{where}[{name!r}]"
        if entry.table is not None:
            unit = labels.units.get("time")
            flat[entry.slice] = merge_table(place, entry, raw, flat[entry.slice], calendar, unit)
            continue
        value = read_value(place, name, raw)
        flat[entry.slice] = _fit_value(place, entry, value, labels).ravel()
        if value.network is not None:
            entries[name] = replace(entry, network=value.network)
        elif not entry.is_float and (value.array != np.rint(value.array)).any():
            entries[name] = replace(entry, is_float=True)
    changed = tuple(entries.values())
    return (layout if changed == layout.entries else replace(layout, entries=changed)), flat


def _read_new(where, layout, new) -> Mapping:
    """New values by name; a bare one belongs to the only entry of a bare form."""
    if is_named(new):
        return named_items(new)
    if len(layout.entries) == 1 and layout.form != "record":
        return {layout.names[0]: new}
    if isinstance(new, Sequence) and any(is_named(item) for item in new):
        raise ProblemError(f"remake({where}=...) got a list: {ONE_TRAJECTORY}")
    names = ", ".join(layout.names) or "there are none"
    raise ProblemError(f"remake({where}=...): give new values by name ({names}), got {new!r}")


def _fit_value(where, entry: Entry, value: Value, labels: Labels) -> np.ndarray:
    """A new value's array in the entry's order of dims; ProblemError if it is another kind of thing."""
    array, dims = value.array, labels.dims[entry.name]
    if value.network is not None and (entry.network is None or value.network.attrs != entry.network.attrs):
        raise ProblemError(f"remake: {where} is another network; sizes and activations are traced: make a new problem")
    if value.series is not None:
        raise ProblemError(
            f"remake: {where} is an external input, but the problem has an array there: make a new problem"
        )
    if value.dims is not None:
        if set(value.dims) == set(dims):
            array = array.transpose([value.dims.index(dim) for dim in dims])
        elif array.shape == entry.shape:
            raise ProblemError(f"remake: {where} has dims {value.dims}, expected {dims}")
    if array.shape != entry.shape:
        batch = f" ({ONE_TRAJECTORY})" if array.ndim > len(entry.shape) else ""
        raise ProblemError(f"remake: {where} has shape {array.shape}, expected {entry.shape}; shapes stay{batch}")
    for name, variable in coords_on(value.coords, dims).items():
        if name in labels.coords and not labels.coords[name].equals(variable):
            raise ProblemError(
                f"remake: {where} has another coordinate {name!r} than the problem; reindex or interpolate it"
            )
    check_same_unit(f"remake: {where}", value.unit, labels.units.get(entry.name))
    return array


def replace_labels(parts: Sequence[tuple[Layout, np.ndarray]], old: Labels, dims, coords, units) -> Labels:
    """Labels with those given in place of the old ones; ``parts``: flat values of states, parameters, observables."""
    kept = {} if dims is not None or coords is not None else old.coords
    values = []
    for layout, flat in parts:
        items = {}
        for entry in layout.entries:
            own = None if dims is not None else old.dims[entry.name]
            unit = old.units.get(entry.name) if units is None else None
            part = flat[entry.slice]
            array = part.reshape(entry.shape) if entry.table is None else entry.table.values(part)
            on = coords_on(kept, own or ())
            items[entry.name] = Value(array, True, entry.network, own, on, unit, old.long_names.get(entry.name))
        values.append(Values(layout.form, items))
    labels = make_labels(*values[:2], dims, coords, units, *values[2:])
    if units is None and "time" in old.units:
        return replace(labels, units={**labels.units, "time": old.units["time"]})
    return labels
