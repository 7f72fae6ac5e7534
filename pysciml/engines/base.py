"""The contract of an engine: what it is asked, what it gives back, and how a solve can end."""

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import UnsupportedByEngine
from ..fitting.stages import Stage
from ..ir.evaluate import evaluate_program
from ..ir.program import Program
from ..requests import Capability, EnsembleRequest, EquationRequest, FitRequest, SolveRequest, SumRequest


class Option(NamedTuple):
    """An option of an algorithm: its values are words, a range of integers, or any positive number (``float``)."""

    name: str
    values: tuple | range | type
    meaning: str


class Status(Enum):
    """How a solve or fit ended: integer code, what happened, common causes, the next step.

    Codes are stored in files; they never change their meaning.
    """

    SUCCESS = (0, "finished", "", "")
    TERMINATED = (1, "stopped by an event", "", "")
    MAX_STEPS = (
        2,
        "took max_steps steps before the end of t_span",
        "a stiff problem with a non-stiff algorithm, a very long span, or tolerances too tight",
        'raise max_steps, or use a stiff algorithm such as "Rodas5P" (julia) or "Kvaerno5" (diffrax)',
    )
    STEP_TOO_SMALL = (
        3,
        "the step size fell below what floating point can resolve",
        "a singularity (the solution goes to infinity), a jump in the right-hand side, or units of very different size",
        "look at the partial solution near its last time; give jumps in tstops; rescale units",
    )
    UNSTABLE = (
        4,
        "the solution became infinite or NaN",
        "the model leaves the domain where it is defined (log or sqrt of a negative state), or it blows up",
        "look at the partial solution near its last time; tighten rtol and atol; check the parameters' signs",
    )
    NOT_CONVERGED = (
        5,
        "the implicit equations of a step could not be solved",
        "a singular Jacobian, or a right-hand side that isn't smooth",
        "try another stiff algorithm, a smaller dtmax, or tighter tolerances",
    )
    INTERRUPTED = (6, "interrupted by the user", "", "the partial result is kept")
    FAILED = (7, "the solver stopped for another reason", "", "see the engine's own message")
    GAVE_UP = (
        8,
        "the fit gave up: too many trials in a row were rejected",
        "the model can't be solved around its best parameters: a learning rate too high, or a model that leaves its "
        "domain or blows up there",
        "lower the learning rate, bound parameters (trainable={'k': ps.Positive()}), or choose a stiff algorithm",
    )
    TIME_LIMIT = (
        9,
        "took max_seconds before the end of t_span",
        "a stiff problem with a non-stiff algorithm, a very long span, or tolerances too tight",
        'raise max_seconds, or use a stiff algorithm such as "Rodas5P"',
    )
    ZENO = (
        10,
        "firings of an event pile up: they come in ever shorter intervals, without end",
        "something comes to rest by infinitely many events, as a bouncing ball does; the model does not say what then",
        "end the solve before that (a terminal event, a shorter t_span), or let the effect change the model where "
        "little is left",
    )

    def __init__(self, code, message, causes, next_step):
        self.code = code
        self.message = message
        self.causes = causes
        self.next_step = next_step


def is_success(status: Status) -> bool:
    """Whether a solve reached the end of its span, or an event that ends it."""
    return status in (Status.SUCCESS, Status.TERMINATED)


PILE = 5  # firings of an event, each interval shorter than the one before, the last shorter than
SHORTEST = 1e-9  # so much of the span: as Zeno's steps they have no end


def pile_up(times: Sequence[float], span: float) -> bool:
    """Whether the last ``PILE`` moments at which a condition fired approach one that they never reach."""
    gaps = np.diff(times)
    return len(times) == PILE and bool(gaps[-1] < SHORTEST * span and (gaps[1:] < 0.999 * gaps[:-1]).all())


class Firings(NamedTuple):
    """Which events fired, in order: ``t (k,)``, ``event (k,)`` positions in the request, ``p (k, c)``.

    ``p`` holds the parameters that events may change (``problems.flat.changed_parameters``) after each firing.
    """

    t: np.ndarray
    event: np.ndarray
    p: np.ndarray


class Stop(NamedTuple):
    """Where a solve that failed stood: the last time that it reached, and the state ``u (state,)`` there."""

    t: float
    u: np.ndarray


@dataclass(frozen=True, eq=False)
class RawSolution:
    """What a solve gives back: NumPy arrays only.

    ``t (time,)``, ``u (trajectory, time, state)``, one status a trajectory. A failed solve holds what was computed
    until then (with ``saveat``: the rows reached, so ``t`` may be shorter than asked). ``algorithm`` is the word that
    ran and ``reason`` why, ``statistics`` plain ints (``steps, rejected, function_evaluations``, ...),
    ``message`` the engine's own words on a failure. ``y (trajectory, time, observable)`` are the observables, where
    the problem has any. ``stops`` says, one a trajectory, where a failed solve stood; None for the others.
    """

    t: np.ndarray
    u: np.ndarray
    status: tuple[Status, ...]
    algorithm: str
    reason: str = ""
    message: str = ""
    statistics: dict[str, int] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    firings: Firings | None = None  # None: the request had no events
    y: np.ndarray | None = None
    stops: tuple[Stop | None, ...] = (None,)

    def with_values(self, u: np.ndarray, statistics: dict[str, int]) -> "RawSolution":
        """The same but for states and statistics."""
        other = object.__new__(RawSolution)
        vars(other).update(vars(self), u=u, statistics=statistics)
        return other


