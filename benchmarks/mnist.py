"""The one-layer network of Burda et al. (2016) on static binarised MNIST, trained for a fixed time.

    python -m benchmarks.mnist --minutes 20

For the VAE (one particle) and the IWAE (five; `--particles 1 5 50` for all three), it measures how long an epoch takes,
plans as many as fit into the time with a step size that falls to zero along a cosine, trains, and prints the test
negative log-likelihood by a 5000-sample bound beside the published number, which took 3280 epochs.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import optax
from rich.console import Console
from rich.table import Table

import ppgen

PUBLISHED = {1: 88.71, 5: 87.63, 50: 87.10}
BATCH = 100


def train(model, guide, algorithm, rows, minutes, seed, backend):
    """As many epochs as fit into the time; the fit, the epochs and the seconds."""
    common = {"data": {"x": rows}, "algorithm": algorithm, "batch_size": BATCH, "seed": seed, "backend": backend}
    timed = ppgen.fit(model, guide, epochs=3, optimizer=ppgen.Adam(1e-3), **common, callbacks=[lambda fit: None])
    epoch = float(np.diff(timed.history["seconds"]).mean())
    compilation = float(timed.history["seconds"][0]) - epoch
    epochs = max(1, int((minutes * 60 - compilation) / epoch))
    steps = epochs * -(-len(rows) // BATCH)
    begun = time.perf_counter()
    fit = ppgen.fit(
        model, guide, epochs=epochs, optimizer=ppgen.Adam(optax.cosine_decay_schedule(1e-3, steps)), **common
    )
    return fit, epochs, time.perf_counter() - begun


def _device() -> str:
    """The machine in words."""
    import jax

    found = jax.devices()[0]
    return f"{os.cpu_count()} cores, {platform.machine()}" if found.platform == "cpu" else found.device_kind


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="python -m benchmarks.mnist")
    parser.add_argument("--minutes", type=float, default=20.0, help="training time of each algorithm (default: 20)")
    parser.add_argument(
        "--test-rows", type=int, default=1000, help="test images evaluated, the first ones of a shuffle"
    )
    parser.add_argument("--particles", type=int, nargs="+", default=[1, 5], choices=[1, 5, 50], help="default: 1 5")
    parser.add_argument("--samples", type=int, default=5000, help="importance samples a test image (default: 5000)")
    parser.add_argument("--backend", default="numpyro", help="numpyro (default) or pyro")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    options = parser.parse_args()

    console, mnist = Console(), ppgen.data.binarized_mnist()
    rows = np.concatenate([mnist.train["x"], mnist.valid["x"]])  # the paper trains on both: 60000 images
    chosen = np.random.default_rng(options.seed).permutation(len(mnist.test["x"]))[: options.test_rows]
    test = {"x": mnist.test["x"][chosen]}
    model, guide = ppgen.models.vae(784, latents=(50,), hidden=(200, 200), activation="tanh")
    machine = f"{_device()}, {options.backend}"

    table = Table(title=f"Static binarised MNIST, one stochastic layer of 50, {machine}", title_justify="left")
    for name in ("algorithm", "epochs", "minutes", "test NLL (nats)", "std. error", "published (3280 epochs)"):
        table.add_column(name, justify="left" if name == "algorithm" else "right")
    figures = []
    for k in options.particles:
        name, algorithm = ("VAE", ppgen.ELBO()) if k == 1 else (f"IWAE, {k} particles", ppgen.IWAE(k))
        fit, epochs, seconds = train(model, guide, algorithm, rows, options.minutes, options.seed, options.backend)
        found = fit.evaluate(test, particles=options.samples, seed=options.seed)
        console.print(f"{name}: {found}")
        table.add_row(
            name, str(epochs), f"{seconds / 60:.1f}", f"{-found.nats:.2f}", f"{found.stderr:.2f}", str(PUBLISHED[k])
        )
        figures.append(
            {
                "algorithm": name,
                "epochs": epochs,
                "seconds": seconds,
                "published": PUBLISHED[k],
                **{k: v for k, v in found.to_dict().items() if k not in ("per_row", "khat")},
            }
        )
    console.print(table)
    console.print(
        f"An upper bound on the NLL by {options.samples} samples, on {len(chosen)} of 10000 test images; "
        "the error is over images."
    )
    if options.json:
        options.json.write_text(json.dumps({"machine": machine, "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
