"""The words this engine knows, and what they are. Light: imports nothing of Julia."""

from ...requests import Capability
from .catalogue import METHODS as METHODS
from .checks import sensitivities_of as sensitivities_of
from .checks import vjps_of as vjps_of
from .left_out import LEFT_OUT as LEFT_OUT
from .left_out import VJPS_LEFT_OUT as VJPS_LEFT_OUT
from .options import OPTION_NAMES
from .options import options_of as options_of

SENSITIVITIES: dict[str, str] = {
    "discrete": "the solver's own steps reversed, by generated products with cotangents",
    "interpolating": "the adjoint equation solved backwards over the stored solution's interpolant",
    "gauss": "the same, with Gauss quadrature for the parameters' part",
    "quadrature": "the same, with adaptive quadrature for the parameters' part",
    "backsolve": "the adjoint equation solved backwards together with the state",
    "forward": "the variational equations solved beside the model, one set an element of x",
    "forward_over_solver": "dual numbers through the solver, several elements of x at a time",
}
VJPS: dict[str, str] = {
    "generated": "a function derived from the traced model",
    "ReverseDiff": "a tape that ReverseDiff records of the printed model; Revels (2016)",
}
OPTIMIZERS: dict[str, str] = {
    "adam": "Kingma & Ba (2015), arXiv:1412.6980",
    "lion": "Chen et al. (2023), arXiv:2302.06675",
    "rmsprop": "Tieleman & Hinton (2012), lecture",
    "bfgs": "Broyden (1970), doi:10.1093/imamat/6.1.76",
    "levenberg_marquardt": "Branch, Coleman & Li (1999), doi:10.1137/S1064827595289108, by SciPy",
    "cmaes": "Hansen & Ostermeier (2001), doi:10.1162/106365601750190398, by the package cma",
    "lbfgs": "Liu & Nocedal (1989), doi:10.1007/BF01589116, with the line search of Hager & Zhang (2006)",
}
CAPABILITIES: frozenset[Capability] = frozenset(
    {
        Capability("problem", "ode"),
        Capability("problem", "mass matrix"),
        Capability("output", "dense"),
        Capability("recovery", "pysr"),
        Capability("limit", "max_seconds"),
        *(Capability("parallel", word) for word in ("auto", "serial", "threads", "lanes")),
        *(Capability("device", word) for word in ("cpu", "gpu")),
        *(Capability("dtype", word) for word in ("float64", "float32")),
        *(Capability("event", word) for word in ("preset", "root")),
        *(Capability("gradient of", word) for word in ("events", "events with a condition", "mass matrices")),
        *(Capability("algorithm", word) for word in ("auto", *METHODS)),
        *(Capability("option", name) for name in OPTION_NAMES),
        *(Capability("sensitivity", word) for word in ("auto", *SENSITIVITIES)),
        *(Capability("vjp", word) for word in VJPS),
        *(Capability("optimizer", word) for word in OPTIMIZERS),
    }
)
