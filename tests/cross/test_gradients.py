"""Gradients: both engines against central differences and against each other."""

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine
from support.problems import CASES

import pysciml as ps
from pysciml.demo import universal

ENGINES = ["julia", "diffrax"]
TIGHT = {"rtol": 1e-11, "atol": 1e-12}


def observed(problem, saveat, engine, factor=1.1, algorithm="auto"):
    """Data that the problem does not fit: its own solution, stretched, with gaps."""
    ds = ps.solve(problem, algorithm, saveat=saveat, engine=engine, **TIGHT)
    data = xr.Dataset({name: factor * variable for name, variable in ds.data_vars.items()}, {"time": ds.time})
    first = next(iter(data.data_vars))
    data[first][1] = np.nan
    return data


def ude():
    net = ps.MLP(2, 2, width=6, depth=2, seed=1, input_range=[(0, 80), (0, 60)])
    return ps.ODEProblem(universal, {"hare": 30.0, "lynx": 4.0}, (1900, 1904), {"birth": 0.5, "death": 0.8, "net": net})


# name: (problem, save times, what the gradient is by, algorithm by engine)
ROWS = {
    "lotka_volterra": (
        lambda: CASES["lotka_volterra"].problem(), np.arange(1900.0, 1911), ["*"],
        {"julia": "Vern9", "diffrax": "DP8"},
    ),
    "pendulum": (
        lambda: CASES["pendulum"].problem(), np.linspace(0, 5, 11), ["damping", "g", "length", "u0_*"],
        {"julia": "Vern9", "diffrax": "DP8"},
    ),
    "robertson": (
        lambda: CASES["robertson"].problem(), np.array([0.1, 1.0, 10.0, 100.0]), ["k1", "k2", "k3"],
        {"julia": "Rodas5P", "diffrax": "Kvaerno5"},
    ),
    "universal": (ude, np.arange(1900.0, 1905), ["birth", "death", "net"], {"julia": "Vern9", "diffrax": "DP8"}),
}  # fmt: skip


def make(name, engine, sensitivity="auto"):
    build, saveat, wrt, algorithms = ROWS[name]
    problem = build()
    data = observed(problem, saveat, engine, algorithm=algorithms[engine])
    tolerance = {"rtol": 1e-9, "atol": 1e-12} if name == "robertson" else TIGHT
    return ps.objective(
        problem, data, trainable=wrt, engine=engine, algorithm=algorithms[engine], sensitivity=sensitivity, **tolerance
    )


def central_differences(objective, directions):
    """Directional derivatives by Richardson's extrapolation of central differences, steps relative to each element."""
    size = np.where(objective.x0 != 0, np.abs(objective.x0), 1.0)
    found = []
    for direction in directions:
        step = direction * size

        def slope(h, step=step):
            return (objective.value(objective.x0 + h * step) - objective.value(objective.x0 - h * step)) / (2 * h)

        found.append((4 * slope(5e-4) - slope(1e-3)) / 3)
    return np.array(found), [d * size for d in directions]


def directions_of(objective, n=6):
    """Each element where there are few, else random directions."""
    k = len(objective.x0)
    if k <= 8:
        return list(np.eye(k))
    rng = np.random.default_rng(3)
    return list(rng.standard_normal((n, k)) / np.sqrt(k))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ROWS)
def test_gradient_matches_central_differences(name, engine):
    require_engine(engine)
    objective = make(name, engine)
    value, gradient = objective(objective.x0)
    assert value == pytest.approx(objective.value(objective.x0), rel=1e-6)
    assert np.all(gradient != 0)
    slopes, steps = central_differences(objective, directions_of(objective))
    got = np.array([gradient @ step for step in steps])
    np.testing.assert_allclose(got, slopes, rtol=1e-5, atol=1e-5 * np.max(np.abs(slopes)))


@pytest.mark.parametrize("name", ROWS)
def test_engines_agree(name):
    require_engine("julia")
    require_engine("diffrax")
    build, saveat, wrt, algorithms = ROWS[name]
    data = observed(build(), saveat, "diffrax", algorithm=algorithms["diffrax"])
    found = {}
    for engine in ENGINES:
        tolerance = {"rtol": 1e-9, "atol": 1e-12} if name == "robertson" else TIGHT
        options = {"engine": engine, "algorithm": algorithms[engine], **tolerance}
        value, gradient = ps.gradient(build(), data, wrt=wrt, **options)
        found[engine] = value, np.concatenate([np.ravel(v.values) for v in gradient.data_vars.values()])
    assert found["julia"][0] == pytest.approx(found["diffrax"][0], rel=1e-5)
    one, other = found["julia"][1], found["diffrax"][1]
    assert one.shape == other.shape
    scale = np.where(one != 0, np.abs(one), 1)
    np.testing.assert_allclose(one / scale, other / scale, atol=1e-5)


def _sensitivities():
    rows = []
    for engine in ENGINES:
        module = __import__(f"pysciml.engines.{engine}.algorithms", fromlist=["CAPABILITIES"])
        words = sorted(c.word for c in module.CAPABILITIES if c.kind == "sensitivity" and c.word != "auto")
        rows += [(engine, word) for word in words]
    return rows


