"""A progress bar between chunks of steps; it costs nothing inside compiled code."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Report(Protocol):
    """Called with the steps done so far and the latest losses."""

    def __call__(self, step: int, metrics: Mapping[str, float]) -> None: ...


@contextmanager
def bar(title: str, total: int | None, show: bool | None) -> Iterator[Report]:
    """A bar on stderr; by default only where stderr is a terminal."""
    show = sys.stderr.isatty() if show is None else show
    if not show:
        yield lambda step, metrics: None
        return
    columns: list[Any] = [
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[losses]}"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(title, total=total, losses="")

        def report(step: int, metrics: Mapping[str, float]) -> None:
            losses = "  ".join(f"{name.removeprefix('loss/')} {value:.3f}" for name, value in metrics.items())
            progress.update(task, completed=step, losses=losses)

        yield report
