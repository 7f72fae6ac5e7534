"""Models on a device: what may go there, and what that needs."""

from dataclasses import replace

from ...errors import EngineUnavailable, UnsupportedByEngine
from ...requests import ObjectiveRequest, SolveRequest
from .bridge import Bridge
from .checks import EXPLICIT, GENERATED
from .optional import how_to_add
from .route import find_route

TIGHT = 1e-6  # tolerances below ask for methods of higher order
WHY_EXPLICIT = "auto: an explicit method, since on a device there are no Jacobians"


def for_device(request: SolveRequest) -> SolveRequest:
    """On a device ``"auto"`` is an explicit method.

    Raises
    ------
    UnsupportedByEngine
        For other methods, events and mass matrices, which need more than the right-hand side.
    """
    if request.device == "cpu":
        return request
    for part, is_there in (("events", request.events), ("mass matrices", request.mass_matrix is not None)):
        if is_there:
            raise UnsupportedByEngine(f"engine 'julia' does not support {part} with device={request.device!r}")
    if request.algorithm == "auto":
        return replace(request, algorithm="Tsit5" if request.rtol >= TIGHT else "Vern7")
    if request.algorithm not in EXPLICIT:
        raise UnsupportedByEngine(
            f"engine 'julia' does not support the algorithm {request.algorithm!r} with device={request.device!r}, for "
            f"want of Jacobians there, only: auto, {', '.join(sorted(EXPLICIT))}; engine='diffrax' takes stiff ones"
        )
    return request


def objective_for_device(request: ObjectiveRequest) -> ObjectiveRequest:
    """The same for an objective; UnsupportedByEngine unless its gradient is that of the steps."""
    solve = for_device(request.solve)
    if solve.device != "cpu" and (request.sensitivity not in ("auto", "discrete") or request.vjp != GENERATED):
        raise UnsupportedByEngine(
            f"engine 'julia' does not support the sensitivity {request.sensitivity!r} (vjp {request.vjp!r}) with "
            f"device={solve.device!r}, only 'discrete', the steps reversed"
        )
    return request if solve is request.solve else replace(request, solve=solve)


def load_device(bridge: Bridge, word: str) -> None:
    """Load what kernels need on a device.

    Raises
    ------
    EngineUnavailable
        If there is no GPU, or no package for it.
    """
    _load(bridge, "load_device", word)


def load_arrays(bridge: Bridge, word: str) -> str:
    """Load what functions of whole arrays need on a device: the word under which Julia has it. Raises as above."""
    _load(bridge, "load_arrays", word)
    return word


def _load(bridge, function, word):
    if not (reason := bridge.call(function, word)):
        return
    raise EngineUnavailable(
        f"device={word!r}: {reason}. It needs an NVIDIA card with its driver (nvidia-smi shows it) and Julia's package "
        f"CUDA ({how_to_add('CUDA', find_route())}); device='cpu' needs neither"
    )
