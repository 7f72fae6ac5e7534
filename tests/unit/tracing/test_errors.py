"""What can't be traced: each row a model as someone would write it, and words that its message must hold."""

import functools
import inspect
import math
import random
from math import sin

import numpy as np
import pytest
import scipy.interpolate
import scipy.sparse
import scipy.special
import xarray as xr
from support.tracing import trace

from pysciml.errors import TraceError
from pysciml.networks import MLP

RECORD = {"x": 1.0, "y": 2.0}
ARRAY = np.linspace(0.1, 1.0, 6)
P = {"k": 0.5, "v": np.ones(6), "net": MLP(2, 1, width=3, depth=1), "one": MLP(1, 1, width=3, depth=1)}
BUFFER = np.zeros(6)
SPLINE = scipy.interpolate.CubicSpline(np.arange(4.0), np.arange(4.0) ** 2)
INTERP1D = scipy.interpolate.interp1d(np.arange(4.0), np.arange(4.0) ** 2)
SPARSE = scipy.sparse.csr_matrix(np.eye(6))
KEPT = []
COUNTER = [0]


def if_state(t, u, p):
    if u[0] > 0:
        return -u
    return u


def if_bare(t, u, p):
    if u[0]:
        return -u
    return u


def if_expression(t, u, p):
    k = 1.0 if t > 5 else 0.0
    return -k * u


def if_over_lines(t, u, p):
    if (
        t > 1
        and t < 2
    ):  # fmt: skip
        return -u
    return u


def and_(t, u, p):
    return -u * (t > 1 and t < 2)


def or_(t, u, p):
    return -u * (t > 1 or t < 2)


def not_(t, u, p):
    return -u * (not t > 1)


def while_(t, u, p):
    while t > 1:
        t = t - 1
    return u * t


def chained(t, u, p):
    return -u * (0 < t < 1)


def assert_(t, u, p):
    assert u[0] > 0
    return u


def comprehension(t, u, p):
    return np.sum([x for x in u if x > 0]) * u


def in_(t, u, p):
    return -u * (t in [1.0, 2.0])


def python_max(t, u, p):
    return u * max(t, 1.0)


def python_min_of_list(t, u, p):
    return u * min([u[0], u[1]])


def python_sorted(t, u, p):
    return u * sorted(u)[0]


def python_any(t, u, p):
    return u * any(u > 0)


def bool_(t, u, p):
    return u * bool(t > 1)


def match_(t, u, p):
    match t:
        case 0:
            return u
    return -u


def math_sin(t, u, p):
    return u * math.sin(t)


def math_imported(t, u, p):
    return u * sin(t)


def math_fabs(t, u, p):
    return u * math.fabs(t)


def math_pow(t, u, p):
    return u * math.pow(t, 2)


def math_gamma(t, u, p):
    return u * math.gamma(t)


def math_over_lines(t, u, p):
    return u * (
        1.0
        + math.exp(
            t,
        )
    )


def float_(t, u, p):
    return float(t) * u


def int_(t, u, p):
    return int(t) * u


def complex_(t, u, p):
    return complex(t) * u


def complex_constant(t, u, p):
    return (1j * u).real


def zeros_item(t, u, p):
    z = np.zeros(2)
    z[0] = u[0]
    return np.concatenate([z, u[2:]])


def zeros_item_added(t, u, p):
    z = np.zeros(6)
    z[0] += u[0]
    return z


def zeros_slice(t, u, p):
    z = np.zeros(6)
    z[1:] = np.diff(u)
    return z


def zeros_total(t, u, p):
    total = np.zeros(6)
    for k in range(3):
        total += k * u
    return total


def array_of_arrays(t, u, p):
    return np.sum(np.array([u, -u]), axis=0)


def asarray(t, u, p):
    return -np.asarray(u)


def array_with_dtype(t, u, p):
    return np.array([u[0], u[1], 0, 0, 0, 0], dtype=float)


def object_comparison(t, u, p):
    z = np.array([u[0], u[1]])
    return u * np.where(z > 0, 1.0, 0.0)[0]


def object_maximum(t, u, p):
    return u * np.maximum(np.array([u[0], u[1]]), 0)[0]


def object_isnan(t, u, p):
    return u * np.isnan(np.array([u[0], u[1]]))[0]


def traced_index(t, u, p):
    return u * u[np.floor(t)]


