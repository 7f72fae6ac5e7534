"""Penalties and priors: what is added to a loss, as Programs of x."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import lgamma, log, pi

import numpy as np

from ..errors import ProblemError
from ..ir.program import Program, ProgramBuilder
from ..ir.rewrite import inline_program
from ..ir.simplify import simplify_program
from ..tracing.layout import Layout, make_layout
from ..tracing.trace import trace_initial, trace_observables
from ..words import nearest
from .trainable import Block


@dataclass(frozen=True)
class L2:
    """The sum of squares of trained values, times a strength: the penalty of ridge regression and weight decay.

    Parameters
    ----------
    strength : float
        Positive, in units of the loss over those of the values squared.
    names : str, default "*"
        Name or glob of what is penalised; a network's own name stands for all its layers.

    Raises
    ------
    ProblemError
        If the strength isn't positive and finite.

    Examples
    --------
    >>> import pysciml as ps
    >>> ps.L2(1e-4, names="net")
    L2(strength=0.0001, names='net')
    """

    strength: float
    names: str = "*"

    def __post_init__(self):
        if isinstance(self.strength, bool) or not isinstance(self.strength, int | float | np.number):
            raise ProblemError(f"L2: strength must be a positive number, got {self.strength!r}")
        if not 0 < self.strength < np.inf:
            raise ProblemError(f"L2: strength must be positive and finite, got {self.strength!r}")


def read_penalties(penalty) -> dict[str, L2 | Callable]:
    """Penalties by name; ProblemError for what isn't one."""
    if penalty is None:
        return {}
    if isinstance(penalty, Mapping):
        found = dict(penalty)
    else:
        listed = penalty if isinstance(penalty, list | tuple) else [penalty]
        found = {}
        for k, one in enumerate(listed):
            word = "L2" if isinstance(one, L2) else getattr(one, "__name__", "<lambda>").replace("<lambda>", "penalty")
            found[f"{word}_{k}" if word in found else word] = one
    for name, one in found.items():
        if not isinstance(one, L2) and (not callable(one) or isinstance(one, type)):
            raise ProblemError(
                f"penalty {name!r} must be ps.L2(...), or a function penalty(p) or penalty(t, u, p), got {one!r}"
            )
    return found


def split_penalties(penalty, u: Layout, p: Layout) -> tuple[dict[str, L2 | Callable], dict[str, Program]]:
    """Penalties of parameters, and Programs ``(1,)`` of time, state and parameters for those of the path."""
    found = read_penalties(penalty)
    path = {name: _path_program(name, one, u, p) for name, one in found.items() if _sees_path(one)}
    return {name: one for name, one in found.items() if name not in path}, path


def _sees_path(one):
    """Whether a penalty is a function of time, state and parameters, not of parameters alone."""
    if isinstance(one, L2):
        return False
    try:
        parameters = inspect.signature(one).parameters.values()
    except (TypeError, ValueError):  # functions written in C do not tell
        return False
    return sum(q.default is q.empty and q.kind in (q.POSITIONAL_ONLY, q.POSITIONAL_OR_KEYWORD) for q in parameters) > 1


def _path_program(name, function, u, p):
    program, layout = trace_observables(function, u, p)
    if layout.form != "scalar":
        raise ProblemError(f"penalty {name!r}: the function must return a single number, got {layout.form}")
    builder = ProgramBuilder(program.inputs)
    (value,) = inline_program(builder, program, range(3))
    return builder.build([("value", builder.add("reshape", (value,), ((1,),)))])


def penalty_program(one: L2 | Callable, blocks: Sequence[Block], values: Program, p: Layout) -> Program:
    """A penalty ``(1,)`` of x, where ``values`` maps x to what is trained, in natural units, and to ``p``."""
    builder = ProgramBuilder()
    x = builder.add_input("x", values.inputs[0].shape)
    natural, parameters = inline_program(builder, values, [x])
    if isinstance(one, L2):
        return _squares(builder, one, blocks, natural)
    program, layout = trace_initial(_check_scalar(one), p)
    if layout.size != 1:
        raise ProblemError(f"penalty: the function must return a single number, got {layout.size}")
    (found,) = inline_program(builder, program, [parameters])
    return simplify_program(builder.build([("value", builder.add("reshape", (found,), ((1,),)))]))


def _check_scalar(function):
    def penalty(p):
        return np.stack([function(p)])

    return penalty


