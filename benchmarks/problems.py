"""Published problems, written as a user of each library would: NumPy, JAX or PyTorch by ``xp``, and Julia, in place.

Sources: Hairer, Norsett, Wanner (1993, doi:10.1007/978-3-540-78862-1: Pleiades), Hairer, Wanner (1996,
doi:10.1007/978-3-642-05221-7: Robertson, HIRES, van der Pol, Brusselator), Verwer (1994, doi:10.1137/0915076: POLLU),
Lorenz (1963, doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2), Lotka (1920, doi:10.1073/pnas.6.7.410).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse


@dataclass(frozen=True)
class Problem:
    """``model(xp)`` is f(t, u) -> list or array; ``julia`` is f!(du, u, p, t)'s body, ``static`` f(u, p, t)'s.

    A large one has its Jacobian's pattern for SciPy and for Julia, and its half bandwidth where it is banded.
    """

    name: str
    model: Callable
    u0: np.ndarray
    t_span: tuple[float, float]
    julia: str
    stiff: bool
    static: str = ""
    atol: float = 1e-2  # relative to rtol
    pattern: Callable | None = None
    julia_pattern: str = ""
    band: int = 0

    @property
    def is_large(self):
        """Whether its Jacobian is sparse, and few tolerances are enough."""
        return self.pattern is not None


def lotka_volterra(xp):
    """Predator and prey."""
    return lambda t, u: [1.5 * u[0] - u[0] * u[1], u[0] * u[1] - 3.0 * u[1]]


def lorenz(xp):
    """Over a time short enough for all digits to be comparable."""
    return lambda t, u: [10.0 * (u[1] - u[0]), u[0] * (28.0 - u[2]) - u[1], u[0] * u[1] - 8.0 / 3.0 * u[2]]


def pleiades(xp):
    """Seven stars in a plane."""
    mass, one = xp.asarray(np.arange(1.0, 8.0)), xp.asarray(np.eye(7))

    def f(t, u):
        x, y = u[:7], u[7:14]
        dx, dy = x[None, :] - x[:, None], y[None, :] - y[:, None]
        r3 = (dx**2 + dy**2 + one) ** 1.5
        return xp.concatenate([u[14:], (mass * dx / r3).sum(axis=1), (mass * dy / r3).sum(axis=1)])

    return f


def robertson(xp):
    """Three reactions with rates apart by nine powers of ten."""

    def f(t, u):
        a, b, c = 0.04 * u[0], 3e7 * u[1] ** 2, 1e4 * u[1] * u[2]
        return [c - a, a - c - b, b]

    return f


def van_der_pol(xp):
    """Relaxation oscillator, mu = 10^6 in the scaled form."""
    return lambda t, u: [u[1], ((1.0 - u[0] ** 2) * u[1] - u[0]) * 1e6]


def hires(xp):
    """High irradiance response of photomorphogenesis."""

    def f(t, u):
        r = 280.0 * u[5] * u[7]
        return [
            -1.71 * u[0] + 0.43 * u[1] + 8.32 * u[2] + 0.0007,
            1.71 * u[0] - 8.75 * u[1],
            -10.03 * u[2] + 0.43 * u[3] + 0.035 * u[4],
            8.32 * u[1] + 1.71 * u[2] - 1.12 * u[3],
            -1.745 * u[4] + 0.43 * u[5] + 0.43 * u[6],
            -r + 0.69 * u[3] + 1.71 * u[4] - 0.43 * u[5] + 0.69 * u[6],
            r - 1.81 * u[6],
            -r + 1.81 * u[6],
        ]

    return f


RATES = (0.35, 26.6, 1.23e4, 8.6e-4, 8.2e-4, 1.5e4, 1.3e-4, 2.4e4, 1.65e4, 9e3, 0.022, 1.2e4, 1.88) + (
    1.63e4,
    4.8e6,
    3.5e-4,
    0.0175,
    1e8,
    4.44e11,
    1240.0,
    2.1,
    5.78,
    0.0474,
    1780.0,
    3.12,
)
# reaction by reaction, in the order of RATES: what is used up and what comes out, counted from 1
REACTIONS = (
    (("1", "2 3"), ("2 4", "1"), ("5 2", "6 1"), ("7", "5 5 8"), ("7", "8"), ("7 6", "8 5"), ("9", "8 10 5"))
    + (("9 6", "11"), ("11 2", "10 12 1"), ("11 1", "13"), ("13", "11 1"), ("10 2", "14 1"), ("14", "7 5"))
    + (("1 6", "15"), ("3", "4"), ("4", "16"), ("4", "3"), ("16", "6 6"), ("16", "3"), ("17 6", "18 5"))
    + (("19", "2"), ("19", "1 3"), ("1 4", "19"), ("19 1", "20"), ("20", "1 19"))
)


def _pollu_terms():
    """A species' slope: (sign, reaction), in the order of the reactions."""
    terms = [[] for _ in range(20)]
    for k, (used, made) in enumerate(REACTIONS):
        for species in used.split():
            terms[int(species) - 1].append(("-", k))
        for species in made.split():
            terms[int(species) - 1].append(("+", k))
    return terms


