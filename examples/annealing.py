"""A nested importance sampler that learns its kernels: from a Gaussian to a ring, in tempered steps.

The posterior of a point z given its noisy distance x from the origin is a ring, which no Gaussian guide fits. Pairs of kernels
move the guide's draws through p(z) p(x | z)^t, t = 1/4, 1/2, 3/4, 1 (nested variational inference, Zimmermann et al., 2021).

    python examples/annealing.py
"""

from dataclasses import dataclass

import numpy as np

import ppgen
from ppgen import dist, module, nn, ops, plate, sample
from ppgen.inference.algorithm import Algorithm, Played
from ppgen.inference.estimators import per_row
from ppgen.problem.combinators import compose, extend, propose, resample, weighted

NOISE, WIDTH = 0.15, 3.0


def model(rows):  # p(z, x)
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, WIDTH).expand([2]).to_event(1))
        sample("x", dist.Normal(ops.sqrt(ops.sum(ops.square(z), -1) + 1e-6), NOISE))


def guide(x):  # q(z | x)
    with plate("data", len(x)):
        sample("z", gaussian("guide", x[:, None]))


def forward(turn):
    def kernel(x, z):
        with plate("data", len(x)):
            sample("moved", gaussian(f"forward{turn}", ops.concatenate([z, x[:, None]]), near=z))

    return kernel


def backward(turn):
    def kernel(x, moved):
        with plate("data", len(x)):
            sample("z", gaussian(f"backward{turn}", ops.concatenate([moved, x[:, None]]), near=moved))

    return kernel


def gaussian(name, inputs, near=0.0):
    loc, log_scale = module(name, nn.MLP(inputs.shape[-1], 64, (2, 2), activation="tanh"))(inputs)
    return dist.Normal(near + loc, ops.exp(log_scale)).to_event(1)


@dataclass(frozen=True)
class Tempered:
    """p(z) p(x | z)^power, with z under the name of a moved one."""

    p: ppgen.Joint
    power: float

    def log_prob(self, values):
        z = values["moved"]
        trace = self.p.trace(ppgen.Batch({"x": values["x"], "z": z}, drawn=["z"], particles=len(z)))
        return trace.latent.log_prob + self.power * trace.observed.log_prob


@dataclass(frozen=True)
class Annealed(Algorithm):
    """Each pair of kernels makes its own step's weights equal; draws are resampled between steps."""

    steps: int = 4
    particles: int = 10

    @property
    def roles(self):
        turns = range(self.steps)
        return ("model", "guide", *(f"forward{t}" for t in turns), *(f"backward{t}" for t in turns))

    def brings(self, problem):
        turns = range(self.steps)
        return {f"forward{t}": forward(t) for t in turns} | {f"backward{t}": backward(t) for t in turns}

    def play(self, p, q, batch, turn):
        losses, z = {}, weighted(q, batch, self.particles)
        for t in range(self.steps):
            ahead, back = turn.joints[f"forward{t}"], turn.joints[f"backward{t}"]
            target = extend(Tempered(p, (t + 1) / self.steps), back)
            z = propose(target, compose(resample(z, q), ahead)).weighted(batch, self.particles).renamed(moved="z")
            losses[f"forward{t}"] = losses[f"backward{t}"] = -per_row(z.log_weight, batch)
            losses |= {"guide": losses["forward0"]} if t == 0 else {}
            z = z.held
        return Played(losses | {"model": losses["forward0"]}, report={"log_evidence": ops.mean(z.log_mean_weight)})

    @property
    def reports(self):
        return ("log_evidence",)


def exact(x):
    """Log p(x), by a sum over the distance r of z, whose density is r / WIDTH^2 exp(-r^2 / 2 WIDTH^2)."""
    r = np.linspace(1e-4, 8 * WIDTH, 20_000)
    log_density = np.log(r / WIDTH**2) - r**2 / (2 * WIDTH**2)
    normal = -0.5 * ((x[:, None] - r) / NOISE) ** 2 - np.log(NOISE * np.sqrt(2 * np.pi))
    return np.logaddexp.reduce(log_density + normal, 1) + np.log(r[1] - r[0])


def main(steps=3000):
    rng = np.random.default_rng(0)
    x = np.abs(np.linalg.norm(rng.normal(scale=WIDTH, size=(256, 2)), axis=1) + rng.normal(scale=NOISE, size=256))
    data = {"x": x.astype(np.float32)}
    print(f"exact log evidence           {exact(x).mean():8.4f} nats per row")
    fit = ppgen.fit(model, guide, data=data, algorithm=ppgen.IWAE(10), steps=steps, optimizer=ppgen.Adam(3e-3))
    print(f"a Gaussian guide, 10 draws   {-np.mean(fit.history['loss/model'][-100:]):8.4f} (a lower bound)")
    fit = ppgen.fit(  # the model stays as it is
        model,
        guide,
        data=data,
        algorithm=Annealed(),
        steps=steps,
        optimizer=ppgen.Adam(3e-3),
        train=Annealed().roles[1:],
    )
    print(f"annealed, 10 particles       {np.mean(fit.history['log_evidence'][-100:]):8.4f} (a lower bound)")
    return fit


if __name__ == "__main__":
    main()
