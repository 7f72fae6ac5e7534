"""Build hook: puts juliapkg.json and julia/ into the wheel, where juliapkg looks for them."""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface):
    """Copies the Julia half into a standard wheel.

    An editable install already has both at the project's root, which is then on ``sys.path``: with a second copy
    inside ``pysciml/`` juliapkg would find two paths for one Julia package, and stop.
    """

    def initialize(self, version, build_data):
        """Add the Julia half to ``build_data`` when ``version`` is ``"standard"``."""
        if version != "standard":
            return
        root = Path(self.root)
        files = [root / "juliapkg.json", *sorted(root.glob("julia/**/*"))]
        for file in files:
            if file.is_file() and not file.name.startswith("Manifest"):
                inside = file.relative_to(root).as_posix()
                build_data["force_include"][str(file)] = f"pysciml/{inside}"
