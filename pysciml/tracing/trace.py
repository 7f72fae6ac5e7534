"""A user's function becomes a Program: it runs on stand-ins, and what it did is recorded."""

from collections.abc import Callable, Mapping

import numpy as np

# Each of these files fills the tables of functions with its own; all are needed before anything is traced.
from . import creation, einsum, indexing, linear, reductions, shaping, stencils, ufuncs
from ..errors import TraceError
from ..ir.program import Input, Program
from .layout import Entry, Layout
from .lifting import lift, to_float
from .network import Network
from .record import Record, record_items, shape_as_form
from .recorder import Recorder, recording
from .signature import check_signature
from .source import place_of_exception, place_of_function, trace_error
from .tracer import Storage, Traced, TracedArray, TracedScalar, View

TABLES = (creation, einsum, indexing, linear, reductions, shaping, stencils, ufuncs)
_RANDOM_REMEDY = (
    "A model must give the same answer for the same arguments: draw random numbers outside and close over them, "
    "and keep no counters or clocks in it."
)


def trace_model(function: Callable, u_layout: Layout, p_layout: Layout) -> Program:
    """The Program of a right-hand side.

    Parameters
    ----------
    function : callable
        ``f(t, u, p)``, which returns the derivative in the form of ``u``.
    u_layout, p_layout : Layout
        Names, shapes and form of states and parameters.

    Returns
    -------
    Program
        Inputs ``t ()``, ``u (n,)``, ``p (m,)``; output ``du (n,)``.

    Raises
    ------
    TraceError
        For what can't be traced, with the user's file, line, source text and the form that can.
    """
    check_signature(function)
    draws = _random_state()
    program = _trace_once(function, u_layout, p_layout)
    n_more = 1 if _random_state() == draws else 8  # numbers were drawn: look more often whether they matter
    for _ in range(n_more):
        _check_same(program, _trace_once(function, u_layout, p_layout), function)
    return program


def _random_state():
    name, keys, position, *_ = np.random.get_state()
    return name, keys.tobytes(), position


def _check_same(first: Program, second: Program, function) -> None:
    """TraceError at the first line that did something else the second time."""
    if first == second:
        return
    pairs = zip(first.nodes, second.nodes, strict=False)
    differing = next((a for a, b in pairs if a != b or not _same_constant(first, second, a)), None)
    used = [n for n in first.nodes if differing is not None and first.nodes.index(differing) in n.args]
    origin = getattr(differing, "origin", None) or next((n.origin for n in used), None)
    place = place_of_function(function)
    if origin is not None and place is not None:
        place = type(place)(origin.file, origin.line)
    raise trace_error("the model did something else when it was called again: random numbers, or a state of its own", _RANDOM_REMEDY, place)


def _same_constant(first, second, node):
    if node.op != "constant":
        return True
    a, b = first.constants[node.attrs[0]], second.constants[node.attrs[0]]
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def _trace_once(function, u_layout, p_layout) -> Program:
    recorder = Recorder([Input("t", ()), Input("u", (u_layout.size,)), Input("p", (p_layout.size,))])
    with recording(recorder):
        t = TracedScalar(recorder, Storage(0), np.empty((), dtype=bool))
        u, p = (_make_stand_in(recorder, node, layout) for node, layout in ((1, u_layout), (2, p_layout)))
        result = _call(function, t, u, p)
        node = _assemble(recorder, function, result, u_layout)
        return recorder.builder.build([("du", node)])


def _make_stand_in(recorder, node, layout):
    """An input in the form that the user's function sees; its parts are views of the flat vector."""
    refusal = (
        "u and p are the solver's own: they can't be changed in place",
        "Take a copy, `x = u.copy()`, or start from `du = np.zeros_like(u)`.",
    )
    flat = TracedArray(recorder, Storage(node, refusal), np.empty(layout.size, dtype=bool))
    values = {}
    for entry in layout.entries:
        part = _part(recorder, flat, entry, is_whole=layout.size == entry.size)
        values[entry.name] = part if entry.network is None else Network(entry.network, part)
    return shape_as_form(layout, values)


