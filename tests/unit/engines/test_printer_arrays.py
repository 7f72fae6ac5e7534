"""Text of functions of whole arrays: few sweeps, products that read their factors as they lie."""

import numpy as np
import pytest

import pysciml as ps
from pysciml.engines.julia.derivatives import derive_pullback
from pysciml.engines.julia.printer_arrays import print_arrays


def program(f, u0, p):
    return ps.ODEProblem(lambda t, u, p: {"y": f(t, u.y, p)}, {"y": u0}, (0.0, 1.0), p).program


def test_a_layer_is_a_product_and_a_sweep():
    printed = print_arrays(program(lambda t, y, p: np.tanh(y @ p.w + p.b) * 2.0 - t, np.ones((5, 3)), {
        "w": np.ones((3, 3)), "b": np.ones(3),
    }))  # fmt: skip
    assert printed.text.count(" * a") == 1 and printed.text.count("@.") == 1
    assert printed.n_numbers == printed.n_flags == 0


def test_transposed_factors_are_not_copied():
    model = program(lambda t, y, p: np.tanh(y @ p.w), np.ones((5, 3)), {"w": np.ones((3, 3))})
    text = print_arrays(derive_pullback(model, has_factors=False).program).text
    assert text.count("transpose(") == 2 and "permutedims" not in text
    turned = program(lambda t, y, p: p.w.T @ y + y.T * p.w, np.ones((3, 3)), {"w": np.ones((3, 3))})
    text = print_arrays(turned).text
    assert text.count("permutedims") == 1  # of what a sweep reads


def test_sizes_are_those_in_reverse():
    model = program(lambda t, y, p: np.sum(y[:, None, :] * p.w, axis=1), np.ones((2, 3)), {"w": np.ones((2, 4, 3))})
    text = print_arrays(model).text
    assert "(3, 4, 2,)" in text and "dims = (2,)" in text and "(3, 2,)" in text


def test_constants_go_along():
    weights = np.arange(6.0).reshape(2, 3)
    printed = print_arrays(program(lambda t, y, p: weights * y + y[[0, 1, 1], [0, 1, 2]], np.ones((2, 3)), None))
    np.testing.assert_array_equal(printed.constants, weights.ravel())
    assert printed.indices.tolist() == [1, 5, 6]  # counted from 1


def test_what_has_no_form_is_refused():
    with pytest.raises(ps.UnsupportedByEngine, match="operation 'cumsum', which has no form of whole arrays"):
        print_arrays(program(lambda t, y, p: np.cumsum(y), np.ones(3), None))
