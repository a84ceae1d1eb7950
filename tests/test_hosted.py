"""Colab, Binder and Codespaces: one list of pins, one address, links that lead on."""

import json
import re
import subprocess

import nbformat
import pytest
from commands import run_python

from course_lib import workspace
from course_lib.workspace import CourseError, notebooks, repository
from course_tools import cli, copies, hosted
from course_tools.environment import SUPPORTED

ROOT = repository()
SOURCES = [*notebooks("notebooks"), *notebooks("exercises")]
LINK = re.compile(r"\]\((https://colab\S+/)(\d\d\w*\.ipynb)(?:#scrollTo=(\S+))?\)")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(page: dict) -> str:
    cells = [cell for cell in page["cells"] if cell["cell_type"] == "markdown"]
    return "\n".join(map(copies.source_of, cells))


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    out = tmp_path_factory.mktemp("hosted") / "colab"
    assert hosted.main(["--out", str(out)]) == 0
    return {path.name: json.loads(path.read_text("utf-8")) for path in out.iterdir()}


def test_containers_have_the_pins_of_requirements_txt_and_no_list_of_their_own():
    binder = read(".binder/requirements.txt")
    assert "-r ../requirements.txt" in binder.splitlines()
    container = json.loads(read(".devcontainer/devcontainer.json"))
    assert "==" not in binder + json.dumps(container)
    versions = [read(".binder/runtime.txt"), container["image"]]
    named = [re.search(r"3\.(\d+)", version) for version in versions]
    assert all((3, int(found[1])) in SUPPORTED for found in named)


def test_containers_are_made_by_commands_that_continuous_integration_runs():
    container = json.loads(read(".devcontainer/devcontainer.json"))
    assert container["updateContentCommand"] in read(".ci/run")
    assert container["postCreateCommand"] == "python3 -m course_lib reset"
    assert container["postCreateCommand"] in read(".binder/postBuild").splitlines()
    listed = ["git", "ls-files", "-s", ".binder/postBuild"]
    said = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True).stdout
    assert not said or said.startswith("100755")


def test_the_address_of_the_course_has_one_place():
    address = workspace.address()
    assert re.fullmatch(r"https://github\.com/[\w-]+/[\w-]+", address)
    assert hosted.badges() in read("README.md")
    owner = address.split("/")[-2] + "/"
    told = [path for path in ROOT.glob("course_*/**/*.py") if owner in read(path)]
    assert not told


def test_badges_are_renewed_between_their_marks_only(tmp_path, monkeypatch):
    page = tmp_path / "README.md"
    page.write_text(read("README.md"), encoding="utf-8")
    assert not hosted.renew_badges(page)
    monkeypatch.setattr(hosted, "address", lambda: "https://github.com/them/course")
    before = read("README.md").partition("<!-- badges -->")
    assert hosted.renew_badges(page)
    after = page.read_text("utf-8").partition("<!-- badges -->")
    assert after[0] == before[0]
    assert "github/them/course/blob/colab/00_start_here.ipynb" in after[2]
    ends = [text[2].partition("<!-- /badges -->")[2] for text in (before, after)]
    assert ends[0] == ends[1]


def test_colab_has_every_page_and_links_lead_to_their_cells(pages):
    assert set(pages) == {copies.copy_name(path) for path in SOURCES}
    place = hosted._colab("")
    for name, page in pages.items():
        nbformat.validate(page)
        found = LINK.findall(prose(page))
        assert prose(page).count("](http") == len(found), name
        assert not re.search(r"\]\([^)h]", prose(page).replace("](#", "")), name
        for host, to, cell in found:
            assert host == place
            ids = [cell["metadata"]["id"] for cell in pages[to]["cells"]]
            assert not cell or cell in ids, (name, to, cell)
    assert any(to[2] for to in LINK.findall(prose(pages["04_dpo_loss.ipynb"])))


def test_only_a_first_cell_and_links_differ_from_a_learners_page(pages):
    for source in SOURCES:
        there = pages[copies.copy_name(source)]["cells"]
        own = copies.made_from(source)["cells"]
        assert copies.source_of(there[1]).startswith("# In Colab this installs")
        code = [c["source"] for c in there[2:] if c["cell_type"] == "code"]
        assert code == [c["source"] for c in own if c["cell_type"] == "code"]
        assert not any(cell.get("outputs") for cell in there)


FAKE = """
import sys, types
from IPython.core.interactiveshell import InteractiveShell
sys.path[:] = [path for path in sys.path if path != sys.argv[2]]
shell = InteractiveShell.instance()
shell.register_magic_function(lambda line: print("PIP", line), magic_name="pip")
done = shell.run_cell(sys.argv[1])
assert done.success
"""


@pytest.mark.parametrize("there", [True, False])
def test_the_first_cell_installs_where_the_course_is_not(pages, there, tmp_path):
    first = "".join(pages["00_start_here.ipynb"]["cells"][1]["source"])
    path = "" if there else str(ROOT)
    said = run_python("-c", FAKE, first, path, cwd=ROOT if there else tmp_path)
    assert said.returncode == 0, said.stderr
    wanted = f"PIP install --quiet --no-deps git+{workspace.address()}\n"
    assert said.stdout == ("" if there else wanted)


def test_a_folder_with_other_things_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CourseError, match="holds more than pages"):
        hosted.main(["--out", str(tmp_path)])
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    assert cli.MODULES["colab"] == "course_tools.hosted"
