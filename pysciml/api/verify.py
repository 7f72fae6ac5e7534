"""A gradient is held against differences of the loss before it is believed."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import NamedTuple

import numpy as np

from ..engines.base import AbstractEngine, AbstractObjective, is_success
from ..errors import GradientMismatch, ProblemError
from ..fitting.tangents import with_tangents
from ..ir.evaluate import evaluate_program
from ..problems.flat import event_structure
from ..requests import ObjectiveRequest, SumRequest
from ..words import nearest
from .loss_errors import SampledErrors, SquareErrors

WORDS = ("once", "always", "never")
TRIES = 3  # of one objective where differences can't tell

GROWN = 2.0  # over spans so many times as long as the one confirmed, gradients are confirmed anew

_CONFIRMED: dict[tuple, float] = {}  # paths of gradients that were confirmed in this process, and the longest span

FROZEN_STEPS = (1e-5, 1e-6, 1e-4, 1e-7, 1e-8, 1e-9)  # lengths of differences, along the steps of one solve
SHORT_STEP = 1e-6  # where only shorter ones agree, the loss bends too much
FREE_STEPS = (1e-3, 3e-3, 1e-4, 1e-2)  # and of solves that choose their own
GROWING_STEPS = tuple(10.0**k for k in range(-7, 0))
ZERO_SIZES = (1.0, 1e-3, 1e-6, 1e-9)  # sizes of elements that are 0: one after the other until the derivatives agree
FROZEN_ERROR = 1e-5  # relative, of derivatives of the same steps
FROZEN_NOISE = 1e-12  # relative, of the states of two solves with the same steps
SLACK = 100.0  # how many times a tolerance a state, or its derivative, may be off
MOST_GROWTH = 1e3  # of small changes of the state
ROUGHLY = 0.3  # relative, of derivatives of other steps
NOISE = 3.0  # how many times a tolerance it is off at random, between solves close to each other

_HELD = (
    "the problem is stiff for {}: its steps are as long as stability lets them be, and the gradient of such steps may "
    "be far off, above all where it has an element for each cell of a field; algorithm='auto' takes one that is right"
)


class Comparison(NamedTuple):
    """A derivative along a direction, what differences say, and by how much they may differ."""

    derivative: float
    difference: float
    allowed: float
    step: float = 0.0

    @property
    def agrees(self) -> bool:
        """Whether they are one."""
        return abs(self.derivative - self.difference) <= self.allowed


class Verified:
    """A compiled objective whose gradients are confirmed: the first (``once``), all (``always``) or none (``never``).

    Called with ``x (k,)`` it gives the value and the gradient ``(k,)``. ``rows`` says over how many times of each part
    it is compiled, if not over all.
    """

    def __init__(
        self,
        word: str,
        engine: AbstractEngine,
        compiled: AbstractObjective,
        request: SumRequest,
        rows: Sequence[int] = (),
    ):
        self.word, self._engine, self.compiled, self.request = word, engine, compiled, request
        self._tries, self._span = 0, longest_span(request, rows)
        confirmed = _CONFIRMED.get(self._path(), -1.0) if word == "once" else -1.0
        self.is_done = word == "never" or self._span <= GROWN * confirmed

    def _path(self):
        first, compiled = self.request.parts[0], self.compiled
        solve = first.solve
        observe = tuple(None if program is None else program.hash for program in (first.observe, first.whole))
        structure = (first.parametrization.nodes, first.x0.size)
        words = (self._engine.name, compiled.algorithm, compiled.sensitivity, first.vjp)
        jumps = solve.mass_matrix is not None, *map(event_structure, solve.events)
        return solve.program.hash, observe, hash(structure), words, jumps

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = self.compiled.value_and_gradient(x)
        if not self.is_done and np.isfinite(value) and x.size:
            if not self.compiled.parts:
                self._confirm(self.compiled, self.request.parts[0], x, value, gradient)
            else:  # a part each: of the same kind, all but the first are confirmed with it
                for k, part in enumerate(self.compiled.parts if self.word == "always" else self.compiled.parts[:1]):
                    here = x[self.request.picks[k]]
                    self._confirm(part, self.request.parts[k], here, *part.value_and_gradient(here))
        return value, gradient

    def _confirm(self, compiled, request, x, value, gradient):
        """GradientMismatch unless the gradient is the derivative of the loss."""
        if not self._tries and request.solve.algorithm != "auto" and compiled.is_held_by_stability(x):
            warnings.warn(_HELD.format(compiled.algorithm), RuntimeWarning, stacklevel=4)
        along = _Differences(self._engine, compiled, request, x, value)
        found = along.confirm_zero() if not gradient.any() else along.compare(gradient)
        if compiled.has_frozen_steps and gradient.any() and (found is None or found.agrees):
            found = along.compare_roughly(gradient) or found
        if not self._tries and (found is None or (found.agrees and 0 < found.step < SHORT_STEP)):
            warn_of_growth(self._engine, compiled, request, x)
        if found is None:
            self._tries += 1
            self.is_done = self.word == "once" and self._tries >= TRIES
            return
        if not found.agrees:
            raise GradientMismatch(self._message(found) + _say_rest(request, x), found.derivative, found.difference)
        if self.word == "once":
            self.is_done = True
            _CONFIRMED[self._path()] = max(self._span, _CONFIRMED.get(self._path(), 0.0))

    def _message(self, found):
        compiled = self.compiled
        return (
            f"the {compiled.sensitivity!r} gradient of {self._engine.name!r} with {compiled.algorithm!r} is wrong: "
            f"along a random direction it has the derivative {found.derivative:.10g}, differences of the loss give "
            f"{found.difference:.10g} (they may differ by {found.allowed:.2g}). The tolerances may be too loose, the "
            "model stiff for the method ('Rodas5P' on julia or 'Kvaerno5' on diffrax is then right), "
            "or the model jumps with its state (np.where), which gradients don't see; else this is an error of pysciml."
            " Another sensitivity= or algorithm= may be right; verify='never' leaves this check out"
        )


def longest_span(request: SumRequest, rows: Sequence[int] = ()) -> float:
    """From the start of a part to the last of its data, or of its first ``rows`` of them: the longest of all parts."""
    counts = rows or [len(part.solve.saveat) for part in request.parts]
    pairs = zip(request.parts, counts, strict=True)
    return max(float(part.solve.saveat[n - 1] - part.solve.t_span[0]) for part, n in pairs if n)


class _Differences:
    """Central differences of a loss at ``x (k,)`` along one random direction."""

    def __init__(self, engine, compiled, request, x, value):
        self._compiled, self._x, self._value = compiled, x, value
        self._errors = SquareErrors(request) if request.is_squares else SampledErrors(engine, compiled, request, x)
        self._rtol, self._atol = request.solve.rtol, request.solve.atol
        self._is_frozen = compiled.has_frozen_steps
        rng = np.random.default_rng(x.size)
        self._signs = rng.choice([-1.0, 1.0], x.size) * rng.uniform(0.5, 1.0, x.size)

    def _directions(self):
        """The direction, relative to x, with ever smaller elements where those of x are 0."""
        for size in ZERO_SIZES if np.any(self._x == 0) else ZERO_SIZES[:1]:
            yield self._signs * np.where(self._x != 0, np.abs(self._x), size)

    def _values(self, direction, step):
        """Losses above and below x; None where one can't be computed."""
        points = np.stack([self._x + step * direction, self._x - step * direction])
        values = self._compiled.nearby_values(self._x, points)
        return values if np.isfinite(values).all() else None

    def _noise(self, losses):
        """How far losses are off at random."""
        if self._is_frozen:
            return self._errors.of_values(losses, FROZEN_NOISE, FROZEN_NOISE * self._atol)
        return self._errors.of_values(losses, NOISE * self._rtol, NOISE * self._atol)

    def compare(self, gradient: np.ndarray) -> Comparison | None:
        """The first comparison that agrees; None where differences can't tell, of each other or of the gradient."""
        mismatch = None
        for direction in self._directions():
            steps = FROZEN_STEPS if self._is_frozen else FREE_STEPS
            seen = []
            for found in (self._compare(gradient, direction, step) for step in steps):
                if found is not None and found.agrees:
                    return found
                seen += [] if found is None else [found]
                if wrong := _confirmed(seen):  # before a step so short that rounding hides what is wrong
                    mismatch = wrong
                    break
        return mismatch

    def compare_roughly(self, gradient: np.ndarray) -> Comparison | None:
        """A gross mismatch with solves that choose their own steps; None where there is none, or none can be told.

        Steps that were frozen show whether a derivative is theirs. But a non-stiff method may take steps at which what
        dies out in truth grows: the states hold nothing of it, cotangents do, and then theirs is not the model's.
        """
        direction, seen = next(self._directions()), []
        derivative = float(gradient @ direction)
        for step in FREE_STEPS:
            above, below = (self._compiled.value(self._x + sign * step * direction) for sign in (1.0, -1.0))
            if not (np.isfinite(above) and np.isfinite(below)):
                continue
            values = np.array([above, below])
            difference = float((above - below) / (2 * step))
            curvature = max(above + below - 2 * self._value, 0.0) / step**2
            error = self._errors.of_states(self._rtol, self._atol)
            noise = self._errors.of_values(values, NOISE * self._rtol, NOISE * self._atol) / step
            noise = float(noise + SLACK * error * np.sqrt(2 * curvature))
            if abs(derivative - difference) <= ROUGHLY * max(abs(derivative), abs(difference)) + noise:
                return None
            seen.append(Comparison(derivative, difference, noise, step))
        return _confirmed(seen)  # those of chaos differ from each other

    def _compare(self, gradient, direction, step):
        values = self._values(direction, step)
        if values is None:
            return None
        above, below = values
        share = float(np.abs(gradient) @ np.abs(direction))
        allowed = FROZEN_ERROR * share + self._noise(values) / step
        if self._compiled.sensitivity != "discrete" or not self._is_frozen:
            # states and their slopes are off by tolerances: the former times slopes, the latter times residuals
            curvature = max(above + below - 2 * self._value, 0.0) / step**2
            error = self._errors.of_states(self._rtol, self._atol)
            allowed += SLACK * (self._rtol * share + error * np.sqrt(2 * curvature))
        return Comparison(float(gradient @ direction), float((above - below) / (2 * step)), float(allowed), step)

    def confirm_zero(self) -> Comparison | None:
        """A gradient of exact zeros, believed unless growing steps see one slope twice; None if there are no losses."""
        direction, before, has_values = next(self._directions()), 0.0, False
        for step in GROWING_STEPS:
            values = self._values(direction, step)
            if values is None:
                continue
            slope, has_values = float(values[0] - values[1]) / (2 * step), True
            if abs(slope) * step <= 10 * self._noise(values):
                slope = 0.0
            if before and 0.3 < slope / before < 3.0:
                return Comparison(0.0, slope, 0.0)
            before = slope
        return Comparison(0.0, 0.0, 0.0) if has_values else None


