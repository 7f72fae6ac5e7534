"""fit(): parameters and networks from a time series."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike

import numpy as np
import xarray as xr

from ..datasets.attrs import own_versions
from ..datasets.experiments import experiments_to_dataset, read_experiments
from ..engines.base import AbstractEngine, Report, Status, check_capabilities
from ..engines.choose import engine_capabilities
from ..engines.evolution import check_evolution
from ..errors import ProblemError, SolveFailed
from ..fitting.batches import Minibatch, read_batch
from ..fitting.optimizers import CMAES, LevenbergMarquardt, Optimizer, read_optimizers
from ..fitting.shooting import make_stages
from ..fitting.strategies import GrowingHorizon, read_strategy
from ..fitting.trainable import limits, whole_networks
from ..fitting.validation import Holdout
from ..ir.evaluate import evaluate_program
from ..problems.ode import ODEProblem
from ..problems.schema import problem_to_json
from ..requests import FitRequest, SumRequest, tangent_needs
from ..words import check_keywords
from .algorithm import Algorithm
from .checkpoint import claim_folder, identify
from .fit_result import FitResult
from .held_out import make_others, split
from .misfit import Misfit, make_misfit
from .objective import Data, is_weight
from .scaled import scale_misfit
from .sensitivity import Sensitivity
from .verify import Verified, check_verify
from .warm_starts import Search, warm_start


def fit(
    problem: ODEProblem,
    data: Data,
    *,
    loss="nmse",
    optimizer: None | str | Optimizer | Sequence[str | Optimizer] = None,
    trainable: None | Sequence[str] | Mapping[str, object] = None,
    strategy="auto",
    seed: int = 0,
    progress: bool = True,
    engine: str = "auto",
    algorithm: str | Algorithm = "auto",
    rtol: float = 1e-6,
    atol: float = 1e-8,
    sensitivity: str | Sensitivity = "auto",
    verify: str = "once",
    checkpoint: None | str | PathLike = None,
    over: None | xr.Dataset | Mapping[str, object] = None,
    time: str = "time",
    weights: None | xr.Dataset | Mapping[str, object] = None,
    priors: None | Mapping[str, object] = None,
    penalty=None,
    validation: Holdout | None = None,
    batch: Minibatch | None = None,
    **unknown,
) -> FitResult:
    """Return the problem with the parameters and networks that fit a time series best.

    Parameters
    ----------
    problem : ODEProblem
        The model, its initial values, and the start values of its parameters.
    data : xarray.Dataset, pandas.DataFrame or dict of these
        Measured states or observables over ``time``, in the problem's units; NaN where nothing was measured, and what
        is not in it counts as not observed. Forms: see :func:`objective`.
    loss : str, likelihood, dict of these by variable, or function, default "nmse"
        ``"nmse"`` is the mean over all finite values of the squared residual, each variable divided by its data's
        standard deviation (dimensionless). Others: see :func:`objective`.
    optimizer : Adam, AdamW, Lion, RMSProp, LBFGS, BFGS, LevenbergMarquardt, CMAES, str or list, optional
        Run in order; a word, such as ``"adam"``, is one with its defaults. None is ``[Adam(), LBFGS()]``.
    trainable : sequence of str or dict, optional
        Names or globs of what is trained, or a dict of these with ``True``, ``ps.Positive()`` or
        ``ps.Interval(lo, hi)``. None: all float parameters and all networks. Initial values are ``u0_<state>``.
    strategy : "auto", (), or strategies in the order in which they run
        ``"auto"`` is ``GrowingHorizon()``, but the whole span at once where a likelihood's scatter is fitted, which few
        data don't determine; ``()`` is the whole span from the start (single shooting). Before either, warm starts:
        :class:`Collocation`, :class:`MultipleShooting`, :class:`MultiStart`.
    seed : int, default 0
        Seed of whatever is drawn at random in the fit; recorded. The same seed gives the same result.
    progress : bool, default True
        Show a bar with loss and time left, and say what is trained.
    engine : {"auto", "julia", "diffrax"}, default "auto"
        What computes it.
    algorithm : str or Algorithm, default "auto"
        Solver word; ``"auto"`` becomes one method by a probe solve.
    rtol, atol : float
        Tolerances of the solves, relative and in the states' units.
    sensitivity : str or Sensitivity, default "auto"
        How gradients are computed.
    verify : {"once", "always", "never"}, default "once"
        Hold the first gradient of a problem against differences of the loss before the fit begins; ``"always"``: that
        of each fit, and the one at its result; see :func:`objective`.
    checkpoint : str or path, optional
        A folder in which the fit is kept as it goes. Killed at any moment, the same call goes on where it was, and
        ends at the same parameters, bit for bit on the same machine; once it has ended, the same call returns its
        result at once. A folder of another problem, data, settings or versions is refused.
    over, time, weights, priors, penalty
        Several experiments, the name of the times in ``data``, factors of losses, prior distributions and penalties:
        see :func:`objective`.
    validation : Holdout, optional
        What is held out of the fit, by whose loss it stops and its result is chosen.
    batch : Minibatch, optional
        How many experiments a step looks at, for optimizers that follow the gradient by a learning rate; ``optimizer``
        is then ``Adam()`` where it is left out. None: all.
    **unknown
        Nothing else: an unknown keyword raises with the nearest right one.

    Returns
    -------
    FitResult
        The fitted problem, the history, and methods to predict and save.

    Raises
    ------
    ProblemError
        For unknown names and words, and for data that do not fit the problem.
    UnsupportedByEngine, EngineUnavailable
        If the engine can't do what was asked, or isn't ready.
    GradientMismatch
        If a gradient isn't the derivative of the loss.
    SolveFailed
        If the very first solve fails.

    Notes
    -----
    Inside the fit everything has size one: states are divided by their data's spread (``"nmse"``), parameters by their
    own start value, and a network that still has its drawn weights starts as if its inputs were scaled to mean 0 and
    deviation 1 and its outputs to the data's rate of change. All of this is folded into the weights of the result.

    A solve that fails is a rejected step; ``history`` counts them (``rejected``) and says why (``status``). After too
    many in a row the fit stops at the best parameters, with status ``GAVE_UP`` and advice in ``message``. Ctrl-C
    returns the result so far, with status ``INTERRUPTED``.

    Examples
    --------
    >>> import pysciml as ps, xarray as xr
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0, 2), {"k": 0.5})
    >>> data = xr.Dataset({"x": ("time", [0.3679, 0.1353])}, {"time": [1.0, 2.0]})
    >>> result = ps.fit(problem, data, optimizer=ps.LBFGS(), engine="diffrax", progress=False)
    >>> round(float(result.p.k), 2)
    1.0
    """
    check_keywords("fit", unknown, fit.__kwdefaults__ or ())
    check_verify(verify)
    optimizers = read_optimizers(optimizer, batch is not None)
    (warm, horizon), seed = read_strategy(strategy), check_seed(seed)
    everything = _read_data(problem, data, over, time)
    fitted, held = (everything, ()) if validation is None else split(validation, everything, problem)
    more = {"over": over, "weights": weights, "priors": priors, "penalty": penalty, "experiments": fitted}
    misfit = make_misfit(problem, data, loss, trainable, engine, algorithm, rtol, atol, sensitivity, **more)
    horizon = _choose_horizon(strategy, horizon, misfit)
    make, z0 = scale_misfit(misfit)
    others = make_others(misfit, held)
    request = _make_request(misfit, others, make, z0, optimizers, horizon, validation, batch, seed)
    trained = _trained_names(misfit)
    chosen = {"optimizers": [repr(item) for item in optimizers], "strategy": repr((*warm, horizon)), "seed": seed}
    settings = {"loss": repr(misfit.loss), "trained": trained, **chosen, **_settings_of(misfit)}
    folder, has_begun = (None, False) if checkpoint is None else _claim(checkpoint, misfit, request, settings)
    if not has_begun:
        _confirm_gradient(verify, misfit, request, z0, request.stages[0])
    with ProgressBar(progress, trained) as bar:
        search = Search(misfit, make, request.stages[0].rows, seed, bar.report, folder)
        z, settings["warm_starts"] = warm_start(warm, search, z0)
        request = replace(request, objective=request.objective.starting_at(z))
        raw = misfit.engine.fit(request, bar.report, folder)
    if not np.isfinite(raw.value):
        raise SolveFailed(
            f"fit: the model could not be solved at its start values ({raw.message}); "
            "call ps.solve on the same problem to see where and why",
            raw.status,
        )
    if verify == "always":
        _confirm_gradient(verify, misfit, request, raw.x, request.stages[-1])
    is_plain = isinstance(data, xr.Dataset) and not everything[0].coords and time == "time"
    shown = data if is_plain else experiments_to_dataset(everything, problem)
    return _result(misfit, others, make, request, raw, settings, shown)


def _read_data(problem, data, over, time):
    if not isinstance(problem, ODEProblem):
        raise ProblemError(f"problem must be a ps.ODEProblem, got {type(problem).__name__}")
    return read_experiments(data, problem, over, time)


def _choose_horizon(strategy, horizon, misfit) -> GrowingHorizon:
    """What ``"auto"`` is for a loss."""
    is_fitted = any(block.name in misfit.noise for block in misfit.blocks)
    return GrowingHorizon(stages=1) if strategy == "auto" and is_fitted else horizon


def _make_request(misfit, others, make, z0, optimizers, horizon, validation, batch, seed) -> FitRequest:
    """What the engine is asked; ``others`` are the experiments that are held out, or those whose later data are."""
    observed = [(one.seen.times, one.seen.mask) for one in misfit.members]
    starts = [one.problem.span[0] for one in misfit.members]
    every, patience = (validation.every, validation.patience) if validation else (0, 0)
    stages = make_stages(horizon, optimizers, observed, starts, every, read_batch(batch, len(misfit.members)))
    looked_at = others.request(make, z0) if others else None
    request = FitRequest(misfit.request(make, z0), stages, seed, find_decayed(misfit), looked_at, patience)
    check_optimizers(optimizers, request.objective, misfit.engine)
    return request


def _result(misfit, others, make, request, raw, settings, data):
    """What a fit gives back."""
    chosen = {name: getattr(raw, name) for name in ("algorithm", "sensitivity", "reason", "versions")}
    members = list(misfit.members)
    members += [one for one in others.members if one.coords not in [m.coords for m in members]] if others else []
    chosen["terms"] = _terms(misfit, request.objective, raw)
    z = request.objective.x0
    found = [
        (one.coords, one.problem_of(*evaluate_program(make(one, z[one.picks]), raw.x[one.picks]))) for one in members
    ]
    return FitResult(
        problem=found[0][1],
        data=data,
        history=_history(raw, misfit),
        loss=float(raw.value),
        status=raw.status,
        message=raw.message or raw.status.message,
        settings=settings | chosen,
        members=tuple(found) if found[0][0] else (),
    )


def _terms(misfit, request, raw) -> dict[str, float]:
    """What the loss is the sum of, by name."""
    added = request.penalty_values(raw.x)
    return dict(zip(misfit.terms, [float(raw.value) - sum(added), *added], strict=True))


def check_optimizers(optimizers: Sequence[Optimizer], request: SumRequest, engine: AbstractEngine) -> None:
    """Refuse one whose package is missing, and least squares of what is no sum of squares or has no tangents."""
    if any(isinstance(item, CMAES) for item in optimizers):
        check_evolution()
    if any(isinstance(item, LevenbergMarquardt) for item in optimizers):
        if request.penalties or not all(part.is_squares for part in request.parts):
            raise ProblemError(
                "LevenbergMarquardt: only for losses that are sums of squares ('nmse', 'mse'), without penalties; "
                "use ps.LBFGS() or ps.BFGS()"
            )
        for part in request.parts:
            check_capabilities(engine, tangent_needs(part.solve), engine_capabilities())


def _confirm_gradient(verify, misfit, request, x, stage):
    """Hold the gradient at x, over the stretch of a stage, against differences of the loss."""
    if verify == "never":
        return
    used = [k for k, rows in enumerate(stage.rows) if rows]
    request = request.objective.only(used).starting_at(x)
    compiled = misfit.engine.make_objective(request, replace(stage, rows=tuple(stage.rows[k] for k in used)))
    verified = Verified(verify, misfit.engine, compiled, request)
    if not verified.is_done:
        verified(x)


def _settings_of(misfit):
    """What a fit was told beside its loss, optimizers and strategy."""
    solve = misfit.members[0].solve
    return {
        "scales": misfit.scales,
        "terms": list(misfit.terms),
        "is_weighted": misfit.comparison.is_weighted,
        "bounds": {block.label: list(limits(block.bound)) for block in misfit.blocks if block.bound is not None},
        "engine": misfit.engine.name,
        "algorithm": solve.algorithm,
        "sensitivity": misfit.sensitivity,
        "rtol": solve.rtol,
        "atol": solve.atol,
    }


def _claim(checkpoint, misfit, request, settings):
    """The folder of this very fit, and whether it had begun."""
    versions = own_versions() | misfit.engine.versions()
    return claim_folder(checkpoint, identify(problem_to_json(misfit.problem), request, settings, versions))


def check_seed(seed) -> int:
    """The seed as an int; ProblemError if it isn't one."""
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ProblemError(f"seed must be a non-negative integer, got {seed!r}")
    return int(seed)


