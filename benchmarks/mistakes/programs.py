"""The mistakes: each makes a model, a guide (or none) and data of a library."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.mistakes.libraries import Library

N, D = 8, 3
_RNG = np.random.default_rng(0)
X = _RNG.normal(size=(N, D)).astype("float32")
Y = _RNG.normal(size=N).astype("float32")
LABELS = (Y > 0).astype("float32")

Made = tuple[Callable[..., Any], Callable[..., Any] | None, dict[str, Any]]


@dataclass(frozen=True)
class Mistake:
    """One mistake.

    Attributes:
        name: in words.
        make: the programs and the data, of a library.
        fit: further arguments of `ppgen.fit`, as the batch size.
        right: whether ppgen's fit shows that it did what was meant; None where nothing can have been meant.
        fine: libraries whose own SVI gives what was meant.
    """

    name: str
    make: Callable[[Library], Made]
    fit: dict[str, Any] = field(default_factory=dict)
    right: Callable[[Any], bool] | None = None
    fine: tuple[str, ...] = ()


MISTAKES: list[Mistake] = []


def mistake(
    name: str, right: Callable[[Any], bool] | None = None, fine: tuple[str, ...] = (), **fit: Any
) -> Callable[[Any], Any]:
    """Enter a mistake."""

    def enter(make: Callable[[Library], Made]) -> Callable[[Library], Made]:
        MISTAKES.append(Mistake(name, make, fit, right, fine))
        return make

    return enter


# likelihoods of y, and no latent site -------------------------------------------------------------------------------------


def observed(lib: Library, likelihood: Callable[..., Any], y: Any, **more: Any) -> Made:
    """y ~ likelihood(a, covariates) in a plate of rows."""

    def model(y: Any, **covariates: Any) -> None:
        a = lib.core.param("a", lib.array(np.float32(0.5)))
        with lib.core.plate("data", len(y)):
            lib.core.sample("y", likelihood(a, *covariates.values()), obs=y)

    def with_x(y: Any, x: Any) -> None:
        model(y, x=x)

    return (with_x if more else model), None, {"y": y, **more}


def normal(lib: Library, y: Any, loc: Callable[..., Any] = lambda a, *x: a, **more: Any) -> Made:
    """y ~ Normal(loc, 1)."""
    return observed(lib, lambda a, *x: lib.dist.Normal(loc(a, *x), 1.0), y, **more)


@mistake("y of shape (N, 1) against (N,)")
def _(lib: Library) -> Made:
    def model(y: Any) -> None:
        loc = lib.core.param("a", lib.array(np.zeros(N, "float32")))
        with lib.core.plate("data", N):
            lib.core.sample("y", lib.dist.Normal(loc, 1.0), obs=y)

    return model, None, {"y": Y[:, None]}


@mistake("NaN in the data")
def _(lib: Library) -> Made:
    return normal(lib, np.where(np.arange(N) == 5, np.nan, Y).astype("float32"))


@mistake("infinity in a covariate")
def _(lib: Library) -> Made:
    x = np.where(np.arange(N) == 5, np.inf, Y).astype("float32")
    return normal(lib, Y, lambda a, x: a * x, x=x)


@mistake("an empty batch")
def _(lib: Library) -> Made:
    return normal(lib, Y[:0])


@mistake("labels 1 and 2 for a Bernoulli")
def _(lib: Library) -> Made:
    return observed(lib, lambda a: lib.dist.Bernoulli(logits=a), LABELS + 1)


@mistake("labels -1 and 1 for a Bernoulli")
def _(lib: Library) -> Made:
    return observed(lib, lambda a: lib.dist.Bernoulli(logits=a), 2 * LABELS - 1)


@mistake("pixels of 0 to 255 for a Bernoulli")
def _(lib: Library) -> Made:
    return observed(lib, lambda a: lib.dist.Bernoulli(logits=a), LABELS * 255)


@mistake("a class too large")
def _(lib: Library) -> Made:
    logits = lib.array(np.zeros(3, "float32"))
    return observed(lib, lambda a: lib.dist.Categorical(logits=a * logits), np.arange(N) % 4)


@mistake("counts that are no whole numbers")
def _(lib: Library) -> Made:
    return observed(lib, lambda a: lib.dist.Poisson(a * a), np.abs(Y))


@mistake("obs=y - 1 leaves the support")
def _(lib: Library) -> Made:
    def model(y: Any) -> None:
        rate = lib.positive("rate", 1.0)
        with lib.core.plate("data", len(y)):
            lib.core.sample("y", lib.dist.Poisson(rate), obs=y - 1)

    return model, None, {"y": np.arange(N).astype("float32")}


@mistake("the observation forgotten", right=lambda fit: bool(fit.problem.model.observed(fit.problem.data)))
def _(lib: Library) -> Made:
    def model(y: Any) -> None:
        a = lib.core.param("a", lib.array(np.float32(0.5)))
        with lib.core.plate("data", len(y)):
            lib.core.sample("y", lib.dist.Normal(a, 1.0))

    return model, None, {"y": Y}


@mistake("a plate larger than its data")
def _(lib: Library) -> Made:
    def model(y: Any) -> None:
        a = lib.core.param("a", lib.array(np.float32(0.5)))
        with lib.core.plate("data", 100):
            lib.core.sample("y", lib.dist.Normal(a, 1.0), obs=y)

    return model, None, {"y": Y[:1]}


@mistake("to_event forgotten where the data are square")
def _(lib: Library) -> Made:
    def model(x: Any) -> None:
        a = lib.core.param("a", lib.array(np.zeros(D, "float32")))
        with lib.core.plate("data", len(x)):
            lib.core.sample("x", lib.dist.Normal(a, 1.0), obs=x)

    return model, None, {"x": X[:D]}


@mistake("plates swapped in square data", rows="rows")
def _(lib: Library) -> Made:
    def model(x: Any) -> None:
        a = lib.core.param("a", lib.array(np.float32(0.0)))
        with lib.core.plate("columns", x.shape[1], dim=-2), lib.core.plate("rows", len(x), dim=-1):
            lib.core.sample("x", lib.dist.Normal(a, 1.0), obs=x)

    return model, None, {"x": X[:D]}


@mistake("a network's output as probs of a Bernoulli")
def _(lib: Library) -> Made:
    return observed(lib, lambda a, x: lib.dist.Bernoulli(probs=x @ lib.weights("w", D)), LABELS, x=X)


@mistake("a network's output as a scale")
def _(lib: Library) -> Made:
    return observed(lib, lambda a, x: lib.dist.Normal(a, x @ lib.weights("w", D)), Y, x=X)


@mistake("probs of classes that do not sum to one", right=lambda fit: fit.backend == "pyro", fine=("pyro",))
def _(lib: Library) -> Made:
    def categorical(a: Any, x: Any) -> Any:
        return lib.dist.Categorical(probs=lib.math.exp(x @ lib.weights("w", D, D)))

    return observed(lib, categorical, np.arange(N) % D, x=X)


@mistake("a network never registered")
def _(lib: Library) -> Made:
    nets = {"net": lib.network(D, 1)}

    def model(y: Any, x: Any) -> None:
        with lib.core.plate("data", len(y)):
            lib.core.sample("y", lib.dist.Normal(nets["net"](x)[:, 0], lib.positive("s", 1.0)), obs=y)

    return model, None, {"y": Y, "x": X}


# what a density is made of ------------------------------------------------------------------------------------------------


@mistake("a model that reads the entry it observes")
def _(lib: Library) -> Made:
    def model(y: Any) -> None:
        a = lib.core.param("a", lib.array(np.float32(0.5)))
        with lib.core.plate("data", len(y)):
            lib.core.sample("y", lib.dist.Normal(a * y, 1.0), obs=y)

    return model, None, {"y": Y}


@mistake("rows mixed in the model (a mean over the batch)", batch_size=7)
def _(lib: Library) -> Made:
    return normal(lib, Y, lambda a, x: a * (x - x.mean(0)).sum(-1), x=X)


@mistake("a key or seed set inside the program")
def _(lib: Library) -> Made:
    return normal(lib, Y, lambda a: a + lib.noise())


@mistake("a generator of NumPy inside the program")
def _(lib: Library) -> Made:
    rng = np.random.default_rng(0)
    return normal(lib, Y, lambda a: a + float(rng.normal()))


@mistake("the clock inside the program")
def _(lib: Library) -> Made:
    return normal(lib, Y, lambda a: a + time.time() % 1)


@mistake("a whole number above 2^31", fine=("pyro",))
def _(lib: Library) -> Made:
    return normal(lib, Y, lambda a, x: a * x / 1e9, x=np.arange(N) + 3_000_000_000)


@mistake("time stamps in seconds", fine=("pyro",))
def _(lib: Library) -> Made:
    return normal(lib, Y, lambda a, x: a * (x - 1.7e9), x=1.7e9 + np.arange(N))


@mistake("bytes that overflow", right=lambda fit: float(fit.history["loss/model"][0]) > 1000)
def _(lib: Library) -> Made:
    return normal(lib, Y, lambda a, x: a * (x + x), x=np.full(N, 200, np.uint8))


@mistake("a default argument that a slip of the pen hides")
def _(lib: Library) -> Made:
    def model(y: Any, temprature: Any = None, **rest: Any) -> None:
        a = lib.core.param("a", lib.array(np.float32(0.5)))
        with lib.core.plate("data", len(y)):
            z = lib.core.sample("z", lib.dist.Normal(0.0, 1.0))
            lib.core.sample("y", lib.dist.Normal(z + (0 if temprature is None else a * temprature[:, 0]), 1.0), obs=y)

    def guide(y: Any, temperature: Any = None) -> None:
        with lib.core.plate("data", len(y)):
            lib.core.sample("z", lib.dist.Normal(temperature[:, 0], lib.positive("s", 1.0)))

    return model, guide, {"y": Y, "temperature": X}


# guides -------------------------------------------------------------------------------------------------------------------


def guided(lib: Library, q: Callable[..., None], prior: Callable[[], Any] | None = None) -> Made:
    """z ~ prior, y ~ Normal(z, 1), and a guide."""

    def model(y: Any) -> None:
        with lib.core.plate("data", len(y)):
            z = lib.core.sample("z", prior() if prior else lib.dist.Normal(0.0, 1.0))
            lib.core.sample("y", lib.dist.Normal(z, 1.0), obs=y)

    return model, q, {"y": Y}


@mistake("the guide's plate under another name")
def _(lib: Library) -> Made:
    def guide(y: Any) -> None:
        with lib.core.plate("batch", len(y)):
            lib.core.sample("z", lib.dist.Normal(y, lib.positive("s", 1.0)))

    return guided(lib, guide)


@mistake("a Normal guide of a HalfNormal site")
def _(lib: Library) -> Made:
    def guide(y: Any) -> None:
        with lib.core.plate("data", len(y)):
            lib.core.sample("z", lib.dist.Normal(5 + 0 * y, lib.positive("s", 0.1)))

    return guided(lib, guide, lambda: lib.dist.HalfNormal(1.0))


@mistake("a guide on half of the prior's interval")
def _(lib: Library) -> Made:
    def guide(y: Any) -> None:
        with lib.core.plate("data", len(y)):
            lib.core.sample("z", lib.dist.Uniform(0.0, 0.5 * lib.positive("s", 1.0)))

    return guided(lib, guide, lambda: lib.dist.Uniform(0.0, 1.0))


@mistake("a latent site that the guide misses")
def _(lib: Library) -> Made:
    def guide(y: Any) -> None:
        lib.positive("s", 1.0)

    return guided(lib, guide)


@mistake("a site of the guide that the model lacks")
def _(lib: Library) -> Made:
    def guide(y: Any) -> None:
        with lib.core.plate("data", len(y)):
            lib.core.sample("z", lib.dist.Normal(y, lib.positive("s", 1.0)))
            lib.core.sample("w", lib.dist.Normal(y, 1.0))

    return guided(lib, guide)


@mistake("a discrete site under a pathwise objective")
def _(lib: Library) -> Made:
    def model(y: Any) -> None:
        with lib.core.plate("data", len(y)):
            z = lib.core.sample("z", lib.dist.Bernoulli(0.5))
            lib.core.sample("y", lib.dist.Normal(z, 1.0), obs=y)

    def guide(y: Any) -> None:
        with lib.core.plate("data", len(y)):
            lib.core.sample("z", lib.dist.Bernoulli(logits=y * lib.positive("s", 1.0)))

    return model, guide, {"y": Y}


def shared(lib: Library, q: Callable[..., Any]) -> Made:
    """A site w that all rows share, y ~ Normal(w, 1), and w's distribution in the guide."""

    def model(y: Any) -> None:
        w = lib.core.sample("w", lib.dist.Normal(0.0, 1.0))
        with lib.core.plate("data", len(y)):
            lib.core.sample("y", lib.dist.Normal(w, 1.0), obs=y)

    def guide(y: Any) -> None:
        lib.core.sample("w", q(y))

    return model, guide, {"y": Y}


@mistake("a guide of a shared site that reads the minibatch", batch_size=7)
def _(lib: Library) -> Made:
    return shared(lib, lambda y: lib.dist.Normal(y.mean(), lib.positive("s", 1.0)))


@mistake("one parameter per datum, sliced to the minibatch", batch_size=7)
def _(lib: Library) -> Made:
    def guide(y: Any) -> None:
        loc = lib.core.param("m", lib.array(np.zeros(7, "float32")))
        with lib.core.plate("data", len(y)):
            lib.core.sample("z", lib.dist.Normal(loc[: len(y)], 1.0))

    return guided(lib, guide)


@mistake("minibatches without the scale N / B", right=lambda fit: fit.problem.size == N, batch_size=7)
def _(lib: Library) -> Made:
    return shared(
        lib, lambda y: lib.dist.Normal(lib.core.param("m", lib.array(np.float32(0.0))), lib.positive("s", 1.0))
    )
