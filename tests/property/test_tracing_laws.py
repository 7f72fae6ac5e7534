"""Random scripts of views, assignments and in-place operations: traced == plain NumPy, name by name, write by write."""

import numpy as np
from hypothesis import HealthCheck, example, given, note, settings
from hypothesis import strategies as st
from support.tracing import layout_of

from pysciml.errors import TraceError
from pysciml.ir.evaluate import evaluate_program
from pysciml.tracing.record import make_record
from pysciml.tracing.trace import trace_model

SHAPES = [(), (1,), (6,), (2, 3), (3, 4), (4, 1, 3), (2, 3, 2)]


def names(draw, values, accept=lambda v: True):
    """One of the names made so far whose value is accepted, or None."""
    fitting = [k for k, v in values.items() if accept(v)]
    return draw(st.sampled_from(fitting)) if fitting else None


def slices(draw, n):
    """A slice of an axis of length n, as source text."""
    bounds = st.none() | st.integers(-n - 1, n + 1)
    start, stop = draw(bounds), draw(bounds)
    step = draw(st.sampled_from([None, None, 1, 2, -1, -2]))
    return ":".join("" if b is None else str(b) for b in (start, stop, step))


def basic_index(draw, shape):
    """Ints, slices, an ellipsis and new axes."""
    parts = []
    n_axes = draw(st.integers(0, len(shape)))
    for n in shape[:n_axes]:
        parts.append(str(draw(st.integers(-n, n - 1))) if n and draw(st.booleans()) else slices(draw, n))
        if draw(st.integers(0, 5)) == 0:
            parts.append("None")
    if not parts or draw(st.integers(0, 3)) == 0:
        parts.append("...")
    return ", ".join(parts)


def fancy_index(draw, shape):
    """An integer array (with repeats) or a mask on the first axis, a slice on the second."""
    n = shape[0]
    if draw(st.booleans()):
        first = f"np.array({draw(st.lists(st.booleans(), min_size=n, max_size=n))}, dtype=bool)"
    else:
        first = str(draw(st.lists(st.integers(-n, n - 1), min_size=1, max_size=4)))
    return first if len(shape) < 2 or draw(st.booleans()) else f"{first}, {slices(draw, shape[1])}"


def pick_index(draw, value):
    fancy = value.ndim and value.shape[0] and draw(st.integers(0, 3)) == 0
    return fancy_index(draw, value.shape) if fancy else basic_index(draw, value.shape)


VIEWS = [
    "{a}.T", "{a}.reshape(-1)", "np.ravel({a})", "np.squeeze({a})", "np.expand_dims({a}, 0)", "np.flip({a})",
    "{a}.reshape({a}.shape[::-1])", "np.atleast_2d({a})", "{a}.swapaxes(0, -1)", "np.moveaxis({a}, 0, -1)",
    "np.split({a}, 1)[0]", "np.broadcast_to({a}, (2,) + {a}.shape)", "{a}.reshape(-1, order='F')",
    "np.rot90({a})", "np.rot90({a}, 2)", "np.diagonal({a})", "np.einsum('ij->ji', {a})", "np.rollaxis({a}, -1)",
    "np.array_split({a}, 2, axis=-1)[0]", "np.hsplit({a}, 1)[0]", "np.atleast_3d({a})", "np.real({a})",
]  # fmt: skip
COPIES = [
    "{a}.copy()", "np.copy({a})", "{a} * 2.0", "-{a}", "{a} + {a}", "np.zeros_like({a})", "np.full_like({a}, 3.0)",
    "np.where({a} > 0, {a}, 1.0)", "np.roll({a}, 1)", "np.concatenate([{a}, {a}])", "np.stack([{a}, {a}], axis=-1)",
    "np.sum({a}, axis=0)", "np.sum({a})", "{a}.flatten()", "np.repeat({a}, 2)", "np.maximum({a}, 0.5)",
    "np.cumsum({a})", "np.sum({a}, axis=0, keepdims=True)", "{a}.take([0])", "np.tile({a}, 2)", "np.clip({a}, -1, 1)",
    "np.mean({a}, axis=-1)", "np.diff({a}, axis=0)", "np.pad({a}, 1, mode='edge')", "{a} @ {a}.T",
    "np.dstack([{a}, {a}])", "np.column_stack([{a}, {a}])", "np.nan_to_num({a}, copy=False)",
    "np.delete({a}, 0, axis=0)", "np.round({a}, 1)",
]  # fmt: skip
KINDS = "view index copy alias unpack set set in_place in_place item_in_place out".split()
VALUES = ["t", "u.a", "1.5", "u.v.sum()", "p.k * 2"]


