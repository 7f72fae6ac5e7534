"""Measures every word of the Julia engine: the order at fixed steps, and the error in tolerances of adaptive steps.

``python tests/golden/measure_algorithms.py`` (with pysciml and a Julia that is ready; half an hour) writes
``algorithms.json``. ``tests/cross/test_algorithms.py`` holds the table of words to it, and measures a few words again.
"""

import json
import pathlib
import sys

import numpy as np

import pysciml as ps
from pysciml.engines.choose import load_engine
from pysciml.engines.julia.catalogue import METHODS

TARGET = pathlib.Path(__file__).with_name("algorithms.json")
TIMES = np.array([0.37, 0.81, 1.26, 1.63, 2.0])
STEPS = (0.1, 0.05, 0.025, 0.0125)
LONG_STEPS = (0.5, 0.25, 0.125, 0.0625)  # from order 6 on
TOLERANCES = (1e-4, 1e-6, 1e-8)
FLOOR, CEILING = 1e-12, 0.3  # between these an error tells an order


def autonomous(t, u, p):
    """The solution is 1/sqrt(1 + t), exp(sin(rate t)), and the sine and cosine of rate t."""
    still = u.x**2 * (1 + u.clock) - 1
    return {
        "x": -(u.x**3) / 2,
        "y": p.rate * u.cosine * u.y * (1 + still),
        "sine": p.rate * u.cosine,
        "cosine": -p.rate * u.sine,
        "clock": 0 * u.x + 1,
    }


def forced(t, u, p):
    """The same, the time taken from outside."""
    return {"x": -(u.x**3) / 2, "y": p.rate * np.cos(p.rate * t) * u.y * (u.x**2 * (1 + t))}


def exact(times, rate):
    """The first two components ``(time, state)``."""
    return np.stack([1 / np.sqrt(1 + times), np.exp(np.sin(rate * times))], axis=1)


def rate_of(word):
    """Methods of high order need a faster solution to show errors."""
    return 3.0 if METHODS[word].order > 5 else 1.0


def problem_of(word):
    """The problem that a word is measured on: forced by time, unless the word is for autonomous ones only."""
    if "a" in METHODS[word].flags:
        return ps.ODEProblem(
            autonomous, {"x": 1.0, "y": 1.0, "sine": 0.0, "cosine": 1.0, "clock": 0.0}, (0, 2), {"rate": rate_of(word)}
        )
    return ps.ODEProblem(forced, {"x": 1.0, "y": 1.0}, (0, 2), {"rate": rate_of(word)})


def errors_of(word, algorithm, saveat, **options):
    """|error| ``(time, state)``, or NaN if the solve fails."""
    t, states = ps.solve(
        problem_of(word),
        algorithm,
        saveat=saveat,
        engine="julia",
        check=False,
        output="arrays",
        max_steps=300_000,
        **options,
    )
    if len(t) < len(saveat):
        return np.full((len(saveat), 2), np.nan)
    return np.abs(np.stack([states["x"], states["y"]], axis=1) - exact(saveat, rate_of(word)))


def measure_order(word, steps=None):
    """The order between two steps whose errors tell it best, or None; and the errors."""
    method = METHODS[word]
    if not method.has_fixed_steps:
        return None, []
    algorithm = ps.Algorithm(word, adaptive=False) if method.is_adaptive else word
    end, steps = TIMES[-1:], steps or (LONG_STEPS if method.order > 5 else STEPS)
    errors = [float(errors_of(word, algorithm, end, dt=dt, rtol=1e-11, atol=1e-11).max()) for dt in steps]
    orders = [
        float(np.log2(coarse / fine))
        for coarse, fine in zip(errors, errors[1:], strict=False)
        if FLOOR < fine < CEILING and coarse < CEILING
    ]
    return (max(orders) if orders else None), errors


def measure_errors(word, tolerances=TOLERANCES):
    """Error in tolerances at the save times, by tolerance; none for what takes no adaptive steps."""
    found = {}
    for tolerance in tolerances if METHODS[word].is_adaptive else ():
        if tolerance < 1e-7 and METHODS[word].order <= 2:
            continue
        errors = errors_of(word, word, TIMES, rtol=tolerance, atol=tolerance)
        found[f"{tolerance:g}"] = float((errors / (tolerance * (1 + np.abs(exact(TIMES, rate_of(word)))))).max())
    return found


def robertson(t, u, p):
    """Robertson's reactions, the third equation replaced by the conservation of mass."""
    slow, fast, back = 0.04 * u.a, 3e7 * u.b**2, 1e4 * u.b * u.c
    return {"a": -slow + back, "b": slow - back - fast, "c": u.a + u.b + u.c - 1}


def pair(t, u, p):
    """x' = -z x, 0 = z - cos(t): x = exp(-sin t)."""
    return {"x": -u.z * u.x, "z": u.z - np.cos(t)}


def still_pair(t, u, p):
    """The same, the cosine a state."""
    return {"x": -u.z * u.x, "z": u.z - u.cosine, "cosine": -u.sine, "sine": u.cosine}


ROBERTSON = np.array([0.336874531, 2.01370232e-06, 0.663123456])  # at t = 1000, by SciPy's Radau at 1e-12, as an ODE


def measure_mass(word):
    """Errors in tolerances of 1e-6, or of steps of 0.01, of equations with algebraic ones among them."""
    method, found = METHODS[word], {}
    options = {"engine": "julia", "check": False, "output": "arrays", "rtol": 1e-6, "atol": 1e-6}
    steps = {} if method.is_adaptive else {"dt": 0.01}
    problem = ps.ODEProblem(pair, {"x": 1.0, "z": 1.0}, (0, 2), mass_matrix={"z": 0})
    if "a" in method.flags:
        start = {"x": 1.0, "z": 1.0, "cosine": 1.0, "sine": 0.0}
        problem = ps.ODEProblem(still_pair, start, (0, 2), mass_matrix={"z": 0})
    t, u = ps.solve(problem, word, saveat=[2.0], max_steps=300_000, **options, **steps)
    error = np.abs(np.array([u["x"][-1], u["z"][-1]]) - [np.exp(-np.sin(2.0)), np.cos(2.0)]).max() if len(t) else np.nan
    found["pair"] = float(error / 1e-6)
    if method.is_adaptive and "non-stiff" not in method.purpose:
        start = {"a": 1.0, "b": 0.0, "c": 0.0}
        problem = ps.ODEProblem(robertson, start, (0, 1e3), mass_matrix={"c": 0})
        t, u = ps.solve(problem, word, saveat=[1e3], max_steps=300_000, **{**options, "atol": 1e-9})
        error = np.abs(np.array([u[k][-1] for k in "abc"]) - ROBERTSON)[[0, 2]].max() if len(t) else np.nan
        found["robertson"] = float(error / 1e-6)
    return found


def main():
    """Measure the words on the command line, else those that the file lacks; write the file after each."""
    results = json.loads(TARGET.read_text()) if TARGET.exists() else {"versions": {}, "words": {}}
    for word in sys.argv[1:] or [word for word in METHODS if word not in results["words"]]:
        order, errors = measure_order(word)
        results["words"][word] = {"order": order, "errors": errors, "adaptive": measure_errors(word)}
        if METHODS[word].takes_mass_matrix:
            results["words"][word]["mass"] = measure_mass(word)
        print(word, METHODS[word].order, METHODS[word].flags, results["words"][word], flush=True)
        results["versions"] = load_engine("julia").versions()
        results["words"] = dict(sorted(results["words"].items()))
        TARGET.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
