"""The compiled objective: its value, its gradient by every sensitivity, what it chooses, how it fails."""

import numpy as np
import pytest
from support.diffrax_engine import make_objective_request, make_request
from support.problems import CASES, lotka_volterra

import pysciml as ps
from pysciml.engines.diffrax.engine import make_engine
from pysciml.engines.diffrax.objective import FEW, compile_objective, make_loss, most_steps
from pysciml.errors import UnsupportedByEngine
from pysciml.requests import SolveRequest

ENGINE = make_engine()
TIGHT = {"rtol": 1e-11, "atol": 1e-13}


def decay(t, u, p):
    return {"x": -p.k * u.x + p.c}


def decay_request(algorithm="Tsit5", sensitivity="auto", saveat=(0.0, 0.5, 2.0), **options):
    """Data 0 against x = exp(-k t) for c = 0."""
    saveat = np.array(saveat)
    solve = make_request(decay, {"x": 1.0}, (0, 2), {"k": 1.5, "c": 0.0}, algorithm, saveat=saveat, **options)
    return make_objective_request(solve, np.zeros((len(saveat), 1)), sensitivity=sensitivity)


def exact_value_and_slope(k, times):
    """Sum of exp(-2 k t) and its derivative with respect to k."""
    return np.sum(np.exp(-2 * k * times)), np.sum(-2 * times * np.exp(-2 * k * times))


@pytest.mark.parametrize("sensitivity", ["checkpointed", "forward", "backsolve"])
@pytest.mark.parametrize("algorithm", ["DP8", "Kvaerno5"])
def test_value_and_gradient_of_a_closed_form(algorithm, sensitivity):
    request = decay_request(algorithm, sensitivity, **TIGHT)
    if sensitivity == "backsolve" and algorithm == "Kvaerno5":
        with pytest.raises(UnsupportedByEngine, match="unstable for a stiff problem"):
            ENGINE.make_objective(request)
        return
    objective = ENGINE.make_objective(request)
    assert (objective.algorithm, objective.sensitivity, objective.reason) == (algorithm, sensitivity, "")
    value, gradient = objective.value_and_gradient(np.array([1.5, 0.0]))
    want, slope = exact_value_and_slope(1.5, np.array([0.0, 0.5, 2.0]))
    np.testing.assert_allclose([value, gradient[0]], [want, slope], rtol=1e-7)
    assert objective.value(np.array([1.5, 0.0])) == pytest.approx(value, rel=1e-12)
    assert isinstance(value, float) and gradient.shape == (2,) and gradient.dtype == np.float64


def central_differences(objective, x, steps):
    """Fourth-order differences of the value in each element."""
    gradient = []
    for i, h in enumerate(steps):
        e = h * np.eye(len(x))[i]
        one, two = (objective.value(x + k * e) - objective.value(x - k * e) for k in (1, 2))
        gradient.append((8 * one - two) / (12 * h))
    return np.array(gradient)


# what "auto" becomes for small problems is held against differences in tests/cross/test_gradients.py
@pytest.mark.parametrize(
    ("name", "sensitivity"), [("robertson", "checkpointed"), ("hires", "forward"), ("neural", "checkpointed")]
)
def test_gradient_agrees_with_central_differences(name, sensitivity):
    case = CASES[name]
    problem, saveat = case.problem(), np.asarray(case.saveat, dtype=float)[1:8]
    solve = SolveRequest(problem.program, problem.u0_values, problem.p_values, problem.span, saveat=saveat, **TIGHT)
    states = ENGINE.solve(solve).u[0]
    weights = np.broadcast_to(1 / (len(saveat) * np.max(np.abs(states), axis=0) ** 2), states.shape)
    request = make_objective_request(solve, 0.9 * states, weights, trained=3, sensitivity=sensitivity)
    objective = ENGINE.make_objective(request)
    assert objective.algorithm == ("Kvaerno5" if case.stiff else "DP8")
    x = request.x0
    gradient = objective.value_and_gradient(x)[1]
    steps = 1e-3 * np.where(x == 0, 1.0, np.abs(x)) if name != "neural" else np.full(3, 1e-3)
    differences = central_differences(objective, x, steps)
    np.testing.assert_allclose(
        gradient * steps, differences * steps, rtol=1e-5, atol=1e-6 * np.max(np.abs(gradient * steps))
    )


