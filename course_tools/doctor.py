"""What is wrong with an environment, and how to mend it, however broken it is.

Standard library only and readable by Python 3.6, like all that it imports.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path

from course_lib import workspace
from course_lib.workspace import CourseError
from course_tools import environment
from course_tools.environment import COMMAND

OWN_PYTHON = "no .venv, but this Python has all that requirements.txt pins"
TORCH = """
import torch
place = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
threads = torch.get_num_threads()
print(f"PyTorch {torch.__version__} starts on {place}, CPU threads: {threads}")
"""

KERNEL = """
from jupyter_client.manager import run_kernel
with run_kernel(kernel_name="python3") as client:
    client.execute_interactive("import sys; print(sys.prefix)", timeout=60)
"""


def doctor():
    """Examine the environment; for whatever is wrong, say how to mend it.

    returns: 0 if all is well, else 1, as an exit code
    """
    signs = {True: "✓", False: "✗", None: "–"}
    try:
        "✓✗–".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        signs = {True: "ok ", False: "BAD", None: "-  "}
    wrong = 0
    for well, text, mend in findings():
        print(signs[well], text, flush=True)
        if well is False:
            wrong += 1
            print("    ->", mend, flush=True)
    print(f"{wrong} to mend, from the top." if wrong else "All is well.")
    return 1 if wrong else 0


def findings():
    """Each thing that was looked at: (well, what was found, how to mend it).

    well: None for what is neither right nor wrong, or could not be looked at
    """
    why, venv = environment.trouble(), environment.venv_folder()
    own = workspace.packaged() or (not venv.is_dir() and environment.satisfied())
    usable = own or not why
    set_up = f"{COMMAND} lab"
    try:
        environment.demand_python("lab")
        yield True, "Python {}.{}.{} makes environments".format(*sys.version_info), ""
    except CourseError as error:
        set_up = error.mend
        yield None if usable else False, str(error), set_up
    if own:
        python, prefix, folders = sys.executable, sys.prefix, sys.path
        yield None, OWN_PYTHON if environment.satisfied() else why, ""
    else:
        python, prefix = environment.venv_python(), venv
        version, packages = environment.probe()
        folders = [packages] if version else []
        yield not why, f".venv: {why or 'complete, Python ' + version}", set_up
    if folders:
        yield from packages_of(python, prefix, folders, own)
    else:
        yield None, "packages, PyTorch and kernel: there is no environment to ask", ""
    for folder in ("notebooks", "exercises"):
        count = len(workspace.notebooks(folder))
        yield count > 0, f"{folder}/: {count} notebooks", f"git checkout -- {folder}"
    yield writable(workspace.work_folder())
    need = 0.5 if usable else 8 if sys.platform == "linux" else 3
    free = shutil.disk_usage(str(venv.parent)).free / 1e9
    yield free > need, f"{free:.1f} GB free, {need} needed", "free some space"


def packages_of(python, prefix, folders, own):
    """The findings about the packages of an environment that has a Python."""
    install = f"{python} -m pip install -r requirements.txt"
    if workspace.packaged():
        pins = [line for line in workspace.requirements() if "==" in line]
        install = f"{python} -m pip install {' '.join(pins)}"
    again = f"{install} --force-reinstall"
    for name, pin, has in environment.compare(folders):
        well = environment.fits(pin, has)
        text = f"{name} {has or 'is missing'}" + ("" if well else f": {pin} is needed")
        yield well, text, install if own else f"{COMMAND} lab"
    if not own:  # an environment of one's own has packages that are no matter of ours
        said = environment.ask(python, "-m", "pip", "check")[1].splitlines()
        meant = environment.without_dependencies()
        broken = [line for line in said if " " in line and line.split()[0] not in meant]
        well = not broken or broken[0].startswith("No broken")
        first = broken[0] if broken else "nothing is broken"
        yield well, f"pip check: {first}", install
    failed, said = environment.ask(python, "-c", TORCH)
    last = said.split("\n")[-1]
    yield not failed, f"PyTorch does not start: {last}" if failed else last, again
    found = environment.installed(folders)
    lab, widgets = (found.get(n, "none") for n in ("jupyterlab", "jupyterlab-widgets"))
    part = Path(str(prefix), "share/jupyter/labextensions/@jupyter-widgets")
    well = (lab[:2], widgets[:2]) == ("4.", "3.") and part.is_dir()
    yield well, f"sliders: JupyterLab {lab}, jupyterlab_widgets {widgets}", again
    failed, said = environment.ask(python, "-c", KERNEL)
    last = said.split("\n")[-1]
    if failed:
        yield False, f"the kernel does not start: {last}", again
    else:
        well = os.path.realpath(last) == os.path.realpath(str(prefix))
        mend = "unset JUPYTER_PATH JUPYTER_PREFER_ENV_PATH"
        yield well, f"the kernel python3 starts in {last}", mend


def writable(folder):
    """The finding whether notebooks can be saved in the learner's folder."""
    place = folder
    while not place.is_dir() and place != place.parent:
        place = place.parent
    try:
        tempfile.TemporaryFile(dir=str(place)).close()
    except OSError as error:
        return False, f"{folder}: {error.strerror}", f"make {place} writable"
    return True, f"{folder} can be written to", ""
