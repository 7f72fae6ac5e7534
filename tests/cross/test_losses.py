"""Losses that are no plain sums of squares, several experiments, priors and penalties, on both engines."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats as st
import xarray as xr
from support.engines import require_engine

import pysciml as ps

TIMES = np.arange(0.5, 4.1, 0.5)
TIGHT = {"algorithm": "Tsit5", "rtol": 1e-9, "atol": 1e-9}


def decay(t, u, p):
    return {"x": p.dose - p.k * u.x}


PROBLEM = ps.ODEProblem(
    decay, {"x": 50.0}, (0, 4), {"k": 1.0, "dose": 5.0, "s": 0.4}, observe=lambda t, u, p: {"two": 2 * u.x}
)


def exact(k=1.0, dose=5.0, start=50.0, times=TIMES):
    return dose / k + (start - dose / k) * np.exp(-k * times)


def counts():
    drawn = np.random.default_rng(0).poisson(exact(0.8)).astype(float)
    drawn[2] = np.nan
    return xr.Dataset({"x": ("time", drawn)}, {"time": TIMES})


def check_gradient(objective):
    """Against differences; returns the value."""
    x = objective.x0
    value, gradient = objective(x)
    steps = 1e-5 * np.abs(x) * np.eye(x.size)
    slopes = [(objective.value(x + h) - objective.value(x - h)) / (2 * h.sum()) for h in steps]
    np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-7 * np.abs(slopes).max())
    assert objective.value(x) == pytest.approx(value, rel=1e-12)
    return value


def test_negative_binomial_counts_with_fitted_dispersion_priors_and_penalties(engine):
    """Values are SciPy's log probabilities and densities."""
    priors = {"k": st.lognorm(0.5, scale=0.8), "dose": st.gamma(2, scale=3.0), "s": st.halfnorm(scale=2)}
    penalty = [ps.L2(0.1, names="dose"), lambda p: p.k**2 / p.dose]
    loss = ps.NegativeBinomial("s")
    objective = ps.objective(PROBLEM, counts(), loss=loss, priors=priors, penalty=penalty, engine=engine, **TIGHT)
    value = check_gradient(objective)
    seen, y = counts().x.values, exact()
    want = -np.nansum(st.nbinom.logpmf(seen, 0.4, 0.4 / (0.4 + y)))
    want -= sum(prior.logpdf(PROBLEM.p[name]) for name, prior in priors.items())
    assert value == pytest.approx(want + 0.1 * 25 + 1 / 5, rel=1e-8)
    product = ps.hessian_vector_product
    with pytest.raises(ps.UnsupportedByEngine, match="sums of squares"):
        product(objective, objective.x0, objective.x0)


def test_negative_binomial_counts_with_given_dispersion(engine):
    phi = xr.DataArray(np.linspace(2, 9, TIMES.size), {"time": TIMES}, "time")
    seen, y = counts().x.values, exact()
    seen[3] = 0.0
    data = counts().assign(x=("time", seen))
    options = {"trainable": ["k", "dose"], "engine": engine, **TIGHT}
    found = ps.objective(PROBLEM, data, loss=ps.NegativeBinomial(phi), **options)
    want = -np.nansum(st.nbinom.logpmf(seen, phi.values, phi.values / (phi.values + y)))
    value = check_gradient(found) if engine == "julia" else found(found.x0)[0]
    assert value == pytest.approx(want, rel=1e-8)


