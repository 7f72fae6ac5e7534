"""Learning stiff chemistry: unknown rates, and networks in place of all reactions.

Where some reactions are a billion times quicker than others, explicit solvers stand still and adjoints that integrate
backwards go wrong; Kim, Ji, Deng, Ma and Rackauckas (2021, doi:10.1063/5.0060697) showed that implicit solvers, exact
gradients and scaled equations can train networks there. Three fits: Robertson's reaction with its three rates unknown;
the same with all of its right-hand side a network; and POLLU (Verwer 1994, doi:10.1137/0915076), air pollution with 20
species and 25 reactions, as a network. Scaling needs no word: `fit` measures states and their rates of change by the
data's own sizes.

    python stiff_networks.py [folder for the picture] [engine]
"""

import sys
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pysciml as ps

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
engine = sys.argv[2] if len(sys.argv) > 2 else "auto"

# Each reaction: what goes in, what comes out, its rate per minute.
POLLU = """
NO2 > NO + O3P : 0.35              | NO + O3 > NO2 : 26.6              | HO2 + NO > NO2 + OH : 1.23e4
HCHO > 2 HO2 + CO : 8.6e-4         | HCHO > CO : 8.2e-4                | HCHO + OH > HO2 + CO : 1.5e4
ALD > MEO2 + HO2 + CO : 1.3e-4     | ALD + OH > C2O3 : 2.4e4           | C2O3 + NO > NO2 + MEO2 + CO2 : 1.65e4
C2O3 + NO2 > PAN : 9e3             | PAN > C2O3 + NO2 : 0.022          | MEO2 + NO > CH3O + NO2 : 1.2e4
CH3O > HCHO + HO2 : 1.88           | NO2 + OH > HNO3 : 1.63e4          | O3P > O3 : 4.8e6
O3 > O1D : 3.5e-4                  | O3 > O3P : 0.0175                 | O1D > 2 OH : 1e8
O1D > O3P : 4.44e11                | SO2 + OH > SO4 + HO2 : 1240       | NO3 > NO : 2.1
NO3 > NO2 + O3P : 5.78             | NO2 + O3 > NO3 : 0.0474           | NO3 + NO2 > N2O5 : 1780
N2O5 > NO3 + NO2 : 3.12
"""
STARTS = {"NO": 0.2, "O3": 0.04, "HCHO": 0.1, "CO": 0.3, "ALD": 0.01, "SO2": 0.007}


def read_species(side):
    """Species of one side of a reaction, one an occurrence: "2 HO2 + CO" is HO2, HO2, CO."""
    words = [term.split() for term in side.split("+")]
    return [word[-1] for word in words for _ in range(int(word[0]) if len(word) > 1 else 1)]


reactions = [line.replace(":", ">").split(">") for line in POLLU.replace("|", "\n").strip().splitlines()]
reactions = [(read_species(used), read_species(made), float(rate)) for used, made, rate in reactions]
species = sorted({name for used, made, _ in reactions for name in used + made})


def pollution(t, u, p):
    rates = dict.fromkeys(species, 0.0)
    for used, made, rate in reactions:  # a loop over fixed things is unrolled as the model is recorded
        speed = rate
        for name in used:
            speed = speed * u[name]
        for name in used:
            rates[name] = rates[name] - speed
        for name in made:
            rates[name] = rates[name] + speed
    return rates


def robertson(t, u, p):
    slow, fast, middle = p.slow * u.a, p.fast * u.b**2, p.middle * u.b * u.c
    return {"a": middle - slow, "b": slow - middle - fast, "c": fast}


def as_network(names):
    """A model that knows nothing: all rates of change are a network of all states."""
    return lambda t, u, p: dict(zip(names, p.net([u[name] for name in names]), strict=True))


def fit(title, problem, data, **options):
    """Fit, and say how far the result is off, as Kim and others do: relative to each species' size."""
    begun = time.perf_counter()
    result = ps.fit(problem, data, strategy=(), progress=False, engine=engine, **options)
    found = result.predict()
    errors = np.sqrt(((found - data) ** 2).mean() / (data**2).mean())
    worst = max(errors, key=lambda name: float(errors[name]))
    mean = float(errors.to_array().mean())
    print(f"{title}: {time.perf_counter() - begun:.1f} s on {result.settings['engine']}")
    print(f"{title}: relative error {mean:.2g} in the mean, {float(errors[worst]):.2g} at worst ({worst})")
    return result


rates = {"slow": 0.04, "fast": 3e7, "middle": 1e4}
truth = ps.ODEProblem(robertson, {"a": 1.0, "b": 0.0, "c": 0.0}, (0, 1e5), rates)
tight = {"rtol": 1e-8, "atol": 1e-12}
data = ps.solve(truth, saveat=np.geomspace(1e-5, 1e5, 50), **tight)[["a", "b", "c"]]
guess = truth.remake(p={"slow": 0.4, "fast": 3e6, "middle": 1e5})  # ten times too quick, or too slow
trainable = dict.fromkeys(rates, ps.Positive())
known = fit("rates", guess, data, trainable=trainable, optimizer="lbfgs", **tight)
print("rates: found " + ", ".join(f"{name} {float(known.p[name]):.6g}" for name in rates))

# Narrow and deep networks serve. Gradients are clipped: one wild step would lose what thousands have learnt.
net = ps.MLP(3, 3, width=5, depth=6, activation="gelu")
problem = ps.ODEProblem(as_network("abc"), {"a": 1.0, "b": 0.0, "c": 0.0}, (0, 1e5), {"net": net})
learning = ps.Adam(ps.Cosine(1e-2), steps=8000, clip=1.0)
learnt = fit("network", problem, data, optimizer=learning, rtol=1e-4, atol=1e-8)

starts = {name: STARTS.get(name, 0.0) for name in species}
air = ps.solve(ps.ODEProblem(pollution, starts, (0, 60)), saveat=np.geomspace(1e-2, 60, 40), rtol=1e-8, atol=1e-14)
air = air[species]
net = ps.MLP(20, 20, width=10, depth=3, activation="gelu")
problem = ps.ODEProblem(as_network(species), starts, (0, 60), {"net": net})
smog = fit("pollu", problem, air, optimizer=ps.Adam(ps.Cosine(1e-2), steps=2000, clip=1.0), rtol=1e-5, atol=1e-8)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name, color in zip("abc", ("tab:blue", "tab:orange", "tab:green"), strict=True):
    size = float(data[name].max())
    left.semilogx(data.time, data[name] / size, "o", color=color, markersize=4)
    left.semilogx(data.time, learnt.predict()[name] / size, color=color, label=f"{name} / {size:.1g}")
left.set(title="Robertson: data and network", xlabel="time")
for name in ("NO", "NO2", "O3", "PAN", "NO3", "O1D"):
    size = float(air[name].max())
    (line,) = right.semilogx(air.time, smog.predict()[name] / size, label=f"{name} / {size:.1g}")
    right.semilogx(air.time, air[name] / size, "o", color=line.get_color(), markersize=4)
right.set(title="POLLU: data and network, 6 of 20 species", xlabel="time [min]")
for ax in (left, right):
    ax.legend(fontsize="small")
figure.savefig(folder / "stiff_networks.png", dpi=100)
print(f"saved {folder / 'stiff_networks.png'}")
