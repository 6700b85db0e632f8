"""Posteriors that samplers are measured on: each as a program of ppgen, as one of NumPyro, and with draws to compare with.

Those of posteriordb (https://github.com/stan-dev/posteriordb) come with reference draws. They are read from the folder
`posteriordb` below `PPGEN_DATA`.
"""

import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpyro
import numpyro.distributions as nd

import ppgen
from ppgen import dist, ops, plate, sample


@dataclass(frozen=True)
class Posterior:
    """A model and its data.

    Attributes:
        model: as a program of ppgen.
        native: as a program of NumPyro, of the same arguments and observed sites.
        data: arrays by name.
        named: from draws by site [..., sites' shape] to draws of single numbers [...] under the names of `reference`.
        reference: draws by name [10000]; none where there are no such.
    """

    model: Callable[..., None]
    native: Callable[..., None]
    data: Mapping[str, np.ndarray]
    named: Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
    reference: Mapping[str, np.ndarray]


def eight_schools() -> Posterior:
    """Effects of coaching in eight schools (Rubin, 1981), non-centred."""
    data, reference = _read("eight_schools", "eight_schools_noncentered")

    def model(sigma):
        mu, tau = sample("mu", dist.Normal(0.0, 5.0)), sample("tau", dist.HalfCauchy(5.0))
        with plate("data", len(sigma)):
            theta = sample("theta_trans", dist.Normal(0.0, 1.0))
            sample("y", dist.Normal(mu + tau * theta, sigma))

    def native(sigma, y):
        mu, tau = numpyro.sample("mu", nd.Normal(0.0, 5.0)), numpyro.sample("tau", nd.HalfCauchy(5.0))
        with numpyro.plate("data", len(sigma)):
            theta = numpyro.sample("theta_trans", nd.Normal(0.0, 1.0))
            numpyro.sample("y", nd.Normal(mu + tau * theta, sigma), obs=y)

    def named(draws):
        theta = draws["mu"][..., None] + draws["tau"][..., None] * draws["theta_trans"]
        return {"mu": draws["mu"], "tau": draws["tau"], **_numbered("theta", theta)}

    arrays = {name: np.array(data[name], np.float32) for name in ("y", "sigma")}
    return Posterior(model, native, arrays, named, reference)


def linear_regression() -> Posterior:
    """posteriordb's sblrc: a regression on five columns, with a scale of its own."""
    data, reference = _read("sblrc", "blr")

    def model(x):
        beta = sample("beta", dist.Normal(0.0, 10.0).expand([5]).to_event(1))
        sigma = sample("sigma", dist.HalfNormal(10.0))
        with plate("data", len(x)):
            sample("y", dist.Normal((x * beta).sum(-1), sigma))

    def native(x, y):
        beta = numpyro.sample("beta", nd.Normal(0.0, 10.0).expand([5]).to_event(1))
        sigma = numpyro.sample("sigma", nd.HalfNormal(10.0))
        with numpyro.plate("data", len(x)):
            numpyro.sample("y", nd.Normal((x * beta).sum(-1), sigma), obs=y)

    arrays = {"x": np.array(data["X"], np.float32), "y": np.array(data["y"], np.float32)}
    return Posterior(
        model, native, arrays, lambda draws: {"sigma": draws["sigma"], **_numbered("beta", draws["beta"])}, reference
    )


def autoregression() -> Posterior:
    """posteriordb's arK: a series on its last five values."""
    data, reference = _read("arK", "arK")
    series = np.array(data["y"], np.float32)

    def model(x):
        alpha = sample("alpha", dist.Normal(0.0, 10.0))
        beta = sample("beta", dist.Normal(0.0, 10.0).expand([5]).to_event(1))
        sigma = sample("sigma", dist.HalfCauchy(2.5))
        with plate("data", len(x)):
            sample("y", dist.Normal(alpha + (x * beta).sum(-1), sigma))

    def native(x, y):
        alpha = numpyro.sample("alpha", nd.Normal(0.0, 10.0))
        beta = numpyro.sample("beta", nd.Normal(0.0, 10.0).expand([5]).to_event(1))
        sigma = numpyro.sample("sigma", nd.HalfCauchy(2.5))
        with numpyro.plate("data", len(x)):
            numpyro.sample("y", nd.Normal(alpha + (x * beta).sum(-1), sigma), obs=y)

    def named(draws):
        return {"alpha": draws["alpha"], "sigma": draws["sigma"], **_numbered("beta", draws["beta"])}

    lags = np.stack([series[5 - k : len(series) - k] for k in range(1, 6)], 1)
    return Posterior(model, native, {"x": lags, "y": series[5:]}, named, reference)


