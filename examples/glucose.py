"""A model driven by a measured series: how a body takes up glucose, with insulin as the known input.

Somebody is given glucose into a vein, and glucose and insulin are measured for three hours. The minimal model (Bergman,
Ider, Bowden and Cobelli 1979, doi:10.1152/ajpendo.1979.236.6.E667) says how glucose goes: by itself, and by insulin
that acts with a delay. Insulin is not modelled: its series enters as it was measured. Then we ask which of the
numbers these twenty data can tell.

    python glucose.py [folder for the pictures]
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pysciml as ps

data = ps.load_example("glucose")
resting = data.isel(time=0)
mixed = data[["glucose"]].where(data.time >= 8)  # before that, the injected glucose has not yet spread in the body


def minimal(t, u, p):
    wanted = p.sensitivity * (p.insulin(t) - p.resting_insulin)
    return {
        "glucose": -p.effectiveness * (u.glucose - p.resting_glucose) - u.action * u.glucose,
        "action": p.delay * (wanted - u.action),
    }


problem = ps.ODEProblem(
    minimal,
    u0={"glucose": 280.0, "action": 0.0},
    t_span=(0, 182),
    p={
        "effectiveness": 0.02,  # how quickly glucose goes by itself
        "sensitivity": 5e-4,  # how much a unit of insulin adds to that
        "delay": 0.03,
        "insulin": ps.interpolate(data.insulin),  # a function of time, inside the model
        "resting_insulin": float(resting.insulin),
        "resting_glucose": float(resting.glucose),
    },
    units={"time": "min", "effectiveness": "1/min", "sensitivity": "1/min per uU/mL", "delay": "1/min"},
)
names = ["effectiveness", "sensitivity", "delay", "u0_glucose"]  # the glucose at time zero is not known either
result = ps.fit(
    problem,
    mixed,
    trainable=dict.fromkeys(names, ps.Positive()),
    optimizer="lbfgs",
    strategy=(),  # four numbers and no oscillation: the whole span at once
    progress=False,
)
print(result)
errors = ps.standard_errors(result)
print(f"residuals deviate by {float(errors.residual_deviation[0]):.1f} mg/dL")

# Standard errors come from the curvature at the best values; a profile follows each number as far as the data let it.
profiles = {name: ps.profile(result, name) for name in ("effectiveness", "sensitivity")}
for name, profile in profiles.items():
    estimate, lower, upper, verdict = (profile[what].item() for what in ("estimate", "lower", "upper", "verdict"))
    error = float(errors.standard_error.sel(parameter=name))
    print(f"{name}: {estimate:.3g}, standard error {error:.2g}; profile {lower:.3g} to {upper:.3g}, {verdict}")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
figure, axes = plt.subplots(3, 1, figsize=(7, 7), sharex=True, layout="constrained", height_ratios=(3, 1, 1))
fine = result.predict(np.linspace(0, 182, 365))
fine.glucose.plot(ax=axes[0], color="tab:blue", label="model")
data.glucose.plot.line("o", ax=axes[0], color="0.7", label="not used")
mixed.glucose.plot.line("o", ax=axes[0], color="tab:blue", label="data")
axes[0].legend()
data.insulin.plot.line("o-", ax=axes[1], color="tab:orange", markersize=3)
fine.action.plot(ax=axes[2], color="tab:green")
for ax, label in zip(axes, ("glucose [mg/dL]", "insulin [uU/mL]", "action [1/min]"), strict=True):
    ax.set(xlabel="", ylabel=label)
axes[2].set(xlabel="time [min]", title="")
figure.savefig(folder / "glucose.png", dpi=100)
for name, profile in profiles.items():
    ps.plot_profile(profile).savefig(folder / f"glucose_{name}.png", dpi=100)
print(f"saved {folder / 'glucose.png'} and two others")