def pollu(xp):
    """Air pollution: 25 reactions of 20 species."""
    terms = _pollu_terms()
    lines = [
        f"    r{k} = {rate!r} * " + " * ".join(f"u[{int(s) - 1}]" for s in used.split())
        for k, (rate, (used, _)) in enumerate(zip(RATES, REACTIONS, strict=True))
    ]
    slopes = ", ".join("".join(f" {sign} r{k}" for sign, k in row) for row in terms)
    space = {}
    exec("def f(t, u):\n" + "\n".join(lines) + f"\n    return [{slopes}]\n", space)  # unrolled, as one would write it
    return space["f"]


def _pollu_julia():
    lines = [
        f"r{k} = {rate!r} * " + " * ".join(f"u[{s}]" for s in used.split())
        for k, (rate, (used, _)) in enumerate(zip(RATES, REACTIONS, strict=True))
    ]
    lines += [f"du[{i}] =" + "".join(f" {sign} r{k}" for sign, k in row) for i, row in enumerate(_pollu_terms(), 1)]
    return "\n".join(lines)


def brusselator(n):
    """Two chemicals that diffuse on a periodic square of n x n cells, until t = 1, before more of one is poured in."""
    h = 1.0 / (n - 1)
    x, y = np.meshgrid(np.linspace(0, 1, n), np.linspace(0, 1, n), indexing="ij")

    def model(xp):
        def f(t, u):
            a, b = u[: n * n].reshape(n, n), u[n * n :].reshape(n, n)

            def spread(c):
                around = xp.roll(c, 1, 0) + xp.roll(c, -1, 0) + xp.roll(c, 1, 1) + xp.roll(c, -1, 1)
                return 0.02 / h**2 * (around - 4.0 * c)

            da = 1.0 + a * a * b - 4.4 * a + spread(a)
            db = 3.4 * a - a * a * b + spread(b)
            return xp.concatenate([da.reshape(-1), db.reshape(-1)])

        return f

    u0 = np.concatenate([(22.0 * (y * (1 - y)) ** 1.5).ravel(), (27.0 * (x * (1 - x)) ** 1.5).ravel()])
    julia = f"""
n = {n}; h2 = 0.02 / (1 / (n - 1))^2
a(i, j) = u[(i - 1) * n + j]
b(i, j) = u[n * n + (i - 1) * n + j]
for i in 1:n, j in 1:n
    up, down = i == 1 ? n : i - 1, i == n ? 1 : i + 1
    left, right = j == 1 ? n : j - 1, j == n ? 1 : j + 1
    c, d = a(i, j), b(i, j)
    du[(i - 1) * n + j] = 1.0 + c * c * d - 4.4 * c + h2 * (a(up, j) + a(down, j) + a(i, left) + a(i, right) - 4c)
    du[n * n + (i - 1) * n + j] = 3.4 * c - c * c * d + h2 * (b(up, j) + b(down, j) + b(i, left) + b(i, right) - 4d)
end"""
    names = {"pattern": lambda: _brusselator_pattern(n), "julia_pattern": _BRUSSELATOR_JULIA.format(n=n)}
    return Problem(f"brusselator_{n}", model, u0, (0.0, 1.0), julia, True, atol=1.0, **names)


_BRUSSELATOR_JULIA = """
begin
    one = spdiagm(0 => ones({n}))
    ring = spdiagm(-1 => ones({n} - 1), 0 => ones({n}), 1 => ones({n} - 1), {n} - 1 => [1.0], 1 - {n} => [1.0])
    square, cells = kron(one, ring) + kron(ring, one), spdiagm(0 => ones({n}^2))
    [square cells; cells square]
end"""


def _brusselator_pattern(n):
    ring = scipy.sparse.diags([1.0] * 5, [1 - n, -1, 0, 1, n - 1], (n, n))
    one, cells = scipy.sparse.identity(n), scipy.sparse.identity(n * n)
    square = scipy.sparse.kron(one, ring) + scipy.sparse.kron(ring, one)
    return scipy.sparse.bmat([[square, cells], [cells, square]], format="csc")