@pytest.mark.parametrize("optimizer", [[ps.Adam(steps=3), ps.LBFGS(steps=4)], ps.CMAES(steps=3)])
def test_terms_of_each_iteration(engine, optimizer):
    """The loss apart: what the data say, and each penalty and prior, at every point that was visited."""
    names, prior = ["misfit", "L2", "decay", "prior_k"], st.lognorm(0.5, scale=0.8)
    penalty = {"L2": ps.L2(0.1, names="dose"), "decay": lambda p: p.k**2 / p.dose}
    more = {"priors": {"k": prior}, "penalty": penalty, "engine": engine, "strategy": (), "progress": False}
    options = {"trainable": {"dose": True, "k": ps.Positive()}, "optimizer": optimizer, "verify": "never"}
    result = ps.fit(PROBLEM, counts(), loss=ps.Poisson(), **options, **more, **TIGHT)
    terms = result.history.terms
    assert terms.term.values.tolist() == names == list(result.settings["terms"])
    np.testing.assert_allclose(terms.sum("term"), result.history.loss, rtol=1e-12)
    best = terms.isel(iteration=int(np.argmin(result.history.loss.values)))
    np.testing.assert_allclose(best, list(result.settings["terms"].values()), rtol=1e-8)
    k, dose = float(result.p.k), float(result.p.dose)
    np.testing.assert_allclose(best[1:], [0.1 * dose**2, k**2 / dose, -prior.logpdf(k)], rtol=1e-10)
    assert len(np.unique(terms.sel(term="decay"))) == terms.sizes["iteration"]


def test_a_likelihood_of_some_states():
    """The states that nobody measured have no part in it, wherever they stand."""
    require_engine("julia")
    problem = ps.ODEProblem(
        lambda t, u, p: {"a": -u.a, "x": p.dose - p.k * u.x, "c": np.stack([u.a, u.x])},
        {"a": 1.0, "x": 50.0, "c": np.ones(2)},
        (0, 4),
        {"k": 1.0, "dose": 5.0},
    )
    objective = ps.objective(problem, counts(), loss=ps.Poisson(), engine="julia", **TIGHT)
    want = -np.nansum(st.poisson.logpmf(counts().x.values, exact()))
    assert check_gradient(objective) == pytest.approx(want, rel=1e-8)


def test_a_likelihood_for_each_variable(engine):
    """One with errors that are given for each datum, one with a fitted spread."""
    sigma = xr.DataArray(np.linspace(1, 2, TIMES.size), {"time": TIMES}, "time")
    two = 2 * exact(0.9) + 1
    data = counts().assign(two=("time", two))
    loss = {"x": ps.LogNormal("s"), "two": ps.Normal(sigma)}
    objective = ps.objective(PROBLEM, data, loss=loss, engine=engine, weights={"two": 0.5}, **TIGHT)
    assert objective.bounds[objective.names.index("s")] == (0.0, None)
    value, y = check_gradient(objective), exact()
    want = -np.nansum(st.lognorm.logpdf(data.x, 0.4, scale=y)) - 0.5 * st.norm.logpdf(two, 2 * y, sigma).sum()
    assert value == pytest.approx(want, rel=1e-8)


def test_function_of_the_whole_solution(engine):
    def loss(prediction, data, p):
        size = np.where(np.isnan(data.x), 0.0, (prediction.x - data.x) ** 2)
        return np.sum(size * np.exp(-prediction.time)) + p.dose * np.max(prediction.two)

    data = counts().assign(two=("time", np.ones(TIMES.size)))
    objective = ps.objective(PROBLEM, data, loss=loss, trainable=["k", "dose"], engine=engine, **TIGHT)
    y, seen = exact(), data.x.values
    gap = data.isel(time=slice(1)).reindex(time=TIMES)  # rows without data are predicted all the same
    unseen = ps.objective(PROBLEM, gap, loss=lambda u, d, p: np.sum(u.two), trainable=["k"], engine=engine, **TIGHT)
    assert check_gradient(unseen) == pytest.approx(2 * y.sum(), rel=1e-8)
    want = np.nansum((y - seen) ** 2 * np.exp(-TIMES)) + 5 * 2 * y.max()
    assert check_gradient(objective) == pytest.approx(want, rel=1e-8)
    part = ps.fit(PROBLEM, data, loss=loss, trainable=["k"], engine=engine, progress=False, optimizer=ps.LBFGS(steps=5))
    assert part.loss < want


