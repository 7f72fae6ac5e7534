"""What stays in Julia between calls: compiled Programs and models, algorithms whose packages are loaded."""

from collections.abc import Sequence

import numpy as np

from ...errors import EngineUnavailable
from ...ir.program import Program
from ...problems.flat import FlatEvent
from ...requests import SolveRequest
from . import devices
from .algorithms import METHODS
from .bridge import Bridge
from .checks import GENERATED, check_algorithm
from .derivatives import Wide, derive, derive_event_pullback, derive_pullback, derive_second
from .embed import Handle
from .options import write_spec
from .printer import print_parts
from .printer_arrays import print_arrays

NO_TIMES = np.zeros(0)
BRANCHLESS = frozenset(  # operations whose derivatives are the same expression everywhere
    "input constant neg add sub mul div pow integer_power exp expm1 log log1p log2 log10 sqrt sin cos tan arcsin "
    "arccos arctan sinh cosh tanh arcsinh arccosh arctanh sum prod cumsum matmul reshape broadcast transpose stack "
    "concatenate slice gather update scatter network".split()
)
_CURE = "Instantiate the project that doctor names with Julia's Pkg, or let python -m pysciml install-julia get one"


def floats(values) -> np.ndarray:
    """An array of floats as Julia takes it."""
    return np.ascontiguousarray(values, dtype=np.float64)


def output_size(program: Program) -> int:
    """Elements of a Program's first output."""
    return program.nodes[program.outputs[0].node].size


