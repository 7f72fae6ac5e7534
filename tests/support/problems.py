"""Published test problems, one row each: a model as a user writes it, where to look, and where it comes from.

A new row gets every test of ``tests/cross``. The references in ``tests/golden/references.json`` are made by
``tests/golden/make_references.py`` from the same functions called with plain numbers: no tracing, no engine of ours.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

import pysciml as ps


@dataclass(frozen=True, eq=False)
class Case:
    """A problem and the times at which solutions are compared.

    They keep away from relaxation jumps and from zeros of the states, where a pointwise relative error measures the
    phase of the solution only.
    """

    name: str
    model: Callable
    u0: object
    t_span: tuple[float, float]
    p: object
    saveat: np.ndarray
    stiff: bool = False
    atol: float = 1e-8
    source: str = ""
    closed_form: Callable | None = field(default=None)

    def problem(self) -> ps.ODEProblem:
        """The problem as a user makes it."""
        return ps.ODEProblem(self.model, self.u0, self.t_span, self.p, name=self.name)


def exponential(t, u, p):
    return {"x": -p.k * u.x}


def harmonic(t, u, p):
    return np.array([u[1], -(p.omega**2) * u[0]])


def logistic(t, u, p):
    return p.r * u * (1 - u / p.capacity)


def lotka_volterra(t, u, p):
    return {
        "hare": p.birth * u.hare - p.kill * u.hare * u.lynx,
        "lynx": p.grow * u.hare * u.lynx - p.death * u.lynx,
    }


def lorenz(t, u, p):
    x, y, z = u
    return {"x": p.sigma * (y - x), "y": x * (p.rho - z) - y, "z": x * y - p.beta * z}


def pendulum(t, u, p):
    return {"angle": u.speed, "speed": -p.damping * u.speed - p.g / p.length * np.sin(u.angle)}


def van_der_pol(t, u, p):
    return [u[1], p.mu * (1 - u[0] ** 2) * u[1] - u[0]]


def robertson(t, u, p):
    slow, fast, back = p.k1 * u.a, p.k2 * u.b**2, p.k3 * u.b * u.c
    return {"a": -slow + back, "b": slow - back - fast, "c": fast}


def hires(t, u, p):
    k1, k2, k3, k4, k5, k6, kp, km, kn, o = p
    y = u
    du = np.zeros_like(u)
    du[0] = -k1 * y[0] + k2 * y[1] + k6 * y[2] + o
    du[1] = k1 * y[0] - (k2 + k3) * y[1]
    du[2] = -(k6 + k1) * y[2] + k2 * y[3] + k5 * y[4]
    du[3] = k3 * y[1] + k1 * y[2] - (k4 + k2) * y[3]
    du[4] = -(k1 + k5) * y[4] + k2 * y[5] + k2 * y[6]
    du[5] = -kp * y[5] * y[7] + k4 * y[3] + k1 * y[4] - k2 * y[5] + km * y[6]
    du[6] = kp * y[5] * y[7] - (k2 + km + kn) * y[6]
    du[7] = -kp * y[5] * y[7] + (k2 + km + kn) * y[6]
    return du


def heat(t, u, p):
    du = np.zeros_like(u)
    du[1:-1] = u[2:] - 2 * u[1:-1] + u[:-2]
    du[0] = u[1] - 2 * u[0]
    du[-1] = u[-2] - 2 * u[-1]
    return p.conductivity * (len(u) + 1) ** 2 * du


def brusselator(t, u, p):
    reaction = u.x**2 * u.y
    return {"x": p.a + reaction - (p.b + 1) * u.x, "y": p.b * u.x - reaction}


def neural(t, u, p):
    return p.net(u**3)


def _heat_start(n=200):
    x = np.arange(1, n + 1) / (n + 1)
    return np.sin(np.pi * x) + 0.5 * np.sin(3 * np.pi * x)


def _heat_exact(t, n=200, conductivity=0.1):
    """The discrete Laplacian's own modes, so that only the error in time is seen."""
    x = np.arange(1, n + 1) / (n + 1)
    parts = []
    for mode, size in ((1, 1.0), (3, 0.5)):
        rate = 4 * conductivity * (n + 1) ** 2 * np.sin(mode * np.pi / (2 * (n + 1))) ** 2
        parts.append(size * np.exp(-rate * t)[:, None] * np.sin(mode * np.pi * x))
    return sum(parts)


HIRES_RATES = np.array([1.71, 0.43, 8.32, 0.69, 0.035, 8.32, 280.0, 0.69, 0.69, 0.0007])
LV = {"birth": 0.5, "kill": 0.03, "grow": 0.02, "death": 0.8}
HAIRER = "Hairer, Wanner (1996), Solving ordinary differential equations II, doi:10.1007/978-3-642-05221-7"
TESTSET = "Mazzia, Magherini (2008), Test set for initial value problem solvers, release 2.4"

