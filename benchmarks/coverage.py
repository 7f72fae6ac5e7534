"""How often do intervals hold the truth?

``python benchmarks/coverage.py`` needs a Julia that is ready (some minutes). Data of three models with known parameters
are drawn again and again; each time the model is fitted from the same wrong start, and intervals of level 0.9 are
computed by ``standard_errors`` and by ``profile``. Writes ``coverage.json``.

``--posterior 40`` does the same with the quantiles of ``posterior`` in the first so many repetitions (needs BlackJAX;
some 15 seconds each), with priors that are lognormal about the start, and writes ``coverage_posterior.json`` as it
goes; the same call goes on with those that are missing.

What was fixed before the first run: models, true values, starts, numbers of data, seeds, ``REPETITIONS`` and
``BAND``. Judged is the share of all intervals of a model and a method that hold the truth, those of its scatter left
out; a repetition without an interval holds nothing.
"""

import argparse
import json
import time
from collections.abc import Callable
from datetime import date
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.stats
import xarray as xr

import pysciml as ps

LEVEL = 0.9
METHODS = ("standard_errors", "profile")
REPETITIONS = 200
BAND = (0.85, 0.95)  # of the shares that are judged
OPTIONS = {"engine": "julia", "algorithm": "Tsit5", "rtol": 1e-7, "atol": 1e-7}


class Case(NamedTuple):
    """A model at its true values, where a fit begins, its scatter, and how data are drawn from the exact solution."""

    truth: ps.ODEProblem
    guess: dict
    loss: object
    draw: Callable
    times: np.ndarray
    true: dict


def lotka_volterra(t, u, p):
    return {"x": p.a * u.x - p.b * u.x * u.y, "y": p.c * u.x * u.y - p.d * u.y}


def logistic(t, u, p):
    return {"x": p.r * u.x * (1 - u.x / p.k)}


def sir(t, u, p):
    new = p.beta * u.s * u.i / 763
    return {"s": -new, "i": new - p.gamma * u.i}


@cache
def cases():
    """The three, by name."""
    one = {"a": 1.1, "b": 0.4, "c": 0.1, "d": 0.4}
    two = {"r": 0.8, "k": 50.0}
    three = {"beta": 1.7, "gamma": 0.45}
    return {
        "lotka_volterra": Case(
            ps.ODEProblem(lotka_volterra, {"x": 10.0, "y": 5.0}, (0, 20), one | {"spread": 0.1}),
            {"p": {"a": 1.0, "b": 0.44, "c": 0.11, "d": 0.36, "spread": 0.3}},
            ps.LogNormal("spread"),
            lambda y, random: y * np.exp(0.1 * random.standard_normal(y.shape)),
            np.linspace(1, 20, 20),
            one | {"spread": 0.1},
        ),
        "logistic": Case(
            ps.ODEProblem(logistic, {"x": 2.0}, (0, 12), two | {"sigma": 2.0}),
            {"p": {"r": 0.6, "k": 40.0, "sigma": 5.0}, "u0": {"x": 4.0}},
            ps.Normal("sigma"),
            lambda y, random: y + 2.0 * random.standard_normal(y.shape),
            np.linspace(0.5, 12, 24),
            two | {"u0_x": 2.0, "sigma": 2.0},
        ),
        "sir": Case(
            ps.ODEProblem(sir, {"s": 760.0, "i": 3.0}, (0, 20), three | {"phi": 10.0}),
            {"p": {"beta": 1.4, "gamma": 0.6, "phi": 3.0}},
            ps.NegativeBinomial("phi"),
            lambda y, random: random.negative_binomial(10.0, 10.0 / (10.0 + y)).astype(float),
            np.arange(1.0, 21.0),
            three | {"phi": 10.0},
        ),
    }


SCATTER = {"spread", "sigma", "phi"}


def make_data(case, random):
    """Noisy data of what is measured: both species, the size, the infected."""
    exact = ps.solve(case.truth, saveat=case.times, **OPTIONS)
    names = [name for name in ("x", "y", "i") if name in exact]
    return xr.Dataset({name: ("time", case.draw(exact[name].values, random)) for name in names}, {"time": case.times})


