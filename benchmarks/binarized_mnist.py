"""Exact likelihoods of autoregressive models of bits: MADE, NADE and their kin on static binarised MNIST.

    python -m benchmarks.binarized_mnist --model made --minutes 10
    python -m benchmarks.binarized_mnist --model made --masks 32 --hidden 8000 --epochs 300
    python -m benchmarks.binarized_mnist --model made_readings --epochs 24 --weight-decay 0.1
    python -m benchmarks.binarized_mnist --model eonade --orders 32 --test-rows 1000 --minutes 30
    python -m benchmarks.binarized_mnist --model made nade eonade fvsbn --data digits

A model learns from the training rows alone (Adam, batches of 100, a step size that falls to zero along a cosine). The
mean of the parameters over the last steps is judged on the validation rows after each epoch, and the best one is
evaluated on the test rows: exactly, in nats. `--minutes` plans as many epochs as fit into the time. A model of many
orders is judged in one, a random one; at the end also by ensembles of several, which are mixtures of their densities.
`made_readings` learns a MADE for each of four ways to read a picture, and mixes those.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Sequence
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
from benchmarks.orders import any_order, one_order_a_step
from ppgen import module, plate, sample
from ppgen.distributions import FVSBN, MADE, NADE, DeepNADE, Learnable, Mixture, OrderEnsemble
from ppgen.distributions.autoregressive import Autoregressive

EPOCHS = {"binarized_mnist": 30, "mushrooms": 300, "digits": 300}
SIZES = (2, 8, 32, 128)  # of ensembles, as far as there are orders
NOTE = "Published: Germain et al. (2015), Uria et al. (2014), on binarized_mnist; MADE with larger hidden layers."


@dataclass(frozen=True)
class Recipe:
    """How a model is trained, and what is then judged: densities with the same parameters, by number of orders."""

    model: Callable[..., None]
    nets: dict[int, Learnable]
    hidden: tuple[int, ...]
    guide: Callable[..., None] | None = None
    published: dict[int, float] = field(default_factory=dict)
    title: str = ""
    learning_rate: float = 2e-3  # chosen on validation rows

    @property
    def algorithm(self) -> ppgen.Algorithm:
        return ppgen.MaximumLikelihood() if self.guide is None else ppgen.ELBO()


def density(net: Learnable) -> Callable[..., None]:
    """The program of rows with this density."""

    def model(rows: int) -> None:
        p = module("p", net)
        with plate("data", rows):
            sample("x", p())

    return model


def ensembles(net: Autoregressive, orders: np.ndarray) -> dict[int, OrderEnsemble]:
    """One order, and mixtures of the first few of them."""
    sizes = {1, *(n for n in SIZES if n < len(orders)), len(orders)}
    return {n: OrderEnsemble(net, tuple(map(tuple, orders[:n].tolist()))) for n in sorted(sizes)}


def random_orders(dim: int, count: int, options: argparse.Namespace) -> np.ndarray:
    """Permutations [count, D]."""
    rng = np.random.default_rng(options.seed)
    return np.stack([rng.permutation(dim) for _ in range(count)])


def made(shape: tuple[int, ...], options: argparse.Namespace) -> list[Recipe]:
    dim = math.prod(shape)
    hidden = tuple(options.hidden or ([2000] if dim == 784 else [500]))
    net = MADE(dim, hidden=hidden)
    if options.masks == 1:
        return [Recipe(density(net), {1: net}, hidden)]
    orders = random_orders(dim, options.masks, options)
    model, guide = one_order_a_step(net, orders)
    published = {1: {32: 88.04}, 2: {32: 86.64}}
    return [Recipe(model, ensembles(net, orders), hidden, guide, published.get(len(hidden), {}))]


def made_readings(shape: tuple[int, ...], options: argparse.Namespace) -> list[Recipe]:
    """MADE by rows, by columns, and both backwards, each with parameters of its own."""
    if len(shape) != 2:
        raise SystemExit(f"expected pictures for made_readings; got rows of shape {shape}. Use --model made.")
    pixels = np.arange(np.prod(shape)).reshape(shape)
    orders = {
        "rows": pixels,
        "columns": pixels.T,
        "rows backwards": pixels[::-1, ::-1],
        "columns backwards": pixels.T[::-1, ::-1],
    }
    recipes = []
    for title, order in orders.items():
        hidden = tuple(options.hidden or ([2000] if pixels.size == 784 else [500]))
        net = MADE(pixels.size, hidden=hidden, order=tuple(order.ravel().tolist()))
        recipes.append(Recipe(density(net), {1: net}, hidden, title=f", {title}"))
    return recipes


def nade(shape: tuple[int, ...], options: argparse.Namespace) -> list[Recipe]:
    dim = math.prod(shape)
    hidden = tuple(options.hidden or [500])
    if len(hidden) > 1:
        raise SystemExit(f"expected one hidden layer of a NADE; got --hidden {hidden}. Use --model eonade for more.")
    net = NADE(dim, *hidden)
    return [Recipe(density(net), {1: net}, hidden, published={1: 88.33})]


def eonade(shape: tuple[int, ...], options: argparse.Namespace) -> list[Recipe]:
    dim = math.prod(shape)
    hidden = tuple(options.hidden or [500, 500])
    net = DeepNADE(dim, hidden)
    model, guide = any_order(net)
    published = {128: 85.10} if len(hidden) == 2 else {}
    nets = ensembles(net, random_orders(dim, options.orders, options))
    return [Recipe(model, nets, hidden, guide, published, learning_rate=5e-3)]


def fvsbn(shape: tuple[int, ...], options: argparse.Namespace) -> list[Recipe]:
    dim = math.prod(shape)
    net = FVSBN(dim)
    return [Recipe(density(net), {1: net}, (), learning_rate=1e-2)]


MODELS = {"made": made, "made_readings": made_readings, "nade": nade, "eonade": eonade, "fvsbn": fvsbn}


class Watch:
    """After each epoch: validate the averaged parameters, keep the best, print a line, stop when time is up."""

    def __init__(self, net: Learnable, valid: np.ndarray, epochs: int, until: float) -> None:
        self.judge = Judge(net, valid)
        self.epochs, self.until = epochs, until
        self.best, self.params, self.epoch, self.lines = np.inf, None, 0, []
        self.begun = self.resumed = time.perf_counter()

    def __call__(self, fit: ppgen.Fit) -> bool:
        trained = time.perf_counter() - self.resumed
        epoch, params = round(float(fit.history["epoch"][-1])), fit.state.optimizers["model"].mean
        nats = -self.judge(params).nats
        if nats < self.best:
            self.best, self.params, self.epoch = nats, {name: np.asarray(v) for name, v in params.items()}, epoch
        train, self.resumed = float(fit.history["loss/model"][-1]), time.perf_counter()
        seconds = self.resumed - self.begun
        self.lines.append({"epoch": epoch, "seconds": seconds, "trained": trained, "train": train, "valid": nats})
        print(f"{seconds:7.1f} s  epoch {epoch:4}/{self.epochs}  train {train:.3f}  valid {nats:.3f}", flush=True)
        return time.perf_counter() > self.until


class Judge:
    """Exact log-likelihood of the same rows under parameters that change."""

    def __init__(self, net: Learnable, rows: np.ndarray) -> None:
        self.rows = {"x": rows}
        self.problem = ppgen.Problem(density(net), data={"x": rows[:2]})

    def __call__(self, params: dict[str, Any]) -> ppgen.Evaluation:
        return ppgen.evaluation.likelihood(self.problem, params, self.rows)


def plan(recipe: Recipe, data: ppgen.data.Dataset, options: argparse.Namespace) -> int:
    """How many epochs to train: those asked for, or those that fit into the minutes."""
    if not options.minutes:
        return options.epochs or EPOCHS[data.name]
    some = data.train["x"][: 20 * options.batch]
    trial = fit(recipe, some, epochs=3, options=options, callbacks=[lambda fit: None])
    begun = trial.history["seconds"]
    epoch = float(np.diff(begun).min()) * len(data.train["x"]) / len(some)
    judge, params = Judge(recipe.nets[1], data.valid["x"][:2000]), trial.state.parameters
    judge(params)
    start = time.perf_counter()
    judge(params)
    epoch += (time.perf_counter() - start) * len(data.valid["x"]) / len(judge.rows["x"])
    epochs = max(1, int((options.minutes * 60 - 2 * float(begun[0])) / epoch))
    print(f"about {epoch:.1f} s an epoch with validation: {epochs} fit into {options.minutes:g} minutes", flush=True)
    return min(epochs, options.epochs or epochs)


def fit(recipe: Recipe, rows: np.ndarray, epochs: int, options: argparse.Namespace, callbacks: list) -> ppgen.Fit:
    steps = epochs * -(-len(rows) // options.batch)
    schedule = optax.cosine_decay_schedule(options.learning_rate or recipe.learning_rate, steps)
    return ppgen.fit(
        recipe.model, recipe.guide, data={"x": rows}, algorithm=recipe.algorithm, epochs=epochs, batch_size=options.batch,
        optimizer=averaged(optax.adamw(schedule, weight_decay=options.weight_decay), options.average),
        seed=options.seed, callbacks=callbacks, progress=False,
    )  # fmt: skip


def run(name: str, data: ppgen.data.Dataset, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Train a model; its lines of the table."""
    recipes = MODELS[name](data.shape, options)
    watches = [train(recipe, data, options) for recipe in recipes]
    figures = []
    for recipe, watch in zip(recipes, watches, strict=True):
        one = ", one order" if len(recipe.nets) > 1 else recipe.title
        for size, net in recipe.nets.items():
            title = f"{name}{one if size == 1 else f', {size} orders'}"
            figures.append(judged(title, net, watch.params, [watch], data) | about(name, size, recipe, data))
    for size in range(2, len(recipes) + 1):
        net = Mixture(tuple(recipe.nets[1] for recipe in recipes[:size]))
        params = {"p.logits": np.zeros(size, np.float32)}  # of equal weights
        for k, watch in enumerate(watches[:size]):
            params |= {path.replace("p.", f"p.{k}.", 1): value for path, value in watch.params.items()}
        title = f"{name}, {size} mixed"
        figures.append(judged(title, net, params, watches[:size], data) | about(name, size, recipes[0], data))
    return figures


