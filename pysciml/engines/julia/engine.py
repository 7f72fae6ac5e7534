"""The Julia engine behind the contract of ``engines/base.py``."""

import threading
from collections.abc import Hashable, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np

from ...errors import EngineUnavailable
from ...fitting.stages import Stage
from ...ir.program import Program
from ...requests import EnsembleRequest, EquationRequest, FitRequest, ObjectiveRequest, SolveRequest, SumRequest
from ..base import (
    AbstractEngine,
    Firings,
    LookAt,
    RawDense,
    RawEnsemble,
    RawFit,
    RawSolution,
    Stop,
    Tell,
    is_success,
)
from ..fit import run_fit
from ..single import in_single
from .algorithms import CAPABILITIES
from .bridge import Bridge
from .checks import (
    check_dense,
    choose_sensitivity,
    for_mass_matrix,
    is_adaptive,
    stop_times,
)
from .devices import WHY_EXPLICIT, for_device, load_device, objective_for_device
from .embed import Asked, Handle, Packed
from .ensemble import STIFF, choose_lanes, columns_of, find_order, read_ensemble, stiff_request
from .environment import is_compiled
from .equations import search_equations
from .fit import JuliaStages
from .kernels import kernel_arguments
from .loading import NO_TIMES, Loader, floats, output_size
from .objective import JuliaObjective
from .objective_lanes import add_lanes
from .precompile import compile_packages, say_on_stderr
from .route import find_route, install
from .status import read_return_code

_MOST_KEPT = 250_000  # numbers of a solve that is kept for the next one
_VECTORS = 50  # of the size of a state, of which a method may make use
_STATISTICS = ("steps", "rejected", "function_evaluations", "jacobian_evaluations", "linear_solves")
_NO_START = {"InitialFailure": "the algebraic equations have no solution near u0: give better algebraic states"}
_DEFAULT = (
    "a pair chosen as by SciML's default algorithm, by tolerances and size, which switches where it meets stiffness"
)


