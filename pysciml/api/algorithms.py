"""algorithms(): the words for solvers as a Dataset."""

import xarray as xr

from ..datasets.catalogue import methods_to_dataset
from ..engines.choose import engine_tables


def algorithms() -> xr.Dataset:
    """Return every word for a solver: its order, what it is for, where it comes from, which engine has it.

    Returns
    -------
    xarray.Dataset
        Along ``word``: ``order`` (dimensionless), ``purpose``, ``stiff``, ``adaptive``, ``mass_matrix``, ``options``,
        ``sensitivities`` (words of ``sensitivity=``), ``reference`` (author, year, doi) and ``engine``.

    Raises
    ------
    ProblemError
        Never; neither engine need be installed.

    Notes
    -----
    The words are names of methods of the OrdinaryDiffEq family and of Sundials' CVODE and ARKODE. Left out are the
    families that a model ``du/dt = f(t, u, p)`` does not fit: split ones (``SBDF2``, ``CNAB2``, ``IMEXEuler``,
    ``ETDRK4``, ``LawsonEuler``, ``IRKC``), dynamical ones for second-order equations (``VelocityVerlet``, ``Nystrom4``,
    ``DPRKN6``), those for linear equations given by their matrix (``MagnusGL6``, ``LieRK4``), those in residual form
    (``DFBDF``, ``IDA``), maps (``FunctionMap``), and a few that don't converge as they should in SciML's present
    release (``AN5``, ``JVODE``, ``RKV76IIa``, ``EPIRK5s3``, ``SHLDDRK64``). Such a word raises with its reason.

    Gradients use generated products with cotangents (``vjp``) and tangents on Julia, JAX's own on diffrax, whatever the
    sensitivity; adjoint equations on Julia also products by ReverseDiff (:class:`Sensitivity`). Events and mass
    matrices go with ``discrete`` on Julia only, the latter with its Rosenbrock methods.
    A sensitivity that isn't listed with a method raises before anything runs.

    Examples
    --------
    >>> import pysciml as ps
    >>> words = ps.algorithms()
    >>> int(words.order.sel(word="Rodas5P")), str(words.engine.sel(word="Tsit5").values)
    (5, 'julia, diffrax')
    """
    rows: dict[str, dict] = {}
    for engine, table in engine_tables().items():
        for word, method in table.METHODS.items():
            valid = f"{engine}: {', '.join(table.sensitivities_of(word))}"
            if word in rows:
                rows[word]["engine"] += f", {engine}"
                rows[word]["sensitivities"] += f"; {valid}"
                continue
            rows[word] = {
                "order": method.order,
                "purpose": method.purpose,
                "stiff": method.is_stiff,
                "adaptive": method.is_adaptive,
                "mass_matrix": method.takes_mass_matrix,
                "options": ", ".join(table.options_of(word)),
                "sensitivities": valid,
                "reference": method.reference,
                "engine": engine,
            }
    return methods_to_dataset(rows)