def traced_mask(t, u, p):
    return u[u > 0].sum() * u


def traced_slice(t, u, p):
    return u[: np.floor(t)].sum() * u


def list_index(t, u, p):
    return [1.0, 2.0][t] * u


def range_(t, u, p):
    for _ in range(p.k):
        u = u * 2
    return u


def float_index(t, u, p):
    return u * u[1.0]


def out_of_range(t, u, p):
    return u * u[17]


def shapes(t, u, p):
    return u[1:] - u[:-2]


def assign_shape(t, u, p):
    du = np.zeros_like(u)
    du[1:] = u
    return du


def change_input(t, u, p):
    u[0] = 0.0
    return u


def change_input_view(t, u, p):
    u[1:][0] = 0.0
    return u


def change_input_in_place(t, u, p):
    u += 1.0
    return u


def change_parameter(t, u, p):
    p.v[2] = 1.0
    return p.v


def change_parameter_name(t, u, p):
    p.k = 1.0
    return u


def change_closed_over(t, u, p):
    BUFFER[0] = u[0]
    return BUFFER


def change_closed_over_in_place(t, u, p):
    np.multiply(u, 2.0, out=BUFFER)
    return BUFFER


def change_broadcast(t, u, p):
    z = np.broadcast_to(u[0] * 1.0, (6,))
    z[0] = 1.0
    return z


def change_diagonal(t, u, p):
    z = np.zeros_like(u, shape=(6, 6))
    np.diagonal(z)[0] = 1.0
    return z[0]


def whole_record(t, u, p):
    return -p.k * u


def whole_record_minus(t, u, p):
    return -u


def whole_record_numpy(t, u, p):
    return np.sin(u)


def whole_record_zeros(t, u, p):
    return np.zeros_like(u)


def whole_record_array(t, u, p):
    return np.array(u)


def record_stack(t, u, p):
    return np.array([u.x, u.y])


def wrong_attribute(t, u, p):
    return {"x": u.z, "y": u.y}


def near_attribute(t, u, p):
    return u * p.K


def wrong_item(t, u, p):
    return {"x": u["xx"], "y": u.y}


def position_item(t, u, p):
    return {"x": u[0], "y": u[1]}


def record_keys(t, u, p):
    return {k: -1.0 for k in u.keys()}


def set_state(t, u, p):
    u.x = 1.0
    return {"x": u.x, "y": u.y}


def set_item(t, u, p):
    u["x"] = 1.0
    return {"x": u.x, "y": u.y}


def missing_name(t, u, p):
    return {"x": u.x}


def extra_name(t, u, p):
    return {"x": u.x, "y": u.y, "speed": 1.0}


def returns_none(t, u, p):
    u * 2


def returns_list_for_record(t, u, p):
    return [u.x, u.y]


def returns_none_inside(t, u, p):
    return {"x": None, "y": u.y}


def returns_dict_for_array(t, u, p):
    return {"x": u}


def returns_wrong_shape(t, u, p):
    return u[1:]


def returns_wrong_list(t, u, p):
    return [u[0], u[1]]


def returns_ragged(t, u, p):
    return [u, u[1:]]


def returns_text(t, u, p):
    return "du"


def returns_array_for_scalar(t, u, p):
    return np.stack([u, u])


def random_numpy(t, u, p):
    return u + np.random.normal()


def random_choice(t, u, p):
    return u if np.random.rand() < 0.5 else -u


def random_python(t, u, p):
    noise = random.random()
    return u + noise


def counter(t, u, p):
    COUNTER[0] += 1
    return u * COUNTER[0]


def kept_value(t, u, p):
    KEPT.append(u)
    return u + KEPT[0]


def solve_(t, u, p):
    return np.linalg.solve(np.outer(u, u), u)


def fft(t, u, p):
    return np.fft.fft(u).real


def sort(t, u, p):
    return np.sort(u)


def sort_method(t, u, p):
    u.copy().sort()
    return u


def argmax(t, u, p):
    return u * np.argmax(u)


def isclose(t, u, p):
    return u * np.isclose(u, 1.0)


def unknown_ufunc(t, u, p):
    return np.spacing(u)


def ufunc_where(t, u, p):
    return np.log(u, where=BUFFER > 0)


def ufunc_at(t, u, p):
    du = np.zeros_like(u)
    np.add.at(du, [0, 0], u[:2])
    return du


