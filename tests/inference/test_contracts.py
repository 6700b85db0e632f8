"""Every algorithm on every model: legal pairings give the same losses and gradients on both backends."""

import functools

import numpy as np
import pytest

import ppgen
from ppgen.errors import IllegalPairing
from ppgen.inference import ALGORITHMS
from ppgen.models.registry import MODELS

ROWS = 4


@functools.cache
def data(model):
    return MODELS[model].data(0, ROWS)


@functools.cache
def problem(backend, model):
    return ppgen.Problem(*MODELS[model].build(), data=data(model), backend=backend)


@functools.cache
def prepared(backend, model, algorithm):
    """A trainer and its first state, or None where the pairing is illegal."""
    try:
        trainer = ppgen.Trainer(problem(backend, model), algorithm)
    except IllegalPairing:
        return None
    return trainer, trainer.init()


def losses_and_gradients(trainer, state, arrays, noise):
    """Every role's loss and the gradients of its own parameters, under the shared noise."""
    backend, batch = trainer.backend, trainer.device(arrays)
    noise.restart()
    losses, grads, *_ = trainer._turn(
        state.parameters, batch, trainer.algorithm.roles, state.key, state.step, state.carry
    )
    return (
        {role: float(loss) for role, loss in losses.items()},
        {name: np.asarray(backend.numpy(grad)) for name, grad in grads.items()},
    )


PAIRINGS = [pytest.param(model, algorithm, id=f"{model}-{algorithm!r}") for model in MODELS for algorithm in ALGORITHMS]


@pytest.mark.parametrize(("model", "algorithm"), PAIRINGS)
def test_backends_agree(model, algorithm, noise):
    """The same losses and gradients on both backends at the same parameters and the same noise."""
    on = {backend: prepared(backend, model, algorithm) for backend in ("numpyro", "pyro")}
    assert (on["numpyro"] is None) == (on["pyro"] is None), "legal on one backend only"
    if on["numpyro"] is None:
        return
    found = {backend: losses_and_gradients(*pair, data(model), noise) for backend, pair in on.items()}
    (jax_losses, jax_grads), (torch_losses, torch_grads) = found["numpyro"], found["pyro"]
    assert jax_losses.keys() == torch_losses.keys() == set(algorithm.roles)
    for role, loss in jax_losses.items():
        assert np.isfinite(loss)
        assert loss == pytest.approx(torch_losses[role], rel=2e-4, abs=2e-4), role
    assert jax_grads.keys() == torch_grads.keys()
    for name, grad in jax_grads.items():
        scale = max(1.0, float(np.abs(grad).max()))
        np.testing.assert_allclose(grad, torch_grads[name], atol=5e-4 * scale, err_msg=name)


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=repr)
def test_every_algorithm_is_legal_somewhere(algorithm):
    """The table of models exercises every algorithm, and every role of it gets a gradient."""
    legal = [model for model in MODELS if prepared("pyro", model, algorithm) is not None]
    assert legal, f"no model in the registry can be learned by {algorithm!r}"


def test_a_planted_difference_is_caught(noise, monkeypatch):
    """The comparison notices a backend that scales log densities by one per mille."""
    trainer, state = prepared("numpyro", "vae", ppgen.ELBO())
    loss, _ = losses_and_gradients(trainer, state, data("vae"), noise)
    recorder = "ppgen.backends.numpyro.sites._Recorder.scaled_log_density"
    original = ppgen.backends.numpyro.sites._Recorder.scaled_log_density
    monkeypatch.setattr(recorder, lambda self, msg: 1.001 * original(self, msg))
    changed, _ = losses_and_gradients(trainer, state, data("vae"), noise)
    assert changed["model"] != pytest.approx(loss["model"], rel=2e-4, abs=2e-4)
