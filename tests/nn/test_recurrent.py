"""Recurrent cells against torch's own, and the network one place at a time against all at once."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

import ppgen
from ppgen import nn, ops
from ppgen.backends.sites import Initialiser

RNG = np.random.default_rng(0)
ARRAY = {"numpyro": jnp.asarray, "pyro": torch.as_tensor}


def started(net, backend, seed=0):
    """Random parameters; biases too."""
    start = Initialiser(seed)
    arrays = {path: spec.draw(start.generator(path)) for path, spec in net.specs().items()}
    return {path: ARRAY[backend](a + 0.1 * RNG.normal(size=a.shape).astype(np.float32)) for path, a in arrays.items()}


def torch_twin(cell, params):
    """torch's cell with the same weights."""
    twin = getattr(torch.nn, f"{type(cell).__name__}Cell")(cell.inputs, cell.hidden)
    names = {"input.weight": "weight_ih", "input.bias": "bias_ih", "state.weight": "weight_hh", "state.bias": "bias_hh"}
    with torch.no_grad():
        for ours, theirs in names.items():
            getattr(twin, theirs).copy_(torch.tensor(np.asarray(params[ours]).T))
    return twin


@pytest.mark.parametrize("cell", [nn.GRU(3, 5), nn.LSTM(3, 5), nn.GRU(1, 1), nn.LSTM(2, 1)], ids=repr)
def test_cells_are_torchs(cell, backend):
    params = started(cell, backend)
    twin, x = torch_twin(cell, params), RNG.normal(size=(6, 4, cell.inputs)).astype(np.float32)
    state = cell.start(params, (4,))
    wanted = None
    for row in x:
        state = cell.apply(params, state, ARRAY[backend](row))
        with torch.no_grad():
            wanted = twin(torch.as_tensor(row), wanted)
        for one, other in zip(state, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
            np.testing.assert_allclose(np.asarray(one), other.numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_a_sequence_is_torchs(kind, backend):
    """The outputs of torch.nn.GRU or LSTM over the shifted sequence, through one linear layer."""
    net = nn.RecurrentNetwork(7, hidden=5, outputs=2, inputs=3, cell=kind)
    params = started(net, backend)
    twin = getattr(torch.nn, kind.upper())(3, 5, batch_first=True)
    names = {"input.weight": "weight_ih_l0", "input.bias": "bias_ih_l0"}
    names |= {"state.weight": "weight_hh_l0", "state.bias": "bias_hh_l0"}
    x = RNG.normal(size=(4, 7, 3)).astype(np.float32)
    with torch.no_grad():
        for ours, theirs in names.items():
            getattr(twin, theirs).copy_(torch.tensor(np.asarray(params[f"cell.{ours}"]).T))
        h, _ = twin(torch.as_tensor(np.concatenate([x[:, :1] * 0, x[:, :-1]], 1)))
    wanted = h.numpy() @ np.asarray(params["out.weight"]) + np.asarray(params["out.bias"])
    found = net.conditionals(params, ARRAY[backend](x))
    np.testing.assert_allclose(np.asarray(found), wanted, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
@pytest.mark.parametrize(("length", "context"), [(6, 0), (6, 3), (1, 2)])
def test_one_place_at_a_time(kind, length, context, backend):
    """Also with a context for several sequences at once, and sequences that share one context."""
    net = nn.RecurrentNetwork(length, hidden=4, outputs=2, inputs=3, cell=kind, context=context)
    params = started(net, backend)
    x = ARRAY[backend](RNG.normal(size=(5, 2, length, 3)).astype(np.float32))
    c = ARRAY[backend](RNG.normal(size=(2, context)).astype(np.float32)) if context else None
    at_once = net.conditionals(params, x, c)
    assert at_once.shape == (5, 2, length, 2)
    cache, previous = net.init_cache(params, (5, 2), c), x[..., 0, :] * 0
    for i in range(length):
        cache, theta = net.step(params, cache, previous, i)
        np.testing.assert_allclose(np.asarray(theta), np.asarray(at_once[..., i, :]), rtol=1e-4, atol=1e-6)
        previous = x[..., i, :]


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_each_place_sees_those_before_it_only(kind):
    net = nn.RecurrentNetwork(4, hidden=6, cell=kind)
    params = started(net, "numpyro")
    jacobian = jax.jacobian(lambda x: net.conditionals(params, x[:, None])[:, 0])(jnp.asarray(RNG.normal(size=4)))
    seen = np.abs(jacobian) > 1e-6
    np.testing.assert_array_equal(seen, np.tril(np.ones((4, 4), bool), -1))


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_double_precision(kind, backend):
    net = nn.RecurrentNetwork(3, hidden=4, cell=kind, context=2)
    with jax.enable_x64(True), ppgen.using(backend):
        params = {path: ops.asarray(np.asarray(p, np.float64)) for path, p in started(net, backend).items()}
        x, context = ops.asarray(np.ones((2, 3, 1))), ops.asarray(np.ones((2, 2)))
        assert str(net.conditionals(params, x, context).dtype).endswith("float64")
        cache = net.init_cache(params, (2,), context)
        assert str(net.step(params, cache, x[..., 0, :], 0)[1].dtype).endswith("float64")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 3, "cell": "rnn"}, r"expected a cell, one of \('gru', 'lstm'\); got 'rnn'"),
        ({"length": 0}, r"expected length to be a positive integer; got 0"),
        ({"length": 3, "hidden": 1.5}, r"expected hidden to be a positive integer; got 1.5"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        nn.RecurrentNetwork(**arguments)
