"""Julia in this process, by its C interface: started, called and ended by one and the same thread.

Values cross as cells of four words with the bytes of texts and arrays behind them (``julia/src/exchange.jl`` is the
other half), so that a call compiles nothing in Julia. A library that converts any value of either language (PythonCall)
compiles its conversions in each process, and loading it invalidates compiled solvers. Calls release the GIL.
"""

import ctypes
import math
import os
import struct
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

NOTHING, INTEGER, FLOAT, BOOL, TEXT, HELD, FLOATS, MATRIX, INTEGERS, BOOLS, TUPLE, ERROR, SHORTS = range(13)
FAR = 16  # is added to the kind of an array that is copied from its own place in Julia

_WORDS, _FLOAT = struct.Struct("=qqqq"), struct.Struct("=qdqq")
_WORD, _DOUBLE = struct.Struct("=q"), struct.Struct("=d")
_ARRAYS = {FLOATS: np.float64, MATRIX: np.float64, INTEGERS: np.int64, BOOLS: np.bool_, SHORTS: np.int32}
_VECTORS = {np.dtype(kind): code for code, kind in _ARRAYS.items() if code != MATRIX}
_FREE_AT_ONCE = 1_000_000  # bytes: longer answers are not kept in Julia until the next call


class JuliaError(Exception):
    """An error in Julia: its message, and the text that Julia shows with the places where it arose."""

    def __init__(self, message: str, places: str):
        super().__init__(f"{message}\n{places.strip()}")
        self.message = message


class Handle:
    """Stands for a value that stays in Julia; given up when this object is."""

    def __init__(self, key: int, release: Callable[[int], None]):
        self.key = key
        self._release = release

    def __del__(self):
        self._release(self.key)


class Packed:
    """A call of a function of ``bridge.jl`` or ``asked.jl`` as Julia reads it, to be made any number of times."""

    __slots__ = ("_arguments", "message", "n_cells", "name")

    def __init__(self, name: str, arguments: Sequence):
        cells: list[bytes] = []
        data = bytearray()
        _pack([name, *arguments], cells, data)
        self.name, self.message, self.n_cells = name, b"".join((*cells, data)), len(cells)
        self._arguments = arguments  # handles among them are not given up before this

    def make(self, julia: "EmbeddedJulia") -> Any:
        """What the function gives."""
        return julia.call(self)


class Asked:
    """What was prepared, asked again: numbers given and found cross by memory that Julia shares."""

    __slots__ = ("_found", "_given", "_prepared", "name")

    def __init__(self, prepared: Handle, given: tuple[int, int], *found: tuple[int, tuple[int, ...], type]):
        self.name = "ask_again"
        self._prepared = prepared  # that memory is Julia's for as long as there is the handle
        self._given = _share(given[0], (given[1],), np.float64)
        self._found = [_share(*place) for place in found]

    def give(self, *vectors: np.ndarray) -> None:
        """Ask for other numbers."""
        start = 0
        for vector in vectors:
            end = start + vector.size
            self._given[start:end] = vector
            start = end

    def make(self, julia: "EmbeddedJulia") -> Any:
        """Copies of the numbers found, where there are no others; else the answer."""
        answer = julia.call_again(self._prepared.key)
        return [found.copy() for found in self._found] if answer is None else answer


def _share(address, shape, kind):
    """Numbers in Julia's memory."""
    n = math.prod(shape) * np.dtype(kind).itemsize
    data = (ctypes.c_char * n).from_address(address) if n else b""
    return np.frombuffer(data, kind).reshape(shape)


class EmbeddedJulia:
    """A Julia that loads our package. One thread starts and stops it; calls come from any, one at a time."""

    def __init__(self, release: Callable[[int], None]):
        self._release = release  # what handles do with their key at their end
        self._lib: Any = None
        self._enter: Callable[[], int] = int
        self.flag: ctypes.c_int64
        self.allowed: ctypes.c_int64  # nanoseconds a call; 0: any
        self.progress: ctypes.Array[ctypes.c_double]

    def start(self, executable: str, project: str, options: Sequence[str], image: str | None) -> None:
        """Start Julia and load the package; after an error while loading, this may be tried again."""
        if self._lib is None:
            folder, library = find_library(executable)
            self._lib = _start(library, folder, [executable, f"--project={project}", *options], image)
        self._run('Base.require(Main, :CompilerSupportLibraries_jll); ""')  # before a Python package brings its own
        self._run('import PySciML; ""')
        entry, again, flag, allowed, progress, leave, enter = map(int, self._run("PySciML.addresses()").split())
        self._exchange = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64)(entry)
        self._again = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(again)
        self.flag = ctypes.c_int64.from_address(flag)
        self.allowed = ctypes.c_int64.from_address(allowed)
        self.progress = (ctypes.c_double * 8).from_address(progress)
        self._enter = ctypes.CFUNCTYPE(ctypes.c_int8)(enter)
        ctypes.CFUNCTYPE(ctypes.c_int8)(leave)()  # or garbage collections in other threads' calls wait for this thread

    def call(self, call: Packed):
        """What a call gives: numbers, texts, copies of arrays, handles, tuples."""
        return self._read_answer(self._exchange(call.message, call.n_cells))

    def call_again(self, key: int):
        """What a prepared solve gives of the numbers that it was given; None if that is where it was asked to be."""
        return self._read_answer(self._again(key))

    def _read_answer(self, places):
        if places is None:
            return None
        cells, data = _copy_answer(places)
        value = _unpack(iter(cells), data, self._release)
        if len(data) > _FREE_AT_ONCE or any(kind >= FAR for kind, *_ in cells):
            self.call(Packed("give_up", [0]))
        return value

    def stop(self) -> None:
        """End Julia: its own tasks at exit, finalizers among them."""
        if self._lib is not None:
            self._enter()
            self._lib.jl_atexit_hook(0)

    def _run(self, text):
        """The string that Julia statements give."""
        guarded = f'try; {text}; catch e; "!" * sprint(showerror, e); end'
        answer = self._lib.jl_string_ptr(self._lib.jl_eval_string(guarded.encode())).decode()
        if answer.startswith("!"):
            raise RuntimeError(answer[1:])
        return answer


