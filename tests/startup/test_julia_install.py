"""Compiling Julia's packages beforehand: shown, interrupted, taken up again; at the options of the boot."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.engines import require_engine

import pysciml as ps
from pysciml.engines.julia import environment, image, route
from pysciml.engines.julia.precompile import compile_packages
from pysciml.errors import EngineUnavailable

# A program that says it is Julia, notes how it was called, and "compiles" three packages: the second takes long.
FAKE = """#!{python}
import json, os, subprocess, sys, time
folder = {folder!r}
if "--version" in sys.argv:
    print("julia version 1.10.8")
    sys.exit()
with open(folder + "/calls", "a") as file:
    file.write(json.dumps([sys.argv[1:], dict(os.environ)]) + "\\n")
builds = [k for k, word in enumerate(sys.argv) if word.endswith("build.jl")]
if builds:
    print("noise of a package\\nimage: compiling a library", flush=True)
    if os.path.exists(folder + "/slow"):
        below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open(sys.argv[builds[0] + 1], "w").write("half a library")
        open(folder + "/pids", "w").write(f"{{os.getpid()}} {{below.pid}}")
        time.sleep(60)
    if os.path.exists(folder + "/broken"):
        sys.exit("ERROR: LoadError: no such thing")
    open(sys.argv[builds[0] + 1], "w").write("a library")
    print("made the image")
    sys.exit()
names = ["Alpha", "Beta", "PySciML"]
done = os.listdir(folder + "/depot")
todo = [name for name in names if name not in done]
for k, name in enumerate(todo, 1):
    print("noise of a package", flush=True)
    print(f"compiling {{k}} of {{len(todo)}}: {{name}}", flush=True)
    if name == "Beta" and not os.path.exists(folder + "/fast"):
        below = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        open(folder + "/pids", "w").write(f"{{os.getpid()}} {{below.pid}}")
        time.sleep(60)
    open(folder + "/depot/" + name, "w").close()
if os.path.exists(folder + "/broken"):
    sys.exit("ERROR: LoadError: no such thing" + 50 * "\\n  at some place")
print("compiled", len(todo))
"""


@pytest.fixture(autouse=True)
def variables_stay():
    """What a route sets for the Julia that it starts would reach one that starts later, in another test."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the program, a project and a depot; the user's configuration is in there too."""
    for name in ("project", "depot"):
        (tmp_path / name).mkdir()
    program = tmp_path / "julia"
    program.write_text(FAKE.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o755)
    ours = environment.read_toml(environment.julia_folder() / "Project.toml")
    entries = (f"[[deps.{name}]]\nversion = '{ours['compat'].get(name, '1')}'\n" for name in ours["deps"])
    (tmp_path / "project" / "Project.toml").write_text("[deps]\n")
    (tmp_path / "project" / "Manifest.toml").write_text("".join(entries))
    for name in (route.EXE, route.PROJECT, route.IMAGE, "JULIA_DEPOT_PATH", "JULIA_LOAD_PATH", "JULIA_CC"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYSCIML_CONFIG", str(tmp_path / "julia.toml"))
    return tmp_path


def use_julia(place, *more):
    parts = {"executable": place / "julia", "project": place / "project", "depot": place / "depot"}
    words = [word for name, path in parts.items() for word in (f"--{name}", str(path))]
    command = [sys.executable, "-m", "pysciml", "use-julia", *words, *more]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True, cwd=place
    )


