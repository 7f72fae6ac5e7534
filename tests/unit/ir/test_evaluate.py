"""The oracle: every operation against NumPy written by hand, NaN and infinity as values, shapes checked."""

import time

import numpy as np
import pytest
from support.programs import random_programs

from pysciml.errors import ProblemError
from pysciml.ir.evaluate import EVALUATE, evaluate_nodes, evaluate_program, slice_index
from pysciml.ir.network import ACTIVATIONS, count_weights
from pysciml.ir.ops import BOOL, OPERATIONS
from pysciml.ir.program import Input, ProgramBuilder
from pysciml.networks import ACTIVATIONS as WORDS
from pysciml.networks import MLP

A = np.arange(24.0).reshape(2, 3, 4) - 7
X = np.array([-2.5, -0.5, 0.0, 0.5, 1.5])


def compute(op, *inputs, attrs=()):
    """One operation as a Program."""
    builder = ProgramBuilder([Input(f"x{k}", np.shape(x)) for k, x in enumerate(inputs)])
    program = builder.build([("y", builder.add(op, range(len(inputs)), attrs))])
    (value,) = evaluate_program(program, *inputs)
    assert value.shape == program.nodes[-1].shape
    return value


def test_table_is_that_of_the_operations():
    assert EVALUATE.keys() == OPERATIONS.keys()


@pytest.mark.parametrize(
    "op, inputs, attrs, want",
    [
        ("sum", (A,), ((0, 2),), A.sum(axis=(0, 2))),
        ("sum", (A,), ((),), A),
        ("prod", (A,), ((1,),), A.prod(axis=1)),
        ("max", (A,), ((0, 1, 2),), 16.0),
        ("min", (A,), ((2,),), A.min(axis=2)),
        ("cumsum", (A,), (1,), A.cumsum(axis=1)),
        ("matmul", (A, np.ones((4, 2))), (), A @ np.ones((4, 2))),
        ("matmul", (np.ones(3), np.arange(3.0)), (), 3.0),
        ("reshape", (A,), ((4, 6),), A.reshape(4, 6)),
        ("broadcast", (np.ones((3, 1)),), ((2, 1, 4),), np.ones((2, 3, 4))),
        ("transpose", (A,), ((2, 0, 1),), A.transpose(2, 0, 1)),
        ("stack", (X, -X), (), np.stack([X, -X])),
        ("concatenate", (A, A[:, :1]), (1,), np.concatenate([A, A[:, :1]], 1)),
        ("slice", (A,), ((1, 2, 0), (1, 3, 2), (1, -1, 3)), A[1:, ::-1, ::3]),
        ("slice", (X,), ((0,), (0,), (1,)), X[:0]),
        ("gather", (A,), ((5, 5, 0, 23), (2, 2)), A.ravel()[[[5, 5], [0, 23]]]),
        ("update", (X, np.ones(2)), ((4,), (2,), (-2,)), [-2.5, -0.5, 1, 0.5, 1]),
        ("scatter", (X, np.array([8.0, 9.0])), ((3, 0),), [9, -0.5, 0, 8, 1.5]),
        ("interp", (X, np.array([-1.0, 0.0, 1.0]), np.array([3.0, 5.0, 4.0])), (), [3, 4, 5, 4.5, 4]),
        ("integer_power", (X,), (-2,), [0.16, 4, np.inf, 4, 1 / 2.25]),
        ("pow", (X, np.array(0.5)), (), [np.nan, np.nan, 0, 0.5**0.5, 1.5**0.5]),
        ("mod", (X, np.array(0.0)), (), [np.nan] * 5),
        ("mod", (X, np.array(2.0)), (), [1.5, 1.5, 0, 0.5, 1.5]),
        ("div", (X, np.array(0.0)), (), [-np.inf, -np.inf, np.nan, np.inf, np.inf]),
        ("log", (X,), (), [np.nan, np.nan, -np.inf, np.log(0.5), np.log(1.5)]),
        ("round", (X,), (), [-2, -0.0, 0, 0, 2]),
        ("sign", (X,), (), [-1, -1, 0, 1, 1]),
        ("less_equal", (X, np.array(0.0)), (), [True, True, True, False, False]),
        ("copysign", (X, np.array(-0.0)), (), -np.abs(X)),
        ("maximum", (X, np.array(np.nan)), (), [np.nan] * 5),
    ],
)
def test_operation(op, inputs, attrs, want):
    np.testing.assert_allclose(compute(op, *inputs, attrs=attrs), want, rtol=1e-15, atol=0)


