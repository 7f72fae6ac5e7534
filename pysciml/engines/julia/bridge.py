"""The bridge to Julia: the only place that imports juliacall, and one thread that owns it.

Each rule was tried; the naive ways freeze or crash the process. Julia boots in a thread of its own that serves a queue,
and no other thread ever touches a Julia value: arguments go in as NumPy arrays, numbers and strings, results come out
as copies, and what stays in Julia is known outside by a :class:`Handle`. Calls release the GIL. Ctrl-C raises a flag
that Julia reads after each step.
"""

import atexit
import ctypes
import importlib
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout

import numpy as np

from ...errors import EngineUnavailable, PySciMLError
from .route import Route, apply_route

PATIENCE = 1.0  # seconds that an interrupted call is given for its partial result
POLL = 0.1  # seconds between two looks at the progress of a call
_SIGACTION_BYTES = 512  # more than any platform's struct sigaction


class JuliaException(Exception):
    """An error in Julia, as the text that Julia shows; the cause of the error that pysciml raises."""


class Handle:
    """Stands for a value that stays in Julia; given up when this object is."""

    def __init__(self, key: int, release: Callable[[int], None]):
        self.key = key
        self._release = release

    def __del__(self):
        self._release(self.key)


class Bridge:
    """A running Julia. ``call`` may be used from any thread."""

    def __init__(self, route: Route):
        self._route = route
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._kept: dict[int, object] = {}
        self._process = os.getpid()
        self._julia = None
        self._flag = ctypes.c_int64()
        self._progress = (ctypes.c_double * 8)()
        self._boot()

    def call(
        self,
        name: str,
        *arguments,
        has_partial: bool = False,
        watch: Callable[[list[float]], None] | None = None,
    ):
        """The result of one of ``julia/src/bridge.jl``'s functions.

        ``watch`` is given the progress numbers a few times a second. On KeyboardInterrupt the flag is raised; if the
        function then returns a partial result within a second, that is returned, else the interrupt goes on.

        Raises
        ------
        PySciMLError
            An error in Julia, chained to its text.
        EngineUnavailable
            In a forked child.
        """
        self._check_process()
        future: Future = Future()
        self._jobs.put((future, name, arguments))
        try:
            return self._wait(future, watch)
        except KeyboardInterrupt:
            self._flag.value = 1
            if not has_partial:
                raise
            try:
                return future.result(timeout=PATIENCE)
            except FutureTimeout:
                raise KeyboardInterrupt from None

    def _wait(self, future, watch):
        while True:
            try:
                return future.result(timeout=None if watch is None else POLL)
            except FutureTimeout:
                watch(list(self._progress))

    def _check_process(self):
        if os.getpid() != self._process:
            raise EngineUnavailable(
                "Julia can't be used in a forked child of a process that has started it: use the start method 'spawn', "
                "as in multiprocessing.get_context('spawn'), or start Julia in the children only"
            )

    def _boot(self):
        if "juliacall" in sys.modules:
            raise EngineUnavailable(
                "juliacall was imported before pysciml's Julia engine, which has to start Julia itself: "
                "solve something with engine='julia' first, import juliacall afterwards"
            )
        handler = _get_sigint()
        ready: Future = Future()
        threading.Thread(target=self._own, args=(ready,), name="pysciml-julia", daemon=True).start()
        try:
            ready.result()
        finally:
            _set_sigint(handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        atexit.register(self._stop)

    def _own(self, ready):
        """The owner thread: boot, then serve the queue until None comes."""
        try:
            self._julia = self._start_julia()
        except BaseException as error:
            ready.set_exception(EngineUnavailable(f"Julia did not start ({self._route.reason}): {error}"))
            return
        ready.set_result(None)
        while (job := self._jobs.get()) is not None:
            if isinstance(job, int):
                self._kept.pop(job, None)
            else:
                self._serve(*job)
            del job

    def _start_julia(self):
        apply_route(self._route)
        juliacall = importlib.import_module("juliacall")
        self._error = juliacall.JuliaError
        juliacall.Main.seval("import PySciML")
        module = juliacall.Main.PySciML
        flag, progress = module.addresses()
        self._flag = ctypes.c_int64.from_address(int(flag))
        self._progress = (ctypes.c_double * 8).from_address(int(progress))
        return module

    def _serve(self, future, name, arguments):
        self._flag.value = 0
        try:
            given = [self._kept[a.key] if isinstance(a, Handle) else a for a in arguments]
            result = self._plain(getattr(self._julia, name)._jl_call_nogil(*given))
        except self._error as error:
            text = str(error)
            failure = PySciMLError(f"Julia failed in {name}: {text.strip().splitlines()[0]}")
            failure.__cause__ = JuliaException(text)
            future.set_exception(failure)
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    def _plain(self, value):
        """A copy of a Julia value that any thread may hold."""
        if value is None or isinstance(value, bool | int | float | str):
            return value
        if isinstance(value, tuple):
            return tuple(map(self._plain, value))
        if hasattr(value, "__array_interface__"):
            return np.array(value)
        key = id(value)
        self._kept[key] = value
        return Handle(key, self._jobs.put)

    def _stop(self):
        """At exit: let the owner thread end, so that it doesn't hold Julia while Julia ends."""
        if os.getpid() == self._process:
            self._flag.value = 1
            self._jobs.put(None)


def _libc():
    return ctypes.CDLL(None, use_errno=True)


def _get_sigint():
    """The process's handler of SIGINT: the C library's record, which any thread may read and put back."""
    record = ctypes.create_string_buffer(_SIGACTION_BYTES)
    _libc().sigaction(int(signal.SIGINT), None, record)
    return record


def _set_sigint(record):
    _libc().sigaction(int(signal.SIGINT), record, None)
