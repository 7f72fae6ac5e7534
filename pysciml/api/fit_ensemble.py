"""fit_ensemble(): several fits from other weights or other draws of the data, and how far they agree."""

import warnings
from dataclasses import dataclass, replace
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
import xarray as xr

from ..datasets.members import join_members
from ..engines.workers import Crew, joint_reports, read_parallel
from ..errors import ProblemError, SolveFailed
from ..fitting.trainable import whole_networks
from ..problems.ode import ODEProblem
from ..requests import SumRequest
from ..words import check_keywords
from .fit import ProgressBar, fit
from .fit_plan import Plan, plan_fit
from .fit_result import FitResult
from .objective import Data
from .scaled import draw_networks


@dataclass(frozen=True, eq=False, repr=False)
class FitEnsemble:
    """Fits of one model that differ in their first weights, or in the draw of the data. Made by :func:`fit_ensemble`.

    Parameters
    ----------
    members : tuple of FitResult
        Each can be printed, saved and asked as any other.

    Examples
    --------
    >>> import pysciml as ps
    >>> found = ps.fit_ensemble(problem, data, members=8)  # doctest: +SKIP
    >>> found.loss.dims, found.predict().x.dims  # doctest: +SKIP
    (('member',), ('member', 'time'))
    """

    members: tuple[FitResult, ...]

    @property
    def parameters(self) -> xr.Dataset:
        """The fitted parameters ``(member, ...)``, a network as its flat weights."""
        return join_members([({"member": k}, one.parameters) for k, one in enumerate(self.members)])

    @property
    def loss(self) -> xr.DataArray:
        """The loss of each ``(member,)``, each by its own draw of the data."""
        return xr.DataArray([one.loss for one in self.members], {"member": range(len(self.members))}, name="loss")

    def predict(self, saveat=None, **options) -> xr.Dataset:
        """Solve all fitted problems.

        Parameters
        ----------
        saveat : array_like, optional
            Times ``(time,)``; the data's where left out.
        **options
            Those of :meth:`FitResult.predict`.

        Returns
        -------
        xarray.Dataset
            As of one, with a dim ``member`` in front; NaN behind the time at which a member's solve fails.
        """
        options = {"check": False} | options
        if options.get("output") == "arrays":
            raise ProblemError("FitEnsemble.predict: output='arrays' holds one trajectory; leave it out")
        found = [({"member": k}, one.predict(saveat, **options)) for k, one in enumerate(self.members)]
        return join_members([(label, ds.reset_coords(drop=True)) for label, ds in found])

    def bands(self, saveat=None, *, level: float = 0.9, **options) -> xr.Dataset:
        """Where the predictions of the members lie.

        Parameters
        ----------
        saveat : array_like, optional
            Times ``(time,)``; the data's where left out.
        level : float, default 0.9
            Share of the members between the outer two (dimensionless).
        **options
            Those of :meth:`FitResult.predict`.

        Returns
        -------
        xarray.Dataset
            The lower end, the median and the upper end over a dim ``quantile``. How measurements scatter is not in
            it. Members whose solve has failed before a time have no say there.

        Raises
        ------
        ProblemError
            If ``level`` is not between 0 and 1.
        """
        if not 0 < level < 1:
            raise ProblemError(f"FitEnsemble.bands: level must be between 0 and 1, got {level!r}")
        predicted = self.predict(saveat, **options)
        return predicted.quantile([0.5 - 0.5 * level, 0.5, 0.5 + 0.5 * level], "member", keep_attrs=True)

    def __repr__(self):
        low, middle, high = np.quantile(self.loss, [0.0, 0.5, 1.0])
        first = str(self.members[0]).split("\n", 1)[0]
        return f"{len(self.members)} fits; loss {low:.6g} to {high:.6g}, median {middle:.6g}\nfirst: {first}"


