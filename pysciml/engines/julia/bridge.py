"""The bridge to Julia: one thread that owns it.

Each rule was tried; the naive ways freeze or crash the process. Julia boots in a thread of its own that serves a queue.
Arguments go in as NumPy arrays, numbers and strings, results come out as copies, and what stays in Julia is known
outside by a :class:`Handle`. Calls release the GIL, and there is one at a time. Ctrl-C raises a flag that Julia reads
after each step.

To wake the owner and to be woken takes longer than a small solve, so the main thread makes a call itself if its like
was quick before. Ctrl-C can't be heard then, so what becomes late there is given up and handed to the owner.
"""

import atexit
import ctypes
import importlib.abc
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Hashable
from threading import get_ident
from time import perf_counter
from typing import Any

from ...errors import EngineUnavailable, PySciMLError, UnsupportedByEngine
from .embed import Asked, EmbeddedJulia, JuliaError, Packed
from .route import Route, apply_route

PATIENCE = 1.0  # seconds that an interrupted call is given for its partial result
QUICK = 0.003  # seconds: what takes less, the main thread does itself the next time
LATE = 0.02  # seconds: what takes more in the main thread, the owner does again
_IS_LATE = 2  # what the flag then is
_ALLOWED, _TOO_LATE = int(1e9 * LATE), object()
AWAKE = 0.0005  # seconds in which a thread looks whether its call has ended, before it sleeps
POLL = 0.1  # seconds between two looks at the progress of a call
_SIGACTION_BYTES = 512  # more than any platform's struct sigaction
_MAIN = threading.main_thread()


