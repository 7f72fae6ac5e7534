"""Scaled coordinates of a fit: x = g(z), with every z of size one.

Single shooting in raw units does not learn: a network that is fed t = 1900 or a population of 80 saturates, and one
learning rate can't serve a rate of 3e7 beside one of 0.04. So the optimizer works on z: a parameter is divided by its
own size, bounds become smooth maps, and each network sees inputs of mean 0 and deviation 1 and gives outputs in units
of the data's rate of change. For a network this is a linear map of the first and last layers' weights, so the model's
Program stays as it is, and the fitted weights are those of the user's own network.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..ir.evaluate import evaluate_nodes, evaluate_program
from ..ir.program import Program, ProgramBuilder
from ..networks import MLP
from ..tracing.layout import Layout
from .observations import Observations, fill_gaps, rates_of_change
from .trainable import Block, Interval, Positive, add_scatter


@dataclass(frozen=True, eq=False)
class NetworkScale:
    """A network inside the fit: inputs ``(x - center) / spread`` (past ``input_range``), outputs times ``unit``."""

    center: np.ndarray
    spread: np.ndarray
    unit: np.ndarray


def network_scales(
    program: Program, p: Layout, runs: Sequence[tuple[np.ndarray, np.ndarray, Observations]]
) -> dict[str, NetworkScale]:
    """The scale of each network that the model calls, from the values that its inputs take along the data.

    ``runs`` holds the initial state, the parameters and the observed states of each experiment.
    """
    points = []
    for u0, p0, observations in runs:
        states = fill_gaps(observations, u0)
        points += [(t, state, p0) for t, state in zip(observations.times, states, strict=True)]
    rates = rates_of_change([observations for _, _, observations in runs])
    return {
        entry.name: NetworkScale(
            *_input_scale(program, entry.network, entry.start, points),
            _output_unit(program, entry.network, entry.start, points, rates),
        )
        for entry in p.entries
        if entry.network is not None and find_calls(program, entry.start, entry.size)
    }


def find_calls(program, start, size):
    """Positions of the network nodes whose weights are this stretch of ``p``."""
    found = []
    for position, node in enumerate(program.nodes):
        if node.op == "network":
            weights = program.nodes[node.args[0]]
            first = weights.attrs[0][0] if weights.op == "slice" else 0
            if first == start and weights.size == size:
                found.append(position)
    return found


def _input_scale(program, network, start, points):
    calls = find_calls(program, start, network.n_weights)
    seen = []
    for point in points:
        values = evaluate_nodes(program, *point)
        seen += [np.reshape(values[program.nodes[call].args[1]], (-1, network.in_size)) for call in calls]
    inputs = np.concatenate(seen)
    if network.input_range is not None:
        low, high = np.array(network.input_range).T
        inputs = 2.0 * (inputs - low) / (high - low) - 1.0
    inputs = inputs[np.isfinite(inputs).all(axis=1)]
    if not len(inputs):
        return np.zeros(network.in_size), np.ones(network.in_size)
    spread = np.std(inputs, axis=0)
    return np.mean(inputs, axis=0), np.where(spread > 0, spread, 1.0)


def _output_unit(program, network, start, points, rates):
    """What one unit of a scaled output should be: a change that moves some state at the rate seen in the data.

    The effect of an output is measured by a finite difference in the last bias. The smallest unit over the states wins.
    """
    if network.final_activation not in (None, "identity"):
        return np.ones(network.out_size)  # the activation fixes the output's range
    bias = start + network.layers[-1].bias.start
    units = np.ones(network.out_size)
    for k in range(network.out_size):
        effects = [np.abs(_bias_effect(program, point, bias + k)) for point in points]
        effect = np.sqrt(np.mean(np.square(effects), axis=0))
        is_moved = (effect > 0) & np.isfinite(effect) & (rates > 0)
        if is_moved.any():
            units[k] = np.min(rates[is_moved] / effect[is_moved])
    return units


def _bias_effect(program, point, position, step=1e-5):
    t, u, p = point
    up, down = np.array(p), np.array(p)
    up[position] += step
    down[position] -= step
    return (evaluate_program(program, t, u, up)[0] - evaluate_program(program, t, u, down)[0]) / (2 * step)


def scaled_parametrization(
    blocks: Sequence[Block],
    x0: np.ndarray,
    u0: np.ndarray,
    p0: np.ndarray,
    networks: dict[str, tuple[MLP, NetworkScale]],
    typical: np.ndarray,
    initial: Program | None = None,
) -> Program:
    """The Program ``z -> u0, p`` of a fit.

    ``networks`` holds spec and scale, by name, of the networks that are trained whole and without bounds;
    ``typical (k,)`` is the size of each element of ``x`` whose start value is zero; ``initial`` the Program ``p -> u0``
    where the initial state follows from ``p``.
    """
    builder = ProgramBuilder()
    z = builder.add_input("x", (x0.size,))
    names = {block.name: block for block in blocks}
    pieces = []
    for block in blocks:
        part = builder.add("slice", (z,), ((block.start,), (block.size,), (1,)))
        if block.network in networks:
            pieces.append(_add_layer(builder, z, part, block, names, *networks[block.network]))
        else:
            pieces.append(_add_bounded(builder, part, block, natural_size(block, x0, typical)))
    x = builder.add("concatenate", pieces, (0,)) if len(pieces) > 1 else pieces[0]
    return add_scatter(builder, blocks, x, u0, p0, initial)


def _add_bounded(builder, part, block, size):
    """The map of a parameter, an initial value, or a network that keeps its own units."""
    if isinstance(block.bound, Positive):
        return builder.add("mul", (builder.constant(size), builder.add("exp", (part,))))
    if isinstance(block.bound, Interval):
        half = builder.constant(0.5 * (block.bound.hi - block.bound.lo))
        middle = builder.constant(0.5 * (block.bound.hi + block.bound.lo))
        bent = builder.add("tanh", (part,))
        return builder.add("add", (middle, builder.add("mul", (half, bent))))
    return builder.add("mul", (builder.constant(size), part))


def natural_size(block: Block, x0: np.ndarray, typical: np.ndarray) -> np.ndarray:
    """The size of each element ``block.shape``, flat: that of its block's start values, where they have one."""
    start = x0[block.slice]
    if isinstance(block.bound, Positive):
        return np.abs(start)
    if block.network is not None:
        return np.ones(block.size)
    size = np.sqrt(np.mean(start**2))
    return np.full(block.size, size) if size > 0 else typical[block.slice]


