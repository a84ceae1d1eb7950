"""Who handed something in, when, and which time this is."""

from dataclasses import dataclass

__all__ = ["Upload"]


@dataclass(frozen=True)
class Upload:
    """Whose a file or folder is, as far as the platform says.

    learner: the name; id: the platform's number of them, "" if it gives none
    platform: "moodle", "canvas", "blackboard", "brightspace", "gradescope", "nbgrader"
        or "", by the way the file is named
    handed_in: date and time in ISO form, or ""
    late: whether the platform says so; attempt: 1 is the first
    """

    learner: str
    id: str = ""
    platform: str = ""
    handed_in: str = ""
    late: bool = False
    attempt: int = 1

    @property
    def who(self) -> tuple[str, str]:
        """The learner's identity: two of one name differ in their numbers."""
        return self.learner, self.id
