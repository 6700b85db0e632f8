"""One VAE on digits with a Gaussian, a flow and an autoregressive prior, and with a flow in its guide.

    python examples/priors.py
    python examples/priors.py --seeds 2 --epochs 20

Only `prior` and `posterior` change. Each variant is trained from the same seeds on the same batches, and compared with the
Gaussian one seed by seed; the interval is twice the standard error over seeds.
"""

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console
from rich.table import Table

import ppgen
from ppgen.distributions import IAF, MADE, NSF
from ppgen.distributions.autoregressive.conditionals import MixtureOfGaussians
from ppgen.models import vae

LATENTS, HIDDEN = 10, 128
FLOW_PRIOR = NSF(LATENTS, transforms=3, hidden=(32, 32))
FLOW_GUIDE = IAF(LATENTS, transforms=3, hidden=(64, 64), context=64)
VARIANTS = {
    "Gaussian": {},
    "flow prior (NSF)": {"prior": FLOW_PRIOR},
    "autoregressive prior (MADE)": {"prior": MADE(LATENTS, hidden=(64,), conditional=MixtureOfGaussians(5))},
    "flow guide (IAF)": {"posterior": FLOW_GUIDE},
    "flow prior and guide": {"prior": FLOW_PRIOR, "posterior": FLOW_GUIDE},
}


def bound(digits, options, seed, backend, epochs):
    model, guide = vae(64, latents=(LATENTS,), hidden=(HIDDEN,), **options)
    fit = ppgen.fit(
        model, guide, data={"x": digits.train["x"]}, algorithm=ppgen.IWAE(particles=5), backend=backend,
        epochs=epochs, batch_size=479, optimizer=ppgen.Adam(2e-3), seed=seed,
    )  # fmt: skip
    return fit.evaluate({"x": digits.test["x"]}, particles=1000).nats


def main(backend, epochs, seeds, out):
    digits = ppgen.data.digits()
    console = Console()
    table = Table("VAE with", title=f"Held-out digits, {seeds} seeds, {backend}", title_justify="left")
    for heading in ("nats per image", "better than Gaussian by"):
        table.add_column(heading, justify="right")
    found = {}
    for name, options in VARIANTS.items():
        with console.status(f"{name}: training {seeds} times"):
            found[name] = np.array([bound(digits, options, seed, backend, epochs) for seed in range(seeds)])
        gain = found[name] - found["Gaussian"]
        error = gain.std(ddof=1) / np.sqrt(seeds) if seeds > 1 else np.nan
        better = "" if name == "Gaussian" else f"{gain.mean():+.2f} ± {2 * error:.2f}"
        table.add_row(name, f"{found[name].mean():.2f}", better)
    table.caption = "lower bounds on log p(x) by 1000 importance samples; ± two standard errors over seeds"
    console.print(table)
    draw(found, out)
    print(f"Wrote {out}.")


def draw(found, out):
    figure, axis = plt.subplots(figsize=(6.5, 2.8), layout="constrained")
    for height, nats in enumerate(reversed(found.values())):
        axis.plot(nats, np.full(len(nats), height), "o", color="tab:blue", alpha=0.5)
        axis.plot(nats.mean(), height, "|", color="black", markersize=18)
    axis.set_yticks(range(len(found)), list(reversed(found)))
    axis.set_ylim(-0.5, len(found) - 0.5)
    axis.locator_params(axis="x", nbins=6)
    axis.set_xlabel("held-out nats per image; a dot a seed, bars their means")
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=100)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", default="numpyro", choices=ppgen.backends.NAMES)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("runs/priors.png"))
    main(**vars(parser.parse_args()))
