"""Files that are broken, disguised or no files at all."""

import os
import socket
import struct

from submitted import LOSS, notebook, put, zipped

from red_team.submission import Item, honest, swapped

BAD = "load_error refused"
GONE = "missing"
SOLUTION = "solutions/04_dpo_loss.ipynb"


def in_zips(depth: int) -> bytes:
    made = zipped({"mine.py": LOSS})
    for number in range(depth):
        made = zipped({f"{number}.zip": made})
    return made


def damaged_inside() -> bytes:
    """A zip in a zip whose compressed bytes are no longer any."""
    inner = zipped({"mine.py": LOSS})
    outer = bytearray(zipped({"inner.zip": inner, "other.py": "x = 1"}))
    start = 30 + len("inner.zip")
    outer[start : start + 8] = b"\xff" * 8
    return bytes(outer)


def bomb(path, _):
    path.write_bytes(zipped({"mine.py": LOSS + "#" * (64 << 20)}))


def understated(path, _):
    """A member of 64 MiB that says of itself that it has 10 bytes."""
    bomb(path, _)
    size = struct.pack("<I", len(LOSS) + (64 << 20))
    path.write_bytes(path.read_bytes().replace(size, struct.pack("<I", 10)))


def large_members(path, _):
    path.write_bytes(zipped({f"{n}.py": "#" * (15 << 20) for n in range(6)}))


def newer_format() -> bytes:
    """A zip that says it needs an unpacker of version 9."""
    made = bytearray(zipped({"mine.py": LOSS}))
    place = made.rindex(b"PK\x01\x02")
    made[place + 6 : place + 8] = struct.pack("<H", 90)
    return bytes(made)


