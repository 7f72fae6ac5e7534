"""Everything about a problem and its data that does not depend on coordinates of a search."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..datasets.experiments import Experiment, read_experiments
from ..engines.base import AbstractEngine, check_capabilities
from ..engines.choose import choose_engine, engine_capabilities
from ..errors import ProblemError
from ..fitting.losses import Comparison, Loss, noise_names, read_loss
from ..fitting.penalties import L2, penalty_program, prior_program, read_priors, split_penalties
from ..fitting.trainable import Block, Positive, check_inside, read_trainable
from ..ir.program import Program, ProgramBuilder
from ..ir.rewrite import inline_program
from ..problems.doses import hold_rates, widen_parameters
from ..problems.functions import make_measure
from ..problems.ode import ODEProblem
from ..problems.over import read_over
from ..requests import ObjectiveRequest, SumRequest, objective_needs
from ..tracing.layout import join_layouts
from .algorithm import Algorithm, read_algorithm
from .devices import check_device
from .member import Member, belongs, make_member
from .sensitivity import Sensitivity, read_sensitivity
from .solve import check_tolerances


@dataclass(frozen=True, eq=False)
class Misfit:
    """A loss over all experiments, and what is trained; ``make(member, x0)`` makes a parametrization below."""

    problem: ODEProblem  # as the user gave it
    engine: AbstractEngine
    members: tuple[Member, ...]
    comparison: Comparison
    blocks: tuple[Block, ...]
    sensitivity: str
    vjp: str
    loss: Loss
    penalties: dict[str, L2 | Callable]  # of parameters
    path: tuple[str, ...]  # names of penalties of the path, which are the comparison's last columns
    priors: dict[str, tuple]
    columns: np.ndarray  # places of what is measured among states and observables
    replicates: int
    noise: tuple[str, ...]  # parameters that are a likelihood's scatter

    @cached_property
    def x0(self) -> np.ndarray:
        """Start values of what is trained ``(k,)``, in the user's own units."""
        x0 = np.zeros(sum(block.size for block in self.blocks))
        for member in reversed(self.members):
            x0[member.picks] = member.x0
        return x0

    @property
    def scales(self) -> dict[str, float]:
        """What each measured variable is divided by."""
        return self.comparison.scales

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of what the loss is a sum of."""
        return ("misfit", *self.penalties, *(f"prior_{name}" for name in self.priors), *self.path)

    def request(self, make: Callable[[Member, np.ndarray], Program], x0: np.ndarray) -> SumRequest:
        """The sum for given parametrizations, one a member."""
        parametrizations = [make(member, x0[member.picks]) for member in self.members]
        parts = []
        for member, parametrization in zip(self.members, parametrizations, strict=True):
            compared = self.comparison.compare(member.seen, member.problem, member.coords)
            rates = member.solve.p[member.problem.p_values.size :]
            observe, whole = (
                None if program is None else widen_parameters(program, rates.size)
                for program in (compared.observe, compared.whole)
            )
            parts.append(
                ObjectiveRequest(
                    member.solve,
                    hold_rates(parametrization, rates),
                    x0[member.picks],
                    compared.values,
                    compared.weights,
                    self.sensitivity,
                    observe,
                    compared.sees_data,
                    whole,
                    self.vjp,
                    len(self.path),
                )
            )
        picks = tuple(member.picks for member in self.members)
        return SumRequest(tuple(parts), picks, x0, self._penalties(parametrizations))

    def _penalties(self, parametrizations) -> tuple[Program, ...]:
        if not self.penalties and not self.priors:
            return ()
        values = self._natural_values(parametrizations)
        p = self.problem.p_layout
        found = [penalty_program(one, self.blocks, values, p) for one in self.penalties.values()]
        for name, prior in self.priors.items():
            slices = [block.slice for block in self.blocks if block.name == name]
            found.append(prior_program(prior, slices, values))
        return tuple(found)

    def _natural_values(self, parametrizations) -> Program:
        """From coordinates of the search to all of x in the user's own units, and to the first member's parameters."""
        builder = ProgramBuilder()
        z = builder.add_input("x", (self.x0.size,))
        pieces: dict[int, int] = {}
        first = None
        for member, parametrization in zip(self.members, parametrizations, strict=True):
            places = (tuple(member.picks.tolist()), member.picks.shape)
            u0, p = inline_program(builder, parametrization, [builder.add("gather", (z,), places)])
            first = p if first is None else first
            for block, whole in zip(member.blocks, self._blocks_of(member), strict=True):
                vector = u0 if block.vector == "u0" else p
                piece = ((block.source,), (block.size,), (1,))
                pieces.setdefault(whole.start, builder.add("slice", (vector,), piece))
        parts = [pieces[block.start] for block in self.blocks]
        natural = builder.add("concatenate", parts, (0,)) if len(parts) > 1 else parts[0]
        return builder.build([("x", natural), ("p", first)])

    def _blocks_of(self, member):
        return [block for block in self.blocks if belongs(block, member.coords)]


def make_misfit(
    problem: ODEProblem,
    data,
    loss,
    trainable,
    engine,
    algorithm: str | Algorithm,
    rtol,
    atol,
    sensitivity: str | Sensitivity,
    *,
    over=None,
    time: str = "time",
    weights=None,
    priors=None,
    penalty=None,
    device: str = "cpu",
    experiments: tuple[Experiment, ...] | None = None,
) -> Misfit:
    """Check everything at the door and choose the engine; ``experiments`` are the data if they have been read."""
    check_asked(problem, rtol, atol, device)
    algorithm, asked = read_algorithm(algorithm), read_sensitivity(sensitivity)
    experiments = read_experiments(data, problem, over, time) if experiments is None else experiments
    names = _measured_names(experiments, problem)
    read = read_loss(loss, names)
    noise = noise_names(read, names, problem.p_layout)
    replicates = max(experiment.values.shape[1] for experiment in experiments)
    observe, fields, shapes, columns = _measure(problem, names, replicates)
    u_layout = None if problem.initial else problem.u_layout
    blocks = read_trainable(trainable, u_layout, problem.p_layout, _batches(over, problem, experiments))
    blocks = _keep_positive(blocks, noise)
    chosen = choose_engine(engine)
    numerics = {"rtol": float(rtol), "atol": float(atol), "device": device}
    numerics |= {"algorithm": algorithm.word, "algorithm_options": algorithm.options_given}
    members = tuple(make_member(one, blocks, columns, replicates, numerics) for one in experiments)
    for member in members:
        check_inside(member.blocks, member.x0)
    needs = frozenset().union(*(objective_needs(member.solve, asked.word, asked.vjp) for member in members))
    check_capabilities(chosen, needs, engine_capabilities())
    layouts, seen = (problem.u_layout, problem.p_layout), [member.seen for member in members]
    penalties, path = split_penalties(penalty, *layouts)
    comparison = Comparison(read, observe, fields, shapes, layouts, seen, weights, path.values())
    found_priors = read_priors(priors, blocks)
    if found_priors and not read.is_likelihood:
        raise ProblemError("priors need a likelihood to be weighed against: loss=ps.Normal(sigma=...), for example")
    return Misfit(
        problem=problem,
        engine=chosen,
        members=members,
        comparison=comparison,
        blocks=blocks,
        sensitivity=asked.word,
        vjp=asked.vjp,
        loss=read,
        penalties=penalties,
        path=tuple(path),
        priors=found_priors,
        columns=columns,
        replicates=replicates,
        noise=noise,
    )


def check_asked(problem, rtol, atol, device) -> None:
    """ProblemError for anything but a problem, tolerances and a device."""
    if not isinstance(problem, ODEProblem):
        raise ProblemError(f"problem must be a ps.ODEProblem, got {type(problem).__name__}")
    check_tolerances(rtol, atol)
    check_device(device)


def _measured_names(experiments, problem):
    """Names of states and observables that have data."""
    layout = join_layouts(problem.u_layout, problem.y_layout)
    return [
        entry.name
        for entry in layout.entries
        if any(np.isfinite(one.values[..., entry.slice]).any() for one in experiments)
    ]


def _measure(problem, names, replicates):
    """What makes the measured columns, pairs of a name and its columns, shapes by name, and places in the data."""
    observe, layout, columns = make_measure(problem.observe, problem.u_layout, problem.y_layout, names)
    fields = [
        (entry.name, slice(r * layout.size + entry.start, r * layout.size + entry.start + entry.size))
        for r in range(replicates)
        for entry in layout.entries
        if entry.name in names
    ]
    shapes = {entry.name: entry.shape for entry in layout.entries if entry.name in names}
    if replicates > 1:
        observe = _repeated(problem, observe, replicates)
    return observe, fields, shapes, columns


def _repeated(problem, observe, replicates):
    """The measured quantities, once for each replicate."""
    builder = ProgramBuilder(problem.program.inputs)
    y = 1 if observe is None else inline_program(builder, observe, range(3))[0]
    return builder.build([("y", builder.add("concatenate", [y] * replicates, (0,)))])


def _batches(over, problem, experiments) -> dict[str, list[dict]]:
    """For each name in ``over``: the different coordinates along its batch dims; ``u0_<state>`` for initial values."""
    known = read_over(over, problem, tuple(experiments[0].coords))
    found = {}
    for prefix, values in (("", known.p), ("u0_", known.u0)):
        for name, value in values.items():
            dims = [dim for dim in experiments[0].coords if dim in value.dims]
            labels = [{dim: one.coords[dim] for dim in dims} for one in experiments]
            found[prefix + name] = [label for k, label in enumerate(labels) if label not in labels[:k]]
    return found


def _keep_positive(blocks, noise):
    """Scatter that is fitted stays positive, unless it has a bound."""
    return tuple(replace(b, bound=Positive()) if b.name in noise and b.bound is None else b for b in blocks)
