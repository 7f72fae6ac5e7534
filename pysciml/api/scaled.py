"""Coordinates of a fit in which everything has size one, for each experiment of a misfit."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..fitting.scaling import network_scales, scaled_parametrization, scaled_start
from ..fitting.trainable import whole_networks
from ..ir.program import Program
from .member import Member
from .misfit import Misfit


def scale_misfit(misfit: Misfit) -> tuple[Callable[[Member, np.ndarray], Program], np.ndarray]:
    """What makes an experiment's parametrization, and the start."""
    problem, blocks, x0 = misfit.problem, misfit.blocks, misfit.x0
    whole = {name for name, layers in whole_networks(blocks).items() if all(layer.bound is None for layer in layers)}
    runs = [(one.problem.u0_values, one.problem.p_values, one.states) for one in misfit.members]
    scales = network_scales(problem.program, problem.p_layout, runs)
    entries = {name: problem.p_layout[name] for name in whole & set(scales)}
    networks = {name: (entry.network, scales[name]) for name, entry in entries.items()}
    fresh = fresh_networks(misfit) & set(entries)
    typical = typical_sizes(misfit)

    def make(member: Member, z0: np.ndarray) -> Program:
        own = member.problem
        values, sizes = (own.u0_values, own.p_values), typical[member.picks]
        return scaled_parametrization(member.blocks, member.x0, *values, networks, sizes, own.initial)

    return make, scaled_start(blocks, x0, networks, fresh, typical)


def fresh_networks(misfit: Misfit) -> set[str]:
    """The networks that are trained whole and still have the weights that were drawn for them."""
    problem = misfit.problem
    entries = {name: problem.p_layout[name] for name in whole_networks(misfit.blocks)}
    return {
        name
        for name, entry in entries.items()
        if np.array_equal(problem.p_values[entry.slice], entry.network.initial_weights(name))
    }


def draw_networks(misfit: Misfit, z: np.ndarray, random: np.random.Generator, names: set[str]) -> np.ndarray:
    """A copy of a start with other weights for some of the networks that are trained whole."""
    drawn, layout = z.copy(), misfit.problem.p_layout
    for name, layers in whole_networks(misfit.blocks).items():
        if name not in names:
            continue
        network = layout[name].network
        weights = replace(network, seed=int(random.integers(2**31))).initial_weights(name)
        for block in layers:
            begin = block.source - layout[name].start
            drawn[block.slice] = weights[begin : begin + block.size]
    return drawn


def typical_sizes(misfit: Misfit) -> np.ndarray:
    """The size of each element of x that starts at zero: 1 for a parameter, the data's spread for an initial value."""
    typical = np.ones(misfit.x0.size)
    for block in misfit.blocks:
        if block.vector == "u0":
            typical[block.slice] = misfit.scales.get(block.name.removeprefix("u0_"), 1.0)
    return typical
