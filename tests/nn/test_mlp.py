"""The multi-layer perceptron: the same function, from the same start, on both backends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import torch

import ppgen
from ppgen import dist, module, nn, plate, sample
from ppgen.nn.mlp import ACTIVATIONS

NUMPY = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "softplus": lambda x: np.logaddexp(0, x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "silu": lambda x: x * scipy.special.expit(x),
    "gelu": lambda x: x * scipy.special.ndtr(x),
    "leaky_relu": lambda x: np.where(x > 0, x, 0.2 * x),
    "sigmoid": scipy.special.expit,
}
ARRAY = {"numpyro": jnp.asarray, "pyro": lambda x: torch.from_numpy(np.array(x))}


def values(net, seed=0):
    """Parameters by path; biases are away from 0, where they would hide mistakes."""
    rng = np.random.default_rng(seed)
    return {
        path: spec.draw(rng) + rng.normal(size=spec.shape).astype(np.float32) / 4 for path, spec in net.specs().items()
    }


def forward(net, parameters, x):
    """The outputs in plain NumPy, double precision, all heads together."""
    layers = len(parameters) // 2
    for i in range(layers):
        x = x.astype(np.float64) @ parameters[f"{i}.weight"] + parameters[f"{i}.bias"]
        if i < layers - 1:
            x = NUMPY[net.activation](x)
    return x


def apply(net, parameters, x, backend):
    """The outputs on a backend as NumPy arrays."""
    array = ARRAY[backend]
    found = net.apply({path: array(value) for path, value in parameters.items()}, array(x))
    return tuple(map(np.asarray, found)) if isinstance(found, tuple) else np.asarray(found)


def inputs(*shape):
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


def test_every_activation_is_in_the_table():
    assert ACTIVATIONS.keys() == NUMPY.keys()


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(4, 3), (4, 6, 3), (4, 6, 5, 3)], ids=str)
def test_against_numpy(sizes, activation, backend):
    net = nn.MLP(*sizes, activation=activation)
    parameters, x = values(net), inputs(7, 4)
    found = apply(net, parameters, x, backend)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, forward(net, parameters, x), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("shape", [(4,), (1, 4), (3, 7, 4), (2, 3, 7, 4)], ids=str)
def test_leading_axes(shape, backend):
    """[..., m]: one row, rows, or particles and rows give each row what it gets alone."""
    net = nn.MLP(4, 6, 3)
    parameters, x = values(net), inputs(*shape)
    found = apply(net, parameters, x, backend)
    assert found.shape == (*shape[:-1], 3)
    np.testing.assert_allclose(found, forward(net, parameters, x), rtol=1e-6, atol=1e-6)


def test_heads_share_the_layers(backend):
    net, whole = nn.MLP(4, 6, (2, 1, 3)), nn.MLP(4, 6, 6)
    assert net.heads == (2, 1, 3)
    assert net.specs() == whole.specs()
    parameters, x = values(net), inputs(5, 7, 4)
    heads = apply(net, parameters, x, backend)
    assert [head.shape for head in heads] == [(5, 7, 2), (5, 7, 1), (5, 7, 3)]
    np.testing.assert_array_equal(np.concatenate(heads, -1), apply(whole, parameters, x, backend))


def test_a_tuple_of_one_head_is_a_tuple(backend):
    net = nn.MLP(4, (2,))
    (head,) = apply(net, values(net), inputs(7, 4), backend)
    assert head.shape == (7, 2)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_activations_have_one_gradient(activation):
    """At 0 too, where relu and leaky_relu have a choice."""
    x = np.array([-40, -2, -1e-3, 0, 1e-3, 2, 40], np.float32)
    fn = ACTIVATIONS[activation]
    tensor = torch.tensor(x, requires_grad=True)
    outputs = fn(tensor)
    (in_torch,) = torch.autograd.grad(outputs.sum(), tensor)
    np.testing.assert_allclose(jax.vmap(jax.grad(fn))(x), in_torch, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(fn(jnp.asarray(x)), outputs.detach(), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(outputs.detach(), NUMPY[activation](x.astype(np.float64)), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_agree(activation):
    """Of a network at biases of 0 and an input of 0: every hidden unit sits at its kink."""
    net = nn.MLP(3, 4, 2, activation=activation)
    parameters = {path: spec.draw(np.random.default_rng(0)) for path, spec in net.specs().items()}
    parameters |= {path: np.zeros_like(value) for path, value in parameters.items() if path.endswith("bias")}
    x = np.concatenate([np.zeros((1, 3)), inputs(4, 3)]).astype(np.float32)
    tensors = {path: torch.tensor(value, requires_grad=True) for path, value in parameters.items()}
    in_torch = torch.autograd.grad(net.apply(tensors, torch.tensor(x)).sum(), list(tensors.values()))
    in_jax = jax.grad(lambda p: jnp.sum(net.apply(p, jnp.asarray(x))))(parameters)
    for path, expected in zip(tensors, in_torch, strict=True):
        np.testing.assert_allclose(in_jax[path], expected, rtol=1e-5, atol=1e-6, err_msg=path)


def test_both_backends_start_from_the_same_numbers():
    def model(rows):
        decoder = module("decoder", nn.MLP(2, 5, 3))
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
            sample("x", dist.Normal(decoder(z), 1.0).to_event(1))

    def guide(x):
        with plate("data", len(x)):
            sample("z", dist.Normal(module("encoder", nn.MLP(3, 2))(x), 1.0).to_event(1))

    starts = []
    for backend in ("numpyro", "pyro"):
        problem = ppgen.Problem(model, guide, data={"x": np.ones((4, 3), np.float32)}, backend=backend, seed=3)
        starts.append({name: problem.backend.numpy(value) for name, value in problem.start.items()})
    assert set(starts[0]) == {f"decoder.{p}" for p in nn.MLP(2, 5, 3).specs()} | {"encoder.0.weight", "encoder.0.bias"}
    for name, value in starts[0].items():
        np.testing.assert_array_equal(value, starts[1][name])


@pytest.mark.parametrize(
    ("net", "text"),
    [
        (nn.MLP(4, 3), "MLP(4, 3, activation='relu')"),
        (nn.MLP(4, 8, (2, 3), activation="tanh"), "MLP(4, 8, (2, 3), activation='tanh')"),
    ],
)
def test_repr_is_how_it_is_made(net, text):
    assert repr(net) == text
    assert eval(text, {"MLP": nn.MLP}) == net


def test_equal_networks_are_one_key():
    net = nn.MLP(4, 8, (2, 3))
    assert {net: "here"}[nn.MLP(4, 8, (2, 3))] == "here"
    for other in (nn.MLP(4, 8, 5), nn.MLP(4, 8, (3, 2)), nn.MLP(4, 8, (2, 3), activation="tanh")):
        assert net != other
    with pytest.raises(AttributeError):
        net.activation = "tanh"


@pytest.mark.parametrize(
    "sizes",
    [(), (4,), (4, 0), (4, -1, 2), (4, 2.0), ((4, 2), 3), (4, (2, 3), 2), (4, (2, 0)), (4, ()), (4, [2, 3]), ("4", 2)],
)
def test_bad_sizes(sizes):
    with pytest.raises(
        ValueError, match=r"expected MLP\(inputs, hidden\.\.\., outputs\) with positive integers"
    ) as caught:
        nn.MLP(*sizes)
    assert str(sizes) in str(caught.value)


@pytest.mark.parametrize("activation", ["ReLU", "", None])
def test_bad_activation(activation):
    with pytest.raises(
        ValueError, match=r"expected an activation, one of \['elu', .*'tanh'\]; got " + repr(activation)
    ):
        nn.MLP(4, 2, activation=activation)


@pytest.mark.parametrize("shape", [(7, 5), (7, 2, 2), (3,)], ids=str)
def test_bad_inputs(shape, backend):
    net = nn.MLP(4, 3)
    with pytest.raises(ValueError, match="expected inputs of size 4 on the last axis of MLP") as caught:
        apply(net, values(net), inputs(*shape), backend)
    assert f"got shape {shape}" in str(caught.value)
    assert "Flatten the rows" in str(caught.value)
