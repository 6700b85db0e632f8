"""Programs in ppgen's language with networks of other libraries."""

import inspect

import numpy as np
import pytest

import ppgen
from ppgen import dist, module, plate, sample
from ppgen.errors import ProgramError

LATENTS, HIDDEN, PIXELS = 2, 5, 12


def torch_nets():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    tnn = torch.nn
    return (
        tnn.Sequential(tnn.Linear(PIXELS, HIDDEN), tnn.Tanh(), tnn.Linear(HIDDEN, LATENTS)),
        tnn.Sequential(tnn.Linear(LATENTS, HIDDEN), tnn.Tanh(), tnn.Linear(HIDDEN, PIXELS)),
        lambda net: net,
    )


def flax_nets():
    linen = pytest.importorskip("flax.linen")

    class Net(linen.Module):
        outputs: int

        @linen.compact
        def __call__(self, x):
            return linen.Dense(self.outputs)(linen.tanh(linen.Dense(HIDDEN)(x)))

    return Net(LATENTS), Net(PIXELS), lambda net: net


def equinox_nets():
    import jax

    eqx = pytest.importorskip("equinox")
    return (
        eqx.nn.MLP(PIXELS, LATENTS, HIDDEN, 1, key=jax.random.key(0)),
        eqx.nn.MLP(LATENTS, PIXELS, HIDDEN, 1, key=jax.random.key(1)),
        jax.vmap,
    )


KINDS = {"torch": (torch_nets, "pyro"), "flax": (flax_nets, "numpyro"), "equinox": (equinox_nets, "numpyro")}


def programs(kind):
    make, backend = KINDS[kind]
    encoder, decoder, over_rows = make()

    def model(rows):
        decode = over_rows(module("decoder", decoder))
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0).expand([LATENTS]).to_event(1))
            sample("x", dist.Bernoulli(logits=decode(z)).to_event(1))

    def guide(x):
        encode = over_rows(module("encoder", encoder))
        with plate("data", len(x)):
            sample("z", dist.Normal(encode(x), 0.5).to_event(1))

    return model, guide, backend


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("algorithm", [ppgen.IWAE(3), ppgen.WakeSleep()], ids=lambda a: type(a).__name__)
def test_networks_of_other_libraries_learn(kind, algorithm, pictures, tmp_path):
    model, guide, backend = programs(kind)
    data = {"x": pictures.reshape(-1, PIXELS)}
    fit = ppgen.fit(model, guide, data=data, algorithm=algorithm, backend=backend, steps=2)
    start = fit.problem.export(fit.problem.start)
    assert sorted(value.size for value in fit.params.values()) == sorted([60, 5, 10, 2, 10, 5, 60, 12])
    assert {name.split(".")[0] for name in fit.params} == {"encoder", "decoder"}
    assert [name for name, value in fit.params.items() if np.array_equal(value, start[name])] == []
    assert fit.sample(rows=3)["x"].shape == (3, PIXELS)

    fit.save(tmp_path / "fit")
    loaded = ppgen.load(tmp_path / "fit", model, guide)
    for name, value in fit.params.items():
        np.testing.assert_array_equal(loaded.params[name], value)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_that_comes_with_a_later_batch_is_an_error(kind, pictures):
    """Its parameters would be made anew at every step."""
    make, backend = KINDS[kind]
    net, _, over_rows = make()

    def model(x):
        encode = over_rows(module("first" if len(x) == 4 else "later", net))
        with plate("data", len(x)):
            sample("y", dist.Normal(encode(x), 1.0).to_event(1))

    x, y = pictures.reshape(-1, PIXELS)[:5], np.zeros((5, LATENTS), np.float32)
    problem = ppgen.Problem(model, data={"x": x[:4], "y": y[:4]}, backend=backend)
    p = problem.joints()["model"]
    assert p.trace(ppgen.Batch(problem.device({"x": x[:4], "y": y[:4]}))).log_prob.shape == (1, 4)
    with pytest.raises(ProgramError, match=r"asks for a parameter 'later.*did not have on the first batch"):
        p.trace(ppgen.Batch(problem.device({"x": x, "y": y})))


def test_a_torch_module_is_left_as_it_was(pictures):
    torch = pytest.importorskip("torch")
    model, guide, _ = programs("torch")
    nets = [inspect.getclosurevars(program).nonlocals for program in (model, guide)]
    nets = [value for found in nets for value in found.values() if isinstance(value, torch.nn.Module)]
    before = [p.detach().clone() for net in nets for p in net.parameters()]
    assert len(before) == 8
    ppgen.fit(model, guide, data={"x": pictures.reshape(-1, PIXELS)}, backend="pyro", steps=2)
    after = [p for net in nets for p in net.parameters()]
    assert all(torch.equal(p, old) and p.requires_grad for p, old in zip(after, before, strict=True))


def test_running_statistics_stay_the_modules_own(pictures):
    """Batch normalisation uses the batch; what it would remember is not the fit's to change."""
    torch = pytest.importorskip("torch")
    encoder = torch.nn.Sequential(torch.nn.Linear(PIXELS, LATENTS), torch.nn.BatchNorm1d(LATENTS))
    model, _, _ = programs("torch")

    def guide(x):
        with plate("data", len(x)):
            sample("z", dist.Normal(module("encoder", encoder)(x), 0.5).to_event(1))

    ppgen.fit(model, guide, data={"x": pictures.reshape(-1, PIXELS)}, backend="pyro", steps=2)
    assert encoder[1].num_batches_tracked == 0 and (encoder[1].running_mean == 0).all()


def test_a_frozen_layer_of_a_torch_module_stays(pictures):
    torch = pytest.importorskip("torch")
    model, _, _ = programs("torch")
    encoder = torch.nn.Linear(PIXELS, LATENTS)
    encoder.bias.requires_grad_(False)

    def guide(x):
        with plate("data", len(x)):
            sample("z", dist.Normal(module("encoder", encoder)(x), 0.5).to_event(1))

    fit = ppgen.fit(model, guide, data={"x": pictures.reshape(-1, PIXELS)}, backend="pyro", steps=2)
    assert [name for name in fit.params if "encoder" in name] == ["encoder.weight"]