def vectorize(t, u, p):
    return np.vectorize(lambda x: -x)(u)


def where_positions(t, u, p):
    return u * np.where(u > 0)[0]


def interp_traced_table(t, u, p):
    return np.interp(u, u, u)


def interp_unsorted(t, u, p):
    return np.interp(u, [0.0, 2.0, 1.0], [0.0, 1.0, 2.0])


def sum_initial(t, u, p):
    return np.sum(u, where=BUFFER == 0) * u


def astype_int(t, u, p):
    return u.astype(int)


def zeros_like_int(t, u, p):
    return np.zeros_like(u, dtype=int)


def bool_minus(t, u, p):
    return u * -(u > 0)


def precedence(t, u, p):
    return u * (u > 0 & u < 1)


def and_on_floats(t, u, p):
    return u * (u & 1)


def store_float_in_mask(t, u, p):
    mask = u > 0
    mask[0] = u[0]
    return mask * u


def sel(t, u, p):
    return u.sel(x=0.5)


def values(t, u, p):
    return u.values


def item(t, u, p):
    return u[0].item() * u


def unknown_method(t, u, p):
    return u.groupby("x")


def cached(t, u, p):
    return u * square(t)


@functools.lru_cache
def square(x):
    return x * x


def dictionary_key(t, u, p):
    return {t: u}[t]


def iterate_number(t, u, p):
    a, b = t
    return u


def index_number(t, u, p):
    return u * t[0]


def own_error(t, u, p):
    return u * {"a": 1}["b"]


def own_value_error(t, u, p):
    raise ValueError("no such regime")


def date(t, u, p):
    return u + np.datetime64("2020-01-01")


def text(t, u, p):
    return u + "1"


def none(t, u, p):
    return u + None


def network_shape(t, u, p):
    return p.net(u[:3]) * u


def network_of_arrays(t, u, p):
    return p.net([u, u])[..., 0]


def network_of_number(t, u, p):
    return p.one(t) * u


def network_as_number(t, u, p):
    return p.net * u


def network_in_numpy(t, u, p):
    return np.sin(p.net) * u


def network_attribute(t, u, p):
    return p.net.weights[0] * u


def spline(t, u, p):
    return u * SPLINE(t)


def scipy_function(t, u, p):
    return u * scipy.special.logsumexp(u)


def scipy_interp1d(t, u, p):
    return u * INTERP1D(t)


def scipy_erf(t, u, p):
    return scipy.special.erf(u)


def scaled_sparse(t, u, p):
    return p.k * SPARSE @ u


def sparse_times(t, u, p):
    return SPARSE * u


def old_matrix(t, u, p):
    return np.matrix(np.eye(6)) * u


def masked_array(t, u, p):
    return u * np.ma.masked_less(ARRAY, 0.5)


def inverse_of_objects(t, u, p):
    return np.linalg.inv(np.array([[u[0], 1.0], [0.0, u[1]]]))[0, 0] * u


def traced_shift(t, u, p):
    return np.roll(u, t)


def traced_width(t, u, p):
    return np.pad(u, t)


def traced_repeats(t, u, p):
    return u.repeat(t)


def reshape_wrong(t, u, p):
    return u.reshape(4, 2)


def bad_axis(t, u, p):
    return u.sum(axis=1)


def concatenate_numbers(t, u, p):
    return np.concatenate([u[0], u[1]])


def ambiguous_reshape(t, u, p):
    z = np.einsum("i,j->ji", u, u).T * 1.0
    flat = z.reshape(-1)
    z[0] = 0.0
    return flat[:6]