def train(recipe: Recipe, data: ppgen.data.Dataset, options: argparse.Namespace) -> Watch:
    """Train one density; what was seen on the way."""
    epochs = plan(recipe, data, options)
    until = time.perf_counter() + 66 * options.minutes if options.minutes else np.inf  # a tenth of grace
    watch = Watch(recipe.nets[1], data.valid["x"], epochs, until)
    fit(recipe, data.train["x"], epochs, options, [watch])
    return watch


def judged(
    title: str, net: Learnable, params: dict[str, Any], watches: list[Watch], data: ppgen.data.Dataset
) -> dict[str, Any]:
    """A density under what it has learned, on the test rows; and how it was learned."""
    found, (watch, *_) = Judge(net, data.test["x"])(params), watches
    return {
        "title": title, "nats": -found.nats, "stderr": found.stderr, "epochs": watch.lines[-1]["epoch"],
        "best": watch.epoch, "valid": watch.best, "history": watch.lines,
        "minutes": sum(watch.lines[-1]["seconds"] for watch in watches) / 60,
        "epoch": float(np.median([line["trained"] for line in watch.lines[-10:]])),
    }  # fmt: skip


def about(name: str, size: int, recipe: Recipe, data: ppgen.data.Dataset) -> dict[str, Any]:
    """What a line is of."""
    published = recipe.published.get(size) if data.name == "binarized_mnist" else None
    return {"model": name, "orders": size, "hidden": recipe.hidden, "published": published}


