"""The embedded engine behind the contract of ``engines/base.py``."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib.metadata import version

from ...requests import FitRequest, ObjectiveRequest, SolveRequest
from ..base import AbstractEngine, AbstractObjective, RawFit, RawSolution, Report
from .algorithms import CAPABILITIES
from .fit import run_fit
from .objective import DiffraxObjective
from .precision import double_precision
from .solve import solve_request


class DiffraxEngine(AbstractEngine):
    """Programs lowered to JAX, solved by diffrax, fitted by optax."""

    name = "diffrax"
    capabilities = CAPABILITIES

    def solve(self, request: SolveRequest) -> RawSolution:
        with double_precision():
            return replace(solve_request(request), versions=self.versions())

    def make_objective(self, request: ObjectiveRequest) -> AbstractObjective:
        with double_precision():
            return DiffraxObjective(request)

    def fit(self, request: FitRequest, report: Callable[[Report], None] | None = None) -> RawFit:
        with double_precision():
            return replace(run_fit(request, report), versions=self.versions())

    def versions(self) -> dict[str, str]:
        return dict(_versions())


@cache
def _versions():
    return {name: version(name) for name in ("jax", "jaxlib", "diffrax", "optax")}


def make_engine() -> AbstractEngine:
    """The engine; one instance a process."""
    return DiffraxEngine()