def find_decayed(misfit: Misfit) -> np.ndarray:
    """Which elements of x are weights of networks."""
    is_decayed = np.zeros(misfit.x0.size, dtype=bool)
    for block in misfit.blocks:
        is_decayed[block.slice] = is_weight(block)
    return is_decayed


def _trained_names(misfit):
    """Names of what is trained, a network trained whole by its own name."""
    whole = whole_networks(misfit.blocks)
    return list(dict.fromkeys(b.network if b.network in whole else b.name for b in misfit.blocks))


def _history(raw, misfit):
    counts = {name: np.asarray(raw.history[name], dtype=np.int64) for name in ("rejected", "status")}
    variables = {}
    for name, values in (raw.history | counts).items():
        attrs = dict(_ATTRS.get(name, {"long_name": name.replace("_", " ")}))
        if name == "horizon" and misfit.problem.units.get("time"):
            attrs["units"] = misfit.problem.units["time"]
        variables[name] = ("iteration", np.asarray(values), attrs)
    data = raw.history["loss"] - raw.penalties.sum(axis=1)
    variables["terms"] = (("iteration", "term"), np.column_stack([data, raw.penalties]), _ATTRS["terms"])
    return xr.Dataset(variables, {"iteration": np.arange(len(data)), "term": list(misfit.terms)})


