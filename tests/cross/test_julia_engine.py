"""What the Julia engine says and gives, beside the tests that every engine gets."""

import time

import numpy as np
import pytest
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.base import Status
from pysciml.engines.choose import load_engine
from pysciml.engines.julia.status import STATUS
from pysciml.errors import ProblemError
from pysciml.ir.evaluate import evaluate_program


@pytest.fixture(autouse=True)
def julia():
    require_engine("julia")


def decay(t, u, p):
    return -p * u


def spiral(t, u, p):
    return p.net(u**3)


def make_spiral(width=16):
    return ps.ODEProblem(spiral, np.array([2.0, 0.0]), (0.0, 1.5), {"net": ps.MLP(2, 2, width=width, depth=2)})


def test_the_table_of_return_codes_is_total():
    assert set(load_engine("julia")._bridge.call("return_codes")) == set(STATUS)


def test_versions_are_named():
    assert {"Julia", "OrdinaryDiffEqCore", "PySciML"} <= set(load_engine("julia").versions())


def make_new_model(k):
    """A model whose Program no other has: k is a constant in it."""
    model = lambda t, u, p: {"x": -p.a * u.x * k, "y": u.x - u.y}  # noqa: E731
    return ps.ODEProblem(model, {"x": 1.0, "y": 0.0}, (0, 1), {"a": k})


COMMON_WORDS = ["Tsit5", "Vern7", "Vern9", "Rodas5P", "Rosenbrock23", "FBDF", "QNDF", "KenCarp4", "auto"]


@pytest.mark.parametrize("word", COMMON_WORDS)
def test_a_new_model_compiles_no_solver(word):
    """CPU seconds of the first solve of a model: its own compilation only, where a solver's takes 1 to 4."""
    seconds = []
    for _ in range(3):  # the first may load the package of the word
        problem = make_new_model(np.random.default_rng().uniform(0.5, 1.5))
        start = time.process_time()
        ps.solve(problem, word, saveat=[0.5, 1.0], engine="julia")
        seconds.append(time.process_time() - start)
    assert min(seconds[1:]) <= 0.1, seconds


def test_auto_says_what_ran():
    problem = ps.ODEProblem(decay, 1.0, (0.0, 1.0), 2.0)
    ds = ps.solve(problem, saveat=[1.0], engine="julia")
    assert ds.attrs["algorithm"] == "Tsit5"
    stiff = ps.ODEProblem(lambda t, u, p: -1e4 * (u - np.cos(t)), 0.0, (0.0, 10.0))
    ds = ps.solve(stiff, saveat=[10.0], engine="julia")
    assert ds.attrs["algorithm"].split(", ")[-1] == "Rodas5P"


@pytest.mark.parametrize("rtol", [1e-6, 1e-8])
@pytest.mark.parametrize("n", [1, 60])
def test_auto_sees_that_a_scarce_species_decays_quickly(n, rtol):
    """A radical that is 1e13 times scarcer than what it comes from limits the steps, but no norm shows it."""
    model = lambda t, u, p: {"x": -u.x, "radical": 1e-3 * u.x - 1e10 * u.radical}  # noqa: E731
    problem = ps.ODEProblem(model, {"x": np.ones(n), "radical": np.zeros(n)}, (0, 10))
    ds = ps.solve(problem, saveat=[5.0, 10.0], rtol=rtol, atol=1e-3 * rtol, engine="julia")
    np.testing.assert_allclose(ds.x.values, np.exp([[-5.0], [-10.0]]) * np.ones(n), rtol=1e3 * rtol)
    assert ds.attrs["algorithm"].split(", ")[-1] == ("FBDF" if n > 1 else "Rodas5P")


def test_own_steps_include_both_ends():
    ds = ps.solve(ps.ODEProblem(decay, 1.0, (0.0, 1.0), 2.0), "Tsit5", engine="julia")
    assert float(ds.time[0]) == 0.0 and float(ds.time[-1]) == 1.0
    assert np.all(np.diff(ds.time) > 0)