def line(n):
    """Something that flows along a line of n cells, spreads, and leaves at both ends."""
    x = np.arange(1, n + 1) / (n + 1)
    flow, spread = (n + 1) / 2, 0.01 * (n + 1.0) ** 2

    def model(xp):
        edge = xp.asarray(np.zeros(1))

        def f(t, u):
            left, right = xp.concatenate([edge, u[:-1]]), xp.concatenate([u[1:], edge])
            return spread * (left - 2.0 * u + right) - flow * (right - left)

        return f

    julia = f"""
n = {n}; flow = (n + 1) / 2; spread = 0.01 * (n + 1.0)^2
for i in 1:n
    left, right = i == 1 ? 0.0 : u[i - 1], i == n ? 0.0 : u[i + 1]
    du[i] = spread * (left - 2u[i] + right) - flow * (right - left)
end"""
    pattern = f"spdiagm(-1 => ones({n} - 1), 0 => ones({n}), 1 => ones({n} - 1))"
    names = {
        "pattern": lambda: scipy.sparse.diags([1.0] * 3, [-1, 0, 1], (n, n), format="csc"),
        "julia_pattern": pattern,
    }
    start = np.exp(-(((x - 0.3) / 0.05) ** 2))
    return Problem(f"line_{n}", model, start, (0.0, 0.2), julia, True, atol=1.0, band=1, **names)


PLEIADES_START = np.array(
    [3, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4] + [0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0, 0], dtype=float
)
POLLU_START = np.zeros(20)
POLLU_START[[1, 3, 6, 7, 8, 16]] = 0.2, 0.04, 0.1, 0.3, 0.01, 0.007

PROBLEMS = (
    Problem(
        "lotka_volterra", lotka_volterra, np.array([1.0, 1.0]), (0.0, 10.0),
        "du[1] = 1.5u[1] - u[1] * u[2]\ndu[2] = u[1] * u[2] - 3u[2]", False,
        "SVector(1.5u[1] - u[1] * u[2], u[1] * u[2] - 3u[2])", 1.0,
    ),
    Problem(
        "lorenz", lorenz, np.array([1.0, 0.0, 0.0]), (0.0, 10.0),
        "du[1] = 10(u[2] - u[1])\ndu[2] = u[1] * (28 - u[3]) - u[2]\ndu[3] = u[1] * u[2] - 8 / 3 * u[3]", False,
        "SVector(10(u[2] - u[1]), u[1] * (28 - u[3]) - u[2], u[1] * u[2] - 8 / 3 * u[3])", 1.0,
    ),
    Problem(
        "pleiades", pleiades, PLEIADES_START, (0.0, 3.0),
        """for i in 1:7
    du[i], du[7 + i] = u[14 + i], u[21 + i]
    ax = ay = 0.0
    for j in 1:7
        i == j && continue
        dx, dy = u[j] - u[i], u[7 + j] - u[7 + i]
        r3 = (dx^2 + dy^2)^1.5
        ax += j * dx / r3
        ay += j * dy / r3
    end
    du[14 + i], du[21 + i] = ax, ay
end""", False, "", 1.0,
    ),
    Problem(
        "robertson", robertson, np.array([1.0, 0.0, 0.0]), (0.0, 1e4),
        "a, b, c = 0.04u[1], 3.0e7 * u[2]^2, 1.0e4 * u[2] * u[3]\ndu[1] = c - a\ndu[2] = a - c - b\ndu[3] = b", True,
        "begin a, b, c = 0.04u[1], 3.0e7 * u[2]^2, 1.0e4 * u[2] * u[3]; SVector(c - a, a - c - b, b) end", 1e-4,
    ),
    Problem(
        "van_der_pol", van_der_pol, np.array([2.0, 0.0]), (0.0, 1.5),
        "du[1] = u[2]\ndu[2] = ((1 - u[1]^2) * u[2] - u[1]) * 1.0e6", True,
        "SVector(u[2], ((1 - u[1]^2) * u[2] - u[1]) * 1.0e6)",
    ),
    Problem(
        "hires", hires, np.array([1.0, 0, 0, 0, 0, 0, 0, 0.0057]), (0.0, 321.8122),
        """r = 280u[6] * u[8]
du[1] = -1.71u[1] + 0.43u[2] + 8.32u[3] + 0.0007
du[2] = 1.71u[1] - 8.75u[2]
du[3] = -10.03u[3] + 0.43u[4] + 0.035u[5]
du[4] = 8.32u[2] + 1.71u[3] - 1.12u[4]
du[5] = -1.745u[5] + 0.43u[6] + 0.43u[7]
du[6] = -r + 0.69u[4] + 1.71u[5] - 0.43u[6] + 0.69u[7]
du[7] = r - 1.81u[7]
du[8] = -r + 1.81u[7]""", True,
    ),
    Problem("pollu", pollu, POLLU_START, (0.0, 60.0), _pollu_julia(), True, atol=1e-6),
    brusselator(32), brusselator(128), line(100_000),
)  # fmt: skip