# model, words that the message holds, text of the line that it shows (None: the last line of the function)
ROWS = [
    (if_state, ["`if`", "np.where"], "if u[0] > 0:"),
    (if_bare, ["`if`", "np.where"], "if u[0]:"),
    (if_expression, ["`a if condition else b`", "np.where"], "k = 1.0 if t > 5 else 0.0"),
    (if_over_lines, ["`and`", "np.logical_and"], "t > 1"),
    (and_, ["`and`", "np.logical_and", "&"], None),
    (or_, ["`or`", "np.logical_or"], None),
    (not_, ["`not`", "np.logical_not"], None),
    (while_, ["`while`", "for loop", "np.where"], "while t > 1:"),
    (chained, ["chained comparison", "(a < x) & (x < b)"], None),
    (assert_, ["`assert`"], "assert u[0] > 0"),
    (comprehension, ["comprehension", "np.where"], None),
    (in_, ["`in`", "np.logical_or"], None),
    (python_max, ["max()", "np.maximum"], None),
    (python_min_of_list, ["min()", "np.minimum"], None),
    (python_sorted, ["sorted()", "np.minimum"], None),
    (python_any, ["any()", "np.any"], None),
    (bool_, ["bool()", "np.where"], None),
    (match_, ["`match`", "np.where"], "case 0:"),
    (math_sin, ["np.sin instead of math.sin"], None),
    (math_imported, ["np.sin instead of math.sin"], None),
    (math_fabs, ["np.abs instead of math.fabs"], None),
    (math_pow, ["a ** b"], None),
    (math_gamma, ["math.gamma", "np.interp"], None),
    (math_over_lines, ["np.exp instead of math.exp"], "+ math.exp("),
    (float_, ["Drop float()"], None),
    (int_, ["np.floor"], None),
    (complex_, ["real and imaginary"], None),
    (complex_constant, ["complex", "two states"], None),
    (zeros_item, ["np.zeros_like(u)", "np.stack"], "z[0] = u[0]"),
    (zeros_item_added, ["np.zeros_like(u)", "np.stack"], "z[0] += u[0]"),
    (zeros_slice, ["np.zeros_like(u)"], "z[1:] = np.diff(u)"),
    (zeros_total, ["np.zeros_like(u)", "total = total + x"], "total += k * u"),
    (array_of_arrays, ["np.stack"], None),
    (asarray, ["np.stack", "drop np.asarray"], None),
    (array_with_dtype, ["dtype", "np.stack"], None),
    (object_comparison, ["np.stack"], "return u * np.where(z > 0, 1.0, 0.0)[0]"),
    (object_maximum, ["np.stack"], None),
    (object_isnan, ["np.stack"], None),
    (traced_index, ["index", "np.interp"], None),
    (traced_mask, ["index", "np.where"], None),
    (traced_slice, ["index"], None),
    (list_index, ["index", "np.where"], None),
    (range_, ["loop count", "closes over"], "for _ in range(p.k):"),
    (float_index, ["index must be an int"], None),
    (out_of_range, ["out of bounds", "(6,)"], None),
    (shapes, ["(5,)", "(4,)", "subtraction"], None),
    (assign_shape, ["(6,)", "(5,)"], "du[1:] = u"),
    (change_input, ["in place", "u.copy()", "np.zeros_like(u)"], "u[0] = 0.0"),
    (change_input_view, ["in place", "u.copy()"], "u[1:][0] = 0.0"),
    (change_input_in_place, ["in place", "u.copy()"], "u += 1.0"),
    (change_parameter, ["in place"], "p.v[2] = 1.0"),
    (change_parameter_name, ["read-only", "'k'", "remake"], "p.k = 1.0"),
    (change_closed_over, ["np.zeros_like(u)"], "BUFFER[0] = u[0]"),
    (change_closed_over_in_place, ["in place", "np.zeros_like(u)"], "np.multiply(u, 2.0, out=BUFFER)"),
    (change_broadcast, ["read-only", "copy"], "z[0] = 1.0"),
    (change_diagonal, ["read-only", "copy"], "np.diagonal(z)[0] = 1.0"),
    (wrong_attribute, ["'z'", "x, y"], None),
    (near_attribute, ["'K'", "Did you mean 'k'?"], None),
    (wrong_item, ["'xx'", "Did you mean 'x'?"], None),
    (position_item, ["names, not positions", "u.x"], None),
    (record_keys, ["'keys'", "dir(u)"], None),
    (whole_record, ["whole record", "x, y", "dict"], None),
    (whole_record_minus, ["whole record"], None),
    (whole_record_numpy, ["whole record"], None),
    (whole_record_zeros, ["whole record"], None),
    (whole_record_array, ["whole record"], None),
    (set_state, ["read-only", "'x'"], "u.x = 1.0"),
    (set_item, ["read-only", "'x'"], 'u["x"] = 1.0'),
    (record_stack, ["array of shape (2,)", "dict is expected", "x, y"], None),
    (missing_name, ["without y", "got x, expected x, y"], None),
    (extra_name, ["unknown speed", "got x, y, speed, expected x, y"], None),
    (returns_none, ["None", "`return`"], "def returns_none(t, u, p):"),
    (returns_list_for_record, ["a list", "dict is expected"], None),
    (returns_none_inside, ["None", "'x'"], None),
    (returns_dict_for_array, ["names", "u is an array"], None),
    (returns_wrong_shape, ["got (5,), expected (6,)", "'u'"], None),
    (returns_wrong_list, ["got (2,), expected (6,)"], None),
    (returns_ragged, ["'u'", "(6,)", "(5,)"], None),
    (returns_text, ["'u'", "'du' (str)"], None),
    (returns_array_for_scalar, ["got (2,), expected ()"], None),
    (random_numpy, ["random"], None),
    (random_choice, ["random"], "def random_choice(t, u, p):"),
    (random_python, ["random"], None),
    (counter, ["state of its own"], None),
    (kept_value, ["earlier call"], None),
    (solve_, ["np.linalg.solve", "outside f"], None),
    (fft, ["np.fft.fft", "D @ u"], None),
    (sort, ["np.sort", "order"], None),
    (sort_method, [".sort", "order"], "u.copy().sort()"),
    (argmax, ["np.argmax", "np.max"], None),
    (isclose, ["np.isclose", "np.abs(a - b) < tolerance"], None),
    (unknown_ufunc, ["np.spacing can't be traced"], None),
    (ufunc_where, ["where=", "np.where"], None),
    (ufunc_at, ["np.add.at"], "np.add.at(du, [0, 0], u[:2])"),
    (vectorize, ["np.vectorize", "np.where"], None),
    (where_positions, ["np.where(condition, a, b)"], None),
    (interp_traced_table, ["np.interp", "xp"], None),
    (interp_unsorted, ["np.interp", "increase"], None),
    (sum_initial, ["np.sum", "where="], None),
    (astype_int, ["astype", "np.trunc"], None),
    (zeros_like_int, ["dtype"], None),
    (bool_minus, ["minus", "~mask"], None),
    (precedence, ["brackets", "(x > 0) & (x < 1)"], None),
    (and_on_floats, ["`&`", "np.logical_and"], None),
    (store_float_in_mask, ["bool array"], "mask[0] = u[0]"),
    (sel, [".sel", "x[3]"], None),
    (values, [".values", "Drop"], None),
    (item, [".item", "Drop"], None),
    (unknown_method, [".groupby"], None),
    (cached, ["lru_cache"], None),
    (dictionary_key, ["dictionary key"], None),
    (iterate_number, ["TypeError", "like a float"], "a, b = t"),
    (index_number, ["TypeError", "like a float"], None),
    (own_error, ["KeyError", "'b'"], None),
    (own_value_error, ["ValueError", "no such regime"], None),
    (date, ["dates", "t_span[0]"], None),
    (text, ["'1' (str)"], None),
    (none, ["None"], None),
    (network_shape, ["2 inputs", "(3,)"], None),
    (network_of_arrays, ["2 inputs", "(2, 6)", "axis=-1"], None),
    (network_of_number, ["1 input", "p.net([x])"], None),
    (network_as_number, ["network", "Call it"], None),
    (network_in_numpy, ["network", "Call it"], None),
    (network_attribute, [".weights", "called"], None),
    (spline, ["SciPy", "np.interp"], None),
    (scipy_function, ["SciPy", "scipy.special"], None),
    (scipy_interp1d, ["SciPy", "np.interp"], None),
    (scipy_erf, ["scipy.special.erf", "np.interp"], None),
    (scaled_sparse, ["sparse", "k * (L @ u)"], None),
    (sparse_times, ["sparse", "L @ u"], None),
    (old_matrix, ["matrix", "@"], None),
    (masked_array, ["MaskedArray", ".filled"], None),
    (inverse_of_objects, ["np.stack"], None),
    (traced_shift, ["np.roll", "shift", "plain int"], None),
    (traced_width, ["np.pad", "pad_width"], None),
    (traced_repeats, ["np.repeat", "repeats"], None),
    (reshape_wrong, ["(6,)", "(4, 2)"], None),
    (bad_axis, ["axis 1"], None),
    (concatenate_numbers, ["np.concatenate", "np.stack"], None),
    (ambiguous_reshape, ["reshaped", "copy"], "z[0] = 0.0"),
]
NAMED = (
    "wrong_attribute wrong_item position_item record_keys set_state set_item record_stack missing_name extra_name "
    "returns_list_for_record returns_none_inside"
)
STATES = {name: RECORD for name in NAMED.split()}
STATES |= {f.__name__: RECORD for f, *_ in ROWS if f.__name__.startswith("whole_record")}
STATES["returns_array_for_scalar"] = 1.0