class JuliaEngine(AbstractEngine):
    """Programs printed as Julia text, solved by OrdinaryDiffEq, their steps reversed by our own Julia half."""

    name = "julia"
    capabilities = CAPABILITIES

    def __init__(self, bridge: Bridge):
        self._bridge = bridge
        self._load = Loader(bridge)

    def solve(self, request: SolveRequest) -> RawSolution:
        kept = request.memory.pop(self, None)  # only what ends well is kept: interrupts may come anywhere
        if kept is None:
            return self._solve_first(request)
        kept.call.give(request.u0, request.p)
        solution = kept.last = self._read_solution(request, self._call_solve(request, kept.call, kept.like), kept.last)
        request.memory[self] = kept
        return solution

    def _solve_first(self, request):
        like = request.program.hash, request.algorithm, request.algorithm_options, _size(request.saveat)
        arguments = self._solve_arguments(request)
        if not _is_small(request):
            return self._read_solution(request, self._call_solve(request, Packed("solve_request", arguments), like))
        prepared, answer, *places = self._call_solve(request, Packed("solve_and_keep", arguments), like)
        solution = self._read_solution(request, answer)
        given, found, counts = places
        states = found, (1, _n_times(request), request.u0.size), np.float64
        n_given = request.u0.size + request.p.size
        call = Asked(prepared, (given, n_given), states, (counts, (len(_STATISTICS),), np.int64))
        request.memory[self] = _Kept(like, call, solution)
        return solution

    def _call_solve(self, request, call, like):
        if not request.progress:
            return self._bridge.call(call, has_partial=True, like=like)
        with _progress_bar(request) as watch:
            return self._bridge.call(call, has_partial=True, watch=watch, like=like)

    def solve_many(self, requests: Sequence[SolveRequest]) -> list[RawSolution]:
        first = requests[0]
        if all(request.memory is first.memory for request in requests):
            f, _, _, *others = self._solve_arguments(first)
            columns = (np.stack([getattr(request, name) for request in requests], axis=1) for name in ("u0", "p"))
            answers = self._bridge.call("solve_requests", f, *columns, *others, has_partial=True)
        else:
            calls = [["solve_request", *self._solve_arguments(request)] for request in requests]
            answers = self._bridge.call("call_many", calls, has_partial=True)
        solutions: list[RawSolution] = []
        for request, answer in zip(requests, answers, strict=True):
            if len(answer) == 2:
                answer = answer[0].reshape(solutions[-1].u.shape), answer[1]
            solutions.append(self._read_solution(request, answer, solutions[-1] if solutions else None))
        return solutions

    def _solve_arguments(self, request):
        request = for_device(for_mass_matrix(request))
        events = self._load.events(request.events) if request.events else None
        return *self._arguments(request), *_options(request), *(_mass(request) or (None,)), events

    def _read_solution(self, request, answer, last=None):
        if len(answer) == 2:  # states and statistics: all else is as in the last one
            u, counts = answer
            return last.with_values(u, dict(zip(_STATISTICS, counts.tolist(), strict=True)))
        t, u, code, ran, message, counts, stop, *fired = answer
        status = read_return_code(code)
        return RawSolution(
            t=t,
            u=np.ascontiguousarray(u.T)[np.newaxis],
            status=(status,),
            algorithm=ran,
            reason=_reason(request.algorithm, ran, request.device),
            message=message or _NO_START.get(code, "") or ("" if is_success(status) else code),
            statistics=dict(zip(_STATISTICS, counts.tolist(), strict=True)),
            versions=_versions(self._bridge),
            firings=Firings(fired[0], fired[1], np.ascontiguousarray(fired[2].T)) if fired else None,
            stops=(_stop(stop),),
        )

    def solve_ensemble(self, request: EnsembleRequest) -> RawEnsemble:
        if not request.is_plain:
            return self._solve_kernels(request)
        solve = for_mass_matrix(request.solve)
        request = replace(request, solve=solve)
        wide, stiff = choose_lanes(request), stiff_request(request)
        order = None if wide is None else find_order(request, wide.lanes)
        u0, p = columns_of(request, order)
        answer = self._bridge.call(
            "solve_ensemble",
            self._load.model(solve.program, solve.algorithm),
            None if wide is None else self._load.lanes(wide),
            0 if wide is None else wide.lanes,
            wide is not None and p.shape[1] > 1,
            None if solve.mass_matrix is None else floats(solve.mass_matrix),
            self._load.events(solve.events) if solve.events else None,
            u0,
            p,
            *map(float, solve.t_span),
            self._load.algorithm(solve),
            floats(solve.saveat),
            int(request.parallel == "serial"),
            stiff is not None,
            *_options(solve),
            has_partial=True,
        )
        if answer is None:
            assert stiff is not None
            return replace(
                self.solve_ensemble(stiff), reason=f"auto: most are stiff, and {STIFF} solves many side by side"
            )
        raw = read_ensemble(answer, request, _STATISTICS, _versions(self._bridge), order)
        return replace(raw, reason=_reason(solve.algorithm, raw.algorithm))

    def _solve_kernels(self, request: EnsembleRequest) -> RawEnsemble:
        request = in_single(request) if request.dtype == "float32" else request
        arguments = kernel_arguments(request)
        load_device(self._bridge, request.device)
        answer = self._bridge.call("solve_kernels", *arguments, has_partial=True)
        raw = read_ensemble(answer, request, _STATISTICS, _versions(self._bridge))
        return replace(raw, reason=_reason(request.solve.algorithm, raw.algorithm))

    def solve_dense(self, request: SolveRequest) -> RawDense:
        request = for_mass_matrix(request)
        check_dense(request)
        arguments = self._arguments(request)
        code, t_end, message, solution, stop = self._bridge.call(
            "dense_request", *arguments[:-1], *_options(request), *_mass(request)
        )
        status = read_return_code(code)
        return RawDense(
            t_end=t_end,
            status=status,
            algorithm=request.algorithm,
            message=message or ("" if is_success(status) else code),
            evaluate=lambda times: self._evaluate_solution(solution, times),
            stop=_stop(stop),
        )

    def _evaluate_solution(self, solution: Handle, times):
        states = self._bridge.call("evaluate_solution", solution, floats(times), like=(solution.key, _size(times)))
        return np.ascontiguousarray(states.T).reshape(len(times), -1)

    def _arguments(self, request):
        """The problem, its algorithm and its save times, as Julia takes them."""
        return (
            self._load.right_hand_side(request),
            floats(request.u0),
            floats(request.p),
            *map(float, request.t_span),
            self._load.algorithm(request),
            floats(NO_TIMES if request.saveat is None else request.saveat),
        )

    def make_objective(self, request: SumRequest, stage: Stage | None = None) -> JuliaObjective:
        parts = [self._make_part(part) for part in request.parts]
        for part, rows in zip(parts, () if stage is None else stage.rows, strict=stage is not None):
            self._bridge.call("use_rows!", part.handle, rows, stage.factor)
        if request.is_single:
            return parts[0]
        sizes = [len(picks) for picks in request.picks]
        handle = self._bridge.call(
            "make_sum",
            [part.handle for part in parts],
            np.concatenate(request.picks),
            np.cumsum([0, *sizes]),
            [self._load.reversed(penalty) for penalty in request.penalties],
        )
        lanes = add_lanes(self._bridge, self._load, handle, request)
        return JuliaObjective(self._bridge, handle, request.parts[0], parts, lanes)

    def _make_part(self, request: ObjectiveRequest) -> JuliaObjective:
        asked, request = request, objective_for_device(request)
        solve, sensitivity = request.solve, choose_sensitivity(request)
        handle = self._bridge.call(
            "make_objective",
            self._load.right_hand_side(solve, request.vjp),
            self._load.parametrization(request.parametrization),
            int(solve.p.size),
            float(solve.t_span[0]),
            floats(solve.saveat),
            floats(request.values).T,
            floats(request.weights).T,
            floats(request.x0),
            self._load.algorithm(solve),
            sensitivity,
            *_options(solve),
            None if request.observe is None else self._load.reversed(request.observe),
            int(solve.u0.size),
            request.sees_data,
            None if request.whole is None else self._load.reversed(request.whole),
            self._load.events(solve.events, is_reversed=True) if solve.events else None,
            int(request.n_path),
            *_mass(solve),
        )
        return JuliaObjective(self._bridge, handle, asked)

    def fit(
        self, request: FitRequest, report: Tell = None, folder: Path | None = None, look_at: LookAt = None
    ) -> RawFit:
        stages = JuliaStages(self._bridge, cache(lambda: self.make_objective(request.objective)), request)
        return replace(run_fit(self, request, stages.run, report, folder, look_at), versions=self.versions())

    def observe(self, program: Program, t: np.ndarray, u: np.ndarray, p: np.ndarray) -> np.ndarray:
        return self.observe_many([(program, t, u, p)])[0]

    def observe_many(self, points: Sequence[tuple]) -> list[np.ndarray]:
        calls = [
            ["observe_rows", self._load.program(f), output_size(f), floats(t), floats(u).T, floats(np.atleast_2d(p)).T]
            for f, t, u, p in points
        ]
        return [np.ascontiguousarray(y.T) for y in self._bridge.call("call_many", calls)]

    def search_equations(self, request: EquationRequest) -> list[list[tuple[np.ndarray, np.ndarray]]]:
        return search_equations(self._bridge, request)

    def compilations(self) -> tuple[int, float]:
        """Texts of Programs compiled in this process, and seconds spent on compiling since the first call of this."""
        return self._bridge.call("compilations")

    def versions(self) -> dict[str, str]:
        return dict(self._bridge.call("versions"))

    def threads(self) -> dict[str, int]:
        return dict(self._bridge.call("threads"))

    def evaluate(self, program: Program, inputs) -> np.ndarray:
        """All outputs of a Program, one after the other, as the compiled text computes them."""
        flat = np.concatenate([np.zeros(0), *(np.ravel(value) for value in inputs)])
        return self._bridge.call(
            "evaluate",
            self._load.program(program),
            np.array([program.nodes[output.node].size for output in program.outputs], dtype=np.int64),
            np.array(
                [np.size(x) if item.shape else 0 for item, x in zip(program.inputs, inputs, strict=True)],
                dtype=np.int64,
            ),
            flat,
        )


