from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import ppgen
from ppgen.models import conditional_vae, vae

K = 3


def shapes(model, guide, columns):
    problem = ppgen.Problem(model, guide, data={"x": np.zeros((2, columns), np.float32)})
    return {name: tuple(value.shape) for name, value in problem.start.items() if "bias" not in name}


def test_the_network_of_the_iwae_paper():
    assert shapes(*vae(784, latents=(50,), hidden=(200, 200), activation="tanh"), 784) == {
        "encoder.0.weight": (784, 200),
        "encoder.1.weight": (200, 200),
        "encoder.2.weight": (200, 100),
        "decoder.0.weight": (50, 200),
        "decoder.1.weight": (200, 200),
        "decoder.2.weight": (200, 784),
    }


def test_every_layer_may_have_hidden_sizes_of_its_own():
    assert shapes(*vae(6, latents=(4, 3), hidden=((8,), (7, 5))), 6) == {
        "encoder1.0.weight": (6, 8),
        "encoder1.1.weight": (8, 8),
        "encoder2.0.weight": (4, 7),
        "encoder2.1.weight": (7, 5),
        "encoder2.2.weight": (5, 6),
        "decoder2.0.weight": (3, 7),
        "decoder2.1.weight": (7, 5),
        "decoder2.2.weight": (5, 8),
        "decoder1.0.weight": (4, 8),
        "decoder1.1.weight": (8, 6),
    }


def test_the_log_joint_is_written_out(backend, registered):
    setup = registered("vae", backend)
    z, x, params = setup.draw(K)[0]["z"], setup.data["x"], setup.params
    hidden = np.maximum(z @ params["decoder.0.weight"] + params["decoder.0.bias"], 0)
    logits = hidden @ params["decoder.1.weight"] + params["decoder.1.bias"]
    expected = stats.norm.logpdf(z).sum(-1) + (x * logits - np.logaddexp(0, logits)).sum(-1)
    np.testing.assert_allclose(setup.log_prob({"z": z})["model"], expected, rtol=1e-5)


def test_the_layers_of_the_guide_are_written_out(backend, registered):
    setup = registered("vae_two_layers", backend)
    (z, _), params = setup.draw(K), setup.params
    expected = 0.0
    for n, below, above in (("1", setup.data["x"], z["z1"]), ("2", z["z1"], z["z2"])):
        hidden = np.maximum(below @ params[f"encoder{n}.0.weight"] + params[f"encoder{n}.0.bias"], 0)
        output = hidden @ params[f"encoder{n}.1.weight"] + params[f"encoder{n}.1.bias"]
        loc, log_scale = np.split(output, 2, -1)
        expected = expected + stats.norm(loc, np.exp(log_scale)).logpdf(above).sum(-1)
    np.testing.assert_allclose(setup.log_prob(z)["guide"], expected, rtol=1e-4)


def test_the_gaussian_likelihood_learns_its_scale(backend):
    data = {"x": np.zeros((2, 3), np.float32)}
    programs = vae(3, latents=(2,), hidden=(4,), likelihood="gaussian", scale=0.5)
    trainer = ppgen.Trainer(ppgen.Problem(*programs, data=data, backend=backend), optimizer=ppgen.Adam(0.01))
    state = trainer.init()
    np.testing.assert_allclose(trainer.problem.export(state.parameters)["scale"], 0.5, rtol=1e-6)
    state, _ = trainer.step(state, data)
    np.testing.assert_allclose(abs(np.log(trainer.problem.export(state.parameters)["scale"] / 0.5)), 0.01, rtol=1e-2)


def test_covariates_reach_both_networks(backend, registered):
    setup = registered("conditional_vae", backend)
    z, _ = setup.draw(K)
    other = replace(setup, data=dict(setup.data, c=1 - setup.data["c"]))
    for role in ("model", "guide"):
        assert (abs(other.log_prob(z)[role] - setup.log_prob(z)[role]) > 1e-3).all()


def test_missing_covariates_are_an_error(backend):
    with pytest.raises(ppgen.errors.DataError, match="takes an argument 'c' that the batch does not have"):
        ppgen.Problem(*conditional_vae(3, condition=2), data={"x": np.zeros((2, 3), np.float32)}, backend=backend)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 0}, "vae: expected features to be a positive integer; got 0"),
        ({"latents": 20}, r"vae: expected latents to be a tuple of .*; got 20. Write latents=\(20,\)"),
        ({"latents": ()}, "vae: expected latents to be a tuple"),
        ({"hidden": (8, 0)}, "vae: expected each of hidden to be a positive integer; got 0"),
        ({"hidden": 8}, "vae: expected hidden to be a tuple"),
        ({"hidden": ((8,), (8,))}, "vae: expected one tuple of hidden sizes for each of the 1 layers"),
        ({"likelihood": "poisson"}, r"vae: expected likelihood to be one of \('bernoulli', 'gaussian'\)"),
        ({"activation": "step"}, "expected an activation, one of"),
        ({"scale": -1.0}, "vae: expected scale to be a positive number; got -1.0"),
    ],
)
def test_bad_arguments_say_what_to_do(arguments, message):
    with pytest.raises(ValueError, match=message):
        vae(**{"features": 6, **arguments})
