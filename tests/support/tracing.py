"""Tracing in tests: a function run by plain NumPy and as a Program, on the same numbers."""

import numpy as np

from pysciml.ir.evaluate import evaluate_program
from pysciml.ir.program import Program
from pysciml.networks import MLP
from pysciml.tracing.layout import Layout, make_layout
from pysciml.tracing.record import make_record
from pysciml.tracing.trace import trace_model


def layout_of(values) -> tuple[Layout, np.ndarray]:
    """Layout and flat vector of a dict, array, number, network or None."""
    if values is None:
        return make_layout("none", {}), np.zeros(0)
    form = "record" if isinstance(values, dict) else "network" if isinstance(values, MLP) else ""
    items = values if form == "record" else {"u": values}
    arrays = {k: v.initial_weights(k) if isinstance(v, MLP) else np.asarray(v, float) for k, v in items.items()}
    networks = {k: v if isinstance(v, MLP) else None for k, v in items.items()}
    form = form or ("array" if arrays["u"].ndim else "scalar")
    layout = make_layout(form, {k: (a.shape, networks[k], True) for k, a in arrays.items()})
    return layout, layout.flatten(arrays)


def trace(model, u, p=None) -> Program:
    """The Program of a model with these states and parameters."""
    return trace_model(model, layout_of(u)[0], layout_of(p)[0])


def run_both(model, u, p=None, t=0.3) -> tuple[np.ndarray, np.ndarray]:
    """The flat derivative by plain NumPy, and by the traced Program."""
    (u_layout, u_flat), (p_layout, p_flat) = layout_of(u), layout_of(p)
    result = model(t, make_record(u_layout, u_flat), make_record(p_layout, p_flat))
    values = result if u_layout.form == "record" else {u_layout.names[0]: result}
    parts = [np.broadcast_to(np.asarray(values[e.name], float), e.shape).ravel() for e in u_layout.entries]
    (traced,) = evaluate_program(trace_model(model, u_layout, p_layout), t, u_flat, p_flat)
    return np.concatenate(parts), traced


def check_model(model, u, p=None, t=0.3) -> None:
    """Assert that plain NumPy and the traced Program agree."""
    plain, traced = run_both(model, u, p, t)
    np.testing.assert_allclose(traced, plain, rtol=1e-13, atol=1e-13)


def check_expression(expression, **inputs) -> None:
    """Assert that ``expression(record of inputs)`` is the same value, of the same shape, plain and traced."""
    p_layout, p_flat = layout_of(inputs)
    plain = np.asarray(expression(make_record(p_layout, p_flat)))
    u_layout, u_flat = layout_of(np.zeros(plain.shape))
    shapes = []

    def model(t, u, p):
        result = expression(p)
        shapes.append(np.shape(result))
        return result

    program = trace_model(model, u_layout, p_layout)
    assert shapes[0] == plain.shape, f"shape {shapes[0]}, expected {plain.shape}"
    (traced,) = evaluate_program(program, 0.0, u_flat, p_flat)
    np.testing.assert_allclose(traced, plain.astype(float).ravel(), rtol=1e-13, atol=1e-13)
