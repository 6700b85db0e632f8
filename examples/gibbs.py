"""Blocks of Gibbs sampling with learned kernels: three clusters in each of many small sets of points.

A guide guesses the means of a set's clusters in one go. Two kernels then redraw the labels given the means, and the means given
the labels, again and again; they learn from weighted draws (amortised population Gibbs, Wu et al., 2020).

    python examples/gibbs.py
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

import ppgen
from ppgen import dist, module, nn, ops, plate, sample
from ppgen.inference.algorithm import Algorithm, Played
from ppgen.problem.combinators import block, propose, resample, weighted

POINTS, CLUSTERS, WIDTH, SPREAD = 12, 3, 3.0, 0.5


def model(rows):  # p(means, labels, x) of each set, a row
    with plate("data", rows, dim=-2):
        means = sample("means", dist.Normal(0.0, WIDTH).expand([CLUSTERS, 2]).to_event(2))
        with plate("points", POINTS, dim=-1):
            labels = sample("labels", dist.Categorical(ops.ones((CLUSTERS,)) / CLUSTERS))
            code = ops.one_hot(labels, CLUSTERS)
            sample("x", dist.Normal(ops.einsum("...c,...cd->...d", code, means), SPREAD).to_event(1))


def guide(x):  # a first guess
    features = ops.mean(module("features", nn.MLP(2, 64, 64))(x), -2)
    loc, log_scale = module("guess", nn.MLP(64, 64, (2 * CLUSTERS, 2 * CLUSTERS)))(features)
    with plate("data", len(x), dim=-2):
        means = sample("means", clusters(loc, log_scale))
        with plate("points", POINTS, dim=-1):
            sample("labels", dist.Categorical(logits=nearness("guess", x, means)))


def draw_labels(x, means):  # q(labels | means, x)
    with plate("data", len(x), dim=-2), plate("points", POINTS, dim=-1):
        sample("labels", dist.Categorical(logits=nearness("labels", x, means)))


def draw_means(x, labels):  # q(means | labels, x), from each cluster's number and mean of points
    code = ops.one_hot(labels, CLUSTERS)
    count = ops.sum(code, -2)[..., None]
    centre = ops.einsum("...pc,...pd->...cd", code, x) / ops.clip(count, 1.0)
    statistics = ops.concatenate([centre, count / POINTS])
    shift, log_scale = module("draw_means", nn.MLP(3, 32, (2, 2)))(statistics)
    flat = (*shift.shape[:-2], 2 * CLUSTERS)
    with plate("data", len(x), dim=-2):
        sample("means", clusters((centre + shift).reshape(flat), log_scale.reshape(flat)))


def clusters(loc, log_scale):
    shape = (*loc.shape[:-1], 1, CLUSTERS, 2)
    return dist.Normal(loc.reshape(shape), ops.exp(3 * ops.tanh(log_scale.reshape(shape) / 3))).to_event(2)


def nearness(name, x, means):
    """What a kernel thinks of each point's label, learned: -|x - mean|^2 times a number."""
    distance = ops.sum(ops.square(x[..., :, None, :] - means), -1)
    return -distance * ops.exp(ppgen.param(f"{name}.sharpness", 0.0))


@dataclass(frozen=True)
class AmortisedGibbs(Algorithm):
    """The guide and each kernel learn to draw what the weights say (a wake phase), block after block."""

    roles: ClassVar[tuple[str, ...]] = ("model", "guide", "labels", "means")

    sweeps: int = 4
    particles: int = 10

    @property
    def reports(self):
        return ("guess", "after_sweeps")

    def brings(self, problem):
        return {"labels": draw_labels, "means": draw_means}

    def play(self, p, q, batch, turn):
        def learned(joint, z):  # minus the log density of weighted draws
            return -ops.sum(z.share * joint.trace(batch | z.values).latent.only(*names(joint)).log_prob) / batch.rows

        def names(joint):
            return [site.name for site in joint.program.latent(batch.observed)]

        def log_joint(z):  # log p(means, labels, x) of weighted draws: how good an explanation they are
            return ops.mean(ops.sum(z.share * z.log_prob, 0))

        z = weighted(propose(p, q.frozen), batch, self.particles).held
        losses, guess = {"guide": learned(q, z), "labels": 0.0, "means": 0.0}, log_joint(z)
        for _ in range(self.sweeps):
            for name in ("labels", "means"):
                kernel = turn.joints[name]
                z = weighted(block(p, resample(z, q), kernel.frozen), batch, self.particles).held
                losses[name] = losses[name] + learned(kernel, z)
        report = {"guess": guess, "after_sweeps": log_joint(z)}
        return Played(losses | {"model": losses["guide"]}, report=report)


def main(steps=1000):
    rng = np.random.default_rng(0)
    means = rng.normal(scale=WIDTH, size=(400, CLUSTERS, 2))
    labels = rng.integers(CLUSTERS, size=(400, POINTS))
    x = means[np.arange(400)[:, None], labels] + rng.normal(scale=SPREAD, size=(400, POINTS, 2))
    algorithm = AmortisedGibbs()
    fit = ppgen.fit(
        model, guide, data={"x": x.astype(np.float32)}, algorithm=algorithm, steps=steps, batch_size=50,
        optimizer=ppgen.Adam(2e-3), train=algorithm.roles[1:],
    )  # fmt: skip
    for name, text in (("guess", "a guess in one go"), ("after_sweeps", "after four sweeps")):
        print(f"{text}: log p(means, labels, x) {np.mean(fit.history[name][-10:]):8.3f} nats per set")
    truth = {"means": means[:, None].astype(np.float32), "labels": labels.astype(np.int32), "x": x.astype(np.float32)}
    print(f"what made the data: {ppgen.evaluate(model, data=truth).nats:29.3f}")
    return fit


if __name__ == "__main__":
    main()
