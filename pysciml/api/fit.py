"""fit(): parameters and networks from a time series."""

import sys
from collections.abc import Mapping, Sequence
from os import PathLike

import xarray as xr

from ..engines.base import Report
from ..engines.workers import Crew, read_parallel
from ..fitting.batches import Minibatch
from ..fitting.optimizers import Optimizer
from ..fitting.validation import Holdout
from ..problems.ode import ODEProblem
from ..words import check_keywords
from .algorithm import Algorithm
from .fit_plan import plan_fit
from .fit_result import FitResult
from .objective import Data
from .sensitivity import Sensitivity


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
    device: str = "cpu",
    verify: str = "once",
    checkpoint: None | str | PathLike = None,
    over: None | xr.Dataset | Mapping[str, object] = None,
    time: str = "time",
    weights: None | xr.Dataset | Mapping[str, object] = None,
    priors: None | Mapping[str, object] = None,
    penalty=None,
    validation: Holdout | None = None,
    batch: Minibatch | None = None,
    parallel: str | int = "serial",
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
    device : {"cpu", "gpu"}, default "cpu"
        Where the model and its gradient are computed; see :func:`solve`.
    verify : {"once", "always", "never"}, default "once"
        Hold the first gradient of a problem against differences of the loss before the fit begins, over the data of its
        first stage, and again where a stage begins whose data reach more than twice as far as those (fits in processes
        of their own: the former only); ``"always"``: those of each fit, and the one at its result; see
        :func:`objective`.
    checkpoint : str or path, optional
        A folder in which the fit is kept as it goes. Killed at any moment, the same call goes on where it was, and
        ends at the same parameters, bit for bit on the same machine with the same number of threads (another one is
        warned of); once it has ended, the same call returns its result at once. A folder of another problem, data,
        settings or versions is refused.
    over, time, weights, priors, penalty
        Several experiments, the name of the times in ``data``, factors of losses, prior distributions and penalties:
        see :func:`objective`.
    validation : Holdout, optional
        What is held out of the fit, by whose loss it stops and its result is chosen.
    batch : Minibatch, optional
        How many experiments a step looks at, for optimizers that follow the gradient by a learning rate; ``optimizer``
        is then ``Adam()`` where it is left out. None: all.
    parallel : {"serial", "processes"} or int, default "serial"
        Where the searches of :class:`MultiStart` run: one after the other, or side by side in processes of their own,
        one a core or so many. The result is the same, bit for bit.
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
        If the engine can't do what was asked, or isn't ready, or there is no GPU.
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
    plan = plan_fit(
        problem,
        data,
        loss=loss,
        optimizer=optimizer,
        trainable=trainable,
        strategy=strategy,
        seed=seed,
        engine=engine,
        algorithm=algorithm,
        rtol=rtol,
        atol=atol,
        sensitivity=sensitivity,
        device=device,
        verify=verify,
        over=over,
        time=time,
        weights=weights,
        priors=priors,
        penalty=penalty,
        validation=validation,
        batch=batch,
    )
    size = read_parallel("fit", parallel)
    folder = plan.begin(checkpoint)
    with ProgressBar(progress, plan.settings["trained"]) as bar, Crew(plan.misfit.engine, size) as crew:
        return plan.run(bar.report, folder, crew)


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