def _squares(builder, one, blocks, natural):
    chosen = [b for b in blocks if fnmatchcase(b.name, one.names) or (b.network and fnmatchcase(b.network, one.names))]
    if not chosen:
        known = [b.network or b.name for b in blocks]
        raise ProblemError(f"L2: {one.names!r} names nothing that is trained{nearest(one.names, known)}")
    (k,) = builder.nodes[natural].shape
    weights = np.zeros((k, 1))
    for block in chosen:
        weights[block.slice] = one.strength
    squared = builder.add("mul", (natural, natural))
    return simplify_program(builder.build([("value", builder.add("matmul", (squared, builder.constant(weights))))]))


# ---- priors

_DENSITIES: dict[str, Callable] = {  # minus the logarithms of the standard densities, of SciPy's names and shapes
    "norm": lambda z: 0.5 * z**2 + 0.5 * log(2 * pi),
    "lognorm": lambda z, s: 0.5 * (np.log(z) / s) ** 2 + np.log(z) + log(s * np.sqrt(2 * pi)),
    "halfnorm": lambda z: 0.5 * z**2 - 0.5 * log(2 / pi),
    "expon": lambda z: z,
    "gamma": lambda z, a: z - (a - 1) * np.log(z) + lgamma(a),
    "invgamma": lambda z, a: 1 / z + (a + 1) * np.log(z) + lgamma(a),
    "beta": lambda z, a, b: -(a - 1) * np.log(z) - (b - 1) * np.log(1 - z) + lgamma(a) + lgamma(b) - lgamma(a + b),
    "uniform": lambda z: 0.0 * z,
    "laplace": lambda z: np.abs(z) + log(2),
    "cauchy": lambda z: np.log(1 + z**2) + log(pi),
    "halfcauchy": lambda z: np.log(1 + z**2) + log(pi / 2),
    "t": lambda z, df: (
        (df + 1) / 2 * np.log(1 + z**2 / df) + lgamma(df / 2) + 0.5 * log(pi * df) - lgamma((df + 1) / 2)
    ),
}


def read_priors(priors, blocks: Sequence[Block]) -> dict[str, tuple]:
    """Frozen distributions of scipy.stats by the name of what is trained; ProblemError for anything else."""
    if priors is None:
        return {}
    if not isinstance(priors, Mapping):
        raise ProblemError(
            "priors must be a dict of scipy.stats distributions by name: {'k': scipy.stats.norm(1, 0.1)}"
        )
    names = [block.name for block in blocks]
    found = {}
    for name, prior in priors.items():
        if name not in names:
            raise ProblemError(f"priors: {name!r} isn't trained (these are: {', '.join(names)}){nearest(name, names)}")
        kind = getattr(getattr(prior, "dist", None), "name", None)
        if kind is None:
            raise ProblemError(
                f"priors[{name!r}] must be a distribution of scipy.stats with its numbers, such as "
                f"scipy.stats.lognorm(0.5), got {prior!r}; a scale that is itself fitted has a degenerate maximum: "
                "sample it instead"
            )
        if kind not in _DENSITIES:
            raise ProblemError(f"priors[{name!r}]: {kind!r} isn't known; one of {', '.join(_DENSITIES)}")
        shapes, loc, scale = prior.dist._parse_args(*prior.args, **prior.kwds)
        if not all(np.ndim(one) == 0 for one in (*shapes, loc, scale)):
            raise ProblemError(f"priors[{name!r}]: its numbers must be single ones, the same for all elements")
        found[name] = (kind, tuple(map(float, shapes)), float(loc), float(scale))
    return found


def prior_program(prior: tuple, block_slices: Sequence[slice], values: Program) -> Program:
    """Minus the logarithm of a prior density ``(1,)``, summed over some elements of what is trained."""
    kind, shapes, loc, scale = prior
    places = np.concatenate([np.arange(one.start, one.stop) for one in block_slices])
    size = values.nodes[values.outputs[0].node].size
    layout = make_layout("array", {"x": ((size,), None, True)})

    def minus_log_density(x):
        z = (x[places] - loc) / scale
        return np.stack([np.sum(_DENSITIES[kind](z, *shapes) + log(scale))])

    program, _ = trace_initial(_renamed(minus_log_density), layout)
    builder = ProgramBuilder()
    x = builder.add_input("x", values.inputs[0].shape)
    natural, _ = inline_program(builder, values, [x])
    (found,) = inline_program(builder, program, [natural])
    return simplify_program(builder.build([("value", found)]))


def _renamed(function):
    def density(p):
        return function(p)

    return density
