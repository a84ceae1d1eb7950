"""Out of somebody's notebook or file: the one function that an exercise asks for.

Only what that function needs is run: its definition, and the imports, helpers and
values it goes back to. Pictures, experiments and broken cells elsewhere do no harm.
A notebook's own commands are read as IPython reads them.
"""

import __future__

import ast
import asyncio
import builtins
import contextlib
import dis
import inspect
import io
import json
import linecache
import re
import sys
import tokenize
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

__all__ = ["Loaded", "cells_of", "defined_in", "load"]

ROOM = 1 << 20  # characters of code; a chapter's page has about ten thousand
CELL = 1 << 18  # and of one cell: data that somebody has pasted is left out
SETS = re.compile(r"\.(set_|use_|enable|disable|register|\w*seed)")  # in a module
RUNNING = ("time", "capture", "prun")  # commands that run Python where they stand


@dataclass(frozen=True)
class Loaded:
    """The function, or None; and what went wrong on the way to it, in a sentence.

    missing: nothing went wrong; there is no such function
    more: there are statements that work on what it needs, which were not run
    cells: the places of those that it was made from
    """

    function: Callable | None
    trouble: str = ""
    missing: bool = False
    more: bool = False
    cells: tuple[int, ...] = ()


def cells_of(name: str, content: bytes) -> list[str]:
    """The code of a notebook, cell by cell, or of a Python file as one cell.

    name: the file's, for its ending; content: its bytes, from whoever
    raises: ValueError with a sentence for the author; nothing is run

    >>> cells_of("mine.py", b"def f(x):\\r\\n    return x\\r\\n")
    ['def f(x):\\n    return x\\n']
    """
    if not content.strip():
        raise ValueError("is empty")
    text = _text(name, content).replace("\r\n", "\n").replace("\r", "\n")
    cells = _notebook(text) if name.lower().endswith(".ipynb") else [text]
    if sum(map(len, cells)) > ROOM:
        raise ValueError("holds more than a million characters of code")
    return cells


def defined_in(cells: Sequence[str]) -> set[str]:
    """Names that these cells seem to define, at a glance: nothing is parsed or run.

    >>> sorted(defined_in(["def f(x):\\n    y = 2", "g = f"]))
    ['f', 'g']
    """
    found = re.findall(
        r"^(?:async +)?(?:def +(\w+) *\(|(\w+) *=[^=])", "\n".join(cells), re.MULTILINE
    )
    return {function or value for function, value in found}


def load(cells: Sequence[str], name: str, *, whole: bool = False) -> Loaded:
    """Run what defines `name`, and nothing that it does not need.

    cells: as `cells_of` gives them; name: of the function
    whole: run what works on something that it needs as well: a loop that fills a list,
        a call that sets a value or registers a function
    returns: a `Loaded`; of several definitions the last one counts, starters excepted

    >>> load(["def f(x):\\n    return 2 * x", "1 / 0"], "f").function(3)
    6
    """
    statements, troubles = _statements(cells)
    needed = _needed(statements, name, whole)
    more = not whole and len(_needed(statements, name, whole=True)) > len(needed)
    module = sys.modules["submission"] = types.ModuleType("__main__")
    sys.modules.setdefault("__main__", module)  # where a class looks for its module
    world = vars(module)
    world["display"] = lambda *_, **__: None  # it is there in a notebook
    world["__file__"] = "submission.py"
    failed = _run(needed, world)
    function = world.get(name)
    if callable(function):
        used = sorted({statement.cell for statement in needed})
        trouble = next(iter(failed.values()), "")
        return Loaded(function, trouble, more=more, cells=tuple(used))
    defined = sorted({bound for s in statements for bound in s.binds})
    for number, trouble in {**troubles, **failed}.items():
        if name in defined_in([cells[number]]):
            return Loaded(None, trouble, more=more)
    if name in world:
        told = f"{name} is a {type(function).__name__}, not a function"
        return Loaded(None, told, more=more)
    told = f"there is no function called {name}"
    spelt = {other.lower(): other for other in defined}
    near = get_close_matches(name.lower(), spelt, 1, 0.75)
    if near:
        told += f"; there is {spelt[near[0]]}: is its name right?"
    elif troubles:
        told += f"; {next(iter(troubles.values()))}"
    torn = any(name in cells[number] for number in troubles) or len(cells) == 1
    return Loaded(None, told, missing=not (troubles and torn))


