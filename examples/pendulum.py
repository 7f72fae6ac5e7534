"""A pendulum with friction, learnt twice: by a network that is its energy, and by one that is anything.

A Hamiltonian network (Greydanus et al. 2019, arXiv:1906.01563) learns one number, the energy, as a function of angle
and speed; the motion follows from its slopes, which `ps.grad` takes inside the model. Friction is added as a known form
with an unknown rate. The plain network has as many weights and gives the two rates of change themselves. Both see the
same noisy swings, and are then asked for four times as long. With its friction set to zero the first must swing
forever; the second has no friction that could be set.

    python pendulum.py [folder for the picture]
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import pysciml as ps

NOISE, SEEN, ASKED = 0.02, 15.0, 60.0
start = {"angle": 2.5, "speed": 0.0}


def true_motion(t, u, p):
    return {"angle": u.speed, "speed": -np.sin(u.angle) - p.friction * u.speed}


def true_energy(ds):
    return ds.speed**2 / 2 - np.cos(ds.angle)


def from_energy(t, u, p):
    by_angle, by_speed = ps.grad(lambda x: p.energy(x)[0])(np.stack([u.angle, u.speed]))
    return {"angle": by_speed, "speed": -by_angle - p.friction * u.speed}


def plain(t, u, p):
    rates = p.net([u.angle, u.speed])
    return {"angle": rates[0], "speed": rates[1]}


rng = np.random.default_rng(1)
truth = ps.ODEProblem(true_motion, start, (0, ASKED), {"friction": 0.1})
seen = ps.solve(truth, saveat=np.linspace(0, SEEN, 101)[1:], rtol=1e-9, atol=1e-9)[["angle", "speed"]]
data = seen.map(lambda one: one + NOISE * rng.standard_normal(one.shape))

networks = {
    "energy": (from_energy, {"friction": 0.3, "energy": ps.MLP(2, 1, width=16, depth=2)}),
    "plain": (plain, {"net": ps.MLP(2, 2, width=16, depth=2)}),
}
results = {
    name: ps.fit(ps.ODEProblem(model, start, (0, SEEN), p), data, progress=False)
    for name, (model, p) in networks.items()
}
times = np.linspace(0, ASKED, 601)
exact = ps.solve(truth, saveat=times, rtol=1e-9, atol=1e-9)
predicted = {name: result.predict(times) for name, result in results.items()}
for name, ds in predicted.items():
    off = np.abs(true_energy(ds) - true_energy(exact)).max()
    print(f"{name}: loss {results[name].loss:.1e}, energy off by at most {float(off):.3f} until t = {ASKED:.0f}")

learnt = results["energy"]
print(f"friction: {float(learnt.p.friction):.4f}, in truth 0.1")
free = learnt.predict(times, p={"friction": 0.0}, rtol=1e-9, atol=1e-9)
own = learnt.p.energy(np.stack([free.angle, free.speed], axis=-1))[..., 0]  # the network is an ordinary function
taken = np.ptp(true_energy(exact).values)
print(f"without friction its energy drifts by {np.ptp(own):.0e} until then; friction had taken {taken:.1f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
angle, speed = np.meshgrid(np.linspace(-2.7, 2.7, 60), np.linspace(-2.2, 2.2, 60))
left.contour(angle, speed, learnt.p.energy(np.stack([angle, speed], axis=-1))[..., 0], levels=16, cmap="Blues_r")
left.plot(data.angle, data.speed, ".", color="tab:orange", label="data")
left.plot(predicted["energy"].angle, predicted["energy"].speed, color="black", linewidth=1, label="learnt motion")
left.set(title="Learnt energy", xlabel="angle", ylabel="speed")
left.legend(loc="upper right")
right.axvspan(SEEN, ASKED, color="0.93")
right.plot(times, true_energy(exact), color="0.7", linewidth=4, label="truth")
for (name, ds), color in zip(predicted.items(), ("tab:blue", "tab:red"), strict=True):
    right.plot(times, true_energy(ds), color=color, label=name)
right.set(title="Energy on the way", xlabel="time")
right.legend()
folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
figure.savefig(folder / "pendulum.png", dpi=100)
print(f"saved {folder / 'pendulum.png'}")
