"""Differential equations written once as a Python function: solved, differentiated and learnt by Julia or diffrax."""

from importlib import import_module
from typing import TYPE_CHECKING

import xarray as xr

if TYPE_CHECKING:
    from .accessor import SciMLAccessor as SciMLAccessor
    from .api.algorithm import Algorithm
    from .api.algorithms import algorithms
    from .api.dense import DenseSolution, dense
    from .api.doctor import doctor
    from .api.ensemble import ensemble
    from .api.fit import fit
    from .api.fit_ensemble import FitEnsemble, fit_ensemble
    from .api.fit_result import FitResult
    from .api.global_sensitivity import global_sensitivity
    from .api.gradient import gradient
    from .api.objective import Objective, objective
    from .api.posterior import posterior
    from .api.products import gauss_newton_vector_product, hessian_vector_product
    from .api.profile import profile
    from .api.recover import recover
    from .api.recovered import Recovered
    from .api.sample import sample
    from .api.sensitivities import sensitivities
    from .api.sensitivity import Sensitivity
    from .api.solve import solve
    from .api.solve_many import solve_many
    from .api.source import source
    from .api.standard_errors import standard_errors
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
    from .fitting.batches import Minibatch
    from .fitting.likelihoods import LogNormal, NegativeBinomial, Normal, Poisson
    from .fitting.optimizers import BFGS, CMAES, LBFGS, Adam, AdamW, LevenbergMarquardt, Lion, RMSProp
    from .fitting.penalties import L2
    from .fitting.schedules import Cosine, Exponential, Warmup
    from .fitting.strategies import Collocation, GrowingHorizon, MultipleShooting, MultiStart
    from .fitting.trainable import Interval, Positive
    from .fitting.validation import Holdout
    from .networks import MLP
    from .plotting.certainty import plot_correlations, plot_profile
    from .plotting.fits import plot_fit, plot_history, plot_residuals
    from .plotting.indices import plot_global_sensitivity
    from .plotting.learnt import plot_learnt
    from .plotting.states import plot_phase, plot_states
    from .problems.events import Event, every
    from .problems.inputs import interpolate
    from .problems.ode import ODEProblem
    from .problems.schedule import Schedule
    from .recovery.library import Library
    from .recovery.pysr import PySR
    from .tracing.grad import grad

__version__ = "0.1.0"

_WORDS = {  # what is in which module, loaded when it is asked for: importing pysciml stays quick
    "accessor": "SciMLAccessor",
    "api.algorithm": "Algorithm",
    "api.algorithms": "algorithms",
    "api.dense": "DenseSolution dense",
    "api.doctor": "doctor",
    "api.ensemble": "ensemble",
    "api.fit": "fit",
    "api.fit_ensemble": "FitEnsemble fit_ensemble",
    "api.fit_result": "FitResult",
    "api.global_sensitivity": "global_sensitivity",
    "api.gradient": "gradient",
    "api.objective": "Objective objective",
    "api.posterior": "posterior",
    "api.products": "gauss_newton_vector_product hessian_vector_product",
    "api.profile": "profile",
    "api.recover": "recover",
    "api.recovered": "Recovered",
    "api.sample": "sample",
    "api.sensitivities": "sensitivities",
    "api.sensitivity": "Sensitivity",
    "api.solve": "solve",
    "api.solve_many": "solve_many",
    "api.source": "source",
    "api.standard_errors": "standard_errors",
    "datasets.examples": "load_example",
    "engines.base": "Status",
    "errors": "EngineUnavailable GradientMismatch ProblemError PySciMLError SolveFailed TraceError UnsupportedByEngine",
    "fitting.batches": "Minibatch",
    "fitting.likelihoods": "LogNormal NegativeBinomial Normal Poisson",
    "fitting.optimizers": "Adam AdamW BFGS CMAES LBFGS LevenbergMarquardt Lion RMSProp",
    "fitting.penalties": "L2",
    "fitting.schedules": "Cosine Exponential Warmup",
    "fitting.strategies": "Collocation GrowingHorizon MultiStart MultipleShooting",
    "fitting.trainable": "Interval Positive",
    "fitting.validation": "Holdout",
    "networks": "MLP",
    "plotting.certainty": "plot_correlations plot_profile",
    "plotting.fits": "plot_fit plot_history plot_residuals",
    "plotting.indices": "plot_global_sensitivity",
    "plotting.learnt": "plot_learnt",
    "plotting.states": "plot_phase plot_states",
    "problems.events": "Event every",
    "problems.inputs": "interpolate",
    "problems.ode": "ODEProblem",
    "problems.schedule": "Schedule",
    "recovery.library": "Library",
    "recovery.pysr": "PySR",
    "tracing.grad": "grad",
}
_MODULE_OF = {word: module for module, words in _WORDS.items() for word in words.split()}


def __getattr__(name: str):
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
    return value


@xr.register_dataset_accessor("sciml")
def _make_accessor(ds):
    return __getattr__("SciMLAccessor")(ds)


def __dir__():
    return [*globals(), *_MODULE_OF]


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
