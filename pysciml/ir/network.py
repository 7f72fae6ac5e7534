"""What a ``network`` node means, in other operations: written once for the evaluator, the error bound and ``expand``.

Each function takes ``op(name, *args, attrs=())``, which applies one operation; plain numbers and arrays among the
arguments are constants. An evaluator's ``op`` computes, a builder's ``op`` records a node.
"""

import math

import numpy as np


def _sigmoid(op, x):
    """Logistic function as ``(1 + tanh(x / 2)) / 2``: never overflows."""
    return op("mul", 0.5, op("add", 1.0, op("tanh", op("mul", 0.5, x))))


def _softplus(op, x):
    """``log(1 + exp(x))`` as ``max(x, 0) + log1p(exp(-|x|))``: never overflows."""
    return op("add", op("maximum", x, 0.0), op("log1p", op("exp", op("neg", op("abs", x)))))


def _gelu(op, x):
    """The tanh approximation ``x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2``, which is what Lux calls gelu."""
    cubic = op("add", x, op("mul", 0.044715, op("integer_power", x, attrs=(3,))))
    gate = op("add", 1.0, op("tanh", op("mul", math.sqrt(2 / math.pi), cubic)))
    return op("mul", op("mul", 0.5, x), gate)


ACTIVATIONS = {
    "tanh": lambda op, x: op("tanh", x),
    "relu": lambda op, x: op("maximum", x, 0.0),
    "sigmoid": _sigmoid,
    "softplus": _softplus,
    "gelu": _gelu,
    "swish": lambda op, x: op("mul", x, _sigmoid(op, x)),
    "sin": lambda op, x: op("sin", x),
    "identity": lambda op, x: x,
}


def count_weights(in_size: int, out_size: int, width: int, depth: int) -> int:
    """Length of the flat vector of weights that a network node takes."""
    sizes = [in_size, *[width] * depth, out_size]
    return sum((n_in + 1) * n_out for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True))


def apply_network(op, attrs: tuple, weights, x):
    """The network of a node's ``attrs`` on the flat ``weights`` and on the last axis of ``x``, through ``op``.

    A layer's weight ``(out, in)`` lies column-major in the flat vector: in C order that memory is ``(in, out)``,
    so that a layer is ``activation(x @ w + b)``.
    """
    in_size, out_size, width, depth, activation, final_activation, input_range = attrs
    if input_range is not None:
        low, high = np.array(input_range, dtype=float).T
        x = op("sub", op("mul", op("sub", x, low), 2.0 / (high - low)), 1.0)
    sizes = [in_size, *[width] * depth, out_size]
    start = 0
    for index, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        n = n_in * n_out
        weight = op("reshape", op("slice", weights, attrs=((start,), (n,), (1,))), attrs=((n_in, n_out),))
        bias = op("slice", weights, attrs=((start + n,), (n_out,), (1,)))
        x = op("add", op("matmul", x, weight), bias)
        x = ACTIVATIONS[(activation if index < depth else final_activation) or "identity"](op, x)
        start += n + n_out
    return x
