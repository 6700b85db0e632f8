"""Single layers are torch's own at the same weights, on both backends; what they refuse, and how they start."""

import jax
import numpy as np
import pytest
import torch

import ppgen
from ppgen import dist, module, nn, ops, plate, sample

RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(2, 3, 6, 5)).astype(np.float32)
SEQUENCES = RNG.normal(size=(2, 3, 8)).astype(np.float32)
STEPS = RNG.normal(size=(2, 7, 3)).astype(np.float32)
LABELS = np.array([[1, 0, 4], [2, 2, 3]])
GATES = {
    "input.weight": "weight_ih_l0",
    "input.bias": "bias_ih_l0",
    "state.weight": "weight_hh_l0",
    "state.bias": "bias_hh_l0",
}


LAYERS = {  # the layer, torch's, an input
    "images": (nn.Convolution(3, 4), torch.nn.Conv2d(3, 4, 3, padding=1), IMAGES),
    "images_strided": (
        nn.Convolution(3, 4, kernel=(5, 2), stride=2, padding=((2, 2), (1, 1))),
        torch.nn.Conv2d(3, 4, (5, 2), stride=2, padding=(2, 1)),
        IMAGES,
    ),
    "sequences": (
        nn.Convolution(3, 4, kernel=(3,), padding=2, dilation=2),
        torch.nn.Conv1d(3, 4, 3, padding=2, dilation=2),
        SEQUENCES,
    ),
    "embedding": (nn.Embedding(5, 4), torch.nn.Embedding(5, 4), LABELS),
    "norm": (nn.LayerNorm(3, epsilon=1e-3), torch.nn.LayerNorm(3, eps=1e-3), STEPS),
    "gru": (nn.RecurrentLayer(3, 4), torch.nn.GRU(3, 4, batch_first=True), STEPS),
    "lstm": (nn.RecurrentLayer(3, 4, cell="lstm"), torch.nn.LSTM(3, 4, batch_first=True), STEPS),
    "backwards": (nn.RecurrentLayer(3, 4, reverse=True), torch.nn.GRU(3, 4, batch_first=True), STEPS),
}


def parameters(layer):
    """Away from the start, where biases may be 0."""
    rng = np.random.default_rng(1)
    return {path: rng.normal(0, 0.5, spec.shape).astype(np.float32) for path, spec in layer.specs().items()}


