"""The command line: `ppgen demo` and `ppgen list`."""

import os
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table

ABSTRACT = {
    "ALGORITHMS",
    "Algorithm",
    "Bijection",
    "Conditional",
    "Elementwise",
    "Transform",
}  # nothing to name in a program

app = typer.Typer(
    help="Deep generative models as programs; how they are learned is swapped by a word.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


@app.command()
def demo(
    backend: Annotated[
        str, typer.Option(help="numpyro (JAX) or pyro (PyTorch; needs the extra ppgen\\[pyro]).")
    ] = "numpyro",
    out: Annotated[Path, typer.Option(help="Folder for results.json, samples.png and curves.png.")] = Path("runs/demo"),
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the 1437 training images for each algorithm.")] = 120,
    seed: Annotated[int, typer.Option(help="Seed of initial values, order of images and noise.")] = 0,
) -> None:
    """Train one VAE program on real 8x8 digits under six algorithms; print a table and draw pictures."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for torch: on networks this small its threads only wait
    from ppgen import backends
    from ppgen.report import demo as report

    console = Console()
    try:
        backends.get(backend)
    except (ValueError, ImportError) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from None
    report.run(out, backend, epochs, seed, console)


@app.command(name="list")
def list_() -> None:
    """List the algorithms, programs, data sets and distributions that ppgen has."""
    from ppgen import data, distributions, inference, language, models

    flows, conditionals = distributions.flows, distributions.autoregressive.conditionals
    transforms = {k: v for k, v in _classes(flows).items() if issubclass(v, flows.Transform | flows.Bijection)}
    console = Console(markup=False)
    for title, names in {
        "algorithms (ppgen.<name>)": {k: getattr(inference, k) for k in inference.__all__ if k[0].isupper()},
        "programs (ppgen.models.<name>)": {k: getattr(models, k) for k in models.__all__},
        "learnable distributions (ppgen.dist.<name>)": language.dist.learnable,
        "conditionals of autoregressive ones (ppgen.distributions.autoregressive.conditionals.<name>)": {
            k: v for k, v in _classes(conditionals).items() if issubclass(v, conditionals.Conditional)
        },
        "transforms of flows (ppgen.distributions.flows.<name>)": transforms,
        "data (ppgen.data.<name>)": {k: getattr(data, k) for k in data.__all__ if k[0].islower()},
    }.items():
        table = Table(title=title, title_justify="left", title_style="bold", show_header=False, box=None)
        for name in sorted(set(names) - ABSTRACT, key=str.lower):
            table.add_row(f"  {name}", (names[name].__doc__ or "").strip().splitlines()[0])
        console.print(table)
    console.print("distributions (ppgen.dist.<name>)", style="bold")
    console.print(Padding(", ".join(language.dist.SHARED), (0, 2)))


def _classes(module: ModuleType) -> dict[str, type]:
    return {name: thing for name, thing in vars(module).items() if isinstance(thing, type) and name[0].isupper()}


if __name__ == "__main__":
    app()