@pytest.mark.parametrize("model, words, line", ROWS, ids=lambda v: getattr(v, "__name__", ""))
def test_message(model, words, line):
    with pytest.raises(TraceError) as caught:
        for _ in range(20):  # a random choice may fall the same way several times
            trace(model, STATES.get(model.__name__, ARRAY), P)
    message = str(caught.value)
    line = line or inspect.getsource(model).strip().splitlines()[-1].strip()
    for word in [*words, __file__, f"\n    {line}\n"]:
        assert word in message + "\n", f"{word!r} is missing in\n{message}"
    number = int(message.split(f'File "{__file__}", line ')[1].split()[0].rstrip(","))
    assert inspect.getsourcelines(inspect.getmodule(model))[0][number - 1].strip() == line
    assert np.all(BUFFER == 0)


def test_every_model_above_is_in_the_table():
    mine = {name for name, f in globals().items() if inspect.isfunction(f) and not inspect.iscoroutinefunction(f)}
    models = {name for name in mine if list(inspect.signature(globals()[name]).parameters) == ["t", "u", "p"]}
    assert models == {f.__name__ for f, *_ in ROWS}


def test_the_users_own_exception_is_chained():
    with pytest.raises(TraceError) as caught:
        trace(own_value_error, ARRAY, P)
    assert isinstance(caught.value.__cause__, ValueError) and not isinstance(caught.value.__cause__, TraceError)


