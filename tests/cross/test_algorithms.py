"""Words of the Julia engine: what was measured of them once, and a few measured again on real Julia.

``tests/golden/measure_algorithms.py`` made the file, and measures the words that it lacks.
``PYSCIML_ALL_WORDS=1`` measures all words again.
"""

import json
import os
import pathlib
import sys

import numpy as np
import pytest
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.julia.catalogue import METHODS
from pysciml.errors import ProblemError, UnsupportedByEngine

GOLDEN = pathlib.Path(__file__).parents[1] / "golden"
sys.path.insert(0, str(GOLDEN))
from measure_algorithms import TIMES, errors_of, measure_errors, measure_order  # noqa: E402 # pyright: ignore[reportMissingImports]

MEASURED = json.loads((GOLDEN / "algorithms.json").read_text())["words"]
# one word of each package that loads at first use, most of them cheap to compile
SAMPLE = "SSPRK33 RDPK3Sp35 TanYam7 ABM43 CVODE_BDF".split()
WORDS = list(METHODS) if os.environ.get("PYSCIML_ALL_WORDS") else SAMPLE
# SciML stops the iterations of their stages early, or their error estimates are of a low order: tolerances at 1e-6
LOOSE = {"RKC": 60.0, "TRBDF2": 80.0, "SDIRK22": 150.0, "Trapezoid": 150.0, "QNDF2": 80.0}
LOOSE |= {"QBDF2": 120.0, "ABDF2": 200.0, "ImplicitEuler": 400.0, "QNDF1": 450.0, "QBDF1": 600.0}
# at steps where their stages converge the errors are near rounding (5.6 was seen of ESDIRK659L2SA at shorter steps)
UNTOLD = ("ESDIRK659L2SA", "RadauIIA9")
LOOSE_MASS = {"ABDF2": 100.0, "ImplicitEuler": 1200.0, "QNDF1": 1200.0, "QBDF1": 1200.0}


def check_order(word, order):
    """The order that the table says, or a higher one."""
    assert word in UNTOLD or (order is not None and order > METHODS[word].order - 0.4)


def check_errors(word, errors):
    """At most fifty tolerances at 1e-6, or the committed bound."""
    assert all(np.isfinite(list(errors.values())))
    assert errors["1e-06"] <= LOOSE.get(word, 50)


def test_each_word_was_measured():
    assert set(MEASURED) == set(METHODS)


@pytest.mark.parametrize("word", MEASURED)
def test_a_word_keeps_what_the_table_says(word):
    method, found = METHODS[word], MEASURED[word]
    if method.has_fixed_steps and method.order < 10:  # the errors of higher orders are rounding
        check_order(word, found["order"])
    if method.is_adaptive:
        check_errors(word, found["adaptive"])
    assert method.takes_mass_matrix == ("mass" in found)
    for error in found.get("mass", {}).values():
        assert error <= LOOSE_MASS.get(word, 50)


@pytest.mark.parametrize("word", WORDS)
def test_a_word_on_real_julia(word):
    require_engine("julia")
    method = METHODS[word]
    if method.has_fixed_steps and method.order < 10:
        check_order(word, measure_order(word)[0])
    if method.is_adaptive:
        check_errors(word, measure_errors(word, tolerances=(1e-6,)))


def heat(u, p):
    du = np.zeros_like(u)
    du[1:-1] = u[2:] - 2 * u[1:-1] + u[:-2]
    du[0] = u[1] - 2 * u[0]
    du[-1] = u[-2] - 2 * u[-1]
    return p.rate * 31**2 * du


LINEAR = [
    ("Rodas5P", {"linear_solver": "KLU"}),
    ("FBDF", {"linear_solver": "GMRES", "preconditioner": "tridiagonal"}),
    ("CVODE_BDF", {"linear_solver": "KLU"}),
    ("CVODE_BDF", {"linear_solver": "GMRES"}),
]
# one word of each family that treats a sparse matrix in its own way
SPARSE = "Rodas5P QNDF KenCarp4 AutoTsit5 CVODE_BDF ARKODE RadauIIA5 ImplicitHairerWannerExtrapolation auto".split()


@pytest.mark.parametrize(("word", "options"), LINEAR)
def test_linear_solvers(word, options):
    require_engine("julia")
    x = np.arange(1, 31) / 31
    problem = ps.ODEProblem(lambda t, u, p: heat(u, p), np.sin(np.pi * x), (0, 0.5), {"rate": 1.0})
    ds = ps.solve(problem, ps.Algorithm(word, **options), saveat=[0.1, 0.5], engine="julia", rtol=1e-7, atol=1e-9)
    rate = 4 * 31**2 * np.sin(np.pi / 62) ** 2
    want = np.exp(-rate * ds.time.values)[:, None] * np.sin(np.pi * x)
    got = next(iter(ds.data_vars.values())).values
    assert np.max(np.abs(got - want) / (1e-9 + 1e-7 * np.abs(want))) < 100
    assert json.loads(ds.attrs["pysciml"])["settings"]["algorithm_options"] == options


