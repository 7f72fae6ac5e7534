"""How many did each infect? Influenza in a boarding school, 1978, with how sure the answer is.

The British Medical Journal reported how many of 763 boys lay in bed on each of fourteen days. The oldest model of an
epidemic (susceptible, infected, removed; Kermack and McKendrick 1927) has two numbers: R0, how many others a boy
infects among susceptibles, and how long he is ill. Counts scatter more than a Poisson law allows, so they are taken as
negative binomial, and the dispersion is fitted too. A profile likelihood says which R0 the fourteen counts allow, and
so do draws from the posterior (`pip install "pysciml[sampling]"`).

    python influenza.py [folder for the pictures]
"""

import sys
from pathlib import Path

import numpy as np
from scipy.stats import lognorm

import pysciml as ps

data = ps.load_example("influenza")[["in_bed"]]  # over dates; the counts of convalescents are left out


def epidemic(t, u, p):
    infections = p.R0 * p.recovery * u.susceptible * u.infected / 763.0
    return {"susceptible": -infections, "infected": infections - p.recovery * u.infected}


problem = ps.ODEProblem(
    epidemic,
    u0={"susceptible": 762.0, "infected": 1.0},  # one boy, the day before the first count
    t_span=("1978-01-21", "1978-02-04"),
    p={"R0": 2.0, "recovery": 0.5, "dispersion": 5.0},
    units={"time": "day", "recovery": "1/day", "infected": "boys"},
    observe=lambda t, u, p: {"in_bed": u.infected},
)
told = {
    "loss": ps.NegativeBinomial(dispersion="dispersion"),
    "trainable": dict.fromkeys(["R0", "recovery", "dispersion"], ps.Positive()),
}
# The first days alone would not show that counts scatter more than Poisson's, so the horizon does not grow here.
result = ps.fit(problem, data, optimizer="lbfgs", strategy=(), progress=False, **told)
print(result)

# The likelihood at the fitted values, as a function: what errors, profiles and samplers stand on.
likelihood = ps.objective(result.problem, data, **told)
errors = ps.standard_errors(likelihood)
profile = ps.profile(likelihood, "R0")
for name in errors.parameter.values:
    estimate, error = (float(errors[what].sel(parameter=name)) for what in ("estimate", "standard_error"))
    print(f"{name}: {estimate:.3g} with a standard error of {error:.2g}")
low, high = float(profile.lower[0]), float(profile.upper[0])
print(f"R0 by its profile: {low:.2f} to {high:.2f} (95 %), {profile.verdict.item()}")

# Neighbouring residuals should have nothing to do with each other. Here they have: boys stayed in bed after they had
# ceased to infect, which three states would say. The interval above takes the model for true, and is too narrow.
predicted = result.predict().in_bed
left = ((data.in_bed - predicted) / np.sqrt(predicted * (1 + predicted / result.p.dispersion))).values
print(f"residuals: {left.min():.1f} to {left.max():.1f} standard deviations")
print(f"correlation of neighbouring residuals: {left[1:] @ left[:-1] / (left @ left):.2f}")

# The same by sampling, with what was known of such an epidemic beforehand: all values that agree with both.
priors = {"R0": lognorm(0.5, scale=2.0), "recovery": lognorm(0.5, scale=0.5), "dispersion": lognorm(1.0, scale=10.0)}
draws = ps.posterior(result.problem, data, priors=priors, draws=500, tune=300, chains=2, progress=False, **told)
low, high = draws.posterior.R0.quantile([0.05, 0.95]).values
print(f"R0 by sampling: {low:.2f} to {high:.2f} (90 %)")

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
ps.plot_fit(result).savefig(folder / "influenza.png", dpi=100)
ps.plot_residuals(result).savefig(folder / "influenza_residuals.png", dpi=100)
ps.plot_history(result).savefig(folder / "influenza_history.png", dpi=100)
ps.plot_correlations(errors).savefig(folder / "influenza_correlations.png", dpi=100)
ps.plot_profile(profile).savefig(folder / "influenza_profile.png", dpi=100)
print(f"saved {folder / 'influenza.png'} and four others")
