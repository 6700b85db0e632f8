"""Continuous and discrete latents in one guide, learned baselines, and KL terms in closed form."""

import itertools

import numpy as np
import pytest

import ppgen
from ppgen import ELBO, IWAE, Joint, Trace, dist, nn, ops, param, plate, sample
from ppgen.errors import IllegalPairing

X = np.array([0.7, -1.3])
DATA = {"x": X.astype(np.float32)}
ROWS = len(X)
START = {
    "odds": np.array([0.3]),  # of the model's bit d
    "mean": np.array([-0.8, 1.1]),  # of its z, by d
    "logits": np.array([0.4, -0.9, 0.6]),  # of the guide's d: a constant, by x, by z
    "loc": np.array([0.2, 0.5, -0.7]),  # of its z: a constant, by x, by d
    "log_scale": np.array([-0.3]),
}
NOISE = 0.5  # of x given z and d


def model(rows):
    odds, mean = param("odds", START["odds"]), param("mean", START["mean"])
    with plate("data", rows):
        d = sample("d", dist.Bernoulli(logits=odds[0]))
        z = sample("z", dist.Normal(mean[0] + (mean[1] - mean[0]) * d, 1.0))
        sample("x", dist.Normal(z + 0.5 * d, NOISE))


def bit_first(x):
    logits, loc, log_scale = (param(name, START[name]) for name in ("logits", "loc", "log_scale"))
    with plate("data", len(x)):
        d = sample("d", dist.Bernoulli(logits=logits[0] + logits[1] * x))
        sample("z", dist.Normal(loc[0] + loc[1] * x + loc[2] * d, ops.exp(log_scale[0])))


def number_first(x):
    logits, loc, log_scale = (param(name, START[name]) for name in ("logits", "loc", "log_scale"))
    with plate("data", len(x)):
        z = sample("z", dist.Normal(loc[0] + loc[1] * x, ops.exp(log_scale[0])))
        sample("d", dist.Bernoulli(logits=logits[0] + logits[1] * x + logits[2] * z))


GUIDES = {"bit first": bit_first, "number first": number_first}


def normal(x, loc, scale):
    return -0.5 * ((x - loc) / scale) ** 2 - 0.5 * np.log(2 * np.pi * scale**2)


def bernoulli(x, logit):
    return x * logit - np.logaddexp(0, logit)


def densities(order, d, eps, odds, mean, logits, loc, log_scale):
    """Log w, and log q(d) as it depends on the parameters, where z follows from its noise; float64."""
    z = loc[0] + loc[1] * X + np.exp(log_scale[0]) * eps + (loc[2] * d if order == "bit first" else 0)
    log_p = bernoulli(d, odds[0]) + normal(z, mean[0] + (mean[1] - mean[0]) * d, 1) + normal(X, z + 0.5 * d, NOISE)
    log_q_z = normal(eps, 0, 1) - log_scale[0]
    log_q_d = bernoulli(d, logits[0] + logits[1] * X + (logits[2] * z if order == "number first" else 0))
    return log_p - log_q_z - log_q_d, log_q_d + 0 * eps


def expected_elbo(order, eps):
    """The mean over d, exactly, at given noise [particles, rows]."""

    def objective(**parameters):
        terms = [densities(order, d, eps, **parameters) for d in (0, 1)]
        return sum(np.exp(log_q) * log_w for log_w, log_q in terms).mean()

    return objective


def expected_iwae(order, eps):
    """The mean over both particles' d, exactly."""

    def objective(**parameters):
        terms = [densities(order, d, eps, **parameters) for d in (0, 1)]
        log_w, log_q = np.moveaxis(terms, 1, 0)  # [d, particles, rows]
        total = 0.0
        for i, j in itertools.product((0, 1), repeat=2):
            chance = np.exp(log_q[i, 0] + log_q[j, 1])
            total = total + chance * (np.logaddexp(log_w[i, 0], log_w[j, 1]) - np.log(2))
        return total.mean()

    return objective


