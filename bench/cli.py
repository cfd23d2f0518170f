"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench import __version__
from bench.errors import BenchError, UsageError

if TYPE_CHECKING:
    from bench.config import RunConfig

app = typer.Typer(
    help="Compare methods that hide gender, age and race in face images while keeping faces matchable.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

DONE, SOME_FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130


class Kind(StrEnum):
    """Kinds of component, singular and plural."""

    METHODS = "methods"
    ATTACKERS = "attackers"
    MATCHERS = "matchers"
    DATASETS = "datasets"
    METRICS = "metrics"


class NewKind(StrEnum):
    """Kinds of component that `new` writes."""

    METHOD = "method"
    ATTACKER = "attacker"
    MATCHER = "matcher"


_Names = Annotated[list[str] | None, typer.Option(help="names separated by commas, `all` or `default`")]
_Methods = Annotated[list[str] | None, typer.Option(help="methods or method:variant, by commas; `all`")]
_Data = Annotated[
    list[Path] | None, typer.Option(help="folder with the dataset's files; repeat to join several")
]
_Weights = Annotated[Path | None, typer.Option(help="folder of pretrained networks; else BENCH_WEIGHTS")]
_Config = Annotated[Path | None, typer.Option("--config", help="YAML file with any of these options")]
_Dataset = Annotated[str | None, typer.Option(help="dataset; default synthetic")]
_Variants = Annotated[str | None, typer.Option(help="what a bare method name means: `default` or `all`")]
_Size = Annotated[int | None, typer.Option(help="side of the images in pixels; default: the dataset's own")]
_Seed = Annotated[int | None, typer.Option(help="the only source of randomness")]
_Preset = Annotated[str | None, typer.Option(help="preset of the methods: `quick` or `paper`")]
_Workers = Annotated[int | None, typer.Option(help="worker processes; default: one a core")]
_Device = Annotated[str | None, typer.Option(help="torch device of the workers")]
_StoreOption = Annotated[Path | None, typer.Option(help="where finished work is kept; default .bench")]
_Out = Annotated[Path | None, typer.Option(help="where the report goes; default runs/<dataset>")]
_Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="any configuration key: key=value, options.san.strength=0.8"),
]
_Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="show the traceback of an error")]


@app.command()
def run(
    methods: _Methods = None,
    dataset: _Dataset = None,
    data: _Data = None,
    weights: _Weights = None,
    attackers: _Names = None,
    matchers: _Names = None,
    extractors: _Names = None,
    attributes: _Names = None,
    variants: _Variants = None,
    size: _Size = None,
    preset: _Preset = None,
    seed: _Seed = None,
    workers: _Workers = None,
    device: _Device = None,
    store: _StoreOption = None,
    out: _Out = None,
    config: _Config = None,
    settings: _Set = None,
    verbose: _Verbose = False,
) -> None:
    """Compare methods: train what is missing, attack, match, score, and write the leaderboard.

    Repeating the command continues an interrupted run; what is done is not done again.
    """
    _say(f"veilbench {__version__}: comparing methods on {dataset or 'the configured dataset'}")
    from bench.run import run as run_bench

    loaded = _configured(locals())
    if run_bench(loaded, _say):
        raise typer.Exit(SOME_FAILED)


@app.command()
def plan(
    methods: _Methods = None,
    dataset: _Dataset = None,
    data: _Data = None,
    weights: _Weights = None,
    attackers: _Names = None,
    matchers: _Names = None,
    extractors: _Names = None,
    attributes: _Names = None,
    variants: _Variants = None,
    size: _Size = None,
    preset: _Preset = None,
    seed: _Seed = None,
    store: _StoreOption = None,
    config: _Config = None,
    settings: _Set = None,
    verbose: _Verbose = False,
) -> None:
    """Show what a run would do and what is already done, without doing anything."""
    from bench.plan import build
    from bench.store import Store

    loaded = _configured(locals())
    planned = build(loaded)
    kept = Store(loaded.store)
    for cell in planned.cells.values():
        state = "done" if kept.has(cell.key) else "to do"
        print(f"{state:6} {cell.stage:13} {cell.key[:12]}  {cell.title}")
    for missing in planned.missing:
        print(f"unavailable: {missing.kind} {missing.name}: {missing.reason}; {missing.remedy}")
    to_do = [c for c in planned.cells.values() if not kept.has(c.key)]
    print(
        f"{len(planned.cells)} cells, {len(to_do)} to do, about {sum(c.cost for c in to_do):.0f} core-seconds"
    )