def test_function_of_the_whole_solution_through_doses():
    """A dose at t = 2: what was decayed until then starts anew from more."""
    require_engine("julia")
    dose = ps.Event(times=[2.0], effect=lambda t, u, p: {"x": u.x + p.s})
    problem = ps.ODEProblem(decay, {"x": 50.0}, (0, 4), {"k": 1.0, "dose": 5.0, "s": 20.0}, events=dose)
    data = xr.Dataset({"x": ("time", [1.0, 1.0])}, {"time": [1.0, 4.0]})

    def loss(prediction, data, p):
        return np.sum(prediction.x**2)

    objective = ps.objective(problem, data, loss=loss, engine="julia", **TIGHT)
    last = exact(start=exact(times=2.0) + 20, times=2.0)
    assert check_gradient(objective) == pytest.approx(exact(times=1.0) ** 2 + last**2, rel=1e-8)


def table():
    """Three subjects with other doses and starts, two replicates each, one subject seen less often."""
    rng, rows = np.random.default_rng(1), []
    for subject, dose in zip("abc", (2.0, 5.0, 10.0), strict=True):
        times = TIMES[::2] if subject == "b" else TIMES
        for _ in range(2):
            y = exact(0.7, dose, 50 + dose, times) + 0.1 * rng.standard_normal(times.size)
            rows.append(pd.DataFrame({"subject": subject, "time": times, "x": y}))
    return pd.concat(rows)


def test_experiments_share_what_is_fitted_but_for_what_over_names(engine):
    along = {"subject": ["a", "b", "c"]}
    over = {
        "dose": xr.DataArray([2.0, 5.0, 10.0], along, "subject"),
        "x": xr.DataArray([50.0, 50.0, 50.0], along, "subject"),
    }
    data, trainable = table(), ["k", "u0_x", "s"]
    given = {"loss": ps.Normal("s"), "trainable": trainable, "over": over, "engine": engine}
    objective = ps.objective(PROBLEM, data, **given, **TIGHT)
    assert objective.names == ("k", "s", "u0_x(subject=a)", "u0_x(subject=b)", "u0_x(subject=c)")
    want = 0.0
    for subject, group in data.groupby("subject"):
        dose = float(over["dose"].sel(subject=subject))
        want -= st.norm.logpdf(group.x, exact(1.0, dose, times=group.time.values), 0.4).sum()
    assert check_gradient(objective) == pytest.approx(want, rel=1e-8)
    result = ps.fit(PROBLEM, data, **given, progress=False, optimizer=[ps.Adam(0.05, steps=60), ps.LBFGS()])
    assert set(result.history.horizon.values) == {4.0}  # few data don't determine the scatter
    assert float(result.p.k) == pytest.approx(0.7, abs=0.01) and 0.05 < result.p.s < 0.2
    np.testing.assert_allclose(result.over.u0_x, [52, 55, 60], atol=0.5)
    np.testing.assert_array_equal(result.over.dose, [2, 5, 10])
    xr.testing.assert_equal(result.parameters.u0_x, result.over.u0_x)
    assert result.problem_at(subject="b").u0.x == result.over.u0_x.sel(subject="b")
    assert result.data.x.dims == ("subject", "replicate", "time")
    predicted = result.predict()
    assert predicted.x.dims == ("subject", "time")
    np.testing.assert_array_equal(predicted.time[predicted.x.sel(subject="b").notnull()], TIMES[::2])
    other = result.predict(saveat=[1.0], over={"dose": [0.0, 7.0]})
    np.testing.assert_allclose(other.x.sel(dose=7.0), [exact(0.7, 7, 52, 1.0)], rtol=0.01)
    with pytest.raises(ps.ProblemError, match="holds one trajectory"):
        result.predict(output="arrays")
    np.testing.assert_allclose(result.predict(saveat=[1.0]).x.sel(subject="a"), [exact(0.7, 2, 52, 1.0)], rtol=0.01)