def slopes(objective):
    """Central differences in float64."""
    found = {}
    for name in START:
        found[name] = np.zeros_like(START[name])
        for i in range(len(START[name])):
            step = np.zeros_like(START[name])
            step[i] = 1e-5
            ends = [objective(**{**START, name: START[name] + sign * step}) for sign in (1, -1)]
            found[name][i] = (ends[0] - ends[1]) / 2e-5
    return found


def started(algorithm, backend, guide, model=model):
    trainer = ppgen.Trainer(ppgen.Problem(model, guide, data=DATA, backend=backend), algorithm)
    return trainer, trainer.init()


def expected_gradient(algorithm, backend, order, eps, play):
    """Minus the mean gradient over every value of d, [particles, rows], with its probability; z's noise is held."""
    run = play(*started(algorithm, backend, GUIDES[order]), DATA)
    _, one = densities(order, 1, eps, **START)
    total = {}
    for bits in itertools.product((0, 1), repeat=eps.size):
        d = np.reshape(bits, eps.shape)
        chance = np.exp(np.where(d, one, np.log1p(-np.exp(one))).sum())
        _, grads = run(normal=eps, uniform=1 - d)  # a uniform number below the probability gives 1
        total = {name: total.get(name, 0.0) - chance * grad for name, grad in grads.items()}
    return total


def largest_error(found, wanted):
    return max(np.abs(found[name] - gradient).max() for name, gradient in wanted.items())


EPS = np.array([[0.3, -1.2], [1.6, 0.4]])
BOUNDS = [(ELBO(2, gradient="score"), expected_elbo), (IWAE(2, gradient="vimco"), expected_iwae)]


# the score function for d, the path for z --------------------------------------------------------------------


@pytest.mark.parametrize("order", GUIDES)
@pytest.mark.parametrize(("algorithm", "objective"), BOUNDS, ids=["elbo", "vimco"])
def test_the_mean_over_the_bit_is_the_gradient(backend, algorithm, objective, order, play):
    """At any noise of z, and for every parameter: also those that reach d through z, or z through d."""
    found = expected_gradient(algorithm, backend, order, EPS, play)
    assert largest_error(found, slopes(objective(order, EPS))) < 2e-4


def test_a_score_of_every_site_is_caught(backend, play, monkeypatch):
    """A site with a path that is scored as well counts twice."""
    draw = Joint.draw

    def scored(self, batch, *args, **options):
        z = draw(self, batch, *args, **options)
        fixed = {name: self.backend.stop_gradient(value) for name, value in z.values.items()}
        fixed = ppgen.Batch(fixed, rows=batch.rows, drawn=fixed, particles=z.particles)
        monkeypatch.setattr(Trace, "held", self.trace(batch | fixed))
        return z

    monkeypatch.setattr(Joint, "draw", scored)
    found = expected_gradient(BOUNDS[0][0], backend, "bit first", EPS, play)
    assert largest_error(found, slopes(expected_elbo("bit first", EPS))) > 0.1


def test_a_dropped_score_is_caught(backend, play, monkeypatch):
    monkeypatch.setattr("ppgen.inference.variational.elbo.scored", lambda log_w, score, baseline: log_w)
    found = expected_gradient(BOUNDS[0][0], backend, "number first", EPS, play)
    assert largest_error(found, slopes(expected_elbo("number first", EPS))) > 0.1


# a learned baseline ------------------------------------------------------------------------------------------

LEARNED = ELBO(gradient="score", baseline=nn.MLP(1, 3, 1, activation="tanh"))


def test_a_learned_baseline_leaves_the_mean(backend, play):
    found = expected_gradient(LEARNED, backend, "bit first", EPS[:1], play)
    assert largest_error(found, slopes(expected_elbo("bit first", EPS[:1]))) < 2e-4


