"""What is wrong with a Julia, its project and its depot, and the cure; told by ``doctor`` and at the first solve."""

import os
import sys

import pytest

from pysciml.api.doctor import doctor
from pysciml.engines.julia import environment, route
from pysciml.engines.julia.environment import satisfies


@pytest.mark.parametrize("bound, inside, outside", [
    ("1.23", "1.23 1.23.1 1.99", "1.22.9 2.0 0.23"),
    ("0.4.8", "0.4.8 0.4.11", "0.4.7 0.5.0 1.0"),
    ("0.0.3", "0.0.3", "0.0.4 0.0.2"),
    ("0", "0.0.1 0.9", "1.0"),
    ("2", "2.0 2.9.9", "1.9 3.0"),
    ("^1.2.3", "1.2.3 1.9", "1.2.2 2.0"),
    ("~1.2", "1.2.0 1.2.9", "1.3 1.1"),
    ("~1", "1.0 1.9", "2.0"),
    ("=1.2.3", "1.2.3", "1.2.4"),
    ("0.5, 1.2", "0.5.3 1.2 1.9", "0.6 1.1 2.0"),
    ("1.2 - 1.4", "1.2.0 1.4.9", "1.1.9 1.5"),
    ("< 0.0.1, 1", "0.0.0 1.10", "0.0.1 2.0"),
    (">= 1.2", "1.2 7.0", "1.1.9"),
    ("1.10.0+2", "1.10.0 1.11", "1.9"),
])  # fmt: skip
def test_bounds_of_versions(bound, inside, outside):
    for version in inside.split():
        assert satisfies(version, bound), version
    for version in outside.split():
        assert not satisfies(version, bound), version


@pytest.fixture(autouse=True)
def own_environment(monkeypatch, tmp_path):
    for name in (route.EXE, route.PROJECT, "JULIA_DEPOT_PATH", "JULIA_LOAD_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PYSCIML_CONFIG", str(tmp_path / "julia.toml"))


def make_place(folder, said="julia version 1.10.8", library="libjulia.so.1.10", versions=None, lacking=()):
    """A program, a project with what our package asks for, a depot, and the file that names them."""
    for name in ("bin", "lib", "project", "depot"):
        (folder / name).mkdir()
    program = folder / "bin" / "julia"
    program.write_text(f"#!{sys.executable}\nprint({said!r})\n")
    program.chmod(0o755)
    if library:
        (folder / "lib" / library).write_text("")
    ours = environment.read_toml(environment.julia_folder() / "Project.toml")
    found = {name: ours["compat"].get(name, "1").split(",")[0] for name in ours["deps"] if name not in lacking}
    entries = (f"[[deps.{name}]]\nversion = '{v}'\n" for name, v in (found | (versions or {})).items())
    (folder / "project" / "Project.toml").write_text("[deps]\n")
    (folder / "project" / "Manifest.toml").write_text('manifest_format = "2.0"\n' + "".join(entries))
    write(folder, executable=program, project=folder / "project", depots=[folder / "depot"])
    return folder


def write(folder, **fields):
    quoted = {key: [str(x) for x in value] if isinstance(value, list) else f"{value}" for key, value in fields.items()}
    lines = [f"{key} = {value!r}" for key, value in quoted.items()]
    (folder / "julia.toml").write_text("\n".join(lines) + "\n")


def julia_state():
    """What doctor says; the same reason stands in the error of a solve."""
    state = doctor().engines["julia"]
    assert (state.ready, state.reason) == route.readiness()
    return state


def test_a_good_place_is_ready(tmp_path):
    make_place(tmp_path)
    assert julia_state().ready, julia_state().reason


@pytest.mark.parametrize("said, library", [
    ("julia version 1.6.7", None), ("", "libjulia.so.1.9"), ("", "libjulia.1.12.dylib"), ("hello", None),
])  # fmt: skip
def test_another_julia(tmp_path, said, library):
    make_place(tmp_path, said, library)
    state = julia_state()
    assert not state.ready and "pysciml needs Julia 1.10 or 1.11" in state.reason and "install-julia" in state.reason


def test_packages_that_are_not_there(tmp_path):
    make_place(tmp_path, lacking=["Sundials", "Optim"])
    assert not julia_state().ready and "lacks Optim, Sundials: add them there with Julia's Pkg" in julia_state().reason


def test_packages_of_other_versions(tmp_path):
    make_place(tmp_path, versions={"Optim": "1.7.4", "SciMLBase": "1.99.0"})
    state = julia_state()
    assert not state.ready and "Optim 1.7.4 (needs 2)" in state.reason and "SciMLBase 1.99.0" in state.reason
    assert "update it with Julia's Pkg" in state.reason


def test_a_depot_that_is_read_only(tmp_path, monkeypatch):
    make_place(tmp_path)
    (tmp_path / "depot").chmod(0o500)
    may_write = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: may_write(path, mode) and str(path) != str(tmp_path / "depot"))
    state = julia_state()
    assert not state.ready and "depot is read-only" in state.reason and "use-julia --depot FOLDER" in state.reason
    (tmp_path / "depot").chmod(0o700)
    cache = tmp_path / "depot" / "compiled" / "v1.10" / "PySciML" / "abc.ji"
    cache.parent.mkdir(parents=True)
    cache.write_text("")
    assert julia_state().ready, "compiled already: nothing has to be written"
    os.utime(cache, (1, 1))
    assert not julia_state().ready, "compiled before the last update"


@pytest.mark.parametrize("text, said", [
    ("executable = ", "can't be read"),
    ("executable = 'x'\n", "'project'"),
    ("executable = 1\nproject = 'x'\n", "must be texts"),
    ("executable = 'x'\nproject = 'x'\ndepots = 'here'\n", "a list of folders"),
    ("\xff", "can't be read"),
])  # fmt: skip
def test_a_broken_config_file(tmp_path, text, said):
    (tmp_path / "julia.toml").write_text(text, encoding="latin1")
    state = julia_state()
    assert not state.ready and said in state.reason and "run use-julia again" in state.reason, state.reason


@pytest.mark.parametrize("gone, said", [
    ("bin/julia", "there is no program"), ("project/Manifest.toml", "has no Manifest.toml"), ("depot", "no folder"),
])  # fmt: skip
def test_a_config_file_whose_paths_have_gone(tmp_path, gone, said):
    make_place(tmp_path)
    place = tmp_path / gone
    place.rmdir() if place.is_dir() else place.unlink()
    state = julia_state()
    assert not state.ready and said in state.reason and str(tmp_path) in state.reason, state.reason


def test_a_manifest_that_is_broken(tmp_path):
    make_place(tmp_path)
    (tmp_path / "project" / "Manifest.toml").write_text("[[deps")
    assert not julia_state().ready and "can't be read" in julia_state().reason
