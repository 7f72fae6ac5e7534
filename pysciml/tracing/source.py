"""Where in the user's code something happened, and the TraceError that shows it."""

import ast
import linecache
import os
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np

from ..errors import TraceError
from ..ir.program import Origin

_SITE = os.path.dirname(os.path.dirname(os.path.abspath(np.__file__)))
_MACHINERY = (
    os.path.dirname(os.path.abspath(__file__)) + os.sep,
    *(os.path.join(_SITE, package) + os.sep for package in ("numpy", "scipy", "xarray")),
)
_RETURNED: ContextVar = ContextVar("returned", default=None)
_STDLIB = sysconfig.get_path("stdlib") + os.sep


class TraceAttributeError(TraceError, AttributeError):
    """A name that a record or a traced value does not have: ``hasattr`` and ``getattr`` with a default still work."""


class TraceKeyError(TraceError, KeyError):
    """A name that a record does not have, asked for by ``u["name"]``."""

    __str__ = Exception.__str__


@dataclass(frozen=True)
class Place:
    """A line of the user's code; ``span`` is (line, end line, column, end column) of what is running, if known."""

    file: str
    line: int
    function: str = ""
    span: tuple | None = None

    @property
    def text(self) -> str:
        """The source text of the line."""
        linecache.checkcache(self.file)
        return linecache.getline(self.file, self.line).strip()

    def __str__(self):
        where = f" in {self.function}" if self.function else ""
        return f'  File "{self.file}", line {self.line}{where}\n    {self.text or "(source text not available)"}'


@lru_cache(maxsize=4096)
def _is_machinery(file: str) -> bool:
    """Whether a file is ours, NumPy's or Python's own rather than the user's."""
    if file.startswith(_MACHINERY) or file.startswith("<frozen"):
        return True
    return file.startswith(_STDLIB) and "-packages" + os.sep not in file


def _user_frame():
    frame = sys._getframe(1)
    while frame is not None and _is_machinery(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def _library_of(file: str) -> str:
    """The package to which an installed file belongs; empty for the user's own."""
    parts = file.replace(os.sep, "/").split("-packages/")
    return parts[-1].split("/")[0] if len(parts) > 1 else ""


def calling_library() -> str:
    """The package whose code asks a traced value for something: ``scipy`` for ``spline(t)``."""
    frame, own = sys._getframe(1), _MACHINERY[0]
    while frame is not None and frame.f_code.co_filename.startswith(own):
        frame = frame.f_back
    library = "" if frame is None else _library_of(frame.f_code.co_filename)
    while frame is not None and _is_machinery(frame.f_code.co_filename):
        if isinstance(frame.f_locals.get("self"), np.vectorize):
            return "vectorize"
        frame = frame.f_back
    return library


def is_sparse_product() -> bool:
    """Whether a sparse matrix of SciPy asks what stands on the right of its ``@``."""
    frame = sys._getframe(2)
    return frame.f_globals.get("__name__", "").startswith("scipy.sparse") and "matmul" in frame.f_code.co_name


def library_of_exception(error: BaseException) -> str:
    """The package whose code raised an exception."""
    step, file = error.__traceback__, ""
    while step is not None:
        file, step = step.tb_frame.f_code.co_filename, step.tb_next
    return _library_of(file)


def origin() -> Origin | None:
    """Where the running operation was written."""
    if (place := _RETURNED.get()) is not None:
        return Origin(place.file, place.line)
    frame = _user_frame()
    return None if frame is None else Origin(frame.f_code.co_filename, frame.f_lineno)


def _place(code, line, instruction) -> Place:
    span = None
    if hasattr(code, "co_positions") and instruction >= 0:  # Python 3.11 on
        positions = list(code.co_positions())
        span = positions[instruction // 2] if instruction // 2 < len(positions) else None
        span = None if span is None or None in span else span
    name = "" if code.co_name == "<module>" else code.co_name
    return Place(code.co_filename, line, name, span)


def running_place() -> Place | None:
    """The user's line that is running now."""
    if (place := _RETURNED.get()) is not None:
        return place
    frame = _user_frame()
    return None if frame is None else _place(frame.f_code, frame.f_lineno, frame.f_lasti)


def place_of_exception(error: BaseException) -> Place | None:
    """The user's line from which an exception came: the innermost one that isn't machinery."""
    found, step = None, error.__traceback__
    while step is not None:
        if not _is_machinery(step.tb_frame.f_code.co_filename):
            found = _place(step.tb_frame.f_code, step.tb_lineno, step.tb_lasti)
        step = step.tb_next
    return found


def _code_of(function):
    while isinstance(function, partial):
        function = function.func
    function = getattr(function, "__func__", function)
    method = vars(type(function)).get("__call__")
    return getattr(function, "__code__", None) or getattr(method, "__code__", None)


def place_of_function(function) -> Place | None:
    """The line of a function's ``def``."""
    code = _code_of(function)
    return None if code is None else Place(code.co_filename, code.co_firstlineno, code.co_name)


def place_of_return(function) -> Place | None:
    """The line of a function's only ``return``, or of its ``def`` where there are several."""
    code = _code_of(function)
    if code is None:
        return None
    parents = _parse("".join(linecache.getlines(code.co_filename))) or {}
    defined = [d for d in parents if isinstance(d, ast.FunctionDef) and d.name == code.co_name]
    defined = [d for d in defined if code.co_firstlineno in (d.lineno, *(e.lineno for e in d.decorator_list))]
    returns = [n.lineno for d in defined for n in _own_nodes(d) if isinstance(n, ast.Return)]
    return Place(code.co_filename, returns[0] if len(returns) == 1 else code.co_firstlineno, code.co_name)


def _own_nodes(function: ast.AST):
    """The nodes of a function, without those of functions inside it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef | ast.Lambda):
            yield child
            yield from _own_nodes(child)


@contextmanager
def returned_by(function) -> Iterator[None]:
    """What is recorded or raised now comes from what a function returned."""
    token = _RETURNED.set(place_of_return(function))
    try:
        yield
    finally:
        _RETURNED.reset(token)


def trace_error(problem: str, remedy: str = "", place: Place | None = None, kind=TraceError) -> TraceError:
    """A TraceError: what is wrong, the user's file, line and source text, and the form that can be traced."""
    place = place or running_place()
    parts = [problem, str(place) if place else "", f"  {remedy}" if remedy else ""]
    return kind("\n".join(part for part in parts if part))


@lru_cache(maxsize=32)
def _parse(source: str):
    """The syntax tree of a file and the parent of each of its nodes; None where it can't be parsed."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return None
    return {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}


def syntax_at(place: Place | None) -> list[list[ast.AST]]:
    """The running expression, or statement, and its ancestors up to the statement, innermost first.

    Where Python does not tell what is running (before 3.11), one such chain for each expression that touches the line.
    """
    parents = _parse("".join(linecache.getlines(place.file))) if place else None
    if not parents:
        return []
    chains = []
    for node in parents:
        if not isinstance(node, ast.expr | ast.stmt):
            continue
        if place.span is None:
            chosen = isinstance(node, ast.expr) and node.lineno <= place.line <= (node.end_lineno or node.lineno)
        else:
            chosen = (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset) == place.span
        if chosen:
            chains.append(_chain(node, parents))
    return chains


def _chain(node, parents):
    chain = [node]
    while not isinstance(chain[-1], ast.stmt) and chain[-1] in parents:
        chain.append(parents[chain[-1]])
    return chain
