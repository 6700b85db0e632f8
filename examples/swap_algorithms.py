"""One program, learned five ways: a table of held-out nats, on NumPyro or on Pyro.

    python examples/swap_algorithms.py
    python examples/swap_algorithms.py --backend pyro
"""

import argparse
import time

from rich.console import Console

import ppgen
from ppgen import dist, module, nn, ops, plate, sample
from ppgen.report.tables import Line, comparison

PIXELS, HIDDEN, LATENTS = 64, 128, 10

ALGORITHMS = (
    ppgen.ELBO(),
    ppgen.IWAE(particles=10),
    ppgen.Renyi(alpha=0.5, particles=10),
    ppgen.ReweightedWakeSleep(particles=10),
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


def learn(algorithm, backend, epochs):
    """Train on the training digits, judge on the others; the programs know of neither algorithm nor backend."""
    digits = ppgen.data.digits()
    started = time.perf_counter()
    fit = ppgen.fit(
        model, guide, data={"x": digits.train["x"]}, algorithm=algorithm,
        backend=backend, epochs=epochs, batch_size=479,  # three equal batches: one shape to compile
    )  # fmt: skip
    seconds = time.perf_counter() - started
    return Line(type(algorithm).__name__, fit.evaluate({"x": digits.test["x"]}, particles=500), seconds)


def main():
    parser = argparse.ArgumentParser(description="One VAE program on real 8x8 digits, learned five ways.")
    parser.add_argument("--backend", choices=ppgen.backends.NAMES, default="numpyro")
    parser.add_argument("--epochs", type=int, default=100)
    options = parser.parse_args()
    lines = [learn(algorithm, options.backend, options.epochs) for algorithm in ALGORITHMS]
    Console().print(comparison(f"Held-out digits, {options.backend}", lines, unit="digit"))


if __name__ == "__main__":
    main()
