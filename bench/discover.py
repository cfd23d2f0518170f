"""Finds components by file. Listing reads syntax trees alone; nothing is imported until it is used."""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.machinery import PathFinder
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from bench.errors import Unavailable, UsageError, unknown_name
from bench.source_text import code_of

PACKAGES = {
    "method": "methods",
    "attacker": "attackers",
    "matcher": "matchers",
    "dataset": "bench.datasets",
    "metric": "bench.quality.metrics",
}
"""Kind of component -> the package whose files are its plug-ins; also the entry point `bench.<kind>s`."""

NAME = re.compile(r"[a-z][a-z0-9_]*")
"""What a component can be called: a name of its own in file names, commands and tables."""

_BASES = {
    "method": ("bench.components.method_base", "AnyMethod"),
    "attacker": ("bench.components.attacker", "Attacker"),
    "matcher": ("bench.components.matcher", "Matcher"),
    "dataset": ("bench.components.dataset", "Dataset"),
    "metric": ("bench.components.metric", "Metric"),
}
_OFFERED = {kind: f"bench.api.{base}" for kind, (_, base) in _BASES.items()} | {
    "method": "bench.api.Method or bench.api.EmbeddingMethod"
}

# Changes in these are versioned by the stages that call them, not by each component's source.
_CONTRACT = (
    "bench.api",
    "bench.components",
    "bench.errors",
    "bench.faces",
    "bench.foreign",
    "bench.weights",
    "bench.store",
)


@dataclass(frozen=True)
class Listed:
    """A component as its source declares it. `metadata` holds the class attributes with literal values.

    origin: the installed package that registers it; empty for a file of the checkout.
    """

    kind: str
    id: str
    module: str
    path: Path
    class_name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    problem: str = ""
    origin: str = ""

    @property
    def where(self) -> str:
        """The file, and the package it is from, for people."""
        return f"{self.path.name} of package {self.origin}" if self.origin else self.path.name

    @property
    def title(self) -> str:
        return str(self.metadata.get("title", self.id))


def folder_of(kind: str) -> Path:
    """The folder whose files are the components of a kind."""
    package = PACKAGES[kind]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise UsageError(f"package {package} is not installed; run pip install -e . in the checkout")
    return Path(spec.origin).parent


@cache
def components(kind: str) -> dict[str, Listed]:
    """All components of a kind by name, sorted; what cannot be read is listed with its problem.

    Raises UsageError where two of them have one name, since no table could tell them apart.
    """
    found: dict[str, Listed] = {}
    for listed in (*_files(kind), *_registered(kind)):
        if listed.id in found:
            raise UsageError(
                f"two {kind}s are called {listed.id}: {found[listed.id].where} and {listed.where}; rename "
                "one, or uninstall the package"
            )
        found[listed.id] = listed
    return dict(sorted(found.items()))


def find(kind: str, name: str) -> Listed:
    """The component called `name`; an unknown one is a `UsageError` naming the nearest."""
    known = components(kind)
    if name not in known:
        raise unknown_name(kind, name, known)
    return known[name]


def load_class(kind: str, name: str) -> Any:
    """Import a component and return its class. Raises Unavailable when its file cannot be imported."""
    listed = find(kind, name)
    if listed.problem:
        raise Unavailable(f"{kind} {name}: {listed.problem}", f"mend {listed.where}")
    try:
        module = importlib.import_module(listed.module)
    except (Exception, SystemExit) as error:  # whatever a plug-in's import raises is its problem alone
        raise Unavailable(
            f"{kind} {name} cannot be imported: {type(error).__name__}: {error}",
            f"mend {listed.where} or install what it needs",
        ) from error
    component: Any = getattr(module, listed.class_name, None)
    place, base = _BASES[kind]
    wanted = getattr(importlib.import_module(place), base)
    fits = isinstance(component, type) and issubclass(component, wanted)
    if not fits:
        derive = f"derive it from {_OFFERED[kind]}"
        raise Unavailable(f"{listed.class_name} in {listed.where} is no {kind}", derive)
    component.id = name
    return component


def lacking(listed: Listed) -> str:
    """What a component's file imports at its top and this installation lacks, without importing anything;
    empty if nothing."""
    names = [
        name.partition(".")[0]
        for node in ast.parse(listed.path.read_bytes()).body
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    ]
    missing = [name for name in dict.fromkeys(names) if name and importlib.util.find_spec(name) is None]
    return f"not installed: {', '.join(missing)}" if missing else ""


@cache
def preset_names(kind: str) -> frozenset[str]:
    """Every name that a preset has in the source of a component of a kind."""
    trees = (ast.parse(c.path.read_bytes()) for c in components(kind).values() if not c.problem)
    return frozenset(
        key.value
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Dict)
        if "presets" in {t.id for t in _targets(node) if isinstance(t, ast.Name)}
        for key in node.value.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    )


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


