"""A fit before it begins, and how it runs: what fit() and fit_ensemble() stand on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from ..datasets.attrs import own_versions
from ..datasets.experiments import experiments_to_dataset, read_experiments
from ..engines.base import AbstractEngine, RawFit, Report, Status, check_capabilities
from ..engines.choose import engine_capabilities
from ..engines.evolution import check_evolution
from ..engines.fit import COLUMNS
from ..engines.workers import Crew
from ..errors import ProblemError, SolveFailed
from ..fitting.batches import batch_size, check_batch
from ..fitting.optimizers import CMAES, LevenbergMarquardt, Optimizer, read_optimizers
from ..fitting.shooting import make_stages
from ..fitting.strategies import GrowingHorizon, MultiStart, WarmStart, read_strategy
from ..fitting.trainable import limits, whole_networks
from ..ir.evaluate import evaluate_program
from ..problems.ode import ODEProblem
from ..problems.schema import problem_to_json
from ..requests import FitRequest, SumRequest, tangent_needs
from .checkpoint import claim_folder, identify
from .fit_result import FitResult
from .held_out import make_others, split
from .member import Member
from .misfit import Misfit, make_misfit
from .objective import is_weight
from .scaled import scale_misfit
from .verify import GROWN, Verified, check_verify, longest_span
from .warm_starts import Interrupted, Search, cut_members, warm_start


@dataclass(frozen=True, eq=False)
class Plan:
    """A fit before it begins: the misfit, what is asked of an engine, the start being ``request.objective.x0``."""

    misfit: Misfit
    others: Misfit | None  # of what is held out
    make: Callable[[Member, np.ndarray], object]
    request: FitRequest
    warm: tuple[WarmStart, ...]
    settings: dict
    verify: str
    data: xr.Dataset

    def begin(self, checkpoint: None | str | PathLike) -> Path | None:
        """The folder of this very fit, None without one; a fit that had not begun has its gradient looked at."""
        folder, has_begun = (None, False) if checkpoint is None else self._claim(checkpoint)
        if not has_begun:
            self._confirm_gradient(self.request.objective.x0, 0)
        return folder

    def run(self, report: Callable[[Report], None] | None, folder: Path | None, crew: Crew | None = None) -> FitResult:
        """Warm starts, with a crew's help, then all stages; SolveFailed if nothing could be solved."""
        request, settings = self.request, dict(self.settings)
        crew = crew or Crew(self.misfit.engine)
        search = Search(self.misfit, self.make, request.stages[0].rows, request.seed, crew, report, folder)
        try:
            z, settings["warm_starts"] = warm_start(self.warm, search, request.objective.x0[: self.misfit.x0.size])
            request = replace(request, objective=self._starting_at(z))
            raw = self.misfit.engine.fit(request, report, folder, self._look_at)
        except Interrupted as stop:
            raw = self._stay_at(stop.x)
        if not np.isfinite(raw.value):
            raise SolveFailed(
                f"fit: the model could not be solved at its start values ({raw.message}); "
                "call ps.solve on the same problem to see where and why",
                raw.status,
            )
        if self.verify == "always":
            self._confirm_gradient(raw.x, -1)
        return self._result(raw, settings)

    def _starting_at(self, z: np.ndarray) -> SumRequest:
        """The objective at ``z``, starts of segments that stand behind it being what they are."""
        objective = self.request.objective
        return objective.starting_at(np.concatenate([z, objective.x0[z.size :]]))

    def _stay_at(self, x: np.ndarray) -> RawFit:
        """What a fit has found that was interrupted before its first stage."""
        request = self._starting_at(x)
        compiled = self.misfit.engine.make_objective(request)
        return RawFit(
            x=request.x0,
            value=compiled.value(request.x0),
            history={name: np.zeros(0) for name in COLUMNS},
            penalties=np.zeros((0, self.request.objective.n_added)),
            status=Status.INTERRUPTED,
            message="",
            algorithm=compiled.algorithm,
            sensitivity=compiled.sensitivity,
            reason=compiled.reason,
            versions=self.misfit.engine.versions(),
        )

    def _result(self, raw: RawFit, settings: dict) -> FitResult:
        """What a fit gives back."""
        chosen = {name: getattr(raw, name) for name in ("algorithm", "sensitivity", "reason", "versions")}
        members = list(self.misfit.members)
        others = self.others.members if self.others else ()
        members += [one for one in others if one.coords not in [m.coords for m in members]]
        added = self.request.objective.penalty_values(raw.x)
        if self.misfit.path:
            added += self.misfit.engine.make_objective(self.request.objective.starting_at(raw.x)).path_values(raw.x)
        values = [float(raw.value) - sum(added), *added]
        chosen["terms"] = dict(zip(self.misfit.terms, values, strict=True))
        z = self.request.objective.x0
        found = [
            (one.coords, one.problem_of(*evaluate_program(self.make(one, z[one.picks]), raw.x[one.picks])))
            for one in members
        ]
        return FitResult(
            problem=found[0][1],
            data=self.data,
            history=_history(raw, self.misfit),
            loss=float(raw.value),
            status=raw.status,
            message=self._message(raw, chosen["terms"]),
            settings=settings | chosen,
            members=tuple(found) if found[0][0] else (),
        )

    def _message(self, raw, terms):
        """How the fit ended, and what a user should be told who does not look at the loss."""
        message = raw.message or raw.status.message
        if repr(self.misfit.loss) == "nmse" and next(iter(terms.values())) >= 1.0:
            message += (
                "; but the mean of the data is no worse: try other start values, strategy=[ps.MultiStart()], or bounds"
            )
        return message

    def _claim(self, checkpoint):
        """The folder of this very fit, and whether it had begun."""
        versions = own_versions() | self.misfit.engine.versions()
        threads = self.misfit.engine.threads()
        about = identify(problem_to_json(self.misfit.problem), self.request, self.settings, versions, threads)
        return claim_folder(checkpoint, about)

    def _look_at(self, number, x):
        """Confirm the gradient anew where a stage's data reach much further than those that it was confirmed over."""
        confirmed = -1.0
        for k, stage in enumerate(self.request.stages[: number + 1]):
            span = longest_span(self.request.objective, stage.rows)
            if span > GROWN * confirmed:
                confirmed = span
                if 0 < k == number:
                    self._confirm_gradient(x, number)

    def _confirm_gradient(self, x, number):
        """Hold the gradient at x, over the stretch of a stage, against differences of the loss."""
        if self.verify == "never":
            return
        stage, engine = self.request.stages[number], self.misfit.engine
        used = [k for k, rows in enumerate(stage.rows) if rows]
        request = self.request.objective.only(used).starting_at(x)
        rows = tuple(stage.rows[k] for k in used)
        compiled = engine.make_objective(request, replace(stage, rows=rows))
        verified = Verified(self.verify, engine, compiled, request, rows)
        if not verified.is_done:
            verified(x)


