"""Events' functions become Programs: conditions, and effects that return only what changes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..ir.ops import BOOL
from ..ir.program import Program
from ..words import nearest
from .layout import Entry, Layout
from .lifting import lift, to_float
from .record import Record, record_items
from .recorder import Recorder
from .returned import match_shape
from .source import returned_by, trace_error
from .trace import trace_outputs


@dataclass(frozen=True, eq=False)
class Effect:
    """A traced effect: the Program's outputs ``u`` and ``p`` hold the new values of ``changed``, in layouts' order.

    An output is left out where nothing of its kind changes.
    """

    program: Program
    changed: tuple[str, ...]


def trace_condition(function: Callable, u_layout: Layout, p_layout: Layout) -> Program:
    """The Program of a condition: inputs ``t (), u (n,), p (m,)``, output ``value ()``; TraceError otherwise."""

    def gather(recorder, result):
        with returned_by(function):
            return [("value", _read_condition(recorder, result))]

    return trace_outputs(function, u_layout, p_layout, gather)


def _read_condition(recorder: Recorder, result) -> int:
    remedy = "Return one number that changes its sign at the event: u.x - 1."
    if result is None or isinstance(result, Mapping | Record):
        word = "None (is a `return` missing?)" if result is None else "names"
        raise trace_error(f"the condition returned {word}", remedy)
    value = lift(result)
    if recorder.node(value._node).dtype == BOOL:
        raise trace_error("the condition returned a comparison, and True has no sign", remedy)
    if value.shape != ():
        raise trace_error(f"the condition returned shape {value.shape}", f"{remedy} np.min(...) makes one of many.")
    return to_float(value)._node


def trace_effect(function: Callable, u_layout: Layout, p_layout: Layout) -> Effect:
    """The Program of an effect, and the names that it changes; TraceError otherwise."""
    changed: list[str] = []

    def gather(recorder, result):
        with returned_by(function):
            values = _read_changes(result, u_layout, p_layout)
            changed[:] = [name for name in (*u_layout.names, *p_layout.names) if name in values]
            parts = {"u": u_layout, "p": p_layout}
            return [
                (
                    key,
                    _join(recorder, [(entry, values[entry.name]) for entry in layout.entries if entry.name in values]),
                )
                for key, layout in parts.items()
                if values.keys() & set(layout.names)
            ]

    program = trace_outputs(function, u_layout, p_layout, gather)
    return Effect(program, tuple(changed))


def _read_changes(result, u_layout: Layout, p_layout: Layout) -> Mapping:
    """New values by name; a bare one is the state of a problem whose state is bare."""
    if isinstance(result, Record):
        result = record_items(result)
    known = (*u_layout.names, *p_layout.names)
    if not isinstance(result, Mapping):
        if u_layout.form != "record" and result is not None:
            return {u_layout.names[0]: result}
        word = "None (is a `return` missing?)" if result is None else f"a {type(result).__name__}"
        raise trace_error(f"the effect returned {word}", f'Return what changes, as {{"{known[0]}": ...}}.')
    for name in result:
        if name not in known:
            raise trace_error(
                f"the effect returned the unknown name {name!r}",
                f"States and parameters are {', '.join(known)}{nearest(name, known)}.",
            )
        if name in p_layout.names and (p_layout[name].network or p_layout[name].table) is not None:
            kind = "network" if p_layout[name].network is not None else "external input"
            raise trace_error(f"the effect changes the {kind} {name!r}", "Effects change states and parameters.")
    if not result:
        raise trace_error("the effect returned an empty dict", "Return what changes, or leave the effect out.")
    return result


def _join(recorder: Recorder, items: Sequence[tuple[Entry, object]]) -> int:
    """The node of all new values, flat, one after the other."""
    flat = []
    for entry, value in items:
        node = match_shape(recorder, entry, value, "new value")
        flat.append(node if len(entry.shape) == 1 else recorder.add("reshape", (node,), ((entry.size,),)))
    return flat[0] if len(flat) == 1 else recorder.add("concatenate", tuple(flat), (0,))
