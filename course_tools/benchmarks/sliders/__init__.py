"""How soon a figure follows its slider, in a real JupyterLab in a real browser.

The same figure in notebooks measured in turns: `slider_plot` by its slider and by the
point in its picture, `interact` with pyplot as most courses have it, ipympl with a
figure that is kept, and `slider_plot` with `live=True`: a second after it was touched
first, and at once after a cell has run, which may have changed what it draws. A time
runs from the event of the mouse or the key to the end of the first frame in which the
picture itself shows that value: the colour of its mark is read in every frame, from the
pixels of an image or canvas, from what is painted in an SVG. After each drag a
screenshot says whether the last value is what a person sees.

`median_ms` and `p95_ms` are over those values of all drags that were shown; a value
that never was counts as dropped and has no time. A step is one press of an arrow key.
"""

import io
import os
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from matplotlib.image import imread

from course_lib.sliders import slider_plot
from course_lib.workspace import CourseError
from course_tools import browser
from course_tools.benchmarks import columns
from course_tools.benchmarks.sliders import alternatives
from course_tools.benchmarks.sliders.alternatives import ALTERNATIVES, MARK

__all__ = ["Watched", "figures", "measure", "table", "times"]

ROUNDS, STEPS, MOVES = 4, 8, 60
DRAGS = {"slider_plot": 5, "in_picture": 5}  # in each round; one for the others
LATE = 34  # ms: two frames of sixty in a second, and a little
PATIENCE = 20  # seconds; a picture that still shows another value then is wrong
SCRIPT = Path(__file__).with_name("page.js").read_text(encoding="utf-8")
STORED = """new Blob([JSON.stringify(
  courseLab.panel.content.widgets[0].model.outputs.toJSON()[0].data)]).size"""
CELL = """courseLab.panel.sessionContext.session.kernel.requestExecute(
  { code: "anew = True", store_history: false }).done.then(() => null)"""
ROWS = {  # of the table: how they are called, and what the JSON calls them
    "step, median ms": "step_median_ms",
    "step, p95 ms": "step_p95_ms",
    "drag, median ms": "median_ms",
    "drag, p95 ms": "p95_ms",
    "drags": "drags",
    "values chosen": "values",
    "values shown": "shown",
    f"shown after {LATE} ms": "late",
    "last value right": "last_right",
    "blank frames": "blank",
    "jumps of height": "jumps",
    "bytes per update": "bytes_per_update",
}


class Watched(NamedTuple):
    """What was seen of one alternative: a log of the page for all steps of a round and
    for each drag; and the position on the screenshot after each drag."""

    steps: list[dict]
    drags: list[dict]
    last: list[int | None]


def measure() -> dict[str, dict[str, float]]:
    """Each alternative's numbers, by its name; takes three to four minutes.

    raises: CourseError if there is no browser
    """
    if missing := browser.trouble("ipympl"):
        raise CourseError(missing)
    made, watched = _made(), {name: Watched([], [], []) for name in ALTERNATIVES}
    with TemporaryDirectory(prefix="course-bench-") as folder:
        alternatives.write(Path(folder))
        with browser.Lab(folder) as lab:
            pages = {name: _opened(lab, name) for name in ALTERNATIVES}
            for turn in range(ROUNDS):
                for name in [*list(pages)[turn:], *list(pages)[:turn]]:
                    _round(pages[name], watched[name], name)
            received = {name: _received(page) for name, page in pages.items()}
            stored = pages["slider_plot"].evaluate(STORED)
    results = {name: figures(watched[name], received[name]) for name in watched}
    results["slider_plot"] |= {"made_cpu_s": made, "stored_bytes": stored}
    return results


def figures(watched: Watched, received: float) -> dict[str, float]:
    """The numbers, under the names of the JSON; received: bytes a step.

    raises: CourseError if no value was ever shown
    """
    steps, drags = times(watched.steps), times(watched.drags)
    shown = [ms for ms in drags if ms is not None]
    numbers = {}
    for name, known in (("", shown), ("step_", [ms for ms in steps if ms is not None])):
        if not known:
            raise CourseError("One of the figures never followed its slider.")
        median, most = np.percentile(known, [50, 95]).round(2).tolist()
        numbers |= {f"{name}median_ms": median, f"{name}p95_ms": most}
    logs = watched.steps + watched.drags
    right = zip(watched.last, watched.drags, strict=True)
    return numbers | {
        "steps": len(steps),
        "drags": len(watched.drags),
        "values": len(drags),
        "shown": len(shown),
        "dropped": len(drags) - len(shown),
        "late": sum(ms > LATE for ms in shown),
        "last_right": sum(seen == log["chosen"][-1][0] for seen, log in right),
        "blank": sum(log["blank"] for log in logs),
        "jumps": sum(log["jumps"] for log in logs),
        "bytes_per_update": received,
    }