_ATTRS = {
    "validation_loss": {"long_name": "loss of the held-out data"},
    "horizon": {"long_name": "last data time used"},
    "seconds": {"long_name": "time since the start of the fit", "units": "s"},
    "terms": {"long_name": "what the loss is the sum of"},
    "rejected": {"long_name": "trials of the iteration whose solve failed"},
    "status": {
        "long_name": "why the last of these failed",
        "flag_values": np.array([status.code for status in Status]),
        "flag_meanings": " ".join(status.name.lower() for status in Status),
    },
}


class ProgressBar:
    """A bar on stderr with loss, horizon and time left; nothing if it isn't wanted."""

    def __init__(self, wanted: bool, trained: Sequence[str]):
        self._wanted = wanted
        self._trained = trained
        self._bar = None

    def __enter__(self):
        if self._wanted:
            from tqdm.auto import tqdm

            print(f"fit: training {', '.join(self._trained)}", file=sys.stderr)
            self._bar = tqdm(total=0, unit="it", desc="fit", dynamic_ncols=True)
        return self

    def report(self, report: Report) -> None:
        """Show how far the fit is."""
        if self._bar is not None:
            self._bar.total = report.total
            shown = {"loss": report.loss, "gradient": report.gradient_norm, "horizon": report.horizon}
            self._bar.set_postfix({name: f"{value:.3g}" for name, value in shown.items()}, refresh=False)
            self._bar.update(report.iteration - self._bar.n)

    def __exit__(self, *exception):
        if self._bar is not None:
            self._bar.close()
