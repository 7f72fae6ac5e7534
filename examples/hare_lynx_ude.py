"""Learn the unknown part of a model from data: a universal differential equation.

The Hudson's Bay Company counted hare and lynx pelts every year. Suppose that we know how hares breed and lynxes die,
but not how the two meet. Classical modelling guesses a term, hare * lynx. Here a small neural network takes that place,
and is trained together with the two rates so that the solution of the differential equation follows the record up to
1915. The years after that are kept back, to see what the fit is worth, against the classical guess and against
what can be read from the network.

    python hare_lynx_ude.py [folder for picture and fit]
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import CenteredNorm

import pysciml as ps

data = ps.load_example("hare_lynx")  # an ordinary xarray.Dataset: hare(time), lynx(time); gaps (NaN) would be fine
known = data.sel(time=slice(None, 1915))


def model(t, u, p):
    meeting = p.net([u.hare, u.lynx])  # a network is a parameter that can be called
    return {"hare": p.birth * u.hare + meeting[0], "lynx": -p.death * u.lynx + meeting[1]}


problem = ps.ODEProblem(
    model,
    u0={"hare": 30.0, "lynx": 4.0},
    t_span=(1900, 1920),
    p={"birth": 0.5, "death": 0.8, "net": ps.MLP(2, 2, width=16, depth=2)},
    units={"hare": "thousand", "lynx": "thousand", "time": "year"},
)

# States, time and the network's inputs and outputs are scaled inside the fit, and the horizon grows from the first
# years to the whole record: without these two a fit of an oscillation ends at its mean. Both are defaults.
result = ps.fit(problem, known, optimizer=[ps.Adam(1e-2, steps=500), ps.LBFGS(steps=200)], seed=0)
print(result)


def errors_of(fitted, first, last):
    """Root mean square error of both, in standard deviations of what was known."""
    squares = ((fitted.predict(data.time) - data) ** 2).sel(time=slice(first, last)).mean()
    return {state: float(np.sqrt(squares[state]) / known[state].std()) for state in ("hare", "lynx")}


for state, error in errors_of(result, 1900, 1915).items():
    print(f"{state}: root mean square error {error:.2f} standard deviations, 1900-1915")

# The fitted network is an ordinary function of NumPy arrays: what did it learn of how hares and lynxes meet?
hare, lynx = np.meshgrid(np.linspace(5, 85, 60), np.linspace(0, 70, 60))
eaten = result.p.net(np.stack([hare, lynx], axis=-1))[..., 0]

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
fine = result.predict(np.linspace(1900, 1920, 401))
for state, color in (("hare", "tab:blue"), ("lynx", "tab:orange")):
    fine[state].plot(ax=left, color=color, label=state)
    left.plot(data.time, data[state], "o", color=color)
left.axvspan(1915, 1920, color="0.9", label="not seen by the fit")
left.set(title="Data and fit", ylabel="pelts [thousand]", ylim=(0, 95), xticks=range(1900, 1921, 5))
left.legend(loc="upper center", ncols=3)
filled = right.contourf(hare, lynx, eaten, levels=20, cmap="RdBu", norm=CenteredNorm())
right.plot(fine.hare, fine.lynx, color="black", linewidth=1)
right.set(title="Learnt change of hares when they meet lynxes", xlabel="hare [thousand]", ylabel="lynx [thousand]")
figure.colorbar(filled, ax=right, label="thousand / year")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
figure.savefig(folder / "hare_lynx_ude.png", dpi=100)
result.save(folder / "hare_lynx_ude.nc")  # ps.FitResult.load reads it on any machine, without this script
print(f"saved {folder / 'hare_lynx_ude.png'} and {folder / 'hare_lynx_ude.nc'}")


# Sixteen years say little of states that were not visited: the network goes astray where the guess of the textbooks
# does not. But it tells what to write in its place. Of all terms with at most two animals the simplest that serve:
print("\nThe years that were kept back, 1916-1920:")
classical = ps.ODEProblem(
    lambda t, u, p: {"hare": (p.birth - p.eaten * u.lynx) * u.hare, "lynx": (p.gained * u.hare - p.death) * u.lynx},
    u0={"hare": 30.0, "lynx": 4.0},
    t_span=(1900, 1920),
    p={"birth": 0.5, "death": 0.8, "eaten": 0.02, "gained": 0.02},
)
recovered = ps.recover(result, ps.Library(degree=2, functions=()))  # pip install "pysciml[recover]"
fits = {"network": result, "recovered": recovered.result, "classical": ps.fit(classical, known, progress=False)}
for name, one in fits.items():
    hare_error, lynx_error = errors_of(one, 1916, 1920).values()
    print(f"{name}: hares {hare_error:.2f}, lynxes {lynx_error:.2f} standard deviations off")
certain = ps.standard_errors(recovered.result)
for name in certain.parameter.values:
    low, high = (float(certain[end].sel(parameter=name)) for end in ("lower", "upper"))
    print(f"{name}: between {low:.3g} and {high:.3g} (95 %)")
