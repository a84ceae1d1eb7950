"""The website from disk in a real browser: built, read, moved, and asked what is wrong.

A time runs from the event of the mouse or the key to the end of the frame that was
painted for it. `first_paint_ms` is the browser's first contentful paint of a page.
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from course_lib.workspace import CourseError, repository
from course_tools import browser
from course_tools.benchmarks import _processes, columns

__all__ = ["OPTIONS", "measure", "table"]

OPTIONS: dict[str, dict] = {
    "--site": {"help": "the folder of a site that is built already (default: build it)"}
}
SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
READY = ".course-slider[data-on] .course-picture svg"
MOVES, KEYS = 30, 6  # of a drag in half a second, and of the arrow keys
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"


def measure(site: str | None = None) -> dict[str, object]:
    """All pages one by one; ten minutes, and four more if the site has to be built.

    raises: CourseError if there is no browser, or no such site
    """
    if missing := browser.trouble("axe_playwright_python"):
        raise CourseError(missing)
    with TemporaryDirectory(prefix="course-bench-") as folder:
        built = {} if site else _built(Path(folder) / "site")
        where = Path(site or Path(folder) / "site").resolve()
        if not (where / "searchindex.js").is_file():
            raise CourseError(f"--site {site} holds no website of the course")
        return built | _visited(where)


def _built(out: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "course_lib", "site", "--out", str(out)]
    cost = _processes.metered(command, cwd=repository(), env={})
    if cost.code:
        raise CourseError(f"{' '.join(command)} failed:\n{cost.said}")
    return {"built_seconds": cost.wall, "built_cpu_seconds": cost.cpu}


def _visited(site: Path) -> dict[str, object]:
    seen = {"asked": set(), "errors": [], "serious": [], "paint": {}}
    steps, drags = [], []
    with browser.launched() as chrome:
        for path in sorted(site.rglob("*.html")):
            page = chrome.new_page(viewport={"width": 1280, "height": 900})
            _listen(page, seen)
            page.goto(path.as_uri())
            page.wait_for_timeout(300)
            name = str(path.relative_to(site))
            seen["paint"][name] = page.evaluate(PAINT)
            _move(page, steps, drags)
            seen["serious"] += [f"{name}: {what}" for what in _judged(page)]
            page.close()
        found = _searched(chrome, site)
    return {
        "pages": len(seen["paint"]),
        "first_paint_ms": seen["paint"]["index.html"],
        "slowest_paint_ms": max(seen["paint"].values()),
        "figures_moved": len(drags),
        **_times("step", steps),
        **_times("drag", [ms for drag in drags for ms in drag]),
        "found_beta": found,
        "asked_of_others": sorted(seen["asked"]),
        "errors": seen["errors"],
        "serious": seen["serious"],
    }


def _listen(page, seen: dict):
    """Note what the page asks of other places, and what goes wrong in it."""

    def asked(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            seen["asked"].add(request.url)

    page.on("request", asked)
    page.on("pageerror", lambda error: seen["errors"].append(str(error)))


def _move(page, steps: list[float], drags: list[list[float]]):
    """Each figure by its slider's handle, by its point, and by the arrow keys."""
    if page.locator(".course-slider").count():
        page.locator(READY).first.wait_for()
    for figure in page.locator(".course-slider").all():
        figure.scroll_into_view_if_needed()
        figure.evaluate(SCRIPT)
        if page.evaluate("window.figure.input !== null"):
            page.evaluate("figure.input.focus()")
            for _ in range(KEYS):
                page.keyboard.press("ArrowLeft")
                page.wait_for_timeout(30)
            steps += _taken(page)
        for way in ("slide", "point"):
            if places := page.evaluate(f"figure.{way}()"):
                _drag(page, places)
                drags.append(_taken(page))


def _drag(page, places: list[list[float]]):
    """From the first place to the last in half a second, through those between."""
    numbers = np.linspace(0, len(places) - 1, MOVES)
    each = np.arange(len(places))
    x, y = (np.interp(numbers, each, side) for side in zip(*places, strict=True))
    browser.drag(page, zip(x, y, strict=True))


def _taken(page) -> list[float]:
    page.wait_for_timeout(60)
    return page.evaluate("figure.log.splice(0)")


def _judged(page) -> list[str]:
    """What axe finds serious or critical, in the light and in the dark."""
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for theme in ("light", "dark"):
        page.evaluate(f"document.body.dataset.theme = '{theme}'")
        page.wait_for_timeout(50)
        for violation in Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                where = violation["nodes"][0]["target"][0]
                count = len(violation["nodes"])
                found.append(f"{theme}, {violation['id']}, {count} times: {where}")
    return found


def _searched(chrome, site: Path) -> int:
    """How many pages a search for "beta" finds."""
    page = chrome.new_page()
    page.goto((site / "search.html").as_uri() + "?q=beta")
    page.locator("#search-results li").first.wait_for()
    page.wait_for_timeout(1000)
    return page.locator("#search-results li").count()


def _times(name: str, times: list[float]) -> dict[str, float]:
    if not times:
        raise CourseError("No figure of this site moves: was it built with --stored?")
    median, most = np.percentile(times, [50, 95]).round(1).tolist()
    return {f"{name}s": len(times), f"{name}_median_ms": median, f"{name}_p95_ms": most}


def table(figures: dict) -> str:
    """The figures as text; what is wrong, line by line."""
    rows, wrong = [], []
    for name, value in figures.items():
        if isinstance(value, list):
            wrong += [f"{name}: {what}" for what in value]
            value = len(value)
        rows.append((name.replace("_", " "), f"{value:,.0f}"))
    return "\n".join([columns(rows), *wrong])
