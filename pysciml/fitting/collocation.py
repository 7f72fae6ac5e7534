"""Gradient matching: the distance between a model's rates of change and those of smoothed data, as a Program."""

from typing import NamedTuple

import numpy as np

from ..errors import ProblemError
from ..ir.evaluate import evaluate_program
from ..ir.expand import expand_networks
from ..ir.lanes import batch_program
from ..ir.program import Program, ProgramBuilder
from ..ir.reverse import vjp
from ..ir.rewrite import inline_program
from ..ir.simplify import simplify_program
from ..tracing.layout import Layout
from .observations import Observations

LEAST = 5  # data for a spline whose smoothness is chosen by them


class Smooth(NamedTuple):
    """States ``(point, state)`` and their slopes at ``times (point,)``."""

    times: np.ndarray
    states: np.ndarray
    slopes: np.ndarray


def smooth_states(observations: Observations, states: Layout) -> Smooth:
    """Splines through the data of each state, at the data's times and between them."""
    from scipy.interpolate import CubicSpline, make_smoothing_spline

    times = observations.times
    points = np.unique(np.concatenate([times, (times[1:] + times[:-1]) / 2]))
    values, slopes = (np.empty((points.size, states.size)) for _ in range(2))
    for entry in states.entries:
        for column in range(entry.start, entry.start + entry.size):
            known = np.isfinite(observations.values[:, column])
            if known.sum() < 2:
                raise ProblemError(
                    f"Collocation needs data of every state, and {entry.name!r} has {known.sum()} values"
                )
            fit = make_smoothing_spline if known.sum() >= LEAST else CubicSpline
            try:
                spline = fit(times[known], observations.values[known, column])
            except ValueError as error:  # the spline's equations are singular
                gaps = np.diff(times[known])
                raise ProblemError(
                    f"Collocation: no smooth curve goes through the data of {entry.name!r}, whose times lie between "
                    f"{gaps.min():.3g} and {gaps.max():.3g} apart; such data, often of stiff models, have no slopes to "
                    "match: leave Collocation out"
                ) from error
            values[:, column], slopes[:, column] = spline(points), spline.derivative()(points)
    return Smooth(points, values, slopes)


def matching_program(program: Program, parametrization: Program, smooth: Smooth) -> Program:
    """The mean squared distance ``(1,)`` of rates of change, in units of each state's own, as a function of x."""
    n = len(smooth.times)
    lanes = batch_program(expand_networks(program), ["t", "u"], n)
    size = np.sqrt(np.mean(smooth.slopes**2, axis=0))
    weights = np.tile(1.0 / np.where(size > 0, size, 1.0) ** 2 / smooth.slopes.size, n)
    builder = ProgramBuilder()
    x = builder.add_input("x", parametrization.inputs[0].shape)
    _, p = inline_program(builder, parametrization, [x])
    (rates,) = inline_program(builder, lanes, [builder.constant(smooth.times), builder.constant(smooth.states), p])
    gap = builder.add("reshape", (builder.add("sub", (rates, builder.constant(smooth.slopes))),), ((weights.size,),))
    total = builder.add("matmul", (builder.add("mul", (gap, gap)), builder.constant(weights[:, np.newaxis])))
    return simplify_program(builder.build([("value", total)]))


def minimise(programs: list[tuple[Program, np.ndarray]], x0: np.ndarray, steps: int) -> tuple[np.ndarray, list[float]]:
    """Where the sum of Programs ``(1,)``, each of some elements of x, is least, and its values on the way."""
    from scipy.optimize import minimize

    pairs = [(program, vjp(program, ["x"]), picks) for program, picks in programs]
    values: list[float] = []

    def value_and_gradient(x):
        value, gradient = 0.0, np.zeros_like(x)
        with np.errstate(all="ignore"):
            for program, pullback, picks in pairs:
                value += float(evaluate_program(program, x[picks])[0][0])
                gradient[picks] += evaluate_program(pullback, x[picks], np.ones(1))[0]
        return value, gradient

    def note(intermediate_result):
        values.append(float(intermediate_result.fun))

    start, _ = value_and_gradient(x0)
    if not np.isfinite(start):
        return x0, [start]
    found = minimize(value_and_gradient, x0, jac=True, method="L-BFGS-B", callback=note, options={"maxiter": steps})
    return (found.x, values) if np.isfinite(found.fun) and found.fun <= start else (x0, values)
