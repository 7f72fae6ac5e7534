"""The words this engine knows, and what they are. Light: imports neither JAX nor diffrax."""

from dataclasses import dataclass

from ...requests import Capability
from ..base import Option


@dataclass(frozen=True)
class Method:
    """A time-stepping method: its word, diffrax's name for it, order, kind, and where it comes from."""

    word: str
    solver: str
    order: int
    is_stiff: bool
    is_adaptive: bool
    reference: str

    @property
    def purpose(self) -> str:
        """What it is for."""
        return "stiff" if self.is_stiff else "non-stiff"

    @property
    def takes_mass_matrix(self) -> bool:
        """None of diffrax's solvers does."""
        return False


_KVAERNO = "Kvaernø (2004), doi:10.1023/B:BITN.0000046811.70614.38"
_KENNEDY_3_4_5 = "Kennedy & Carpenter (2003), doi:10.1016/S0168-9274(02)00138-1"
_BUTCHER = "Butcher (2016), Numerical Methods for Ordinary Differential Equations, doi:10.1002/9781119121534"

_ROWS = (
    Method("Euler", "Euler", 1, False, False, _BUTCHER),
    Method("Heun", "Heun", 2, False, True, _BUTCHER),
    Method("Midpoint", "Midpoint", 2, False, True, _BUTCHER),
    Method("Ralston", "Ralston", 2, False, True, "Ralston (1962), doi:10.1090/S0025-5718-1962-0150954-0"),
    Method("BS3", "Bosh3", 3, False, True, "Bogacki & Shampine (1989), doi:10.1016/0893-9659(89)90079-7"),
    Method("Tsit5", "Tsit5", 5, False, True, "Tsitouras (2011), doi:10.1016/j.camwa.2011.06.002"),
    Method("DP5", "Dopri5", 5, False, True, "Dormand & Prince (1980), doi:10.1016/0771-050X(80)90013-3"),
    Method("DP8", "Dopri8", 8, False, True, "Prince & Dormand (1981), doi:10.1016/0771-050X(81)90010-3"),
    Method("ImplicitEuler", "ImplicitEuler", 1, True, True, _BUTCHER),
    Method("Kvaerno3", "Kvaerno3", 3, True, True, _KVAERNO),
    Method("Kvaerno4", "Kvaerno4", 4, True, True, _KVAERNO),
    Method("Kvaerno5", "Kvaerno5", 5, True, True, _KVAERNO),
    Method("KenCarp3", "KenCarp3", 3, True, True, _KENNEDY_3_4_5),
    Method("KenCarp4", "KenCarp4", 4, True, True, _KENNEDY_3_4_5),
    Method("KenCarp5", "KenCarp5", 5, True, True, _KENNEDY_3_4_5),
)
METHODS: dict[str, Method] = {row.word: row for row in _ROWS}

LEFT_OUT: dict[str, str] = {}


def options_of(word: str) -> dict[str, Option]:
    """The options of a method: none."""
    return {}


def sensitivities_of(word: str) -> tuple[str, ...]:
    """The words of sensitivities that are right with a method: running a stiff problem backwards is unstable."""
    return ("checkpointed", "forward") if METHODS[word].is_stiff else ("checkpointed", "backsolve", "forward")


SENSITIVITIES: dict[str, str] = {
    "checkpointed": "the solver's own steps reversed, with logarithmically many states kept",
    "backsolve": "the adjoint equation solved backwards together with the state",
    "forward": "one tangent an element of x, carried along with the solution",
}
OPTIMIZERS: dict[str, str] = {
    "adam": "Kingma & Ba (2015), arXiv:1412.6980",
    "lion": "Chen et al. (2023), arXiv:2302.06675",
    "rmsprop": "Tieleman & Hinton (2012), lecture",
    "bfgs": "Broyden (1970), doi:10.1093/imamat/6.1.76",
    "levenberg_marquardt": "Branch, Coleman & Li (1999), doi:10.1137/S1064827595289108, by SciPy",
    "cmaes": "Hansen & Ostermeier (2001), doi:10.1162/106365601750190398, by the package cma",
    "lbfgs": "Liu & Nocedal (1989), doi:10.1007/BF01589116, with the zoom line search of Nocedal & Wright (2006)",
}
CAPABILITIES: frozenset[Capability] = frozenset(
    {
        Capability("problem", "ode"),
        *(Capability("parallel", word) for word in ("auto", "serial", "lanes")),
        *(Capability("device", word) for word in ("cpu", "gpu")),
        *(Capability("dtype", word) for word in ("float64", "float32")),
        *(Capability("event", word) for word in ("preset", "root")),
        *(Capability("algorithm", word) for word in ("auto", *METHODS)),
        *(Capability("sensitivity", word) for word in ("auto", *SENSITIVITIES)),
        *(Capability("optimizer", word) for word in OPTIMIZERS),
    }
)
