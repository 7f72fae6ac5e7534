"""A neural ODE learns a spiral from samples at irregular times (Chen et al. 2018, arXiv:1806.07366).

Sixty noisy points of a spiral, wherever in time they happened to fall, and no idea of the law: the whole right-hand
side is a network. A solver stops where a sample is, so irregular times cost nothing and need no padding. The truth
between the samples, and for as long again behind them, says what was learnt.

    python spiral.py [folder for the picture]
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pysciml as ps

NOISE = 0.05
rng = np.random.default_rng(0)
rule = np.array([[-0.1, 2.0], [-2.0, -0.1]])
truth = ps.ODEProblem(lambda t, u, p: (u**3) @ rule, [2.0, 0.0], (0, 12))

samples = ps.solve(truth, saveat=np.sort(rng.uniform(0, 6, 60)), rtol=1e-9, atol=1e-9)[["u"]]
data = samples + NOISE * rng.standard_normal(samples.u.shape)

network = ps.MLP(2, 2, width=50, depth=1)
problem = ps.ODEProblem(lambda t, u, p: p.net(u**3), [2.0, 0.0], (0, 6), {"net": network})
result = ps.fit(problem, data)
print(result)

times = np.linspace(0, 12, 481)
exact = ps.solve(truth, saveat=times, rtol=1e-9, atol=1e-9).u
learnt = result.predict(times).u
squares = (learnt - exact) ** 2
for label, first, last in (("between the samples", 0, 6), ("behind them", 6, 12)):
    error = float(np.sqrt(squares.sel(time=slice(first, last)).mean()))
    print(f"{label}: root mean square error {error:.3f}, the samples' noise is {NOISE}")

figure, (plane, time) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
plane.plot(*exact.values.T, color="0.7", label="truth, until t = 12")
plane.plot(*learnt.values.T, "--", color="tab:blue", label="learnt")
plane.plot(*data.u.values.T, "o", markersize=4, color="tab:orange", label="samples, until t = 6")
plane.legend()
time.axvspan(6, 12, color="0.93")
for column, color in enumerate(("tab:blue", "tab:green")):
    time.plot(times, exact[:, column], color="0.7")
    time.plot(times, learnt[:, column], "--", color=color)
    time.plot(data.time, data.u[:, column], "o", markersize=4, color=color)
time.set(xlabel="time")
folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
figure.savefig(folder / "spiral.png", dpi=100)
print(f"saved {folder / 'spiral.png'}")