def repeat(name, number):
    """One repetition: the estimate, and the ends of intervals by each method, or the error that there are none for."""
    case = cases()[name]
    data = make_data(case, np.random.default_rng([sorted(cases()).index(name), number]))
    trainable = list(case.true)
    fitted = {"loss": case.loss, "trainable": trainable, **OPTIONS}
    begin = time.perf_counter()
    optimizer = [ps.Adam(0.02, steps=200), ps.LBFGS(steps=100)]
    more = {"optimizer": optimizer, "strategy": (), "progress": False, "verify": "never"}
    row = {"number": number}
    try:
        result = ps.fit(case.truth.remake(**case.guess), data, **fitted, **more)
    except ps.PySciMLError as error:
        return row | {"error": str(error)}
    objective = ps.objective(result.problem, data, verify="never", **fitted)
    row |= {"names": list(objective.names), "estimate": objective.x0.tolist()}
    for method in METHODS:
        try:
            found = getattr(ps, method)(objective, level=LEVEL)
            row[method] = {end: found[end].values.tolist() for end in ("lower", "upper")}
        except ps.PySciMLError as error:
            row[method] = {"error": str(error)}
    return row | {"seconds": round(time.perf_counter() - begin, 3)}


def repeat_posterior(name, number):
    """The same by draws: quantiles of each parameter, from the values that a fit has found."""
    case = cases()[name]
    data = make_data(case, np.random.default_rng([sorted(cases()).index(name), number]))
    start = case.guess["p"] | {f"u0_{state}": value for state, value in case.guess.get("u0", {}).items()}
    priors = {parameter: scipy.stats.lognorm(1.0, scale=start[parameter]) for parameter in case.true}
    fitted = {"loss": case.loss, "trainable": list(case.true), **OPTIONS}
    begin = time.perf_counter()
    row = {"number": number, "names": list(case.true)}
    try:
        optimizer = [ps.Adam(0.02, steps=200), ps.LBFGS(steps=100)]
        more = {"optimizer": optimizer, "strategy": (), "progress": False, "verify": "never"}
        result = ps.fit(case.truth.remake(**case.guess), data, **fitted, **more)
        chains = {"chains": 2, "tune": 300, "draws": 500, "seed": number, "progress": False}
        draws = ps.posterior(result.problem, data, priors=priors, **fitted, **chains)["posterior"]
    except ps.PySciMLError as error:
        return row | {"posterior": {"error": str(error)}}
    tail = 0.5 - 0.5 * LEVEL
    ends = {"lower": tail, "upper": 1 - tail}
    found = {end: [float(draws[one].quantile(q)) for one in case.true] for end, q in ends.items()}
    return row | {"posterior": found, "seconds": round(time.perf_counter() - begin, 3)}


def coverage(rows, method, true):
    """The share of intervals that hold the truth, by parameter, of all ``rows``."""
    held = {name: 0 for name in true}
    for row in rows:
        found = row.get(method, {})
        ends = found.get("lower", ()), found.get("upper", ())
        for name, lower, upper in zip(row.get("names", ()), *ends, strict=False):
            held[name] += lower <= true[name] <= upper
    return {name: count / len(rows) for name, count in held.items()}


def judged(rows, method, true):
    """The share that is judged."""
    shares = [share for name, share in coverage(rows, method, true).items() if name not in SCATTER]
    return float(np.mean(shares))


def main():
    """Repeat everything, write it down, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--posterior", type=int, metavar="REPETITIONS")
    n_posterior = parser.parse_args().posterior
    methods, run = (("posterior",), repeat_posterior) if n_posterior else (METHODS, repeat)
    path = Path(__file__).with_name("coverage_posterior.json" if n_posterior else "coverage.json")
    results = {"date": str(date.today()), "pysciml": ps.__version__, "level": LEVEL}
    results["rows"] = {name: [] for name in cases()}
    if n_posterior and path.exists():
        results["rows"] = json.loads(path.read_text())["rows"]
    for number in range(n_posterior or REPETITIONS):
        for name in cases():
            if number >= len(results["rows"][name]):
                results["rows"][name].append(rounded(run(name, number)))
        if n_posterior or number == REPETITIONS - 1:
            results["versions"] = versions(cases()["sir"])
            path.write_text(json.dumps(results) + "\n")
    for name, case in cases().items():
        rows = results["rows"][name]
        for method in methods:
            shares = coverage(rows, method, case.true)
            told = ", ".join(f"{key} {share:.1%}" for key, share in shares.items())
            print(f"| {name} | {method} | {judged(rows, method, case.true):.1%} | {told} |", flush=True)


def rounded(value):
    """Six digits of each number."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def versions(case):
    """Of what computed it."""
    found = ps.solve(case.truth, saveat=case.times, **OPTIONS).attrs["pysciml"]
    return found["versions"] if isinstance(found, dict) else json.loads(found)["versions"]


if __name__ == "__main__":
    main()