def is_running(pid):
    try:
        state = open(f"/proc/{pid}/stat").read().rsplit(")")[-1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes as Linux shows them")
def test_ctrl_c_ends_the_compiler_and_another_run_goes_on(place):
    first = use_julia(place)
    said = []
    while "compiling 2 of 3" not in (line := first.stdout.readline()):
        said.append(line)
        assert line, first.stderr.read()
    while not (place / "pids").exists() or not (place / "pids").read_text().count(" "):
        time.sleep(0.01)
    begin = time.monotonic()
    os.killpg(first.pid, signal.SIGINT)  # as a terminal does
    _, complaints = first.communicate(timeout=60)
    assert first.returncode == 130 and complaints == "pysciml use-julia: interrupted\n"
    assert time.monotonic() - begin < 10
    assert not any(map(is_running, (place / "pids").read_text().split()))
    assert "wrote" in said[0] and "noise" not in "".join(said) and "1 of 3: Alpha" in "".join(said)
    (place / "fast").touch()
    second = use_julia(place)
    said, complaints = second.communicate(timeout=60)
    assert second.returncode == 0, complaints
    assert "compiling 1 of 2: Beta" in said and "2 packages compiled" in said and "Alpha" not in said
    said, _ = use_julia(place).communicate(timeout=60)
    assert "all were compiled already" in said


def test_the_compiler_is_called_as_the_boot_is(place):
    (place / "fast").touch()
    use_julia(place).communicate(timeout=60)
    ((words, variables),) = map(json.loads, (place / "calls").read_text().splitlines())
    assert words[:3] == [f"--project={place / 'project'}", *route.OPTIONS, "--startup-file=no"]
    assert not [word for word in words if word.startswith(("-O", "--optimize", "--check-bounds", "-g", "--inline"))]
    assert variables["JULIA_DEPOT_PATH"] == str(place / "depot") and variables["JULIA_PKG_OFFLINE"] == "true"
    assert str(environment.julia_folder()) in variables["JULIA_LOAD_PATH"].split(os.pathsep)
    assert "JULIA_LOAD_PATH" not in os.environ


def build_image(place):
    """Use the fake Julia, with an image: what was said."""
    (place / "fast").touch()
    said, complaints = use_julia(place, "--image").communicate(timeout=60)
    return said, complaints


def images_of(place):
    return sorted(file.name for file in (place / "depot" / "pysciml").glob("*image*"))


def test_an_image_is_built_used_and_named(place):
    assert route.find_route().image is None
    said, complaints = build_image(place)
    found = route.find_route()
    assert complaints == "" and found.ready, complaints
    assert "image: compiling a library" in said and "noise" not in said
    assert Path(found.image).read_text() == "a library" and len(images_of(place)) == 2
    assert route.apply_route(found)[3] == found.image
    assert f"system image {found.image}" in said and found.image in ps.doctor().engines["julia"].reason
    build, rest = map(json.loads, (place / "calls").read_text().splitlines())
    assert f"--sysimage={found.image}" in rest[0] and not [word for word in build[0] if "sysimage" in word]
    assert not [word for word in build[0] + rest[0] if word.startswith(("-O", "--optimize", "--check-bounds", "-g"))]
    assert "JULIA_PROJECT" not in build[1]
    again, _ = build_image(place)
    assert "image: compiling" not in again and len((place / "calls").read_text().splitlines()) == 3


def test_the_users_image_wins(place, monkeypatch):
    build_image(place)
    monkeypatch.setenv(route.IMAGE, "/mine.so")
    assert route.find_route().image == "/mine.so" and "/mine.so" in route.find_route().reason


@pytest.mark.parametrize("part", ["julia", "packages", "pysciml", "processor"])
def test_an_image_of_other_things_is_left_alone(place, part):
    build_image(place)
    stamp = Path(route.find_route().image).with_suffix(".json")
    stamp.write_text(json.dumps(json.loads(stamp.read_text()) | {part: "another"}))
    found = route.find_route()
    assert found.ready and found.image is None and route.apply_route(found)[3] is None
    assert "is not used, since" in found.reason and "--image" in found.reason
    said, _ = build_image(place)
    assert "image: compiling a library" in said and route.find_route().image


def test_an_image_is_of_its_manifest_and_its_julia(place):
    build_image(place)
    made = route.find_route().image
    manifest = place / "project" / "Manifest.toml"
    before = manifest.read_text()
    manifest.write_text(before + "\n")
    assert "packages have changed" in route.find_route().reason
    manifest.write_text(before)
    assert route.find_route().image == made
    program = place / "julia"
    program.write_text(program.read_text().replace("version 1.10.8", "version 1.10.9"))
    assert "Julia is another one" in route.find_route().reason
    Path(made).with_suffix(".json").write_text("{")
    assert "can't be read" in route.find_route().reason


def test_no_image_without_a_compiler_or_after_a_failure(place, monkeypatch):
    (place / "broken").touch()
    _, complaints = build_image(place)
    assert "no such thing" in complaints and "Traceback" not in complaints and not images_of(place)
    (place / "broken").unlink()
    monkeypatch.setenv("PATH", str(place / "project"))
    _, complaints = build_image(place)
    assert "C compiler" in complaints and not images_of(place)
    _, complaints = use_julia(place, "--image", "--no-compile").communicate(timeout=60)
    assert "give one of them" in complaints


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at processes as Linux shows them")
def test_ctrl_c_ends_the_build_of_an_image(place):
    (place / "slow").touch()
    building = use_julia(place, "--image")
    while "image: compiling" not in building.stdout.readline():
        assert building.poll() is None, building.stderr.read()
    while not (place / "pids").exists() or not (place / "pids").read_text().count(" "):
        time.sleep(0.01)
    os.killpg(building.pid, signal.SIGINT)
    _, complaints = building.communicate(timeout=60)
    assert building.returncode == 130 and complaints == "pysciml use-julia: interrupted\n"
    assert not any(map(is_running, (place / "pids").read_text().split())) and not images_of(place)
    assert image.find_image(str(place / "julia"), str(place / "project"), [str(place / "depot")]) == (None, "")


def test_compiling_can_be_left_out(place):
    said, _ = use_julia(place, "--no-compile").communicate(timeout=60)
    assert "wrote" in said and "packages" not in said.splitlines()[1]
    assert not (place / "calls").exists()


def test_a_compiler_that_fails_shows_what_it_said(place):
    (place / "fast").touch()
    (place / "broken").touch()
    done = use_julia(place)
    _, complaints = done.communicate(timeout=60)
    assert done.returncode == 1 and "no such thing" in complaints and "Traceback" not in complaints
    found = route.find_route()
    with pytest.raises(EngineUnavailable, match="no such thing"):
        compile_packages(found, everything=False)


def test_what_is_compiled_is_not_compiled_again():
    require_engine("julia")
    said = []
    found = route.find_route()
    ps.solve(ps.ODEProblem(lambda t, u, p: -u, 1.0, (0, 1)), saveat=[1.0], engine="julia")
    assert compile_packages(found, everything=False, say=said.append) == 0 and said == []
    assert environment.is_compiled(found.depots)
