"""Flows on two-dimensional data: draws and log densities of each beside the data and their exact density.

    python examples/densities.py
    python examples/densities.py --backend pyro --steps 500

Each flow is one line of `FLOWS`, and stands at the data site of the same three-line program.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.special import logsumexp

import ppgen
from ppgen import data, module, plate, sample
from ppgen.distributions import IAF, MAF, NICE, NSF, GaussianMixture, RealNVP

DATA = {"moons": data.moons, "rings": data.rings, "checkerboard": data.checkerboard}
FLOWS = {
    "Gaussian mixture": GaussianMixture(2, components=20, covariance="full"),
    "NICE": NICE(2, transforms=6, hidden=(64, 64)),
    "RealNVP": RealNVP(2, transforms=8, hidden=(64, 64)),
    "MAF": MAF(2, transforms=6, hidden=(64, 64)),
    "IAF": IAF(2, transforms=5, hidden=(64, 64)),
    "NSF": NSF(2, transforms=4, hidden=(64, 64)),
    "NSF, autoregressive": NSF(2, transforms=4, hidden=(64, 64), autoregressive=True),
}
SIDE = 2.5  # the pictures show [-SIDE, SIDE] squared, in standard deviations of the data
NOISE = 0.1  # of moons and rings


def program(density):
    def model(rows):
        with plate("data", rows):
            sample("x", module("p", density)())

    return model


def learn(density, x, points, backend, steps, rate=5e-3):
    """The fit, and its log density at some points."""
    fit = ppgen.fit(
        program(density), data={"x": x}, algorithm=ppgen.MaximumLikelihood(), backend=backend, steps=steps,
        batch_size=500, optimizer=ppgen.Adam(lambda step: rate * (1 - step / steps), clip=5.0), seed=0,
    )  # fmt: skip
    return fit, fit.evaluate({"x": points}).per_row


def exact(what, points):
    """The log density that the data come from: a square is on or off, curves are blurred by the noise."""
    if what == "checkerboard":
        dark = (np.floor(points).sum(-1) % 2 == 0) & (np.abs(points) < 2).all(-1)
        return np.where(dark, -np.log(8), -np.inf)
    t = np.pi * (np.arange(300) + 0.5) / 300
    half = np.stack([np.cos(t), np.sin(t)], -1)
    curve = (
        np.concatenate([half, (1, 0.5) - half])
        if what == "moons"
        else np.concatenate([radius * sign * half for radius in (1, 2, 3, 4) for sign in (1, -1)])
    )
    square = (points**2).sum(-1)[:, None] - 2 * points @ curve.T + (curve**2).sum(-1)
    return logsumexp(-square / (2 * NOISE**2), -1) - np.log(2 * np.pi * NOISE**2 * len(curve))


def main(backend, steps, rows, out):
    columns = ["data", *FLOWS]
    figure, axes = plt.subplots(
        2 * len(DATA), len(columns), figsize=(1.3 * len(columns), 2.6 * len(DATA) + 0.3), layout="constrained"
    )
    figure.get_layout_engine().set(w_pad=0.02, h_pad=0.02, wspace=0, hspace=0)
    line = np.linspace(-SIDE, SIDE, 120, dtype=np.float32)
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    cells = {name: [] for name in ["exact", *FLOWS]}
    console = Console()
    for pair, (what, make) in zip(axes.reshape(len(DATA), 2, -1), DATA.items(), strict=True):
        loc, scale = make(10000, seed=0).mean(0), make(10000, seed=0).std(0)
        x, held_out = ((make(n, seed=seed) - loc) / scale for n, seed in ((rows, 1), (5000, 2)))
        truth = exact(what, held_out * scale + loc) + np.log(scale).sum()
        truth = truth[np.isfinite(truth)]  # a point on the edge of a square may have been rounded out of it
        cells["exact"].append(mean(truth))
        show(pair[:, 0], x, exact(what, grid * scale + loc) + np.log(scale).sum())
        pair[0, 0].set_ylabel(f"{what}:\ndraws", fontsize=9)
        pair[1, 0].set_ylabel("log density", fontsize=9)
        for axis, (name, density) in zip(pair.T[1:], FLOWS.items(), strict=True):
            with console.status(f"{what}: {name}"):
                fit, found = learn(density, x, np.concatenate([held_out, grid]), backend, steps)
            cells[name].append(mean(found[: len(held_out)]))
            show(axis, fit.sample(rows=2000, seed=0)["x"], found[len(held_out) :])
    for axis, name in zip(axes[0], columns, strict=True):
        axis.set_title(name.replace(", ", ",\n"), fontsize=9)
    table = Table("density", title=f"Held-out nats per point, {backend}", title_justify="left")
    for name in DATA:
        table.add_column(name, justify="right")
    for name, row in cells.items():
        table.add_row(name, *row)
    console.print(table)
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=90)
    print(f"Wrote {out}: points drawn from each density, and below them its logarithm from -7 (black) to 0.")


def mean(nats):
    return f"{nats.mean():.2f} ± {nats.std() / np.sqrt(len(nats)):.2f}"


def show(axes, points, height):
    """Points above, log densities on the grid below."""
    axes[0].scatter(*np.asarray(points)[:2000].T, s=0.6, color="black", linewidths=0)
    axes[0].set(xlim=(-SIDE, SIDE), ylim=(-SIDE, SIDE), aspect="equal")
    square = np.maximum(height, -7).reshape(120, 120)
    axes[1].imshow(square, origin="lower", extent=(-SIDE, SIDE, -SIDE, SIDE), vmin=-7, vmax=0, cmap="magma")
    for axis in axes:
        axis.set(xticks=[], yticks=[])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="numpyro", choices=ppgen.backends.NAMES)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--rows", type=int, default=20000)
    parser.add_argument("--out", type=Path, default=Path("runs/densities.png"))
    main(**vars(parser.parse_args()))
