"""Ways to share members out: the same results from threads, and no larger errors from lanes."""

import json

import numpy as np
import pytest
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.choose import choose_engine
from pysciml.engines.julia.ensemble import LANES
from pysciml.ir.evaluate import evaluate_program
from pysciml.ir.lanes import widen_program

LORENZ = ps.ODEProblem(
    lambda t, u, p: {"x": 10 * (u.y - u.x), "y": u.x * (p.r - u.z) - u.y, "z": u.x * u.y - 8 / 3 * u.z},
    {"x": 1.0, "y": 0.0, "z": 0.0}, (0.0, 10.0), {"r": 28.0},
)  # fmt: skip
ROBERTSON = ps.ODEProblem(
    lambda t, u, p: {"a": -p.k * u.a + 1e4 * u.b * u.c, "b": p.k * u.a - 1e4 * u.b * u.c - 3e7 * u.b**2,
                     "c": 3e7 * u.b**2}, {"a": 1.0, "b": 0.0, "c": 0.0}, (0.0, 1e4), {"k": 0.04},
)  # fmt: skip
BURST = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x**2}, {"x": 1.0}, (0.0, 2.0), {"k": 1.0})
R = np.linspace(5.0, 28.0, 200)


@pytest.fixture(autouse=True)
def julia():
    require_engine("julia")


def run(problem, over, parallel, saveat=(5.0, 10.0), algorithm="Tsit5", **words):
    words |= {"saveat": np.array(saveat), "parallel": parallel, "algorithm": algorithm, "engine": "julia"}
    return ps.ensemble(problem, over, **words)


def ran(ds):
    return json.loads(ds.attrs["pysciml"])["parallel"]


def assert_same(one, other):
    for name in one.data_vars:
        np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("algorithm", ["Tsit5", "auto"])
def test_threads_give_the_bits_of_one_after_the_other(algorithm):
    serial, threads = (run(LORENZ, {"r": R}, word, algorithm=algorithm) for word in ("serial", "threads"))
    assert_same(serial, threads)
    assert ran(serial) == "serial" and ran(threads) in ("threads", "serial")  # the latter on one core


@pytest.mark.parametrize("algorithm", ["Rodas5P", "auto"])
def test_threads_share_no_memory_of_stiff_methods(algorithm):
    """Jacobians and their factors are each thread's own."""
    over = {"k": 10 ** np.linspace(-3, -1, 40)}
    serial, threads = (run(ROBERTSON, over, word, (1e2, 1e4), algorithm) for word in ("serial", "threads"))
    assert_same(serial, threads)
    assert serial.attrs["status"] == "SUCCESS" and (serial.statistics.sel(statistic="jacobian_evaluations") > 0).all()


@pytest.mark.parametrize("algorithm", ["Rodas5P", "FBDF", "auto"])
def test_threads_share_no_memory_of_sparse_systems(algorithm):
    problem = ps.ODEProblem(
        lambda t, u, p: 3600 * p.d * (np.roll(u, 1) - 2 * u + np.roll(u, -1)) + u * (1 - u),
        np.exp(-50 * np.linspace(-0.5, 0.5, 60) ** 2), (0.0, 0.02), {"d": 1.0},
    )  # fmt: skip
    over = {"d": np.linspace(0.5, 2.0, 8)}
    serial, threads = (run(problem, over, word, (0.01, 0.02), algorithm) for word in ("serial", "threads"))
    assert_same(serial, threads)
    assert serial.attrs["status"] == "SUCCESS"


def test_errors_in_lanes_are_no_larger_than_alone():
    # shorter than the solution's memory: differences of chaotic ends would tell nothing
    exact = run(LORENZ, {"r": R}, "serial", (2.0,), "Vern9", rtol=1e-12, atol=1e-12)
    worst = {}
    for word in ("serial", "lanes"):
        ds = run(LORENZ, {"r": R}, word, (2.0,))
        errors = [abs(ds[name] - exact[name]) / (1e-8 + 1e-6 * abs(exact[name])) for name in "xyz"]
        worst[word] = float(np.max(errors))
    assert ran(ds) == f"lanes ({LANES[0]})"
    assert 0 < worst["lanes"] <= 1.1 * worst["serial"]