def _add_layer(builder, z, part, block, names, network, scale):
    """A layer's weight or bias in the network's own units, from its scaled ones."""
    owner, index, kind = block.name.rsplit(".", 2)
    first, last = int(index) == 0, int(index) == network.depth
    layer = network.layers[int(index)]
    factor = np.ones((layer.in_size, layer.out_size) if kind == "weight" else layer.out_size)
    if last:
        factor = factor * scale.unit
    if first and kind == "weight":
        factor = factor / scale.spread[:, None]
    node = builder.add("mul", (builder.constant(factor.ravel()), part))
    if first and kind == "bias":  # the bias takes the shift of the inputs along
        weight = names[f"{owner}.{index}.weight"]
        matrix = builder.add("slice", (z,), ((weight.start,), (weight.size,), (1,)))
        matrix = builder.add("reshape", (matrix,), ((layer.in_size, layer.out_size),))
        shift = builder.add("matmul", (builder.constant(scale.center / scale.spread), matrix))
        unit = builder.constant(scale.unit if last else np.ones(layer.out_size))
        node = builder.add("sub", (node, builder.add("mul", (unit, shift))))
    return node


def scaled_start(
    blocks: Sequence[Block],
    x0: np.ndarray,
    networks: dict[str, tuple[MLP, NetworkScale]],
    fresh: set[str],
    typical: np.ndarray,
) -> np.ndarray:
    """``z`` at the start of a fit.

    A network with its drawn weights (``fresh``) starts from the same numbers in scaled units, where they are of use;
    one that has learnt already keeps the function it has.
    """
    z = np.zeros(x0.size)
    names = {block.name: block for block in blocks}
    for block in blocks:
        start = x0[block.slice]
        if block.network in networks:
            z[block.slice] = start if block.network in fresh else _unscale(block, x0, names, *networks[block.network])
        elif isinstance(block.bound, Interval):
            lo, hi = block.bound.lo, block.bound.hi
            z[block.slice] = np.arctanh((2 * start - lo - hi) / (hi - lo))
        elif block.bound is None:
            z[block.slice] = start / natural_size(block, x0, typical)
    return z


def _unscale(block, x0, names, network, scale):
    """Inverse of ``_add_layer`` at ``x0``."""
    owner, index, kind = block.name.rsplit(".", 2)
    first, last = int(index) == 0, int(index) == network.depth
    layer = network.layers[int(index)]
    unit = scale.unit if last else np.ones(layer.out_size)
    values = x0[block.slice]
    if kind == "weight":
        spread = scale.spread[:, None] if first else 1.0
        return (values.reshape(layer.in_size, layer.out_size) * spread / unit).ravel()
    if first:
        weight = names[f"{owner}.{index}.weight"]
        values = values + scale.center @ x0[weight.slice].reshape(layer.in_size, layer.out_size)
    return values / unit
