"""posterior(): draws of all parameters that agree with the data and what was known before."""

import sys
import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from ..datasets.experiments import experiments_to_dataset, read_experiments
from ..datasets.to_dataset import values_to_dataset
from ..errors import ProblemError
from ..fitting.trainable import Block
from ..problems.ode import ODEProblem
from ..sampling.nuts import Density, Draws, Settings, sample_nuts
from ..sampling.support import make_support
from ..words import check_keywords, nearest
from .fit_plan import check_seed
from .objective import Objective, block_values, is_weight, objective

SAMPLERS = ("nuts",)
OPTIONS = "engine algorithm rtol atol sensitivity verify over time weights".split()  # of objective


def posterior(
    problem: ODEProblem,
    data,
    *,
    loss,
    priors: None | Mapping[str, object] = None,
    trainable: None | Sequence[str] | Mapping[str, object] = None,
    sampler: str = "nuts",
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    target_accept: float = 0.8,
    seed: int = 0,
    progress: bool = True,
    **options,
) -> xr.DataTree:
    """Return draws from the posterior distribution of parameters, as ArviZ reads them.

    Parameters
    ----------
    problem : ODEProblem
        The model. Chains start near its values: give a fitted one, ``result.problem``.
    data : xarray.Dataset, pandas.DataFrame or dict of these
        As in :func:`objective`.
    loss : likelihood, or dict of these by variable
        How measurements scatter: ``ps.Normal(sigma=...)``, ``ps.LogNormal(...)``, ``ps.Poisson()`` or
        ``ps.NegativeBinomial(...)``.
    priors : dict, optional
        Frozen distributions of ``scipy.stats`` by name. An element without one has a flat prior inside its bounds; one
        with a prior stays inside the prior's support.
    trainable : sequence of str or dict, optional
        What is sampled, as in :func:`objective`.
    sampler : {"nuts"}, default "nuts"
        The no-U-turn sampler, by BlackJAX (``pip install 'pysciml[sampling]'``).
    draws, tune, chains : int
        Draws of each chain, behind so many that tune its steps, and chains.
    target_accept : float, default 0.8
        Share of proposals to be accepted (dimensionless): nearer to 1 where draws diverge.
    seed : int, default 0
        The same seed gives the same draws.
    progress : bool, default True
        Show a bar.
    **options
        ``engine, algorithm, rtol, atol, sensitivity, verify, over, time, weights`` of :func:`objective`.

    Returns
    -------
    xarray.DataTree
        Groups ``posterior``, one variable a name over ``(chain, draw, ...)`` with the problem's dims and units;
        ``sample_stats (chain, draw)``: ``lp`` (log density up to a constant), ``acceptance_rate``, ``diverging``,
        ``energy``, ``n_steps``, ``tree_depth``, ``step_size``; and ``observed_data``.

    Raises
    ------
    ProblemError
        For a loss that is no likelihood, and whatever :func:`objective` refuses.
    EngineUnavailable
        If BlackJAX or the engine isn't ready.
    SolveFailed
        If the model can't be solved at its start values.

    Notes
    -----
    Bounded elements are sampled as logarithms (one bound) or logits (two), with the Jacobian of that. A solve that
    fails has density 0. Up to 200 elements are sampled in coordinates in which the density is about as wide in all
    directions, by its second derivatives at the start values, and chains start as far from these as that is wide: where
    parameters hang together, a draw takes a tenth of the solves then.

    References
    ----------
    Hoffman, Gelman (2014), The No-U-Turn Sampler, Journal of Machine Learning Research 15:1593-1623
    Cabezas et al. (2024), BlackJAX: composable Bayesian inference in JAX, doi:10.48550/arXiv.2402.10797

    Examples
    --------
    >>> import pysciml as ps, xarray as xr
    >>> problem = ps.ODEProblem(lambda t, u, p: {"x": p.rate}, {"x": 0.0}, (0, 2), {"rate": 1.0})
    >>> data = xr.Dataset({"x": ("time", [1.1, 1.9])}, {"time": [1.0, 2.0]})
    >>> tree = ps.posterior(problem, data, loss=ps.Normal(sigma=0.1), progress=False)  # doctest: +SKIP
    >>> float(tree["posterior"].rate.mean())  # doctest: +SKIP
    0.98...
    """
    known = ["loss", *(posterior.__kwdefaults__ or ()), *OPTIONS]
    check_keywords("posterior", [word for word in options if word not in OPTIONS], known)
    _check(loss, sampler, draws, tune, chains, target_accept)
    misfit = objective(problem, data, loss=loss, priors=priors, trainable=trainable, **options)
    misfit(misfit.x0)  # confirms the gradient, which traced code can't
    density = Density(
        misfit.value_and_gradient, make_support(_bounds(misfit, priors), misfit.x0), misfit._compiled.traced
    )
    settings = Settings(draws, tune, chains, check_seed(seed), target_accept)
    found = _sample(density, misfit, settings, progress)
    diverging = int(found.statistics["diverging"].sum())
    if diverging:
        warnings.warn(
            f"posterior: {diverging} of {chains * draws} draws diverged, so some region was hardly explored; give "
            "target_accept=0.95, or priors that keep away from it",
            stacklevel=2,
        )
    return _to_tree(problem, data, misfit, found, options)


