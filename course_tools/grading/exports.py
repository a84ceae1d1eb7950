"""Exports of platforms: what lies in them, whose it is, and what belongs together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from course_tools.grading.entries import Allowance, Entry, pieces
from course_tools.grading.learners import (
    CODE,
    Upload,
    apart,
    counted,
    joined,
    kind_of,
    roster,
    stem_of,
    upload_of,
)

__all__ = ["Part", "handed_in"]

EXPORTS = (".yml", ".yaml", ".csv", ".json", ".html")  # a platform's own, beside them
ROSTER = "submission_metadata.yml"  # Gradescope's
STAMP = "timestamp.txt"  # nbgrader's
SPLIT = ("moodle", "canvas", "blackboard", "brightspace")  # what one hands in is parts


@dataclass(frozen=True)
class Part:
    """Something that lies in an export, under the name that tells whose it is."""

    name: str
    upload: Upload
    where: Entry


def handed_in(top: Entry) -> list[Part]:
    """One for each time that a learner handed something in.

    top: a folder or zip: an export, or several of them; or a single file
    """
    exports = _exports(top)
    uploads = joined(
        counted(apart((part.where.name, part.upload) for part in parts))
        for parts in exports
    )
    return [
        one
        for parts, whose in zip(exports, uploads, strict=True)
        for one in _together(
            [replace(p, upload=u) for p, u in zip(parts, whose, strict=True)]
        )
    ]


def _exports(top: Entry) -> list[list[Part]]:
    """What each export holds: the folder itself, and those that lie in it."""
    everything = Allowance(members=1_000_000, table=256 << 20)
    entries = top.entries(everything) if top.entries else [top]
    wraps = len(entries) == 1 and entries[0].entries and not _stamped(entries[0])
    if wraps:  # the folder of an export
        inner = entries[0].entries(everything)
        if any(one.entries and not one.skipped for one in inner):
            entries = inner
    here: list[Entry] = []
    found: list[list[Part]] = []
    for entry in sorted(entries, key=lambda one: one.name):
        inside = _inside(entry)
        if _is_export(entry, inside):
            found.append(_parts(inside, f"{stem_of(entry.name)}/"))
        else:
            here.append(entry)
    return [*filter(None, [_parts(here, "")]), *found]


def _inside(entry: Entry) -> list[Entry]:
    """What lies in a folder or zip, if that can be said."""
    try:
        found = entry.entries(Allowance()) if entry.entries else []
    except Exception:  # it is broken: its page will say so
        return []
    return [one for one in found if not one.skipped]


def _is_export(entry: Entry, inside: Sequence[Entry]) -> bool:
    """Do several learners' names lie in it, and none on it?"""
    whose = [upload_of(one.name) for one in inside]
    named = [one for one in whose if one.platform]
    several = len({one.who for one in named}) > 1 and 2 * len(named) > len(whose)
    return several and not upload_of(entry.name).platform


def _parts(entries: Sequence[Entry], before: str) -> list[Part]:
    """Whose everything is that lies side by side in an export."""
    told = next((one for one in entries if one.name == ROSTER and one.open), None)
    names = roster(_text(told, 64 << 20)) if told else {}
    found = []
    for entry in sorted(entries, key=lambda one: one.name):
        upload = upload_of(entry.name)
        own = not upload.platform and entry.name.lower().endswith(EXPORTS)
        own = own and not entry.entries and kind_of(entry.name) not in CODE
        if entry.skipped or own:
            continue
        upload = names.get(stem_of(entry.name), upload)
        stamped = () if upload.platform else _stamped(entry)
        for inner, when in stamped:
            name = f"{before}{entry.name}/{inner.name}"
            own_upload = replace(upload, platform="nbgrader", handed_in=when)
            found.append(Part(name, own_upload, inner))
        if not stamped:
            found.append(Part(before + entry.name, upload, entry))
    return found


def _stamped(entry: Entry) -> list[tuple[Entry, str]]:
    """A learner's assignments as nbgrader collects them, and when each came in."""
    folders = [one for one in _inside(entry) if one.entries]
    found = []
    for folder in folders:
        stamps = [one for one in _inside(folder) if one.name == STAMP and one.open]
        text = _text(stamps[0], 99) if stamps else ""
        time = re.match(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)", text)
        found.append((folder, "T".join(time.groups()) if time else ""))
    return found if any(when for _, when in found) else []


def _text(entry: Entry, most: int) -> str:
    try:
        return b"".join(pieces(entry, Allowance(size=most))).decode("utf-8", "replace")
    except Exception:  # not to be had: then nothing is told
        return ""


def _together(parts: Sequence[Part]) -> list[Part]:
    """One for each time that a learner handed in, of however many parts."""
    found: dict[object, list[Part]] = {}
    for part in parts:
        same = part.upload if part.upload.platform in SPLIT else part.name
        found.setdefault(same, []).append(part)
    return [_one(group) for group in found.values()]


def _one(group: Sequence[Part]) -> Part:
    first, *more = group
    if not more:
        return first
    inside = [part.where for part in group]
    return replace(first, where=Entry(first.name, entries=lambda _: inside))