def test_a_baseline_that_knows_the_draw_is_caught(backend, play, monkeypatch):
    """Half of log w as its own baseline halves the score term."""
    scored = ppgen.inference.variational.elbo.scored
    monkeypatch.setattr(
        "ppgen.inference.variational.elbo.scored", lambda log_w, score, _: scored(log_w, score, 0.5 * log_w)
    )
    found = expected_gradient(LEARNED, backend, "bit first", EPS[:1], play)
    assert largest_error(found, slopes(expected_elbo("bit first", EPS[:1]))) > 0.1


def test_the_baseline_learns_the_log_weight(backend, play):
    """Its loss is the squared error; its gradient follows that, and the guide's loss is still the bound."""
    trainer, state = started(LEARNED, backend, bit_first)
    d = np.array([[1, 0]])
    losses, grads = play(trainer, state, DATA)(normal=EPS[:1], uniform=1 - d)
    log_w, _ = densities("bit first", d, EPS[:1], **START)
    layers = trainer.problem.export(state.parameters)
    hidden = np.tanh(X[:, None] @ layers["baseline.0.weight"] + layers["baseline.0.bias"])
    guess = (hidden @ layers["baseline.1.weight"] + layers["baseline.1.bias"])[:, 0]
    assert losses["model"] == pytest.approx(-log_w.mean(), rel=1e-5)
    assert losses["guide"] == pytest.approx(-log_w.mean(), rel=1e-5)
    assert losses["baseline"] == pytest.approx(np.square(log_w - guess).mean(), rel=1e-5)
    assert float(grads["baseline.1.bias"][0]) == pytest.approx(-2 * (log_w - guess).mean(), rel=1e-4)


# KL terms in closed form -------------------------------------------------------------------------------------

CORNERS = np.array(list(itertools.product((1.0, -1.0), repeat=2)))  # integrates quadratics of two normals exactly


def two_numbers(rows):
    loc = param("loc", [0.3, -0.6])
    with plate("data", rows):
        z = sample("z", dist.Normal(loc, 0.8).to_event(1))
        sample("x", dist.Normal(z.sum(-1), NOISE))


def two_numbers_guide(x):
    slope, log_scale = param("slope", [0.5, -0.2]), param("log_scale", [-0.4, 0.3])
    with plate("data", len(x)):
        sample("z", dist.Normal(slope * x[..., None], ops.exp(log_scale)).to_event(1))


def two_numbers_elbo():
    """The bound of both rows, by the moments of Gaussians."""
    loc, scale = np.array([0.5, -0.2]) * X[:, None], np.exp([-0.4, 0.3])
    mean, prior = np.array([0.3, -0.6]), 0.8
    divergence = (np.log(prior / scale) + (scale**2 + (loc - mean) ** 2) / (2 * prior**2) - 0.5).sum(1)
    log_likelihood = normal(X, loc.sum(1), NOISE) - np.sum(scale**2) / (2 * NOISE**2)
    return (log_likelihood - divergence).mean()


def test_the_kl_in_closed_form_is_the_mean_of_the_sampled_one(backend, play):
    """Four particles at the corners +-1 integrate both exactly, in value and in gradient."""
    eps = np.repeat(CORNERS[:, None], ROWS, 1)
    found = {}
    for analytic in (False, True):
        run = play(*started(ELBO(4, analytic_kl=analytic), backend, two_numbers_guide, two_numbers), DATA)
        found[analytic] = run(normal=eps)
        assert -found[analytic][0]["model"] == pytest.approx(two_numbers_elbo(), rel=1e-5)
    for name, gradient in found[False][1].items():
        np.testing.assert_allclose(found[True][1][name], gradient, atol=1e-5, err_msg=name)


def test_a_bit_with_a_closed_form_keeps_the_gradient(backend, play):
    """KL terms of d (on Pyro) and of z given d in closed form, the score function for d."""
    eps = np.array([[1.0, 1.0], [-1.0, -1.0]])
    found = expected_gradient(ELBO(2, gradient="score", analytic_kl=True), backend, "bit first", eps, play)
    assert largest_error(found, slopes(expected_elbo("bit first", eps))) < 2e-4