def test_a_method_without_step_control_needs_its_step():
    problem = ps.ODEProblem(decay, 1.0, (0.0, 1.0), 2.0)
    with pytest.raises(ProblemError, match="dt="):
        ps.solve(problem, "Euler", engine="julia")
    ds = ps.solve(problem, "Euler", dt=1e-4, saveat=[1.0], engine="julia")
    np.testing.assert_allclose(np.ravel(list(ds.data_vars.values())[0]), np.exp(-2), rtol=1e-3)


@pytest.mark.parametrize("word", ["auto", "Tsit5", "Vern7", "Rodas5P", "FBDF", "KenCarp4"])
@pytest.mark.parametrize(
    "model, end",  # the solutions reach 0, where the models end, at 2 and at 0.5963
    [(lambda t, u, p: -np.sqrt(u), 1.99), (lambda t, u, p: np.log(u) - 1, 0.59)],
    ids=["sqrt", "log"],
)
def test_trial_steps_outside_the_domain_are_rejected(word, model, end):
    ds = ps.solve(ps.ODEProblem(model, 1.0, (0.0, end)), word, saveat=[end], rtol=1e-8, engine="julia")
    assert ds.attrs["status"] == Status.SUCCESS.name


def test_a_blow_up_keeps_the_rows_that_were_reached():
    problem = ps.ODEProblem(lambda t, u, p: u**2, 1.0, (0.0, 2.0))
    ds = ps.solve(problem, saveat=[0.0, 0.5, 1.5, 2.0], check=False, engine="julia")
    np.testing.assert_array_equal(ds.time, [0.0, 0.5])
    assert ds.attrs["status"] in {s.name for s in (Status.STEP_TOO_SMALL, Status.UNSTABLE, Status.MAX_STEPS)}


def test_many_states_need_no_dense_jacobian():
    n = 600
    grid = (np.arange(n) + 0.5) / n

    def heat(t, u, p):
        inner = n**2 * (u[2:] - 2 * u[1:-1] + u[:-2])
        return np.concatenate([n**2 * (u[1:2] - u[:1]), inner, n**2 * (u[-2:-1] - u[-1:])])

    problem = ps.ODEProblem(heat, np.cos(np.pi * grid), (0.0, 0.01))
    ds = ps.solve(problem, saveat=[0.01], rtol=1e-6, engine="julia")
    got = np.ravel(list(ds.data_vars.values())[0])
    rate = 4 * n**2 * np.sin(np.pi / (2 * n)) ** 2
    np.testing.assert_allclose(got, np.exp(-rate * 0.01) * np.cos(np.pi * grid), atol=1e-4)


@pytest.mark.parametrize("width", [16, 200])
def test_a_networks_right_hand_side_equals_the_oracle(width):
    problem = make_spiral(width)
    u, p = np.array([1.3, -0.4]), problem.p_values
    got = load_engine("julia").evaluate(problem.program, (0.0, u, p))
    np.testing.assert_allclose(got, evaluate_program(problem.program, 0.0, u, p)[0], rtol=1e-13, atol=1e-13)


def test_both_engines_have_the_same_loss():
    require_engine("diffrax")
    problem = make_spiral()
    times = np.linspace(0.0, 1.5, 7)
    data = ps.solve(problem, saveat=times, engine="diffrax", rtol=1e-9).isel() * 1.1
    tight = {"rtol": 1e-12, "atol": 1e-12}
    words = {"julia": "Vern9", "diffrax": "DP8"}
    found = {}
    for engine, word in words.items():
        objective = ps.objective(problem, data, engine=engine, algorithm=word, **tight)
        found[engine] = objective.value(objective.x0)
    assert found["julia"] == pytest.approx(found["diffrax"], rel=1e-8)


def test_compiling_happens_once_a_model():
    engine = load_engine("julia")
    problem = ps.ODEProblem(decay, 1.0, (0.0, 1.0), 2.0)
    ps.solve(problem, saveat=[1.0], engine="julia")
    before = len(engine._load._programs)
    ps.solve(problem.remake(p=3.0, u0=2.0, t_span=(0.0, 5.0)), saveat=[5.0], engine="julia")
    assert len(engine._load._programs) == before