def plan_fit(
    problem,
    data,
    *,
    loss,
    optimizer,
    trainable,
    strategy,
    seed,
    engine,
    algorithm,
    rtol,
    atol,
    sensitivity,
    device,
    verify,
    over,
    time,
    weights,
    priors,
    penalty,
    validation,
    batch,
) -> Plan:
    """Check everything that ``fit`` was given, and choose what is open."""
    check_verify(verify)
    check_batch(batch)
    optimizers = read_optimizers(optimizer, batch is not None)
    (warm, horizon), seed = read_strategy(strategy), check_seed(seed)
    everything = _read_data(problem, data, over, time)
    fitted, held = (everything, ()) if validation is None else split(validation, everything, problem)
    more = {"over": over, "weights": weights, "priors": priors, "penalty": penalty, "experiments": fitted}
    more["device"] = device
    misfit = make_misfit(problem, data, loss, trainable, engine, algorithm, rtol, atol, sensitivity, **more)
    horizon = _choose_horizon(strategy, warm, horizon, misfit, batch)
    make, z0 = scale_misfit(misfit)
    others = make_others(misfit, held)
    request = _make_request(misfit, others, make, z0, optimizers, horizon, validation, batch, seed)
    chosen = {"optimizers": [repr(item) for item in optimizers], "strategy": repr((*warm, horizon)), "seed": seed}
    if batch is not None and batch.segment is not None:
        chosen["segment_starts"] = "fitted" if request.objective.x0.size > z0.size else "data"
    settings = {"loss": repr(misfit.loss), "trained": _trained_names(misfit), **chosen, **_settings_of(misfit)}
    is_plain = isinstance(data, xr.Dataset) and not everything[0].coords and time == "time"
    shown = data if is_plain else experiments_to_dataset(everything, problem)
    return Plan(misfit, others, make, request, warm, settings, verify, shown)


