"""The recorder: the Program under construction while a user's function runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from ..ir.program import Input, Node, ProgramBuilder
from .source import origin, trace_error

_ACTIVE: ContextVar = ContextVar("recorder", default=None)


class Recorder:
    """Adds nodes with the user's line as their origin; what does not fit becomes a TraceError in the user's words."""

    def __init__(self, inputs: list[Input]):
        self.builder = ProgramBuilder(inputs)

    def node(self, index: int) -> Node:
        """A node that was recorded."""
        return self.builder.nodes[index]

    def constant(self, value) -> int:
        """Node of a constant array."""
        return self.builder.constant(value)

    def add(self, op: str, args: tuple[int, ...], attrs: tuple = ()) -> int:
        """Record one operation."""
        try:
            return self.builder.add(op, args, attrs, origin())
        except ValueError:
            shapes = " and ".join(str(self.node(i).shape) for i in args)
            raise trace_error(
                f"shapes {shapes} do not fit together in this {_WORDS.get(op, op)}",
                "Shapes follow NumPy's rules of broadcasting; print(x.shape) works inside the model.",
            ) from None


_WORDS = {
    "add": "addition", "sub": "subtraction", "mul": "multiplication", "div": "division", "pow": "power",
    "where": "np.where", "matmul": "matrix product", "stack": "np.stack or np.array([...])",
    "concatenate": "np.concatenate", "network": "network call",
}  # fmt: skip


def active_recorder() -> Recorder:
    """The recorder of the running trace; TraceError where there is none."""
    recorder = _ACTIVE.get()
    if recorder is None:
        raise trace_error(
            "a traced value was used outside the model function (it was kept in a global, a closure or a thread)",
            "Traced values live only during the call f(t, u, p): return what you need.",
        )
    return recorder


def is_recording() -> bool:
    """Whether a model is being traced."""
    return _ACTIVE.get() is not None


@contextmanager
def recording(recorder: Recorder) -> Iterator[Recorder]:
    """Make a recorder the active one."""
    token = _ACTIVE.set(recorder)
    try:
        yield recorder
    finally:
        _ACTIVE.reset(token)
