"""Algorithms that cannot learn a program say so before the first step: which site, why, and which others can."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import ppgen
from ppgen import (
    ELBO,
    GAN,
    IWAE,
    MaximumLikelihood,
    Renyi,
    ReweightedWakeSleep,
    WakeSleep,
    dist,
    nn,
    param,
    plate,
    sample,
)
from ppgen.errors import IllegalPairing
from ppgen.inference import ALGORITHMS, PROCEDURES

ROWS = 6
BITS = np.tile([0.0, 1.0], ROWS // 2).astype("float32")


@dataclass(frozen=True)
class Case:
    """Programs of one kind, and data for them."""

    model: Any
    guide: Any = None

    def problem(self, backend, full_batch=True):
        size = ROWS if full_batch else 100
        return ppgen.Problem(self.model, self.guide, data={"y": BITS}, backend=backend, size=size)


def continuous(rows):
    a = param("a", 0.5)
    with plate("data", rows):
        z = sample("z", dist.Normal(a, 1.0))
        sample("y", dist.Normal(z, 1.0))


def continuous_guide(y):
    b = param("b", 0.5)
    with plate("data", len(y)):
        sample("z", dist.Normal(b * y, 1.0))


def binary(rows):
    a = param("a", 0.5)
    with plate("data", rows):
        z = sample("z", dist.Bernoulli(logits=a))
        sample("y", dist.Normal(a * z, 1.0))


def binary_guide(y):
    b = param("b", 0.5)
    with plate("data", len(y)):
        sample("z", dist.Bernoulli(logits=b * y))


def many_bits(rows):
    a = param("a", np.full(13, 0.5))
    with plate("data", rows):
        z = sample("z", dist.Bernoulli(logits=a).to_event(1))
        sample("y", dist.Normal(z.sum(-1), 1.0))


def shared(rows):
    a = param("a", 0.5)
    w = sample("w", dist.Normal(a, 1.0))
    with plate("data", rows):
        sample("y", dist.Normal(w, 1.0))


def shared_guide():
    sample("w", dist.Normal(param("b", 0.5), 1.0))


def with_factor(rows):
    a = param("a", 0.5)
    with plate("data", rows):
        z = sample("z", dist.Normal(a, 1.0))
        sample("y", dist.Normal(z, 1.0))
        ppgen.factor("penalty", -(z**2))


def coins(rows):
    a = param("a", 0.5)
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0))
        sample("y", dist.Bernoulli(logits=a + z))


def observed(rows):
    with plate("data", rows):
        sample("y", dist.Normal(param("a", 0.5), 1.0))


CASES = {
    "continuous": Case(continuous, continuous_guide),
    "binary": Case(binary, binary_guide),
    "global": Case(shared, shared_guide),
    "factor": Case(with_factor, continuous_guide),
    "coins": Case(coins, continuous_guide),
    "observed": Case(observed),
    "continuous, no guide": Case(continuous),
    "binary, no guide": Case(binary),
    "many bits, no guide": Case(many_bits),
}
PATHWISE = r"site 'z' of the guide \(discrete, \{0, 1\}\) has no reparameterised draw"
WHOLE = r"site 'w' is global .*minibatches would bias it \(leave out batch_size\)"
NO_GUIDE = r"latent sites \['z'\] need a guide q\(z \| x\), and none was given"

ILLEGAL = [
    ("binary", ELBO(), True, PATHWISE),
    ("binary", ELBO(particles=2, gradient="stl"), True, PATHWISE),
    ("binary", IWAE(), True, PATHWISE),
    ("binary", IWAE(gradient="dreg"), True, PATHWISE),
    ("binary", Renyi(), True, PATHWISE),
    ("binary", GAN(), True, r"site 'z' of the model \(discrete, \{0, 1\}\) has no reparameterised draw"),
    (
        "coins",
        GAN(emit="draw"),
        True,
        r"site 'y' \(discrete, \{0, 1\}\) has no reparameterised draw; emit='mean' sends",
    ),
    ("continuous", MaximumLikelihood(), True, r"site 'z' \(continuous, the reals\) cannot be summed out exactly"),
    (
        "many bits, no guide",
        MaximumLikelihood(),
        True,
        r"have 8192 configurations a row; at most 4096 can be summed out",
    ),
    ("global", IWAE(), False, WHOLE),
    ("global", IWAE(gradient="vimco"), False, WHOLE),
    ("global", Renyi(), False, WHOLE),
    ("global", ReweightedWakeSleep(), False, WHOLE),
    ("global", ELBO(particles=2, gradient="score"), False, WHOLE),
    ("factor", WakeSleep(), True, r"the model has a factor 'penalty', which cannot be sampled"),
    (
        "factor",
        ReweightedWakeSleep(sleep_phase=True),
        True,
        r"the model has a factor 'penalty', which cannot be sampled",
    ),
    ("factor", GAN(), True, r"the model has a factor 'penalty', which cannot be sampled"),
    ("observed", WakeSleep(), True, r"every site of the model is observed, so there is nothing for a guide to do"),
    ("observed", ReweightedWakeSleep(), True, r"every site of the model is observed"),
    ("continuous, no guide", ELBO(), True, NO_GUIDE),
    ("continuous, no guide", IWAE(), False, NO_GUIDE),
    ("continuous, no guide", WakeSleep(), True, NO_GUIDE),
    ("binary, no guide", ReweightedWakeSleep(), True, NO_GUIDE),
]

LEGAL = [
    ("binary", ELBO(particles=2, gradient="score"), True),
    ("binary", ELBO(particles=2, gradient="score"), False),
    ("binary", IWAE(gradient="vimco"), False),
    ("binary", ReweightedWakeSleep(), False),
    ("binary", WakeSleep(), False),
    ("binary, no guide", MaximumLikelihood(), False),
    ("coins", GAN(), False),
    ("global", ELBO(), False),
    ("global", IWAE(), True),
    ("global", Renyi(), True),
    ("global", Renyi(alpha=1), False),
    ("global", ReweightedWakeSleep(), True),
    ("factor", ELBO(), True),
    ("factor", ReweightedWakeSleep(), True),
    ("observed", MaximumLikelihood(), False),
    ("observed", ELBO(), False),
    ("continuous, no guide", GAN(), False),
]


def identify(value):
    """A short name in pytest's list; the reasons are left out."""
    if isinstance(value, str):
        return value if value in CASES else ""
    return repr(value)