CASES: dict[str, Case] = {
    case.name: case
    for case in [
        Case("exponential", exponential, {"x": 1.0}, (0, 5), {"k": 1.0}, np.linspace(0, 5, 11),
             closed_form=lambda t: np.exp(-t)[:, None]),
        Case("harmonic", harmonic, np.array([1.0, 0.0]), (0, 10), {"omega": 2.0}, np.linspace(0, 10, 11),
             closed_form=lambda t: np.stack([np.cos(2 * t), -2 * np.sin(2 * t)], axis=1)),
        Case("logistic", logistic, 0.1, (0, 10), {"r": 1.0, "capacity": 2.0}, np.linspace(0, 10, 11),
             closed_form=lambda t: (2 / (1 + 19 * np.exp(-t)))[:, None]),
        Case("lotka_volterra", lotka_volterra, {"hare": 30.0, "lynx": 4.0}, (1900, 1920), LV, np.arange(1900.0, 1921)),
        Case("lorenz", lorenz, {"x": 1.0, "y": 0.0, "z": 0.0}, (0, 5),
             {"sigma": 10.0, "rho": 28.0, "beta": 8 / 3}, np.linspace(0, 5, 21),
             source="Lorenz (1963), Deterministic nonperiodic flow, doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2"),
        Case("pendulum", pendulum, {"angle": 1.5, "speed": 0.0}, (0, 8),
             {"damping": 0.1, "g": 9.81, "length": 1.0}, np.arange(0.3, 8.0, 0.9)),
        Case("van_der_pol_1", van_der_pol, np.array([2.0, 0.0]), (0, 20), {"mu": 1.0}, np.arange(1.0, 20.0, 2.0)),
        Case("van_der_pol_1000", van_der_pol, np.array([2.0, 0.0]), (0, 2000), {"mu": 1000.0},
             np.array([100.0, 400.0, 700.0, 1000.0, 1300.0, 1500.0, 1800.0, 2000.0]), stiff=True, source=HAIRER),
        Case("robertson", robertson, {"a": 1.0, "b": 0.0, "c": 0.0}, (0, 1e5), {"k1": 0.04, "k2": 3e7, "k3": 1e4},
             10.0 ** np.arange(-5, 6), stiff=True, atol=1e-10,
             source="Robertson (1966), The solution of a set of reaction rate equations, in: Numerical analysis"),
        Case("hires", hires, np.array([1.0, 0, 0, 0, 0, 0, 0, 0.0057]), (0, 321.8122), HIRES_RATES,
             np.append(np.arange(20.0, 321.0, 50.0), 321.8122), stiff=True, source=TESTSET),
        Case("heat", heat, _heat_start(), (0, 1), {"conductivity": 0.1}, np.linspace(0, 1, 11), stiff=True,
             closed_form=_heat_exact),
        Case("brusselator", brusselator, {"x": 1.5, "y": 3.0}, (0, 20), {"a": 1.0, "b": 3.0}, np.linspace(0, 20, 41),
             source="Hairer, Norsett, Wanner (1993), Solving ordinary differential equations I"),
        Case("neural", neural, np.array([2.0, 0.0]), (0, 1.5), {"net": ps.MLP(2, 2, width=16, depth=2, seed=3)},
             np.linspace(0, 1.5, 16),
             source="Chen et al. (2018), Neural ordinary differential equations, doi:10.48550/arXiv.1806.07366"),
    ]
}  # fmt: skip


class Names:
    """Plain numbers by name, as a model sees them: what tracing must agree with."""

    def __init__(self, values: Mapping):
        self.__dict__.update(values)

    def __iter__(self):
        return iter(self.__dict__.values())


def plain_right_hand_side(case: Case) -> tuple[Callable, np.ndarray]:
    """``(t, y (state,)) -> dy`` and the initial ``y`` of a case, by calling the user's function on plain numbers."""
    p = case.p
    if isinstance(p, Mapping):
        p = Names({name: _plain_network(name, v) if isinstance(v, ps.MLP) else v for name, v in p.items()})
    if isinstance(case.u0, Mapping):
        names = list(case.u0)

        def f(t, y):
            du = case.model(t, Names(dict(zip(names, y, strict=True))), p)
            return np.array([du[name] for name in names])

        return f, np.array(list(case.u0.values()))
    if np.ndim(case.u0) == 0:
        return lambda t, y: np.array([case.model(t, y[0], p)]), np.array([case.u0])
    return lambda t, y: np.asarray(case.model(t, y, p)), np.asarray(case.u0)


def _plain_network(name, net):
    """The network's function from its definition: tanh layers, weight (out, in) column-major."""
    weights = net.initial_weights(name)

    def call(x):
        for layer in net.layers:
            matrix = weights[layer.weight].reshape((layer.out_size, layer.in_size), order="F")
            x = matrix @ x + weights[layer.bias]
            x = np.tanh(x) if layer.index < net.depth else x
        return x

    return call
