"""Every published problem on every engine against references on which two independent solvers agree."""

import json
import pathlib

import numpy as np
import pytest
from support.engines import require_engine
from support.problems import CASES, plain_right_hand_side

import pysciml as ps
from pysciml.engines.choose import engine_tables, load_engine

REFERENCES = json.loads((pathlib.Path(__file__).parents[1] / "golden" / "references.json").read_text())
ENGINES = ["julia", "diffrax"]
RTOL = 1e-6

# What each engine's documentation recommends beside "auto".
RECOMMENDED = {
    "julia": {False: ["Tsit5", "Vern7", "Vern9"], True: ["Rodas5P"]},
    "diffrax": {False: ["Tsit5", "DP8"], True: ["Kvaerno5"]},
}
ROWS = [
    pytest.param(engine, case, word, id=f"{engine}-{case.name}-{word}")
    for engine in ENGINES
    for case in CASES.values()
    for word in ["auto", *RECOMMENDED[engine][case.stiff]]
]


def as_matrix(dataset):
    """States ``(time, state)`` in declared order, shapes and dims checked."""
    parts = []
    for variable in dataset.data_vars.values():
        assert variable.dims[0] == "time"
        parts.append(variable.values.reshape(dataset.sizes["time"], -1))
    return np.concatenate(parts, axis=1)


def error_in_tolerances(case, got, want, rtol=RTOL, atol=None):
    """The metric: max |error| / (atol + rtol |u|), shapes equal."""
    assert got.shape == want.shape
    return np.max(np.abs(got - want) / ((case.atol if atol is None else atol) + rtol * np.abs(want)))


@pytest.mark.parametrize(("engine", "case", "word"), ROWS)
def test_error_stays_within_fifty_tolerances(engine, case, word):
    require_engine(engine)
    ds = ps.solve(
        case.problem(), word, saveat=case.saveat, rtol=RTOL, atol=case.atol, engine=engine, max_steps=1_000_000
    )
    assert ds.attrs["engine"] == engine
    np.testing.assert_array_equal(ds.time.values, case.saveat)
    assert error_in_tolerances(case, as_matrix(ds), np.array(REFERENCES[case.name]["u"])) <= 50


@pytest.mark.parametrize("case", [c for c in CASES.values() if c.closed_form], ids=lambda c: c.name)
def test_references_match_closed_forms(case):
    exact = case.closed_form(np.asarray(case.saveat, dtype=float))
    assert error_in_tolerances(case, np.array(REFERENCES[case.name]["u"]), exact) < 0.05


@pytest.mark.parametrize("case", CASES.values(), ids=lambda c: c.name)
def test_traced_program_is_the_users_function(case):
    f, y0 = plain_right_hand_side(case)
    problem = case.problem()
    np.testing.assert_array_equal(problem.u0_values, y0)
    rng = np.random.default_rng(5)
    for _ in range(3):
        y = y0 + 0.1 * rng.standard_normal(y0.shape)
        got = ps.ir.evaluate.evaluate_program(problem.program, 0.3, y, problem.p_values)[0]
        want = f(0.3, y)
        np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13 * np.max(np.abs(want)))


# The words of Julia that are solved with here; tests/cross/test_algorithms.py has all.
COMMON = (
    "Euler RK4 BS3 DP5 Tsit5 Vern6 Vern7 Vern8 Vern9 ImplicitEuler Rosenbrock23 Rodas4 Rodas5P TRBDF2 Kvaerno3 "
    "Kvaerno4 Kvaerno5 KenCarp3 KenCarp4 KenCarp5 ABDF2 QNDF QBDF FBDF"
).split()


def _words():
    words = {"julia": COMMON, "diffrax": sorted(engine_tables()["diffrax"].METHODS)}
    return [pytest.param(engine, word, id=f"{engine}-{word}") for engine in ENGINES for word in words[engine]]


# Methods without step control take dt; the error must fall with it by the method's order instead.
FIXED_STEP = {"Euler", "ImplicitEulerFixed"}


