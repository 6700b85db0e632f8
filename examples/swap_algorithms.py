"""One program, learned five ways: what each algorithm makes of it on digits that it has not seen.

    python examples/swap_algorithms.py
    python examples/swap_algorithms.py --backend pyro

The programs know of neither the algorithm nor the backend; the loop in `main` is all there is to a swap.
"""

import argparse
import time

from rich.console import Console
from rich.table import Table

import ppgen
from ppgen import dist, module, nn, ops, plate, sample

PIXELS, HIDDEN, LATENTS = 64, 128, 10

ALGORITHMS = (
    ppgen.ELBO(),
    ppgen.IWAE(particles=5),
    ppgen.Renyi(alpha=0.5, particles=5),
    ppgen.ReweightedWakeSleep(particles=5),
    ppgen.WakeSleep(),
)


def model(rows):  # p(x, z)
    decoder = module("decoder", nn.MLP(LATENTS, HIDDEN, PIXELS))
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0).expand([LATENTS]).to_event(1))
        sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1))


def guide(x):  # q(z | x)
    encoder = module("encoder", nn.MLP(PIXELS, HIDDEN, (LATENTS, LATENTS)))
    with plate("data", len(x)):
        loc, log_scale = encoder(x)
        sample("z", dist.Normal(loc, ops.exp(log_scale)).to_event(1))


def main(backend, epochs):
    digits = ppgen.data.digits()
    table = Table(title=f"Held-out digits, {backend}", caption="lower bounds on log p(x); higher is better")
    for heading in ("algorithm", "nats per digit", "seconds"):
        table.add_column(heading, justify="left" if heading == "algorithm" else "right")
    for algorithm in ALGORITHMS:  # nothing else changes
        start = time.perf_counter()
        fit = ppgen.fit(
            model, guide, data={"x": digits.train["x"]}, algorithm=algorithm,
            backend=backend, epochs=epochs, batch_size=479, optimizer=ppgen.Adam(3e-3),
        )  # fmt: skip
        seconds = time.perf_counter() - start
        held_out = fit.evaluate({"x": digits.test["x"]}, particles=500)
        table.add_row(type(algorithm).__name__, f"{held_out.nats:.2f} ± {held_out.stderr:.2f}", f"{seconds:.1f}")
    Console().print(table)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="One VAE program on real 8x8 digits, learned five ways.")
    parser.add_argument("--backend", choices=("numpyro", "pyro"), default="numpyro")
    parser.add_argument("--epochs", type=int, default=60)
    main(**vars(parser.parse_args()))