def _say_rest(request, x):
    """What to do where the start is a state of rest."""
    u0, p = evaluate_program(request.parametrization, x)
    solve, (t0, t1) = request.solve, request.solve.t_span
    moved = np.abs(evaluate_program(solve.program, np.float64(t0), u0, p)[0]) * (t1 - t0)
    if (moved > solve.atol + solve.rtol * np.abs(u0)).any():
        return ""
    return (
        ". Nothing moves at these start values, and steps that grow for that reason tell little of their neighbours: "
        "begin elsewhere"
    )


def _confirmed(comparisons):
    """A mismatch that three differences agree on; a jump or chaos makes them differ from each other too."""
    for found in combinations(comparisons, 3):
        differences = [one.difference for one in found]
        spread, size = max(differences) - min(differences), max(map(abs, differences))
        nearest_one = min(found, key=lambda one: abs(one.difference - one.derivative))
        gap = abs(nearest_one.difference - nearest_one.derivative)
        if spread < 0.2 * gap and spread < 0.5 * size + max(one.allowed for one in found):
            return nearest_one
    return None


def warn_of_growth(engine: AbstractEngine, compiled: AbstractObjective, request: ObjectiveRequest, x: np.ndarray):
    """RuntimeWarning with the rate at which small changes of the state grow, if that is why differences can't tell."""
    if request.solve.events or request.solve.mass_matrix is not None:
        return  # no tangents pass these
    u0, p = evaluate_program(request.parametrization, x)
    start = np.random.default_rng(u0.size).standard_normal(u0.size) * np.where(u0 != 0, np.abs(u0), 1.0)
    wide = replace(
        request.solve,
        program=with_tangents(request.solve.program, np.zeros((1, p.size))),
        u0=np.concatenate([u0, start]),
        p=np.asarray(p),
        algorithm=compiled.algorithm,
        saveat=request.solve.saveat[-1:],
    )
    raw = engine.solve(wide)
    if not is_success(raw.status[0]):
        return
    span = raw.t[-1] - wide.t_span[0]
    factor = float(np.linalg.norm(raw.u[0, -1, u0.size :]) / np.linalg.norm(start))
    if factor > MOST_GROWTH:
        warnings.warn(
            f"the solution is chaotic or its span long: small changes of the state grow at a rate of "
            f"{np.log(factor) / span:.3g} per unit of time, {factor:.2g} times over the data's span, and the gradient "
            "with them. Differences of the loss can't confirm it, and a search by it will hardly succeed: use data "
            "over a shorter span",
            RuntimeWarning,
            stacklevel=5,
        )


def check_verify(word: str) -> None:
    """ProblemError for an unknown word."""
    if word not in WORDS:
        words = ", ".join(map(repr, WORDS))
        raise ProblemError(f"verify must be one of {words}, got {word!r}{nearest(str(word), WORDS)}")