def test_hasattr_and_getattr_work_on_traced_values_and_records():
    def model(t, u, p):
        assert not hasattr(u, "speed") and getattr(p, "speed", None) is None and not hasattr(p.v, "sel")
        return -u

    trace(model, ARRAY, P)


def test_keyboard_interrupt_passes_through():
    def model(t, u, p):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trace(model, ARRAY)


def test_a_dataarray_has_no_labels_inside():
    table = xr.DataArray(np.arange(6.0), dims="x", coords={"x": np.arange(6)})

    def model(t, u, p):
        return table.sel(x=u[0])

    with pytest.raises(TraceError):
        trace(model, ARRAY)


async def asynchronous(t, u, p):
    return u


def generator(*args):
    yield args


SIGNATURES = [
    (lambda u, p, t: u, ["(u, p, t)", "Julia's order", "f(t, u, p)"]),
    (lambda y, t, p: y, ["(y, t, p)", "not the first", "f(t, u, p)"]),
    (lambda du, u, p, t: None, ["(du, u, p, t)", "in-place", "f(t, u, p)"]),
    (lambda t, u: u, ["(t, u)", "f(t, u, p)"]),
    (lambda t, u, p, q: u, ["(t, u, p, q)", "f(t, u, p)"]),
    (lambda t, u, p, *, k: u, ["keyword 'k'", "functools.partial"]),
    (3.0, ["function f(t, u, p)", "3.0"]),
    (generator, ["generator"]),
    (asynchronous, ["async"]),
]


@pytest.mark.parametrize("function, words", SIGNATURES, ids=lambda v: str(v)[:20])
def test_signature(function, words):
    with pytest.raises(TraceError) as caught:
        trace(function, ARRAY)
    assert all(word in str(caught.value) for word in words), str(caught.value)


class Model:
    """A model in each of the forms that can be called."""

    def __call__(self, t, u, p):
        return -u

    def method(self, t, u, p):
        return -u

    @staticmethod
    def static(t, u, p=None):
        return -u


@pytest.mark.parametrize(
    "function",
    [
        Model(),
        Model().method,
        Model.static,
        functools.partial(lambda k, t, u, p: -k * u, 2.0),
        functools.partial(lambda t, u, p, k: -k * u, k=2.0),
        lambda *args: -args[1],
        lambda t, u, p, k=2.0: -k * u,
        lambda time, state, parameters: -state,
        lambda t, y, args: -y,
    ],
)
def test_callables(function):
    trace(function, ARRAY)
