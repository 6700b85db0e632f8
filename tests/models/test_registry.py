"""What holds of every model, on both backends."""

import ast
from pathlib import Path

import numpy as np
import pytest

import ppgen
from ppgen.models.registry import MODELS

K, ROWS = 3, 5

every_model = pytest.mark.parametrize("name", MODELS)


@every_model
def test_preflight_passes_and_the_guide_covers_the_latents(name, backend, registered):
    problem = registered(name, backend).problem
    assert {site.name for site in problem.model.latent(problem.data)} == set(problem.guide.sites)


@every_model
def test_log_densities_are_particles_by_rows(name, backend, registered):
    setup = registered(name, backend)
    z, log_q = setup.draw(K)
    log_prob = setup.log_prob(z)
    assert log_prob["model"].shape == log_prob["guide"].shape == (K, ROWS)
    np.testing.assert_allclose(log_q, log_prob["guide"], rtol=1e-4, atol=1e-5)


@every_model
def test_particles_do_not_mix(name, backend, registered):
    setup = registered(name, backend)
    z, _ = setup.draw(K)
    together, alone = setup.log_prob(z), setup.log_prob({site: value[1:2] for site, value in z.items()})
    for role in ("model", "guide"):
        np.testing.assert_allclose(together[role][1:2], alone[role], rtol=1e-5, atol=1e-5)


@every_model
def test_the_backends_agree(name, registered):
    here, there = registered(name, "numpyro"), registered(name, "pyro")
    assert here.params.keys() == there.params.keys()
    for parameter, value in here.params.items():
        np.testing.assert_allclose(value, there.params[parameter], rtol=1e-5, err_msg=parameter)
    z, _ = here.draw(K)
    for role in ("model", "guide"):
        log_prob = [setup.log_prob(z)[role] for setup in (here, there)]
        np.testing.assert_allclose(*log_prob, rtol=1e-5, atol=1e-5, err_msg=role)


@every_model
def test_a_dream_looks_like_the_data(name, backend, registered):
    setup = registered(name, backend)
    dream = setup.dream(K)
    for site in setup.problem.model.observed(setup.data):
        assert dream[site.name].shape == (K, *setup.data[site.name].shape)
        assert not site.support.outside(dream[site.name]).any()


@pytest.mark.parametrize("name", [name for name, entry in MODELS.items() if entry.exact])
def test_the_exact_likelihood_is_exact(name, backend, registered):
    setup = registered(name, backend)
    exact = MODELS[name].exact(setup.params, setup.data)
    estimate, error = evidence(setup)
    assert (abs(estimate - exact) < error).all()
    assert error.max() < 0.4  # narrow enough to catch a missing log 2
    assert not (abs(estimate - exact - np.log(2)) < error).any()


@every_model
def test_learning_lowers_the_loss(name, backend, legal_algorithm):
    data = MODELS[name].data(1, 40)
    problem = ppgen.Problem(*MODELS[name].build(), data=data, backend=backend)
    trainer = ppgen.Trainer(problem, legal_algorithm(name), ppgen.Adam(0.03))
    _, metrics, good = trainer.run(trainer.init(), data, np.tile(np.arange(40), (30, 1)))
    loss = trainer.backend.numpy(metrics["loss/model"])
    assert good == 30
    assert loss[-5:].mean() < loss[:5].mean()


@pytest.mark.parametrize("path", sorted(Path(ppgen.__file__).parent.glob("models/*.py")), ids=lambda path: path.stem)
def test_models_know_nothing_of_algorithms(path):
    tree = ast.walk(ast.parse(path.read_text()))
    imported = {node.module for node in tree if isinstance(node, ast.ImportFrom)}
    assert not [module for module in imported if module.startswith(("ppgen.inference", "ppgen.training"))]


def evidence(setup):
    """Log p(x) by a sum over all latents, or by importance sampling; and how far from the truth it may be."""
    if not ppgen.MaximumLikelihood().objections(setup.problem):
        found = setup.log_evidence()
        return found, np.full(found.shape, 1e-4)
    log_w = setup.log_weights(20_000).astype(np.float64)
    largest = log_w.max(0)
    weight = np.exp(log_w - largest)
    mean, deviation = weight.mean(0), weight.std(0)
    return largest + np.log(mean), 5 * deviation / mean / np.sqrt(len(weight)) + 1e-4
