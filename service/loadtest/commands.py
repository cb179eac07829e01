"""Command `foveal bench`: capacity of a running service, or of a package on this machine."""

from __future__ import annotations

import asyncio
import json
import math
import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from foveal.service.loadtest.capacity import Trial
    from foveal.service.loadtest.generator import Level, Target

WIDTHS = "1,2,4,8,16,32"


def bench(
    target: Annotated[
        str, typer.Argument(help="http://…/v1/detect?model=… of a running service; or NAME, NAME@VERSION, a folder.")
    ],
    images: Annotated[list[str], typer.Argument(metavar="PATH", help="Images to send: files, folders, globs, .tar.")],
    connections: Annotated[str, typer.Option(help="Numbers of simultaneous connections, one step each.")] = WIDTHS,
    seconds: Annotated[float, typer.Option(min=0.1, help="Duration of each step.")] = 5,
    header: Annotated[list[str] | None, typer.Option(help="'Name: value' of each request, e.g. an API key.")] = None,
    zoo: Annotated[Path | None, typer.Option(help="Folder of packages; default FOVEAL_ZOO, else ./zoo.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object instead of tables.")] = False,
) -> None:
    """Raise the load step by step and find the knee, beyond which requests only wait longer.

    A package is measured in this process, without HTTP, at several numbers of threads and batch sizes, and the best
    settings are recommended. Run it while the machine is otherwise idle, for a service preferably on another machine.
    """
    from foveal.batch.inputs import expand

    load_before = os.getloadavg()[0]
    data = [source.read() for source in expand(images)]
    widths = _widths(connections)
    if target.startswith(("http://", "https://")):
        levels = asyncio.run(_service(target, data, widths, seconds, _headers(header or [])))
        trials: list[Trial] = []
    else:
        levels, trials = asyncio.run(_package(target, zoo, data, widths, seconds))
    report = _report(target, len(data), load_before, levels, trials)
    if as_json:
        typer.echo(json.dumps(report, allow_nan=False))
    else:
        _print(report)


async def _service(
    url: str, images: Sequence[bytes], widths: Sequence[int], seconds: float, headers: dict[str, str]
) -> list[Level]:
    from foveal.service.loadtest.generator import HttpTarget, rising

    async with HttpTarget(url, headers) as target:
        await _every_image_once(target, images)
        return await rising(target, images, connections=widths, seconds=seconds, report=_log_step)


async def _package(
    name: str, zoo: Path | None, images: Sequence[bytes], widths: Sequence[int], seconds: float
) -> tuple[list[Level], list[Trial]]:
    from foveal.packages.package import ModelPackage
    from foveal.packages.zoo import locate
    from foveal.service.loadtest import capacity
    from foveal.service.loadtest.generator import knee, rising
    from foveal.service.settings import from_environment

    package, settings = ModelPackage.open(locate(name, zoo)), from_environment()
    async with capacity.in_process(package, settings) as target:
        await _every_image_once(target, images)
        levels = await rising(target, images, connections=widths, seconds=seconds, report=_log_step)
    width = int(knee(levels).load)
    tried = await capacity.trials(package, images, settings, connections=width, seconds=seconds, report=_log_step)
    return levels, tried


async def _every_image_once(target: Target, images: Sequence[bytes]) -> None:
    """Warm the target up, and find images, parameters or keys that it rejects.

    Raises:
        BadRequest: a response other than 200, or none.
    """
    from foveal.errors import BadRequest

    for number, image in enumerate(images, 1):
        reply = await target.send(image)
        if reply.status != 200:
            raise BadRequest(f"expected 200 for image {number} before the load, got {reply.status}: {reply.detail}")


def _widths(given: str) -> list[int]:
    from foveal.errors import BadRequest

    parts = given.split(",")
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise BadRequest(f"--connections: expected whole numbers from 1, separated by commas, got {given!r}")
    return sorted({int(part) for part in parts})


def _headers(given: Sequence[str]) -> dict[str, str]:
    from foveal.errors import BadRequest

    pairs = [line.partition(":") for line in given]
    if not all(name.strip() and colon for name, colon, _ in pairs):
        raise BadRequest("--header: expected 'Name: value'")  # the value is not repeated: it may hold a key
    return {name.strip(): value.strip() for name, _, value in pairs}


def _log_step(step: Level | Trial) -> None:
    """Print one line on stderr for a completed step."""
    fields = (f"{k} {v:.3g}" for k, v in asdict(step).items() if isinstance(v, int | float))
    typer.echo("  " + ", ".join(fields), err=True)


def _report(
    target: str, images: int, load_before: float, levels: Sequence[Level], trials: Sequence[Trial]
) -> dict[str, Any]:
    from foveal.service.loadtest.capacity import cores, recommended
    from foveal.service.loadtest.generator import knee

    found = knee(levels)
    rows = [asdict(level) for level in levels]
    for row in rows:  # JSON has no NaN
        row.update({name: None for name, value in row.items() if isinstance(value, float) and math.isnan(value)})
    return {
        "target": target,
        "images": images,
        "machine": {"cores": cores(), "load_before": load_before},
        "levels": rows,
        "knee_connections": int(found.load),
        "trials": [asdict(trial) for trial in trials],
        "recommended": recommended(found, trials),
    }


def _print(report: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if typer.get_text_stream("stdout").isatty() else 160, highlight=False)
    stages = list(dict.fromkeys(name for level in report["levels"] for name in level["stages_ms"]))
    table = Table("connections", "responses/s", "p50 ms", "p95 ms", "p99 ms", "not 200", *(f"{s} ms" for s in stages))
    for level in report["levels"]:
        at_knee = level["load"] == report["knee_connections"]
        figures = [level["throughput_per_s"], level["p50_ms"], level["p95_ms"], level["p99_ms"]]
        failed = {status: count for status, count in level["statuses"].items() if status != "200"}
        shown = ", ".join(f"{count} × {status}" for status, count in failed.items()) or "0"
        split = [_figure(level["stages_ms"].get(stage)) for stage in stages]
        table.add_row(f"{level['load']:g}{' knee' * at_knee}", *map(_figure, figures), shown, *split)
    console.print(table)
    if report["trials"]:
        tried = Table("threads in an operator", "batch", "responses/s", "p99 ms", "cores used")
        for trial in report["trials"]:
            measured = (trial["throughput_per_s"], trial["p99_ms"], trial["cores_used"])
            tried.add_row(str(trial["ort_threads"]), str(trial["batch_size"]), *map(_figure, measured))
        console.print(tried)
    console.print("Recommended on this machine:", *(f"{k}={v}" for k, v in report["recommended"].items()))
    if report["machine"]["load_before"] > 0.5 * report["machine"]["cores"]:
        typer.echo("The machine was busy with other work before: the measured capacity is too low.", err=True)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 100 else f"{value:.0f}"
