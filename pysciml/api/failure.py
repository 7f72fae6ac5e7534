"""Why a solve failed, and where: read off the model itself at the last time and state that the solver reached."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from ..engines.base import Firings, RawDense, RawSolution, Status, Stop, is_success
from ..engines.choose import engine_tables
from ..ir.evaluate import evaluate_nodes
from ..ir.program import Program
from ..problems.describe import element_labels
from ..problems.flat import changed_parameters
from ..problems.ode import ODEProblem
from ..problems.times import show_time
from ..requests import SolveRequest

FAR = 1e4  # a state this many times larger than any at the start has grown without bound
AHEAD = np.geomspace(1e-15, 1e-8, 8)  # parts of the span at which the model is looked at beyond a stop
NEAR = 1e-6  # and on both sides of which a jump is looked for
STABLE = 3.3  # an explicit step times the fastest rate: about the most that is stable
MANY_STEPS = 100_000
SLOW = (Status.MAX_STEPS, Status.TIME_LIMIT)
UNEVEN = 1e9  # ratio of states' sizes beyond which one absolute tolerance can't serve all


@dataclass(frozen=True)
class Failure:
    """How a solve ended that did not succeed.

    Attributes
    ----------
    status : str
        Name of the ``Status``.
    time : str
        Last time that the solver reached, as the problem's times are written.
    state : str
        The state that the failure shows in, as ``x`` or ``x[3]``: else the one that changes fastest.
    value, slope : float
        That state there, in its unit, and its right-hand side.
    cause, advice : str
        What the model shows there, and the next step.
    """

    status: str
    time: str
    state: str
    value: float
    slope: float
    cause: str
    advice: str


@dataclass(frozen=True)
class _Finding:
    state: int
    cause: str
    advice: str


class _Place:
    """The model at a stop: states, slopes, and what lies ahead."""

    def __init__(self, stop: Stop, problem: ODEProblem, request: SolveRequest, firings: Firings | None):
        is_start = stop.t == request.t_span[0] and not np.isfinite(stop.u).all()
        self.t, self.u, self.request = stop.t, request.u0 if is_start else stop.u, request
        self.labels = element_labels(problem.u_layout)
        self.p = np.array(request.p)
        if firings is not None and len(firings.t):
            self.p[changed_parameters(request.events)] = firings.p[-1]
        self.span = request.t_span[1] - request.t_span[0]
        self.tolerance = request.atol + request.rtol * np.abs(np.nan_to_num(self.u))

    def slope(self, t, u) -> np.ndarray:
        program = self.request.program
        return np.asarray(evaluate_nodes(program, t, u, self.p)[program.outputs[0].node])

    @cached_property
    def du(self) -> np.ndarray:
        return self.slope(self.t, self.u)

    @property
    def size(self) -> float:
        return float(np.max(np.abs(np.nan_to_num(self.u)), initial=0.0))

    @cached_property
    def fastest(self) -> int:
        """The state that changes most against its tolerance."""
        with np.errstate(all="ignore"):
            return int(np.argmax(np.nan_to_num(np.abs(self.du) / self.tolerance, nan=np.inf)))

    def beyond(self, part) -> tuple[float, np.ndarray]:
        """A point ahead (or, if negative, behind), so far as a part of the span, on the solution's tangent."""
        h = part * self.span
        with np.errstate(all="ignore"):
            return self.t + h, self.u + h * np.nan_to_num(self.du, nan=0.0, posinf=0.0, neginf=0.0)


def explain_failure(raw: RawSolution, problem: ODEProblem, request: SolveRequest, engine: str) -> Failure | None:
    """The failure of a solve in the user's words; None if it succeeded."""
    if is_success(raw.status[0]):
        return None
    stop = raw.stops[0]
    if stop is None:
        stop = Stop(raw.t[-1], raw.u[0, -1]) if len(raw.t) else Stop(request.t_span[0], request.u0)
    return explain_stop(raw.status[0], stop, problem, request, _is_explicit(raw.algorithm, engine), raw.firings)


def explain_stop(
    status: Status,
    stop: Stop,
    problem: ODEProblem,
    request: SolveRequest,
    is_explicit: bool = False,
    firings: Firings | None = None,
) -> Failure:
    """The same of a stop; ``is_explicit``: only non-stiff methods took steps."""
    place = _Place(stop, problem, request, firings)
    finding = _look(status, place, is_explicit) or _Finding(place.fastest, status.causes, status.next_step)
    k = finding.state
    advice = finding.advice + _uneven(status, place)
    shown = show_time(stop.t, problem)
    return Failure(status.name, shown, place.labels[k], float(place.u[k]), float(place.du[k]), finding.cause, advice)


