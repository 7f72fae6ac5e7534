"""Julia's packages compiled beforehand, in a Julia of its own: with progress, and going on where it was interrupted.

Julia compiles a package when it is first loaded. In this process that could be neither shown nor interrupted: Ctrl-C in
a terminal reaches the compiler too, which then ends in the middle. What is compiled stays, so another run goes on.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable

from ...errors import EngineUnavailable
from .route import OPTIONS, Route, route_environment

# What our package needs, each with the packages below it; the ones of few solves only if asked for. The arguments are
# words of ours.
_SCRIPT = """
id = Base.identify_package("PySciML")
id === nothing && error("PySciML is not on the load path")
known = Base.parsed_toml(joinpath(dirname(dirname(Base.locate_package(id))), "Project.toml"))
names = ARGS[1] == "all" ? sort!(collect(keys(known["deps"]))) : String[]
ids = [id; [Base.identify_package(id, name) for name in names]]
todo = [x for x in ids if x === nothing || !Base.isprecompiled(x)]
for (k, x) in enumerate(todo)
    x === nothing && error("a package of julia/Project.toml is not in the environment")
    println("compiling ", k, " of ", length(todo), ": ", x.name)
    flush(stdout)
    Base.require(x)
end
ARGS[1] == "all" && !isempty(todo) && foreach(Base.require, ids) # extensions come when all are there
println("compiled ", length(todo))
"""
_PATIENCE = 5.0  # seconds that an interrupted compiler is given


def compile_packages(route: Route, *, everything: bool, say: Callable[[str], None] | None = None) -> int:
    """Compile our package, or with ``everything`` the packages of rarer solves too, at the options of the boot.

    Returns how many were compiled. ``say`` is given a line at each.

    Raises
    ------
    EngineUnavailable
        If that fails, with Julia's own text.
    KeyboardInterrupt
        Passed on when the compiler has ended; the packages compiled until then are kept.
    """
    command = [str(route.executable), f"--project={route.project}", *OPTIONS, "--startup-file=no", "-e", _SCRIPT]
    try:
        compiler = subprocess.Popen(
            [*command, "all" if everything else "own"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf8",
            errors="replace",
            env=os.environ | route_environment(route),
            start_new_session=True,  # a terminal's Ctrl-C shall reach this process only
        )
    except OSError as error:
        raise EngineUnavailable(f"Julia can't be run ({route.reason}): {error}") from error
    try:
        lines = _follow(compiler, say)
    except BaseException:
        _end(compiler)
        raise
    done = re.fullmatch(r"compiled (\d+)", lines[-1] if lines else "")
    if compiler.wait() != 0 or done is None:
        text = "\n".join(lines[-20:])
        raise EngineUnavailable(f"Julia's packages could not be compiled ({route.reason}):\n{text}")
    return int(done[1])


def _follow(compiler, say):
    """The lines of the compiler, those of its progress passed on."""
    lines = []
    for line in compiler.stdout:
        lines.append(line.rstrip())
        if say is not None and line.startswith("compiling "):
            say(f"pysciml: {line.rstrip()}")
    return lines


def _end(compiler):
    """Stop the compiler and those that it started."""
    for number in (signal.SIGTERM, getattr(signal, "SIGKILL", signal.SIGTERM)):
        try:
            os.killpg(compiler.pid, number) if hasattr(os, "killpg") else compiler.terminate()
            compiler.wait(_PATIENCE)
        except (OSError, subprocess.TimeoutExpired):
            continue


def say_on_stderr(line: str) -> None:
    """A line of progress for whoever waits."""
    print(line, file=sys.stderr, flush=True)
