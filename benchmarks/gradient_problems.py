"""Losses whose gradients ``gradients.py`` times, written for pysciml, for JAX and, where stock Julia enters, in Julia.

A spiral's neural ODE (Chen et al. 2018, arXiv:1806.07366), Robertson's reactions and POLLU (``problems.py``), a
universal equation of hares and lynxes (Rackauckas et al. 2020, arXiv:2001.04385), a Hamiltonian network (Greydanus et
al. 2019, arXiv:1906.01563), the Brusselator with a field for each of its two rates.
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import problems
import xarray as xr

import pysciml as ps


@dataclass(frozen=True)
class Case:
    """One loss: ``f(t, u, p)`` is the model for JAX, p being what is trained, as a vector.

    ``julia`` is the body of f!(du, u, p, t), ``words`` are the methods that we enter with, and ``is_stiff`` says which
    of diffrax's enter. Where there is ``over``, the problem is that of each of several experiments, and ``data`` and
    ``starts`` have a first dim ``run``.
    """

    problem: ps.ODEProblem
    data: xr.Dataset
    f: Callable
    words: tuple[str, ...] = ("Tsit5",)
    trainable: tuple[str, ...] | None = None
    rtol: float = 1e-8
    atol: float = 1e-8
    is_stiff: bool = False
    julia: str = ""
    over: dict | None = None

    @property
    def starts(self) -> np.ndarray:
        """Initial states, ``(state,)`` or ``(run, state)``."""
        return self.problem.u0_values if self.over is None else self.over["y"].values

    @property
    def values(self) -> np.ndarray:
        """Data ``(time, state)``, or ``(run, time, state)``."""
        if self.over is not None:
            return self.data.y.values
        return np.concatenate([v.values.reshape(v.sizes["time"], -1) for v in self.data.data_vars.values()], axis=1)


def mlp(p, x, sizes):
    """A tanh network over a flat vector, for JAX; and how many weights it has used."""
    start = 0
    for k, (m, n) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        weight, bias = p[start : start + m * n].reshape(m, n), p[start + m * n : start + m * n + n]
        x = x @ weight + bias
        x = jnp.tanh(x) if k < len(sizes) - 2 else x
        start += m * n + n
    return x


def solution(problem, times, word="Vern9", rtol=1e-10):
    """Data without noise."""
    return xr.Dataset(ps.solve(problem, word, saveat=times, engine="julia", rtol=rtol, atol=1e-3 * rtol).data_vars)


SPIRAL = np.array([[-0.1, 2.0], [-2.0, -0.1]])


def spiral(width, depth, n_trajectories=0):
    """A 2-H-..-2 network of the cubed state, 30 points of a spiral; or of many from other starts, as one state."""
    net, sizes = ps.MLP(2, 2, width=width, depth=depth, seed=1), [2, *[width] * depth, 2]
    u0 = np.array([2.0, 0.0])
    if n_trajectories:
        u0 = np.random.default_rng(1).uniform(-2.0, 2.0, (n_trajectories, 2))
    problem = ps.ODEProblem(lambda t, u, p: p.net(u**3), u0, (0.0, 1.5), {"net": net})
    truth = ps.ODEProblem(lambda t, u, p: (u**3) @ SPIRAL, u0, (0.0, 1.5))
    w, b = "reshape(view(p, {}), {}, {})", "view(p, {})"
    first, last = f"1:{2 * width}", f"{3 * width + 1}:{5 * width}"
    julia = (
        f"h = tanh.({w.format(first, width, 2)} * u .^ 3 .+ {b.format(f'{2 * width + 1}:{3 * width}')})\n"
        f"du .= {w.format(last, 2, width)} * h .+ {b.format(f'{5 * width + 1}:{5 * width + 2}')}"
    )
    return Case(
        problem,
        solution(truth, np.linspace(0.0, 1.5, 30)),
        lambda t, u, p: mlp(p, u.reshape(u0.shape) ** 3, sizes).reshape(-1),
        julia=julia if depth == 1 and not n_trajectories else "",
    )


def spirals(width, n):
    """The same from many starts, each an experiment of its own."""
    net, sizes, runs = ps.MLP(2, 2, width=width, depth=1, seed=1), [2, width, 2], {"run": np.arange(n)}
    starts = np.random.default_rng(1).uniform(-2.0, 2.0, (n, 2))
    problem = ps.ODEProblem(lambda t, u, p: {"y": p.net(u.y**3)}, {"y": starts[0]}, (0.0, 1.5), {"net": net})
    truth = ps.ODEProblem(lambda t, u, p: {"y": (u.y**3) @ SPIRAL}, {"y": starts}, (0.0, 1.5))
    y = solution(truth, np.linspace(0.0, 1.5, 30)).y
    over = {"y": xr.DataArray(starts, runs, ("run", "y_dim_0"))}
    data = xr.Dataset({"y": (("run", "time", "y_dim_0"), y.values.transpose(1, 0, 2))}, runs | {"time": y.time.values})
    return Case(problem, data, lambda t, u, p: mlp(p, u**3, sizes), over=over)


def lotka_volterra_ude():
    """Growth and death are known, the encounters a network; 40 times."""
    net, sizes = ps.MLP(2, 2, width=16, depth=2, seed=1), [2, 16, 16, 2]

    def known(t, u, p):
        meet = 0.9 * u[0] * u[1]
        return np.stack([1.3 * u[0] - meet, 0.9 * meet - 1.8 * u[1]])

    def model(t, u, p):
        return np.stack([p.growth * u[0], -p.death * u[1]]) + p.net(u)

    u0 = np.array([0.44, 4.6])
    problem = ps.ODEProblem(model, u0, (0.0, 3.0), {"growth": 1.3, "death": 1.8, "net": net})
    data = solution(ps.ODEProblem(known, u0, (0.0, 3.0)), np.linspace(0.0, 3.0, 40))
    return Case(problem, data, lambda t, u, p: p[:2] * jnp.stack([u[0], -u[1]]) + mlp(p[2:], u, sizes))


def hamiltonian():
    """The motion of a pendulum, of an energy that is a network: q' = dH/dp, p' = -dH/dq; 40 times."""
    net, sizes = ps.MLP(2, 1, width=32, depth=2, seed=1), [2, 32, 32, 1]

    def model(t, u, p):
        slope = ps.grad(lambda x: p.net(x)[0])(u)
        return np.stack([slope[1], -slope[0]])

    def f(t, u, p):
        slope = jax.grad(lambda x: mlp(p, x, sizes)[0])(u)
        return jnp.stack([slope[1], -slope[0]])

    u0 = np.array([1.0, 0.0])
    truth = ps.ODEProblem(lambda t, u, p: np.stack([u[1], -np.sin(u[0])]), u0, (0.0, 10.0))
    problem = ps.ODEProblem(model, u0, (0.0, 10.0), {"net": net})
    return Case(problem, solution(truth, np.linspace(0.0, 10.0, 40)), f)


def robertson():
    """Three rates, 20 times on a logarithmic scale."""

    def f(t, u, p, xp=jnp):
        slow, fast, back = p[0] * u[0], p[1] * u[1] ** 2, p[2] * u[1] * u[2]
        return xp.stack([back - slow, slow - fast - back, fast])

    rates = np.array([0.04, 3e7, 1e4])
    problem = ps.ODEProblem(lambda t, u, p: f(t, u, p.k, np), np.array([1.0, 0.0, 0.0]), (0.0, 1e5), {"k": rates})
    julia = "a, b, c = p[1] * u[1], p[2] * u[2]^2, p[3] * u[2] * u[3]\ndu[1] = c - a\ndu[2] = a - c - b\ndu[3] = b"
    data = 1.1 * solution(problem, np.logspace(-5, 5, 20), "Rodas5P", 1e-9)
    return Case(problem, data, f, ("Rodas5P",), None, 1e-6, 1e-10, True, julia)


def pollu():
    """25 rates of 20 species, 20 times."""

    def rates(u, p):
        used = [[int(s) - 1 for s in row.split()] for row, _ in problems.REACTIONS]
        return [p[k] * u[row[0]] * (u[row[1]] if len(row) > 1 else 1.0) for k, row in enumerate(used)]

    def f(t, u, p, xp=jnp):
        r = rates(u, p)
        return xp.stack([sum(r[k] if sign == "+" else -r[k] for sign, k in row) for row in problems._pollu_terms()])

    k = np.array(problems.RATES)
    problem = ps.ODEProblem(lambda t, u, p: f(t, u, p.k, np), problems.POLLU_START, (0.0, 60.0), {"k": k})
    julia = problems._pollu_julia()
    for i, rate in enumerate(problems.RATES):
        julia = julia.replace(f"r{i} = {rate!r} ", f"r{i} = p[{i + 1}] ")
    data = 1.1 * solution(problem, np.linspace(3.0, 60.0, 20), "Rodas5P", 1e-9)
    return Case(problem, data, f, ("Rodas5P",), None, 1e-6, 1e-10, True, julia)


def stiff_network():
    """A state pulled 1000 times faster to a wave than a network moves the other; 30 times."""
    net, sizes = ps.MLP(2, 2, width=20, depth=1, seed=1), [2, 20, 2]
    pull = np.array([1000.0, 1.0])

    def f(t, u, p, xp=jnp, call=lambda p, u: mlp(p, u, sizes)):
        return -pull * (u - xp.cos(t)) + call(p, u)

    u0 = np.array([0.0, 1.0])
    problem = ps.ODEProblem(lambda t, u, p: f(t, u, p.net, np, lambda net, u: net(u)), u0, (0.0, 5.0), {"net": net})
    truth = ps.ODEProblem(lambda t, u, p: -pull * (u - np.cos(t)) + np.sin(u[::-1]), u0, (0.0, 5.0))
    data = solution(truth, np.linspace(0.1, 5.0, 30), "Rodas5P", 1e-9)
    return Case(problem, data, f, ("Rodas5P",), None, 1e-6, 1e-8, True)


def brusselator(n=32):
    """Both rates as fields on n x n cells, 10 times. Stability limits Tsit5's steps: its gradient is 67 % off."""
    case = problems.brusselator(n)
    h, cells = 1.0 / (n - 1), n * n

    def f(t, u, p, xp=jnp):
        a, b = u[:cells].reshape(n, n), u[cells:].reshape(n, n)
        first, second = p[:cells].reshape(n, n), p[cells:].reshape(n, n)

        def spread(c):
            around = xp.roll(c, 1, 0) + xp.roll(c, -1, 0) + xp.roll(c, 1, 1) + xp.roll(c, -1, 1)
            return 0.02 / h**2 * (around - 4.0 * c)

        da = first + a * a * b - (second + 1.0) * a + spread(a)
        db = second * a - a * a * b + spread(b)
        return xp.concatenate([da.reshape(-1), db.reshape(-1)])

    fields = np.concatenate([np.full(cells, 1.0), np.full(cells, 3.4)])
    problem = ps.ODEProblem(lambda t, u, p: f(t, u, p.fields, np), case.u0, (0.0, 1.0), {"fields": fields})
    data = 1.1 * solution(problem, np.linspace(0.1, 1.0, 10), "Rodas5P", 1e-7)
    return Case(problem, data, f, ("Rodas5P",), None, 1e-5, 1e-5, False)


CASES = {
    "spiral, 252 weights": lambda: spiral(50, 1),
    "1082 weights": lambda: spiral(30, 2),
    "10602 weights": lambda: spiral(100, 2),
    "91802 weights": lambda: spiral(300, 2),
    "100 spirals, 252 weights": lambda: spiral(50, 1, 100),
    "100 spirals as experiments": lambda: spirals(50, 100),
    "hares and lynxes, 356 weights": lotka_volterra_ude,
    "Hamiltonian, 1185 weights": hamiltonian,
    "Robertson, 3 rates": robertson,
    "POLLU, 25 rates": pollu,
    "stiff network, 102 weights": stiff_network,
    "Brusselator, 2048 rates": brusselator,
}
