"""Several fits side by side, each in a process of its own: a process has one Julia, which makes one call at a time.

Plain pipes and pickles of requests, which hold flat arrays and Programs: no function of the user's crosses, so that a
script needs no ``if __name__ == "__main__"``.
"""

import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import ProblemError, SolveFailed
from ..fitting.stages import Stage
from ..requests import FitRequest, SolveRequest, SumRequest
from ..words import nearest
from .base import AbstractEngine, AbstractObjective, LookAt, RawFit, RawSolution, Report, Status, Tell, usable_cores
from .choose import load_engine

WORDS = ("serial", "processes")
PATIENCE = 10.0  # seconds that interrupted fits are given for their results so far
_SERVE = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from pysciml.engines.workers import serve; serve()"


def read_parallel(function: str, parallel: str | int) -> int:
    """How many processes are meant, 0: none but this one; ProblemError for anything else."""
    if parallel == "serial":
        return 0
    if parallel == "processes":
        return usable_cores()
    if isinstance(parallel, int) and not isinstance(parallel, bool) and parallel > 0:
        return parallel
    raise ProblemError(
        f"{function}: parallel must be 'serial', 'processes' or a number of processes, got {parallel!r}"
        f"{nearest(str(parallel), WORDS)}"
    )


class Crew:
    """Where several fits run: one after the other here, or, of ``size`` above 0, side by side in so many processes.

    Its processes begin with the first fit and end with the ``with`` block.
    """

    def __init__(self, engine: AbstractEngine, size: int = 0):
        self._engine, self._size = engine, size
        self._idle: list[_Worker] = []
        self._all: list[_Worker] = []
        self._lock = threading.Lock()
        self._is_stopped = False

    def __enter__(self) -> "Crew":
        return self

    def __exit__(self, *exception):
        for worker in self._all:
            worker.kill()

    def run(self, tasks: Sequence[Callable[[AbstractEngine], Any]]) -> list[Any]:
        """What each task gives, called with an engine: a value with a ``status``, or its SolveFailed.

        After an interrupt: what there is so far, and KeyboardInterrupt in the place of what is not.
        """
        if self._size and len(tasks) > 1:
            return self._run_together(tasks)
        found: list[Any] = []
        for task in tasks:
            found.append(_outcome(task, self._engine))
            if was_interrupted(found[-1]):
                break
        return found + [KeyboardInterrupt()] * (len(tasks) - len(found))

    def _run_together(self, tasks):
        engine = _Remote(self._engine, self)
        with ThreadPoolExecutor(self._size) as pool:
            futures = [pool.submit(_outcome, task, engine) for task in tasks]
            try:
                return [future.result() for future in futures]
            except BaseException as error:
                self._is_stopped = True
                try:
                    for future in futures:
                        future.cancel()
                    if not isinstance(error, KeyboardInterrupt):
                        raise
                    for worker in self._all:
                        worker.interrupt()
                    wait(futures, PATIENCE)
                finally:
                    for worker in self._all:  # or the pool would wait for their fits
                        worker.kill()
                return [KeyboardInterrupt() if one.cancelled() else one.result() for one in futures]

    def fit(self, request: FitRequest, report: Tell, folder: Path | None) -> RawFit:
        """One fit in the next process that is free."""
        with self._lock:
            if self._is_stopped:
                raise KeyboardInterrupt
            worker = self._idle.pop() if self._idle else _Worker()
            if worker not in self._all:
                self._all.append(worker)
        try:
            answer = worker.fit(self._engine.name, request, report, folder)
        except (EOFError, OSError, pickle.UnpicklingError):
            if self._is_stopped:
                raise KeyboardInterrupt from None
            raise SolveFailed(f"its process ended with code {worker.code()} (out of memory?)", Status.FAILED) from None
        self._idle.append(worker)
        return answer


def _outcome(task, engine):
    try:
        return task(engine)
    except (SolveFailed, KeyboardInterrupt) as error:
        return error


def was_interrupted(outcome) -> bool:
    """Whether one of the outcomes of ``Crew.run`` is not what it would have become."""
    return isinstance(outcome, KeyboardInterrupt) or getattr(outcome, "status", None) is Status.INTERRUPTED


class _Remote(AbstractEngine):
    """An engine whose fits run in the processes of a crew, and everything else here."""

    def __init__(self, engine: AbstractEngine, crew: Crew):
        self._engine, self._crew = engine, crew
        self.name, self.capabilities = engine.name, engine.capabilities

    def solve(self, request: SolveRequest) -> RawSolution:
        return self._engine.solve(request)

    def make_objective(self, request: SumRequest, stage: Stage | None = None) -> AbstractObjective:
        return self._engine.make_objective(request, stage)

    def fit(
        self, request: FitRequest, report: Tell = None, folder: Path | None = None, look_at: LookAt = None
    ) -> RawFit:
        return self._crew.fit(request, report, folder)  # which looks at nothing: that can't cross

    def versions(self) -> dict[str, str]:
        return self._engine.versions()


class _Worker:
    """A process that makes one fit at a time."""

    def __init__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, json.dumps(sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C reaches it through its parent
        )

    def fit(self, engine: str, request: FitRequest, report: Tell, folder: Path | None) -> RawFit:
        """One fit; EOFError or OSError if the process ends in the midst of it."""
        asked, answers = self._process.stdin, self._process.stdout
        assert asked is not None and answers is not None
        asked.write(pickle.dumps((engine, request, report is not None, folder)))
        asked.flush()
        while True:
            answer = pickle.load(answers)
            if not isinstance(answer, Report):
                break
            if report is not None:
                report(answer)
        found, said = answer
        for message, category in said:
            warnings.warn(message, category, stacklevel=2)
        if isinstance(found, BaseException):
            raise found
        return found

    def interrupt(self) -> None:
        """Let it give back what it has so far."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()

    def code(self) -> int:
        """How it ended."""
        return self._process.wait()


def serve() -> None:
    """What a worker does: fits, one after the other, until nobody asks any more."""
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # Julia makes its standard input one that doesn't wait
    os.dup2(2, 1)  # whatever is printed here
    asked: queue.SimpleQueue = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(questions, asked), daemon=True).start()

    def send(answer):
        answers.write(pickle.dumps(answer))
        answers.flush()

    while True:
        try:
            engine, request, is_watched, folder = asked.get()
            with warnings.catch_warnings(record=True) as said:
                warnings.simplefilter("always")
                found = _fit(engine, request, send if is_watched else None, folder)
            send((found, [(str(one.message), one.category) for one in said]))
        except KeyboardInterrupt:  # between two fits
            send((KeyboardInterrupt(), []))


def _fit(engine, request, report, folder):
    try:
        return load_engine(engine).fit(request, report, folder)
    except BaseException as error:
        return error


def _listen(questions, asked):
    """Pass on what is asked; the process ends when its parent is gone."""
    try:
        while True:
            asked.put(pickle.load(questions))
    finally:
        os._exit(0)


def joint_reports(report: Tell, number: int) -> list[Tell]:
    """So many reports, one of each of several fits of the same length, that are told as one of all."""
    if report is None:
        return [None] * number
    done, lock = [0] * number, threading.Lock()

    def tell(place, own):
        with lock:
            done[place] = own.iteration
            report(replace(own, iteration=sum(done), total=number * own.total))

    return [partial(tell, place) for place in range(number)]