@dataclass(frozen=True)
class Statement:
    """One statement at the top of a cell: what it binds, uses and works upon."""

    cell: int
    where: str
    code: types.CodeType
    binds: set[str]
    uses: set[str]
    imports: bool
    everything: bool  # a star import
    stub: bool
    calls: set[str]  # x of `x.save(…)`, which sets nothing if x is a module


def _text(name: str, content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return content.decode("utf-16")
    encoding = "utf-8-sig"
    if name.lower().endswith(".py"):
        with contextlib.suppress(SyntaxError):  # a line that names no real encoding
            encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(
            f"is not UTF-8 text: byte 0x{content[error.start]:02x} in line {line}. "
            "Save it again with the encoding UTF-8"
        ) from None


def _notebook(text: str) -> list[str]:
    try:
        page = json.loads(text)
    except RecursionError:
        raise ValueError("is nested too deeply to be a notebook") from None
    except ValueError as error:
        line = getattr(error, "lineno", 1)
        raise ValueError(
            f"is not a whole notebook: it breaks off or goes wrong in line {line}. "
            "Open it, save it, and hand it in again"
        ) from None
    try:
        sheets = page.get("worksheets", [page])
        found = [c for s in sheets for c in s["cells"] if c["cell_type"] == "code"]
        return [_source(cell) for cell in found]
    except (AttributeError, KeyError, TypeError):
        raise ValueError("is no notebook, whatever its name says") from None


def _source(cell: dict) -> str:
    """A cell's code; of one that is broken, or far too long for code, nothing."""
    text = cell.get("source", cell.get("input", ""))
    try:
        text = text if type(text) is str else "".join(text)
    except TypeError:
        return ""
    return text if len(text) <= CELL else ""


def _statements(cells: Sequence[str]) -> tuple[list[Statement], dict[int, str]]:
    """Every statement that compiles; and for each cell that does not, why."""
    found: list[Statement] = []
    troubles: dict[int, str] = {}
    features = 0
    for number, source in enumerate(cells):
        where = f"cell {number + 1}" if len(cells) > 1 else "the file"
        try:
            nodes = _parsed(source, where)
            features |= _futures(nodes)  # for later cells too, as IPython has it
            found += [_statement(node, number, where, features) for node in nodes]
        except (SyntaxError, ValueError) as error:
            line = f", line {error.lineno}" if getattr(error, "lineno", 0) else ""
            what = getattr(error, "msg", None) or error
            troubles[number] = f"{where} cannot be read: {what}{line}"
        except (RecursionError, MemoryError):
            troubles[number] = f"{where} is nested too deeply"
        lines = source.splitlines(keepends=True)
        linecache.cache[where] = (len(source), None, lines, where)
    imported = {bound for s in found if s.imports for bound in s.binds}
    return [replace(s, binds=s.binds - (s.calls & imported)) for s in found], troubles


def _parsed(source: str, where: str) -> list[ast.stmt]:
    try:
        nodes = ast.parse(source, where).body
    except SyntaxError:  # with a notebook's own commands, perhaps: %time, !pip, x?
        from IPython.core.inputtransformer2 import TransformerManager

        nodes = ast.parse(TransformerManager().transform_cell(source), where).body
    return [part for node in nodes for part in _without_command(node, where)]


def _without_command(node: ast.stmt, where: str) -> list[ast.stmt]:
    """What `%time` and its like run, in place of `get_ipython().run_…_magic(…)`."""
    match node:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(attr="run_line_magic" | "run_cell_magic"),
                args=[ast.Constant(value=command), *_, ast.Constant(value=code)],
            )
        ) if command in RUNNING:
            inner = _parsed(code, where)  # which may have commands in it too
            for part in inner:
                ast.increment_lineno(part, node.lineno - (len(node.value.args) == 2))
            return inner
    return [node]