@pytest.mark.parametrize(("engine", "word"), _sensitivities())
def test_every_sensitivity_gives_the_same_gradient(engine, word):
    """Initial values, parameters, a datum at the start, one at the end, and a gap."""
    require_engine(engine)
    want = make("lotka_volterra", engine)
    objective = make("lotka_volterra", engine, word)
    assert objective.sensitivity == word
    gradient = objective(objective.x0)[1]
    reference = want(want.x0)[1]
    slopes, steps = central_differences(objective, list(np.eye(len(objective.x0))))
    np.testing.assert_allclose([gradient @ step for step in steps], slopes, rtol=1e-5)
    np.testing.assert_allclose(gradient, reference, rtol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_failed_solve_gives_nan_not_a_number_that_looks_right(engine):
    require_engine(engine)
    problem = ps.ODEProblem(lambda t, u, p: {"x": p.k * u.x**2}, {"x": 1.0}, (0, 2), {"k": 0.1})
    data = xr.Dataset({"x": ("time", [1.1, 1.3])}, {"time": [1.0, 2.0]})
    objective = ps.objective(problem, data, engine=engine, algorithm="Tsit5")
    assert np.isfinite(objective.value(np.array([0.1])))
    assert np.isnan(objective.value(np.array([5.0])))  # blows up at t = 0.2
    value, gradient = objective(np.array([5.0]))
    assert np.isnan(value) and np.isnan(gradient).all()


@pytest.mark.parametrize("engine", ENGINES)
def test_network_and_loss_are_equal_on_both_sides(engine):
    """The loss at tight tolerances, against SciPy's solution of the plain function."""
    require_engine(engine)
    from scipy.integrate import solve_ivp

    build, saveat, _, algorithms = ROWS["universal"]
    problem = build()
    data = xr.Dataset({n: ("time", v + np.arange(5.0)) for n, v in (("hare", 30), ("lynx", 4))}, {"time": saveat})
    objective = ps.objective(
        problem, data, engine=engine, algorithm=algorithms[engine], rtol=1e-12, atol=1e-12, loss="mse"
    )
    run = ps.ir.evaluate.evaluate_program
    solution = solve_ivp(
        lambda t, y: run(problem.program, t, y, problem.p_values)[0],
        (1900, 1904), problem.u0_values, "DOP853", saveat, rtol=3e-14, atol=1e-13,
    )  # fmt: skip
    want = np.mean((solution.y - np.stack([data.hare.values, data.lynx.values])) ** 2)
    assert objective.value(objective.x0) == pytest.approx(want, rel=1e-8)


# ---- adjoint equations with products by ReverseDiff (here, where adjoints of Vern9 have been compiled)


def _smooth(t, u, p):
    meet = p.meet * u.hare * u.lynx
    return {"hare": p.birth * u.hare - meet + 0.1 * np.sin(t), "lynx": meet - np.exp(-p.death) * u.lynx}


def _with_branches(t, u, p):
    hunted = np.where(u.hare > 1.2, p.meet * u.hare**2, u.hare) * u.lynx
    return {
        "hare": p.birth * u.hare - hunted,
        "lynx": np.minimum(hunted, 1.5 * u.lynx) - p.death * np.maximum(u.lynx, 0.8),
    }


def _learnt(t, u, p):
    out = p.net([u.hare, u.lynx])
    return {"hare": p.birth * u.hare - 0.7 * u.hare * u.lynx + out[0], "lynx": out[1] - 0.1 * u.lynx**3}


RATES = {"birth": 1.1, "meet": 0.7, "death": 0.6}
MODELS = {
    "smooth": (_smooth, RATES),
    "branches": (_with_branches, RATES),
    "network": (_learnt, {"birth": 1.1, "net": ps.MLP(2, 2, width=4, depth=1, seed=1)}),
}


def make_small(name, sensitivity, verify="never"):
    f, p = MODELS[name]
    problem = ps.ODEProblem(f, {"hare": 1.0, "lynx": 0.9}, (0.0, 2.0), p)
    data = {"hare": ("time", [1.3, 1.4, 0.5]), "lynx": ("time", [np.nan, 1.2, 1.6])}
    words = {"engine": "julia", "algorithm": "Vern9", "sensitivity": sensitivity, "verify": verify, "loss": "mse"}
    return ps.objective(problem, xr.Dataset(data, {"time": [0.4, 1.1, 2.0]}), trainable=["*"], **words, **TIGHT)


@pytest.mark.parametrize(
    ("name", "word"),
    [("smooth", "interpolating"), ("branches", "gauss"), ("network", "quadrature"), ("network", "backsolve")],
)
def test_reversediff_gives_what_generated_products_and_differences_give(name, word):
    require_engine("julia")
    taped, generated = (make_small(name, one) for one in (ps.Sensitivity(word, vjp="ReverseDiff"), word))
    assert taped.sensitivity == word and "ReverseDiff" in taped.reason and "ReverseDiff" not in generated.reason
    gradient = taped(taped.x0)[1]
    rtol = 1e-5 if name == "branches" else 1e-7  # steps across a kink are less exact than they seem
    np.testing.assert_allclose(gradient, generated(taped.x0)[1], rtol=rtol, atol=1e-9)
    slopes, steps = central_differences(taped, list(np.random.default_rng(2).standard_normal((2, taped.x0.size))))
    np.testing.assert_allclose([gradient @ step for step in steps], slopes, rtol=1e-5)


def test_by_reversediff_no_product_is_generated():
    require_engine("julia")
    MODELS["new"] = (lambda t, u, p: {"hare": -p.birth * u.hare**2, "lynx": u.hare - u.lynx}, {"birth": 1.3})
    taped = make_small("new", ps.Sensitivity("gauss", vjp="ReverseDiff"), verify="always")
    assert np.all(taped(taped.x0)[1] != 0)
    load, program = taped._misfit.engine._load, taped._misfit.problem.program
    assert program.hash not in {key[0] for key in load._reversed}
    generated = make_small("new", "gauss")
    assert program.hash in {key[0] for key in load._reversed}
    assert taped._verified._path() != generated._verified._path()  # what confirms one says nothing of the other
