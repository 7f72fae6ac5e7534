"""FitResult: what a fit gives back, and its file."""

import json
import pathlib
from dataclasses import dataclass

import numpy as np
import xarray as xr

from ..datasets.files import write_groups
from ..datasets.members import find_member, join_members, over_to_dataset
from ..datasets.to_dataset import parameters_to_dataset, values_to_dataset
from ..engines.base import Status
from ..errors import ProblemError
from ..problems.ode import ODEProblem
from ..problems.over import read_over
from ..problems.schema import problem_from_json, problem_to_json
from .solve import solve

FILE_VERSION = 1


@dataclass(frozen=True, eq=False, repr=False)
class FitResult:
    """A fitted problem, how it was found, and what it was fitted to.

    Attributes
    ----------
    problem : ODEProblem
        The problem with the best parameters.
    data : xarray.Dataset
        The data of the fit.
    history : xarray.Dataset
        ``loss, gradient_norm, horizon, seconds`` over ``iteration``; the loss of a rejected step is NaN. ``rejected``
        counts the trials whose solve failed, and ``status`` says why the last of them did (``flag_meanings``).
        ``terms (iteration, term)`` is what the loss is the sum of: the misfit, penalties of parameters, priors,
        penalties of the path.
    loss : float
        Best value of the loss over the whole span of the data.
    status : Status
        How the fit ended.
    message : str
        The same in words.
    members : tuple of (dict, ODEProblem)
        Coordinates and fitted problem of each of several experiments; ``problem`` is that of the first.
    settings : dict
        Everything that the fit was told and chose: loss and scales, optimizers, strategy, algorithm, versions; the
        ``terms`` of which the loss is the sum (the misfit, penalties, priors), and what ``warm_starts`` did.
    """

    problem: ODEProblem
    data: xr.Dataset
    history: xr.Dataset
    loss: float
    status: Status
    message: str
    settings: dict
    members: tuple[tuple[dict, ODEProblem], ...] = ()

    def problem_at(self, **coords) -> ODEProblem:
        """The fitted problem of one experiment, found by its coordinates.

        Parameters
        ----------
        **coords
            Label along each batch dim: ``problem_at(patient=3)``.

        Returns
        -------
        ODEProblem

        Raises
        ------
        ProblemError
            If no experiment is there, or more than one.
        """
        return find_member(self.members, coords)[1]

    @property
    def over(self) -> xr.Dataset:
        """Parameters and initial values that differ by experiment, over the batch dims."""
        return over_to_dataset(self.members)

    @property
    def p(self):
        """The fitted parameters as a record, networks callable."""
        return self.problem.p

    @property
    def parameters(self) -> xr.Dataset:
        """The fitted parameters, and initial values that were fitted (``u0_<state>``), as a Dataset.

        A network is its flat weights ``(net_weight,)``; what differs between experiments is over their batch dims.
        """
        problem, own = self.problem, self.over
        starts = {f"u0_{name}": start for name, start in problem.u_layout.unflatten(problem.u0_values).items()}
        fitted = {name: start for name, start in starts.items() if name in self.settings["trained"]}
        ds = parameters_to_dataset(problem).merge(values_to_dataset(problem, fitted))
        return ds.assign({name: own[name].assign_attrs(ds[name].attrs) for name in own.data_vars if name in ds})

    def predict(
        self, saveat=None, *, t_span=None, u0=None, p=None, over=None, **options
    ) -> xr.Dataset | tuple[np.ndarray, dict[str, np.ndarray]]:
        """Solve the fitted problem.

        Parameters
        ----------
        saveat : array_like, optional
            Times ``(time,)``; the data's where left out (of those inside ``t_span``).
        t_span : tuple, optional
            Another span; it grows by itself to hold ``saveat``.
        u0, p : optional
            Other initial values or parameters, merged by name.
        over : Dataset or dict, optional
            Values of other experiments than those of the fit: parameters, inputs or initial values over batch dims, as
            in :func:`fit`; the rest is ``problem``'s.
        **options
            Those of :func:`solve`. Engine and tolerances are the fit's where left out.

        Returns
        -------
        xarray.Dataset, or times and arrays with ``output="arrays"``
            As from :func:`solve`; of several experiments one Dataset over the batch dims, NaN where one has no time
            of another.

        Raises
        ------
        ProblemError, SolveFailed
            As from :func:`solve`.
        """
        changes = {key: value for key, value in {"u0": u0, "p": p, "t_span": t_span}.items() if value is not None}
        defaults = {key: self.settings[key] for key in ("engine", "rtol", "atol")}
        members = self.members or (({}, self.problem),)
        if over is not None:
            members = tuple(read_over(over, self.problem).members(self.problem))
        if options.get("output") == "arrays" and members[0][0]:
            raise ProblemError("predict: output='arrays' holds one trajectory; leave it out, or use problem_at(...)")
        found = []
        for coords, problem in members:
            problem = problem.remake(**changes)
            times = saveat
            if saveat is None:
                times = _times_of(self.data, coords if over is None else {})
                times = times[problem.is_inside(times)]
            elif t_span is None:
                problem = problem.extend_to(saveat)
            found.append((coords, solve(problem, saveat=times, **(defaults | options))))
        return found[0][1] if not found[0][0] else join_members(found)

    def save(self, path) -> None:
        """Write everything to a NetCDF file, or to a Zarr store if ``path`` ends in ``.zarr``.

        The file holds the model itself as data, so :meth:`load` needs no user code and runs none.

        Parameters
        ----------
        path : str or pathlib.Path
            Where; an existing file is replaced.

        Raises
        ------
        OSError
            If there is no room, or no folder; an existing file stays as it was.
        """
        about = {"file_version": FILE_VERSION, "loss": self.loss, "status": self.status.name, "message": self.message}
        root = xr.Dataset(attrs={
            "pysciml_fit": json.dumps(about | {"settings": self.settings}),
            "problem": problem_to_json(self.problem),
            "members": json.dumps([[_plain(coords), problem_to_json(one)] for coords, one in self.members]),
        })  # fmt: skip
        groups = {"/": root, "data": self.data, "history": self.history, "parameters": self.parameters}
        write_groups(pathlib.Path(path), groups)

    @classmethod
    def load(cls, path) -> "FitResult":
        """Read what :meth:`save` wrote.

        Parameters
        ----------
        path : str or pathlib.Path
            The file or Zarr store.

        Returns
        -------
        FitResult

        Raises
        ------
        ProblemError
            If it isn't a fit's file, or is of a version that this pysciml can't read.
        """
        path = pathlib.Path(path)
        if not path.exists():
            raise ProblemError(f"FitResult.load: there is no file {str(path)!r}")
        options = {"engine": "zarr"} if path.suffix == ".zarr" else {"engine": "h5netcdf"}
        try:
            with xr.open_datatree(path, **options) as tree:
                tree = tree.load()
        except OSError as error:
            raise ProblemError(f"FitResult.load: {str(path)!r} can't be read: {error}") from error
        if "pysciml_fit" not in tree.attrs:
            raise ProblemError(f"FitResult.load: {str(path)!r} is not a file that FitResult.save wrote")
        about = json.loads(tree.attrs["pysciml_fit"])
        if about["file_version"] > FILE_VERSION:
            raise ProblemError(f"FitResult.load: {str(path)!r} was written by a newer pysciml; update yours to read it")
        return cls(
            problem=problem_from_json(tree.attrs["problem"]),
            data=tree["data"].to_dataset(),
            history=tree["history"].to_dataset(),
            loss=about["loss"],
            status=Status[about["status"]],
            message=about["message"],
            settings=about["settings"],
            members=tuple(
                (_labels(c), problem_from_json(one)) for c, one in json.loads(tree.attrs.get("members", "[]"))
            ),
        )

    def __repr__(self):
        said, iterations = self.settings, self.history.sizes["iteration"]
        rows = [
            f"Fit of {', '.join(said['scales'])}: {self.message}",
            f"  loss ({said['loss']}): {self.loss:.6g} after {iterations} iterations",
            *([f"  terms: {_show(said['terms'])}"] if len(said["terms"]) > 1 else []),
            f"  engine: {said['engine']}, {said['algorithm']}, {said['sensitivity']}",
            "  trained:",
        ]
        for name in said["trained"]:
            entry = self.parameters.get(name)
            if entry is None:
                rows.append(f"    {name}")
            elif entry.ndim == 0:
                rows.append(f"    {name} = {float(entry):.6g} {entry.attrs.get('units', '')}".rstrip())
            else:
                rows.append(f"    {name}: {entry.size} values, size {np.sqrt(np.mean(entry.values**2)):.3g}")
        return "\n".join(rows)


def _show(terms):
    return ", ".join(f"{name} {value:.6g}" for name, value in terms.items())


def _times_of(data, coords):
    """Times at which an experiment has a datum."""
    if not coords:
        return data["time"].values
    own = data.sel(coords)
    seen = [variable.notnull().any([dim for dim in variable.dims if dim != "time"]) for variable in own.values()]
    return own["time"].values[np.any([one.values for one in seen], axis=0)]


def _plain(coords):
    """Labels as JSON can hold them."""
    return {k: {"date": str(v)} if isinstance(v, np.datetime64) else v for k, v in coords.items()}


def _labels(plain):
    return {k: np.datetime64(v["date"]) if isinstance(v, dict) else v for k, v in plain.items()}
