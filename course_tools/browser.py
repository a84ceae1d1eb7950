"""A real JupyterLab in a real browser, for tests that look and for what is measured.

Needs a Chromium and the packages of requirements/browser.txt; `trouble()` says which of
them is missing. No user's settings are read or changed, and no page can reach more than
this computer.
"""

import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from course_tools.jupyterlab import SETTINGS

__all__ = ["Lab", "chromium", "drag", "launched", "trouble", "wait"]

PATIENCE = 120  # seconds, for whatever is waited for; a busy computer needs more
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
FLAGS += ["--disable-background-networking", "--disable-component-update"]
FLAGS += ["--disable-sync"]
FLAGS += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
FOLDERS = ["JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"]
FOLDERS += ["JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR", "IPYTHONDIR"]
LABCONFIG = "JUPYTER_CONFIG_DIR/labconfig"
THEMES = "JUPYTERLAB_SETTINGS_DIR/@jupyterlab/apputils-extension"
OVERRIDES = {**SETTINGS, "@jupyterlab/docmanager-extension:plugin": {"autosave": False}}
HARMLESS = (  # what JupyterLab says when a kernel is restarted, or the computer is busy
    r"Connection lost, reconnecting in 0 seconds\.|"
    r"Could not restore the debugger state: Canceled future|"
    r"Plugin \S+ .*(too long|ms) to activate\.$"
)
SCRIPT = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")


def chromium() -> Path | None:
    """The browser: what COURSE_CHROMIUM names, or a Chromium or Chrome on the PATH."""
    chosen = os.environ.get("COURSE_CHROMIUM")
    found = map(shutil.which, [chosen] if chosen else BROWSERS)
    return next((Path(path) for path in found if path), None)


def trouble(*packages: str) -> str | None:
    """What is missing for a `Lab` and these packages; None if all is there."""
    for package in ("playwright", *packages):
        if find_spec(package) is None:
            install = f"{sys.executable} -m pip install -r requirements/browser.txt"
            return f"The package {package} is missing: {install}"
    if chromium() is None:
        return "No browser: install Chromium, or let COURSE_CHROMIUM name its program."
    return None


@contextmanager
def launched() -> Iterator[Any]:
    """A Chromium of Playwright's that lives as long as the `with`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        chrome = driver.chromium.launch(executable_path=chromium(), args=FLAGS)
        try:
            yield chrome
        finally:
            chrome.close()


def drag(page, places: Iterable[Sequence[float]]):
    """Drag the mouse from the first place to the last, sixty of them in a second."""
    start, *way = places
    page.mouse.move(*start)
    page.mouse.down()
    began = time.perf_counter()
    for number, place in enumerate(way, 1):
        page.mouse.move(*place)
        time.sleep(max(0, began + number / 60 - time.perf_counter()))
    page.mouse.up()


class Lab:
    """A JupyterLab and a Chromium of one's own, from `with` to its end.

    folder: where the notebooks lie; env: more variables for the server and its kernels
    said: what all pages wrote to their consoles as errors and warnings, errors that
        nothing caught, and what was asked of other places
    raises: RuntimeError if JupyterLab does not start, TimeoutError if something hangs
    """

    def __init__(self, folder: str | Path, env: dict[str, str] | None = None):
        self.folder, self.env, self.said = Path(folder), env or {}, []
        self._numbers = itertools.count()

    def __enter__(self) -> "Lab":
        with ExitStack() as stack:
            home = TemporaryDirectory(prefix="course-lab-", ignore_cleanup_errors=True)
            self._home = Path(stack.enter_context(home))
            server = _server(self.folder, self.env, self._home)
            self._url = stack.enter_context(server)
            self._browser = stack.enter_context(launched())
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._stack.close()

    def open(self, notebook: str, dark: bool = False):
        """A new page of Playwright's with this notebook, when its kernel is ready."""
        page, theme = self._page(), "JupyterLab Dark" if dark else "JupyterLab Light"
        # as a setting that is there before the page: a theme changed while another is
        # still being loaded ends in an error of JupyterLab's
        _write(self._home / THEMES / "themes.jupyterlab-settings", {"theme": theme})
        # a workspace of its own, or it would open what another page has open
        place = f"lab/workspaces/page{next(self._numbers)}/tree/{notebook}"
        page.goto(f"{self._url}/{place}", wait_until="domcontentloaded")
        wait(page, SCRIPT, f"opening {notebook}")
        return page

    def show(self, page, notebook: str):
        """Open another notebook in a page, in place of the one that is there."""
        wait(page, f"() => courseLab.show({notebook!r})", f"opening {notebook}")

    def static(self, html_path: str | Path):
        """A new page with an HTML file, behind which is no server."""
        page = self._page()
        page.goto(Path(html_path).resolve().as_uri())
        return page

    def run_all(self, page, restart: bool = True):
        """Restart the kernel, run every cell and wait for the end.

        Each cell may take as long as anything else; a page may take longer.

        raises: RuntimeError with the errors that cells ended with
        """
        page.evaluate("restart => courseLab.start(restart)", restart)
        news = {"finished": -1}
        while "errors" not in news:
            script = f"() => courseLab.news({news['finished']})"
            news = wait(page, script, f"what follows after {news['finished']} cells")
        if news["errors"]:
            raise RuntimeError("; ".join(news["errors"]))

    def _page(self):
        context = self._browser.new_context(viewport={"width": 1300, "height": 1000})
        context.set_default_timeout(1000 * PATIENCE)
        context.on("console", self._heard)
        context.on("weberror", lambda event: self.said.append(f"error: {event.error}"))
        context.on("request", self._asked)
        return context.new_page()

    def _heard(self, message):
        harmless = re.match(HARMLESS, message.text)
        if message.type in ("error", "warning") and not harmless:
            self.said.append(f"{message.type}: {message.text}")

    def _asked(self, request):
        if not request.url.startswith((self._url, "file:", "data:", "blob:")):
            self.said.append(f"request: {request.url}")