@pytest.mark.parametrize("op", [op for op, row in OPERATIONS.items() if row.kind == "elementwise"])
def test_elementwise_is_numpys(op):
    rng = np.random.default_rng(1)
    row = OPERATIONS[op]
    args = [rng.uniform(0.1, 0.9, (2, 3)) for _ in range(row.arity)]
    if row.takes == BOOL:
        args = [a > 0.5 for a in args]
    if op == "arccosh":
        args[0] = args[0] + 1
    if op == "where":
        args[0] = args[0] > 0.5
    if op == "interp":
        args = [args[0], np.array([0.2, 0.5]), np.array([1.0, 3.0])]
    attrs = (3,) if op == "integer_power" else ()
    own = {"integer_power": lambda x: x**3, "to_float": lambda x: x.astype(float), "neg": np.negative, "pow": np.power}
    own |= {"zero_product": np.multiply, "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide}
    want = (own[op] if op in own else getattr(np, op))(*args)
    np.testing.assert_array_equal(EVALUATE[op](*attrs)(*args), want, strict=True)


def test_warnings_are_silent():
    with np.errstate(all="raise"):
        compute("div", X, np.array(0.0))
        compute("exp", 1e6 * X)


def test_slice_index_reaches_the_first_element_backwards():
    assert X[slice_index((4,), (3,), (-2,))].tolist() == [1.5, 0.0, -2.5]


def test_values_are_contiguous():
    for program, inputs in random_programs(200, seed=3):
        assert all(np.asarray(v).flags.c_contiguous for v in evaluate_nodes(program, *inputs))


def test_wrong_inputs_are_named():
    builder = ProgramBuilder([Input("t", ()), Input("u", (3,))])
    program = builder.build([("y", builder.add("mul", (0, 1)))])
    with pytest.raises(ProblemError, match=r"'u' .*shape \(3,\), got \(2,\)"):
        evaluate_program(program, 0.0, [1.0, 2.0])
    with pytest.raises(ProblemError, match=r"2 inputs \(t, u\), got 1"):
        evaluate_program(program, 0.0)


def test_small_programs_are_fast():
    builder = ProgramBuilder([Input("u", (4,))])
    node = 0
    for _ in range(30):
        node = builder.add("add", (node, 0))
    program = builder.build([("y", node)])
    evaluate_program(program, X[:4])
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        for _ in range(100):
            evaluate_program(program, X[:4])
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.1  # about 25 microseconds each where this was written


@pytest.mark.parametrize(
    "word, want",
    [
        ("tanh", np.tanh(X)),
        ("relu", [0, 0, 0, 0.5, 1.5]),
        ("sigmoid", 1 / (1 + np.exp(-X))),
        ("softplus", np.log1p(np.exp(X))),
        ("gelu", 0.5 * X * (1 + np.tanh(np.sqrt(2 / np.pi) * (X + 0.044715 * X**3)))),
        ("swish", X / (1 + np.exp(-X))),
        ("sin", np.sin(X)),
        ("identity", X),
    ],
)
def test_activation(word, want):
    value = ACTIVATIONS[word](lambda name, *args, attrs=(): EVALUATE[name](*attrs)(*args), X)
    np.testing.assert_allclose(value, want, rtol=1e-14, atol=1e-16)


def test_activations_are_those_of_the_networks():
    assert tuple(ACTIVATIONS) == WORDS


def test_sigmoid_and_softplus_do_not_overflow():
    def op(name, *args, attrs=()):
        return EVALUATE[name](*attrs)(*args)

    with np.errstate(over="raise"):
        assert ACTIVATIONS["sigmoid"](op, np.array(-1e4)) == 0
        assert ACTIVATIONS["softplus"](op, np.array(1e4)) == 1e4


@pytest.mark.parametrize("depth", [0, 1, 3])
def test_network_reads_weights_as_its_layers_lie(depth):
    net = MLP(2, 3, width=4, depth=depth, input_range=[(1900, 2000), (-1, 1)], final_activation="relu")
    weights = np.random.default_rng(2).normal(size=net.n_weights)
    x = np.array([[1920.0, 0.3], [1950.0, -0.2]])
    hidden = np.stack([(x[:, 0] - 1900) / 50 - 1, x[:, 1]], axis=1)
    for layer in net.layers:
        matrix = weights[layer.weight].reshape((layer.out_size, layer.in_size), order="F")
        hidden = hidden @ matrix.T + weights[layer.bias]
        hidden = np.tanh(hidden) if layer.index < depth else np.maximum(hidden, 0)
    np.testing.assert_allclose(compute("network", weights, x, attrs=net.attrs), hidden, rtol=1e-13, atol=1e-14)
    assert count_weights(2, 3, 4, depth) == net.n_weights