def test_file_of_several_experiments(engine, tmp_path):
    over = {"dose": xr.DataArray([2.0, 5.0, 10.0], {"subject": ["a", "b", "c"]}, "subject")}
    optimizer = ps.Adam(steps=2)
    result = ps.fit(PROBLEM, table(), over=over, engine=engine, progress=False, optimizer=optimizer, verify="never")
    result.save(tmp_path / "fit.nc")
    loaded = ps.FitResult.load(tmp_path / "fit.nc")
    assert loaded.over.equals(result.over) and loaded.problem_at(subject="c") == result.problem_at(subject="c")
    with pytest.raises(ps.ProblemError, match="subject='a'; subject='b'; subject='c'"):
        loaded.problem_at(subject="d")


WORDS = {
    "mae": lambda r, d: np.abs(r),
    "huber": lambda r, d: np.where(np.abs(r) < 1, r**2, 2 * np.abs(r) - 1),
    "relative": None,
}


@pytest.mark.parametrize("word", WORDS)
def test_words(word):
    data = counts()
    objective = ps.objective(PROBLEM, data, loss=word, trainable=["k", "dose"], engine="diffrax", **TIGHT)
    d = data.x.values
    r = (exact() - d) / (d if word == "relative" else np.nanstd(d))
    want = r**2 if word == "relative" else WORDS[word](r, d)
    assert objective.value(objective.x0) == pytest.approx(np.nanmean(want), rel=1e-8)
    value, gradient = objective(objective.x0)
    step = 1e-6 * np.eye(2)
    slopes = [(objective.value(objective.x0 + h) - objective.value(objective.x0 - h)) / 2e-6 for h in step]
    np.testing.assert_allclose(gradient, slopes, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "nmsee"}, "unknown loss 'nmsee'.*did you mean 'nmse'"),
        ({"loss": ps.Poisson(), "data": counts() + 0.5}, "Poisson is for counts, and 'x' has"),
        ({"loss": ps.LogNormal(0.1), "data": counts() * 0}, "needs positive data"),
        ({"loss": "relative", "data": counts() * 0}, "divides by the data, and 'x' has zeros"),
        ({"loss": ps.Normal("sigma")}, "'sigma' is the scatter of 'x', but no parameter"),
        ({"loss": ps.Normal}, "needs its scatter"),
        ({"loss": {"y": "nmse"}}, "'y' isn't measured"),
        ({"loss": lambda prediction, data, p: prediction.x}, "must return a single number"),
        ({"priors": {"k": st.norm(0, 1)}}, "priors need a likelihood"),
        ({"loss": ps.Normal(1), "priors": {"q": st.norm(0, 1)}}, "'q' isn't trained"),
        ({"loss": ps.Normal(1), "priors": {"k": st.weibull_min(2)}}, "'weibull_min' isn't known"),
        ({"loss": ps.Normal(1), "priors": {"k": 3}}, "must be a distribution of scipy.stats"),
        ({"penalty": ps.L2(1, names="net")}, "'net' names nothing that is trained"),
        ({"penalty": 3}, "must be ps.L2"),
        ({"weights": {"y": 1}}, "'y' isn't measured"),
        ({"weights": {"x": 2.0}, "loss": lambda prediction, data, p: p.k}, "weighs by itself"),
        ({"weights": {"x": -1.0}}, "must be finite and not negative"),
    ],
)
def test_bad_input(changes, message):
    data = changes.pop("data", counts())
    with pytest.raises(ps.ProblemError, match=message):
        ps.objective(PROBLEM, data, engine="diffrax", **changes)


@pytest.mark.parametrize("make", [lambda: ps.Normal(0), lambda: ps.NegativeBinomial(-1.0), lambda: ps.L2(0)])
def test_numbers_that_can_not_be(make):
    with pytest.raises(ps.ProblemError, match="positive"):
        make()