class EnsembleFirings(NamedTuple):
    """Which events fired, member by member, in order: ``member, t, event (k,)``, these positions in the request."""

    member: np.ndarray
    t: np.ndarray
    event: np.ndarray


NOTHING_FIRED = EnsembleFirings(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


@dataclass(frozen=True, eq=False)
class RawEnsemble:
    """What many trajectories give back: ``u (member, time, state)``, NaN where a solve did not get to.

    ``codes (member,)`` are those of ``Status``, ``statistics`` ints ``(member,)`` by name. ``algorithm`` lists the
    words that ran, ``parallel`` is how the members were shared out.
    """

    u: np.ndarray
    codes: np.ndarray
    statistics: dict[str, np.ndarray]
    algorithm: str
    parallel: str
    reason: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    firings: EnsembleFirings = NOTHING_FIRED


@dataclass(frozen=True, eq=False)
class RawDense:
    """A solution between its steps: ``evaluate(times (time,))`` gives the states ``(time, state)`` up to ``t_end``."""

    t_end: float
    status: Status
    algorithm: str
    message: str
    evaluate: Callable[[np.ndarray], np.ndarray]
    stop: Stop | None = None


@dataclass(frozen=True, eq=False)
class RawFit:
    """What a fit gives back: the best ``x (k,)``, its value, and one row an iteration.

    ``history`` has float arrays ``(iteration,)``: ``loss, gradient_norm, horizon, seconds, rejected, status``, the loss
    of a rejected iteration being NaN; ``seconds`` counts from the start of the fit, ``rejected`` the trials whose
    solve failed, and ``status`` is the code of the last of these. ``penalties (iteration, penalty)`` is what each of
    these adds to the loss.
    """

    x: np.ndarray
    value: float
    history: dict[str, np.ndarray]
    penalties: np.ndarray
    status: Status
    message: str
    algorithm: str
    sensitivity: str
    reason: str = ""
    versions: dict[str, str] = field(default_factory=dict)


class AbstractObjective(ABC):
    """A compiled objective: nothing is rebuilt between calls. A failed solve gives NaN, as value and gradient.

    ``parts`` are the objectives of which it is a sum, in order, if it is one; the words are then those of the first.
    ``traced`` is ``value_and_gradient`` for a traced ``x`` of JAX, where the engine is made of that.
    """

    algorithm: str
    sensitivity: str
    reason: str
    parts: Sequence["AbstractObjective"] = ()
    traced: Callable | None = None

    @abstractmethod
    def value(self, x: np.ndarray) -> float:
        """Loss at ``x (k,)``."""

    @abstractmethod
    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Loss at ``x (k,)`` and its gradient ``(k,)``."""

    @property
    def has_frozen_steps(self) -> bool:
        """Whether ``nearby_values`` computes all with the same steps.

        Otherwise a loss is as uncertain as the tolerances let it be, and its differences with it.
        """
        return False

    def is_held_by_stability(self, x: np.ndarray) -> bool:
        """Whether steps at ``x (k,)`` are as long as stability lets them be; False where that isn't looked at."""
        return False

    def path_values(self, x: np.ndarray) -> list[float]:
        """What each penalty of the path adds at ``x (k,)``, to the value of a batch if there is one."""
        return []

    def nearby_values(self, x: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Losses ``(n,)`` at ``points (n, k)`` near ``x``, with the steps that the solve at ``x`` takes if it can."""
        return np.array([self.value(point) for point in points])


@dataclass(frozen=True)
class Report:
    """Progress of a fit, passed to the caller a few times a second."""

    iteration: int
    total: int
    loss: float
    horizon: float
    gradient_norm: float = np.nan


Tell = Callable[[Report], None] | None
LookAt = Callable[[int, np.ndarray], None] | None


class AbstractEngine(ABC):
    """An engine. Made by ``make_engine()`` of its folder's ``engine.py``; one instance a process."""

    name: str
    capabilities: frozenset[Capability]
    instead: Mapping[Capability, str] = {}  # why something is none of these, and what serves in its place

    @abstractmethod
    def solve(self, request: SolveRequest) -> RawSolution:
        """Solve; a failure is a status, never an exception. KeyboardInterrupt gives ``Status.INTERRUPTED``."""

    def solve_many(self, requests: Sequence[SolveRequest]) -> list[RawSolution]:
        """Solutions in the order of the requests; one that fails spoils no other. After an interrupt all are empty."""
        found: list[RawSolution] = []
        for request in requests:
            if found and found[-1].status[0] is Status.INTERRUPTED:
                nothing = np.zeros((1, 0, request.u0.size))
                found.append(replace(found[-1], t=np.zeros(0), u=nothing, firings=None))
            else:
                found.append(self.solve(request))
        return found

    def solve_ensemble(self, request: EnsembleRequest) -> RawEnsemble:
        """Solutions of all members; one that fails spoils no other. After an interrupt the rest is not solved."""
        solve, members = request.solve, zip(request.u0, request.p, strict=True)
        return join_solutions(self.solve_many([replace(solve, u0=u0, p=p) for u0, p in members]), request)

    def solve_dense(self, request: SolveRequest) -> RawDense:
        """Solve and keep what is between the steps; only where the capability ``("output", "dense")`` is there."""
        raise NotImplementedError

    @abstractmethod
    def make_objective(self, request: SumRequest, stage: Stage | None = None) -> AbstractObjective:
        """Compile a sum; ``algorithm="auto"`` and ``sensitivity="auto"`` become one word each here.

        With a ``stage`` of a fit: over its stretch of the data.
        """

    @abstractmethod
    def fit(
        self, request: FitRequest, report: Tell = None, folder: Path | None = None, look_at: LookAt = None
    ) -> RawFit:
        """Run the stages, each a loop inside the engine. KeyboardInterrupt gives the best so far.

        A killed fit goes on from what it left in a ``folder``. ``look_at`` is told each stage that begins and its
        start ``x (k,)``; what it raises ends the fit.
        """

    def search_equations(self, request: EquationRequest) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        """Of each output the trees that are better than all simpler ones, by size: nodes and constants.

        Nodes are codes as in ``recovery.trees.read_tree``. Only where the capability ``("recovery", "pysr")`` is there.
        """
        raise NotImplementedError

    def observe(self, program: Program, t: np.ndarray, u: np.ndarray, p: np.ndarray) -> np.ndarray:
        """The output ``(time, observable)`` of ``program`` at times ``t (time,)`` and states ``u (time, state)``.

        Parameters are ``p (m,)``, or ``(time, m)`` where they change on the way.
        """
        p = np.broadcast_to(p, (len(t), p.shape[-1]))
        rows = [evaluate_program(program, *point)[0] for point in zip(t, u, p, strict=True)]
        return np.reshape(rows, (len(t), program.nodes[program.outputs[0].node].size))

    def observe_many(self, points: Sequence[tuple]) -> list[np.ndarray]:
        """:meth:`observe` of each tuple of arguments."""
        return [self.observe(*arguments) for arguments in points]

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Versions of the engine's parts."""

    def threads(self) -> dict[str, int]:
        """How many threads there are, by what uses them: with other ones, sums may be made in another order."""
        return {"cores": usable_cores()}


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def join_solutions(found: Sequence[RawSolution], request: EnsembleRequest) -> RawEnsemble:
    """Solutions of single members, one after the other, as those of an ensemble."""
    saveat = request.solve.saveat
    assert saveat is not None
    u = np.full((len(found), len(saveat), request.u0.shape[1]), np.nan)
    for k, raw in enumerate(found):
        u[k, : len(raw.t)] = raw.u[0]
    fired = [(k, raw.firings) for k, raw in enumerate(found) if raw.firings is not None]
    parts = [NOTHING_FIRED, *(EnsembleFirings(np.full(len(one.t), k), one.t, one.event) for k, one in fired)]
    names = dict.fromkeys(name for raw in found for name in raw.statistics)
    words = dict.fromkeys(word for raw in found for word in raw.algorithm.split(", "))
    return RawEnsemble(
        u=u,
        codes=np.array([raw.status[0].code for raw in found], dtype=np.int8),
        statistics={name: np.array([raw.statistics.get(name, 0) for raw in found]) for name in names},
        algorithm=", ".join(words),
        parallel="serial",
        reason="; ".join(dict.fromkeys(raw.reason for raw in found)),
        versions=found[0].versions,
        firings=EnsembleFirings(*map(np.concatenate, zip(*parts, strict=True))),
    )


def check_capabilities(
    engine: AbstractEngine, needs: frozenset[Capability], others: dict[str, frozenset[Capability]]
) -> None:
    """UnsupportedByEngine for the first need that the engine lacks, naming an engine of ``others`` that has it."""
    if needs <= engine.capabilities:
        return
    for need in sorted(needs - engine.capabilities):
        known = [name for name, capabilities in others.items() if need in capabilities]
        words = sorted(c.word for c in engine.capabilities if c.kind == need.kind)
        where = f"engine={known[0]!r} does" if known else "no other engine does either"
        has = f" It has: {', '.join(words)}." if words else ""
        instead = f" {engine.instead[need]}." if need in engine.instead else ""
        raise UnsupportedByEngine(
            f"engine {engine.name!r} does not support the {need.kind} {need.word!r}; {where}.{has}{instead}"
        )
