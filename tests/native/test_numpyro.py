"""Programs of NumPyro's own idiom: `obs=`, stax, flax and equinox networks, an autoguide, none written for ppgen."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from jax.example_libraries import stax
from numpyro import handlers
from numpyro.contrib.module import eqx_module, flax_module, nnx_module
from numpyro.infer.autoguide import AutoNormal
from numpyro.infer.util import log_density

import ppgen
from ppgen import nn
from ppgen.errors import ProgramError

equinox = pytest.importorskip("equinox")
linen = pytest.importorskip("flax.linen")
nnx = pytest.importorskip("flax.nnx")

SCALED = "ignore:the .* multiplies the log densities"  # KL annealing by a scale handler is meant here
pytestmark = pytest.mark.filterwarnings(SCALED)

LATENTS, HIDDEN, PIXELS = 2, 5, 12


# a VAE as in numpyro/examples/vae.py, with each kind of network -------------------------------------------------


def stax_encoder(hidden_dim, z_dim):
    return stax.serial(
        stax.Dense(hidden_dim, W_init=stax.randn()),
        stax.Softplus,
        stax.FanOut(2),
        stax.parallel(
            stax.Dense(z_dim, W_init=stax.randn()),
            stax.serial(stax.Dense(z_dim, W_init=stax.randn()), stax.Exp),
        ),
    )


def stax_decoder(hidden_dim, out_dim):
    return stax.serial(
        stax.Dense(hidden_dim, W_init=stax.randn()),
        stax.Softplus,
        stax.Dense(out_dim, W_init=stax.randn()),
        stax.Sigmoid,
    )


def stax_model(batch, hidden_dim=HIDDEN, z_dim=LATENTS):
    batch = jnp.reshape(batch, (batch.shape[0], -1))
    batch_dim, out_dim = jnp.shape(batch)
    decode = numpyro.module("decoder", stax_decoder(hidden_dim, out_dim), (batch_dim, z_dim))
    with numpyro.plate("batch", batch_dim):
        z = numpyro.sample("z", dist.Normal(0, 1).expand([z_dim]).to_event(1))
        img_loc = decode(z)
        return numpyro.sample("obs", dist.Bernoulli(img_loc).to_event(1), obs=batch)


def stax_guide(batch, hidden_dim=HIDDEN, z_dim=LATENTS):
    batch = jnp.reshape(batch, (batch.shape[0], -1))
    batch_dim, out_dim = jnp.shape(batch)
    encode = numpyro.module("encoder", stax_encoder(hidden_dim, z_dim), (batch_dim, out_dim))
    z_loc, z_std = encode(batch)
    with numpyro.plate("batch", batch_dim):
        return numpyro.sample("z", dist.Normal(z_loc, z_std).to_event(1))


class LinenDecoder(linen.Module):
    @linen.compact
    def __call__(self, z):
        return linen.Dense(PIXELS)(linen.tanh(linen.Dense(HIDDEN)(z)))


class LinenEncoder(linen.Module):
    @linen.compact
    def __call__(self, x):
        h = linen.tanh(linen.Dense(HIDDEN)(x))
        return linen.Dense(LATENTS)(h), jnp.exp(linen.Dense(LATENTS)(h))


def linen_model(batch):
    decoder = flax_module("decoder", LinenDecoder(), input_shape=(1, LATENTS))
    with numpyro.plate("batch", len(batch)):
        z = numpyro.sample("z", dist.Normal(0, 1).expand([LATENTS]).to_event(1))
        numpyro.sample("obs", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=batch.reshape(-1, PIXELS))


def linen_guide(batch):
    encoder = flax_module("encoder", LinenEncoder(), input_shape=(1, PIXELS))
    with numpyro.plate("batch", len(batch)):
        numpyro.sample("z", dist.Normal(*encoder(batch.reshape(-1, PIXELS))).to_event(1))


DECODER = equinox.nn.MLP(LATENTS, PIXELS, HIDDEN, 1, activation=jnp.tanh, key=jax.random.key(0))
ENCODER = equinox.nn.MLP(PIXELS, 2 * LATENTS, HIDDEN, 1, activation=jnp.tanh, key=jax.random.key(1))


def equinox_model(batch):
    decoder = jax.vmap(eqx_module("decoder", DECODER))
    with numpyro.plate("batch", len(batch)):
        z = numpyro.sample("z", dist.Normal(0, 1).expand([LATENTS]).to_event(1))
        numpyro.sample("obs", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=batch.reshape(-1, PIXELS))


def equinox_guide(batch):
    encoder = jax.vmap(eqx_module("encoder", ENCODER))
    loc, log_scale = jnp.split(encoder(batch.reshape(-1, PIXELS)), 2, axis=-1)
    with numpyro.plate("batch", len(batch)):
        numpyro.sample("z", dist.Normal(loc, jnp.exp(log_scale)).to_event(1))


def annealed_model(batch, beta=0.25):
    decoder = flax_module("decoder", LinenDecoder(), input_shape=(1, LATENTS))
    with numpyro.plate("batch", len(batch)):
        with handlers.scale(scale=beta):
            z = numpyro.sample("z", dist.Normal(0, 1).expand([LATENTS]).to_event(1))
        numpyro.sample("obs", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=batch.reshape(-1, PIXELS))


def annealed_guide(batch, beta=0.25):
    with handlers.scale(scale=beta):
        linen_guide(batch)


# a regression with a constrained parameter and an autoguide -----------------------------------------------------


def regression(x, y=None):
    noise = numpyro.param("noise", jnp.array(0.5), constraint=dist.constraints.positive)
    w = numpyro.sample("w", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    spread = numpyro.sample("spread", dist.HalfNormal(1.0))
    with numpyro.plate("points", x.shape[0]):
        numpyro.sample("y", dist.Normal(x @ w, noise + spread), obs=y)


PROGRAMS = {
    "stax": (stax_model, stax_guide),
    "flax": (linen_model, linen_guide),
    "equinox": (equinox_model, equinox_guide),
    "annealed": (annealed_model, annealed_guide),
}
ALGORITHMS = [
    ppgen.ELBO(),
    ppgen.IWAE(5),
    ppgen.ReweightedWakeSleep(5),
    ppgen.WakeSleep(),
    ppgen.GAN(critic=nn.MLP(PIXELS, 4, 1, activation="tanh")),
]
PAIRS = [("stax", a) for a in ALGORITHMS] + [
    (p, a) for p in ("flax", "equinox") for a in (ALGORITHMS[0], ALGORITHMS[3])
]


def started(model, guide, data):
    """A problem, its joints at the initial parameters, and the batch."""
    problem = ppgen.Problem(model, guide, data=data, seed=3)
    joints = joints_of(problem)
    return problem, joints["model"], joints["guide"], ppgen.Batch(problem.device(data))


def joints_of(problem):
    """The joints that `started` gives: the same noise again."""
    return problem.joints(key=problem.backend.key(5))


def native_parameters(problem):
    """Constrained parameters as `numpyro.infer.SVI.get_params` has them."""
    return {
        name: value
        if problem.specs[name].constraint is None
        else problem.backend.constrain(problem.specs[name].constraint, value)
        for name, value in problem.start.items()
    }


@pytest.mark.parametrize(("program", "algorithm"), PAIRS, ids=lambda v: v if isinstance(v, str) else type(v).__name__)
def test_every_network_learns(program, algorithm, pictures):
    model, guide = PROGRAMS[program]
    guide = guide if "guide" in algorithm.roles else None
    fit = ppgen.fit(model, guide, data={"batch": pictures}, algorithm=algorithm, steps=2, optimizer=ppgen.Adam(1e-2))
    start = fit.problem.export(fit.problem.start)
    assert {name.split("$")[0].split(".")[0] for name in fit.params} == {"decoder", "encoder" if guide else "critic"}
    assert all(np.isfinite(value).all() for value in fit.params.values())
    assert [name for name, value in fit.params.items() if np.array_equal(value, start[name])] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_elbo_is_numpyros_own(program, pictures):
    model, guide = PROGRAMS[program]
    problem, p, q, batch = started(model, guide, {"batch": pictures})
    with ppgen.using("numpyro"):
        loss = ppgen.ELBO().losses(p, q, batch)["model"]
        z = joints_of(problem)["guide"].draw(batch)
    given = native_parameters(problem) | {"z": z.values["z"][0]}
    log_p, _ = log_density(model, (pictures,), {}, given)
    log_q, _ = log_density(guide, (pictures,), {}, given)
    np.testing.assert_allclose(loss, -(log_p - log_q) / len(pictures), rtol=1e-5)
    np.testing.assert_allclose(z.log_prob.sum(), log_q, rtol=1e-5)


def test_the_guide_explains_the_dream_and_not_the_data(pictures):
    model, guide = PROGRAMS["stax"]
    problem, p, q, batch = started(model, guide, {"batch": pictures})
    with ppgen.using("numpyro"):
        loss = ppgen.WakeSleep().losses(p, q, batch)["guide"]
        dream = joints_of(problem)["model"].dream(batch).values
    assert dream["batch"].shape == (1, *pictures.shape)
    assert not np.array_equal(dream["batch"][0], pictures)
    log_q, _ = log_density(guide, (dream["batch"][0],), {}, native_parameters(problem) | {"z": dream["z"][0]})
    np.testing.assert_allclose(loss, -log_q / len(pictures), rtol=1e-5)


def test_a_dream_has_the_type_of_the_data(pictures):
    """NumPyro draws bits as integers, which a convolution would refuse."""
    net = equinox.nn.Conv1d(3, LATENTS, kernel_size=4, key=jax.random.key(0))

    def guide(batch):
        encoder = jax.vmap(eqx_module("encoder", net))
        with numpyro.plate("batch", len(batch)):
            numpyro.sample("z", dist.Normal(encoder(batch)[..., 0], 1.0).to_event(1))

    fit = ppgen.fit(equinox_model, guide, data={"batch": pictures}, algorithm=ppgen.WakeSleep(), steps=1)
    assert np.isfinite(fit.history["loss/guide"]).all()


def test_what_a_fit_can_be_asked(pictures, tmp_path):
    model, guide = PROGRAMS["stax"]
    data = {"batch": pictures}
    fit = ppgen.fit(model, guide, data=data, steps=3, batch_size=8)

    drawn = fit.sample(rows=5)
    assert {name: value.shape for name, value in drawn.items()} == {"z": (5, LATENTS), "obs": (5, PIXELS)}
    assert set(np.unique(drawn["obs"])) <= {0.0, 1.0}

    found = fit.evaluate(data, particles=200)
    assert found.kind == "lower bound" and found.per_row.shape == (len(pictures),)
    loss = ppgen.Trainer(fit.problem).losses(fit.state, data)["model"]
    assert found.nats > -float(loss) - 0.5  # the bound of one particle is looser

    posterior = fit.posterior({"batch": pictures[:3]}, draws=4)
    assert posterior["posterior"]["z"].shape == (1, 4, 3, LATENTS)

    fit.save(tmp_path / "fit")
    loaded = ppgen.load(tmp_path / "fit", model, guide)
    assert fit.params.keys() == loaded.params.keys()
    for name, value in fit.params.items():
        np.testing.assert_array_equal(loaded.params[name], value)

    resumed = ppgen.fit(model, guide, data=data, steps=6, batch_size=8, resume=loaded)
    straight = ppgen.fit(model, guide, data=data, steps=6, batch_size=8)
    for name, value in straight.params.items():
        np.testing.assert_array_equal(resumed.params[name], value)


def test_the_seed_decides_everything(pictures):
    model, guide = PROGRAMS["flax"]
    starts = []
    for seed in (0, 0, 1):
        problem = ppgen.Problem(model, guide, data={"batch": pictures}, seed=seed)
        starts.append(problem.start["encoder$params"]["Dense_0"]["kernel"])
    np.testing.assert_array_equal(starts[0], starts[1])
    assert not np.array_equal(starts[0], starts[2])


@pytest.fixture(scope="module")
def autoguide():
    """One guide for many fits; each starts where the guide was made."""
    return AutoNormal(regression)


@pytest.mark.parametrize("algorithm", ALGORITHMS[:3], ids=lambda a: type(a).__name__)
def test_a_regression_with_an_autoguide_learns(algorithm, autoguide, line):
    fit = ppgen.fit(regression, autoguide, data=line, algorithm=algorithm, steps=192, optimizer=ppgen.Adam(0.05))
    np.testing.assert_allclose(fit.params["w_auto_loc"], [1.0, -2.0], atol=0.5)
    assert fit.params["noise"] > 0
    drawn = fit.sample(data={"x": line["x"][:4]})
    assert {name: value.shape for name, value in drawn.items()} == {"w": (2,), "spread": (), "y": (4,)}
    np.testing.assert_allclose(drawn["w"], fit.params["w_auto_loc"], atol=0.5)  # the guide's, not the prior's


def test_a_guide_that_sees_no_data_explains_dreams_by_the_prior(autoguide, line):
    fit = ppgen.fit(
        regression, autoguide, data=line, algorithm=ppgen.WakeSleep(), steps=2000, optimizer=ppgen.Adam(0.02)
    )
    np.testing.assert_allclose(fit.params["w_auto_loc"], [0.0, 0.0], atol=0.4)
    np.testing.assert_allclose(fit.params["w_auto_scale"], [1.0, 1.0], atol=0.4)  # from 0.1


def test_the_elbo_of_a_regression_is_numpyros_own(autoguide, line):
    problem, p, q, batch = started(regression, autoguide, line)
    with ppgen.using("numpyro"):
        loss = ppgen.ELBO().losses(p, q, batch)["model"]
        z = joints_of(problem)["guide"].draw(batch)
    given = native_parameters(problem) | {name: z.values[name][0] for name in ("w", "spread")}
    log_p, _ = log_density(regression, (line["x"], line["y"]), {}, given)
    log_q, _ = log_density(autoguide, (line["x"], line["y"]), {}, given)
    np.testing.assert_allclose(loss, -(log_p - log_q) / len(line["y"]), rtol=1e-5)


def test_a_required_argument_that_a_site_observes_can_be_dreamt(line):
    def model(x, y):
        w = numpyro.sample("w", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        with numpyro.plate("points", x.shape[0]):
            numpyro.sample("y", dist.Normal(x @ w, 0.1), obs=y)

    _, p, _, batch = started(model, AutoNormal(model), line)
    dream = p.dream(batch).values
    assert not np.allclose(dream["y"][0], line["y"])
    np.testing.assert_allclose(dream["y"][0], line["x"] @ dream["w"][0], atol=0.5)


def test_an_nnx_network_and_a_constrained_parameter(pictures):
    class Decoder(nnx.Module):
        def __init__(self, rngs):
            self.linear = nnx.Linear(LATENTS, PIXELS, rngs=rngs)

        def __call__(self, z):
            return self.linear(z)

    net = Decoder(nnx.Rngs(0))

    def model(batch):
        decoder = nnx_module("decoder", net)
        with numpyro.plate("batch", len(batch)):
            z = numpyro.sample("z", dist.Normal(0, 1).expand([LATENTS]).to_event(1))
            numpyro.sample("obs", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=batch)

    def guide(batch):
        loc = numpyro.param("loc", lambda key: 0.1 * jax.random.normal(key, (PIXELS, LATENTS)))
        scale = numpyro.param("scale", jnp.ones(LATENTS), constraint=dist.constraints.positive)
        with numpyro.plate("batch", len(batch)):
            numpyro.sample("z", dist.Normal(batch @ loc, scale).to_event(1))

    fit = ppgen.fit(model, guide, data={"batch": pictures.reshape(-1, PIXELS)}, steps=2)
    assert fit.params["scale"].min() > 0 and not np.array_equal(fit.params["scale"], np.ones(LATENTS))
    assert fit.params["decoder$params.linear.kernel"].shape == (LATENTS, PIXELS)


# which plate holds the rows -------------------------------------------------------------------------------------


def test_rows_settles_a_doubt_between_two_plates(pictures):
    def model(batch):
        loc = numpyro.param("loc", jnp.zeros(PIXELS))
        with numpyro.plate("pixels", PIXELS, dim=-1), numpyro.plate("batch", len(batch), dim=-2):
            numpyro.sample("obs", dist.Normal(loc, 1.0), obs=batch)

    data = {"batch": pictures.reshape(-1, PIXELS)}
    problem = ppgen.Problem(model, data=data, rows="batch")
    per_row = problem.joints()["model"].log_prob(ppgen.Batch(problem.device(data)))
    np.testing.assert_allclose(per_row[0], dist.Normal(0.0, 1.0).log_prob(data["batch"]).sum(-1), rtol=1e-5)
    with pytest.raises(ProgramError, match=r"rows='"):
        ppgen.fit(model, data=data, steps=1, algorithm=ppgen.MaximumLikelihood())


# refusals -------------------------------------------------------------------------------------------------------


def guide_in_another_plate(batch):
    loc = numpyro.param("loc", jnp.zeros(LATENTS))
    with numpyro.plate("rows", len(batch)):
        numpyro.sample("z", dist.Normal(loc, 1.0).to_event(1))


def stateful(batch):
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            return linen.BatchNorm(use_running_average=False)(x)

    net = flax_module("net", Net(), input_shape=(1, PIXELS), mutable=["batch_stats"])
    with numpyro.plate("batch", len(batch)):
        numpyro.sample(
            "obs", dist.Normal(net(batch.reshape(-1, PIXELS)), 1.0).to_event(1), obs=batch.reshape(-1, PIXELS)
        )


@pytest.mark.parametrize(
    ("model", "guide", "said"),
    [
        (linen_model, guide_in_another_plate, r"plates \['batch'\] of the model but \['rows'\] of the guide"),
        (stateful, None, r"mutable state"),
    ],
    ids=["plate name", "mutable"],
)
def test_mistakes_are_refused(model, guide, said, pictures):
    algorithm = ppgen.ELBO() if guide else ppgen.MaximumLikelihood()
    with pytest.raises(ProgramError, match=said):
        ppgen.fit(model, guide, data={"batch": pictures}, algorithm=algorithm, steps=1)


def test_what_a_reparameterisation_replaces_is_computed():
    """In draws of the model and of the posterior; a handler around a program keeps its arguments."""
    from numpyro.handlers import reparam
    from numpyro.infer.reparam import LocScaleReparam

    def model(x):
        mu = numpyro.sample("mu", dist.Normal(0.0, 1.0))
        with numpyro.plate("data", len(x)):
            z = numpyro.sample("z", dist.Normal(mu, 2.0))
            numpyro.sample("y", dist.Normal(z, 1.0), obs=x)

    data = {"x": np.arange(5, dtype=np.float32)}
    model = reparam(model, config={"z": LocScaleReparam(0.0)})
    fit = ppgen.fit(model, ppgen.guides.MeanField(), data=data, steps=2)
    drawn = fit.posterior(data, draws=3)["posterior"]
    np.testing.assert_allclose(drawn["z"], drawn["mu"] + 2.0 * drawn["z_decentered"], rtol=1e-5)
    again = fit.sample(data=data)
    np.testing.assert_allclose(again["z"], again["mu"] + 2.0 * again["z_decentered"], rtol=1e-5)
