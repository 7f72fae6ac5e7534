"""A training loop by hand in torchdiffeq with Adam, of the models of ``fits.py``, which runs it with another Python."""

import sys
import time
from itertools import product
from pathlib import Path

import numpy as np
import torch
from torchdiffeq import odeint

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)  # of so small products two make each other wait


def layers(p, x, sizes, start=0):
    """A tanh network over a flat vector."""
    for k, (m, n) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        x = x @ p[start : start + m * n].reshape(m, n) + p[start + m * n : start + m * n + n]
        x = torch.tanh(x) if k < len(sizes) - 2 else x
        start += m * n + n
    return x


def spiral(p, u):
    """A network of the cubed state."""
    return layers(p, u**3, [2, 50, 2])


def universal(p, u):
    """Known growth and death, and a network."""
    return torch.stack([p[0] * u[0], -p[1] * u[1]]) + layers(p, u, [2, 16, 16, 2], 2)


def hamiltonian(p, u):
    """The gradient of a network of two hidden layers, by hand: quicker than autograd's in autograd."""
    first, second, last = p[:64].reshape(2, 32), p[96 : 96 + 1024].reshape(32, 32), p[1152:1184]
    g = torch.tanh(u @ first + p[64:96])
    h = torch.tanh(g @ second + p[1120:1152])
    slope = first @ ((second @ (last * (1 - h**2))) * (1 - g**2))
    return torch.stack([slope[1], -slope[0]])


MODELS = {"spiral": spiral, "universal": universal, "hamiltonian": hamiltonian}


def train(model, arrays, rate, is_short, target, limit):
    """Seconds and steps until the target; None if it isn't reached."""
    p = torch.tensor(arrays["start"], requires_grad=True)
    u0, times, span = (torch.tensor(arrays[name]) for name in ("u0", "times", "span"))
    scale, data = torch.tensor(arrays["scale"]), torch.tensor(arrays["values"]).reshape(len(times), -1)
    optimizer = torch.optim.Adam([p], lr=rate)
    n_short = int((times <= span[0] + 0.1 * (span[1] - span[0])).sum())
    has_start = bool(times[0] == span[0])
    began = time.perf_counter()
    for k in range(5000):
        n = n_short if is_short and k < 500 else len(times)
        asked = times[:n] if has_start else torch.cat([span[:1], times[:n]])
        optimizer.zero_grad()
        y = odeint(lambda t, u: model(p, u), u0, asked, rtol=1e-6, atol=1e-8, method="dopri5")[-n:]
        loss = (((y - data[:n]) / scale) ** 2).mean()
        if n == len(times) and float(loss) <= target:
            return time.perf_counter() - began, k
        if time.perf_counter() - began > limit or not torch.isfinite(loss):
            return None
        loss.backward()
        optimizer.step()
    return None


def main():
    """A line for each that arrives: seconds, steps, seconds of compiling, what it is."""
    folder, name = Path(sys.argv[1]), sys.argv[2]
    target, limit, budget = map(float, sys.argv[3:6])
    arrays = {one: np.fromfile(folder / one) for one in ("start", "u0", "times", "span", "scale", "values")}
    began, best = time.perf_counter(), np.inf
    for is_short, rate in product((False, True), (1e-2, 3e-3, 3e-2)):
        left = budget - (time.perf_counter() - began)
        if left <= 0:
            break
        found = train(MODELS[name], arrays, rate, is_short, target, min(best, limit, left))
        if found is not None:
            best = min(best, found[0])
            print("arrived", *found, 0.0, f"Adam {rate}", sep=";", flush=True)


if __name__ == "__main__":
    main()
