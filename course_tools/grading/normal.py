"""The normal form of an answer: what is left without names, comments and formatting.

Text is parsed and never run. Equal forms mean the same program up to the names of its
variables and helpers, the ways to import, comments, docstrings and annotations.
"""

import ast
import hashlib
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["Form", "forms", "statements"]

MOST = 5_000  # parts of a program: the longest answer of the course has 140
# a notebook's own commands
COMMANDS = re.compile(r"^[ \t]*(?:[%!?].*|[\w.]+\?+[ \t]*)$", re.MULTILINE)
UNCOUNTED = (ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop)
UNTOLD = {"annotation", "returns", "type_comment", "type_params", "ctx", "kind"}
Function = ast.FunctionDef | ast.AsyncFunctionDef
BINDING = Function | ast.ClassDef | ast.arg | ast.ExceptHandler
BINDING |= ast.MatchAs | ast.MatchStar


@dataclass(frozen=True)
class Form:
    """A word for an answer's normal form, and how many parts of a program it has."""

    digest: str
    length: int


def forms(
    cells: Sequence[str], names: Iterable[str], given: Collection[str] = ()
) -> dict[str, Form]:
    """The normal form of each function of these names that the cells define.

    It covers the function and what of the page it uses, in the order of use. Of several
    definitions the last one counts, unwritten ones excepted.

    given: statements that are not the learner's, as text; see `statements`

    >>> ours = forms(["def f(x):\\n    return 2 * x"], ["f"])
    >>> ours == forms(["def f(a: int):  # twice\\n    'Twice.'\\n    return 2*a"], "f")
    True
    """
    own: dict[str, ast.stmt] = {}
    imports: dict[str, str] = {}
    for text, node in statements(cells):
        imports |= _imported(node)
        if text not in given and not _is_unwritten(node):
            own |= dict.fromkeys(_binds(node), node)
    found = {}
    for name in own.keys() & set(names):
        try:
            found[name] = _Writer(own, imports).form(name)
        except (RecursionError, ValueError):  # nested or long as nobody writes
            continue
    return found


def statements(cells: Sequence[str]) -> Iterator[tuple[str, ast.stmt]]:
    """Each top-level statement, with its text; of unreadable cells there are none."""
    for source in cells:
        lines, texts = source.splitlines(), {}
        for node in _parsed(source):
            span = node.lineno - 1, node.end_lineno
            if span not in texts:  # many statements can be in one line
                texts[span] = "\n".join(lines[slice(*span)]).strip()
            yield texts[span], node


def _parsed(source: str) -> list[ast.stmt]:
    with warnings.catch_warnings(action="ignore"):
        for text in (source, COMMANDS.sub("pass", source)):
            try:
                return ast.parse(text).body
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                continue
    return []


def _imported(node: ast.AST) -> dict[str, str]:
    """What each name that an import binds means: {"F": "torch.nn.functional"}."""
    if isinstance(node, ast.Import):
        told = [(a.asname or a.name.split(".")[0], a) for a in node.names]
        return {name: a.name if a.asname else name for name, a in told}
    if isinstance(node, ast.ImportFrom):
        return {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return {}


def _binds(node: ast.stmt) -> set[str]:
    if isinstance(node, Function | ast.ClassDef):
        return {node.name}
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    inside = [part for target in targets if target for part in ast.walk(target)]
    return {part.id for part in inside if isinstance(part, ast.Name)}


def _is_unwritten(node: ast.stmt) -> bool:
    """A function that does nothing but raise: a starter."""
    if not isinstance(node, Function):
        return False
    body = [part for part in node.body if not isinstance(part, ast.Expr)]
    return len(body) == 1 and isinstance(body[0], ast.Raise)


class _Writer(ast.NodeVisitor):
    """Writes one function, and what it uses, in names of its own."""

    def __init__(self, own: Mapping[str, ast.stmt], imports: Mapping[str, str]):
        self.own, self.imports = own, dict(imports)
        self.outer: dict[str, str] = {}  # names of the page: g0, g1, …
        self.inner: set[str] = set()  # names of the statement at work …
        self.local: dict[str, str] = {}  # … and what they are written as: v0, v1, …
        self.met: set[ast.stmt] = set()
        self.waiting: list[ast.stmt] = []
        self.length = 0

    def form(self, name: str) -> Form:
        """raises: RecursionError, ValueError for what nobody writes"""
        self.name(name)
        written = hashlib.sha256()
        while self.waiting:  # which grows as helpers are met
            node = self.waiting.pop(0)
            mine = {node.name} if isinstance(node, Function) else self.own
            self.inner, self.local = {n for n in _bound_in(node) if n not in mine}, {}
            written.update(self.visit(node).encode("utf-8", "backslashreplace"))
        return Form(written.hexdigest(), self.length)

    def name(self, name: str) -> str:
        if name in self.inner:
            return self.local.setdefault(name, f"v{len(self.local)}")
        if name in self.own:
            if self.own[name] not in self.met:
                self.met.add(self.own[name])
                self.waiting.append(self.own[name])
            return self.outer.setdefault(name, f"g{len(self.outer)}")
        return self.imports.get(name, name)

    def generic_visit(self, node: ast.AST) -> str:
        self.length += not isinstance(node, UNCOUNTED)
        if self.length > MOST:
            raise ValueError("too long")
        parts = [self.part(getattr(node, f)) for f in node._fields if f not in UNTOLD]
        return f"{type(node).__name__}({' '.join(parts)})"

    def part(self, value: object) -> str:
        if isinstance(value, ast.AST):
            return self.visit(value)
        if isinstance(value, list):
            return f"[{' '.join(filter(None, map(self.part, value)))}]"
        return self.name(value) if isinstance(value, str) else repr(value)

    def visit_Name(self, node: ast.Name) -> str:
        self.length += 1
        return self.name(node.id)

    def visit_Attribute(self, node: ast.Attribute) -> str:
        self.length += 1
        return f"{self.visit(node.value)}.{node.attr}"

    def visit_Constant(self, node: ast.Constant) -> str:
        self.length += 1
        return repr(node.value)

    def visit_keyword(self, node: ast.keyword) -> str:
        return f"{node.arg}={self.visit(node.value)}"

    def visit_Call(self, node: ast.Call) -> str:
        """The keywords of a helper of one's own are names like any other."""
        self.length += 1
        function = self.visit(node.func)
        given = [*map(self.visit, node.args)]
        if function in self.outer.values():
            given += [self.visit(keyword.value) for keyword in node.keywords]
        else:
            given += map(self.visit, node.keywords)
        return f"{function}({' '.join(given)})"

    def visit_Import(self, node: ast.Import | ast.ImportFrom) -> str:
        self.imports |= _imported(node)
        return ""

    visit_ImportFrom = visit_Import

    def visit_Expr(self, node: ast.Expr) -> str:
        is_docstring = isinstance(node.value, ast.Constant)
        return "" if is_docstring else self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> str:
        return ""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> str:
        if node.value is None:
            return ""
        return self.visit(ast.Assign([node.target], node.value))


def _bound_in(node: ast.stmt) -> set[str]:
    """Every name that something in a statement gives a value to."""
    found = set()
    for count, part in enumerate(ast.walk(node)):
        if count > 3 * MOST:
            raise ValueError("too long")
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            found.add(part.id)
        elif isinstance(part, BINDING):
            found.add(getattr(part, "arg", None) or part.name)
    return found - {None}  # of `except ValueError:` and `case _:`