def wait(page, script: str, what: str, seconds: float = 0) -> Any:
    """What a function of the page returns in the end, which must not be empty.

    seconds: how long to wait; 0: as long as for everything else
    raises: TimeoutError, naming what was waited for
    """
    from playwright.sync_api import TimeoutError as TooLate

    seconds = seconds or PATIENCE
    try:
        return page.wait_for_function(script, timeout=1000 * seconds).json_value()
    except TooLate:
        raise TimeoutError(f"{what} took more than {seconds:.0f} s") from None


@contextmanager
def _server(folder: Path, env: dict[str, str], home: Path) -> Iterator[str]:
    """The address of a JupyterLab that lives as long as the `with`."""
    _write(home / LABCONFIG / "default_setting_overrides.json", OVERRIDES)
    # without what would make its pages other than a learner's
    foreign = ("JUPYTER", "IPYTHON", "MPLBACKEND", "COURSE_PLAIN_FIGURES")
    variables = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    variables |= {name: str(home / name) for name in FOLDERS}
    variables |= {"JUPYTER_PREFER_ENV_PATH": "1", **env}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1"]
    command += ["--ServerApp.port=0", "--IdentityProvider.token="]
    command += ["--expose-app-in-browser", f"--ServerApp.root_dir={folder.resolve()}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    with open(home / "log", "w", encoding="utf-8") as log:
        server = subprocess.Popen(
            command,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is ours; and one group to end
        )
    try:
        yield _address(server, home)
    finally:
        _end(server)


def _address(server: subprocess.Popen, home: Path) -> str:
    """Where the server answers, which it writes down once it does."""
    for _ in range(int(10 * PATIENCE)):
        for file in home.glob("JUPYTER_RUNTIME_DIR/jpserver-*.json"):
            with suppress(ValueError):  # not yet written to its end
                return json.loads(file.read_text(encoding="utf-8"))["url"].rstrip("/")
        if server.poll() is not None:
            last = (home / "log").read_text(encoding="utf-8")[-2000:]
            raise RuntimeError(f"JupyterLab does not start:\n{last}")
        time.sleep(0.1)
    raise TimeoutError(f"JupyterLab did not answer within {PATIENCE:.0f} s")


def _end(server: subprocess.Popen):
    """End the server, which ends its kernels; kill what is left of its group."""
    server.terminate()
    with suppress(subprocess.TimeoutExpired):
        server.wait(20)
    with suppress(AttributeError, ProcessLookupError):  # Windows has no groups
        os.killpg(server.pid, signal.SIGKILL)
    server.kill()
    server.wait()


def _write(path: Path, content: dict):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