def fit_ensemble(
    problem: ODEProblem,
    data: Data,
    *,
    members: int = 8,
    resample: bool = False,
    seed: int = 0,
    progress: bool = True,
    checkpoint: None | str | PathLike = None,
    parallel: str | int = "serial",
    **options,
) -> FitEnsemble:
    """Return several fits of one model: where they agree, the data have spoken.

    Parameters
    ----------
    problem : ODEProblem
        The model. The first member starts from its own weights, the others from weights of other seeds.
    data : xarray.Dataset, pandas.DataFrame or dict of these
        As in :func:`fit`.
    members : int, default 8
        Number of fits.
    resample : bool, default False
        Fit each member to another draw of the data, with replacement (bootstrap): of whole experiments if there are
        several, else of times.
    seed : int, default 0
        Of all draws: the same seed gives the same members.
    progress : bool, default True
        Show a bar.
    checkpoint : str or path, optional
        A folder that keeps each member in one of its own: see :func:`fit`. More members may be asked for later.
    parallel : {"serial", "processes"} or int, default "serial"
        Where the fits run: one after the other, sharing all that is compiled, or side by side in processes of their
        own, one a core or so many. The results are the same, bit for bit. A process takes seconds to start and to
        compile, so that this pays where a member takes longer.
    **options
        Those of :func:`fit`.

    Returns
    -------
    FitEnsemble
        The fits, predictions of all, and their bands. A member that can't be solved at its start, or whose process
        is killed, is left out with a warning. After Ctrl-C: the members so far.

    Raises
    ------
    ProblemError
        If all members would be the same: no network is trained whole, and ``resample`` is False. And what :func:`fit`
        refuses.
    SolveFailed
        If no member can be solved at its start.

    Notes
    -----
    Bands of members say what the model and its fit leave open, not how measurements scatter. They are too narrow where
    all members share a mistake.

    References
    ----------
    Lakshminarayanan, Pritzel, Blundell (2017), Simple and scalable predictive uncertainty estimation using deep
    ensembles, NeurIPS 30. doi:10.48550/arXiv.1612.01474
    Efron (1979), Bootstrap methods: another look at the jackknife, Annals of Statistics 7, 1-26.
    doi:10.1214/aos/1176344552

    Examples
    --------
    >>> import pysciml as ps
    >>> found = ps.fit_ensemble(problem, data, members=8)  # doctest: +SKIP
    >>> found.bands(level=0.9).sizes["quantile"]  # doctest: +SKIP
    3
    """
    known = dict(fit.__kwdefaults__ or {})
    check_keywords("fit_ensemble", [word for word in options if word not in known], [*known, "members", "resample"])
    if isinstance(members, bool) or not isinstance(members, int | np.integer) or members < 2:
        raise ProblemError(f"fit_ensemble: members must be an integer of at least 2, got {members!r}")
    size = read_parallel("fit_ensemble", parallel)
    given = {word: value for word, value in known.items() if word not in ("progress", "checkpoint", "parallel")}
    plan = plan_fit(problem, data, **(given | options | {"seed": seed}))
    _check_differs(plan, resample)
    plans = [_member(plan, number, resample) for number in range(members)]
    folders = [
        own.begin(None if checkpoint is None else Path(checkpoint) / f"member-{number:03d}")
        for number, own in enumerate(plans)
    ]
    with ProgressBar(progress, plan.settings["trained"]) as bar, Crew(plan.misfit.engine, size) as crew:
        reports = joint_reports(bar.report, members)
        outcomes = crew.run([partial(_run, *one) for one in zip(plans, reports, folders, strict=True)])
    return FitEnsemble(_read_outcomes(outcomes))


def _run(plan: Plan, report, folder, engine) -> FitResult:
    """One member."""
    return replace(plan, misfit=replace(plan.misfit, engine=engine)).run(report, folder)


def _read_outcomes(outcomes) -> tuple[FitResult, ...]:
    """The fits that there are; warns of those that failed, and raises the first trouble if there is nothing else."""
    found = tuple(one for one in outcomes if isinstance(one, FitResult))
    if not found:
        raise next((one for one in outcomes if isinstance(one, KeyboardInterrupt)), outcomes[0])
    for number, trouble in enumerate(outcomes):
        if isinstance(trouble, SolveFailed):
            warnings.warn(f"fit_ensemble: member {number} is left out: {trouble}", RuntimeWarning, stacklevel=3)
    return found


def _check_differs(plan, resample):
    if resample and any(part.whole is not None for part in plan.request.objective.parts):
        raise ProblemError("fit_ensemble: a loss of the whole solution weighs its data itself; leave resample out")
    if not resample and not whole_networks(plan.misfit.blocks):
        raise ProblemError(
            "fit_ensemble: no network is trained as a whole, so that all members would be the same; "
            "resample=True draws the data of each anew"
        )


def _member(plan: Plan, number: int, resample: bool) -> Plan:
    """The plan of one member: the first starts from the plan's own weights."""
    request, seed = plan.request, plan.request.seed
    random = np.random.default_rng([seed, number])
    objective, z = request.objective, request.objective.x0
    if number:
        z = draw_networks(plan.misfit, z, random, set(whole_networks(plan.misfit.blocks)))
    if resample:
        objective = _resample(objective, random)
    request = replace(request, objective=objective.starting_at(z), seed=seed + number)
    return replace(plan, request=request, settings=plan.settings | {"member": number, "resample": bool(resample)})


def _resample(objective: SumRequest, random: np.random.Generator) -> SumRequest:
    """Weights times how often each experiment, or each time of the only one, is drawn."""
    n = len(objective.parts)
    if n > 1:
        counts = random.multinomial(n, np.full(n, 1 / n))
        factors = [np.full(len(part.weights), count) for part, count in zip(objective.parts, counts, strict=True)]
    else:
        seen = objective.parts[0].weights.any(axis=1)
        factors = [np.zeros(seen.size)]
        factors[0][seen] = random.multinomial(seen.sum(), np.full(seen.sum(), 1 / seen.sum()))
    parts = [
        replace(part, weights=part.weights * factor[:, np.newaxis])
        for part, factor in zip(objective.parts, factors, strict=True)
    ]
    return replace(objective, parts=tuple(parts))