def statement(draw, values):
    """One more line of a script."""
    kind = draw(st.sampled_from(KINDS))
    needs_array = kind in ("index", "unpack", "set", "item_in_place", "out")  # NumPy's numbers have no items
    a = names(draw, values, lambda v: isinstance(v, np.ndarray) or not needs_array)
    new = f"z{len(values)}"
    if kind in ("view", "copy"):
        return f"{new} = " + draw(st.sampled_from(VIEWS if kind == "view" else COPIES)).format(a=a)
    if kind == "alias":
        return f"{new} = {a}"
    if kind == "unpack":
        return f"{new}, {new}_ = {a}[:2]"
    value = draw(st.sampled_from(VALUES + list(values)))
    if kind == "out":
        return f"np.multiply({value}, 0.5, out={a})"
    if kind == "in_place":
        return f"{a} {draw(st.sampled_from(['+', '-', '*']))}= {value}"
    index = pick_index(draw, values[a])
    if kind == "index":
        return f"{new} = {a}[{index}]"
    operator = draw(st.sampled_from(["+", "*"])) if kind == "item_in_place" else ""
    right = draw(st.sampled_from([value, value, f"{a}[{index}]", f"{a}[{index}] + 1.0"]))
    if "[[" in f"[{index}" or "array" in index:
        right += " + 0.0"  # NumPy 1 does not look whether the right side overlaps with index arrays
    return f"{a}[{index}] {operator}= {right}"


U = {"a": 0.7, "v": np.array([0.3, -1.2, 2.0]), "m": np.arange(12.0).reshape(3, 4) / 7 - 0.8}
P = {"k": -1.3}
RECORDS = make_record(*layout_of(U)), make_record(*layout_of(P))


@st.composite
def scripts(draw):
    """A script that plain NumPy accepts: each line is kept only if NumPy runs it."""
    u, p = RECORDS
    shape = draw(st.sampled_from(SHAPES))
    lines = [f"z0 = np.zeros_like(u.m, shape={shape})", "z1 = u.m * 1.0", "z2 = u.v + t", "z3 = u.m.T * 2.0"]
    scope = {"np": np, "t": 0.25, "u": u, "p": p}
    exec("\n".join(lines), scope)
    for _ in range(draw(st.integers(3, 12))):
        values = {
            k: v
            for k, v in scope.items()
            if k[0] == "z" and isinstance(v, np.ndarray | np.float64) and np.size(v) < 200
        }
        line = statement(draw, values)
        try:
            exec(line, scope)
        except (ValueError, IndexError, TypeError, AttributeError):
            exec("\n".join(lines), scope := {"np": np, "t": 0.25, "u": u, "p": p})  # a failed line may have done half
            continue
        lines.append(line)
    return lines


def run_script(lines, t, u, p):
    """Everything that a script leaves behind, in one flat vector."""
    scope = {"np": np, "t": t, "u": u, "p": p}
    exec(compile("\n".join(lines), "<script>", "exec"), scope)
    made = [scope[k] for k in sorted(scope) if k[0] == "z"]
    return np.concatenate([np.ravel(z) * 1.0 for z in made])


def compare(lines) -> bool:
    """Assert that a script does the same traced as in plain NumPy; False if tracing refused it."""
    u, p = RECORDS
    plain = run_script(lines, 0.25, u, p)
    state = layout_of(np.zeros(plain.size))[0]
    parameters, flat = layout_of(U | P | {"t": 0.25})
    try:
        program = trace_model(lambda t, _, q: run_script(lines, q.t, q, q), state, parameters)
    except TraceError as error:
        assert "memory order" in str(error), str(error)
        return False
    (traced,) = evaluate_program(program, 0.0, np.zeros(plain.size), flat)
    np.testing.assert_allclose(traced, plain, rtol=1e-12, atol=1e-12)
    return True


@settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
@given(scripts())
@example(["z0 = np.zeros_like(u.m, shape=())", "z1 = np.nan_to_num(z0, copy=False)", "z0 += t"])
def test_scripts_of_assignments(lines):
    note("\n".join(lines))
    compare(lines)


def test_nearly_all_scripts_are_traced():
    """Changing an array after a reshape is refused where its memory order isn't known: that stays rare."""
    traced = []

    @settings(max_examples=100, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(scripts())
    def count(lines):
        traced.append(compare(lines))

    count()
    assert len(traced) >= 100 and sum(traced) >= 0.98 * len(traced)
