"""What crosses to Julia comes back the same: Julia's own ``identity`` over random values, errors, values that stay."""

import gc
import math

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from support.engines import require_engine

from pysciml.engines.choose import choose_engine
from pysciml.engines.julia.embed import Handle, JuliaError
from pysciml.errors import PySciMLError

SIZES = hnp.array_shapes(min_dims=1, max_dims=1, min_side=0, max_side=9)
SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=20)
ARRAYS = st.one_of(
    hnp.arrays(np.float64, SIZES),
    hnp.arrays(np.int64, SIZES),
    hnp.arrays(np.bool_, SIZES),
    hnp.arrays(np.int32, SIZES),
    hnp.arrays(np.float64, st.tuples(st.integers(0, 4), st.integers(0, 4))),
)
VALUES = st.recursive(SCALARS | ARRAYS, lambda inner: st.lists(inner, max_size=5), max_leaves=20)


@pytest.fixture(scope="module")
def bridge():
    require_engine("julia")
    return choose_engine("julia")._bridge


def is_same(sent, got):
    if isinstance(sent, list):
        return type(got) is tuple and len(sent) == len(got) and all(map(is_same, sent, got))
    if isinstance(sent, np.ndarray):
        return sent.dtype == got.dtype and sent.shape == got.shape and got.flags.writeable and _is_equal(sent, got)
    return type(sent) is type(got) and (sent == got or (isinstance(sent, float) and math.isnan(sent + got)))


def _is_equal(sent, got):
    return np.array_equal(sent, got, equal_nan=sent.dtype.kind == "f")


@given(VALUES)
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_values_come_back_the_same(bridge, value):
    assert is_same(value, bridge.call("identity", value))


@pytest.mark.parametrize(
    "view", [np.arange(12.0)[::3], np.arange(12.0).reshape(3, 4).T, np.arange(24.0).reshape(4, 6)[::2]]
)
def test_arrays_need_not_be_contiguous(bridge, view):
    assert np.array_equal(bridge.call("identity", view), view)


def test_a_large_array_crosses_and_its_memory_is_given_back(bridge):
    value = np.arange(1e6)
    got, small = bridge.call("identity", [value, np.arange(3)])
    assert is_same(value, got) and is_same(np.arange(3), small)
    matrix = np.arange(4e5).reshape(2, -1)
    assert is_same(matrix, bridge.call("identity", matrix))
    value[0] = -1.0
    assert got[0] == 0.0
    assert bridge.call("identity", 3) == 3


def test_what_stays_is_given_up_with_its_handle(bridge):
    handle = bridge.call("make_events")
    assert isinstance(handle, Handle)
    same_key = Handle(handle.key, lambda key: None)
    assert bridge.call("isnothing", same_key) is False
    del handle
    gc.collect()
    with pytest.raises(PySciMLError, match="KeyError"):
        bridge.call("isnothing", same_key)


def test_an_error_in_julia_is_chained_with_its_text(bridge):
    with pytest.raises(PySciMLError, match="Julia failed in sqrt: DomainError with -1.0") as caught:
        bridge.call("sqrt", -1.0)
    assert isinstance(caught.value.__cause__, JuliaError) and "[1]" in str(caught.value.__cause__)
    assert bridge.call("sqrt", 4.0) == 2.0


def test_what_can_not_be_passed_is_refused_by_its_type(bridge):
    with pytest.raises(TypeError, match="a dict can't be passed to Julia"):
        bridge.call("identity", {})
