"""Every Python block of the README runs, in a new process and an empty folder."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.engines import require_engine

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_block_runs(number, tmp_path):
    require_engine("diffrax")
    done = subprocess.run(
        [sys.executable, "-c", BLOCKS[number]], cwd=tmp_path, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for file in re.findall(r"(?:savefig|save)\(\"([\w.]+)\"\)", BLOCKS[number]):
        assert (tmp_path / file).stat().st_size > 1000


def test_there_is_an_example_and_its_picture():
    assert len(BLOCKS) >= 2
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", README)
    assert pictures
    for picture in pictures:
        assert (Path(__file__).parents[1] / picture).is_file()


def test_names_its_two_commands():
    for command in ("pip install -e . && python -m pysciml demo", 'pip install -e ".[test]" && python -m pytest'):
        assert command in README
