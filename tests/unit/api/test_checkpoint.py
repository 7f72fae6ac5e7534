"""The folder of a fit: whose it is, what stands in for a fit that has ended, and what a full disk does."""

import json
import resource
from contextlib import contextmanager

import numpy as np
import pytest
import xarray as xr
from support.engines import ENGINES, require_engine

import pysciml as ps
from pysciml.engines.checkpoint import Journal, read_arrays, write_arrays
from pysciml.engines.diffrax import fit as fit_module

TIMES = np.linspace(0, 4, 9)
DATA = xr.Dataset({"x": ("time", 2 * np.exp(-0.7 * TIMES))}, {"time": TIMES})
SHORT = [ps.Adam(steps=8), ps.LBFGS(steps=4)]


def make_problem(start=0.3):
    return ps.ODEProblem(lambda t, u, p: {"x": -p.k * u.x}, {"x": 2.0}, (0, 4), {"k": start})


def fit(folder, problem=None, data=DATA, engine="diffrax", **options):
    require_engine(engine)
    problem = problem or make_problem()
    options = {"optimizer": SHORT, "strategy": (), "progress": False, "verify": "never"} | options
    return ps.fit(problem, data, engine=engine, checkpoint=folder, **options)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_fit_that_has_ended_is_its_result(tmp_path, engine, monkeypatch):
    first = fit(tmp_path / "new" / "folder", engine=engine)
    assert first.problem == fit(None, engine=engine).problem
    monkeypatch.setattr("pysciml.engines.julia.engine.JuliaStages.run", None)  # nothing more is computed
    monkeypatch.setattr("pysciml.engines.diffrax.fit.Fit.run", None)
    again = fit(tmp_path / "new" / "folder", engine=engine)
    assert again.problem == first.problem and again.settings == first.settings
    xr.testing.assert_identical(again.history, first.history)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"problem": make_problem(0.31)}, "another problem"),
        ({"data": DATA.isel(time=slice(5))}, "other data"),
        ({"data": DATA + 0.01}, "other data"),
        ({"rtol": 1e-7}, r"other settings \(rtol was 1e-06, is 1e-07\)"),
        ({"optimizer": ps.Adam(steps=9)}, r"other settings \(optimizers was .*steps=8"),
        ({"trainable": {"k": ps.Positive()}}, "other settings"),
        ({"seed": 3}, "seed was 0, is 3"),
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, changes, words):
    fit(tmp_path)
    with pytest.raises(ps.ProblemError, match=words):
        fit(tmp_path, **changes)
    assert fit(tmp_path).status is ps.Status.SUCCESS


def test_a_checkpoint_of_another_version_is_refused(tmp_path):
    fit(tmp_path)
    path = tmp_path / "checkpoint.json"
    about = json.loads(path.read_text())
    about["versions"]["jax"] = "0.0.1"
    path.write_text(json.dumps(about))
    with pytest.raises(ps.ProblemError, match=r"other versions \(jax was 0\.0\.1, is "):
        fit(tmp_path)
    path.write_text("{")
    with pytest.raises(ps.ProblemError, match="can't be used as a folder"):
        fit(tmp_path)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ps.ProblemError, match="can't be used as a folder"):
        fit(tmp_path / "file")


