"""`bench throughput`: how fast components run on a device."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.shown import one_line

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

_Names = Annotated[str, typer.Option(help="names separated by commas, `all` or `none`")]


@app.command()
def throughput(
    methods: Annotated[
        str, typer.Option(help="methods or method:variant, separated by commas, `all` or `none`")
    ] = "all",
    matchers: _Names = "all",
    attackers: _Names = "all",
    metrics: _Names = "all",
    batch: Annotated[str, typer.Option(help="images a call, separated by commas")] = "1,16,128",
    precision: Annotated[str, typer.Option(help="fp32, bf16 or both, separated by commas")] = "fp32,bf16",
    paths: Annotated[
        str, typer.Option(help="eager, channels_last, winograd, flat, aligned, compiled; with commas")
    ] = "eager,channels_last,flat,aligned",
    compile_names: Annotated[
        str, typer.Option("--compile", help="components that go through torch.compile, which takes long")
    ] = "none",
    training: Annotated[
        str, typer.Option(help="methods whose training steps a second are measured, `all` or `none`")
    ] = "none",
    compile_mode: Annotated[str, typer.Option(help="torch.compile's mode")] = "default",
    device: Annotated[str, typer.Option(help="cpu or cuda")] = "cpu",
    preset: Annotated[str, typer.Option(help="preset of the components: `quick` or `paper`")] = "paper",
    size: Annotated[int, typer.Option(help="side of the images in pixels")] = 224,
    seconds: Annotated[float, typer.Option(help="spent on timing a row")] = 0.5,
    budget: Annotated[float, typer.Option(help="seconds after which no row is begun; 0: no limit")] = 0.0,
    weights: Annotated[
        Path | None, typer.Option(help="folder of pretrained networks; else BENCH_WEIGHTS")
    ] = None,
    out: Annotated[Path, typer.Option(help="where table and figure go")] = Path("runs/throughput"),
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="show the traceback of an error")] = False,
) -> None:
    """Measure images a second, latency and memory, beside what the device itself can do.

    Weights are untrained; every row names GPU, driver, torch, precision and batch. The papers' style (fp32,
    eager, one image a call) is measured in the same run.
    """
    from bench.throughput.build import Wanted
    from bench.throughput.run import Options
    from bench.throughput.run import throughput as measure_throughput

    wanted = Wanted(
        _names(methods), _names(matchers), _names(attackers), _names(metrics), preset, size, device
    )
    options = Options(
        wanted=wanted,
        batches=_numbers(batch),
        precisions=_names(precision),
        paths=_names(paths),
        compiled=_names(compile_names),
        compile_mode=compile_mode,
        training=_names(training),
        seconds=seconds,
        budget=budget,
        weights=weights,
        out=out,
    )
    print(f"wrote {measure_throughput(options, _say)}")


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip() and name.strip() != "none")


def _numbers(text: str) -> tuple[int, ...]:
    from bench.errors import UsageError

    try:
        return tuple(int(number) for number in text.split(",") if number.strip())
    except ValueError as error:
        raise UsageError(f"--batch {text}: write numbers separated by commas, such as 1,16,128") from error


def _say(text: str) -> None:
    print(one_line(text), file=sys.stderr, flush=True)


if __name__ == "__main__":
    app()
