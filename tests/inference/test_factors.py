"""A factor is a term of the model's log density, whatever learns it; a guide has none."""

import re
from pathlib import Path

import numpy as np
import pytest

import ppgen
from ppgen import ELBO, IWAE, NUTS, SMC, Renyi, ReweightedWakeSleep, dist, factor, ops, param, plate, sample
from ppgen.errors import Note, ProgramError
from ppgen.evaluation import evidence
from ppgen.inference import EVERYTHING

X = np.array([0.7, -1.3, 0.2, 1.9], np.float32)
TAKE_A_TARGET = {"ELBO", "IWAE", "Renyi", "ReweightedWakeSleep(particles=5, wake_phase=True, sleep_phase=False)"} | {
    "NUTS", "HMC", "SMC",
}  # fmt: skip


def log_normal(x, loc):
    return -ops.square(x - loc) / 2 - 0.5 * float(np.log(2 * np.pi))


def by_site(rows):
    loc = param("loc", 0.3)
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0))
        sample("x", dist.Normal(z + loc, 1.0))


def by_factor(x):
    loc = param("loc", 0.3)
    with plate("data", len(x)):
        z = sample("z", dist.Normal(0.0, 1.0))
        factor("likelihood", log_normal(x, z + loc))


def guide(x):
    slope, log_scale = param("slope", 0.2), param("log_scale", -0.5)
    with plate("data", len(x)):
        sample("z", dist.Normal(slope * x, ops.exp(log_scale)))


def nothing_latent(rows):
    loc = param("loc", 0.3)
    with plate("data", rows):
        x = sample("x", dist.Normal(loc, 1.0))
        factor("push", loc * x)


GAMES = [
    ELBO(2),
    ELBO(2, gradient="stl"),
    ELBO(2, gradient="score"),
    IWAE(3, gradient="dreg"),
    Renyi(),
    ReweightedWakeSleep(3),
]


@pytest.mark.parametrize("algorithm", GAMES, ids=repr)
def test_a_likelihood_may_be_a_factor(backend, algorithm):
    """Losses and gradients are those of the sample site."""
    found = []
    for model in (by_site, by_factor):
        trainer = ppgen.Trainer(ppgen.Problem(model, guide, data={"x": X}, backend=backend), algorithm)
        state, batch = trainer.init(), trainer.device({"x": X})
        play = trainer.backend.compile(lambda p, t=trainer, s=state, b=batch: t._turn(p, b, t.schedule[0], s.key)[:2])
        losses, gradients = play(state.parameters)
        found.append({n: float(v) for n, v in {**losses, **gradients}.items()})
    assert found[0] == pytest.approx(found[1], rel=1e-4, abs=1e-5)
    assert abs(found[0]["loc"]) > 0.01


def is_a_bound(algorithm):
    return type(algorithm).__name__ in TAKE_A_TARGET or repr(algorithm) in TAKE_A_TARGET


def test_who_takes_a_target(backend):
    """Of all algorithms; the others say that it is no likelihood, or cannot be drawn from."""
    target = ppgen.Problem(by_factor, guide, data={"x": X}, backend=backend)
    observed = ppgen.Problem(nothing_latent, data={"x": X}, backend=backend)
    for algorithm in EVERYTHING:
        reasons = "; ".join(algorithm.objections(target))
        assert is_a_bound(algorithm) == (not reasons), (algorithm, reasons)
        assert is_a_bound(algorithm) or "likelihood" in reasons or "dream" in reasons
        reasons = "; ".join(algorithm.objections(observed))
        assert reasons and ("factor 'push'" in reasons or "every site of the model is observed" in reasons), algorithm


def test_a_guide_has_no_factor(backend):
    """For any algorithm: its programs do not meet."""

    def pushed(x):
        guide(x)
        factor("push", param("a", 0.5) * len(x))

    for algorithm in EVERYTHING:
        steps = None if getattr(algorithm, "length", None) else 1
        with pytest.raises(
            ProgramError, match=r"the guide has a factor 'push'; .*Put a term of the target into the model"
        ):
            ppgen.fit(by_site, pushed, data={"x": X}, algorithm=algorithm, backend=backend, steps=steps)


def test_its_number_is_not_called_a_likelihood(backend):
    for model in (nothing_latent, by_factor):
        found = ppgen.evaluate(
            model, None if model is nothing_latent else guide, data={"x": X}, particles=5, backend=backend
        )
        assert found.kind == "unnormalised" and np.isnan(found.bits_per_dim)
        assert "exact" not in repr(found) and "bits" not in repr(found)
        assert "has factors" in found.note


def test_draws_of_the_model_do_not_follow_it(backend):
    problem = ppgen.Problem(nothing_latent, data={"x": X}, backend=backend)
    with pytest.warns(Note, match=r"draws follow the sample sites alone; the model's factors \['push'\]"):
        ppgen.evaluation.generate(problem, problem.start, rows=2)


# nothing observed --------------------------------------------------------------------------------------------------


def tilted():
    """exp(2 z) N(z; 0, 1): N(z; 2, 1) times e^2."""
    z = sample("z", dist.Normal(0.0, 1.0))
    factor("tilt", 2.0 * z)


def exact():
    sample("z", dist.Normal(param("loc", 2.0), 1.0))


def test_a_target_without_data(backend):
    """Its integral is e^2: by weights of the exact guide, by SMC; draws have mean 2."""
    problem = ppgen.Problem(tilted, exact, data={}, backend=backend)
    assert evidence(problem, problem.start, {}, particles=3).total == pytest.approx(2.0, abs=1e-4)
    found = ppgen.evaluate(tilted, exact, data={}, particles=3, backend=backend)
    assert (found.kind, found.dimensions) == ("unnormalised", 0) and found.nats == pytest.approx(2.0, abs=1e-4)
    fit = ppgen.fit(tilted, exact, data={}, algorithm=IWAE(4), backend=backend, steps=2)
    assert fit.history["loss/model"][0] == pytest.approx(-2.0, abs=1e-4)
    fit = ppgen.fit(tilted, data={}, algorithm=SMC(particles=500), backend=backend)
    assert abs(fit.evidence.total - 2.0) < 5 * fit.evidence.stderr
    fit = ppgen.fit(tilted, data={}, algorithm=NUTS(draws=200, warmup=100, chains=2), backend=backend)
    assert abs(fit.draws["z"].mean() - 2.0) < 0.3


def test_no_data_is_not_misspelt_data(backend):
    with pytest.raises(ProgramError, match=r"no site of the model is observed: .*pass data=\{\} where nothing is"):
        ppgen.Problem(lambda x: sample("z", dist.Normal(0.0, 1.0)), data={"x": X}, backend=backend)


def test_the_page_of_factors_runs(capsys):
    """docs/factor.md."""
    page = (Path(ppgen.__file__).parents[1] / "docs" / "factor.md").read_text()
    names = {}
    for code in re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL):
        exec(code, names)
    mean, *lines = capsys.readouterr().out.splitlines()
    assert -0.5 < float(mean) < 1.5
    assert any(line.startswith("unnormalised: ") for line in lines)
