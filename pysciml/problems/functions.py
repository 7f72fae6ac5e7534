"""A problem's functions beside its right-hand side: an initial state that follows from ``p``, and observables."""

from collections.abc import Collection

import numpy as np

from ..errors import ProblemError, TraceError
from ..ir.evaluate import evaluate_program
from ..ir.program import Program, ProgramBuilder
from ..ir.rewrite import inline_program
from ..ir.simplify import simplify_program
from ..tracing.layout import Layout, join_layouts, make_layout
from ..tracing.trace import trace_initial, trace_observables
from .names import check_name
from .values import Value, Values, check_finite, is_named, named_items

NO_OBSERVABLES = Layout("none", ())


def is_function(value) -> bool:
    """Whether a value is a function, not an array or a network that can be called."""
    return callable(value) and not hasattr(value, "__array__") and not hasattr(value, "n_weights")


def read_initial(u0, p_layout: Layout) -> tuple[Program, Values]:
    """The Program of ``u0=lambda p: ...``, and states of the shapes that it gives."""
    program, layout = _trace("u0", trace_initial, u0, p_layout)
    return program, _placeholders("state", layout)


def read_observe(observe, u_layout: Layout, p_layout: Layout) -> tuple[Program | None, Layout]:
    """The Program of ``observe`` and the layout of the observables; ProblemError where it has no names."""
    if observe is None:
        return None, NO_OBSERVABLES
    if not callable(observe):
        raise ProblemError(f"observe must be a function observe(t, u, p), got {observe!r} ({type(observe).__name__})")
    program, layout = _trace("observe", trace_observables, observe, u_layout, p_layout)
    if layout.form != "record":
        raise ProblemError("observe must return a dict, one value a name: observe=lambda t, u, p: {'total': u.x + u.y}")
    return program, layout


def observables_of(layout: Layout) -> Values:
    """The observables as values of which only the shapes are known."""
    return _placeholders("observable", layout)


def _placeholders(kind, layout):
    for name in layout.names:
        check_name(kind, name)
    return Values(layout.form, {entry.name: Value(np.zeros(entry.shape)) for entry in layout.entries})


def _trace(where, trace, function, *layouts):
    try:
        program, layout = trace(function, *layouts)
    except TraceError as error:
        raise TraceError(f"{where}: {error}") from error.__cause__
    return simplify_program(program), layout


def make_measure(
    observe: Program | None, u_layout: Layout, y_layout: Layout, names: Collection[str]
) -> tuple[Program | None, Layout, np.ndarray]:
    """What data with these names measure: a Program (None: the whole state), its layout, and these columns of both.

    The columns ``(measured,)`` count in the joined layout of states and observables.
    """
    if observe is None or not set(names) & set(y_layout.names):
        return None, u_layout, np.arange(u_layout.size)
    joined = join_layouts(u_layout, y_layout)
    entries = [entry for entry in joined.entries if entry.name in names]
    columns = np.concatenate([np.arange(joined.size)[entry.slice] for entry in entries])
    builder = ProgramBuilder(observe.inputs)
    (y,) = inline_program(builder, observe, range(3))
    both = builder.add("concatenate", (1, y), (0,))
    measured = builder.add("gather", (both,), (tuple(columns.tolist()), columns.shape))
    layout = make_layout("record", {e.name: (e.shape, None, True) for e in entries})
    return simplify_program(builder.build([("y", measured)])), layout, columns


def initial_values(initial: Program, u_layout: Layout, p_values: np.ndarray) -> np.ndarray:
    """The initial state ``(n,)`` at ``p (m,)``; ProblemError naming the first that isn't finite."""
    with np.errstate(all="ignore"):
        flat = np.array(evaluate_program(initial, p_values)[0])
    for name, values in u_layout.unflatten(flat).items():
        check_finite(f"u0[{name!r}], which follows from p,", values)
    return flat


def check_replaces_all(u0, u_layout: Layout) -> None:
    """ProblemError unless values for ``remake(u0=...)`` replace a whole initial state that follows from ``p``."""
    if is_function(u0):
        raise ProblemError("remake(u0=...): a function is traced: make a new problem with it")
    missing = [name for name in u_layout.names if name not in named_items(u0)] if is_named(u0) else []
    if missing:
        raise ProblemError(
            f"remake(u0=...): u0 is a function of p here; change p, or give all states as numbers "
            f"({', '.join(missing)} missing)"
        )
