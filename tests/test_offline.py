"""No command needs a network: each runs where the system itself has closed it.

Three walls stand in the tests. `offline/sitecustomize.py`, on PYTHONPATH, refuses in
every Python process, pages' kernels among them; it is not there where a command cleans
PYTHONPATH, as `child_env` does. Chromium resolves no name but this computer's
(`course_tools.browser.FLAGS`). Here is the third: a network namespace, in which nothing
but the loopback interface exists, for a command and all that it starts.
"""

import json
import os
import shutil
import subprocess
import sys

import pytest

from course_lib.workspace import repository
from course_tools import cli

SPACE = ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
UP = 'ip link set lo up && exec "$@"'
REACH = "import socket; socket.create_connection(('192.0.2.1', 80), 5)"
ELSEWHERE = {  # verbs that are not run here, and why
    "add": "asks the package index for what it adds, and nothing else does",
    "bench": "measures the others; its figures are read in test_bench.py",
    "build": "writes into the course; test_authoring.py has it within the first wall",
    "remake": "takes minutes to hours; test_remaking.py makes samples of it",
    "site": "takes minutes; test_site.py builds it within the first wall",
    "test": "is what runs: each page, within the first wall",
}
SERVER = """
import json, subprocess, sys, time, urllib.request
words = ["lab", "--", "--no-browser", "--port=8765", "--IdentityProvider.token=x"]
lab = subprocess.Popen([sys.executable, "-m", "course_lib", *words])
def ask(path, **options):
    url = f"http://127.0.0.1:8765{path}"
    ask = urllib.request.Request(url, headers={"Authorization": "token x"}, **options)
    with urllib.request.urlopen(ask, timeout=60) as answer:
        return answer.read().decode()
for _ in range(600):
    try:
        page = ask("/lab")
        break
    except OSError:
        time.sleep(0.2)
assert "JupyterLab" in page
started = json.loads(ask("/api/kernels", data=b"{}", method="POST"))
assert started["name"] == "python3"
lab.terminate()
"""
PAGE = (
    "def preference_probability(first, second):\n    return (first - second).sigmoid()"
)


@pytest.fixture(scope="module")
def closed():
    """What runs a command without a network; a skip where that cannot be."""
    if not shutil.which("unshare") or not shutil.which("ip"):
        pytest.skip("needs unshare and ip, of Linux")
    if subprocess.run([*SPACE, "true"], capture_output=True).returncode:
        pytest.skip("network namespaces are forbidden here")
    return [*SPACE, "sh", "-c", UP, "sh"]


def call(closed, folder, *words):
    """A command's exit code and words, in there; PYTHONPATH has no wall of ours."""
    env = {**os.environ, "PYTHONPATH": str(repository())}
    env["COURSE_WORK"] = str(folder / "my_work")
    told = {"cwd": folder, "env": env, "input": "", "capture_output": True}
    done = subprocess.run([*closed, *words], **told, encoding="utf-8")
    return done.returncode, done.stdout + done.stderr


def test_nothing_is_reached_from_in_there(closed, tmp_path):
    code, said = call(closed, tmp_path, sys.executable, "-S", "-c", REACH)
    assert code == 1
    assert "Network is unreachable" in said


def steps(folder):
    """Verb, its words, a part of what it must say."""
    (folder / "page.py").write_text(PAGE)
    (folder / "class").mkdir()
    (folder / "class" / "ann.py").write_text(PAGE)
    sides = {"chosen": "good", "rejected": "bad"}
    pairs = [{"prompt": f"How was film {n}?", **sides} for n in range(20)]
    rows = [{"step": n, "loss": 0.69 - n / 100} for n in range(1, 20)]
    for name, lines in (("pairs", pairs), ("log", rows)):
        text = "\n".join(map(json.dumps, lines))
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    graded = ["class", "--exercise", "preference_probability", "--out", "report"]
    return [
        ("reset", [], "Start.ipynb|pages"),
        ("doctor", [], "the kernel python3 starts"),
        ("check", ["page.py"], "passed"),
        ("review", [], "due today"),
        ("inspect", ["pairs.jsonl"], "20"),
        ("diagnose", ["log.jsonl"], "loss"),
        ("train", ["--help"], "--model"),
        ("torchrun", ["--standalone", "--nproc-per-node", "2", "page.py"], ""),
        ("handout", ["00"], "handout_00.zip"),
        ("colab", ["--out", "colab"], "pages for Colab"),
        ("grade", graded, "ann"),
        ("gradebook", ["report"], ""),
    ]


@pytest.mark.slow
@pytest.mark.thorough
def test_every_command_runs_without_a_network(closed, tmp_path):
    done = steps(tmp_path)
    assert {verb for verb, *_ in done} | {*ELSEWHERE, "lab"} == set(cli.VERBS)
    for verb, words, part in done:
        command = [sys.executable, "-m", "course_lib", verb, *words]
        _, said = call(closed, tmp_path, *command)
        assert any(word in said for word in part.split("|")), (verb, said)
        assert "Traceback" not in said, (verb, said)
        assert "unreachable" not in said, (verb, said)


@pytest.mark.slow
def test_jupyterlab_opens_and_starts_a_kernel_without_a_network(closed, tmp_path):
    code, said = call(closed, tmp_path, sys.executable, "-c", SERVER)
    assert code == 0, said
