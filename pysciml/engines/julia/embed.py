"""Julia in this process, by its C interface: started, called and ended by one and the same thread.

Values cross as rows of four words in plain memory (``julia/src/exchange.jl`` is the other half), so that a call
compiles nothing in Julia. A library that converts any value of either language (juliacall with PythonCall 0.9.34) took
4.6 s more to the end of the first solve. Calls release the GIL.
"""

import ctypes
import os
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

NOTHING, INTEGER, FLOAT, BOOL, TEXT, HELD, FLOATS, MATRIX, INTEGERS, BOOLS, TUPLE, ERROR = range(12)

_WORDS, _FLOAT = struct.Struct("=qqqq"), struct.Struct("=qdqq")
_WORD, _DOUBLE = struct.Struct("=q"), struct.Struct("=d")
_ARRAYS = {FLOATS: np.float64, MATRIX: np.float64, INTEGERS: np.int64}
_VECTORS = {np.dtype(np.float64): FLOATS, np.dtype(np.int64): INTEGERS, np.dtype(np.bool_): BOOLS}
_FREE_AT_ONCE = 1_000_000  # bytes: longer answers are not kept in Julia until the next call


class JuliaError(Exception):
    """An error in Julia: its message, and the text that Julia shows with the places where it arose."""

    def __init__(self, message: str, places: str):
        super().__init__(message + places)
        self.message = message


class Held(int):
    """The key of a value that stays in Julia."""


class EmbeddedJulia:
    """A Julia that has loaded our package. Of one thread only: the one that made it."""

    def __init__(self, executable: str, project: str, options: Sequence[str], image: str | None):
        folder, library = find_library(executable)
        self._lib = _start(library, folder, [executable, f"--project={project}", *options], image)
        self._run('Base.require(Main, :CompilerSupportLibraries_jll); ""')  # before a Python package brings its own
        self._run('import PySciML; ""')
        entry, flag, progress = map(int, self._run("PySciML.addresses()").split())
        self._exchange = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64)(entry)
        self.flag = ctypes.c_int64.from_address(flag)
        self.progress = (ctypes.c_double * 8).from_address(progress)

    def call(self, name: str, arguments: Sequence):
        """What a function of ``julia/src/bridge.jl`` gives: numbers, texts, copies of arrays, keys, tuples of these."""
        kept: list[object] = []  # memory that Julia reads during the call
        cells = b"".join([_pack(value, kept) for value in (name, *arguments)])
        answer = _Answer(self._exchange(cells, 1 + len(arguments)))
        value = answer.read()
        if answer.n_bytes > _FREE_AT_ONCE:
            self.call("give_up", (0,))
        return value

    def stop(self) -> None:
        """End Julia: its own tasks at exit, finalizers among them."""
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
    start(folder.encode(), None if image is None else image.encode())
    return lib


def _pack(value, kept):
    """The cell of an argument; what it points to is kept."""
    kind = type(value)
    if kind is float:
        return _FLOAT.pack(FLOAT, value, 0, 0)
    if kind is np.ndarray:
        return _pack_array(value, kept)
    if kind is int:
        return _WORDS.pack(INTEGER, value, 0, 0)
    if kind is Held:
        return _WORDS.pack(HELD, value, 0, 0)
    if kind is str:
        text = value.encode()
        kept.append(text)
        return _WORDS.pack(TEXT, ctypes.cast(text, ctypes.c_void_p).value or 0, len(text), 0)
    if kind is bool:
        return _WORDS.pack(BOOL, value, 0, 0)
    if value is None:
        return _WORDS.pack(NOTHING, 0, 0, 0)
    raise TypeError(f"a {kind.__name__} can't be passed to Julia")


def _pack_array(array, kept):
    if array.ndim == 1:
        array, kind = np.ascontiguousarray(array), _VECTORS[array.dtype]
    else:
        array, kind = np.asfortranarray(array, dtype=np.float64), MATRIX
    kept.append(array)
    return _WORDS.pack(kind, array.__array_interface__["data"][0], array.shape[0], array.shape[-1])


class _Answer:
    """The cells of an answer, read one after the other."""

    def __init__(self, address):
        self.where, self.n_bytes = address, 0

    def read(self):
        """The next value; arrays are copies."""
        kind, word, rows, columns = _WORDS.unpack(ctypes.string_at(self.where, _WORDS.size))
        self.where += _WORDS.size
        if kind in _ARRAYS:
            array = np.empty((rows, columns) if kind == MATRIX else rows, _ARRAYS[kind], order="F")
            ctypes.memmove(array.__array_interface__["data"][0], word, array.nbytes)
            self.n_bytes += array.nbytes
            return array
        if kind == TUPLE:
            return tuple([self.read() for _ in range(word)])
        if kind == FLOAT:
            return _DOUBLE.unpack(_WORD.pack(word))[0]
        if kind == TEXT:
            return ctypes.string_at(word, rows).decode()
        if kind == ERROR:
            raise JuliaError(*self.read())
        return None if kind == NOTHING else word != 0 if kind == BOOL else Held(word) if kind == HELD else word
