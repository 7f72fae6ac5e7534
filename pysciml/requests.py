"""Exactly what crosses to an engine: flat arrays, Programs and words. No names, no units, no xarray."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from .fitting.batches import draw_batches
from .fitting.stages import Stage
from .ir.evaluate import evaluate_program
from .ir.program import Program
from .problems.flat import FlatEvent, changed_parameters


class Capability(NamedTuple):
    """Something an engine can do: ``kind`` is problem, event, algorithm, sensitivity, ...; ``word`` its name."""

    kind: str
    word: str


@dataclass(frozen=True, eq=False)
class SolveRequest:
    """One initial-value problem to be solved.

    ``program`` has the inputs ``t (), u (state,), p (parameter,)`` and the output ``du (state,)``. Times are plain
    floats in the problem's own unit. ``saveat`` is strictly increasing and inside the span (both ends allowed), or
    None: the solver's own steps, both ends included.
    """

    program: Program
    u0: np.ndarray
    p: np.ndarray
    t_span: tuple[float, float]
    algorithm: str = "auto"
    algorithm_options: tuple[tuple[str, bool | int | float | str], ...] = ()
    saveat: np.ndarray | None = None
    rtol: float = 1e-6
    atol: float = 1e-8
    tstops: np.ndarray | None = None
    dt: float | None = None  # first step; the step of a method without step control
    dtmax: float | None = None
    max_steps: int = 100_000
    max_seconds: float | None = None  # of wall clock
    progress: bool = False
    mass_matrix: np.ndarray | None = None  # (state, state), or (state,) if diagonal: M du/dt = f; None: the identity
    events: tuple[FlatEvent, ...] = ()  # those of one moment fire in this order
    device: str = "cpu"  # where the model is computed: "cpu" or "gpu"
    memory: dict = field(default_factory=dict, init=False, repr=False)  # what engines keep for the next of its like

    def with_values(self, u0: np.ndarray, p: np.ndarray) -> "SolveRequest":
        """The same for another initial state and other parameters; they share their ``memory``."""
        other = object.__new__(SolveRequest)
        vars(other).update(vars(self), u0=u0, p=p)
        return other

    def __getstate__(self):
        return vars(self) | {"memory": {}}  # what is kept is of this process

    @cached_property
    def needs(self) -> frozenset[Capability]:
        kinds = {"root" if event.times is None else "preset" for event in self.events}
        events = (Capability("event", kind) for kind in kinds)
        mass = () if self.mass_matrix is None else (Capability("problem", "mass matrix"),)
        options = (Capability("option", name) for name, _ in self.algorithm_options)
        both = (Capability("mass matrix with", "events"),) if mass and self.events else ()
        limit = () if self.max_seconds is None else (Capability("limit", "max_seconds"),)
        plain = Capability("problem", "ode"), Capability("algorithm", self.algorithm)
        device = () if self.device == "cpu" else (Capability("device", self.device),)
        return frozenset({*plain, *device, *options, *events, *mass, *both, *limit})


@dataclass(frozen=True, eq=False)
class EnsembleRequest:
    """Many trajectories of one model: ``solve`` has what they share, save times too; each has rows of ``u0`` and ``p``.

    ``u0`` is ``(member, state)``, ``p (member, parameter)``; the first ``n_visible`` parameters are the user's, others
    hold what events set. ``parallel`` says how they are shared out: ``"serial"``,
    ``"threads"``, or ``"lanes"``, several as one wide problem; ``"auto"``: as the engine finds best. Beyond
    float64 on the CPU, by ``device`` and ``dtype``, it is ``"auto"``. Results are float64 all the same.
    """

    solve: SolveRequest
    u0: np.ndarray
    p: np.ndarray
    n_visible: int
    parallel: str = "auto"
    device: str = "cpu"
    dtype: str = "float64"

    @property
    def values(self) -> np.ndarray:
        """Initial states and parameters, ``(member, number)``; of rows that are broadcast, the others alone."""
        return self.p if self.u0.strides[0] == 0 else np.hstack([self.u0, self.p])

    @property
    def is_plain(self) -> bool:
        """Whether it is solved in float64 on the CPU."""
        return (self.device, self.dtype) == ("cpu", "float64")

    @property
    def needs(self) -> frozenset[Capability]:
        changed = changed_parameters(self.solve.events)
        is_seen = bool((changed < self.n_visible).any())
        jumps = {Capability("ensemble of", "problems whose events change parameters")} if is_seen else set()
        words = {name: Capability(name, getattr(self, name)) for name in ("parallel", "device", "dtype")}
        return self.solve.needs | set(words.values()) | jumps | self._plain_needs()

    def _plain_needs(self):
        """What only solves in float64 on the CPU can do."""
        kind = "GPU solve of" if self.device == "gpu" else "float32 solve of"
        parts = {
            "problems with events": bool(self.solve.events),
            "mass matrices": self.solve.mass_matrix is not None,
            "members with max_seconds": self.solve.max_seconds is not None,
        }
        return frozenset(Capability(kind, part) for part, is_there in parts.items() if is_there and not self.is_plain)


def objective_needs(solve: SolveRequest, sensitivity: str, vjp: str = "generated") -> frozenset[Capability]:
    """What the gradient of a solve needs."""
    events = solve.events
    parts = {
        "events": bool(events),
        "events with a condition": any(event.condition is not None for event in events),
        "terminal events": any(_may_end(event, solve) for event in events),
        "mass matrices": solve.mass_matrix is not None,
    }
    differentiated = {Capability("gradient of", part) for part, is_there in parts.items() if is_there}
    products = frozenset() if vjp == "generated" else frozenset({Capability("vjp", vjp)})
    return solve.needs | {Capability("sensitivity", sensitivity)} | products | differentiated


def _may_end(event: FlatEvent, solve: SolveRequest) -> bool:
    """Whether an event may end a solve before the last of its rows, or on it."""
    end = solve.t_span[1] if solve.saveat is None else solve.saveat[-1]
    return event.terminal and (event.times is None or bool(np.any(event.times <= end)))


def tangent_needs(solve: SolveRequest, kind: str = "tangents through") -> frozenset[Capability]:
    """What the derivatives of a solution itself need, as further states that are carried along."""
    parts = {"events": bool(solve.events), "mass matrices": solve.mass_matrix is not None}
    return frozenset(Capability(kind, part) for part, is_there in parts.items() if is_there)


@dataclass(frozen=True, eq=False)
class ObjectiveRequest:
    """A loss of a solution's distance to data, as a function of a flat vector ``x``.

    ``solve.saveat`` holds the data's times. ``parametrization`` has the input ``x (k,)`` and the outputs
    ``u0 (state,)`` and ``p (parameter,)``; everything that isn't trained is a constant in it. The value is
    ``sum(weights * (u - values)**2)`` over ``(time, state)``; ``weights`` is zero where there is no datum, and
    ``values`` is finite everywhere (zero where there is none). Where there is ``observe`` (inputs ``t (), u (state,),
    p (parameter,)``, output ``y (observable,)``), its output at the data's times takes the place of ``u`` in the
    value, and ``values`` and ``weights`` are ``(time, observable)``.

    Losses that are no sums of squares: if ``observe`` ``sees_data``, its input ``u`` is the state with the time's
    ``values (time, datum)`` behind it, its output is the losses, and the value is their sum times ``weights``. If there
    is ``whole`` (inputs ``t (), z, p``, output ``(1,)``), it makes the value of the whole solution: ``z`` is all
    measured quantities, time by time, with all ``values`` behind them, NaN where there is no datum.
    """

    solve: SolveRequest
    parametrization: Program
    x0: np.ndarray
    values: np.ndarray
    weights: np.ndarray
    sensitivity: str = "auto"
    observe: Program | None = None
    sees_data: bool = False
    whole: Program | None = None
    vjp: str = "generated"  # what gives an adjoint's products with cotangents
    n_path: int = 0  # of the measured columns the last so many are penalties of the path

    @property
    def is_squares(self) -> bool:
        """Whether the value is a weighted sum of squares."""
        return not self.sees_data and self.whole is None

    @property
    def needs(self) -> frozenset[Capability]:
        return objective_needs(self.solve, self.sensitivity, self.vjp)


@dataclass(frozen=True, eq=False)
class SumRequest:
    """The sum of objectives, one a trajectory, and of penalties, all of one ``x (k,)``.

    The i-th part is a function of ``x[picks[i]]``. A penalty is a Program of ``x`` with one output ``(1,)``.
    """

    parts: tuple[ObjectiveRequest, ...]
    picks: tuple[np.ndarray, ...]
    x0: np.ndarray
    penalties: tuple[Program, ...] = ()

    @property
    def device(self) -> str:
        """Where all parts are computed."""
        return self.parts[0].solve.device

    @property
    def is_single(self) -> bool:
        """Whether it is one objective and nothing else."""
        everything = np.arange(self.x0.size)
        return len(self.parts) == 1 and not self.penalties and np.array_equal(self.picks[0], everything)

    def starting_at(self, x: np.ndarray) -> "SumRequest":
        """The same with another ``x0``."""
        parts = tuple(replace(part, x0=x[picks]) for part, picks in zip(self.parts, self.picks, strict=True))
        return replace(self, x0=x, parts=parts)

    def only(self, used: Sequence[int]) -> "SumRequest":
        """The sum of some of the parts, and of the penalties."""
        return replace(self, parts=tuple(self.parts[k] for k in used), picks=tuple(self.picks[k] for k in used))

    @property
    def n_added(self) -> int:
        """How many penalties there are, of parameters and of the path."""
        return len(self.penalties) + self.parts[0].n_path

    def penalty_values(self, x: np.ndarray) -> list[float]:
        """What each penalty adds at ``x (k,)``."""
        return [float(evaluate_program(penalty, x)[0][0]) for penalty in self.penalties]

    @property
    def needs(self) -> frozenset[Capability]:
        return frozenset().union(*(part.needs for part in self.parts))


def sum_of_one(request: ObjectiveRequest) -> SumRequest:
    """The sum that is one objective."""
    return SumRequest((request,), (np.arange(request.x0.size),), request.x0)


@dataclass(frozen=True, eq=False)
class FitRequest:
    """A sum of objectives and the stages that minimise it in turn, each starting from the best ``x`` so far.

    A trial whose solve fails, or whose value or gradient isn't finite, is a rejected step: a first-order optimizer
    goes back to the best ``x`` with half the learning rate; a line search shortens its step. The result is the ``x``
    with the lowest value of the last stage (of the furthest stage reached, if interrupted).
    """

    objective: SumRequest
    stages: tuple[Stage, ...]
    seed: int = 0
    decayed: np.ndarray | None = None  # (k,): the elements of x that a stage's weight decay is for
    validation: SumRequest | None = None  # its value is looked at after some stages; the x where it is least is kept
    patience: int = 0  # looks without a new least value after which the fit ends

    def decay_of(self, stage: Stage) -> np.ndarray:
        """What is taken of each element of x at a step, times the learning rate ``(k,)``; empty: nothing."""
        if not stage.weight_decay or self.decayed is None:
            return np.zeros(0)
        return stage.weight_decay * self.decayed.astype(np.float64)

    def batches_of(self, stage: Stage, done: int) -> np.ndarray:
        """The places of the parts that each evaluation of a stage sees ``(steps + 1, batch)``, -1: all; empty: all do.

        ``done`` is the number of iterations before it.
        """
        used = np.flatnonzero(stage.rows)
        if not 0 < stage.batch < used.size:
            return np.zeros((0, 0), dtype=np.int64)
        return draw_batches(used, stage.batch, self.seed, done, stage.steps)

    @property
    def needs(self) -> frozenset[Capability]:
        return self.objective.needs | {Capability("optimizer", stage.optimizer) for stage in self.stages}


@dataclass(frozen=True, eq=False)
class EquationRequest:
    """A search for trees of operators that say each of ``outputs (sample, output)`` by ``inputs (sample, input)``.

    ``operators`` take two values, ``functions`` one.
    """

    inputs: np.ndarray
    outputs: np.ndarray
    operators: tuple[str, ...]
    functions: tuple[str, ...]
    iterations: int
    maxsize: int
    seed: int
