"""Flows on two-dimensional data: the data, draws and log densities side by side in one picture.

    python examples/densities.py
    python examples/densities.py --backend pyro --epochs 100

Each flow is one line of `FLOWS`, and stands at the data site of the same three-line program.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.table import Table

import ppgen
from ppgen import data, module, plate, sample
from ppgen.distributions import IAF, MAF, NICE, NSF, GaussianMixture, RealNVP

DATA = {"moons": data.moons, "rings": data.rings, "checkerboard": data.checkerboard}
FLOWS = {
    "Gaussian mixture": GaussianMixture(2, components=10, covariance="full"),
    "NICE": NICE(2, transforms=8, hidden=(64, 64)),
    "RealNVP": RealNVP(2, transforms=8, hidden=(64, 64)),
    "MAF": MAF(2, transforms=8, hidden=(64, 64)),
    "IAF": IAF(2, transforms=8, hidden=(64, 64)),
    "NSF": NSF(2, transforms=4, hidden=(64, 64)),
    "NSF, autoregressive": NSF(2, transforms=4, hidden=(64, 64), autoregressive=True),
}
SIDE = 3.0  # the pictures show [-SIDE, SIDE] squared, in standard deviations of the data


def program(density):
    def model(rows):
        with plate("data", rows):
            sample("x", module("p", density)())

    return model


def standardised(make, rows, seed):
    x, reference = make(rows, seed=seed), make(10000, seed=0)  # so that training and held-out points are scaled alike
    return ((x - reference.mean(0)) / reference.std(0)).astype(np.float32)


def learn(density, x, held_out, backend, epochs):
    fit = ppgen.fit(
        program(density), data={"x": x}, algorithm=ppgen.MaximumLikelihood(), backend=backend,
        epochs=epochs, batch_size=500, optimizer=ppgen.Adam(2e-3), seed=0,
    )  # fmt: skip
    return fit, fit.evaluate({"x": held_out})


def log_density(density, fit, points):
    params = {name.removeprefix("p."): value for name, value in fit.params.items()}
    return np.asarray(density.apply(params).log_prob(points))


def main(backend, epochs, rows, out):
    table = Table("density", title=f"Held-out nats per point, {backend}", title_justify="left")
    for name in DATA:
        table.add_column(name, justify="right")
    figure, axes = plt.subplots(2 * len(DATA), 1 + len(FLOWS), figsize=(1.7 * (1 + len(FLOWS)), 3.5 * len(DATA)))
    line = np.linspace(-SIDE, SIDE, 120, dtype=np.float32)
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    cells = {name: [] for name in FLOWS}
    for i, (what, make) in enumerate(DATA.items()):
        x, held_out = standardised(make, rows, 1), standardised(make, 2000, 2)
        scatter(axes[2 * i, 0], x, what)
        axes[2 * i + 1, 0].set_axis_off()
        for j, (name, density) in enumerate(FLOWS.items(), 1):
            fit, found = learn(density, x, held_out, backend, epochs)
            cells[name].append(f"{found.nats:.2f} ± {found.stderr:.2f}")
            scatter(axes[2 * i, j], fit.sample(rows=2000, seed=0)["x"], name)
            height = log_density(density, fit, grid).reshape(len(line), len(line))
            axes[2 * i + 1, j].imshow(
                height, origin="lower", extent=(-SIDE, SIDE, -SIDE, SIDE), vmin=-7, vmax=0, cmap="magma"
            )
            axes[2 * i + 1, j].set(xticks=[], yticks=[])
    for name, row in cells.items():
        table.add_row(name, *row)
    Console().print(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.tight_layout(pad=0.5)
    figure.savefig(out, dpi=80)
    print(f"Wrote {out}: in each pair of rows the data and draws, and below them log densities.")


def scatter(axis, x, title):
    axis.scatter(*np.asarray(x)[:2000].T, s=0.6, color="black", linewidths=0)
    axis.set(xlim=(-SIDE, SIDE), ylim=(-SIDE, SIDE), xticks=[], yticks=[], aspect="equal")
    axis.set_title(title, fontsize=9)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="numpyro", choices=ppgen.backends.NAMES)
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--out", type=Path, default=Path("runs/densities.png"))
    main(**vars(parser.parse_args()))
