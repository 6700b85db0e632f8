"""Exact likelihoods of autoregressive models of bits: MADE, NADE and their kin on static binarised MNIST.

    python -m benchmarks.binarized_mnist --model made --minutes 10
    python -m benchmarks.binarized_mnist --model made --masks 32 --hidden 8000 --epochs 300
    python -m benchmarks.binarized_mnist --model made nade --data digits

A model learns from the training rows alone (Adam, batches of 100, a step size that falls to zero along a cosine). The
mean of the parameters over the last steps is judged on the validation rows after each epoch, and the best one is
evaluated on the test rows: exactly, in nats. `--minutes` plans as many epochs as fit into the time.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import optax
from rich.console import Console
from rich.table import Table

import ppgen
from benchmarks.averaging import averaged
from benchmarks.mnist import _device as device
from benchmarks.orders import OneOrderAStep, any_order
from ppgen import module, plate, sample
from ppgen.distributions import MADE, Learnable

EPOCHS = {"binarized_mnist": 30, "mushrooms": 300, "digits": 300}
NOTE = "Published: Germain et al. (2015), Uria et al. (2014), on binarized_mnist; with larger hidden layers."


@dataclass(frozen=True)
class Recipe:
    """How a model is trained, and what is then judged."""

    program: Callable[..., None]
    algorithm: ppgen.Algorithm
    nets: tuple[Learnable, ...]  # the same parameters in other orders; the first one chooses the epoch
    published: dict[str, float] = field(default_factory=dict)


def density(net: Learnable) -> Callable[..., None]:
    """The program of rows with this density."""

    def model(rows: int) -> None:
        p = module("p", net)
        with plate("data", rows):
            sample("x", p())

    return model


def made(dim: int, options: argparse.Namespace) -> Recipe:
    hidden = tuple(options.hidden or ([2000] if dim == 784 else [500]))
    net = MADE(dim, hidden=hidden)
    if options.masks == 1:
        return Recipe(density(net), ppgen.MaximumLikelihood(), (net,))
    rng = np.random.default_rng(options.seed)
    orders = np.stack([rng.permutation(dim) for _ in range(options.masks)])
    nets = tuple(MADE(dim, hidden=hidden, order=tuple(order.tolist())) for order in orders)
    published = {1: 88.04, 2: 86.64} if options.masks == 32 else {}
    return Recipe(any_order(net, orders), OneOrderAStep(), nets, {"ensemble": published.get(len(hidden))})


def fvsbn(dim: int, options: argparse.Namespace) -> Recipe:
    net = MADE(dim, hidden=())
    return Recipe(density(net), ppgen.MaximumLikelihood(), (net,))


MODELS = {"made": made, "fvsbn": fvsbn}


class Watch:
    """After each epoch: validate the averaged parameters, keep the best, print a line, stop when time is up."""

    def __init__(self, net: Learnable, valid: np.ndarray, epochs: int, until: float) -> None:
        self.judge = Judge(net, valid)
        self.epochs, self.until = epochs, until
        self.best, self.params, self.epoch, self.lines = np.inf, None, 0, []
        self.begun = time.perf_counter()

    def __call__(self, fit: ppgen.Fit) -> bool:
        epoch, params = round(float(fit.history["epoch"][-1])), fit.state.optimizers["model"].mean
        nats = -self.judge(params).nats
        if nats < self.best:
            self.best, self.params, self.epoch = nats, {name: np.asarray(v) for name, v in params.items()}, epoch
        seconds, train = time.perf_counter() - self.begun, float(fit.history["loss/model"][-1])
        self.lines.append({"epoch": epoch, "seconds": seconds, "train": train, "valid": nats})
        print(f"{seconds:7.1f} s  epoch {epoch:4}/{self.epochs}  train {train:.3f}  valid {nats:.3f}", flush=True)
        return time.perf_counter() > self.until


class Judge:
    """Exact log-likelihood of the same rows under parameters that change."""

    def __init__(self, net: Learnable, rows: np.ndarray) -> None:
        self.rows = {"x": rows}
        self.trainer = ppgen.Trainer(density(net), algorithm=ppgen.MaximumLikelihood())
        self.trainer.init({"x": rows[:2]})

    def __call__(self, params: dict[str, Any]) -> ppgen.Evaluation:
        return ppgen.evaluation.evaluate(self.trainer, params, self.rows)


def plan(recipe: Recipe, data: ppgen.data.Dataset, options: argparse.Namespace) -> int:
    """How many epochs to train: those asked for, or those that fit into the minutes."""
    if not options.minutes:
        return options.epochs or EPOCHS[data.name]
    some = data.train["x"][: 20 * options.batch]
    trial = fit(recipe, some, epochs=3, options=options, callbacks=[lambda fit: None])
    begun = trial.history["seconds"]
    epoch = float(np.diff(begun).min()) * len(data.train["x"]) / len(some)
    judge, params = Judge(recipe.nets[0], data.valid["x"][:2000]), trial.state.parameters
    judge(params)
    start = time.perf_counter()
    judge(params)
    epoch += (time.perf_counter() - start) * len(data.valid["x"]) / len(judge.rows["x"])
    epochs = max(1, int((options.minutes * 60 - 2 * float(begun[0])) / epoch))
    print(f"about {epoch:.1f} s an epoch with validation: {epochs} fit into {options.minutes:g} minutes", flush=True)
    return min(epochs, options.epochs or epochs)


def fit(recipe: Recipe, rows: np.ndarray, epochs: int, options: argparse.Namespace, callbacks: list) -> ppgen.Fit:
    steps = epochs * -(-len(rows) // options.batch)
    schedule = optax.cosine_decay_schedule(options.learning_rate, steps)
    return ppgen.fit(
        recipe.program, data={"x": rows}, algorithm=recipe.algorithm, epochs=epochs, batch_size=options.batch,
        optimizer=averaged(optax.adamw(schedule, weight_decay=options.weight_decay), options.average),
        seed=options.seed, callbacks=callbacks, progress=False,
    )  # fmt: skip


def run(name: str, data: ppgen.data.Dataset, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Train a model; its lines of the table."""
    recipe = MODELS[name](data.shape[0] if len(data.shape) == 1 else int(np.prod(data.shape)), options)
    epochs = plan(recipe, data, options)
    until = time.perf_counter() + 66 * options.minutes if options.minutes else np.inf  # a tenth of grace
    watch = Watch(recipe.nets[0], data.valid["x"], epochs, until)
    fit(recipe, data.train["x"], epochs, options, [watch])
    about = {
        "model": name, "hidden": list(recipe.nets[0].hidden), "epochs": watch.lines[-1]["epoch"], "best": watch.epoch,
        "minutes": watch.lines[-1]["seconds"] / 60, "valid": watch.best, "history": watch.lines,
    }  # fmt: skip
    per_row = np.stack([Judge(net, data.test["x"])(watch.params).per_row for net in recipe.nets])  # [orders, rows]
    titles = {1: name if len(per_row) == 1 else f"{name}, one order"}
    if len(per_row) > 1:
        sizes = [n for n in (2, 8, 16, 32, 128) if n < len(per_row)] + [len(per_row)]
        titles |= {n: f"{name}, {n} orders" for n in sizes}
    figures = []
    for size, title in titles.items():
        nats = np.logaddexp.reduce(per_row[:size], axis=0) - np.log(size)
        published = recipe.published.get("ensemble" if size == len(per_row) > 1 else "single")
        figures.append({
            **about, "title": title, "orders": size, "nats": -nats.mean(), "stderr": nats.std() / np.sqrt(len(nats)),
            "published": published if data.name == "binarized_mnist" else None,
        })  # fmt: skip
    return figures


