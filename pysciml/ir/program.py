"""Program: a traced function as a flat, ordered list of nodes. Frozen; made by ProgramBuilder."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..errors import PySciMLError
from .ops import BOOL, FLOAT, OPERATIONS, Shape

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Origin:
    """Where in the user's code a node was written."""

    file: str
    line: int


@dataclass(frozen=True)
class Node:
    """One operation on earlier nodes (``args``: their positions in the list)."""

    op: str
    args: tuple[int, ...]
    attrs: tuple
    shape: Shape
    dtype: str = FLOAT
    origin: Origin | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))


@dataclass(frozen=True)
class Input:
    """A named argument of a Program, a float64 array of fixed shape."""

    name: str
    shape: Shape


@dataclass(frozen=True)
class Output:
    """A named result of a Program: the position of its node."""

    name: str
    node: int


@dataclass(frozen=True, eq=False)
class Program:
    """A branch-free function of arrays, independent of any engine.

    A model's right-hand side has the inputs ``t ()``, ``u (n,)``, ``p (m,)`` and the output ``du (n,)``: states and
    parameters are flat vectors here, and names live in layouts outside. Equality and hash are by content; origins
    do not count.
    """

    nodes: tuple[Node, ...]
    constants: tuple[np.ndarray, ...]
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    schema_version: int = SCHEMA_VERSION

    @cached_property
    def hash(self) -> str:
        """Hex SHA-256 of the content."""
        digest = hashlib.sha256()
        nodes = [(n.op, n.args, n.attrs, n.shape, n.dtype) for n in self.nodes]
        digest.update(repr((self.schema_version, nodes, self.inputs, self.outputs)).encode())
        for constant in self.constants:
            digest.update(repr((constant.shape, constant.dtype.str)).encode() + constant.tobytes())
        return digest.hexdigest()

    def __eq__(self, other):
        return isinstance(other, Program) and self.hash == other.hash

    def __hash__(self):
        return int(self.hash[:15], 16)


class ProgramBuilder:
    """Records nodes one by one; shapes and types are derived from the table of operations."""

    def __init__(self, inputs: Iterable[Input] = ()):
        self.nodes: list[Node] = []
        self.constants: list[np.ndarray] = []
        self.inputs: list[Input] = []
        self._constant_nodes: dict[tuple, int] = {}
        for item in inputs:
            self.add_input(item.name, item.shape)

    def add_input(self, name: str, shape: Shape) -> int:
        """Declare the next input; returns its node."""
        self.inputs.append(Input(name, tuple(shape)))
        self.nodes.append(Node("input", (), (len(self.inputs) - 1,), tuple(shape)))
        return len(self.nodes) - 1

    def constant(self, value) -> int:
        """Node of a constant array (float64 or bool); equal constants share one node."""
        value = np.array(value, order="C")  # a copy: the caller's array may change after tracing
        dtype = BOOL if value.dtype == np.bool_ else FLOAT
        if dtype == FLOAT:
            value = value.astype(np.float64)
        value.flags.writeable = False
        key = (value.shape, dtype, value.tobytes())
        if key not in self._constant_nodes:
            self.constants.append(value)
            self.nodes.append(Node("constant", (), (len(self.constants) - 1,), value.shape, dtype))
            self._constant_nodes[key] = len(self.nodes) - 1
        return self._constant_nodes[key]

    def add(self, op: str, args: Iterable[int], attrs: tuple = (), origin: Origin | None = None) -> int:
        """Append one operation; ValueError if the shapes or types of its arguments do not fit."""
        args = tuple(args)
        row = OPERATIONS[op]
        if row.kind == "leaf" or (row.arity is not None and len(args) != row.arity) or not args:
            raise PySciMLError(f"internal: {op} with {len(args)} arguments")
        dtypes = [self.nodes[i].dtype for i in args]
        if row.takes is not None and any(d != row.takes for d in dtypes):
            raise ValueError(f"{op} takes {row.takes} values, got {dtypes}")
        if op == "where" and (dtypes[0] != BOOL or dtypes[1] != dtypes[2]):
            raise ValueError(f"where takes a bool condition and two values of one type, got {dtypes}")
        if op in ("stack", "concatenate", "update", "scatter") and len(set(dtypes)) != 1:
            raise ValueError(f"{op} takes values of one type, got {dtypes}")
        shape = tuple(int(n) for n in row.shape([self.nodes[i].shape for i in args], attrs))
        self.nodes.append(Node(op, args, attrs, shape, row.gives or dtypes[-1], origin))
        return len(self.nodes) - 1

    def build(self, outputs: Iterable[tuple[str, int]]) -> Program:
        """Freeze what was recorded."""
        return Program(
            tuple(self.nodes),
            tuple(self.constants),
            tuple(self.inputs),
            tuple(Output(name, node) for name, node in outputs),
        )