def test_a_group_with_a_member_that_fails_is_solved_one_by_one():
    k = np.linspace(0.5, 2.0, 2 * LANES[0] + 3)
    k[3] = -1.0  # infinite at t = 1
    serial, lanes = (run(BURST, {"k": k}, word, (0.5, 2.0)) for word in ("serial", "lanes"))
    first = slice(0, LANES[0])
    assert_same(serial.isel(k=first), lanes.isel(k=first))
    assert list(lanes.sciml.failed().index) == [-1.0] and np.isfinite(lanes.x.isel(k=3)).sum() == 1
    np.testing.assert_allclose(lanes.x[4:, -1], 1 / (1 + 2 * k[4:]), rtol=1e-5)


def test_auto_takes_lanes_for_many_and_leaves_stiff_problems_to_threads():
    assert ran(run(LORENZ, {"r": R[:20]}, "auto", algorithm="auto")) in ("threads", "serial")
    many = run(LORENZ, {"r": R}, "auto", algorithm="auto")
    assert ran(many).startswith("lanes") and many.attrs["algorithm"] == "Tsit5"
    over = {"k": 10 ** np.linspace(-3, -1, 300)}
    stiff = run(ROBERTSON, over, "auto", (1e4,), "auto")
    assert ran(stiff) in ("threads", "serial") and "Rosenbrock23" in stiff.attrs["algorithm"]


def test_parameters_that_are_the_same_for_all_stay_narrow():
    u0 = np.linspace(0.5, 2.0, 70)
    serial, lanes = (run(LORENZ, {"x": u0}, word, (1.0,)) for word in ("serial", "lanes"))
    assert ran(lanes).startswith("lanes")
    np.testing.assert_allclose(lanes.x, serial.x, rtol=1e-5)


def test_nothing_is_compiled_for_other_values():
    julia = choose_engine("julia")
    for word in ("threads", "lanes"):
        run(LORENZ, {"r": R}, word)
        before = julia.compilations()
        run(LORENZ, {"r": R + 0.5}, word)
        assert julia.compilations() == before


@pytest.mark.parametrize(
    "problem, over, algorithm",
    [
        (LORENZ, {"r": R}, "Rodas5P"),
        (LORENZ, {"r": R}, "CVODE_Adams"),
        (ps.ODEProblem(lambda t, u, p: -p * u, np.ones(600), (0.0, 1.0), 1.0), {"p": [1.0, 2.0]}, "Tsit5"),
    ],
)
def test_lanes_are_refused_by_name(problem, over, algorithm):
    with pytest.raises(ps.UnsupportedByEngine, match="parallel='lanes' here.*parallel='threads'"):
        run(problem, over, "lanes", (1.0,), algorithm)


def test_a_wide_program_is_its_lanes_side_by_side():
    """Arrays, networks and products of matrices too, against the Program lane by lane."""
    net = ps.MLP(3, 2, width=4, depth=1)
    problem = ps.ODEProblem(
        lambda t, u, p: {"y": p.m @ u.y + t, "x": p.net([u.x, u.y[0], p.k])[0] * np.where(u.x > p.k, u.x, 1.0)},
        {"y": np.arange(3.0), "x": 1.0}, (0.0, 1.0), {"k": 0.5, "m": np.eye(3) + 1.0, "net": net},
    )  # fmt: skip
    rng, program = np.random.default_rng(0), problem.program
    n, m = problem.u0_values.size, problem.p_values.size
    u, p = rng.standard_normal((5, n)), rng.standard_normal((5, m))
    for is_wide in (True, False):
        given = p if is_wide else np.repeat(p[:1], 5, axis=0)
        (wide,) = evaluate_program(
            widen_program(program, 5, is_wide), 0.3, u.T.ravel(), p.T.ravel() if is_wide else p[0]
        )
        single = [evaluate_program(program, 0.3, *row)[0] for row in zip(u, given, strict=True)]
        np.testing.assert_allclose(wide.reshape(n, 5).T, single, rtol=1e-12)
