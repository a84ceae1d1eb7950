"""What every JupyterLab of the course is told, however it is started.

Standard library only and readable by Python 3.6: it runs before the environment stands.
"""

from pathlib import Path

from course_lib.workspace import read, write

# What it must not do of itself: ask the network for news and updates, and run the
# callbacks of widgets outside the kernel's main thread.
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
    },
    "@jupyterlab/apputils-extension:kernels-settings": {
        "commsOverSubshells": "disabled"
    },
}
NAME = "course-alt-text"  # the extension that names stored pictures
LOADED = {"load": "static/remoteEntry.js", "extension": "./extension"}
ABOUT = {
    "name": NAME,
    "version": "1.0.0",
    "jupyterlab": {"extension": True, "_build": LOADED},
}


def write_settings(environment: Path) -> None:
    """Put our settings and the extension into a Python environment."""
    share = environment / "share" / "jupyter"
    overrides = share / "lab" / "settings" / "overrides.json"
    there = read(overrides) or {}
    if {**there, **SETTINGS} != there:
        write(overrides, {**there, **SETTINGS})
    code = Path(__file__).with_name("alt_text.js").read_text(encoding="utf-8")
    script = share / "labextensions" / NAME / LOADED["load"]
    if not script.exists() or script.read_text(encoding="utf-8") != code:
        script.parent.mkdir(parents=True, exist_ok=True)
        write(script.parent.parent / "package.json", ABOUT)
        script.write_text(code, encoding="utf-8")