def _read_data(problem, data, over, time):
    if not isinstance(problem, ODEProblem):
        raise ProblemError(f"problem must be a ps.ODEProblem, got {type(problem).__name__}")
    return read_experiments(data, problem, over, time)


def _choose_horizon(strategy, warm, horizon, misfit, batch) -> GrowingHorizon:
    """What ``"auto"`` is for a loss, and for segments, which are short already."""
    is_cut = batch is not None and batch.segment is not None
    if is_cut and (strategy != "auto" and horizon.stages > 1 or any(isinstance(item, MultiStart) for item in warm)):
        raise ProblemError(
            "strategy: with Minibatch(segment=...) there is no horizon to grow or to search; leave GrowingHorizon and "
            "MultiStart out"
        )
    is_fitted = any(block.name in misfit.noise for block in misfit.blocks)
    return GrowingHorizon(stages=1) if strategy == "auto" and (is_fitted or is_cut) else horizon


def _make_request(misfit, others, make, z0, optimizers, horizon, validation, batch, seed) -> FitRequest:
    """What the engine is asked; ``others`` are the experiments that are held out, or those whose later data are."""
    objective = misfit.request(make, z0)
    observed = [(one.seen.times, one.seen.mask) for one in misfit.members]
    if batch is not None and batch.segment is not None:
        objective = cut_members(misfit, objective, batch)
        observed = [(part.solve.saveat, part.weights != 0) for part in objective.parts]
    starts = [part.solve.t_span[0] for part in objective.parts]
    every, patience = (validation.every, validation.patience) if validation else (0, 0)
    stages = make_stages(horizon, optimizers, observed, starts, every, batch_size(batch, len(objective.parts)))
    looked_at = replace(others.request(make, z0), x0=objective.x0) if others else None
    decayed = np.pad(find_decayed(misfit), (0, objective.x0.size - z0.size))
    request = FitRequest(objective, stages, seed, decayed, looked_at, patience)
    check_optimizers(optimizers, request.objective, misfit.engine)
    return request


def check_optimizers(optimizers: Sequence[Optimizer], request: SumRequest, engine: AbstractEngine) -> None:
    """Refuse one whose package is missing, and least squares of what is no sum of squares or has no tangents."""
    if any(isinstance(item, CMAES) for item in optimizers):
        check_evolution()
    if any(isinstance(item, LevenbergMarquardt) for item in optimizers):
        if request.penalties or not all(part.is_squares for part in request.parts):
            raise ProblemError(
                "LevenbergMarquardt: only for sums of squares ('nmse', 'mse', 'relative') without penalties; "
                "use ps.LBFGS() or ps.BFGS()"
            )
        for part in request.parts:
            check_capabilities(engine, tangent_needs(part.solve), engine_capabilities())


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
        "device": solve.device,
        "rtol": solve.rtol,
        "atol": solve.atol,
    }


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
    return xr.Dataset(variables, {"iteration": np.arange(len(data)), "term": np.array(misfit.terms, dtype=object)})


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
