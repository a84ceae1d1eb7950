"""Who handed something in, when, and which time this is."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

__all__ = ["Upload", "apart", "counted", "joined", "kind_of", "roster", "upload_of"]

ENDING = re.compile(
    r"[.](?P<kind>ipynb|py|zip)(?: ?[(]\d+[)])?(?:[.](?:txt|json))*$", re.IGNORECASE
)
COPY = re.compile(
    r"^(?:copy of|kopie von|copie de|copia de) +| +- +(?:copy|kopie)$| *[(]\d+[)]$",
    re.IGNORECASE,
)
CODE = ("ipynb", "py")
PAGE = re.compile(r"(?<=[^ _-])[ _-]+\d\d_exercises$", re.IGNORECASE)
PATTERNS = {
    "moodle": r"^(?P<learner>.+?)_(?P<id>\d+)_assignsubmission_",
    "blackboard": r"^.+_(?P<learner>(?P<id>[^_]+))_attempt_"
    r"(?P<when>\d{4}(?:-\d\d){5})(?:[_.].*)?$",
    "brightspace": r"^(?P<id>\d+)-\d+ - (?P<learner>.+?) - "
    r"(?P<when>[^-]*\b\d{4}\b[^-]*?)(?: - .*)?$",
    "gradescope": r"^(?P<learner>submission_(?P<id>\d+))(?:[.]zip)?$",
    "canvas": r"^(?P<learner>[^_]+)(?P<late>_LATE)?_(?P<id>\d+)_"
    r"(?:\d+_(?P<file>.+)|text\b.*)$",
}
TIMES = ("%Y-%m-%d-%H-%M-%S", "%b %d, %Y %I%M %p", "%B %d, %Y %I%M %p")
TIMES += ("%d %B, %Y %I%M %p", "%d %B, %Y %H%M", "%b %d, %Y %H%M")


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


def upload_of(name: str) -> Upload:
    """What the name of a file or folder tells, by the way that platforms give names.

    Moodle: fullname_PARTICIPANT_assignsubmission_file_ (assign/locallib.php; the number
    is the "Participant" of its grading worksheet, one for each assignment). Canvas:
    sortname_LATE_USER_ATTACHMENT_file (content_zipper.rb); a file that is handed in
    again gets -1, -2. Blackboard: assignment_USERNAME_attempt_TIME_file. Brightspace:
    USER-FOLDER - Name - Time, with " - file" if it is no folder. Gradescope:
    submission_NUMBER.

    >>> upload_of("lovelaceada_LATE_123_678_04-1.ipynb")
    Upload(learner='lovelaceada', id='123', platform='canvas', handed_in='', late=True,
    attempt=2)
    """
    for platform, pattern in PATTERNS.items():
        if found := re.match(pattern, name):
            told = found.groupdict()
            return Upload(
                told["learner"],
                told["id"],
                platform,
                _time(told.get("when") or ""),
                bool(told.get("late")),
                _again(told.get("file") or "") + 1,
            )
    stem = stem_of(name)
    return Upload(PAGE.sub("", COPY.sub("", stem).strip()) or stem or "?")


def kind_of(name: str) -> str:
    """Of what kind a file is by its name, whatever a phone made of it, or "".

    >>> kind_of("04.ipynb (1).txt"), kind_of("04.PY.txt"), kind_of("notes.txt")
    ('ipynb', 'py', '')
    """
    found = ENDING.search(name)
    return found["kind"].lower() if found else ""


def stem_of(name: str) -> str:
    """The name of a file without what says only of what kind it is."""
    return ENDING.sub("", name)


def apart(found: Iterable[tuple[str, Upload]]) -> Iterator[Upload]:
    """The uploads of a folder by name; nobody is taken for another because of a "(1)".

    Two files "work.py" and "work (1).py" that no platform named may be two people's;
    "ada_03_exercises.ipynb" and "ada_04_exercises.ipynb" are both ada's.
    """
    found = [(PAGE.sub("", stem_of(name)), upload) for name, upload in found]
    stems: dict[str, set[str]] = {}
    for stem, upload in found:
        stems.setdefault(upload.learner, set()).add(stem)
    for stem, upload in found:
        alike = not upload.platform and len(stems[upload.learner]) > 1
        yield replace(upload, learner=stem) if alike else upload


def counted(uploads: Iterable[Upload]) -> list[Upload]:
    """Those of one assignment, the attempts numbered by the time of handing in."""
    uploads = list(uploads)
    times: dict[tuple[str, str], set[str]] = {}
    for one in uploads:
        times.setdefault(one.who, set()).add(one.handed_in)
    return [
        replace(one, attempt=sorted(times[one.who]).index(one.handed_in) + 1)
        if one.handed_in and one.platform in ("blackboard", "brightspace")
        else one
        for one in uploads
    ]


def joined(exports: Iterable[list[Upload]]) -> list[list[Upload]]:
    """Those of several of Moodle's exports, with one number for each learner.

    Moodle numbers learners anew in each assignment: whoever is alone with a name in
    each export keeps the first number; namesakes cannot be told apart, and stay so.
    """
    exports = list(exports)
    numbers: dict[str, list[set[str]]] = {}
    for export in exports:
        here: dict[str, set[str]] = {}
        for one in export:
            if one.platform == "moodle":
                here.setdefault(one.learner, set()).add(one.id)
        for learner, ids in here.items():
            numbers.setdefault(learner, []).append(ids)
    first = {
        learner: min(found[0])
        for learner, found in numbers.items()
        if all(len(ids) == 1 for ids in found)
    }
    return [
        [
            replace(one, id=first[one.learner])
            if one.platform == "moodle" and one.learner in first
            else one
            for one in export
        ]
        for export in exports
    ]


def roster(metadata: str) -> dict[str, Upload]:
    """Whose Gradescope's submissions are, by its submission_metadata.yml.

    Of each `submission_NUMBER:` it takes the names and numbers under `:submitters:` and
    `:created_at:`; a group is one learner, with all their names.
    """
    found: dict[str, dict[str, list[str]]] = {}
    told: dict[str, list[str]] = {}
    within = ""
    for line in metadata.splitlines():
        if head := re.match(r"(submission_\d+):\s*$", line):
            told = found[head[1]] = {}
        elif key := re.match(r"  (:\w+):(.*)$", line):
            within = key[1]
            told.setdefault(within, []).append(_plain(key[2]))
        elif within == ":submitters" and (
            part := re.match(r"  [- ] +(:name|:sid):(.+)$", line)
        ):
            told.setdefault(part[1], []).append(_plain(part[2]))
    return {
        name: Upload(
            ", ".join(told[":name"]),
            "+".join(filter(None, told.get(":sid", []))) or name.partition("_")[2],
            "gradescope",
            told.get(":created_at", [""])[0][:19].replace(" ", "T"),
        )
        for name, told in found.items()
        if any(told.get(":name", []))
    }


def _plain(word: str) -> str:
    """What a word of YAML stands for, in quotes or not."""
    word = word.strip()
    if word[:1] == word[-1:] == '"' and len(word) > 1:
        try:
            return str(json.loads(word))
        except ValueError:
            return word[1:-1]
    if word[:1] == word[-1:] == "'" and len(word) > 1:
        return word[1:-1].replace("''", "'")
    return word


def _time(word: str) -> str:
    for form in TIMES:
        try:
            return datetime.strptime(word.strip(), form).isoformat()
        except ValueError:
            continue
    return ""


def _again(file: str) -> int:
    """How often Canvas saw the file before, by the -1 or -2 at the end of its name."""
    again = re.search(r"-([1-9]\d?)$", stem_of(file))
    return int(again[1]) if again else 0
