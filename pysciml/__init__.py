"""Differential equations written once as a Python function: solved, differentiated and learnt by Julia or diffrax."""

from importlib import import_module
from typing import TYPE_CHECKING

from .accessor import SciMLAccessor as SciMLAccessor  # registers ds.sciml
from .api.algorithm import Algorithm
from .api.gradient import gradient
from .api.objective import Objective, objective
from .api.sensitivity import Sensitivity
from .api.solve import solve
from .datasets.examples import load_example
from .engines.base import Status
from .errors import (
    EngineUnavailable,
    GradientMismatch,
    ProblemError,
    PySciMLError,
    SolveFailed,
    TraceError,
    UnsupportedByEngine,
)
from .fitting.likelihoods import LogNormal, NegativeBinomial, Normal, Poisson
from .fitting.penalties import L2
from .fitting.trainable import Interval, Positive
from .networks import MLP
from .plotting.states import plot_phase, plot_states
from .problems.events import Event, every
from .problems.inputs import interpolate
from .problems.ode import ODEProblem
from .problems.schedule import Schedule
from .tracing.grad import grad

if TYPE_CHECKING:
    from .api.algorithms import algorithms
    from .api.dense import DenseSolution, dense
    from .api.doctor import doctor
    from .api.ensemble import ensemble
    from .api.fit import fit
    from .api.fit_ensemble import FitEnsemble, fit_ensemble
    from .api.fit_result import FitResult
    from .api.global_sensitivity import global_sensitivity
    from .api.posterior import posterior
    from .api.products import gauss_newton_vector_product, hessian_vector_product
    from .api.profile import profile
    from .api.recover import recover
    from .api.recovered import Recovered
    from .api.sample import sample
    from .api.sensitivities import sensitivities
    from .api.solve_many import solve_many
    from .api.source import source
    from .api.standard_errors import standard_errors
    from .fitting.batches import Minibatch
    from .fitting.optimizers import BFGS, CMAES, LBFGS, Adam, AdamW, LevenbergMarquardt, Lion, RMSProp
    from .fitting.schedules import Cosine, Exponential, Warmup
    from .fitting.strategies import Collocation, GrowingHorizon, MultipleShooting, MultiStart
    from .fitting.validation import Holdout
    from .plotting.certainty import plot_correlations, plot_profile
    from .plotting.fits import plot_fit, plot_history, plot_residuals
    from .plotting.indices import plot_global_sensitivity
    from .plotting.learnt import plot_learnt
    from .recovery.library import Library
    from .recovery.pysr import PySR

__version__ = "0.1.0"

_LATE = {  # what not every script asks for is loaded when it is asked for: importing pysciml stays quick
    "algorithms": "api.algorithms",
    "dense": "api.dense",
    "DenseSolution": "api.dense",
    "doctor": "api.doctor",
    "ensemble": "api.ensemble",
    "fit": "api.fit",
    "FitResult": "api.fit_result",
    "Holdout": "fitting.validation",
    "Minibatch": "fitting.batches",
    **dict.fromkeys("BFGS CMAES LBFGS Adam AdamW LevenbergMarquardt Lion RMSProp".split(), "fitting.optimizers"),
    **dict.fromkeys("Cosine Exponential Warmup".split(), "fitting.schedules"),
    **dict.fromkeys("Collocation GrowingHorizon MultipleShooting MultiStart".split(), "fitting.strategies"),
    "fit_ensemble": "api.fit_ensemble",
    "FitEnsemble": "api.fit_ensemble",
    "gauss_newton_vector_product": "api.products",
    "global_sensitivity": "api.global_sensitivity",
    "hessian_vector_product": "api.products",
    "Library": "recovery.library",
    "plot_correlations": "plotting.certainty",
    "plot_fit": "plotting.fits",
    "plot_global_sensitivity": "plotting.indices",
    "plot_history": "plotting.fits",
    "plot_learnt": "plotting.learnt",
    "plot_profile": "plotting.certainty",
    "plot_residuals": "plotting.fits",
    "posterior": "api.posterior",
    "profile": "api.profile",
    "PySR": "recovery.pysr",
    "recover": "api.recover",
    "Recovered": "api.recovered",
    "sample": "api.sample",
    "sensitivities": "api.sensitivities",
    "solve_many": "api.solve_many",
    "source": "api.source",
    "standard_errors": "api.standard_errors",
}


def __getattr__(name: str):
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_LATE[name]}", __name__), name)


def __dir__():
    return [*globals(), *_LATE]


__all__ = [
    "CMAES",
    "L2",
    "LBFGS",
    "MLP",
    "Adam",
    "Algorithm",
    "Collocation",
    "DenseSolution",
    "EngineUnavailable",
    "Event",
    "FitEnsemble",
    "FitResult",
    "GradientMismatch",
    "GrowingHorizon",
    "Holdout",
    "Interval",
    "LevenbergMarquardt",
    "Library",
    "LogNormal",
    "Minibatch",
    "NegativeBinomial",
    "MultiStart",
    "MultipleShooting",
    "Normal",
    "ODEProblem",
    "Objective",
    "Poisson",
    "Positive",
    "ProblemError",
    "PySR",
    "PySciMLError",
    "Recovered",
    "Schedule",
    "Sensitivity",
    "SolveFailed",
    "Status",
    "TraceError",
    "UnsupportedByEngine",
    "algorithms",
    "dense",
    "doctor",
    "ensemble",
    "every",
    "fit",
    "fit_ensemble",
    "global_sensitivity",
    "gauss_newton_vector_product",
    "grad",
    "gradient",
    "hessian_vector_product",
    "interpolate",
    "load_example",
    "objective",
    "plot_correlations",
    "plot_fit",
    "plot_global_sensitivity",
    "plot_history",
    "plot_learnt",
    "plot_phase",
    "plot_profile",
    "plot_residuals",
    "plot_states",
    "posterior",
    "profile",
    "recover",
    "sample",
    "sensitivities",
    "solve",
    "solve_many",
    "source",
    "standard_errors",
    "BFGS",
    "AdamW",
    "Lion",
    "RMSProp",
    "Cosine",
    "Exponential",
    "Warmup",
]