def load(name: str, seed: int) -> ppgen.data.Dataset:
    """A set of bits with validation rows."""
    data = getattr(ppgen.data, name)()
    if data.valid is None:  # digits: a tenth of the training rows
        rows = np.random.default_rng(seed).permutation(data.train["x"])
        held = len(rows) // 10
        return ppgen.data.Dataset(
            name=name, train={"x": rows[held:]}, valid={"x": rows[:held]}, test={"x": data.test["x"]}, shape=data.shape
        )
    return data


def show(console: Console, data: str, machine: str, figures: list[dict[str, Any]]) -> None:
    table = Table(title=f"{data}: exact test negative log-likelihood, {machine}", title_justify="left")
    for name in ("model", "hidden", "test, nats", "std. error", "epochs (best)", "minutes", "published"):
        table.add_column(name, justify="left" if name == "model" else "right")
    for figure in figures:
        published = figure["published"]
        table.add_row(
            figure["title"], "x".join(map(str, figure["hidden"])) or "-", f"{figure['nats']:.2f}",
            f"{figure['stderr']:.2f}", f"{figure['epochs']} ({figure['best']})", f"{figure['minutes']:.1f}",
            "" if published is None else f"{published:.2f}",
        )  # fmt: skip
    console.print(table)


def main() -> None:
    options = parse()
    console, machine = Console(), device()
    data = load(options.data, options.seed)
    figures = []
    for name in options.model:
        print(f"{name} on {options.data}, {len(data.train['x'])} rows", flush=True)
        figures += run(name, data, options)
        if options.json:  # after each model: what is done stays if the next one is cut short
            options.json.write_text(
                json.dumps({"machine": machine, "figures": figures}, indent=1, default=float) + "\n"
            )
    show(console, options.data, machine, figures)
    console.print(NOTE)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="python -m benchmarks.binarized_mnist")
    add = parser.add_argument
    add("--model", nargs="+", default=["made"], choices=list(MODELS), help="default: made")
    add("--data", default="binarized_mnist", choices=list(EPOCHS), help="default: binarized_mnist")
    add("--epochs", type=int, help=f"passes over the data; the most, with --minutes (default: {EPOCHS})")
    add("--minutes", type=float, help="training time of each model: as many epochs as fit")
    add("--hidden", type=int, nargs="+", help="sizes of the hidden layers (default: the model's own)")
    add("--masks", type=int, default=1, help="made: orders of the pixels, one drawn for each step (default: 1)")
    add("--batch", type=int, default=100, help="rows a step (default: 100)")
    add("--learning-rate", type=float, default=2e-3, help="the first step size of the cosine (default: 2e-3)")
    add("--weight-decay", type=float, default=0.0, help="decoupled, times the step size (default: 0)")
    add("--average", type=float, default=0.999, help="decay of the mean of the parameters (default: 0.999)")
    add("--seed", type=int, default=0)
    add("--json", type=Path, help="also write the figures and every epoch to this file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
