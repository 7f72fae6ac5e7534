"""ps.grad: forms of arguments, what is held fixed, inside and outside a model; what it refuses."""

import numpy as np
import pytest

import pysciml as ps
from pysciml.ir.evaluate import evaluate_program


def evaluate(function, u0, p=None, t=0.0):
    """The right-hand side of a traced model."""
    problem = ps.ODEProblem(function, u0, (0.0, 1.0), p)
    return evaluate_program(problem.program, t, problem.u0_values, problem.p_values)[0]


def test_a_record_gives_a_record_and_closures_are_held_fixed():
    def model(t, u, p):
        found = ps.grad(lambda s: p.k * s.x**2 * u.y + s.y * s.x)(u)
        return {"x": found.x, "y": found.y}

    np.testing.assert_allclose(evaluate(model, {"x": 3.0, "y": 5.0}, {"k": 2.0}), [2 * 2 * 3 * 5 + 5, 3])


def test_forms_of_arguments():
    def function(a, b, c):
        return np.sum(a["m"] ** 2) * b[0] * b[1] + c

    arguments = {"m": np.array([1.0, 2.0])}, (3.0, 4), 5.0
    assert ps.grad(function, (1, 2))(*arguments) == ((20.0, 15.0), 1.0)
    found = ps.grad(function)(*arguments)
    assert list(found) == ["m"]
    np.testing.assert_array_equal(found["m"], [24.0, 48.0])
    assert ps.grad(lambda x: x[0] * x[1])([2.0, 7.0]) == [7.0, 2.0]


def test_numbers_and_arrays_that_are_not_traced_inside_a_model():
    def model(t, u, p):
        return ps.grad(lambda x: np.sum(x * x) * p)(np.array([1.0, 2.0])) + ps.grad(lambda y: y**3)(2.0)

    np.testing.assert_array_equal(evaluate(model, np.zeros(2), 3.0), [18.0, 24.0])


def test_conditions_on_what_is_held_fixed():
    def model(t, u, p):
        late = t > 0.5
        return ps.grad(lambda x: np.where(late, x**2, 7.0 * x))(u)

    assert evaluate(model, 3.0, t=0.0) == 7.0
    assert evaluate(model, 3.0, t=1.0) == 6.0


def test_a_result_without_the_argument_has_slope_zero():
    np.testing.assert_array_equal(evaluate(lambda t, u, p: ps.grad(lambda x: p * 2.0)(u), np.ones(2), 3.0), [0, 0])
    assert ps.grad(lambda x: 3.0)(1.0) == 0.0


def test_writing_into_the_argument_stays_inside():
    def energy(x):
        x[0] = x[1] * 3.0
        return x[0] * x[1]

    def model(t, u, p):
        x = u.copy()
        return ps.grad(energy)(x) + 0.0 * x

    np.testing.assert_array_equal(evaluate(model, np.array([1.0, 2.0])), [0.0, 12.0])
    x = np.array([1.0, 2.0])
    np.testing.assert_array_equal(ps.grad(energy)(x), [0.0, 12.0])
    np.testing.assert_array_equal(x, [1.0, 2.0])


def test_a_network_outside_a_model():
    net = ps.ODEProblem(lambda t, u, p: p.net([u])[0], 1.0, (0, 1), {"net": ps.MLP(1, 1, width=4, depth=1)}).p.net
    slope = ps.grad(lambda x: net([x])[0])(0.3)
    assert slope == pytest.approx((net([0.3 + 1e-6])[0] - net([0.3 - 1e-6])[0]) / 2e-6, rel=1e-8)


def test_kinks_are_those_of_the_table():
    assert ps.grad(np.abs)(0.0) == 0.0
    assert ps.grad(lambda x: np.where(x > 0, np.sqrt(x), 0.0))(0.0) == 0.0


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: ps.grad(lambda x: x)(np.ones(3)), ps.TraceError, r"returned shape \(3,\)"),
        (lambda: ps.grad(lambda x: x > 0)(1.0), ps.TraceError, "returned True or False"),
        (lambda: ps.grad(lambda x: {"e": x})(1.0), ps.TraceError, "returned no number"),
        (lambda: ps.grad(lambda x: x, 1)(1.0), ps.TraceError, "argument 1 is wanted, and there are 1"),
        (lambda: ps.grad(3.0), ps.ProblemError, "is not a function"),
        (lambda: ps.grad(np.sin, "x"), ps.ProblemError, "argnums must be positions"),
        (lambda: ps.grad(np.sin, (1, 0)), ps.ProblemError, "argnums must increase"),
    ],
)
def test_what_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_no_gradient_by_a_network():
    def model(t, u, p):
        return ps.grad(lambda q: q.net([u])[0])(p)

    with pytest.raises(ps.TraceError, match="no gradient by <network 1 -> 1"):
        ps.ODEProblem(model, 1.0, (0, 1), {"net": ps.MLP(1, 1, width=4, depth=1)})
