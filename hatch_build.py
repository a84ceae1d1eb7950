"""How the course becomes a package: whose pins it has, and which pages a wheel holds.

requirements.txt is the only list of pins. The package asks for those that stand above
the tests' own, so `pip install` brings what a learner's environment has.
"""

from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

TESTS = "# the tests"  # course_lib.workspace stops at the same line
CARRIED = "course_lib/course"
PARTS = ("notebooks", "exercises", "solutions", "requirements", "requirements.txt")
PARTS += ("pyproject.toml", "docs/glossary.md", "docs/bibliography.md", "docs/launch")


class Pins(MetadataHookInterface):
    """The dependencies, from requirements.txt."""

    def update(self, metadata):
        text = Path(self.root, "requirements.txt").read_text(encoding="utf-8")
        lines = text.partition(TESTS)[0].splitlines()
        metadata["dependencies"] = [line for line in lines if "==" in line]


class Pages(BuildHookInterface):
    """A wheel holds the pages beside the library; an editable course has them already.

    A handout has fewer of these parts, and is a package all the same.
    """

    def initialize(self, version, build_data):
        if version == "editable":
            return
        for part in PARTS:
            if Path(self.root, part).exists():
                build_data["force_include"][part] = f"{CARRIED}/{part}"