def test_gradient_of_a_network_by_both_modes():
    net = ps.MLP(2, 2, width=6, depth=2)

    def ude(t, u, p):
        unknown = p.net([u.hare, u.lynx])
        return {"hare": 0.5 * u.hare + unknown[0], "lynx": -0.8 * u.lynx + unknown[1]}

    saveat = np.arange(1.0, 6.0)
    solve = make_request(ude, {"hare": 3.0, "lynx": 1.0}, (0, 5), {"net": net}, saveat=saveat)
    values = np.random.default_rng(0).uniform(1, 5, (5, 2))
    gradients = {
        word: ENGINE.make_objective(make_objective_request(solve, values, sensitivity=word)).value_and_gradient(solve.p)
        for word in ("checkpointed", "forward", "backsolve")
    }
    value, reverse = gradients["checkpointed"]
    for word, tolerance in (("forward", 1e-10), ("backsolve", 1e-3)):
        assert gradients[word][0] == pytest.approx(value, rel=1e-10)
        np.testing.assert_allclose(
            gradients[word][1], reverse, rtol=tolerance, atol=tolerance * np.max(np.abs(reverse))
        )


def test_start_values_are_differentiated_too():
    """x -> u0 = (x0, x1), p = exp(x2), written as a Program."""
    builder = ps.ir.program.ProgramBuilder([ps.ir.program.Input("x", (3,))])
    u0 = builder.add("slice", [0], ((0,), (2,), (1,)))
    p = builder.add("exp", [builder.add("slice", [0], ((2,), (1,), (1,)))])
    parametrization = builder.build([("u0", u0), ("p", p)])

    def model(t, u, p):
        return {"x": -p.k * u.x, "y": u.x * 0}

    solve = make_request(model, {"x": 9.0, "y": 9.0}, (0, 1), {"k": 9.0}, "Tsit5", saveat=np.array([1.0]), **TIGHT)
    part = ps.requests.ObjectiveRequest(
        solve, parametrization, np.array([2.0, 3.0, np.log(0.5)]), np.zeros((1, 2)), np.array([[1.0, 10.0]])
    )
    request = ps.requests.sum_of_one(part)
    value, gradient = ENGINE.make_objective(request).value_and_gradient(request.x0)
    x_end = 2 * np.exp(-0.5)
    assert value == pytest.approx(x_end**2 + 90, rel=1e-9)
    np.testing.assert_allclose(gradient, [2 * x_end**2 / 2, 60.0, -2 * x_end**2 * 0.5], rtol=1e-8)


def test_what_has_no_weight_does_not_count():
    times, values = np.array([0.5, 1.0, 2.0]), np.array([[1.0], [777.0], [3.0]])
    solve = make_request(decay, {"x": 1.0}, (0, 2), {"k": 1.5, "c": 0.0}, "Tsit5", saveat=times, **TIGHT)
    objective = ENGINE.make_objective(make_objective_request(solve, values, np.array([[2.0], [0.0], [1.0]])))
    want = 2 * (np.exp(-0.75) - 1) ** 2 + (np.exp(-3.0) - 3) ** 2
    assert objective.value(solve.p) == pytest.approx(want, rel=1e-9)


def test_failed_solve_is_nan():
    solve = make_request(
        lambda t, u, p: {"x": p.a * u.x**2}, {"x": 1.0}, (0, 2), {"a": 0.1}, saveat=np.array([1.0, 2.0])
    )
    objective = ENGINE.make_objective(make_objective_request(solve, np.zeros((2, 1))))
    value, gradient = objective.value_and_gradient(np.array([1.0]))  # infinite at t = 1
    assert np.isnan(value) and np.isnan(objective.value(np.array([1.0])))
    np.testing.assert_array_equal(gradient, [np.nan])
    assert np.isfinite(objective.value_and_gradient(np.array([0.1]))[1]).all()