class _Call:
    """A call, or the route of a boot, on its way through the queue, and its answer."""

    __slots__ = ("answer", "error", "is_done", "is_interrupted", "like", "what")

    def __init__(self, what: Packed | Asked | Route, like: Hashable = None):
        self.what, self.like = what, like
        self.answer: Any = None
        self.error: BaseException | None = None
        self.is_interrupted = False
        self.is_done = threading.Lock()
        self.is_done.acquire()

    def result(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.answer


class Bridge:
    """The Julia of this process, once ``boot`` has started it. ``call`` may be used from any thread."""

    def __init__(self):
        self._jobs: queue.SimpleQueue = queue.SimpleQueue()
        self._process = os.getpid()
        self._boot: _Call | None = None  # one that still goes on
        self._turn = threading.Lock()  # held by the thread that is in Julia
        self._quick: set[Hashable] = set()
        self._julia: EmbeddedJulia
        self._owner = threading.Thread(target=self._own, name="pysciml-julia", daemon=True)
        self._owner.start()

    def boot(self, route: Route) -> None:
        """Start Julia, which takes minutes where packages are compiled first.

        A KeyboardInterrupt leaves that going on; the next call waits for it. After a failure the next call tries again.
        """
        self._check_process()
        if self._boot is None:
            if "juliacall" in sys.modules:
                raise EngineUnavailable(
                    "juliacall was imported before pysciml's Julia engine was started; a process has one Julia, and "
                    "pysciml must start it itself: use one of the two in a process of its own"
                )
            self._boot = _Call(route)
            self._jobs.put(self._boot)
        handler = _get_sigint()
        try:
            while not self._boot.is_done.acquire(timeout=POLL):
                _set_sigint(handler)  # Julia takes the signal for itself while it starts
        finally:
            _set_sigint(handler)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        boot, self._boot = self._boot, None
        boot.result()
        sys.meta_path.insert(0, _JuliaIsTaken())
        atexit.register(self._stop)

    def call(
        self,
        what: str | Packed | Asked,
        *arguments,
        has_partial: bool = False,
        watch: Callable[[list[float]], None] | None = None,
        like: Hashable = None,
    ):
        """What a function of ``bridge.jl`` or ``asked.jl`` gives, by its name or as a call that is ready.

        Calls with the same ``like`` are expected to take about the same time; a function called with one must leave
        nothing behind, since it may be called twice. ``watch`` is given the progress numbers a few times a second. On
        KeyboardInterrupt the flag is raised; if the function then returns a partial result within a second, that is
        returned, else the interrupt goes on.

        Raises
        ------
        PySciMLError
            An error in Julia, chained to its text.
        EngineUnavailable
            In a forked child.
        """
        self._check_process()
        call = Packed(what, arguments) if isinstance(what, str) else what
        # a thread may make calls itself if it is the main one, and Julia is free
        if like in self._quick and watch is None and get_ident() == _MAIN.ident and not self._turn.locked():
            answer = self._call_here(call, like)
            if answer is not _TOO_LATE:
                return answer
        job = _Call(call, like)
        self._jobs.put(job)
        try:
            if not _is_soon(job.is_done):
                while not job.is_done.acquire(timeout=-1 if watch is None else POLL):
                    watch(list(self._julia.progress))
        except KeyboardInterrupt:
            job.is_interrupted = True  # it may still be in the queue: the flag is lowered when it begins
            self._julia.flag.value = 1
            if not (has_partial and job.is_done.acquire(timeout=PATIENCE)):
                raise
        return job.result()

    def _check_process(self):
        if os.getpid() != self._process:
            raise EngineUnavailable(
                "Julia can't be used in a forked child of a process that has started it: use the start method 'spawn', "
                "as in multiprocessing.get_context('spawn'), or start Julia in the children only"
            )

    def _own(self):
        """The owner thread: serve the queue until None comes."""
        julia = EmbeddedJulia(self._jobs.put)
        while (job := self._jobs.get()) is not None:
            with self._turn:
                if isinstance(job, int):  # the key of a handle
                    julia.call(Packed("give_up", (job,)))
                else:
                    self._serve(julia, job)
            if isinstance(job, _Call):
                job.is_done.release()
            del job
        julia.stop()

    def _call_here(self, call, like):
        """The answer of a call that this thread makes; ``_TOO_LATE`` if that did not come soon."""
        with self._turn:  # should it be taken just now, the wait for it hears Ctrl-C
            try:
                answer = self._make(call, like, allowed=_ALLOWED)
            except PySciMLError:
                if self._julia.flag.value == _IS_LATE:
                    return _TOO_LATE
                raise
            return _TOO_LATE if self._julia.flag.value == _IS_LATE else answer

    def _make(self, call, like, is_interrupted=False, allowed=0):
        julia = self._julia
        julia.flag.value, julia.allowed.value = int(is_interrupted), allowed
        start = perf_counter()
        try:
            return call.make(julia)
        except JuliaError as error:
            raise _read_error(call.name, error.message.strip().splitlines()[0]) from error
        finally:
            if like is not None:
                note = self._quick.add if perf_counter() - start < QUICK else self._quick.discard
                note(like)

    def _serve(self, julia, job):
        try:
            if job is self._boot:
                self._start(julia, job.what)
            else:
                job.answer = self._make(job.what, job.like, job.is_interrupted)
        except BaseException as error:
            job.error = error

    def _start(self, julia, route):
        try:
            julia.start(*apply_route(route))
        except BaseException as error:
            raise EngineUnavailable(f"Julia did not start ({route.reason}): {error}") from None
        self._julia = julia

    def _stop(self):
        """At exit: let the owner thread end Julia."""
        if os.getpid() == self._process:
            self._julia.flag.value = 1
            self._jobs.put(None)
            self._owner.join(PATIENCE)


def _is_soon(lock):
    """Acquire a lock that is released within ``AWAKE``: to be woken takes longer than a small solve.

    A look may take as long as another thread keeps the core, so looks are bounded by time, not number.
    """
    end = perf_counter() + AWAKE
    while not lock.acquire(blocking=False):
        if perf_counter() > end:
            return False
        time.sleep(0)
    return True


class _JuliaIsTaken(importlib.abc.MetaPathFinder):
    """Stands in the way of juliacall, which would call this process's Julia from another thread: that crashes."""

    def find_spec(self, fullname, path, target=None):
        """Nothing, or ImportError for juliacall."""
        if fullname == "juliacall":
            raise ImportError(
                "juliacall can't be used in a process in which pysciml's Julia engine runs: a process has one Julia, "
                "and that one belongs to one thread. Use one of the two in a process of its own"
            )


def _read_error(name, line):
    if line.startswith("NoDerivative: "):
        return UnsupportedByEngine(f"engine 'julia' finds no gradient here: {line.partition(' ')[2]}")
    if line.startswith("OutOfMemoryError"):
        return PySciMLError(
            f"Julia ran out of memory in {name}: give fewer save times, or for many states of a stiff problem a method "
            "that makes no dense matrix, as ps.Algorithm('FBDF', linear_solver='GMRES')"
        )
    return PySciMLError(f"Julia failed in {name}: {line}")


def _libc():
    return ctypes.CDLL(None, use_errno=True)


def _get_sigint():
    """The process's handler of SIGINT: the C library's record, which any thread may read and put back."""
    record = ctypes.create_string_buffer(_SIGACTION_BYTES)
    _libc().sigaction(int(signal.SIGINT), None, record)
    return record


def _set_sigint(record):
    _libc().sigaction(int(signal.SIGINT), record, None)
