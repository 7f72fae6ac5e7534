"""Equations as a reader sees them."""

import numpy as np
import pytest

from pysciml.ir.evaluate import evaluate_program
from pysciml.ir.format import format_equations
from pysciml.ir.program import Input, ProgramBuilder
from pysciml.networks import MLP


class Sketch(ProgramBuilder):
    """A builder that writes ``b("add", x, 1.0)``: numbers and arrays are constants."""

    def __call__(self, op, *args, attrs=()):
        return self.add(op, [i if isinstance(i, int) else self.constant(i) for i in args], attrs)

    def element(self, vector, k):
        return self("reshape", self("slice", vector, attrs=((k,), (1,), (1,))), attrs=((),))


@pytest.fixture
def b():
    return Sketch([Input("t", ()), Input("u", (2,)), Input("p", (4,))])


LABELS = {"u": ["hare", "lynx"], "p": ["birth", "kill", "grow", "death"]}
PRIMES = {"du": ["hare'", "lynx'"]}


def test_lotka_volterra(b):
    hare, lynx = (b.element(1, k) for k in range(2))
    birth, kill, grow, death = (b.element(2, k) for k in range(4))
    first = b("sub", b("mul", birth, hare), b("mul", b("mul", kill, hare), lynx))
    second = b("sub", b("mul", b("mul", grow, hare), lynx), b("mul", death, lynx))
    program = b.build([("du", b("stack", first, second))])
    assert format_equations(program, LABELS, PRIMES) == [
        "hare' = birth * hare - kill * hare * lynx",
        "lynx' = grow * hare * lynx - death * lynx",
    ]
    assert format_equations(program)[0] == "du[0] = p[0] * u[0] - p[1] * u[0] * u[1]"


def test_network_of_states(b):
    net = MLP(2, 1, width=1, depth=0)
    b = Sketch([Input("t", ()), Input("u", (2,)), Input("p", (4,))])
    weights = b("slice", 2, attrs=((1,), (net.n_weights,), (1,)))
    value = b("network", weights, b("stack", b.element(1, 1), b.element(1, 0)), attrs=net.attrs)
    labels = {"u": ["x", "y"], "p": ["rate", *(f"net[{k}]" for k in range(3))]}
    assert format_equations(b.build([("du", value)]), labels, {"du": ["x'"]}) == ["x' = net([y, x])"]


def test_heat_equation_of_many_cells():
    n = 10_000
    b = Sketch([Input("u", (n,)), Input("p", (1,))])
    parts = [b("slice", 0, attrs=((k,), (n - 2,), (1,))) for k in range(3)]
    inner = b("mul", b.element(1, 0), b("add", b("sub", parts[0], b("mul", 2.0, parts[1])), parts[2]))
    program = b.build([("du", b("update", np.zeros(n), inner, attrs=((1,), (n - 2,), (1,))))])
    labels = {"u": [f"T[{k}]" for k in range(n)], "p": ["k"]}
    assert format_equations(program, labels, {"du": [f"T'[{k}]" for k in range(n)]}) == [
        "T'[0] = 0",
        "T'[1:9999] = k * (T[0:9998] - 2 * T[1:9999] + T[2:10000])",
        "T'[9999] = 0",
    ]


def test_many_equations_are_cut():
    b = Sketch([Input("u", (50,))])
    program = b.build([("du", b("stack", *(b("exp", b.element(0, k)) for k in range(50))))])
    lines = format_equations(program)
    assert len(lines) == 13 and lines[-1] == "..." and lines[11] == "du[11] = exp(u[11])"


def test_long_equations_are_cut_and_soon():
    b = Sketch([Input("x", ())])
    node = 0
    for _ in range(200):
        node = b("mul", b("sin", node), node)
    (line,) = format_equations(b.build([("y", node)]))
    assert len(line) == 160 and line.endswith("...")


X, Y = 0, 1


@pytest.mark.parametrize(
    "make, want",
    [
        (lambda b: b("sub", X, b("sub", Y, X)), "x - (y - x)"),
        (lambda b: b("sub", b("sub", Y, X), X), "y - x - x"),
        (lambda b: b("div", X, b("mul", Y, X)), "x / (y * x)"),
        (lambda b: b("mul", b("add", X, Y), 2.0), "(x + y) * 2"),
        (lambda b: b("neg", b("add", X, Y)), "-(x + y)"),
        (lambda b: b("integer_power", b("neg", X), attrs=(2,)), "(-x) ** 2"),
        (lambda b: b("neg", b("integer_power", X, attrs=(2,))), "-x ** 2"),
        (lambda b: b("add", X, -2.5), "x + (-2.5)"),
        (lambda b: b("pow", X, b("pow", Y, X)), "x ** (y ** x)"),
        (lambda b: b("mul", b("div", X, Y), b("div", X, Y)), "x / y * (x / y)"),
        (lambda b: b("mul", b("exp", b("mul", X, Y)), b("hypot", X, Y)), "exp(x * y) * hypot(x, y)"),
        (lambda b: b("where", b("less", b("add", X, Y), X), X, 0.1), "where(x + y < x, x, 0.1)"),
    ],
)
def test_parentheses(make, want):
    b = Sketch([Input("x", ()), Input("y", ())])
    program = b.build([("z", make(b))])
    assert format_equations(program) == [f"z = {want}"]
    (value,) = evaluate_program(program, 1.3, 0.7)
    scope = {"exp": np.exp, "hypot": np.hypot, "where": np.where, "x": 1.3, "y": 0.7}
    np.testing.assert_allclose(eval(want, scope), value, rtol=1e-14)


def test_arrays():
    b = Sketch([Input("x", (3, 4)), Input("y", (4,))])
    z = b("matmul", X, b("sin", Y))
    lines = format_equations(
        b.build(
            [
                ("a", b("sum", X, attrs=((0,),))),
                ("b", b("max", X, attrs=((0, 1),))),
                ("c", b("slice", X, attrs=((0, 3), (3, 1), (1, 1)))),
                ("d", b("update", X, b("reshape", z, attrs=((3, 1),)), attrs=((0, 1), (3, 1), (1, 1)))),
                ("e", b("slice", b("exp", Y), attrs=((3,), (4,), (-1,)))),
            ]
        )
    )
    assert lines == [
        "a = sum(x, axis=0)",
        "b = max(x)",
        "c = x[:, 3]",
        "d = update(x, [0:3, 1] = x @ sin(y))",
        "e = exp(y)[3::-1]",
    ]


def test_labels_that_do_not_fit_are_not_used(b):
    program = b.build([("du", b("neg", 1))])
    assert format_equations(program, {"u": ["only one"]}, {"du": []}) == ["du = -u"]
