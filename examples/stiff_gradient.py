"""Gradients through a stiff solve: how much each rate of a chemical reaction changes the fit to its data.

Robertson's reaction has rates that differ by nine powers of ten, so that only implicit methods solve it. With SciPy
(`solve_ivp` with "Radau", and an optimizer) each rate costs another stiff solve, and finite differences are as rough as
the tolerance. Here one call gives the loss and its gradient, computed along with the solve; we check it against central
differences, on every engine that is ready here.

    python stiff_gradient.py [folder for the picture]
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pysciml as ps


def robertson(t, u, p):
    slow, fast, middle = p.slow * u.a, p.fast * u.b**2, p.middle * u.b * u.c
    return {"a": middle - slow, "b": slow - middle - fast, "c": fast}


true_rates = {"slow": 0.04, "fast": 3e7, "middle": 1e4}
times = np.geomspace(1e-4, 1e4, 33)
problem = ps.ODEProblem(robertson, {"a": 1.0, "b": 0.0, "c": 0.0}, (0.0, 1e4), true_rates, units={"time": "s"})
tight = {"rtol": 1e-9, "atol": 1e-13}  # b never exceeds 4e-5: atol must be far below that

data = ps.solve(problem, saveat=times, **tight)[["a", "b", "c"]]
guess = problem.remake(p={"slow": 0.05, "fast": 2e7, "middle": 1.5e4})


def differences(objective):
    """Central differences of an objective. It is built once and called often; scipy.optimize.minimize takes it too."""
    slopes = {}
    for place, name in enumerate(objective.names):
        step = np.zeros_like(objective.x0)
        step[place] = 1e-3 * objective.x0[place]
        slopes[name] = (objective.value(objective.x0 + step) - objective.value(objective.x0 - step)) / (2 * step[place])
    return slopes


# "nmse" divides each species by its own spread, so that the tiny b counts as much as a and c.
for engine in [name for name, state in ps.doctor().engines.items() if state.ready]:
    value, gradient = ps.gradient(guess, data, engine=engine, **tight)
    checked = differences(ps.objective(guess, data, engine=engine, **tight))
    print(f"{engine}: loss {value:.6f} by {gradient.attrs['algorithm']}, gradient {gradient.attrs['sensitivity']}")
    print(f"{'rate':8}{'gradient * rate':>18}{'by differences':>18}{'off by':>12}")
    exact = {name: float(gradient[name]) * float(guess.p[name]) for name in true_rates}
    for name in true_rates:
        rough = checked[name] * float(guess.p[name])  # its noise is that of the loss over the step
        off = abs(exact[name] - rough) / max(map(abs, exact.values()))
        print(f"{name:8}{exact[name]:18.8f}{rough:18.8f}{off:12.1e}")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
wrong = ps.solve(guess, saveat=times, **tight)
for species, factor in (("a", 1), ("b", 1e4), ("c", 1)):
    label = species if factor == 1 else f"{factor:.0e} {species}"
    (line,) = left.semilogx(times, factor * wrong[species], label=label)
    left.semilogx(times, factor * data[species], "o", color=line.get_color(), markersize=3)
left.set(title="Guessed rates (lines) against data (dots)", xlabel="time [s]")
left.legend()
right.bar(list(exact), list(exact.values()))
right.axhline(0, color="black", linewidth=0.8)
right.set(title="Change of the loss per relative change of a rate")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
figure.savefig(folder / "stiff_gradient.png", dpi=100)
print(f"saved {folder / 'stiff_gradient.png'}")