def find_library(executable: str) -> tuple[str, str]:
    """The folder of a Julia's program and its library: by the usual places, else by asking that Julia."""
    folder = Path(os.path.realpath(executable)).parent
    for name in ("../lib/libjulia.so", "../lib/libjulia.dylib", "libjulia.dll"):
        library = Path(os.path.normpath(folder / name))
        if library.is_file():
            return str(folder), str(library)
    text = 'import Libdl; print(abspath(Libdl.dlpath("libjulia")), "\\0", Sys.BINDIR)'
    asked = [executable, "--startup-file=no", "-O0", "--compile=min", "-e", text]
    library, found = subprocess.run(asked, check=True, capture_output=True, encoding="utf8").stdout.split("\0")
    return found, library


def _start(library, folder, command, image):
    """Julia's C interface, Julia started."""
    if os.name == "nt":  # where Windows looks for the libraries beside it
        os.environ["PATH"] = f"{Path(library).parent};{os.environ.get('PATH', '')}"
    lib = ctypes.CDLL(library, mode=ctypes.RTLD_GLOBAL)
    words = [word.encode() for word in command]
    count, values = ctypes.c_int(len(words)), (ctypes.c_char_p * len(words))(*words)
    start = getattr(lib, "jl_init_with_image__threading", None) or lib.jl_init_with_image
    start.argtypes, start.restype = [ctypes.c_char_p, ctypes.c_char_p], None
    lib.jl_eval_string.argtypes, lib.jl_eval_string.restype = [ctypes.c_char_p], ctypes.c_void_p
    lib.jl_string_ptr.argtypes, lib.jl_string_ptr.restype = [ctypes.c_void_p], ctypes.c_char_p
    lib.jl_atexit_hook.argtypes, lib.jl_atexit_hook.restype = [ctypes.c_int], None
    lib.jl_parse_opts(ctypes.byref(count), ctypes.byref(ctypes.cast(values, ctypes.POINTER(ctypes.c_char_p))))
    blocking = {stream: os.get_blocking(stream) for stream in (1, 2) if os.name != "nt" and _is_open(stream)}
    start(folder.encode(), None if image is None else image.encode())
    for stream, was_blocking in blocking.items():  # non-blocking pipes, as Julia makes them, lose long prints
        os.set_blocking(stream, was_blocking)
    return lib


def _is_open(stream):
    try:
        os.fstat(stream)
    except OSError:
        return False
    return True


def _pack(value, cells, data):
    """Put the cell of an argument behind ``cells``, and its bytes behind those in ``data``."""
    kind = type(value)
    if kind is float:
        cells.append(_FLOAT.pack(FLOAT, value, 0, 0))
    elif kind is np.ndarray:
        code = MATRIX if value.ndim > 1 else _VECTORS[value.dtype]
        cells.append(_WORDS.pack(code, len(data), value.shape[0], value.shape[-1]))
        data += (value if code != MATRIX else value.astype(np.float64, copy=False)).tobytes("F")
        data += bytes(-len(data) % 8)  # numbers begin at whole words
    elif kind is int:
        cells.append(_WORDS.pack(INTEGER, value, 0, 0))
    elif kind is Handle:
        cells.append(_WORDS.pack(HELD, value.key, 0, 0))
    elif kind is str:
        text = value.encode()
        cells.append(_WORDS.pack(TEXT, len(data), len(text), 0))
        data += text + bytes(-len(text) % 8)
    elif kind is bool:
        cells.append(_WORDS.pack(BOOL, value, 0, 0))
    elif kind is list:
        cells.append(_WORDS.pack(TUPLE, len(value), 0, 0))
        for item in value:
            _pack(item, cells, data)
    elif value is None:
        cells.append(_WORDS.pack(NOTHING, 0, 0, 0))
    else:
        raise TypeError(f"a {kind.__name__} can't be passed to Julia")


def _copy_answer(places):
    """The cells of an answer and a copy of the bytes behind them."""
    n_cells, cells, n_bytes, where = _WORDS.unpack(ctypes.string_at(places, _WORDS.size))
    data = bytearray((ctypes.c_char * n_bytes).from_address(where)) if n_bytes else bytearray()
    return list(_WORDS.iter_unpack(ctypes.string_at(cells, n_cells * _WORDS.size))), data


def _unpack(cells, data, release) -> Any:
    """The next value; arrays are views of ``data``."""
    kind, word, rows, columns = next(cells)
    if kind == INTEGER:
        return word
    if kind in _ARRAYS or kind >= FAR:
        if kind < FAR:
            array = np.frombuffer(data, _ARRAYS[kind], rows * columns, word)
        else:
            kind -= FAR
            array = np.empty(rows * columns, _ARRAYS[kind])
            ctypes.memmove(array.ctypes.data, word, array.nbytes)
        return array.reshape(rows, columns, order="F") if kind == MATRIX else array
    if kind == TUPLE:
        return tuple([_unpack(cells, data, release) for _ in range(word)])
    if kind == FLOAT:
        return _DOUBLE.unpack(_WORD.pack(word))[0]
    if kind == TEXT:
        return data[word : word + rows].decode()
    if kind == ERROR:
        raise JuliaError(*_unpack(cells, data, release))
    if kind == HELD:
        return Handle(word, release)
    return None if kind == NOTHING else word != 0
