"""Draw the pictures of gallery.md: ``python docs/gallery.py``. Each is what one call gives, with nothing added."""

from pathlib import Path

import numpy as np
from scipy import stats

import pysciml as ps

FOLDER = Path(__file__).parent / "gallery"


def save(name, figure):
    """One picture, small enough for a repository."""
    figure.savefig(FOLDER / f"{name}.png", dpi=70)
    print(name)


def draw_logistic():
    """Four numbers from eleven noisy data: fit, residuals, history, certainty."""
    rng = np.random.default_rng(3)
    problem = ps.ODEProblem(
        lambda t, u, p: {"cells": p.growth * u.cells * (1 - u.cells / p.room)},
        {"cells": 0.5},
        (0, 12),
        {"growth": 0.5, "room": 20.0},
        units={"time": "h", "cells": "million"},
    )
    exact = ps.solve(problem.remake(p={"growth": 0.8, "room": 12.0}), saveat=np.linspace(1, 12, 23))[["cells"]]
    data = exact + 0.3 * rng.standard_normal(23)
    data.cells.attrs = exact.cells.attrs
    result = ps.fit(problem, data, trainable=["growth", "room", "u0_cells"], progress=False)
    errors = ps.standard_errors(result)
    save("fit", ps.plot_fit(result, errors))
    save("residuals", ps.plot_residuals(result))
    save("history", ps.plot_history(result))
    save("correlations", ps.plot_correlations(errors))
    save("profile", ps.plot_profile(ps.profile(result, ["growth", "room"])))


def draw_predators():
    """A network for how prey and predators meet: states, phase portrait, what the network learnt."""
    start, span = {"prey": 1.0, "predator": 1.0}, (0, 12)
    truth = ps.ODEProblem(
        lambda t, u, p: {"prey": u.prey - u.prey * u.predator, "predator": u.prey * u.predator - u.predator},
        start | {"prey": 2.0},
        span,
        observe=lambda t, u, p: {"meeting": u.prey * u.predator},
    )
    times = np.linspace(0, 12, 121)
    exact = ps.solve(truth, saveat=times)
    data = exact[["prey", "predator"]].isel(time=slice(5, 71, 2))

    def meeting(u, p):
        return p.net([u.prey, u.predator])[0]

    problem = ps.ODEProblem(
        lambda t, u, p: {"prey": u.prey - meeting(u, p), "predator": meeting(u, p) - u.predator},
        start | {"prey": 2.0},
        span,
        {"net": ps.MLP(2, 1, width=8, depth=1)},
        observe=lambda t, u, p: {"meeting": meeting(u, p)},
    )
    learnt = ps.fit(problem, data, progress=False).predict(times)
    save("states", ps.plot_states(learnt[["prey", "predator"]], data, held_out=(7, 12)))
    save("phase", ps.plot_phase({"truth": exact, "learnt": learnt}, "prey", "predator", data))
    save("learnt", ps.plot_learnt(learnt, exact, ["meeting"]))


def draw_ranges():
    """Which of two parameters matters when."""
    problem = ps.ODEProblem(
        lambda t, u, p: {"prey": u.prey * (1 - p.attack * u.predator), "predator": u.predator * (u.prey - p.death)},
        {"prey": 1.0, "predator": 0.5},
        (0, 10),
        {"attack": 1.0, "death": 1.0},
    )
    ranges = {"attack": stats.uniform(0.5, 1.5), "death": stats.uniform(0.8, 0.4)}
    indices = ps.global_sensitivity(problem, ranges, saveat=np.linspace(0.5, 10, 20))
    save("global_sensitivity", ps.plot_global_sensitivity(indices))


if __name__ == "__main__":
    draw_logistic()
    draw_predators()
    draw_ranges()
