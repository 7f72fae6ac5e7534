"""Posteriors, against closed forms: a linear model with normal noise and priors, and a scatter that is fitted."""

import logging

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import xarray as xr
from support.engines import require_engine

import pysciml as ps
from pysciml.api.posterior import _to_tree
from pysciml.sampling.nuts import Draws

pytest.importorskip("blackjax")

TIMES = np.linspace(0.5, 5, 12)
NOISE = np.random.default_rng(3).normal(0, 0.5, TIMES.size)
LINE = ps.ODEProblem(
    lambda t, u, p: {"x": p.k[0] + p.k[1] * t}, {"x": 1.0}, (0, 5), {"k": np.array([0.7, 0.3]), "s": 0.5},
    dims={"k": "term"}, coords={"term": ["speed", "push"]}, units={"x": "mg"},
)  # fmt: skip
DATA = xr.Dataset({"x": ("time", 1 + 0.7 * TIMES + 0.15 * TIMES**2 + NOISE)}, {"time": TIMES})
DESIGN = np.stack([TIMES, TIMES**2 / 2], axis=1)


def within(found, expected, deviation, n):
    """Whether a mean of n effective draws is what it should be, to four standard errors."""
    assert (np.abs(found - expected) < 4 * deviation / np.sqrt(n)).all(), (found, expected)


def test_normal_noise_and_priors(engine):
    chains = {"julia": 1, "diffrax": 2}[engine]  # each evaluation of Julia's goes through Python
    options = {"engine": engine, "draws": 400, "tune": 200, "chains": chains, "progress": False, "seed": 1}
    priors = {"k": scipy.stats.norm(0.5, 0.2)}
    tree = ps.posterior(LINE, DATA, loss=ps.Normal(sigma=0.5), priors=priors, trainable=["k"], **options)
    covariance = np.linalg.inv(DESIGN.T @ DESIGN / 0.25 + np.eye(2) / 0.04)
    mean = covariance @ (DESIGN.T @ (DATA.x.values - 1) / 0.25 + 0.5 / 0.04)
    k = tree["posterior"].k
    assert (
        k.dims == ("chain", "draw", "term") and list(k.term.values) == ["speed", "push"] and k.shape == (chains, 400, 2)
    )
    flat = k.values.reshape(-1, 2)
    within(flat.mean(axis=0), mean, np.sqrt(np.diag(covariance)), 100)
    np.testing.assert_allclose(np.cov(flat.T), covariance, rtol=0.4)
    stats = tree["sample_stats"]
    assert set(stats.data_vars) == set("lp acceptance_rate diverging energy n_steps tree_depth step_size".split())
    assert not stats.diverging.any() and 0.6 < float(stats.acceptance_rate.mean()) < 1
    assert stats.n_steps.mean() < 6  # 8 and 11 in the parameters' own coordinates, which hang together
    lp = stats.lp.values.ravel()
    exact = scipy.stats.multivariate_normal(mean, covariance).logpdf(flat)
    np.testing.assert_allclose(lp - lp[0], exact - exact[0], atol=1e-4)
    xr.testing.assert_identical(tree["observed_data"].to_dataset(), DATA)
    assert tree["posterior"].attrs["engine"] == engine
    if engine == "julia":
        check_compiles_no_sampler(
            lambda: ps.posterior(
                LINE, 1.1 * DATA, loss=ps.Normal(sigma=0.4), trainable=["k"], **options | {"draws": 20, "chains": 2}
            )
        )


def check_compiles_no_sampler(call):
    """Of other data, priors and numbers of draws and chains."""
    import jax

    found = []
    handler = logging.Handler()
    handler.emit = lambda record: found.append(record.getMessage())
    logger = logging.getLogger("jax._src.interpreters.pxla")
    logger.addHandler(handler)
    try:
        with jax.log_compiles(True):
            call()
    finally:
        logger.removeHandler(handler)
    assert not [text for text in found if "warm" in text or "advance" in text]


def test_a_scatter_that_is_sampled():
    """With a flat prior on the scatter above 0 its square is inverse gamma distributed, once the rest is known."""
    require_engine("julia")
    options = {"engine": "julia", "draws": 300, "tune": 150, "chains": 1, "progress": False}
    tree = ps.posterior(LINE, DATA, loss=ps.Normal(sigma="s"), trainable=["s"], **options)
    s = tree["posterior"].s.values.ravel()
    squares = np.sum((DATA.x.values - 1 - DESIGN @ [0.7, 0.3]) ** 2)
    exact = scipy.stats.invgamma((TIMES.size - 1) / 2, scale=squares / 2)
    assert (s > 0).all()
    within(np.mean(s**2), exact.mean(), exact.std(), 60)
    within(np.mean(s**2 < exact.median()), 0.5, 0.5, 60)
    again = ps.posterior(LINE, DATA, loss=ps.Normal(sigma="s"), trainable=["s"], **options | {"draws": 20})
    np.testing.assert_array_equal(again["posterior"].s.values.ravel(), s[:20])


def test_names_and_dims():
    """Weights and what differs by experiment, of draws that count up."""
    require_engine("julia")
    problem = ps.ODEProblem(
        lambda t, u, p: {"x": p.net([u.x, u.x])[0] - p.k[0] * u.x},
        {"x": 1.0},
        (0, 5),
        {"k": np.array([0.7, 0.3]), "net": ps.MLP(2, 1, width=3, depth=1)},
    )
    over = {"k": xr.DataArray(np.ones((2, 2)), {"site": ["A", "B"]}, ("site", "k_dim_0"))}
    table = pd.concat([DATA.to_dataframe().assign(site=site) for site in "AB"])
    words = {"over": over, "trainable": ["k", "net.0.weight"], "engine": "julia", "loss": ps.Normal(0.5)}
    misfit = ps.objective(problem, table, **words)
    x = np.arange(2 * 3 * 10.0).reshape(2, 3, 10)
    tree = _to_tree(problem, table, misfit, Draws(x, {"lp": x[..., 0]}, "1"), {"over": over})
    found = tree["posterior"]
    assert found.k.dims == ("chain", "draw", "site", "k_dim_0") and list(found.site.values) == ["A", "B"]
    for k, site in enumerate(["A", "B"]):
        np.testing.assert_array_equal(found.k.sel(site=site), x[..., 2 * k : 2 * k + 2])
    last = misfit.unflatten(x[1, 2])["net.0.weight"]
    np.testing.assert_array_equal(found["net.0.weight"][1, 2], last)
    assert tree["observed_data"].x.dims == ("site", "time")


def test_wrong_arguments():
    require_engine("julia")
    options = {"engine": "julia", "loss": ps.Normal(sigma=0.5)}
    for changes, message in (
        ({"loss": "nmse"}, "the loss 'nmse' is no likelihood"),
        ({"loss": {"x": "mse"}}, "the loss 'mse' is no likelihood"),
        ({"sampler": "hmc"}, "unknown sampler 'hmc'; it is 'nuts'"),
        ({"draws": 0}, "draws must be a positive integer, got 0"),
        ({"chains": 2.0}, "chains must be a positive integer, got 2.0"),
        ({"target_accept": 1}, "target_accept must be between 0 and 1"),
        ({"prior": {}}, "unknown keyword 'prior'"),
        ({"priors": {"s": scipy.stats.uniform(1, 2)}}, "start value of 's' must lie inside"),
    ):
        with pytest.raises(ps.ProblemError, match=message):
            ps.posterior(LINE, DATA, **options | changes)