def by_torch(layer, twin, params, x):
    names = {"scale": "weight"} | GATES
    with torch.no_grad():
        for path, value in params.items():
            value = torch.tensor(value)
            twin.get_parameter(names.get(path, path)).copy_(value.T if path in GATES and value.ndim == 2 else value)
        if not isinstance(layer, nn.RecurrentLayer):
            return twin(torch.tensor(x)).numpy()
        places = slice(None, None, -1 if layer.reverse else 1)
        return twin(torch.tensor(x[:, places].copy()))[0].numpy()[:, places]


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_torchs(name, backend):
    """For rows, for one row alone, and for rows behind particles."""
    layer, twin, x = LAYERS[name]
    params, on = parameters(layer), ppgen.backends.get(backend)
    expected = by_torch(layer, twin, params, x)

    def run(params, x):
        return layer.apply(params, x), layer.apply(params, x[0]), layer.apply(params, ops.stack([x, x]))

    arrays = {path: on.array(value) for path, value in params.items()}
    rows, alone, particles = map(on.numpy, on.compile(run)(arrays, on.array(x)))
    np.testing.assert_allclose(rows, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(alone, expected[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(particles, np.stack([expected, expected]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("backwards", nn.RecurrentLayer(3, 4)),
        ("sequences", nn.Convolution(3, 4, kernel=(3,), padding="causal", dilation=2)),
        ("norm", nn.LayerNorm(3, epsilon=1e-1)),
    ],
)
def test_a_planted_bug_is_caught(name, wrong, monkeypatch):
    """A layer that goes the other way, has its zeros elsewhere, or another constant."""
    kind = type(LAYERS[name][0])
    right = kind.apply
    monkeypatch.setattr(kind, "apply", lambda _, params, x: right(wrong, params, x))
    with pytest.raises(AssertionError, match="Not equal to tolerance|shapes"):
        test_layers_are_torchs(name, "pyro")


def test_causal_convolutions_and_recurrent_layers_see_no_later_entry():
    """Nor one outside of their dilated reach; in reverse a recurrent layer sees no earlier one."""
    causal = nn.Convolution(1, 1, kernel=(2,), padding="causal", dilation=3)
    layers = {
        causal: lambda x: causal.apply(parameters(causal), x[None])[0],
        **{
            layer: lambda x, layer=layer: layer.apply(parameters(layer), x[:, None]).sum(-1)
            for layer in (nn.RecurrentLayer(1, 3), nn.RecurrentLayer(1, 3, reverse=True))
        },
    }
    expected = np.eye(8) + np.eye(8, k=-3), np.tri(8), np.tri(8).T
    for (layer, run), wanted in zip(layers.items(), expected, strict=True):
        seen = np.abs(jax.jit(jax.jacobian(run))(np.ones(8, np.float32))) > 1e-7
        np.testing.assert_array_equal(seen, wanted.astype(bool), err_msg=repr(layer))


def test_layers_start_as_torchs_do():
    """Weights and biases in +-1/sqrt(fan-in); normalisation as the identity."""
    specs = nn.Convolution(3, 64, kernel=(5, 2)).specs()
    rng = np.random.default_rng(0)
    for path in ("weight", "bias"):
        largest = np.abs(specs[path].draw(rng)).max()
        assert 0.9 / np.sqrt(30) < largest <= 1 / np.sqrt(30)
    norm = nn.LayerNorm(4).specs()
    assert (norm["scale"].draw(rng) == 1).all()
    assert (norm["bias"].draw(rng) == 0).all()


def test_layers_in_a_program():
    """Labels through an embedding and a norm, then a recurrent layer: all of it is registered and learns."""

    def model(label, rows):
        code = module("norm", nn.LayerNorm(4))(module("embedding", nn.Embedding(5, 4))(label))
        with plate("data", rows):
            steps = module("recurrent", nn.RecurrentLayer(4, 2))(code)
            sample("x", dist.Normal(steps, 1.0).to_event(2))

    data = {"label": np.tile(LABELS, (4, 1)), "x": RNG.normal(size=(8, 3, 2)).astype(np.float32)}
    fit = ppgen.fit(model, data=data, algorithm=ppgen.MaximumLikelihood(), steps=30)
    loss = fit.history["loss/model"]
    assert loss[-1] < loss[0]
    assert {"embedding.weight", "norm.scale", "norm.bias", "recurrent.state.weight"} <= fit.params.keys()


@pytest.mark.parametrize("kind", [np.int64, np.uint8])
def test_numpys_integers_are_sizes(kind):
    builds = (
        lambda n: nn.Convolution(n(3), n(4), (n(3), n(5)), n(2), ((n(1), n(2)), (n(0), n(0))), n(2)),
        lambda n: nn.Embedding(n(5), n(4)),
        lambda n: nn.LayerNorm(n(3)),
        lambda n: nn.RecurrentLayer(n(3), n(4)),
    )
    for build in builds:
        assert build(kind) == build(int)
        assert repr(build(kind)) == repr(build(int))
        assert hash(build(kind)) == hash(build(int))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Convolution(3, 4, kernel=3), r"expected kernel to be a tuple of positive integers.*got 3"),
        (lambda: nn.Convolution(3, 4, kernel=(3, 3, 3)), r"one side of the kernel for sequences.*got \(3, 3, 3\)"),
        (lambda: nn.Convolution(3, 0), "expected outputs to be a positive integer; got 0"),
        (lambda: nn.Convolution(4, 4).apply({}, IMAGES), r"\[..., 4, height, width\].*got shape \(2, 3, 6, 5\)"),
        (lambda: nn.Convolution(8, 4, (3,)).apply({}, SEQUENCES[0, 0]), r"\[..., 8, length\].*got shape \(8,\)"),
        (lambda: nn.Embedding(5, 0), "expected outputs to be a positive integer; got 0"),
        (lambda: nn.Embedding(5, 4).apply({}, IMAGES), r"integers from 0 to 4.*got float32.*as_integer"),
        (lambda: nn.LayerNorm(3, epsilon=0.0), "expected a positive epsilon; got 0.0"),
        (lambda: nn.LayerNorm(4).apply({}, STEPS), r"size 4 on the last axis.*got shape \(2, 7, 3\)"),
        (lambda: nn.RecurrentLayer(3, 4, cell="rnn"), r"expected a cell, one of \('gru', 'lstm'\); got 'rnn'"),
        (lambda: nn.RecurrentLayer(4, 4).apply({}, STEPS), r"\[..., T, 4\].*got shape \(2, 7, 3\)"),
    ],
)
def test_wrong_settings_and_inputs(make, message):
    with pytest.raises(ValueError, match=message):
        make()