@pytest.mark.parametrize(("engine", "word"), _words())
def test_error_falls_with_the_tolerance(engine, word):
    """Lotka-Volterra over a quarter of the record, at three tolerances (three steps for a method without control)."""
    require_engine(engine)
    case = CASES["lotka_volterra"]
    problem = case.problem().remake(t_span=(1900, 1905))
    saveat = np.arange(1901.0, 1906)
    want = np.array(REFERENCES[case.name]["u"])[1:6]
    errors = []
    for tolerance in (1e-3, 1e-5, 1e-7):
        options = {"dt": 10 * tolerance**0.5} if word in FIXED_STEP else {}
        ds = ps.solve(
            problem, word, saveat=saveat, rtol=tolerance, atol=tolerance, engine=engine, max_steps=10**6, **options
        )
        errors.append(np.max(np.abs(as_matrix(ds) - want)))
    assert errors[2] < errors[1] < errors[0]
    assert errors[2] < 0.03 * errors[0]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["harmonic", "lotka_volterra", "hires"])
def test_engines_report_statistics_and_versions(engine, name):
    require_engine(engine)
    case = CASES[name]
    ds = ps.solve(case.problem(), saveat=case.saveat, atol=case.atol, engine=engine)
    about = json.loads(ds.attrs["pysciml"])
    assert about["statistics"]["steps"] > 5
    assert ds.attrs["status"] == "SUCCESS"
    core = {"julia": "OrdinaryDiffEqCore", "diffrax": "diffrax"}[engine]  # gradients may have loaded more since
    assert about["versions"][core] == load_engine(engine).versions()[core]


@pytest.mark.parametrize("engine", ENGINES)
def test_solving_back_undoes_solving(engine):
    """The solution of -f from the end leads back to the start."""
    require_engine(engine)
    case = CASES["pendulum"]
    forward = ps.solve(case.problem(), "Tsit5", saveat=[5.0], rtol=1e-10, atol=1e-10, engine=engine)
    end = {name: float(forward[name][-1]) for name in ("angle", "speed")}

    def reversed_model(t, u, p):
        return {name: -value for name, value in case.model(t, u, p).items()}

    back = ps.solve(
        ps.ODEProblem(reversed_model, end, (0, 5), case.p), "Tsit5", saveat=[5.0], rtol=1e-10, atol=1e-10, engine=engine
    )
    np.testing.assert_allclose([float(back.angle[-1]), float(back.speed[-1])], [1.5, 0.0], atol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
def test_linear_problem_is_linear_in_its_start(engine):
    require_engine(engine)
    problem = CASES["harmonic"].problem()
    saveat = np.linspace(0, 10, 5)

    def end(u0):
        return as_matrix(
            ps.solve(problem.remake(u0=np.array(u0)), saveat=saveat, rtol=1e-10, atol=1e-12, engine=engine)
        )

    np.testing.assert_allclose(end([3.0, -2.0]), 3 * end([1.0, 0.0]) - 2 * end([0.0, 1.0]), atol=1e-8)


@pytest.mark.parametrize("engine", ENGINES)
def test_unit_of_time_does_not_matter(engine):
    """The same pendulum in milliseconds."""
    require_engine(engine)
    case = CASES["pendulum"]

    def slow(t, u, p):
        return {name: value / 1000 for name, value in case.model(t / 1000, u, p).items()}

    options = {"rtol": 1e-9, "atol": 1e-11, "engine": engine}
    seconds = ps.solve(case.problem(), "Tsit5", saveat=[1.0, 5.0], **options)
    milli = ps.solve(ps.ODEProblem(slow, case.u0, (0, 20000), case.p), "Tsit5", saveat=[1000.0, 5000.0], **options)
    np.testing.assert_allclose(as_matrix(milli), as_matrix(seconds), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("model", "u0", "exact"),
    [
        # du = -sqrt(u) reaches 0.01 at t = 1.8; a long trial step passes zero, where sqrt is NaN.
        (lambda t, u, p: {"x": -np.sqrt(u.x)}, 1.0, lambda t: (1 - t / 2) ** 2),
        # du = -1 / log(u)... leaves the domain for u < 0; the solution itself stays above it.
        (lambda t, u, p: {"x": u.x * np.log(u.x)}, 0.9, lambda t: np.exp(np.log(0.9) * np.exp(t))),
    ],
    ids=["sqrt", "log"],
)
def test_trial_steps_outside_the_domain_are_only_rejected(engine, model, u0, exact):
    require_engine(engine)
    saveat = np.array([0.5, 1.0, 1.8])
    problem = ps.ODEProblem(model, {"x": u0}, (0, 1.8))
    ds = ps.solve(problem, "Tsit5", saveat=saveat, rtol=1e-8, atol=1e-10, dt=1.8, engine=engine)
    assert ds.attrs["status"] == "SUCCESS"
    np.testing.assert_allclose(ds.x.values, exact(saveat), rtol=1e-6)