def encrypted() -> bytes:
    made = bytearray(zipped({"mine.py": LOSS}))
    made[6] |= 1
    made[made.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(made)


def link_in_zip(path, places):
    target = str(places.course / "course_lib" / "losses.py")
    path.write_bytes(zipped({}, links={"mine.py": target}))


def link(target: str):
    """A link to something of the course, or elsewhere."""
    return lambda path, places: path.symlink_to(places.course / target)


def link_in_a_folder(path, places):
    path.mkdir()
    link(SOLUTION)(path / "mine.ipynb", places)


def pipe(path, _):
    os.mkfifo(path)


def server(path, _):
    here = os.getcwd()
    os.chdir(path.parent)  # a socket's path has little room
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(path.name)
    os.chdir(here)


def folder(path, _):
    path.mkdir()


def emoji_links(path, _):
    path.mkdir()
    for number in range(3):
        (path / ("🙂" * 60 + f"{number}.py")).symlink_to("x")


def many_files(path, _):
    put(path, {f"{number:03}.py": "x = 1\n" for number in range(300)})


def deep_folders(path, _):
    put(path, {"d/" * 29 + "d.py": LOSS})


def cut(text: str) -> str:
    return text[: int(len(text) * 0.8)]


def _broken(name, content, says, statuses=BAD, most=0, **more) -> Item:
    return Item(name, content, most, statuses, says, **more)


LONG_SUM = LOSS.replace("beta *", "+".join(["beta"] * 20_000) + " * 0 + beta *")

ITEMS = [
    # contents
    _broken("b01 empty.py", b"", "empty"),
    _broken("b02 blank.ipynb", b" \n\n", "empty"),
    _broken("b03 cut off.py", cut(LOSS).rstrip(")") + "((", "line"),
    _broken("b04 half saved.ipynb", cut(notebook(LOSS)), "save"),
    _broken("b05 text.ipynb", "I did it, I promise.", "notebook"),
    _broken("b06 a list.ipynb", "[1, 2]", "no notebook"),
    _broken("b07 no cells.ipynb", '{"cells": 3}', "no notebook"),
    _broken(
        "b08 odd cells.ipynb", '{"cells": [{"cell_type": "code"}]}', "no function", GONE
    ),
    _broken("b09 number source.ipynb", notebook(3), "no function", GONE),
    _broken("b10 latin.py", LOSS.encode() + b"# caf\xe9\n", "UTF-8"),
    _broken("b11 utf-16 no mark.py", LOSS.encode("utf-16-le"), "null"),
    _broken("b12 nul.py", LOSS.encode() + b"x = '\x00'\n", "null"),
    _broken("b13 noise.py", bytes(range(256)) * 40, "UTF-8"),
    honest("b14 unknown coding.py", "# coding: klingon\n" + LOSS),
    _broken("b15 indent.py", LOSS.replace("    return", "return"), "indent"),
    _broken("b16 brackets.py", LOSS + "x = " + "(" * 50_000, "nested"),
    _broken("b17 minus.py", LOSS + "x = " + "-" * 200_000 + "1", "nested"),
    _broken("b18 long sum.py", LONG_SUM, "nested"),
    _broken("b19 deep json.ipynb", "[" * 100_000, "nested"),
    _broken("b20 half a letter.ipynb", notebook(LOSS + "x = '\ud800'"), "read"),
    _broken("b21 long number.ipynb", '{"cells": ' + "9" * 9999 + "}", "whole"),
    _broken("b22 million.py", LOSS + "# more\n" * 200_000, "million"),
    _broken("b23 huge.py", b"#" * (17 << 20), "larger"),
    # names in them
    _broken("b24 renamed.py", LOSS.replace("dpo_loss", "dpo_los"), "dpo_los:", GONE),
    _broken("b25 case.py", LOSS.replace("dpo_loss", "DPO_Loss"), "DPO_Loss", GONE),
    _broken("b26 another.py", "def cosine(x):\n    return x\n", "no function", GONE),
    _broken("b27 number.py", "dpo_loss = 3\n", "int"),
    _broken(
        "b28 without cell.ipynb", notebook("import torch", "2 + 2"), "no function", GONE
    ),
    _broken("b29 arity.py", LOSS.replace(", beta)", ")"), "argument", "error"),
    _broken(
        "b30 misspelt import.py",
        "from torch.nn.functional import logsigmoi\n"
        + swapped().replace("F.logsigmoid", "logsigmoi"),
        "logsigmoi",
        "load_error error",
    ),
    _broken("b31 no import.py", LOSS.partition("\n")[2], "F", "error"),
    _broken("b32 no return.py", LOSS.replace("return", "loss ="), "return", "failed"),
    # things that are no files
    _broken("c01 pipe.py", pipe, "ordinary"),
    _broken("c02 server.py", server, "ordinary"),
    _broken("c03 link.ipynb", link(SOLUTION), "link"),
    _broken("c04 linked folder", link("solutions"), "link"),
    _broken("c05 inner link", link_in_a_folder, "link"),
    _broken("c06 endless.py", link("/dev/zero"), "link"),
    _broken("c07 circle.py", lambda path, _: path.symlink_to(path.name), "link"),
    _broken("c08 folder.py", folder, "folder"),
    _broken("c09 nothing", folder, "no notebook"),
    _broken("c10 many", many_files, "no function", f"{GONE} {BAD}"),
    _broken("c11 deep", deep_folders, "too many"),
    _broken("c12 essay.docx", b"PK\x03\x04", "neither"),
    _broken("c13 pipe.zip", pipe, "ordinary"),
    # zips
    _broken("d01 cut off.zip", zipped({"mine.py": LOSS})[:-30], "zip"),
    _broken("d02 text.zip", b"no zip", "zip"),
    _broken("d03 empty.zip", zipped({}), "no notebook"),
    _broken("d04 bomb.zip", bomb, "unpacks"),
    _broken("d05 understated.zip", understated, "mine.py"),
    _broken("d06 above.zip", zipped({"../../escaped.py": LOSS}), "no notebook"),
    _broken("d07 in seven zips.zip", in_zips(7), "too many"),
    _broken("d08 damaged inside.zip", damaged_inside(), "inner.zip", f"{BAD} {GONE}"),
    _broken("d09 encrypted.zip", encrypted(), "encrypted"),
    _broken("d10 newer.zip", newer_format(), "version"),
    _broken("d11 link.zip", link_in_zip, "link"),
    _broken("d12 members.zip", zipped({f"{n}.py": "" for n in range(2000)}), "empty"),
    _broken("d13 large members.zip", large_members, "unpacks"),
    # names of files
    Item("<script>alert(1)<", folder, 0, BAD, "no notebook"),
    Item("=1+1 & 'x', \"y\".py", swapped()),
    Item("e01 new\nline\x1b[31m.py", swapped()),
    Item("e02 שלום 🙂.py", swapped()),
    Item("e03 " + "n" * 240 + ".py", swapped()),
    _broken("e04 " + "🙂" * 60, emoji_links, "link"),
]
NOT_UTF8 = os.fsdecode(b"e05 caf\xe9.py")
ITEMS += [Item(NOT_UTF8, swapped())]