def mixture() -> Posterior:
    """posteriordb's low_dim_gauss_mix: two Gaussians; which of them a row is from is summed out.

    The reference orders the means; here they are put in order afterwards, draw by draw.
    """
    data, reference = _read("low_dim_gauss_mix", "low_dim_gauss_mix")

    def model(rows):
        theta = sample("theta", dist.Beta(5.0, 5.0))
        mu0, mu1 = sample("mu0", dist.Normal(0.0, 2.0)), sample("mu1", dist.Normal(0.0, 2.0))
        scale0, scale1 = sample("scale0", dist.HalfNormal(2.0)), sample("scale1", dist.HalfNormal(2.0))
        with plate("data", rows):
            first = sample("first", dist.Bernoulli(theta))
            loc, scale = first * mu0 + (1 - first) * mu1, first * scale0 + (1 - first) * scale1
            sample("y", dist.Normal(loc, scale))

    def native(y):
        theta = numpyro.sample("theta", nd.Beta(5.0, 5.0))
        mu0, mu1 = numpyro.sample("mu0", nd.Normal(0.0, 2.0)), numpyro.sample("mu1", nd.Normal(0.0, 2.0))
        scale0, scale1 = numpyro.sample("scale0", nd.HalfNormal(2.0)), numpyro.sample("scale1", nd.HalfNormal(2.0))
        parts = [nd.Normal(mu1, scale1), nd.Normal(mu0, scale0)]
        with numpyro.plate("data", len(y)):
            weights = nd.Categorical(probs=ops.stack([1 - theta, theta]))
            numpyro.sample("y", nd.MixtureGeneral(weights, parts), obs=y)

    def named(draws):
        swapped = draws["mu0"] > draws["mu1"]
        pairs = {"mu": ("mu0", "mu1"), "sigma": ("scale0", "scale1")}
        found = {"theta": np.where(swapped, 1 - draws["theta"], draws["theta"])}
        for name, (a, b) in pairs.items():
            found[f"{name}[1]"] = np.where(swapped, draws[b], draws[a])
            found[f"{name}[2]"] = np.where(swapped, draws[a], draws[b])
        return found

    return Posterior(model, native, {"y": np.array(data["y"], np.float32)}, named, reference)


def logistic_regression() -> Posterior:
    """Whether a wine is good, from eleven measurements of 1279 red wines (UCI); there are no reference draws."""
    table = ppgen.data.uci("wine-quality-red").train["x"]
    x, y = table[:, :-1], (table[:, -1] > 0).astype(np.float32)

    def model(x):
        w, b = sample("w", dist.Normal(0.0, 1.0).expand([11]).to_event(1)), sample("b", dist.Normal(0.0, 1.0))
        with plate("data", len(x)):
            sample("y", dist.Bernoulli(logits=(x * w).sum(-1) + b))

    def native(x, y):
        w = numpyro.sample("w", nd.Normal(0.0, 1.0).expand([11]).to_event(1))
        b = numpyro.sample("b", nd.Normal(0.0, 1.0))
        with numpyro.plate("data", len(x)):
            numpyro.sample("y", nd.Bernoulli(logits=(x * w).sum(-1) + b), obs=y)

    return Posterior(model, native, {"x": x, "y": y}, lambda draws: {"b": draws["b"], **_numbered("w", draws["w"])}, {})


POSTERIORS = {
    "eight schools": eight_schools,
    "linear regression": linear_regression,
    "autoregression": autoregression,
    "mixture": mixture,
    "logistic regression": logistic_regression,
}


def _numbered(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """The numbers of a vector, counted from 1 as Stan does."""
    return {f"{name}[{i + 1}]": values[..., i] for i in range(values.shape[-1])}


def _read(data: str, posterior: str) -> tuple[dict, dict[str, np.ndarray]]:
    """Data and reference draws of posteriordb."""
    folder = Path(os.environ.get("PPGEN_DATA", ".")) / "posteriordb"

    def content(name: str):
        path = folder / f"{name}.json.zip"
        if not path.exists():
            raise FileNotFoundError(f"expected {path}; it is posteriordb's file of that name. Set PPGEN_DATA.")
        with zipfile.ZipFile(path) as archive:
            return json.load(io.BytesIO(archive.read(archive.namelist()[0])))

    chains = content(f"{data}-{posterior}.draws")
    return content(f"{data}.data"), {name: np.concatenate([chain[name] for chain in chains]) for name in chains[0]}