def heavy_tails(rows):
    loc = param("loc", 0.4)
    with plate("data", rows):
        u = sample("u", dist.Normal(loc, 1.0))
        v = sample("v", dist.StudentT(4.0, 0.0, 1.0))
        sample("x", dist.Normal(u + v, NOISE))


def heavy_tails_guide(x):
    log_scale = param("log_scale", -0.2)
    with plate("data", len(x)):
        sample("u", dist.Normal(0.5 * x, ops.exp(log_scale)))
        sample("v", dist.Normal(0.3 * x, 0.9))


def test_a_term_without_a_closed_form_is_sampled(backend, noise):
    """At the same draw the two bounds differ by the term of u alone; that of v (normal, Student) has no closed form."""
    found = {}
    for analytic in (False, True):
        trainer, state = started(ELBO(3, analytic_kl=analytic), backend, heavy_tails_guide, heavy_tails)
        noise.restart()
        found[analytic] = float(trainer.losses(state, DATA)["model"])
    noise.restart()
    noise.particles = 3
    eps = noise.table("normal", (ROWS,))  # the first draw is that of u
    loc, scale = 0.5 * X, np.exp(-0.2)
    u = loc + scale * eps
    sampled = normal(u, loc, scale) - normal(u, 0.4, 1)
    exact = np.log(1 / scale) + (scale**2 + (loc - 0.4) ** 2) / 2 - 0.5
    assert found[True] - found[False] == pytest.approx((exact - sampled).mean(), abs=1e-5)
    assert abs(found[True] - found[False]) > 1e-2


# where a closed form would be wrong --------------------------------------------------------------------------


def ladder(rows):
    with plate("data", rows):
        top = sample("top", dist.Normal(param("loc", 0.0), 1.0))
        low = sample("low", dist.Normal(top, 1.0))
        sample("x", dist.Normal(low, 1.0))


def ladder_posterior(x):
    """The exact posterior, from the data up: the order that the model does not have."""
    with plate("data", len(x)):
        low = sample("low", dist.Normal(2 * x / 3, (2 / 3) ** 0.5))
        sample("top", dist.Normal(low / 2, 0.5**0.5))


def test_a_guide_in_another_order_is_refused(backend, monkeypatch):
    """KL(q(low) || p(low | top)) at a top that was drawn given low is no part of the bound; unchecked, it biases it."""
    evidence = normal(X, 0, 3**0.5).mean()
    trainer, state = started(ELBO(200), backend, ladder_posterior, ladder)
    assert -float(trainer.losses(state, DATA)["model"]) == pytest.approx(evidence, abs=1e-4)

    closed = ELBO(200, analytic_kl=True)
    with pytest.raises(IllegalPairing, match=r"guide draws 'low' where the model draws 'top'.* leave out analytic_kl"):
        started(closed, backend, ladder_posterior, ladder)
    monkeypatch.setattr("ppgen.inference.requirements.a_guide_in_the_models_order", lambda pairing: None)
    trainer, state = started(closed, backend, ladder_posterior, ladder)
    assert abs(-float(trainer.losses(state, DATA)["model"]) - evidence) > 0.2


def test_an_autoguide_with_a_site_of_its_own_is_refused(backend):
    """The entropy of an auxiliary site would be left out."""
    if backend == "numpyro":
        import numpyro
        from numpyro import distributions as native
        from numpyro.infer.autoguide import AutoMultivariateNormal

        primitives = numpyro
    else:
        import pyro
        from pyro import distributions as native
        from pyro.infer.autoguide import AutoMultivariateNormal

        primitives = pyro

    def program(x):
        w = primitives.sample("w", native.Normal(0.0, 1.0))
        with primitives.plate("rows", len(x)):
            primitives.sample("obs", native.Normal(w, 1.0), obs=x)

    with pytest.raises(IllegalPairing, match=r"guide draws '_\w+_latent' where the model draws 'w'"):
        started(ELBO(analytic_kl=True), backend, AutoMultivariateNormal(program), program)
    trainer, state = started(ELBO(), backend, AutoMultivariateNormal(program), program)
    assert np.isfinite(float(trainer.losses(state, DATA)["model"]))