def _part(recorder, flat, entry: Entry, is_whole) -> Traced:
    def read(base):
        if not is_whole:
            base = recorder.add("slice", (base,), ((entry.start,), (entry.size,), (1,)))
        return base if entry.shape == (entry.size,) else recorder.add("reshape", (base,), (entry.shape,))

    kind = TracedArray if entry.shape else TracedScalar
    layout = np.empty(entry.shape, dtype=bool)
    return kind(recorder, flat._storage, layout, flat, View(read, None))


def _call(function, t, u, p):
    """The user's function; its own exceptions become TraceErrors with its line."""
    try:
        return function(t, u, p)
    except TraceError:
        raise
    except Exception as error:
        cause = error
        while cause is not None and not isinstance(cause, TraceError):  # NumPy wraps what conversions raise
            cause = cause.__cause__ or cause.__context__
        if cause is not None:
            raise cause from None
        place = place_of_exception(error) or place_of_function(function)
        raise trace_error(
            f"the model function raised {type(error).__name__}: {error}", _explain(error), place
        ) from error


def _explain(error) -> str:
    text = str(error)
    if isinstance(error, TypeError) and ("ufunc" in text or "loop of" in text):
        return "np.array([...]) of traced values is an array of Python objects: build it with np.stack([...])."
    if isinstance(error, TypeError) and "TracedScalar" in text:
        return "A traced number has no items and no length, like a float."
    return ""


# ---- what came back ----


def _assemble(recorder, function, result, layout: Layout) -> int:
    """The node of the flat derivative ``(n,)``; TraceError where the result does not mirror ``u``."""
    if layout.form == "record":
        values = _match_names(function, result, layout)
    else:
        if isinstance(result, Mapping | Record):
            raise _mismatch(function, f"returned names, and u is {'an array' if layout.form == 'array' else 'a number'}",
                            "Return the derivative in the form of u0.")
        values = {layout.names[0]: result}
    parts = [_match_shape(recorder, function, entry, values[entry.name]) for entry in layout.entries]
    if len(parts) == 1:
        return _flat(recorder, parts[0])
    if all(recorder.node(part).shape == () for part in parts):
        return recorder.add("stack", tuple(parts))
    return recorder.add("concatenate", tuple(_flat(recorder, part) for part in parts), (0,))


def _flat(recorder, node):
    return node if len(recorder.node(node).shape) == 1 else recorder.add("reshape", (node,), ((recorder.node(node).size,),))


def _mismatch(function, problem, remedy):
    return trace_error(f"the model function {problem}", remedy, place_of_function(function))


def _match_names(function, result, layout) -> Mapping:
    if isinstance(result, Record):
        result = record_items(result)
    names = ", ".join(layout.names)
    if not isinstance(result, Mapping):
        raise _mismatch(
            function,
            f"returned {_describe(result)}; u0 is a dict, so a dict is expected, with the names {names}",
            "Return " + "{" + ", ".join(f'"{n}": ...' for n in layout.names[:3]) + "}.",
        )
    missing = [n for n in layout.names if n not in result]
    extra = [str(n) for n in result if n not in layout.names]
    if missing or extra:
        parts = [f"without {', '.join(missing)}"] * bool(missing) + [f"with unknown {', '.join(extra)}"] * bool(extra)
        raise _mismatch(
            function, f"returned a dict {' and '.join(parts)}: got {', '.join(map(str, result))}, expected {names}",
            "Return exactly the names of u0.",
        )  # fmt: skip
    return result


def _describe(result) -> str:
    if result is None:
        return "None (is a `return` missing?)"
    shape = getattr(result, "shape", None)
    return f"{'an array' if shape is not None else 'a ' + type(result).__name__}{f' of shape {shape}' if shape is not None else ''}"


def _match_shape(recorder, function, entry: Entry, value) -> int:
    if value is None:
        raise _mismatch(function, f"returned None for {entry.name!r} (is a `return` missing?)", "Return its derivative.")
    try:
        value = to_float(lift(value))
    except TraceError as error:
        raise _mismatch(function, f"returned something for {entry.name!r} that can't be used: {error}", "") from None
    if value.shape == entry.shape:
        return value._node
    if value.shape == ():
        return recorder.add("broadcast", (value._node,), (entry.shape,))
    raise _mismatch(
        function,
        f"returned shape {value.shape} for {entry.name!r}: got {value.shape}, expected {entry.shape}",
        f"The derivative has the shape of the state {entry.name!r}, {entry.shape}.",
    )