@pytest.mark.parametrize(("name", "algorithm", "full_batch", "reason"), ILLEGAL, ids=identify)
def test_illegal(backend, name, algorithm, full_batch, reason):
    with pytest.raises(IllegalPairing, match=reason) as caught:
        ppgen.Trainer(CASES[name].problem(backend, full_batch), algorithm)
    message = str(caught.value)
    assert message.startswith(f"{algorithm!r} cannot learn this program: ")
    assert re.search(
        r"Legal here: .*\.$|No algorithm of ppgen can\.$|Write a guide, a function that samples \['z'\]", message
    )


@pytest.mark.parametrize(("name", "algorithm", "full_batch"), LEGAL, ids=identify)
def test_legal(backend, name, algorithm, full_batch):
    ppgen.Trainer(CASES[name].problem(backend, full_batch), algorithm)


PROGRAMS = [pytest.param(name, True, id=name) for name in CASES] + [
    pytest.param("global", False, id="global, minibatches")
]


@pytest.mark.parametrize(("name", "full_batch"), PROGRAMS)
def test_the_list_of_legal_algorithms_is_true(backend, name, full_batch):
    """Every game of ppgen takes a finite step on the program, or is refused with the list of those that do.

    Steps are taken on Pyro (`test_contracts.py` compares NumPyro's), and procedures by their own tests.
    """
    problem, can, refusals = CASES[name].problem(backend, full_batch), [], []
    for algorithm in ALGORITHMS:
        try:
            trainer = ppgen.Trainer(problem, algorithm)
        except IllegalPairing as refusal:
            refusals.append(str(refusal))
            continue
        if backend == "pyro":
            after, losses = trainer.step(trainer.init(), {"y": BITS})
            assert all(np.isfinite(float(loss)) for loss in losses.values()), algorithm
            assert trainer.backend.all_finite(after.parameters), algorithm
        can.append(repr(algorithm))
    can += [repr(procedure) for procedure in PROCEDURES if not procedure.objections(problem)]
    for message in refusals:
        said = f"Legal here: {', '.join(can)}." if can else "No algorithm of ppgen can."
        assert message.endswith(said) or (not can and "Write a guide" in message)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: ELBO(gradient="score"),
            r"particles >= 2 with gradient='score'.*got 1\. Raise particles, or pass baseline",
        ),
        (lambda: ELBO(gradient="pathwise"), r"gradient to be one of \('reparam', 'stl', 'score'\); got 'pathwise'"),
        (lambda: ELBO(gradient="stl", analytic_kl=True), r"gradient='stl' or analytic_kl=True; got both"),
        (lambda: ELBO(particles=0), r"particles to be a positive integer; got 0"),
        (lambda: IWAE(particles=1, gradient="vimco"), r"particles >= 2 with gradient='vimco'; got 1"),
        (lambda: ReweightedWakeSleep(particles=1), r"particles >= 2 in the wake phase.*got 1"),
        (lambda: ReweightedWakeSleep(wake_phase=False), r"wake_phase or sleep_phase for the guide; got neither"),
        (lambda: Renyi(alpha=float("nan")), r"alpha to be a finite number; got nan"),
        (lambda: GAN(nn.MLP(1, 1), emit="sample"), r"emit to be one of \('mean', 'draw'\); got 'sample'"),
        (lambda: GAN(nn.MLP(1, 1), critic_steps=0), r"critic_steps to be a positive integer; got 0"),
    ],
)
def test_illegal_settings(make, message):
    with pytest.raises(ValueError, match=message):
        make()
