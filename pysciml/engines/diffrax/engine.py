"""The embedded engine behind the contract of ``engines/base.py``."""

from dataclasses import replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np

from ...fitting.stages import Stage
from ...ir.program import Program
from ...requests import Capability, EnsembleRequest, FitRequest, SolveRequest, SumRequest
from ..base import AbstractEngine, AbstractObjective, LookAt, RawEnsemble, RawFit, RawSolution, Tell
from ..fit import run_fit
from ..single import in_single
from .algorithms import CAPABILITIES
from .ensemble import solve_ensemble
from .fit import run_stage
from .objective import compile_observe
from .precision import double_precision, numbers
from .solve import bucket, solve_request
from .sums import DiffraxSum


class DiffraxEngine(AbstractEngine):
    """Programs lowered to JAX, solved by diffrax, fitted by optax."""

    name = "diffrax"
    capabilities = CAPABILITIES
    instead = {Capability("limit", "max_seconds"): "Loops compiled by JAX look at no clock; max_steps bounds them"}

    def solve(self, request: SolveRequest) -> RawSolution:
        with double_precision(request.device):
            return replace(solve_request(request), versions=self.versions())

    def solve_ensemble(self, request: EnsembleRequest) -> RawEnsemble:
        if request.parallel == "serial" or request.solve.events:  # these act between compiled stretches
            return super().solve_ensemble(request)
        request = in_single(request) if request.dtype == "float32" else request
        with numbers(request.dtype, request.device):
            return replace(solve_ensemble(request), versions=self.versions())

    def make_objective(self, request: SumRequest, stage: Stage | None = None) -> AbstractObjective:
        with double_precision(request.device):
            objective = DiffraxSum(request, stage=stage)
        return objective.parts[0] if request.is_single else objective

    def fit(
        self, request: FitRequest, report: Tell = None, folder: Path | None = None, look_at: LookAt = None
    ) -> RawFit:
        with double_precision(request.objective.device):
            raw = run_fit(self, request, partial(run_stage, request), report, folder, look_at)
        return replace(raw, versions=self.versions())

    def observe(self, program: Program, t: np.ndarray, u: np.ndarray, p: np.ndarray) -> np.ndarray:
        if not len(t):
            return super().observe(program, t, u, p)
        more = bucket(len(t), 16) - len(t)  # a few sizes only, since each compiles
        rows = [t, u] if p.ndim == 1 else [t, u, p]
        padded = [np.concatenate([x, np.repeat(x[-1:], more, axis=0)]) for x in rows]
        with double_precision():
            return np.array(compile_observe(program, p.ndim > 1)(*padded, *([p] if p.ndim == 1 else [])))[: len(t)]

    def versions(self) -> dict[str, str]:
        return dict(_versions())


@cache
def _versions():
    return {name: version(name) for name in ("jax", "jaxlib", "diffrax", "optax")}


def make_engine() -> AbstractEngine:
    """The engine; one instance a process."""
    return DiffraxEngine()