def times(logs: list[dict]) -> list[float | None]:
    """From each choice of a value to its picture, in ms; None for what never came."""
    return [
        next((t - then for v, t in log["shown"] if v == value and t > then), None)
        for log in logs
        for value, then in log["chosen"]
    ]


def table(results: dict[str, dict[str, float]]) -> str:
    """The numbers for people."""
    ours = results["slider_plot"]
    rows = [("", *results)]
    for name, key in ROWS.items():
        rows.append((name, *(f"{result[key]:,.0f}" for result in results.values())))
    for name, key in (("step", "step_median_ms"), ("drag", "median_ms")):
        times = (f"{result[key] / ours[key]:.1f}" for result in results.values())
        rows.append((f"{name} / slider_plot's", *times))
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{columns(rows)}\n"
        f"slider_plot takes {ours['made_cpu_s']:.2f} s of CPU to make and stores "
        f"{ours['stored_bytes']:,} bytes; load average {load:.1f}"
    )


def _opened(lab: browser.Lab, name: str):
    """The page of an alternative, with the instruments in it."""
    way, page = ALTERNATIVES[name], lab.open(f"{name}.ipynb")
    lab.run_all(page)
    for selector in (way.slider, way.picture):
        page.locator(".jp-Cell-outputArea").locator(selector).first.wait_for()
    page.evaluate(SCRIPT, [way.slider, way.picture, way.margin, MARK])
    page.evaluate("bench.handle.scrollIntoView({ block: 'center' })")
    return page


def _round(page, watched: Watched, name: str):
    """Some steps with the arrow keys, then some drags over the whole slider."""
    _turn_to(page)
    page.evaluate("bench.start()")
    _steps(page)
    watched.steps.append(page.evaluate("bench.stop()"))
    for _ in range(DRAGS.get(name, 1)):
        page.evaluate("bench.handle.focus()")
        page.keyboard.press("Home" if page.evaluate("bench.position()") < 30 else "End")
        _settle(page)
        if ALTERNATIVES[name].before == "second":
            page.wait_for_timeout(1000)
        elif ALTERNATIVES[name].before == "cell":
            page.evaluate(CELL)
        page.evaluate("bench.start()")
        browser.drag(page, page.evaluate("moves => bench.way(moves)", MOVES))
        _settle(page)
        watched.drags.append(page.evaluate("bench.stop()"))
        watched.last.append(_seen(page))


def _turn_to(page):
    page.bring_to_front()
    page.evaluate("bench.handle.focus()")
    _settle(page)


def _steps(page):
    """Press an arrow key, towards the far end, and wait for the picture; repeat."""
    key = "ArrowLeft" if page.evaluate("bench.position()") > 30 else "ArrowRight"
    for _ in range(STEPS):
        page.keyboard.press(key)
        _settle(page)


def _settle(page):
    """Wait until the picture shows the slider's value, and a little longer."""
    with suppress(TimeoutError):  # dropped then, and a last value that is not right
        browser.wait(page, "bench.settled()", "following the slider", PATIENCE)
        page.wait_for_timeout(100)


def _seen(page) -> int | None:
    """The position whose mark is on a screenshot; None if there is none."""
    shot = page.screenshot(
        clip=page.evaluate("bench.mark()") | {"width": 1, "height": 1}
    )
    return alternatives.position(imread(io.BytesIO(shot))[0, 0, :3])


def _received(page) -> float:
    """Bytes that the kernel sends for a step; counted apart, for counting costs."""
    sizes = []

    def count(event):
        text = event["response"]["payloadData"]
        binary = event["response"]["opcode"] == 2  # written as base64
        sizes.append(len(text) * 3 // 4 if binary else len(text.encode()))

    _turn_to(page)
    session = page.context.new_cdp_session(page)
    session.on("Network.webSocketFrameReceived", count)
    session.send("Network.enable")
    _steps(page)
    session.detach()
    return sum(sizes) / STEPS


def _made() -> float:
    """Seconds of CPU to make the figure, the least of three: the first loads fonts."""
    seconds = []
    for _ in range(3):
        began = time.process_time()
        slider_plot(alternatives.draw, alternatives.setup, beta=alternatives.SLIDER)
        seconds.append(time.process_time() - began)
    return min(seconds)
