"""Networks as values: what ``p.net`` is, inside a model and outside."""

import numpy as np

from ..ir.evaluate import evaluate_program
from ..ir.program import Input, ProgramBuilder
from ..networks import MLP
from .lifting import lift, record, to_float
from .remedies import NotANumber
from .source import TraceAttributeError, trace_error
from .tracer import Traced


class Network(NotANumber):
    """A network with its weights: callable on the last axis of an array, ``p.net([u.x, u.y])``."""

    def __init__(self, spec: MLP, weights):
        self._spec = spec
        self._weights = weights

    def __call__(self, x):
        if isinstance(self._weights, Traced) or holds_traced(x):
            return self._trace(x)
        x = np.asarray(x, dtype=float)
        if x.ndim == 0 or x.shape[-1] != self._spec.in_size:
            raise _wrong_shape(self._spec, x.shape)
        builder = ProgramBuilder([Input("weights", (self._spec.n_weights,)), Input("x", x.shape)])
        node = builder.add("network", (0, 1), self._spec.attrs)
        return np.asarray(evaluate_program(builder.build([("y", node)]), self._weights, x)[0])

    def _trace(self, x):
        value = to_float(lift(x))
        if value.ndim == 0 or value.shape[-1] != self._spec.in_size:
            raise _wrong_shape(self._spec, value.shape)
        return record("network", self._weights, value, attrs=self._spec.attrs)

    def _key(self):
        if isinstance(self._weights, Traced):
            raise trace_error("networks can't be compared inside a model", "")
        return self._spec, np.asarray(self._weights).tobytes()

    def __eq__(self, other):
        return isinstance(other, Network) and self._key() == other._key()

    def __hash__(self):
        return hash(self._key())

    def __repr__(self):
        s = self._spec
        return f"<network {s.in_size} -> {s.out_size}, width {s.width}, depth {s.depth}, {s.n_weights} weights>"

    def __refuse__(self):
        return trace_error(f"{self!r} is a network, not a number or array", "Call it: `p.net([u.x, u.y])`.")

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise trace_error(
            f"a network has no .{name}", "It can be called: `p.net([u.x, u.y])`.", kind=TraceAttributeError
        )

    def __reduce__(self):
        return Network, (self._spec, np.asarray(self._weights))


def network_parts(network: Network) -> tuple[MLP, np.ndarray]:
    """The spec and the flat weights ``(n_weights,)`` of a network outside a model."""
    return network._spec, np.asarray(network._weights)


def holds_traced(x) -> bool:
    """Whether a value is traced, or holds something traced."""
    if isinstance(x, list | tuple):
        return any(holds_traced(item) for item in x)
    if isinstance(x, Traced) or isinstance(getattr(x, "data", None), Traced):
        return True
    return isinstance(x, np.ndarray) and x.dtype == object


def _wrong_shape(spec, shape):
    n = spec.in_size
    remedy = (
        "Write p.net([x]) for one number, or p.net(x[..., None]) for an array of them."
        if n == 1
        else f"The last axis holds the {n} inputs: p.net([a, b]) of numbers, np.stack([a, b], axis=-1) of arrays."
    )
    return trace_error(f"the network takes {n} input{'s' * (n > 1)} on its last axis, got shape {shape}", remedy)