def failure_message(function: str, raw: RawSolution | RawDense, failure: Failure, problem: ODEProblem, engine: str):
    """What happened and where, the cause, the next step."""
    status, state = Status[failure.status], failure.state
    unit = problem.units.get(state.partition("[")[0], "")
    parts = [
        f"{function}: {status.message} ({raw.algorithm} on {engine}, at t = {failure.time} "
        f"of t_span {problem.t_span[0]} to {problem.t_span[1]})",
        f"There: {state} = {failure.value:.6g} {unit}".rstrip() + f", its right-hand side {failure.slope:.6g}",
    ]
    parts += [f"Cause: {failure.cause}"] if failure.cause else []
    parts += [f"Next step: {failure.advice}"] if failure.advice else []
    parts += [f"The engine says: {raw.message}"] if raw.message else []
    return ".\n".join(part.rstrip(".") for part in parts) + "."


def _is_explicit(algorithm, engine):
    tables = engine_tables()
    methods = tables[engine].METHODS if engine in tables else {}
    return all(word in methods and not methods[word].is_stiff for word in algorithm.split(", "))


def _look(status, place, is_explicit):
    """What the model shows at a stop, the surest sign first; None if nothing."""
    if status in (Status.INTERRUPTED, Status.ZENO):
        return None
    found = _not_finite(place) or (_inconsistent(place) if status is Status.FAILED else None)
    if found is None and status not in SLOW:
        found = _out_of_domain(place)
    found = found or _without_bound(place) or _jump(place)
    return found or (_too_slow(status, place, is_explicit) if status in SLOW else None)


def _not_finite(place):
    """A state that is NaN or infinite already, or too large for its right-hand side."""
    is_bad = ~np.isfinite(place.u) | np.isinf(place.du)
    if not is_bad.any():
        return None
    k = int(np.argmax(is_bad))
    advice = "give a smaller dt, or a method that chooses its steps" if place.request.dt else Status.UNSTABLE.next_step
    return _Finding(k, f"{place.labels[k]} is {place.u[k]:.3g} there", advice)


def _out_of_domain(place):
    """The right-hand side is NaN there, or just beyond."""
    for part in (0.0, *AHEAD):
        point = place.beyond(part)
        slope = place.slope(*point)
        if np.isnan(slope).any():
            k = int(np.argmax(np.isnan(slope)))
            return _Finding(
                k,
                f"the right-hand side of {place.labels[k]} is NaN {'beyond that' if part else 'there'}: "
                f"{_first_nan(place.request.program, *point, place.p)}",
                "keep the model inside its domain (np.where, np.maximum), end the solve before by an Event with "
                "terminal=True, or check signs and units of the parameters",
            )
    return None


def _first_nan(program: Program, *inputs) -> str:
    """The operation that makes the NaN of a Program's output, and the user's line."""
    values = evaluate_nodes(program, *inputs)
    node = program.nodes[program.outputs[0].node]
    while node.args:
        source = next((k for k in node.args if np.isnan(values[k]).any()), None)
        if source is None:
            break
        node = program.nodes[source]
    where = f" in {Path(node.origin.file).name}, line {node.origin.line}" if node.origin else ""
    return "a parameter or external input is NaN" if not node.args else f"{node.op} gives NaN{where}"


def _without_bound(place):
    """A state that has become far larger than any was, and grows."""
    start = np.max(np.abs(place.request.u0), initial=place.request.atol)
    with np.errstate(all="ignore"):
        is_growing = (np.abs(place.u) > FAR * start) & (place.u * place.du > 0)
        rate = np.where(is_growing, np.abs(place.du / place.u), 0.0)
    if not (rate * place.span > 100).any():
        return None
    k = int(np.argmax(rate))
    return _Finding(
        k,
        f"{place.labels[k]} grows without bound: it is {place.u[k]:.3g}, was {place.request.u0[k]:.3g} at the start, "
        f"and grows by a factor of e within {1 / rate[k]:.2g} of time",
        "check the signs of its equation and the parameters' units; if the model has such a singularity, end t_span "
        "or the solve (an Event with terminal=True) before it",
    )


