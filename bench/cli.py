"""The command line. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import functools
import inspect
import signal
import sys
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn, get_type_hints

import typer

from bench import __version__
from bench.commands.compare import compare
from bench.commands.data import app as data_commands
from bench.commands.plan import plan
from bench.commands.publish import publish
from bench.commands.store import app as store_commands
from bench.commands.throughput import throughput
from bench.commands.weights import app as weights_commands
from bench.errors import BenchError, InputError, Unavailable, UsageError
from bench.shown import one_line

if TYPE_CHECKING:
    from bench.config import RunConfig

app = typer.Typer(
    help="Compare methods that hide gender, age and race in face images while keeping faces matchable.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

app.add_typer(weights_commands, name="weights")
app.add_typer(data_commands, name="data")
app.add_typer(store_commands, name="store")
app.command()(throughput)

# typer does not name the class that its errors of usage share.
_CommandLineError: Any = typer.BadParameter.__base__
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
    DATASET = "dataset"
    METRIC = "metric"


class Level(StrEnum):
    """What a method changes."""

    IMAGE = "image"
    TEMPLATE = "template"


_Names = Annotated[list[str] | None, typer.Option(help="names separated by commas, `all` or `default`")]
_Weights = Annotated[Path | None, typer.Option(help="folder of pretrained networks; else BENCH_WEIGHTS")]
_Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="show the traceback of an error")]
_SHARED_OPTIONS: dict[str, Any] = {
    "methods": Annotated[
        list[str] | None, typer.Option(help="methods or method:variant, separated by commas, or `all`")
    ],
    "dataset": Annotated[str | None, typer.Option(help="dataset; default synthetic")],
    "data": Annotated[
        list[Path] | None, typer.Option(help="folder with the dataset's files; repeat to join several")
    ],
    "train_on": Annotated[
        list[str] | None,
        typer.Option(help="datasets whose join methods learn on, separated by commas; default: the dataset"),
    ],
    "test_on": Annotated[
        list[str] | None,
        typer.Option(
            "--test-on",
            "--datasets",
            help="datasets to evaluate on, in one run with one table over all, separated by commas; each "
            "learns on itself unless --train-on says otherwise",
        ),
    ],
    "weights": _Weights,
    "attackers": _Names,
    "matchers": _Names,
    "extractors": _Names,
    "attributes": _Names,
    "variants": Annotated[str | None, typer.Option(help="what a bare method name means: `default` or `all`")],
    "threats": Annotated[
        list[str] | None,
        typer.Option(help="rungs of the attackers' ladder, separated by commas; `static` is always there"),
    ],
    "label_source": Annotated[
        list[str] | None,
        typer.Option(help="whose labels methods are told: truth, predicted, random, separated by commas"),
    ],
    "pairs": Annotated[
        str | None,
        typer.Option(help="comparisons: all, the dataset's published list, or MATED/NON_MATED as 1000/2000"),
    ],
    "protocol": Annotated[
        str | None,
        typer.Option(help="a published evaluation: gender-an, privacynet, flowsan, li-mm21, san, lfw"),
    ],
    "quick": Annotated[
        bool | None,
        typer.Option("--quick", help="a first look in about a minute; what else is given goes before it"),
    ],
    "size": Annotated[
        int | None, typer.Option(help="side of the images in pixels; default: the dataset's own")
    ],
    "preset": Annotated[str | None, typer.Option(help="preset of the components: `quick` or `paper`")],
    "throughput": Annotated[
        list[Path] | None,
        typer.Option(
            help="table of `bench throughput` for the report to show; repeat it for several machines"
        ),
    ],
    "show_faces": Annotated[
        bool | None,
        typer.Option(
            "--show-faces", help="put faces of real people into the page, which must then not be published"
        ),
    ],
    "train_precision": Annotated[
        str | None,
        typer.Option(help="number format methods are trained in: fp32 (default) or bf16, by autocast"),
    ],
    "seed": Annotated[int | None, typer.Option(help="the only source of randomness")],
    "seeds": Annotated[int | None, typer.Option(help="how many seeds to run, from --seed upwards")],
    "workers": Annotated[int | None, typer.Option(help="worker processes; default: one a core")],
    "device": Annotated[str | None, typer.Option(help="torch device of the workers")],
    "engine": Annotated[
        str | None,
        typer.Option(help="where cells are worked on: local (default), this machine; ray, a Ray cluster"),
    ],
    "address": Annotated[
        str | None,
        typer.Option(help="Ray cluster: HOST:PORT, ray://HOST:PORT, or auto (default): the one running here"),
    ],
    "inference": Annotated[
        str | None,
        typer.Option(
            help="how networks are evaluated: exact (default); fastest, on the path that is fastest here and "
            "deviates little; compiled, torch.compile among the paths"
        ),
    ],
    "store": Annotated[Path | None, typer.Option(help="where finished work is kept; default .bench")],
    "out": Annotated[Path | None, typer.Option(help="where the report goes; default runs/<dataset>")],
    "config": Annotated[Path | None, typer.Option("--config", help="YAML file with any of these options")],
    "set": Annotated[
        list[str] | None,
        typer.Option("--set", help="any configuration key: key=value, options.san.strength=0.8"),
    ],
    "verbose": _Verbose,
}


_LEARNING_OPTIONS = (
    *("dataset", "data", "train_on", "weights", "size", "preset", "seed"),
    *("workers", "device", "store", "config", "set", "verbose"),
)
"""Those that say what a method learns on and where work is done and kept."""


def _configured(
    command: Callable[..., None], options: Collection[str] = _SHARED_OPTIONS
) -> Callable[..., None]:
    """Make `command(config, ...)` a command with options that commands on a run share; by default all."""
    chosen = {name: annotation for name, annotation in _SHARED_OPTIONS.items() if name in options}
    hints = get_type_hints(command, localns={"RunConfig": object}, include_extras=True)
    own = list(inspect.signature(command).parameters.values())[1:]

    @functools.wraps(command)
    def with_options(**given: Any) -> None:
        config = _read_config({name: given.pop(name) for name in chosen})
        command(config, **given)

    shared = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name == "verbose" else None,
            annotation=annotation,
        )
        for name, annotation in chosen.items()
    ]
    kind = inspect.Parameter.KEYWORD_ONLY
    parameters = [*shared, *(p.replace(kind=kind, annotation=hints[p.name]) for p in own)]
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_options.__annotations__ = {p.name: p.annotation for p in parameters}
    return with_options


@app.command()
@_configured
def run(
    config: RunConfig,
    profile: Annotated[bool, typer.Option("--profile", help="say where the time went, cell by cell")] = False,
) -> None:
    """Compare methods: train what is missing, attack, match, score, and write the leaderboard.

    Repeating the command continues an interrupted run; what is done is not done again.
    """
    from bench.run import run as run_bench

    if run_bench(config, _say, profile=profile):
        raise typer.Exit(SOME_FAILED)


app.command()(_configured(plan))


@app.command()
@_configured
def train(
    config: RunConfig,
    ship: Annotated[bool, typer.Option(help="put the weights and their cards into the package")] = False,
) -> None:
    """Train methods on the DEVELOP pool, or, where only --matchers is given, matchers on ATTACK, whatever
    weights ship with the package."""
    from bench.train import train as train_methods

    if train_methods(config, _say, ship=ship):
        raise typer.Exit(SOME_FAILED)


@app.command()
@_configured
def report(config: RunConfig) -> None:
    """Write the report of what is already computed; compute nothing."""
    from bench.run import collect_only

    collect_only(config, _say)


@app.command()
@_configured
def claims(config: RunConfig) -> None:
    """Re-test what the papers claim on what is already computed: held, not held, or cannot tell, and why."""
    from bench.claims import run as retest_claims
    from bench.report.claims import to_lines
    from bench.sources import evaluations

    for part in evaluations(config):
        for line in to_lines(retest_claims(part, _say)):
            print(one_line(line))


@app.command()
@functools.partial(_configured, options=_LEARNING_OPTIONS)
def protect(
    config: RunConfig,
    source: Annotated[Path, typer.Argument(metavar="IN", help="folder of photographs; never written to")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="folder for protected faces and a CSV")],
    method: Annotated[str, typer.Option(help="one output of a method, as flowsan:n=3")],
    paste: Annotated[
        bool, typer.Option("--paste", help="put protected faces back into their photographs")
    ] = False,
    labels: Annotated[
        Path | None, typer.Option(help="CSV of true labels: file and one column an attribute; else predicted")
    ] = None,
) -> None:
    """Protect the faces in a folder of photographs.

    Every file is accounted for in OUT/protected.csv; repeating the command continues where it stopped. A
    method that learns does so on --dataset, as in `run`.
    """
    from bench.user_photos.run import protect_folder

    if protect_folder(config, source, target, method=method, paste=paste, labels=labels, say=_say):
        raise typer.Exit(SOME_FAILED)


@app.command("list")
def list_components(kind: Annotated[Kind, typer.Argument(help="what to list")]) -> None:
    """List components; files are read, not imported."""
    if kind is Kind.METRICS:
        from bench.report.tables import METRICS

        for name, metric in METRICS.items():
            print(f"{name:24} {metric.title}")
    from bench.discover import components

    for name, listed in components(kind.value.removesuffix("s")).items():
        if listed.problem:
            print(one_line(f"{name:28} unavailable: {listed.problem}"))
            continue
        tags = [str(listed.metadata[key]) for key in ("role", "reads") if key in listed.metadata]
        tag = f" ({', '.join(tags)})" if tags else ""
        paper = f" [{listed.metadata['paper']}]" if listed.metadata.get("paper") else ""
        print(one_line(f"{name:28} {listed.title}{paper}{tag}"))


@app.command()
def check(
    names: Annotated[list[str], typer.Argument(help="components to check, by name")],
    data: Annotated[
        list[Path] | None,
        typer.Option(help="folder with files of the dataset to check; repeat to join several"),
    ] = None,
    verbose: _Verbose = False,
) -> None:
    """Run the contract of components on tiny faces, in seconds."""
    from bench.contract import check_component

    failed = 0
    for name in names:
        findings = check_component(name, data=tuple(data or ()))
        for finding in findings:
            why = f": {finding.why}" if finding.why else ""
            print(one_line(f"{'ok  ' if finding.ok else 'FAIL'} {finding.what}{why}"))
        wrong = sum(not f.ok for f in findings)
        print(f"{name}: {len(findings) - wrong} of {len(findings)} checks passed", flush=True)
        failed += wrong
    if failed:
        raise typer.Exit(SOME_FAILED)


@app.command()
def new(
    kind: Annotated[NewKind, typer.Argument(help="what to write")],
    name: Annotated[str, typer.Argument(help="its name, a Python identifier in lower case")],
    level: Annotated[
        Level, typer.Option(help="of a method: whether it changes the image or a matcher's template of it")
    ] = Level.IMAGE,
) -> None:
    """Write the file of a new component, a working start to be filled in."""
    from bench.scaffold import next_step, write_component

    path = write_component(kind.value, name, template=level is Level.TEMPLATE)
    here = path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
    print(f"wrote {here}; next: {next_step(kind.value, name)}")


@app.command()
def doctor(weights: _Weights = None) -> None:
    """Say what this machine and installation can do, and what is missing."""
    from bench.doctor import diagnose

    for line in diagnose(weights):
        print(one_line(line))


app.command()(compare)
app.command()(publish)


def main() -> None:
    """Entry point: errors become one line and an exit status; `-v` shows the traceback."""
    # A background job may have been started with Ctrl-C ignored, and a scheduler stops with SIGTERM: both
    # end the run in order, with no worker left behind.
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, signal.default_int_handler)
    try:
        status = app(standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except _CommandLineError as error:
        _fail(error, error.format_message(), BAD_USAGE)
    except (UsageError, InputError, Unavailable) as error:
        _fail(error, str(error), BAD_USAGE)
    except BenchError as error:
        _fail(error, str(error), SOME_FAILED)
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        what = f"{place}{error.strerror or error}; check the path, its permissions and the room there is"
        _fail(error, what, SOME_FAILED)
    if status == INTERRUPTED:  # typer may also turn Ctrl-C into this status by itself
        _say("")
        _say("interrupted; repeat the command to continue where it stopped")
    sys.exit(status if isinstance(status, int) else DONE)


def _fail(error: Exception, message: str, status: int) -> NoReturn:
    if {"-v", "--verbose"} & set(sys.argv):
        import traceback

        traceback.print_exception(error)
    print(f"error: {one_line(message)}", file=sys.stderr)
    sys.exit(status)


def _say(line: str) -> None:
    print(one_line(line), file=sys.stderr, flush=True)


def _read_config(options: Mapping[str, Any]) -> RunConfig:
    """The configuration from a command's options: only those that were given override the file."""
    # Said before anything heavy is imported, so that nobody waits in front of an empty screen.
    named = [options.get(name) for name in ("dataset", "test_on", "protocol", "config")]
    what = next((name for name in named if name), "synthetic")
    what = ", ".join(what) if isinstance(what, list) else what
    _say(f"veilbench {__version__}: {what}, reading what there is")
    from bench.config import RunConfig, load_config

    overrides: dict[str, Any] = {}
    for key, value in options.items():
        if key in RunConfig.model_fields and value is not None:
            overrides[key] = _split(key, value)
    for entry in options.get("set") or []:
        key, equals, text = entry.partition("=")
        if not equals:
            raise UsageError(f"--set {entry}: write key=value")
        _assign(overrides, key.strip(), text)
    return load_config(options.get("config"), overrides)


def _split(key: str, value: Any) -> Any:
    if isinstance(value, list) and key not in ("data", "throughput"):
        names = [name.strip() for entry in value for name in entry.split(",") if name.strip()]
        if not names:
            raise UsageError(f"--{key.replace('_', '-')} names nothing; leave it out, or write a name")
        return names
    return value


def _assign(overrides: dict[str, Any], key: str, text: str) -> None:
    from bench.outside import parse_yaml

    *parents, last = key.split(".")
    for parent in parents:
        overrides = overrides.setdefault(parent, {})
        if not isinstance(overrides, dict):
            raise UsageError(f"--set {key}: {parent} is given already, as one value; give it once")
    try:
        overrides[last] = parse_yaml(text)
    except ValueError as error:
        raise UsageError(f"--set {key}: the value is not YAML ({error}); put it in quotes") from error
