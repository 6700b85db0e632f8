"""Algorithms on models: legal pairings give the same losses and gradients on both backends."""

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
    backend = trainer.backend

    def turn(parameters, batch):
        noise.restart()
        return trainer._turn(parameters, batch, trainer.algorithm.roles, state.key, state.step, state.carry)[:2]

    losses, grads = backend.compile(turn)(state.parameters, trainer.device(arrays))
    return (
        {role: float(loss) for role, loss in losses.items()},
        {name: np.asarray(backend.numpy(grad)) for name, grad in grads.items()},
    )


REPRESENTATIVES = ("vae_two_layers", "sigmoid_belief_network", "linear_regression")  # continuous, discrete, global
CHOSEN = (
    ppgen.ELBO(),
    ppgen.ReweightedWakeSleep(sleep_phase=True),
)  # draws with gradients; densities of draws and dreams
PAIRINGS = [
    (model, algorithm)
    for model in MODELS
    for algorithm in ALGORITHMS
    if model in REPRESENTATIVES or algorithm in CHOSEN or ("critic" in algorithm.roles and model == "conditional_vae")
]


@pytest.mark.parametrize("model", MODELS)
def test_backends_agree_on_what_is_legal(model):
    for algorithm in ALGORITHMS:
        on = [algorithm.objections(problem(backend, model)) for backend in ("numpyro", "pyro")]
        assert on[0] == on[1], algorithm


@pytest.mark.parametrize(("model", "algorithm"), PAIRINGS, ids=str)
def test_backends_agree(model, algorithm, noise):
    """The same losses and gradients on both backends at the same parameters and the same noise.

    Every algorithm on a model of each kind, and every model by two algorithms.
    """
    on = {backend: prepared(backend, model, algorithm) for backend in ("numpyro", "pyro")}
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
def test_every_algorithm_is_compared(algorithm):
    """It is legal on some model of the pairings."""
    models = [model for model, other in PAIRINGS if other == algorithm]
    assert any(not algorithm.objections(problem("pyro", model)) for model in models)


def test_a_planted_difference_is_caught(noise, monkeypatch):
    """The comparison notices a backend that scales log densities by one per mille."""
    trainer, state = prepared("numpyro", "vae", ppgen.ELBO())
    loss, _ = losses_and_gradients(trainer, state, data("vae"), noise)
    recorder = "ppgen.backends.numpyro.sites._Recorder.scaled_log_density"
    original = ppgen.backends.numpyro.sites._Recorder.scaled_log_density
    monkeypatch.setattr(recorder, lambda self, msg: 1.001 * original(self, msg))
    changed, _ = losses_and_gradients(trainer, state, data("vae"), noise)
    assert changed["model"] != pytest.approx(loss["model"], rel=2e-4, abs=2e-4)