@cache
def source_hash(kind: str, name: str) -> str:
    """SHA-256 of a component's code and of the project's code it imports, without comments and docstrings."""
    listed = find(kind, name)
    return code_hash(listed.module)


@cache
def code_hash(module: str, beside: tuple[str, ...] = ()) -> str:
    """As `source_hash`, for any module of the project; packages in `beside` do not determine the result."""
    closure = sorted(m for m in _closure(module) if not m.startswith(beside or "\0"))
    sources = {m: code_of(_file_of(m)) for m in closure}
    return hashlib.sha256("\0".join(f"{m}\0{s}" for m, s in sources.items()).encode()).hexdigest()


def _files(kind: str) -> Iterator[Listed]:
    """The components among the files of the kind's folder."""
    package = PACKAGES[kind]
    for path in sorted(folder_of(kind).iterdir()):
        if path.name.startswith(("_", ".")):
            continue
        if path.suffix == ".py":
            yield _read(kind, path.stem, f"{package}.{path.stem}", path)
        elif (path / "__init__.py").is_file():
            yield _read(kind, path.name, f"{package}.{path.name}", path / "__init__.py")


def _registered(kind: str) -> Iterator[Listed]:
    """The components that installed packages register as entry points of the group `bench.<kind>s`."""
    for point in entry_points(group=f"bench.{kind}s"):
        origin = f"{point.dist.name} {point.dist.version}" if point.dist else "unknown"
        path = _located(point.module)
        if not NAME.fullmatch(point.name):
            problem = f"entry point '{point.name}' must be lower case letters, digits and _"
            listed = Listed(kind, point.name, point.module, path or Path(point.module), problem=problem)
        elif path is None:
            problem = f"entry point {point.name} names a module {point.module} that is not there"
            listed = Listed(kind, point.name, point.module, Path(point.module), problem=problem)
        else:
            listed = _read(kind, point.name, point.module, path, point.attr)
        yield replace(listed, origin=origin)


def _located(module: str) -> Path | None:
    """The source file of a module, found without importing the packages around it."""
    places: Sequence[str] | None = None
    spec = None
    for depth in range(1, module.count(".") + 2):
        name = ".".join(module.split(".")[:depth])
        try:
            spec = importlib.util.find_spec(name) if depth == 1 else PathFinder.find_spec(name, places)
        except (ImportError, ValueError):
            return None
        if spec is None:
            return None
        places = spec.submodule_search_locations
    return Path(spec.origin) if spec and spec.origin else None


def _read(kind: str, name: str, module: str, path: Path, class_name: str = "") -> Listed:
    """class_name: the class that is meant; if empty the first one with a title."""
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError) as error:
        # The last two are what Python's parser has for code that is nested too deeply.
        return Listed(kind, name, module, path, problem=f"{type(error).__name__}: {error}")
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and class_name in ("", node.name):
            metadata = _literals(node)
            if "title" in metadata:
                return Listed(kind, name, module, path, node.name, metadata)
    lacking = f"no class {class_name or 'in it'} with a `title`, as a text in quotes"
    return Listed(kind, name, module, path, problem=lacking)


def _literals(node: ast.ClassDef) -> dict[str, Any]:
    values = {}
    for statement in node.body:
        if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
            target, value = statement.targets[0], statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            target, value = statement.target, statement.value
        else:
            continue
        if isinstance(target, ast.Name):
            literal = _literal(value)
            if literal is not None:
                values[target.id] = literal
    return values


def _literal(node: ast.expr) -> Any:
    """The value of a literal; of a call with literal keywords (`Pretrained(...)`) its keywords; else None."""
    if isinstance(node, ast.Call):
        keywords = {k.arg: _literal(k.value) for k in node.keywords if k.arg}
        return keywords or None
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):  # no literal, or one of an unhashable key
        return None


def _closure(module: str) -> set[str]:
    seen, pending = set(), [module]
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        pending += [m for m in _imports(current) if not m.startswith(_CONTRACT)]
    return seen


def _imports(module: str) -> set[str]:
    """Modules of the project (or of the component's own package) that `module` imports, at any depth."""
    path = _file_of(module)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    roots = {p.partition(".")[0] for p in PACKAGES.values()} | {module.partition(".")[0]}
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, package)
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return {n for n in names if n.partition(".")[0] in roots and _is_module(n)}


def _absolute(node: ast.ImportFrom, package: str) -> str:
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    base = parents[: len(parents) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


@cache
def _is_module(name: str) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError):
        return False
    return spec is not None and spec.origin is not None


@cache
def _file_of(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise UsageError(f"no source file for module {module}")
    return Path(spec.origin)
