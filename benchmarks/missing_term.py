"""How often is the missing term found?

``python benchmarks/missing_term.py`` needs a Julia that is ready, and pysindy (some minutes). The experiment of
Rackauckas et al. (2020), Universal differential equations for scientific machine learning, arXiv:2001.04385: 31 noisy
data of the Lotka-Volterra equations over three units of time, both interactions unknown and left to one network. It is
trained for 50 seeds of noise and weights; ``recover`` is to find ``u*v``, and nothing else, in both equations, among
all monomials to degree 3, sine and cosine of both states. These equations are then solved over five times the span; an
extrapolation is near if it is within 5 % of the truth (root mean squares). Writes ``missing_term.json``. With the word
``pysr`` symbolic regression is asked, which may use any function of these, and for the first 8 seeds only
(``missing_term_pysr.json``).
"""

import json
import sys
import time
from datetime import date
from pathlib import Path

import numpy as np
import xarray as xr

import pysciml as ps

NOISES = (0.01, 0.03, 0.05)  # standard deviation over the mean of each state
METHOD = sys.argv[1] if len(sys.argv) > 1 else "pysindy"
SEEDS = 50 if METHOD == "pysindy" else 8
U0 = {"u": 0.44249296, "v": 4.6280594}
TIMES, FAR = np.linspace(0, 3, 31), np.linspace(0, 15, 151)
OPTIONS = {"engine": "julia", "algorithm": "Tsit5"}


def true_model(t, u, p):
    return {"u": 1.3 * u.u - 0.9 * u.u * u.v, "v": -1.8 * u.v + 0.8 * u.u * u.v}


def model(t, u, p):
    met = p.net([u.u, u.v])
    return {"u": 1.3 * u.u + met[0], "v": -1.8 * u.v + met[1]}


TRUTH = ps.ODEProblem(true_model, U0, (0, 15))


def run_seed(noise, seed):
    """What one seed's network says, as a row of the results."""
    exact = ps.solve(TRUTH, saveat=FAR, rtol=1e-9, **OPTIONS)[["u", "v"]]
    clean, random = exact.sel(time=TIMES, method="nearest"), np.random.default_rng(seed)
    noisy = {
        name: ("time", state.values + noise * float(state.mean()) * random.standard_normal(TIMES.size))
        for name, state in clean.items()
    }
    data = xr.Dataset(noisy, {"time": TIMES})
    problem = ps.ODEProblem(model, U0, (0, 3), {"net": ps.MLP(2, 2, width=5, depth=2, seed=seed)})
    more = {"strategy": [ps.Collocation()], "optimizer": ps.LBFGS(steps=100), "progress": False, "verify": "never"}
    start = time.perf_counter()
    result = ps.fit(problem, data, seed=seed, **more, **OPTIONS)
    between = time.perf_counter()
    found = ps.recover(result, method=METHOD, **OPTIONS)
    seconds = [between - start, time.perf_counter() - between]
    trained = found.result.settings["trained"]
    row = {"seed": seed, "equations": found.equations, "found": sorted(trained) == ["net0_u_v", "net1_u_v"]}
    row |= {"factors": [float(found.result.parameters[name]) for name in trained], "seconds": seconds}
    return row | {"far": _far_error(found.result, exact), "far_network": _far_error(result, exact)}


def _far_error(result, exact):
    """Root mean square error over five times the span, relative to the states; None where it can't be solved."""
    try:
        far = result.predict(FAR, **OPTIONS)
    except ps.SolveFailed:
        return None
    shares = [((far[name] - exact[name]) ** 2).mean() / (exact[name] ** 2).mean() for name in ("u", "v")]
    return float(np.sqrt(np.mean(shares)))


def main():
    rows = {str(noise): [run_seed(noise, seed) for seed in range(SEEDS)] for noise in NOISES}
    about = {"date": str(date.today()), "pysciml": ps.__version__}
    name = "missing_term.json" if METHOD == "pysindy" else f"missing_term_{METHOD}.json"
    Path(__file__).with_name(name).write_text(json.dumps(about | {"noise": rows}, indent=1) + "\n")
    for noise, found in rows.items():
        right = [row for row in found if row["found"]]
        far = [row["far"] if row["far"] is not None else np.inf for row in found]
        network = [row["far_network"] if row["far_network"] is not None else np.inf for row in found]
        near = sum(error <= 0.05 for error in far)
        medians = " | ".join(f"{np.median(errors):.2g}" for errors in (far, network))
        seconds = " + ".join(f"{s:.1f}" for s in np.median([row["seconds"] for row in found], axis=0))
        print(f"| {float(noise):.1%} | {len(right)} | {near} | {medians} | {seconds} |")


if __name__ == "__main__":
    main()