class _Kept:
    """What is kept of a solve that may be asked again with other values."""

    __slots__ = ("call", "last", "like")

    def __init__(self, like: Hashable, call: Asked, last: RawSolution):
        self.like, self.call, self.last = like, call, last


def _is_small(request):
    """Whether its states and a method's vectors may be kept for the next solve."""
    return request.u0.size * (_n_times(request) + _VECTORS) < _MOST_KEPT


def _n_times(request):
    return 0 if request.saveat is None else request.saveat.size


def _reason(asked, ran, device="cpu"):
    if asked != "auto":
        return "asked for"
    if device != "cpu":
        return WHY_EXPLICIT
    return _DEFAULT if ran != "Rodas5P" else "for a mass matrix"


def _size(times):
    """The order of magnitude of how many times there are."""
    return 0 if times is None else len(times).bit_length()


def _stop(pair):
    return None if pair is None else Stop(*pair)


def _mass(request):
    return () if request.mass_matrix is None else (floats(request.mass_matrix),)


def _options(request):
    """The options as numbers; 0 where the method chooses."""
    return (
        float(request.rtol),
        float(request.atol),
        float(request.dt or 0.0),
        float(request.dtmax or 0.0),
        int(request.max_steps),
        float(request.max_seconds or np.inf),
        floats(stop_times(request)),
        is_adaptive(request),
    )


@contextmanager
def _progress_bar(request):
    """What shows how far a solve is."""
    from tqdm.auto import tqdm

    t0, t1 = request.t_span
    with tqdm(total=100, unit="%", desc="solve", bar_format="{l_bar}{bar}| {elapsed}<{remaining}") as bar:
        yield lambda numbers: bar.update(max(100 * (numbers[4] - t0) / (t1 - t0) - bar.n, 0))


@cache
def _versions(bridge):
    """Versions of what solves, asked once; gradients and fits load more, and ask again."""
    return dict(bridge.call("versions"))


_LOCK = threading.Lock()
_bridge = cache(Bridge)  # one a process, also where its boot was interrupted


def make_engine() -> JuliaEngine:
    """The engine, Julia started. Gets Julia through juliapkg if nothing else has been set up."""
    with _LOCK:
        route = find_route()
        if not route.ready:
            route = install(progress=True)
        if not route.ready:
            raise EngineUnavailable(f"engine 'julia' isn't ready: {route.reason}")
        if route.image is None and not is_compiled(route.depots):
            say_on_stderr(
                "pysciml: compiling the Julia package, once after an installation or update; takes a minute or two"
            )
            compile_packages(route, everything=False)
        bridge = _bridge()
        bridge.boot(route)
        return JuliaEngine(bridge)
