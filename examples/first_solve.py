"""Solve a predator-prey model and plot it.

Whoever knows `scipy.integrate.solve_ivp` knows most of this: the model is a function of t and the state, there is a
span and an initial value. New are the names: states and parameters are read by name, and the answer is an
`xarray.Dataset` with one variable a state, units and all.

    python first_solve.py [folder for the picture]
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pysciml as ps


def lotka_volterra(t, u, p):
    return {
        "hare": p.birth * u.hare - p.kill * u.hare * u.lynx,
        "lynx": p.grow * u.hare * u.lynx - p.death * u.lynx,
    }


# The function is called once, here, and recorded; the solver never calls back into Python.
problem = ps.ODEProblem(
    lotka_volterra,
    u0={"hare": 30.0, "lynx": 4.0},
    t_span=(1900, 1920),
    p={"birth": 0.5, "kill": 0.03, "grow": 0.02, "death": 0.8},
    units={"hare": "thousand", "lynx": "thousand", "time": "year"},
)
ds = ps.solve(problem, saveat=np.linspace(1900, 1920, 401), rtol=1e-8)
print(ds)
print(f"computed by {ds.attrs['engine']} with {ds.attrs['algorithm']}")

# Selecting, averaging, saving: all xarray. The same model with another parameter is one `remake` away, and compiles
# nothing.
hunted = ps.solve(problem.remake(p={"death": 1.0}), saveat=ds.time, rtol=1e-8)
print(
    f"mean number of hares: {float(ds.hare.mean()):.1f}, with more lynx deaths {float(hunted.hare.mean()):.1f} thousand"
)

figure, axes = plt.subplots(1, 2, figsize=(10, 3.5), layout="constrained", sharey=True)
for axis, solution, title in zip(axes, (ds, hunted), ("death = 0.8", "death = 1.0"), strict=True):
    solution.hare.plot(ax=axis, label="hare")
    solution.lynx.plot(ax=axis, label="lynx")
    axis.set(title=title, ylabel="population [thousand]", xticks=range(1900, 1921, 5))
axes[0].legend()

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
figure.savefig(folder / "first_solve.png", dpi=100)
print(f"saved {folder / 'first_solve.png'}")