def _jump(place):
    """The right-hand side jumps there, by time or by a state's sign: its change does not shrink with the bracket."""
    left, right = (place.beyond(part) for part in (-NEAR, NEAR))
    before, after = place.slope(*left), place.slope(*right)
    with np.errstate(all="ignore"):
        change = np.abs(after - before) / (np.abs(after) + np.abs(before) + place.tolerance / place.span)
        if not (change > 0.1).any():
            return None
        k = int(np.nanargmax(change))
        for _ in range(30):
            middle = tuple((a + b) / 2 for a, b in zip(left, right, strict=True))
            slope = place.slope(*middle)
            if abs(slope[k] - before[k]) > abs(after[k] - slope[k]):
                right, after = middle, slope
            else:
                left, before = middle, slope
        rest = abs(after[k] - before[k]) / (abs(after[k]) + abs(before[k]))
    if not rest > 0.05:
        return None
    return _Finding(
        k,
        f"the right-hand side of {place.labels[k]} jumps there, from {before[k]:.3g} to {after[k]:.3g}",
        "give the times of jumps as tstops, make a switch by a state an Event, or smooth it (np.tanh)",
    )


def _too_slow(status, place, is_explicit):
    """Stiffness, or a span too long for so many steps."""
    request, to_go = place.request, place.request.t_span[1] - place.t
    rate = _fastest_rate(place)
    many = request.max_steps if status is Status.MAX_STEPS else min(request.max_steps, MANY_STEPS)
    if is_explicit and rate * to_go / STABLE > many:
        return _Finding(
            place.fastest,
            f"the problem is stiff: its fastest rate there is {rate:.2g} per time, so that a non-stiff method needs "
            f"about {rate * to_go / STABLE:.0e} steps to the end",
            f'take a stiff algorithm: {Status.MAX_STEPS.next_step.partition("such as ")[2]}, or "auto"',
        )
    done = (place.t - request.t_span[0]) / place.span
    name = "max_steps" if status is Status.MAX_STEPS else "max_seconds"
    most = getattr(request, name)
    needed = f" to about {float(f'{1.5 * most / done:.1g}'):.12g}" if done > 1e-3 else ""
    return _Finding(
        place.fastest,
        f"{name}={most} brought the solve through {100 * done:.2g} % of t_span",
        f"raise {name}{needed}, shorten t_span, or loosen rtol and atol",
    )


def _fastest_rate(place) -> float:
    """The spectral radius of the Jacobian, by some power iterations on differences in units of the tolerances."""
    direction = np.random.default_rng(0).standard_normal(place.u.size)
    rate = 0.0
    for _ in range(12):
        size = np.linalg.norm(direction)
        if not np.isfinite(size) or size == 0:
            return rate
        step = 1e-2 * direction / size
        with np.errstate(all="ignore"):
            direction = (place.slope(place.t, place.u + step * place.tolerance) - place.du) / place.tolerance
        rate = float(np.linalg.norm(direction) / 1e-2)
    return rate if np.isfinite(rate) else 0.0


def _inconsistent(place):
    """Algebraic equations that do not hold at the start."""
    mass = place.request.mass_matrix
    if mass is None or place.t != place.request.t_span[0]:
        return None
    algebraic = ~np.any(mass.reshape(len(mass), -1), axis=1)
    if not algebraic.any():
        return None
    k = int(np.argmax(np.where(algebraic, np.abs(place.du), -1.0)))
    return _Finding(
        k,
        f"the algebraic equation of {place.labels[k]} is {place.du[k]:.3g} in place of 0 at the start, and no solution "
        "of the algebraic equations was found near u0",
        "give better initial values of the algebraic states",
    )


def _uneven(status, place) -> str:
    """A hint where states differ too much in size for one absolute tolerance."""
    start = np.max(np.abs(place.request.u0), initial=place.request.atol)
    if status not in (Status.MAX_STEPS, Status.STEP_TOO_SMALL, Status.NOT_CONVERGED) or place.size > FAR * start:
        return ""
    size = np.maximum(np.abs(np.nan_to_num(place.u)), np.abs(place.request.u0))
    is_there = size > 0
    if np.count_nonzero(is_there) < 2 or size[is_there].max() < UNEVEN * size[is_there].min():
        return ""
    small, large = int(np.argmin(np.where(is_there, size, np.inf))), int(np.argmax(size))
    return (
        f"; {place.labels[small]} and {place.labels[large]} differ in size by {size[large] / size[small]:.0e}: "
        "rescale their units, since one atol serves all states"
    )