def load(options: argparse.Namespace) -> ppgen.data.Dataset:
    """A set of bits with validation rows, and as many of each as are judged."""
    data = getattr(ppgen.data, options.data)()
    train, valid = data.train["x"], None if data.valid is None else data.valid["x"]
    if valid is None:  # digits: a tenth of the training rows
        rows = np.random.default_rng(options.seed).permutation(train)
        train, valid = rows[len(rows) // 10 :], rows[: len(rows) // 10]
    chosen = np.random.default_rng(options.seed).permutation(len(data.test["x"]))[: options.test_rows]
    return ppgen.data.Dataset(
        name=data.name, train={"x": train}, valid={"x": valid[: options.valid_rows]},
        test={"x": data.test["x"][np.sort(chosen)]}, shape=data.shape,
    )  # fmt: skip


def show(console: Console, title: str, figures: list[dict[str, Any]]) -> None:
    table = Table(title=title, title_justify="left")
    columns = (
        "model", "hidden", "test, nats", "std. error", "epochs (best)", "s an epoch", "minutes", "published"
    )  # fmt: skip
    for name in columns:
        table.add_column(name, justify="left" if name == "model" else "right")
    for figure in figures:
        published = figure["published"]
        table.add_row(
            figure["title"], "x".join(map(str, figure["hidden"])) or "-", f"{figure['nats']:.2f}",
            f"{figure['stderr']:.2f}", f"{figure['epochs']} ({figure['best']})", f"{figure['epoch']:.2f}",
            f"{figure['minutes']:.1f}", "" if published is None else f"{published:.2f}",
        )  # fmt: skip
    console.print(table)


def main(arguments: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Train the models, print the table; its rows."""
    options = parse(arguments)
    console, machine = Console(), device()
    data = load(options)
    figures = []
    for name in options.model:
        print(f"{name} on {options.data}, {len(data.train['x'])} rows", flush=True)
        figures += run(name, data, options)
        if options.json:  # after each model: what is done stays if the next one is cut short
            options.json.write_text(
                json.dumps({"machine": machine, "figures": figures}, indent=1, default=float) + "\n"
            )
    rows = len(data.test["x"])
    show(console, f"{data.name}: exact test negative log-likelihood of {rows} rows, {machine}", figures)
    console.print(NOTE)
    return figures


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], prog="python -m benchmarks.binarized_mnist")
    add = parser.add_argument
    add("--model", nargs="+", default=["made"], choices=list(MODELS), help="default: made")
    add("--data", default="binarized_mnist", choices=list(EPOCHS), help="default: binarized_mnist")
    add("--epochs", type=int, help=f"passes over the data; the most, with --minutes (default: {EPOCHS})")
    add("--minutes", type=float, help="training time of each model: as many epochs as fit")
    add("--hidden", type=int, nargs="+", help="sizes of the hidden layers (default: the model's own)")
    add("--masks", type=int, default=1, help="made: orders of the pixels, one drawn for each step (default: 1)")
    add("--orders", type=int, default=32, help="eonade: orders of the largest ensemble (default: 32)")
    add("--batch", type=int, default=100, help="rows a step (default: 100)")
    add("--learning-rate", type=float, help="the first step size of the cosine (default: the model's own)")
    add("--weight-decay", type=float, default=0.0, help="decoupled, times the step size (default: 0)")
    add("--average", type=float, default=0.999, help="decay of the mean of the parameters (default: 0.999)")
    add("--valid-rows", type=int, help="validation rows judged after each epoch (default: all)")
    add("--test-rows", type=int, help="test rows judged at the end, chosen at random (default: all)")
    add("--seed", type=int, default=0)
    add("--json", type=Path, help="also write the figures and every epoch to this file")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
