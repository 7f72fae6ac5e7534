"""A system image: one library with Julia, our package and its solvers, ready to run; where it lies, when it serves.

It serves for exactly what it was made of. So its stamp, a file beside it, tells that Julia, those versions of packages,
our Julia files and the processor, and a boot compares: Julia itself would crash on an image of another version.
"""

import hashlib
import json
import os
import platform
from collections.abc import Sequence
from pathlib import Path

from .environment import ask_version, depots_of, find_manifest, julia_libraries, package_files

_SUFFIXES = {"Darwin": ".dylib", "Windows": ".dll"}
_SETTINGS = ("Project.toml", "JuliaProject.toml", "LocalPreferences.toml", "JuliaLocalPreferences.toml")
_CAUSES = {
    "julia": "Julia is another one",
    "packages": "the project's packages have changed",
    "pysciml": "pysciml has changed",
    "processor": "it was made for another processor",
}
REBUILD = "python -m pysciml install-julia --image, or use-julia --image, makes a new one"


def image_place(executable: str, project: str, depots: Sequence[str]) -> Path:
    """Where the image of a Julia and a project is kept: in the first depot."""
    key = hashlib.sha256("\0".join((executable, os.path.abspath(project))).encode()).hexdigest()[:12]
    return depots_of(depots)[0] / "pysciml" / f"image-{key}{_SUFFIXES.get(platform.system(), '.so')}"


def find_image(executable: str, project: str, depots: Sequence[str]) -> tuple[str | None, str]:
    """The image that a boot may use, and what there is to say of it: nothing where none was ever made."""
    image = image_place(executable, project, depots)
    if not image.is_file():
        return None, ""
    try:
        stamped = json.loads(_stamp_file(image).read_text(encoding="utf-8"))
        wanted = make_stamp(executable, project)
        causes = [words for part, words in _CAUSES.items() if stamped.get(part) != wanted[part]]
    except (OSError, ValueError, AttributeError) as error:
        causes = [f"its stamp can't be read: {error}"]
    if causes:
        return None, f"its system image {image} is not used, since {' and '.join(causes)}: {REBUILD}"
    return str(image), f"system image {image}"


def make_stamp(executable: str, project: str) -> dict[str, str]:
    """What an image made now would be made of."""
    folder = Path(project)
    settings = [folder / name for name in _SETTINGS]
    return {
        "julia": _identity(executable),
        "packages": _hash([find_manifest(folder) or folder, *settings]),
        "pysciml": _hash(package_files()),
        "processor": _processor(),
    }


def write_stamp(image: Path, stamp: dict[str, str]) -> None:
    """Say what an image was made of."""
    _stamp_file(image).write_text(json.dumps(stamp, indent=1), encoding="utf-8")


def remove_image(image: Path) -> None:
    """Take an image away. One that a process runs from stays with it."""
    for file in (_stamp_file(image), image):
        file.unlink(missing_ok=True)


def _stamp_file(image):
    return image.with_suffix(".json")


def _identity(executable):
    """What changes with each build of Julia: its library's place, size and time; a launcher has none beside it."""
    for file in julia_libraries(executable):
        facts = file.stat()
        return f"{file} {facts.st_size} {facts.st_mtime_ns}"
    return ask_version(executable).strip()


def _processor():
    """Images are compiled for the very processor: its name and features where the system tells them."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    told = sorted({line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))})
    return f"{platform.machine()} {hashlib.sha256(chr(10).join(told).encode()).hexdigest()[:12]}"


def _hash(files):
    digest = hashlib.sha256()
    for file in files:
        if file.is_file():
            digest.update(f"{file.name}\0".encode() + file.read_bytes())
    return digest.hexdigest()