@app.command()
def train(
    methods: _Methods = None,
    dataset: _Dataset = None,
    data: _Data = None,
    weights: _Weights = None,
    size: _Size = None,
    preset: _Preset = None,
    seed: _Seed = None,
    workers: _Workers = None,
    device: _Device = None,
    store: _StoreOption = None,
    config: _Config = None,
    settings: _Set = None,
    ship: Annotated[bool, typer.Option(help="put the weights and their cards into the package")] = False,
    verbose: _Verbose = False,
) -> None:
    """Train methods on the DEVELOP pool, whatever weights ship with the package."""
    _say(f"veilbench {__version__}: training")
    from bench.train import train as train_methods

    if train_methods(_configured(locals()), _say, ship=ship):
        raise typer.Exit(SOME_FAILED)


@app.command()
def report(
    methods: _Methods = None,
    dataset: _Dataset = None,
    data: _Data = None,
    weights: _Weights = None,
    attackers: _Names = None,
    matchers: _Names = None,
    extractors: _Names = None,
    attributes: _Names = None,
    variants: _Variants = None,
    size: _Size = None,
    preset: _Preset = None,
    seed: _Seed = None,
    store: _StoreOption = None,
    out: _Out = None,
    config: _Config = None,
    settings: _Set = None,
    verbose: _Verbose = False,
) -> None:
    """Write the report of what is already computed; compute nothing."""
    from bench.run import collect_only

    collect_only(_configured(locals()), _say)


@app.command("list")
def list_components(kind: Annotated[Kind, typer.Argument(help="what to list")]) -> None:
    """List components; files are read, not imported."""
    if kind is Kind.METRICS:
        from bench.report.tables import METRICS

        for name, metric in METRICS.items():
            print(f"{name:24} {metric.title}")
        return
    from bench.discover import components

    for name, listed in components(kind.value.removesuffix("s")).items():
        if listed.problem:
            print(f"{name:28} unavailable: {listed.problem}")
            continue
        tags = [str(listed.metadata[key]) for key in ("role", "reads") if key in listed.metadata]
        tag = f" ({', '.join(tags)})" if tags else ""
        paper = f" [{listed.metadata['paper']}]" if listed.metadata.get("paper") else ""
        print(f"{name:28} {listed.title}{paper}{tag}")


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="component to check, by name")],
    verbose: _Verbose = False,
) -> None:
    """Run the contract of a component on tiny faces, in seconds."""
    from bench.contract import check_component

    findings = check_component(name)
    for finding in findings:
        print(f"{'ok  ' if finding.ok else 'FAIL'} {finding.what}{f': {finding.why}' if finding.why else ''}")
    failed = sum(not f.ok for f in findings)
    print(f"{name}: {len(findings) - failed} of {len(findings)} checks passed")
    if failed:
        raise typer.Exit(SOME_FAILED)


@app.command()
def new(
    kind: Annotated[NewKind, typer.Argument(help="what to write")],
    name: Annotated[str, typer.Argument(help="its name, a Python identifier in lower case")],
) -> None:
    """Write the file of a new component, ready to be filled in."""
    from bench.scaffold import write_component

    path = write_component(kind.value, name)
    print(f"wrote {path}; next: python -m bench check {name}")


@app.command()
def doctor(weights: _Weights = None) -> None:
    """Say what this machine and installation can do, and what is missing."""
    from bench.doctor import diagnose

    for line in diagnose(weights):
        print(line)


def main() -> None:
    """Entry point: errors become one line and an exit status; `-v` shows the traceback."""
    try:
        app(standalone_mode=False)
    except KeyboardInterrupt:
        _say("\ninterrupted; repeat the command to continue where it stopped")
        sys.exit(INTERRUPTED)
    except UsageError as error:
        _fail(error, BAD_USAGE)
    except BenchError as error:
        _fail(error, BAD_USAGE if "-v" not in sys.argv else SOME_FAILED)
    except typer.Exit as stop:
        sys.exit(stop.exit_code)


def _fail(error: BenchError, status: int) -> None:
    if {"-v", "--verbose"} & set(sys.argv):
        import traceback

        traceback.print_exception(error)
    print(f"error: {error}", file=sys.stderr)
    sys.exit(status)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _configured(options: dict[str, Any]) -> RunConfig:
    """The configuration from a command's options: only those that were given override the file."""
    from bench.config import RunConfig, load_config

    overrides: dict[str, Any] = {}
    for key, value in options.items():
        if key in RunConfig.model_fields and value is not None:
            overrides[key] = _split(key, value)
    for entry in options.get("settings") or []:
        key, equals, text = entry.partition("=")
        if not equals:
            raise UsageError(f"--set {entry}: write key=value")
        _assign(overrides, key.strip(), text)
    return load_config(options.get("config"), overrides)


def _split(key: str, value: Any) -> Any:
    if isinstance(value, list) and key != "data":
        return [name.strip() for entry in value for name in entry.split(",") if name.strip()]
    return value


def _assign(overrides: dict[str, Any], key: str, text: str) -> None:
    import yaml

    *parents, last = key.split(".")
    for parent in parents:
        overrides = overrides.setdefault(parent, {})
    overrides[last] = yaml.safe_load(text)
