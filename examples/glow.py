"""A small Glow on grey digits: held-out bits per dimension beside simple codes, and a picture of samples.

    python examples/glow.py
    python examples/glow.py --backend pyro --epochs 5

The 8x8 digits have 17 grey levels. A flow has a density of real numbers, so each level is spread over an interval of
length 1/17 by uniform noise, new in every epoch; log2 17 bits per pixel then turn the density into a bound on the
probability of the levels themselves.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.table import Table

import ppgen
from ppgen import data, module, plate, sample
from ppgen.distributions import Flow, Glow, flows

LEVELS = 17
GLOW = Flow(Glow((1, 8, 8), levels=2, steps=6, hidden=(32,)), (flows.Logit(),))


def model(rows):
    with plate("data", rows):
        sample("x", module("glow", GLOW)())


def learn(train, backend, epochs):
    x = np.concatenate(
        [flows.dequantise(train, LEVELS, seed) for seed in range(epochs)]
    )  # one pass: epochs of new noise
    steps = -(-len(x) // 128)
    return ppgen.fit(
        model, data={"x": x}, algorithm=ppgen.MaximumLikelihood(), backend=backend, epochs=1, batch_size=128,
        optimizer=ppgen.Adam(lambda step: 3e-3 * (1 - step / steps), clip=50.0), seed=0,
    )  # fmt: skip


def bits(fit, test, draws=20):
    """Bits per pixel of each image: of the density and the volume together, averaged over the noise."""
    noisy = np.concatenate([flows.dequantise(test, LEVELS, seed=1000 + draw) for draw in range(draws)])
    nats = fit.evaluate({"x": noisy}).per_row.reshape(draws, -1).mean(0)
    return -nats / np.log(2) / test[0].size + np.log2(LEVELS)


def histogram_bits(train, test):
    """A code that takes the pixels for independent, each with its own histogram (and one extra count a level)."""
    counts = 1 + (train[..., None] == np.arange(LEVELS)).sum(0)
    log_prob = np.log2(counts / counts.sum(-1, keepdims=True))
    each = np.take_along_axis(np.broadcast_to(log_prob, (*test.shape, LEVELS)), test[..., None], -1)
    return -each.reshape(len(test), -1).mean(1)


def main(backend, epochs, out):
    digits = data.digits(binarize=False)
    train, test = (
        np.rint(split["x"] * (LEVELS - 1)).astype(int).reshape(-1, 1, 8, 8) for split in (digits.train, digits.test)
    )
    console = Console()
    with console.status("training"):
        fit = learn(train, backend, epochs)
    table = Table("code", title=f"{len(test)} held-out digits, 17 levels, {backend}", title_justify="left")
    table.add_column("bits per dimension", justify="right")
    table.add_row("uniform over levels", f"{np.log2(LEVELS):.3f}")
    for name, found in {"histogram of each pixel": histogram_bits(train, test), "Glow": bits(fit, test)}.items():
        table.add_row(name, f"{found.mean():.3f} ± {found.std() / np.sqrt(len(found)):.3f}")
    table.caption = (
        f"Glow: an upper bound; the density's bits and log2 {LEVELS} = {np.log2(LEVELS):.3f} for the volume of a level. "
        "± one standard error over images."
    )
    console.print(table)
    draw(test, fit.sample(rows=64, seed=1)["x"], out)
    print(f"Wrote {out}.")


def draw(real, samples, out):
    """Held-out digits beside samples, eight by eight."""
    samples = np.clip(np.floor(samples * LEVELS), 0, LEVELS - 1)
    figure, axes = plt.subplots(1, 2, figsize=(6, 3.25), layout="constrained")
    for axis, title, images in zip(axes, ("held-out digits", "samples of Glow"), (real[:64], samples), strict=True):
        framed = np.pad(images[:, 0], ((0, 0), (1, 1), (1, 1)), constant_values=0)
        axis.imshow(framed.reshape(8, 8, 10, 10).swapaxes(1, 2).reshape(80, 80), cmap="gray", vmin=0, vmax=LEVELS - 1)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="numpyro", choices=ppgen.backends.NAMES)
    parser.add_argument("--epochs", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path("runs/glow.png"))
    main(**vars(parser.parse_args()))
