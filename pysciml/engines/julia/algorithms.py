"""The words this engine knows, and what they are. Light: imports nothing of Julia."""

from dataclasses import dataclass

from ...requests import Capability


@dataclass(frozen=True)
class Method:
    """A time-stepping method: SciML's word for it, order, kind, and where it comes from."""

    word: str
    order: int
    is_stiff: bool
    is_adaptive: bool
    reference: str


_HAIRER_1 = "Hairer, Nørsett & Wanner (1993), Solving Ordinary Differential Equations I, doi:10.1007/978-3-540-78862-1"
_HAIRER_2 = "Hairer & Wanner (1996), Solving Ordinary Differential Equations II, doi:10.1007/978-3-642-05221-7"
_VERNER = "Verner (2010), doi:10.1007/s11075-009-9290-3"
_KVAERNO = "Kvaernø (2004), doi:10.1023/B:BITN.0000046811.70614.38"
_KENNEDY = "Kennedy & Carpenter (2003), doi:10.1016/S0168-9274(02)00138-1"
_SHAMPINE = "Shampine & Reichelt (1997), doi:10.1137/S1064827594276424"

_CELAYA = "Alberdi Celaya, Anza Aguirrezabala & Chatzipantelidis (2014), doi:10.1016/j.procs.2014.05.091"

_ROWS = (
    Method("Euler", 1, False, False, _HAIRER_1),
    Method("RK4", 4, False, True, _HAIRER_1),
    Method("BS3", 3, False, True, "Bogacki & Shampine (1989), doi:10.1016/0893-9659(89)90079-7"),
    Method("DP5", 5, False, True, "Dormand & Prince (1980), doi:10.1016/0771-050X(80)90013-3"),
    Method("Tsit5", 5, False, True, "Tsitouras (2011), doi:10.1016/j.camwa.2011.06.002"),
    Method("Vern6", 6, False, True, _VERNER),
    Method("Vern7", 7, False, True, _VERNER),
    Method("Vern8", 8, False, True, _VERNER),
    Method("Vern9", 9, False, True, _VERNER),
    Method("ImplicitEuler", 1, True, True, _HAIRER_2),
    Method("Rosenbrock23", 2, True, True, _SHAMPINE),
    Method("Rodas4", 4, True, True, _HAIRER_2),
    Method("Rodas5P", 5, True, True, "Steinebach (2023), doi:10.1007/s10543-023-00967-x"),
    Method("TRBDF2", 2, True, True, "Hosea & Shampine (1996), doi:10.1016/0168-9274(95)00115-8"),
    Method("Kvaerno3", 3, True, True, _KVAERNO),
    Method("Kvaerno4", 4, True, True, _KVAERNO),
    Method("Kvaerno5", 5, True, True, _KVAERNO),
    Method("KenCarp3", 3, True, True, _KENNEDY),
    Method("KenCarp4", 4, True, True, _KENNEDY),
    Method("KenCarp5", 5, True, True, _KENNEDY),
    Method("ABDF2", 2, True, True, _CELAYA),
    Method("QNDF", 5, True, True, _SHAMPINE),
    Method("QBDF", 5, True, True, _SHAMPINE),
    Method("FBDF", 5, True, True, "Shampine (2002), doi:10.1016/S0377-0427(01)00393-0"),
)  # fmt: skip
METHODS: dict[str, Method] = {row.word: row for row in _ROWS}

SENSITIVITIES: dict[str, str] = {
    "interpolating": "the adjoint equation solved backwards over the stored solution's interpolant",
    "gauss": "the same, with Gauss quadrature for the parameters' part",
    "quadrature": "the same, with adaptive quadrature for the parameters' part",
    "backsolve": "the adjoint equation solved backwards together with the state",
    "forward": "the variational equations solved beside the model, one set an element of x",
    "forward_over_solver": "dual numbers through the solver, several elements of x at a time",
}
OPTIMIZERS: dict[str, str] = {
    "adam": "Kingma & Ba (2015), arXiv:1412.6980",
    "lbfgs": "Liu & Nocedal (1989), doi:10.1007/BF01589116, with the line search of Hager & Zhang (2006)",
}
CAPABILITIES: frozenset[Capability] = frozenset(
    {
        Capability("problem", "ode"),
        *(Capability("algorithm", word) for word in ("auto", *METHODS)),
        *(Capability("sensitivity", word) for word in ("auto", *SENSITIVITIES)),
        *(Capability("optimizer", word) for word in OPTIMIZERS),
    }
)