def test_an_interrupted_fit_goes_on(tmp_path, monkeypatch):
    class Interrupting(ps.api.fit.ProgressBar):
        def report(self, report):
            if report.iteration > 5:
                raise KeyboardInterrupt

    monkeypatch.setattr(fit_module, "REPORT_SECONDS", 0.0)
    monkeypatch.setattr(fit_module, "SAVE_SECONDS", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr("pysciml.api.fit.ProgressBar", Interrupting)
        early = fit(tmp_path)
    assert early.status is ps.Status.INTERRUPTED and early.history.sizes["iteration"] == 6
    want, found = fit(None), fit(tmp_path)
    assert found.status is ps.Status.SUCCESS and found.problem == want.problem
    np.testing.assert_array_equal(found.history.loss, want.history.loss)


@contextmanager
def full_disk(size=200):
    """No file may grow beyond so many bytes."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limit[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_full_disk_is_a_warning(tmp_path, engine):
    want = fit(tmp_path, engine=engine)
    (tmp_path / "stages.npz").unlink()
    with pytest.warns(RuntimeWarning, match="File too large") as caught, full_disk():
        found = fit(tmp_path, engine=engine)
    assert len(caught) == 1 and "the fit goes on" in str(caught[0].message)
    assert found.problem == want.problem
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.json", "stage-001.journal"}
    again = fit(tmp_path, engine=engine)  # there is room now
    assert again.problem == want.problem
    assert {path.name for path in tmp_path.iterdir()} == {"checkpoint.json", "stages.npz"}


def test_a_full_disk_where_a_stage_saves_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(fit_module, "SAVE_SECONDS", 0.0)
    (tmp_path / "stage-000.state.part").symlink_to("/dev/full")
    with pytest.warns(RuntimeWarning, match="No space left"):
        assert fit(tmp_path).problem == fit(None).problem


def test_a_journal_gives_answers_once_recorded(tmp_path):
    path, points = tmp_path / "journal", np.arange(12.0).reshape(4, 3)
    asked = []

    def ask(journal, points):
        def compute(x):
            asked.append(x[0])
            return np.array([x.sum(), -x[0]])

        return [journal.answer(x, lambda x=x: compute(x)) for x in points]

    journal = Journal(path, 2)
    first = ask(journal, points[:3])
    journal.close()
    path.write_bytes(path.read_bytes()[:-5])  # killed while it wrote
    journal = Journal(path, 2)
    np.testing.assert_array_equal(ask(journal, points)[:3], first)
    journal.close()
    assert asked == [0, 3, 6, 6, 9] and len(path.read_bytes()) == 4 * 24
    with pytest.raises(ps.ProblemError, match="another version, or on another kind of processor"):
        ask(Journal(path, 2), points[1:])


def test_arrays_that_are_not_whole_are_not_there(tmp_path):
    path = tmp_path / "arrays"
    write_arrays(path, a=np.arange(3.0), b=np.float64(2))
    assert [file.name for file in tmp_path.iterdir()] == ["arrays"]
    assert read_arrays(path)["b"] == 2
    content = path.read_bytes()
    for spoilt in (content[:-30], b"", content[:70] + b"???" + content[73:]):
        path.write_bytes(spoilt)
        assert read_arrays(path) is None


@pytest.mark.parametrize("engine", ENGINES)
def test_another_number_of_threads_is_warned_of(tmp_path, engine):
    want = fit(tmp_path, engine=engine)
    path = tmp_path / "checkpoint.json"
    about = json.loads(path.read_text())
    name = {"julia": "BLAS", "diffrax": "cores"}[engine]
    assert about["threads"][name] > 0
    about["threads"][name] += 7
    path.write_text(json.dumps(about))
    with pytest.warns(RuntimeWarning, match=rf"another number of threads \({name} was \d+, is \d+\)") as caught:
        assert fit(tmp_path, engine=engine).problem == want.problem
    assert caught[0].filename == __file__


@pytest.mark.parametrize("name", ["fit.nc", "fit.zarr"])
def test_a_full_disk_leaves_an_older_file(tmp_path, name):
    older = fit(None)
    newer = fit(None, optimizer=ps.Adam(steps=3))
    with pytest.raises(OSError, match="was not written$"), full_disk():
        older.save(tmp_path / name)
    assert not list(tmp_path.iterdir())
    older.save(tmp_path / name)
    with pytest.raises(OSError, match=r"File too large: .*; the older one is as it was"), full_disk():
        newer.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    xr.testing.assert_identical(ps.FitResult.load(tmp_path / name).history, older.history)
    newer.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    xr.testing.assert_identical(ps.FitResult.load(tmp_path / name).history, newer.history)


def test_no_folder_to_write_to(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        fit(None).save(tmp_path / "nowhere" / "fit.nc")