class Loader:
    """Loads each thing once: Programs by their hash, models by that and by what they are asked for."""

    def __init__(self, bridge: Bridge):
        self._bridge = bridge
        self._programs: dict[tuple, Handle] = {}
        self._algorithms: set[str] = set()
        self._reversed: dict[tuple, Handle] = {}
        self._models: dict[tuple[str, str | None, bool | str], Handle] = {}

    def algorithm(self, request: SolveRequest) -> str:
        """What Julia calls the algorithm; its package loaded at the first use of a word of its."""
        check_algorithm(request)
        spec = write_spec(request.algorithm, request.algorithm_options)
        if spec not in self._algorithms:
            if reason := self._bridge.call("load_algorithm", spec):
                raise EngineUnavailable(f"algorithm {request.algorithm!r}: {reason}. {_CURE}")
            self._algorithms.add(spec)
        return spec

    def events(self, events: Sequence[FlatEvent], is_reversed: bool = False) -> Handle:
        """The events of one solve, in their order."""
        load = self.reversed_event if is_reversed else self.program
        handle = self._bridge.call("make_events")
        for event in events:
            handle = self._bridge.call(
                "add_event",
                handle,
                None if event.condition is None else load(event.condition),
                None if event.effect is None else load(event.effect),
                floats(NO_TIMES if event.times is None else event.times),
                np.zeros((0, 0)) if event.rows is None else floats(event.rows).T,
                event.u_index,
                event.p_index,
                event.terminal,
                event.direction,
                event.is_before,
            )
        return handle

    def program(self, program: Program, added: tuple[str, ...] = (), has_numbers: bool = True) -> Handle:
        """The compiled Program: printed and sent once. To the outputs named in ``added`` it adds."""
        key = program.hash, added, has_numbers
        if key not in self._programs:
            printed = print_parts(program, added, has_numbers)
            self._programs[key] = self._bridge.call(
                "load_program",
                printed.text,
                printed.constants,
                printed.flags,
                printed.indices,
                printed.n_numbers,
                printed.n_flags,
            )
        return self._programs[key]

    def reversed(self, program: Program) -> Handle:
        """The same, with the product of cotangents of its outputs with its derivatives by all inputs but the time."""
        return self._with_pullback(program, derive_pullback)

    def parametrization(self, program: Program) -> Handle:
        """The same; those of experiments, which differ in known values, are compiled once for all."""
        return self._with_pullback(program, derive_pullback, has_numbers=False)

    def reversed_event(self, program: Program) -> Handle:
        """The same for an effect or a condition, by time, state and parameters."""
        return self._with_pullback(program, derive_event_pullback)

    def _with_pullback(self, program, derive_by, has_numbers=True):
        key = program.hash, derive_by, has_numbers
        if key not in self._reversed:
            found = derive_by(program)
            pullback = self.program(found.program, found.added, has_numbers)
            blocks = np.array(found.blocks, dtype=np.int64).ravel()
            self._reversed[key] = self._bridge.call(
                "load_pullback", self.program(program, (), has_numbers), pullback, blocks
            )
        return self._reversed[key]

    def _taped(self, program):
        """The same, by ReverseDiff's tape of it, which is kept if the Program has no branches."""
        is_kept = all(node.op in BRANCHLESS for node in program.nodes)
        return self._bridge.call("load_taped", self.program(program), is_kept)

    def _right_hand_side(self, program, vjp):
        """The compiled Program, with what gives its products with cotangents, if anything does."""
        return {None: self.program, GENERATED: self.reversed}.get(vjp, self._taped)(program)

    def plain(self, program: Program, vjp: str | None = None) -> Handle:
        """The compiled right-hand side without derivatives."""
        key = program.hash, vjp, False
        if key not in self._models:
            self._models[key] = self._bridge.call("load_right_hand_side", self._right_hand_side(program, vjp))
        return self._models[key]

    def lanes(self, wide: Wide, vjp: str | None = None) -> Handle:
        """The compiled right-hand side of several lanes, with its derivatives if there are some."""
        found = wide.derivatives
        if found is None:
            return self.plain(wide.program, vjp)
        key = wide.program.hash, vjp, True
        if key not in self._models:
            second = derive_second(wide.program) if vjp == GENERATED else None
            self._models[key] = self._bridge.call(
                "load_wide_model",
                self._right_hand_side(wide.program, vjp),
                self.program(found.entries),
                found.rows,
                found.columns,
                output_size(wide.program) // wide.lanes,
                wide.lanes,
                self.program(found.time),
                self.program(found.product),
                None if second is None else self.program(second.program, second.added),
            )
        return self._models[key]

    def right_hand_side(self, request: SolveRequest, vjp: str | None = None) -> Handle:
        """The compiled right-hand side of a request, with the derivatives that its method may ask for."""
        if request.device == "cpu":
            return self.model(request.program, request.algorithm, vjp)
        word = devices.load_arrays(self._bridge, request.device)
        key = request.program.hash, vjp, word
        if key not in self._models:
            pullback = (
                None if vjp is None else self._arrays(derive_pullback(request.program, has_factors=False).program)
            )
            f = self._arrays(request.program)
            self._models[key] = self._bridge.call("load_on_device", word, f, pullback)
        return self._models[key]

    def _arrays(self, program):
        """A Program as a compiled function of whole arrays."""
        printed = print_arrays(program)
        fields = printed.text, printed.constants, printed.flags, printed.indices, printed.n_numbers, printed.n_flags
        return self._bridge.call("load_program", *fields)

    def model(self, program: Program, algorithm: str, vjp: str | None = None) -> Handle:
        """The compiled right-hand side, with its derivatives if the method may ask for them; ``vjp`` as in requests."""
        if algorithm in METHODS and not METHODS[algorithm].is_stiff:
            return self.plain(program, vjp)
        key = program.hash, vjp, True
        if key not in self._models:
            found = derive(program, lambda starts, rows: self._bridge.call("color_pattern", starts, rows))
            second = derive_second(program) if vjp == GENERATED else None
            self._models[key] = self._bridge.call(
                "load_model",
                self._right_hand_side(program, vjp),
                None if found.entries is None else self.program(found.entries),
                found.rows,
                found.columns,
                output_size(program),
                found.is_sparse,
                self.program(found.time),
                self.program(found.product),
                None if second is None else self.program(second.program, second.added),
            )
        return self._models[key]
