"""The code of a file alone, spelled alike by every version of Python: what hashes of source are made of."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path
from typing import Any

_OF_THE_PARSER = ("kind", "type_comment", "type_ignores", "ctx")


@cache
def code_of(path: Path) -> str:
    """The statements of a Python file without comments, docstrings, layout and the claims of papers.

    Not `ast.unparse` or `ast.dump`, whose spelling changes between versions of Python: nodes that share a
    store would not know each other's results. Raises SyntaxError for what is no Python.
    """
    tree = _Alike().visit(ast.parse(path.read_bytes()))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
            and isinstance(body[0].value.value, str)
        ):
            node.body = body[1:] or [ast.Pass()]
    words: list[str] = []
    _spell(tree, words)
    return " ".join(words)


def _spell(value: Any, words: list[str]) -> None:
    """Append a node with those of its fields that are filled: what newer versions add is empty before."""
    if isinstance(value, ast.AST):
        words.append(type(value).__name__)
        for name in value._fields:
            content = getattr(value, name, None)
            if content is not None and content != [] and name not in _OF_THE_PARSER:
                words.append(name)
                _spell(content, words)
        words.append(")")
    elif isinstance(value, list):
        words.append(f"[{len(value)}")
        for item in value:
            _spell(item, words)
    else:
        words.append(repr(value))


class _Alike(ast.NodeTransformer):
    """Takes the claims of a paper out of a component's source: they say what is tested, not what is done.

    Puts the text of an f-string together, which some versions cut into pieces.
    """

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.ClassDef:
        node.body = [s for s in node.body if not _declares(s, "claims")] or [ast.Pass()]
        self.generic_visit(node)
        return node

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        if node.module == "bench.api":
            node.names = [alias for alias in node.names if alias.name not in ("Claim", "Figure")]
        return node if node.names else None

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.JoinedStr:
        self.generic_visit(node)
        parts: list[ast.expr] = []
        for part in node.values:
            before = parts[-1] if parts else None
            if isinstance(part, ast.Constant) and isinstance(before, ast.Constant):
                parts[-1] = ast.Constant(str(before.value) + str(part.value))
            elif not (isinstance(part, ast.Constant) and part.value == ""):
                parts.append(part)
        node.values = parts
        return node


def _declares(statement: ast.stmt, name: str) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return [t.id for t in targets if isinstance(t, ast.Name)] == [name]