def _check(loss, sampler, draws, tune, chains, target_accept):
    """ProblemError for arguments that can't be."""
    losses = loss.values() if isinstance(loss, Mapping) else [loss]
    for one in losses:
        if isinstance(one, str):
            raise ProblemError(
                f"posterior: the loss {one!r} is no likelihood; say how measurements scatter: loss=ps.Normal(sigma=...)"
            )
    if sampler not in SAMPLERS:
        raise ProblemError(f"posterior: unknown sampler {sampler!r}; it is 'nuts'{nearest(sampler, SAMPLERS)}")
    for name, value in {"draws": draws, "tune": tune, "chains": chains}.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ProblemError(f"posterior: {name} must be a positive integer, got {value!r}")
    if not 0 < target_accept < 1:
        raise ProblemError(f"posterior: target_accept must be between 0 and 1, got {target_accept!r}")


def _bounds(misfit, priors):
    """Bounds of each element: its own, and the support of its prior."""
    bounds = []
    for block in misfit.blocks:
        low, high = misfit.bounds[block.start]
        prior = (priors or {}).get(block.name)
        if prior is not None:
            support = [None if np.isinf(end) else float(end) for end in prior.support()]
            low = support[0] if low is None else low if support[0] is None else max(low, support[0])
            high = support[1] if high is None else high if support[1] is None else min(high, support[1])
        x = misfit.x0[block.slice]
        if (low is not None and (x <= low).any()) or (high is not None and (x >= high).any()):
            raise ProblemError(
                f"posterior: the start value of {block.name!r} must lie inside its bounds and its prior's support "
                f"({low}, {high}), got {x if x.size > 1 else x[0]}; write problem.remake(...)"
            )
        bounds += [(low, high)] * block.size
    return bounds


def _sample(density: Density, misfit: Objective, settings: Settings, progress: bool) -> Draws:
    """The draws, with a bar if it is wanted."""
    if not progress:
        return sample_nuts(density, misfit.x0, settings, lambda n: None)
    from tqdm.auto import tqdm

    print(f"posterior: sampling {', '.join(block.name for block in misfit.blocks)}", file=sys.stderr)
    total = settings.chains * (settings.tune + settings.draws)
    with tqdm(total=total, unit="draw", desc="posterior", dynamic_ncols=True) as bar:
        return sample_nuts(density, misfit.x0, settings, bar.update)


def _to_tree(problem, data, misfit, found, options):
    """The draws by name, with dims and units of the problem."""
    groups: dict[str, list[Block]] = {}
    for block in misfit.blocks:
        groups.setdefault(block.name, []).append(block)
    start = {name: block_values(of[0], misfit.x0[of[0].slice]) for name, of in groups.items()}
    template = values_to_dataset(problem, start)
    coords = dict(template.coords)
    variables = {}
    for name, blocks in groups.items():
        dims, values, labels = _join([_draws_of(block, found.x) for block in blocks], blocks)
        like = template[name]
        variables[name] = (("chain", "draw", *dims, *like.dims), values, like.attrs)
        coords |= {dim: (dim, np.array(of_dim, dtype=object if isinstance(of_dim[0], str) else None))
                   for dim, of_dim in labels.items()}  # fmt: skip
    along = {"chain": np.arange(len(found.x)), "draw": np.arange(found.x.shape[1])}
    attrs = {
        "inference_library": "blackjax",
        "inference_library_version": found.version,
        "engine": misfit.engine,
        "algorithm": misfit.algorithm,
        "sensitivity": misfit.sensitivity,
    }
    draws = xr.Dataset(variables, coords | along, attrs)
    statistics = {name: (("chain", "draw"), values) for name, values in found.statistics.items()}
    tree = {"posterior": draws, "sample_stats": xr.Dataset(statistics, along, attrs)}
    observed = data
    if not isinstance(data, xr.Dataset):
        words = {name: options[name] for name in ("over", "time") if name in options}
        observed = experiments_to_dataset(read_experiments(data, problem, **words), problem)
    return xr.DataTree.from_dict(tree | {"observed_data": observed})


def _draws_of(block, x):
    """Draws ``(chain, draw, *shape)`` of a block."""
    values = x[..., block.slice]
    if not is_weight(block):
        return values.reshape(*values.shape[:2], *block.shape)
    return np.swapaxes(values.reshape(*values.shape[:2], *block.shape[::-1]), -1, -2)  # column-major


def _join(values, blocks):
    """Batch dims, one array ``(chain, draw, *batch, *shape)`` of blocks of one name, and labels by batch dim."""
    dims = [dim for dim, _ in blocks[0].coords]
    labels = {dim: list(dict.fromkeys(dict(block.coords)[dim] for block in blocks)) for dim in dims}
    sizes = [len(labels[dim]) for dim in dims]
    joined = np.full((*values[0].shape[:2], *sizes, *blocks[0].shape), np.nan)
    for one, block in zip(values, blocks, strict=True):
        place = tuple(labels[dim].index(label) for dim, label in block.coords)
        joined[(slice(None), slice(None), *place)] = one
    return dims, joined, labels