def _futures(nodes: list[ast.stmt]) -> int:
    """What `from __future__ import …` asks of the compiler, for the whole cell."""
    asked = {
        alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    }
    known = asked.intersection(__future__.all_feature_names)
    return sum({getattr(__future__, name).compiler_flag for name in known})


def _statement(node: ast.stmt, number: int, where: str, features: int) -> Statement:
    features |= ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    code = compile(ast.Module([node], []), where, "exec", features, dont_inherit=True)
    stars = isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
    return Statement(
        number,
        f"{where}, line {node.lineno}",
        code,
        _named([code], "STORE_NAME", "STORE_GLOBAL") | _worked_upon(node),
        _named(_parts(code), "LOAD_NAME", "LOAD_GLOBAL", "STORE_GLOBAL"),
        isinstance(node, ast.Import | ast.ImportFrom),
        stars,
        _is_stub(node),
        _called(node),
    )


def _named(parts: Iterable[types.CodeType], *opnames: str) -> set[str]:
    """What instructions of these kinds are about."""
    steps = (step for part in parts for step in dis.get_instructions(part))
    return {step.argval for step in steps if step.opname in opnames}


def _parts(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _parts(constant)


def _worked_upon(node: ast.stmt) -> set[str]:
    """F in `F.scale = 2`, x in `x[0] = 1`, torch in `torch.set_default_dtype(…)`."""
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        targets = [node.value.func]
    found = set()
    for target in targets:
        inner = target
        while isinstance(inner, ast.Attribute | ast.Subscript):
            inner = inner.value
        if inner is not target and isinstance(inner, ast.Name):
            found.add(inner.id)
    return found


def _called(node: ast.stmt) -> set[str]:
    """torch in `torch.save(…)`, but not in `torch.set_default_dtype(…)`."""
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return set()
    return set() if SETS.search(ast.unparse(node.value.func)) else _worked_upon(node)


def _is_stub(node: ast.stmt) -> bool:
    """A starter: nothing after the docstring but `raise NotImplementedError`."""
    if not isinstance(node, ast.FunctionDef):
        return False
    body = [part for part in node.body if not isinstance(part, ast.Expr)]
    return len(body) == 1 and ast.unparse(body[0]).startswith(
        "raise NotImplementedError"
    )


def _needed(statements: list[Statement], name: str, whole: bool) -> list[Statement]:
    """What `name` goes back to, in the order of the page.

    whole: and what uses any of that, but for imports and the function itself
    """
    made = [s for s in statements if name in s.binds]
    if not all(s.stub for s in made):
        statements = [s for s in statements if not (s.stub and name in s.binds)]
    imported = {bound for s in statements if s.imports for bound in s.binds}
    apart = {name, *imported, *dir(builtins)}
    wanted = {name}
    chosen: set[int] = set()
    while True:
        used = wanted - apart if whole else set()
        new = {
            index
            for index, s in enumerate(statements)
            if index not in chosen
            and (s.everything or s.binds & wanted or s.uses & used)
        }
        if not new:
            return [statements[index] for index in sorted(chosen)]
        chosen |= new
        for s in (statements[index] for index in new):
            wanted |= s.uses | s.binds if whole else s.uses


def _run(statements: list[Statement], world: dict) -> dict[int, str]:
    """Run them in order; what fails, again after the rest: cells get moved."""
    failed: dict[int, str] = {}
    waiting, before = statements, len(statements) + 1
    while len(waiting) < before:
        before, failed, again = len(waiting), {}, []
        for statement in waiting:
            try:
                pending = eval(statement.code, world)
                if inspect.iscoroutine(pending):  # of an await at the top
                    asyncio.run(pending)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                told = f"{type(error).__name__}: {error}"[:300].rstrip(": ")
                failed.setdefault(statement.cell, f"{statement.where}: {told}")
                again.append(statement)
        waiting = again
    return failed
