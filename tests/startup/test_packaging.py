"""An editable install, a wheel and an sdist: each installed in a new environment, solving from an empty folder."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

import pysciml as ps

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
STANDARD_LIBRARY = {"LinearAlgebra", "Random", "SparseArrays", "Statistics"}  # of Julia: comes with it
PARTS = ("pysciml", "julia", "juliapkg.json", "hatch_build.py", "pyproject.toml", "README.md", "LICENSE")

SOLVE = """
import json, math, os, sys
import juliapkg.deps
import pysciml as ps

assert not os.listdir(), os.listdir()
problem = ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 1.0}, (0, 2), {"k": 0.5})
ds = ps.solve(problem, saveat=[1.0, 2.0], engine="diffrax")
assert math.isclose(float(ds.x[-1]), math.exp(-1), rel_tol=1e-5), ds
assert "juliacall" not in sys.modules
_, specs = juliapkg.deps.find_requirements()
ours = [spec.dict() for spec in specs if spec.name == "PySciML"]
holders = [f for f in juliapkg.deps.deps_files() if "PySciML" in open(f).read()]
print(json.dumps({"package": os.path.dirname(ps.__file__), "specs": ours, "holders": holders}))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what a release is made of, with leavings of a developer beside it."""
    folder = tmp_path_factory.mktemp("source") / "pysciml"
    folder.mkdir()
    for part in PARTS:
        copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
        copy(ROOT / part, folder / part)
    (folder / "julia" / "Manifest.toml").write_text("# resolved on another machine\n")
    return folder


@pytest.fixture(scope="module")
def archives(source, tmp_path_factory):
    """The wheel and the sdist of the source."""
    folder = tmp_path_factory.mktemp("archives")
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", folder], source)
    return {"wheel": next(folder.glob("*.whl")), "sdist": next(folder.glob("*.tar.gz"))}


def run(command, folder) -> str:
    """Standard output of a command that must succeed, run without the paths and settings of this process."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "JULIA", "PYSCIML", "VIRTUAL_ENV"))}
    done = subprocess.run([str(c) for c in command], cwd=folder, env=kept, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def make_environment(folder: Path) -> Path:
    """Python of a new environment that has our dependencies, but not us.

    Downloading JAX and the rest three times would take minutes and a network. A ``.pth`` line makes the running
    environment's packages importable, while the ``.pth`` files in there, one of which may hold an editable install of
    this project, are not read. The new environment's own packages come first.
    """
    run([sys.executable, "-m", "venv", "--without-pip", folder], folder.parent)
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    site = run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder).strip()
    paths = dict.fromkeys(sysconfig.get_path(key) for key in ("purelib", "platlib"))
    (Path(site) / "parent.pth").write_text("\n".join(paths) + "\n")
    return python


def install(python: Path, *what) -> None:
    """Install one thing without its dependencies and without an index."""
    options = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    run([sys.executable, "-m", "pip", "--python", python, "install", *options, *what], python.parent)


def solve_from_empty_folder(python: Path, tmp_path: Path) -> dict:
    empty = tmp_path / "empty"
    empty.mkdir()
    return json.loads(run([python, "-c", SOLVE], empty).splitlines()[-1])


def check_one_julia_half(answer: dict, place: Path) -> None:
    """Juliapkg sees one entry for the Julia half, and its path is really there."""
    assert len(answer["specs"]) == len(answer["holders"]) == 1, answer
    assert Path(answer["holders"][0]).parent == place
    assert Path(answer["specs"][0]["path"]) == place / "julia"
    assert answer["specs"][0]["dev"] is True
    assert (place / "julia" / "Project.toml").is_file()
    assert (place / "julia" / "src" / "PySciML.jl").is_file()


def test_editable_install(source, tmp_path):
    python = make_environment(tmp_path / "environment")
    install(python, "-e", source)
    answer = solve_from_empty_folder(python, tmp_path)
    assert Path(answer["package"]) == source / "pysciml"
    check_one_julia_half(answer, source)


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_archive(kind, archives, tmp_path):
    python = make_environment(tmp_path / "environment")
    install(python, archives[kind])
    answer = solve_from_empty_folder(python, tmp_path)
    assert Path(answer["package"]).is_relative_to(tmp_path / "environment")
    check_one_julia_half(answer, Path(answer["package"]))


def test_contents_of_archives(archives):
    with zipfile.ZipFile(archives["wheel"]) as wheel:
        in_wheel = set(wheel.namelist())
    with tarfile.open(archives["sdist"]) as sdist:
        in_sdist = {name.split("/", 1)[-1] for name in sdist.getnames()}
    assert {"pysciml/juliapkg.json", "pysciml/julia/Project.toml", "pysciml/example_data/hare_lynx.csv"} <= in_wheel
    assert {"juliapkg.json", "julia/Project.toml", "hatch_build.py", "pysciml/example_data/hare_lynx.csv"} <= in_sdist
    assert not [name for name in in_wheel | in_sdist if "Manifest" in name or "__pycache__" in name]


def test_one_version_for_both_halves(archives):
    julia_half = tomllib.loads((ROOT / "julia" / "Project.toml").read_text(encoding="utf-8"))
    assert julia_half["version"] == ps.__version__
    assert archives["wheel"].name.split("-")[1] == ps.__version__


def test_julia_halves_name_the_same_package():
    project = tomllib.loads((ROOT / "julia" / "Project.toml").read_text(encoding="utf-8"))
    wanted = json.loads((ROOT / "juliapkg.json").read_text(encoding="utf-8"))["packages"][project["name"]]
    assert wanted == {"uuid": project["uuid"], "dev": True, "path": "julia"}


def test_every_julia_dependency_is_bounded():
    project = tomllib.loads((ROOT / "julia" / "Project.toml").read_text(encoding="utf-8"))
    unbounded = set(project["deps"]) - set(project["compat"]) - STANDARD_LIBRARY
    assert not unbounded, "give these a bound in [compat]"
    assert not [name for name, bound in project["compat"].items() if re.search(r">|\*", bound)]
