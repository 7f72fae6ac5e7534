"""What recover() refuses, in the user's words."""

import numpy as np
import pytest
import xarray as xr

import pysciml as ps

DATA = xr.Dataset({"x": ("time", [0.5, 0.2])}, {"time": [1.0, 2.0]})


def make_result(settings=None, p=None, held=np.nan):
    p = {"k": 1.0, "net": ps.MLP(1, 1, width=2, depth=1)} if p is None else p
    problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0, 2), p)
    if "net" in problem.p_layout.names:
        problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * p.net([u.x])[0]}, {"x": 1.0}, (0, 2), p)
    said = {"loss": "nmse", "terms": ["data"], "is_weighted": False, "bounds": {}, "trained": ["net"], "scales": {}}
    said |= {"engine": "diffrax", "rtol": 1e-6, "atol": 1e-8} | (settings or {})
    history = xr.Dataset({"loss": ("iteration", [0.0]), "validation_loss": ("iteration", [held])})
    return ps.FitResult(problem, DATA, history, 0.0, ps.Status.SUCCESS, "", said)


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        (
            {"method": "lasso"},
            ps.UnsupportedByEngine,
            r"unknown method 'lasso'; it is 'pysindy', 'pysr' or a ps.PySR\(",
        ),
        (
            {"method": "pysr", "most_terms": 2},
            ps.ProblemError,
            r"most_terms is of method='pysindy'; give ps.PySR\(maxsize",
        ),
        ({"library": 3}, ps.ProblemError, r"library must be a ps.Library\(degree=..., functions=...\), got 3"),
        ({"network": "nat"}, ps.ProblemError, "'nat' is no network of the problem; it has net"),
        ({"samples": 0}, ps.ProblemError, "samples must be a positive integer, got 0"),
        ({"most_terms": 0}, ps.ProblemError, "most_terms must be a positive integer, got 0"),
    ],
)
def test_arguments_that_cant_be(words, error, message):
    with pytest.raises(error, match=message):
        ps.recover(make_result(), **words)


def test_results_that_cant_be():
    with pytest.raises(ps.ProblemError, match="give what ps.fit returned, got Dataset"):
        ps.recover(DATA)
    with pytest.raises(ps.ProblemError, match="say which network: network=...; the problem has none"):
        ps.recover(make_result(p={"k": 1.0}))
    with pytest.raises(ps.ProblemError, match=r"doesn't hold the loss 'Normal\(sigma=0.1\)'.*give them again"):
        ps.recover(make_result({"loss": "Normal(sigma=0.1)"}))
    with pytest.raises(ps.ProblemError, match="the fit held data back; say again which"):
        ps.recover(make_result(held=0.5))


def test_without_pysindy(monkeypatch):
    monkeypatch.setattr("pysciml.recovery.sparse.find_spec", lambda name: None)
    with pytest.raises(ps.ProblemError, match=r"needs the package pysindy.*pip install 'pysciml\[recover\]'"):
        ps.recover(make_result())


def test_pysr_without_julia(monkeypatch):
    monkeypatch.setattr("pysciml.api.recover.engine_readiness", lambda name: (False, "there is none: get one"))
    for method in ("pysr", "PySR", ps.PySR(iterations=3)):
        with pytest.raises(ps.EngineUnavailable, match="method='pysr' searches in Julia, .* there is none: get one"):
            ps.recover(make_result(), method=method)
