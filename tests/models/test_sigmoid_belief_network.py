import itertools

import numpy as np
import pytest

from ppgen.models import sigmoid_belief_network
from ppgen.models.sigmoid_belief_network import log_likelihood

EVERY_X = np.array(list(itertools.product((0.0, 1.0), repeat=6)))


@pytest.mark.parametrize("name", ["sigmoid_belief_network", "sigmoid_belief_network_two_layers"])
def test_the_likelihood_sums_to_one(name, registered):
    params = registered(name, "numpyro").params
    np.testing.assert_allclose(np.exp(log_likelihood(params, EVERY_X)).sum(), 1, rtol=1e-10)


def test_the_guide_climbs_and_the_model_descends(registered):
    problem = registered("sigmoid_belief_network_two_layers", "numpyro").problem
    assert list(problem.model.sites) == ["z2", "z1", "x"]
    assert list(problem.guide.sites) == ["z1", "z2"]


def test_the_log_joint_is_written_out(backend, registered):
    setup = registered("sigmoid_belief_network", backend)
    z, x, params = setup.draw(3)[0]["z"], setup.data["x"], setup.params
    logits = z @ params["decoder.0.weight"] + params["decoder.0.bias"]
    expected = (z * params["prior"] - np.logaddexp(0, params["prior"])).sum(-1)
    expected += (x * logits - np.logaddexp(0, logits)).sum(-1)
    np.testing.assert_allclose(setup.log_prob({"z": z})["model"], expected, rtol=1e-5)


@pytest.mark.parametrize("latents", [200, (), (3, 0), "ab"])
def test_layers_are_a_tuple_of_sizes(latents):
    with pytest.raises(ValueError, match="sigmoid_belief_network: expected (each of )?latents to be a"):
        sigmoid_belief_network(4, latents=latents)
