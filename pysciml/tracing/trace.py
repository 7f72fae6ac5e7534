"""A user's function becomes a Program: it runs on stand-ins, and what it did is recorded."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from ..errors import TraceError
from ..ir.program import Input, Program

# Each of these files fills the tables of functions with its own; all are needed before anything is traced.
from . import creation, einsum, indexing, linear, reductions, shaping, stencils, ufuncs
from .external import ExternalInput
from .layout import Entry, Layout
from .network import Network
from .record import shape_as_form
from .recorder import Recorder, recording
from .remedies import library_remedy
from .returned import assemble, assemble_free
from .signature import check_signature
from .source import Place, library_of_exception, place_of_exception, place_of_function, trace_error
from .tracer import Storage, Traced, TracedArray, TracedScalar, View

TABLES = (creation, einsum, indexing, linear, reductions, shaping, stencils, ufuncs)
# (recorder, what the function returned) -> the outputs as (name, node)
Gather = Callable[[Recorder, Any], Iterable[tuple[str, int]]]

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

    def gather(recorder, result):
        return [("du", assemble(recorder, function, result, u_layout))]

    return trace_outputs(function, u_layout, p_layout, gather)


def trace_outputs(function: Callable, u_layout: Layout, p_layout: Layout, gather: Gather) -> Program:
    """The Program of any function of ``(t, u, p)``; what it returned becomes the outputs that ``gather`` names."""
    check_signature(function)
    return _trace(function, {"t": None, "u": u_layout, "p": p_layout}, gather)


def trace_observables(function: Callable, u_layout: Layout, p_layout: Layout) -> tuple[Program, Layout]:
    """The Program of ``observe(t, u, p)``, output ``y (k,)``, and the layout of what it returned."""
    layouts: list[Layout] = []
    program = trace_outputs(function, u_layout, p_layout, _gather_free(function, "y", "y", layouts))
    return program, layouts[0]


def trace_initial(function: Callable, p_layout: Layout) -> tuple[Program, Layout]:
    """The Program of an initial state ``u0(p)``, input ``p (m,)``, output ``u0 (n,)``, and the layout of the state."""
    check_signature(function, ("p",))
    layouts: list[Layout] = []
    program = _trace(function, {"p": p_layout}, _gather_free(function, "u0", "u", layouts))
    return program, layouts[0]


def _gather_free(function, output, name, layouts) -> Gather:
    """Whatever was returned as one output; its layout is put into ``layouts``, a bare result being called ``name``."""

    def gather(recorder, result):
        node, layout = assemble_free(recorder, function, result, name)
        layouts.append(layout)
        return [(output, node)]

    return gather


def _trace(function, layouts, gather) -> Program:
    """The Program; traced again to see whether it is always the same."""
    draws = _random_state()
    program = _trace_once(function, layouts, gather)
    n_more = 1 if _random_state() == draws else 8  # numbers were drawn: look more often whether they matter
    for _ in range(n_more):
        _check_same(program, _trace_once(function, layouts, gather), function)
    return program


def _random_state():
    name, keys, position, *_ = np.random.get_state()
    return name, keys.tobytes(), position


def _check_same(first: Program, second: Program, function) -> None:
    """TraceError at the first line that did something else the second time."""
    if first == second:
        return
    pairs = enumerate(zip(first.nodes, second.nodes, strict=False))
    position = next((k for k, (a, b) in pairs if a != b or not _is_same_constant(first, second, a)), 0)
    users = (n for n in first.nodes[position:] if n is first.nodes[position] or position in n.args)
    origin = next((n.origin for n in users if n.origin is not None), None)
    raise trace_error(
        "the model did something else when it was called again: random numbers, or a state of its own",
        _RANDOM_REMEDY,
        place_of_function(function) if origin is None else Place(origin.file, origin.line),
    )


def _is_same_constant(first, second, node):
    if node.op != "constant":
        return True
    a, b = first.constants[node.attrs[0]], second.constants[node.attrs[0]]
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def _trace_once(function, layouts, gather) -> Program:
    """One call; ``layouts`` are the arguments' by name, None for the time."""
    recorder = Recorder([Input(name, () if one is None else (one.size,)) for name, one in layouts.items()])
    with recording(recorder):
        result = _call(function, *(_make_stand_in(recorder, k, one) for k, one in enumerate(layouts.values())))
        return recorder.builder.build(gather(recorder, result))


def _make_stand_in(recorder, node, layout):
    """An input in the form that the user's function sees; its parts are views of the flat vector."""
    if layout is None:
        return TracedScalar(recorder, Storage(node), np.empty((), dtype=bool))
    refusal = (
        "u and p are the solver's own: they can't be changed in place",
        "Take a copy, `x = u.copy()`, or start from `du = np.zeros_like(u)`.",
    )
    flat = TracedArray(recorder, Storage(node, refusal), np.empty(layout.size, dtype=bool))
    values = {}
    for entry in layout.entries:
        part = _part(recorder, flat, entry, is_whole=layout.size == entry.size)
        values[entry.name] = part
        if entry.network is not None:
            values[entry.name] = Network(entry.network, part)
        elif entry.table is not None:
            values[entry.name] = ExternalInput(entry.table, part)
    return shape_as_form(layout, values)


def _part(recorder, flat, entry: Entry, is_whole) -> Traced:
    def read(base):
        if not is_whole:
            base = recorder.add("slice", (base,), ((entry.start,), (entry.size,), (1,)))
        return base if entry.shape == (entry.size,) else recorder.add("reshape", (base,), (entry.shape,))

    kind = TracedArray if entry.shape else TracedScalar
    layout = np.empty(entry.shape, dtype=bool)
    return kind(recorder, flat._storage, layout, flat, View(read, None))


def _call(function, *arguments):
    """The user's function; its own exceptions become TraceErrors with its line."""
    try:
        return function(*arguments)
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
    library = "jax" if "JAX" in text else library_of_exception(error)  # JAX hides its own frames
    if library_remedy(library):
        return library_remedy(library)
    if isinstance(error, TypeError) and ("ufunc" in text or "loop of" in text or "dtype('O')" in text):
        return "np.array([...]) of traced values is an array of Python objects: build it with np.stack([...])."
    if isinstance(error, TypeError) and "TracedScalar" in text:
        return "A traced number has no items and no length, like a float."
    return ""