@pytest.mark.parametrize("word", SPARSE)
def test_a_sparse_jacobian_suits_each_family(word):
    """120 cells: the pattern is sparse, whatever the method makes of it."""
    require_engine("julia")
    x = np.arange(1, 121) / 121
    problem = ps.ODEProblem(lambda t, u, p: heat(u, p), np.sin(np.pi * x), (0, 0.5), {"rate": 1.0})
    ds = ps.solve(problem, word, saveat=[0.1, 0.5], engine="julia", rtol=1e-7, atol=1e-9)
    rate = 4 * 31**2 * np.sin(np.pi / 242) ** 2
    want = np.exp(-rate * ds.time.values)[:, None] * np.sin(np.pi * x)
    got = next(iter(ds.data_vars.values())).values
    assert np.max(np.abs(got - want) / (1e-9 + 1e-7 * np.abs(want))) < 100


def test_matrices_that_are_full_have_a_largest_size():
    engine = require_engine("julia")
    problem = ps.ODEProblem(lambda t, u, p: heat(u, p), np.zeros(2001), (0, 1), {"rate": 1.0})
    for word in ("RadauIIA5", "ImplicitEulerExtrapolation"):
        with pytest.raises(UnsupportedByEngine, match="full matrices only, and 2001 states .* 'FBDF'"):
            ps.solve(problem, word, saveat=[1.0], engine=engine)


# of SciML's SDIRK methods with their smoothed estimate: errors of 10⁴ tolerances, and four times the steps
STEERED = "Tsit5 Rodas5P FBDF TRBDF2 Kvaerno3 Kvaerno5 KenCarp3 KenCarp4".split()


@pytest.mark.parametrize("word", STEERED)
def test_the_unit_of_time_changes_nothing(word):
    """The error estimate of a method must be one of the state, whatever the length of its steps."""
    engine = require_engine("julia")
    steps = []
    for unit in (1e-3, 1.0, 1e3):
        problem = ps.ODEProblem(
            lambda t, u, p: {"x": -2 * p.rate * u.x, "y": 50 * p.rate * (u.x - u.y)},
            {"x": 1.0, "y": 0.0},
            (0, 3 * unit),
            {"rate": 1 / unit},
        )
        ds = ps.solve(problem, word, saveat=[1.2 * unit, 3 * unit], engine=engine, rtol=1e-6, atol=1e-6)
        decay, fast = np.exp(-2 * ds.time.values / unit), np.exp(-50 * ds.time.values / unit)
        want = np.stack([decay, 50 / 48 * (decay - fast)])
        assert np.abs(np.stack([ds.x, ds.y]) - want).max() < 1e-6 * LOOSE.get(word, 50)
        steps.append(json.loads(ds.attrs["pysciml"])["statistics"]["steps"])
    assert max(steps) < 1.5 * min(steps)


ORDERS = {"min_order": 2, "initial_order": 4, "max_order": 7}
OPTIONS = [
    ("ROCK2", {"min_stages": 3, "max_stages": 20}),
    ("ROCK4", {"min_stages": 3, "max_stages": 20}),
    ("ExtrapolationMidpointHairerWanner", ORDERS),
    ("ImplicitEulerExtrapolation", ORDERS),
]


@pytest.mark.parametrize(("word", "options"), OPTIONS)
def test_options_of_stages_and_orders(word, options):
    require_engine("julia")
    errors = errors_of("Tsit5", ps.Algorithm(word, **options), TIMES, rtol=1e-6, atol=1e-6)
    assert errors.max() < 10e-6


def test_a_known_frequency():
    """The method whose coefficients hold the solution's frequency errs least."""
    require_engine("julia")
    problem = ps.ODEProblem(lambda t, u, p: {"x": u.v, "v": -25.0 * u.x}, {"x": 1.0, "v": 0.0}, (0, 2))

    def error(**options):
        u = ps.solve(problem, ps.Algorithm("Anas5", **options), dt=0.05, saveat=[2.0], engine="julia", output="arrays")[
            1
        ]
        return abs(u["x"][-1] - np.cos(10.0))

    assert error(frequency=5.0) < error() / 4
    assert error(frequency=5.0) < error(frequency=2.0) / 4


def test_fixed_steps_are_dt():
    require_engine("julia")
    problem = ps.ODEProblem(lambda t, u, p: -u, 1.0, (0, 1))
    ds = ps.solve(problem, ps.Algorithm("RK4", adaptive=False), dt=0.125, engine="julia")
    np.testing.assert_allclose(ds.time, np.linspace(0, 1, 9), atol=1e-14)
    with pytest.raises(ProblemError, match="dt="):
        ps.solve(problem, ps.Algorithm("RK4", adaptive=False), engine="julia")


def test_what_a_method_can_not_do_is_refused():
    require_engine("julia")
    forced = ps.ODEProblem(lambda t, u, p: -u + t, 1.0, (0, 1))
    with pytest.raises(UnsupportedByEngine, match="depends on t|depend"):
        ps.solve(forced, "Exprb32", engine="julia")
    with pytest.raises(UnsupportedByEngine, match="one length"):
        ps.solve(forced, "AB4", dt=0.1, tstops=[0.55], engine="julia")


def test_stop_times_are_steps():
    require_engine("julia")
    problem = ps.ODEProblem(lambda t, u, p: np.where(t > 0.3, 1.0, 0.0), 0.0, (0, 1))
    ds = ps.solve(problem, "Tsit5", tstops=[0.3], engine="julia")
    assert 0.3 in ds.time.values
    assert float(next(iter(ds.data_vars.values()))[-1]) == pytest.approx(0.7, abs=1e-6)
