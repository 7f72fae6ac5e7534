"""From a file of measurements to a fit and its standard errors, against SciPy on the closed form."""

import importlib.resources

import numpy as np
import pandas as pd
import scipy.optimize
from support.engines import require_engine

import pysciml as ps


def concentration(known, ka, ke, volume):
    """After an oral dose, absorbed at the rate ka and eliminated at ke (Bateman's function)."""
    time, dose = known
    return dose / volume * ka / (ka - ke) * (np.exp(-ke * time) - np.exp(-ka * time))


def test_theophylline():
    """Twelve subjects in one long table, each with its own times and dose."""
    require_engine("julia")
    file = importlib.resources.files("pysciml") / "example_data" / "theophylline.csv"
    with file.open(encoding="utf-8") as text:
        table = pd.read_csv(text, comment="#")
    problem = ps.ODEProblem(
        lambda t, u, p: {"gut": -p.ka * u.gut, "concentration": p.ka * u.gut - p.ke * u.concentration},
        lambda p: {"gut": p.dose / p.volume, "concentration": 0.0},
        (0, 25),
        {"ka": 1.5, "ke": 0.08, "volume": 0.5, "dose": 4.0},
        units={"time": "h"},
    )
    dose = table.groupby("subject")[["dose"]].first().to_xarray()
    data = table.drop(columns=["dose", "weight"])
    words = {"loss": "mse", "trainable": ["ka", "ke", "volume"], "engine": "julia", "progress": False}
    result = ps.fit(problem, data, over=dose, optimizer="lbfgs", **words)
    found = ps.standard_errors(result)
    known = table.time.values, table.dose.values
    best, covariance = scipy.optimize.curve_fit(concentration, known, table.concentration.values, [1.5, 0.08, 0.5])
    error = np.sqrt(np.diag(covariance))
    assert found.attrs["n_data"] == 132 and list(found.parameter.values) == ["ka", "ke", "volume"]
    np.testing.assert_allclose((found.estimate - best) / error, 0, atol=1e-3)
    np.testing.assert_allclose(found.standard_error, error, rtol=1e-3)
    np.testing.assert_allclose(
        found.covariance / np.outer(error, error), covariance / np.outer(error, error), atol=1e-3
    )
    assert float(result.problem_at(subject=5).p.dose) == 5.86
