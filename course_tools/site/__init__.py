"""The course as a website that needs no server: every page run, every figure alive.

    python3 -m course_lib site --out DIR

Pages are run first, so that their figures hold all their positions; Sphinx then makes
HTML of them. Nothing is asked of the network, then or when the site is read.
"""

import argparse
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import nbformat

from course_lib.exercises import EXERCISES
from course_lib.workspace import CourseError, notebooks
from course_tools.environment import COMMAND
from course_tools.site import front, pages, proof

__all__ = ["build", "main", "write_sources"]

THEME = Path(__file__).with_name("theme")
NEEDS = ("sphinx", "myst_nb", "furo", "sphinx-mathjax-offline")
SETTINGS = {
    "project": "DPO from first principles",
    "author": "The authors of DPO from first principles",
    "copyright": "the authors; text CC BY 4.0, code MIT",
    "language": "en",
    "extensions": ["myst_nb", "sphinx-mathjax-offline"],
    "nb_execution_mode": "off",
    "nb_merge_streams": True,
    "myst_enable_extensions": ["amsmath", "dollarmath"],
    "myst_heading_anchors": 4,
    "myst_heading_slug_func": "course_tools.site.pages.place",
    "html_theme": "furo",
    "html_title": "DPO from first principles",
    "html_static_path": [str(THEME)],
    "html_css_files": ["site.css"],
    "html_js_files": ["site.js"],
    "html_favicon": str(THEME / "icon.svg"),
    "html_copy_source": False,
    "html_show_sourcelink": False,
    "html_show_sphinx": False,
    "templates_path": [str(THEME)],
    "suppress_warnings": ["myst.header", "mystnb.mime_priority"],
}


def write_sources(folder: Path, run: bool = True) -> None:
    """Write what Sphinx reads: chapters, exercises, solutions, and the pages around.

    run: whether pages are run; else their stored outputs are shown, and nothing moves
    """
    from course_tools.site.running import run_all

    lessons, answers = notebooks("notebooks"), notebooks("solutions")
    done = {path: nbformat.read(path, as_version=4) for path in [*lessons, *answers]}
    if run:
        done |= run_all(lessons)
    hints = {name: exercise.hints for name, exercise in EXERCISES.items()}
    made = {path: pages.lesson_page(done[path]) for path in lessons}
    made |= {path: pages.solution_page(done[path]) for path in answers}
    for path in notebooks("exercises"):
        starter = nbformat.read(path, as_version=4)
        made[path] = pages.exercise_page(starter, hints)
    for path, page in made.items():
        target = folder / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(page, target)
    hero = pages.first_figure(done[lessons[0]])
    for name, text in {**front.texts(hero), **proof.texts()}.items():
        (folder / name).write_text(text, encoding="utf-8")


def build(out: Path, run: bool = True, url: str = "") -> list[str]:
    """Build the site into a folder; it is replaced when the new one is whole.

    returns: what Sphinx warned of: a broken link, for one
    """
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="site-", dir=out.parent) as made:
        source, html = Path(made, "source"), Path(made, "html")
        source.mkdir()
        write_sources(source, run)
        settings = {**SETTINGS, "html_baseurl": url}
        settings["myst_html_meta"] = front.preview(url)
        told = io.StringIO()
        asked = source, None, html, Path(made, "trees"), "html", settings
        with patch_docutils(), docutils_namespace():
            Sphinx(*asked, status=None, warning=told).build()
        shutil.rmtree(html / ".doctrees", ignore_errors=True)
        if out.exists():
            os.replace(out, Path(made, "old"))
        os.replace(html, out)
        return told.getvalue().replace(str(source), "").splitlines()


def main(argv: Sequence[str]) -> int:
    """`site --out DIR`."""
    parser = argparse.ArgumentParser(prog=f"{COMMAND} site", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--out", type=Path, required=True, help="a folder of its own")
    parser.add_argument("--url", default="", help="where it will be, for link previews")
    said = "show stored outputs; quick, and no figure moves"
    parser.add_argument("--stored", action="store_true", help=said)
    asked = parser.parse_args(argv)
    missing = [name for name in NEEDS if find_spec(name) is None]
    if missing:
        mend = f"{COMMAND} add site"
        raise CourseError(f"Not installed: {', '.join(missing)}.", mend)
    if asked.out.exists() and not (asked.out / "searchindex.js").exists():
        print(f"--out {asked.out} is there and is no such site", file=sys.stderr)
        return 2
    warnings = build(asked.out.resolve(), not asked.stored, asked.url)
    print(*warnings, sep="\n", file=sys.stderr)
    print(f"{asked.out / 'index.html'}: open it in a browser")
    return 1 if warnings else 0
