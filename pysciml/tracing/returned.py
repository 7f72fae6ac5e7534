"""What a model function returned, checked against the state and joined to one flat vector."""

from collections.abc import Callable, Mapping

from ..errors import TraceError
from .layout import Entry, Layout, make_layout
from .lifting import lift, to_float
from .record import Record, record_items
from .recorder import Recorder
from .source import returned_by, trace_error


def assemble(recorder: Recorder, function: Callable, result, layout: Layout) -> int:
    """The node of the flat derivative ``(n,)``; TraceError where the result does not mirror ``u``."""
    with returned_by(function):
        return _assemble(recorder, result, layout)


def _assemble(recorder, result, layout):
    if layout.form == "record":
        values = _match_names(result, layout)
    else:
        if isinstance(result, Mapping | Record):
            raise _mismatch(
                f"returned names, and u is {'an array' if layout.form == 'array' else 'a number'}",
                "Return the derivative in the form of u0.",
            )
        values = {layout.names[0]: result}
    parts = [match_shape(recorder, entry, values[entry.name]) for entry in layout.entries]
    return _join(recorder, parts)


def assemble_free(recorder: Recorder, function: Callable, result, name: str) -> tuple[int, Layout]:
    """The node of one flat vector of whatever was returned, and its layout; a bare result is called ``name``."""
    with returned_by(function):
        is_named = isinstance(result, Mapping | Record)
        values = record_items(result) if isinstance(result, Record) else result if is_named else {name: result}
        if not values:
            raise _mismatch("returned an empty dict", "Return values by name: {'x': ...}.")
        nodes = {key: _read_free(recorder, key, value) for key, value in values.items()}
        shapes = {key: (recorder.node(node).shape, None, True) for key, node in nodes.items()}
        form = "record" if is_named else "array" if shapes[name][0] else "scalar"
        return _join(recorder, list(nodes.values())), make_layout(form, shapes)


def _read_free(recorder, name, value):
    """The node of a value of any shape."""
    try:
        shape = lift(value).shape
    except TraceError:
        shape = ()  # match_shape says what is wrong with it
    return match_shape(recorder, Entry(name, shape, 0), value, "value")


def _join(recorder, parts):
    """One flat vector."""
    if len(parts) == 1:
        return _flat(recorder, parts[0])
    if all(recorder.node(part).shape == () for part in parts):
        return recorder.add("stack", tuple(parts))
    return recorder.add("concatenate", tuple(_flat(recorder, part) for part in parts), (0,))


def _flat(recorder, node):
    shape, size = recorder.node(node).shape, recorder.node(node).size
    return node if len(shape) == 1 else recorder.add("reshape", (node,), ((size,),))


def _mismatch(problem, remedy):
    return trace_error(f"the model function {problem}", remedy)


def _match_names(result, layout) -> Mapping:
    if isinstance(result, Record):
        result = record_items(result)
    names = ", ".join(layout.names)
    if not isinstance(result, Mapping):
        raise _mismatch(
            f"returned {_describe(result)}; u0 is a dict, so a dict is expected, with the names {names}",
            "Return " + "{" + ", ".join(f'"{n}": ...' for n in layout.names[:3]) + "}.",
        )
    missing = [n for n in layout.names if n not in result]
    extra = [str(n) for n in result if n not in layout.names]
    if missing or extra:
        parts = [f"without {', '.join(missing)}"] * bool(missing) + [f"with unknown {', '.join(extra)}"] * bool(extra)
        raise _mismatch(f"returned a dict {' and '.join(parts)}: got {', '.join(map(str, result))}, expected {names}",
            "Return exactly the names of u0.",
        )  # fmt: skip
    return result


def _describe(result) -> str:
    if result is None:
        return "None (is a `return` missing?)"
    shape = getattr(result, "shape", None)
    return f"a {type(result).__name__}" if shape is None else f"an array of shape {shape}"


def match_shape(recorder, entry: Entry, value, word="derivative") -> int:
    """The node of a returned value in its entry's shape; ``word`` is what a message calls it."""
    if value is None:
        raise _mismatch(f"returned None for {entry.name!r} (is a `return` missing?)", f"Return its {word}.")
    try:
        value = to_float(lift(value))
    except TraceError as error:
        first, *_, last = str(error).splitlines()
        raise _mismatch(f"returned something for {entry.name!r} that can't be used: {first}", last.strip()) from None
    if value.shape == entry.shape:
        return value._node
    if value.shape == ():
        return recorder.add("broadcast", (value._node,), (entry.shape,))
    raise _mismatch(
        f"returned shape {value.shape} for {entry.name!r}: got {value.shape}, expected {entry.shape}",
        f"The {word} has the shape of the state {entry.name!r}, {entry.shape}.",
    )
