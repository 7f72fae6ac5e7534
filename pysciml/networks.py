"""Network specs: sizes, activations and the layout of their weights in one flat vector. No weights of a runtime."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .errors import ProblemError

ACTIVATIONS = ("tanh", "relu", "sigmoid", "softplus", "gelu", "swish", "sin", "identity")


@dataclass(frozen=True)
class Layer:
    """Where a layer's weight ``(out, in)`` (column-major) and bias ``(out,)`` lie in the network's flat vector."""

    index: int
    in_size: int
    out_size: int
    start: int

    @property
    def weight(self) -> slice:
        return slice(self.start, self.start + self.in_size * self.out_size)

    @property
    def bias(self) -> slice:
        return slice(self.weight.stop, self.weight.stop + self.out_size)


def network_layers(in_size: int, out_size: int, width: int, depth: int) -> tuple[Layer, ...]:
    """The layers of a multilayer perceptron, in order: weight then bias, one layer after the other."""
    sizes = [in_size] + [width] * depth + [out_size]
    layers, start = [], 0
    for index, (n_in, n_out) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        layers.append(Layer(index, n_in, n_out, start))
        start = layers[-1].bias.stop
    return tuple(layers)


@dataclass(frozen=True, init=False)
class MLP:
    """A multilayer perceptron: a parameter that can be called inside a model, ``p.net([u.x, u.y])``.

    Parameters
    ----------
    in_size, out_size : int
        Number of inputs and outputs (the last axis; leading axes are batch).
    width : int
        Neurons in each hidden layer.
    depth : int
        Number of hidden layers; 0 is an affine map.
    activation : str, default "tanh"
        One of ``tanh, relu, sigmoid, softplus, gelu, swish, sin, identity``, after each hidden layer.
    final_activation : str, optional
        The same words, after the last layer; None is the identity.
    input_range : sequence of (low, high), optional
        One pair an input, in the input's unit: maps it to [-1, 1] before the first layer, so that an input such as
        t = 1900 does not saturate the activation.
    seed : int, default 0
        Seed of the initial weights, mixed with the name that the network has in ``p``.

    Raises
    ------
    ProblemError
        For sizes that are not positive integers, an unknown activation, or an ``input_range`` that does not fit.

    Notes
    -----
    Weights are Glorot-normal (variance ``2 / (in + out)``), the last layer times 0.1, biases zero. In the flat vector
    each layer is its weight ``(out, in)`` column-major, then its bias: the memory of a Lux ``Chain`` of ``Dense``.

    References
    ----------
    Glorot, Bengio (2010), Understanding the difficulty of training deep feedforward neural networks, AISTATS 9,
    249-256.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.MLP(2, 2, width=16, depth=2).n_weights
    354
    """

    in_size: int
    out_size: int
    width: int
    depth: int
    activation: str
    final_activation: str | None
    input_range: tuple[tuple[float, float], ...] | None
    seed: int

    def __init__(
        self,
        in_size: int,
        out_size: int,
        *,
        width: int,
        depth: int,
        activation: str = "tanh",
        final_activation: str | None = None,
        input_range: Sequence[tuple[float, float]] | None = None,
        seed: int = 0,
    ):
        for label, value, least in (
            ("in_size", in_size, 1),
            ("out_size", out_size, 1),
            ("width", width, 1),
            ("depth", depth, 0),
            ("seed", seed, 0),
        ):
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
                raise ProblemError(f"MLP: {label} must be an integer of at least {least}, got {value!r}")
        for label, word in (("activation", activation), ("final_activation", final_activation)):
            if word not in ACTIVATIONS and not (word is None and label == "final_activation"):
                raise ProblemError(f"MLP: {label} must be one of {', '.join(ACTIVATIONS)}, got {word!r}")
        if input_range is not None:
            input_range = _check_input_range(input_range, in_size)
        values = (
            int(in_size),
            int(out_size),
            int(width),
            int(depth),
            activation,
            final_activation,
            input_range,
            int(seed),
        )
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)

    @property
    def attrs(self) -> tuple:
        """The attributes of this network's node in a Program (all but the seed)."""
        return (
            self.in_size,
            self.out_size,
            self.width,
            self.depth,
            self.activation,
            self.final_activation,
            self.input_range,
        )

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Where each layer lies in the flat vector."""
        return network_layers(self.in_size, self.out_size, self.width, self.depth)

    @property
    def n_weights(self) -> int:
        """Length of the flat vector."""
        return self.layers[-1].bias.stop

    def initial_weights(self, name: str) -> np.ndarray:
        """The drawn weights ``(n_weights,)``: a function of the seed and of the network's name in ``p`` only."""
        mixed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little")
        rng = np.random.Generator(np.random.PCG64([self.seed, mixed]))
        flat = np.zeros(self.n_weights)
        for layer in self.layers:
            scale = np.sqrt(2.0 / (layer.in_size + layer.out_size)) * (0.1 if layer.index == self.depth else 1.0)
            flat[layer.weight] = scale * rng.standard_normal(layer.in_size * layer.out_size)
        return flat


def _check_input_range(input_range, in_size):
    """The ranges as a tuple of float pairs; ProblemError if they do not fit."""
    try:
        pairs = tuple((float(low), float(high)) for low, high in input_range)
    except (TypeError, ValueError):
        raise ProblemError(f"MLP: input_range must be {in_size} pairs (low, high), got {input_range!r}") from None
    if len(pairs) != in_size or any(not (np.isfinite([a, b]).all() and a < b) for a, b in pairs):
        raise ProblemError(
            f"MLP: input_range must be {in_size} finite pairs (low, high) with low < high, got {input_range!r}"
        )
    return pairs
