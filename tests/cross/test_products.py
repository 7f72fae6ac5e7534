"""Products with second derivatives of a loss: against differences of gradients, closed forms and the other engine."""

import numpy as np
import pytest
import xarray as xr
from support.engines import require_engine
from support.problems import CASES

import pysciml as ps

ENGINES = {"julia": "Vern9", "diffrax": "DP8"}
TIGHT = {"rtol": 1e-11, "atol": 1e-12}


def lotka_volterra(engine, algorithm=None, observe=None, **options):
    """Initial values and parameters, gaps in the data."""
    problem = CASES["lotka_volterra"].problem()
    times = np.linspace(1900.0, 1906.0, 9)
    data = ps.solve(problem, saveat=times, engine=engine, **TIGHT)[["hare", "lynx"]] * 1.1
    data.hare[1] = np.nan
    options = {"rtol": 1e-11, "atol": 1e-12} | options
    return ps.objective(
        problem, data, trainable=["*"], engine=engine, algorithm=algorithm or ENGINES[engine], **options
    )


def hessian_by_differences(misfit):
    """Rows by Richardson's extrapolation of central differences of gradients."""
    rows = []
    for k, x in enumerate(misfit.x0):

        def slope(h, k=k):
            step = h * np.eye(misfit.x0.size)[k]
            return (misfit(misfit.x0 + step)[1] - misfit(misfit.x0 - step)[1]) / (2 * h)

        rows.append((4 * slope(1e-4 * abs(x)) - slope(2e-4 * abs(x))) / 3)
    return np.array(rows)


def relative(matrix, x):
    """A matrix of second derivatives by relative changes of x."""
    return matrix * np.outer(x, x)


def test_hessians():
    found = {}
    for engine in ENGINES:
        require_engine(engine)
        misfit = lotka_volterra(engine)
        k = misfit.x0.size
        found[engine] = np.array([ps.hessian_vector_product(misfit, misfit.x0, v) for v in np.eye(k)])
        one = relative(found[engine], misfit.x0)
        np.testing.assert_allclose(one, one.T, atol=1e-8 * np.max(np.abs(one)))
        want = relative(hessian_by_differences(misfit), misfit.x0)
        np.testing.assert_allclose(one, want, atol=1e-6 * np.max(np.abs(want)))
    np.testing.assert_allclose(found["julia"], found["diffrax"], rtol=1e-6)


def test_gauss_newton_is_the_squared_jacobian():
    """Against the Jacobian of forward differences of solves; symmetric, never negative."""
    found = {}
    for engine in ENGINES:
        require_engine(engine)
        misfit = lotka_volterra(engine)
        x, k = misfit.x0, misfit.x0.size
        matrix = np.array([ps.gauss_newton_vector_product(misfit, x, v) for v in np.eye(k)])
        found[engine] = one = relative(matrix, x)
        np.testing.assert_allclose(one, one.T, atol=1e-9 * np.max(np.abs(one)))
        assert np.linalg.eigvalsh((one + one.T) / 2).min() > 0
    np.testing.assert_allclose(found["julia"], found["diffrax"], rtol=1e-6)
    request = misfit._verified.request.parts[0]

    def residuals(x):
        ds = ps.solve(misfit.problem(x), "DP8", saveat=request.solve.saveat, engine="diffrax", **TIGHT)
        return np.sqrt(request.weights) * np.stack([ds.hare.values, ds.lynx.values], axis=1)

    columns = []
    for k in range(len(x)):
        slopes = []
        for h in (1e-4, 2e-4):
            step = h * abs(x[k]) * np.eye(len(x))[k]
            slopes.append(np.ravel(residuals(x + step) - residuals(x - step)) / (2 * h))
        columns.append((4 * slopes[0] - slopes[1]) / 3)
    want = 2 * np.array(columns) @ np.array(columns).T
    np.testing.assert_allclose(
        found["diffrax"] * np.outer(np.sign(x), np.sign(x)), want, rtol=1e-6, atol=1e-7 * want.max()
    )


@pytest.mark.parametrize(
    ("algorithm", "sensitivity"), [("Rodas5P", "discrete"), ("Vern7", "forward"), ("auto", "auto")]
)
def test_other_ways(algorithm, sensitivity):
    require_engine("julia")
    misfit = lotka_volterra("julia", algorithm, sensitivity=sensitivity, rtol=1e-9, atol=1e-10)
    want = lotka_volterra("julia")
    v = np.random.default_rng(0).standard_normal(misfit.x0.size) * misfit.x0
    for product in (ps.hessian_vector_product, ps.gauss_newton_vector_product):
        one, other = product(misfit, misfit.x0, v), product(want, want.x0, v)
        np.testing.assert_allclose(one * misfit.x0, other * misfit.x0, rtol=1e-5, atol=1e-6 * np.max(np.abs(other * v)))


@pytest.mark.parametrize("engine", ENGINES)
def test_networks_and_observables(engine):
    require_engine(engine)
    net = ps.MLP(1, 1, width=3, depth=1, seed=2)
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.net([u.x])[0] - p.k * u.x},
        lambda p: {"x": 1.0 + p.k},
        (0.0, 2.0),
        {"k": 0.4, "net": net},
        observe=lambda t, u, p: {"y": p.k * u.x**2 + t},
    )
    data = xr.Dataset({"y": ("time", [0.3, 1.2, 2.5])}, {"time": [0.0, 1.0, 2.0]})
    misfit = ps.objective(problem, data, loss="mse", engine=engine, algorithm=ENGINES[engine], **TIGHT)
    v = np.random.default_rng(1).standard_normal(misfit.x0.size)
    slopes = [(misfit(misfit.x0 + h * v)[1] - misfit(misfit.x0 - h * v)[1]) / (2 * h) for h in (1e-3, 2e-3)]
    want = (4 * slopes[0] - slopes[1]) / 3
    found = ps.hessian_vector_product(misfit, misfit.x0, v)
    np.testing.assert_allclose(found, want, rtol=1e-6, atol=1e-7 * np.max(np.abs(want)))
    np.testing.assert_allclose(ps.hessian_vector_product(misfit, misfit.x0, -3 * v), -3 * found, rtol=1e-7)
    assert not ps.hessian_vector_product(misfit, misfit.x0, 0 * v).any()


def test_bad_input():
    misfit = lotka_volterra("diffrax")
    with pytest.raises(ps.ProblemError, match="must be made by ps.objective, got int"):
        ps.hessian_vector_product(3, misfit.x0, misfit.x0)
    with pytest.raises(ps.ProblemError, match=r"v must have shape \(6,\), as objective.x0; got \(2,\)"):
        ps.gauss_newton_vector_product(misfit, misfit.x0, [1.0, 2.0])