def test_steps_that_were_rejected_leave_no_nan_in_the_gradient():
    """A first step out of the domain of sqrt is rejected; its NaN must not come back through reverse mode."""
    for sensitivity in ("checkpointed", "forward"):
        solve = make_request(
            lambda t, u, p: {"x": -p.a * np.sqrt(u.x)}, {"x": 1.0}, (0, 1.5), {"a": 1.0}, "Tsit5",
            saveat=np.array([1.5]), dt=1.5, rtol=1e-10, atol=1e-12,
        )  # fmt: skip
        objective = ENGINE.make_objective(make_objective_request(solve, np.zeros((1, 1)), sensitivity=sensitivity))
        value, gradient = objective.value_and_gradient(np.array([1.2]))
        end = 1 - 1.2 * 1.5 / 2
        assert value == pytest.approx(end**4, rel=1e-6)
        np.testing.assert_allclose(gradient, [4 * end**3 * -0.75], rtol=1e-6)


@pytest.mark.parametrize(("k", "algorithm", "sensitivity"), [(1.5, "DP8", "forward"), (3000.0, "Kvaerno5", "forward")])
def test_auto_becomes_one_word_and_says_why(k, algorithm, sensitivity):
    saveat = np.array([1.0, 50.0])
    solve = make_request(decay, {"x": 1.0}, (0, 50), {"k": k, "c": 1.0}, saveat=saveat)
    objective = ENGINE.make_objective(make_objective_request(solve, np.zeros((2, 1))))
    assert (objective.algorithm, objective.sensitivity) == (algorithm, sensitivity)
    assert "stiff" in objective.reason and "x has 2 elements" in objective.reason


def test_many_elements_are_differentiated_in_reverse():
    model, n = lambda t, u, p: -p.k * u, FEW + 1
    solve = make_request(model, np.ones(n), (0, 1), {"k": np.arange(1.0, n + 1)}, "Tsit5", saveat=np.array([1.0]))
    objective = ENGINE.make_objective(make_objective_request(solve, np.zeros((1, n))))
    assert objective.sensitivity == "checkpointed"
    gradient = objective.value_and_gradient(solve.p)[1]
    np.testing.assert_allclose(gradient, -2 * np.exp(-2 * solve.p), rtol=1e-3, atol=1e-7)


def test_other_values_compile_nothing():
    case = CASES["lotka_volterra"]
    p = case.problem().p_values

    def request(u0, saveat, factor):
        solve = make_request(lotka_volterra, u0, case.t_span, case.p, "Tsit5", saveat=saveat)
        return make_objective_request(solve, np.full((5, 2), factor), np.full((5, 2), factor))

    first = ENGINE.make_objective(request({"hare": 30.0, "lynx": 4.0}, np.arange(1901.0, 1906.0), 1.0))
    first.value_and_gradient(p)
    misses = compile_objective.cache_info().misses, make_loss.cache_info().misses
    second = ENGINE.make_objective(request({"hare": 10.0, "lynx": 7.0}, np.arange(1905.0, 1910.0), 2.0))
    assert second.value_and_gradient(1.1 * p)[0] != first.value_and_gradient(p)[0]
    assert (compile_objective.cache_info().misses, make_loss.cache_info().misses) == misses
    assert compile_objective(first.key)[1]._cache_size() == 1


def test_steps_of_a_differentiated_solve_are_bounded():
    assert most_steps(100_000, 10, 2048) == 2048
    assert most_steps(100_000, 10, 8192) == 8192  # never fewer than before, which would compile again
    assert most_steps(100_000, 1000, 2048) == 16384
    assert most_steps(500, 1000, 2048) == 500
