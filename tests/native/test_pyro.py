"""Programs of Pyro's own idiom: `obs=`, torch modules, PyroModules, constrained parameters, none written for ppgen."""

import copy

import numpy as np
import pytest

pytest.importorskip("pyro", reason="the pyro backend needs the extra ppgen[pyro]")

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import constraints
from pyro.infer import Trace_ELBO
from pyro.infer.autoguide import AutoDiagonalNormal, AutoNormal
from pyro.nn import PyroModule, PyroParam, PyroSample
from torch import nn as tnn

import ppgen
from ppgen import nn
from ppgen.errors import IllegalPairing, ProgramError

SCALED = "ignore:the .* multiplies the log densities"  # KL annealing by a scale handler is meant here
pytestmark = pytest.mark.filterwarnings(SCALED)

LATENTS, HIDDEN, PIXELS = 2, 5, 12


# a VAE as in pyro/examples/vae/vae.py ---------------------------------------------------------------------------


class Encoder(tnn.Module):
    def __init__(self, z_dim, hidden_dim):
        super().__init__()
        self.fc1 = tnn.Linear(PIXELS, hidden_dim)
        self.fc21 = tnn.Linear(hidden_dim, z_dim)
        self.fc22 = tnn.Linear(hidden_dim, z_dim)
        self.softplus = tnn.Softplus()

    def forward(self, x):
        x = x.reshape(-1, PIXELS)
        hidden = self.softplus(self.fc1(x))
        return self.fc21(hidden), torch.exp(self.fc22(hidden))


class Decoder(tnn.Module):
    def __init__(self, z_dim, hidden_dim):
        super().__init__()
        self.fc1 = tnn.Linear(z_dim, hidden_dim)
        self.fc21 = tnn.Linear(hidden_dim, PIXELS)
        self.softplus = tnn.Softplus()

    def forward(self, z):
        return torch.sigmoid(self.fc21(self.softplus(self.fc1(z))))


class VAE(tnn.Module):
    def __init__(self, z_dim=LATENTS, hidden_dim=HIDDEN):
        super().__init__()
        self.encoder = Encoder(z_dim, hidden_dim)
        self.decoder = Decoder(z_dim, hidden_dim)
        self.z_dim = z_dim

    def register_for_model(self):
        pyro.module("decoder", self.decoder)

    def register_for_guide(self):
        pyro.module("encoder", self.encoder)

    def model(self, x):
        self.register_for_model()
        with pyro.plate("data", x.shape[0]):
            z_loc = x.new_zeros(torch.Size((x.shape[0], self.z_dim)))
            z_scale = x.new_ones(torch.Size((x.shape[0], self.z_dim)))
            z = pyro.sample("latent", dist.Normal(z_loc, z_scale).to_event(1))
            loc_img = self.decoder.forward(z)
            pyro.sample("obs", dist.Bernoulli(loc_img, validate_args=False).to_event(1), obs=x.reshape(-1, PIXELS))
            return loc_img

    def guide(self, x):
        self.register_for_guide()
        with pyro.plate("data", x.shape[0]):
            z_loc, z_scale = self.encoder.forward(x)
            pyro.sample("latent", dist.Normal(z_loc, z_scale).to_event(1))


class Whole(VAE):
    """Registers itself as a whole in both programs, as pyro/examples/dmm.py does."""

    def register_for_model(self):
        pyro.module("vae", self)

    register_for_guide = register_for_model


class ByTheModel(Whole):
    """Registers both networks in the model alone, as pyro/examples/vae/ss_vae_M2.py does."""

    def register_for_guide(self):
        pass


class Annealed(VAE):
    """KL annealing, as in pyro/examples/dmm.py."""

    def model(self, x, beta=0.25):
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", x.shape[0]):
            with poutine.scale(None, beta):
                z = pyro.sample("latent", dist.Normal(x.new_zeros(self.z_dim), 1.0).to_event(1))
            pyro.sample("obs", dist.Bernoulli(self.decoder(z)).to_event(1), obs=x.reshape(-1, PIXELS))

    def guide(self, x, beta=0.25):
        with poutine.scale(None, beta):
            super().guide(x)


class PyroEncoder(PyroModule):
    def __init__(self):
        super().__init__("encoder")
        self.hidden = PyroModule[tnn.Linear](PIXELS, HIDDEN)
        self.loc = tnn.Linear(HIDDEN, LATENTS)
        self.scale = PyroParam(torch.full((LATENTS,), 0.5), constraint=constraints.positive)

    def forward(self, x):
        return self.loc(torch.tanh(self.hidden(x.reshape(-1, PIXELS)))), self.scale


class Modules:
    """A VAE of PyroModules."""

    def __init__(self):
        self.encoder = PyroEncoder()
        self.decoder = PyroModule[tnn.Linear](LATENTS, PIXELS)
        self.decoder._pyro_name = "decoder"

    def model(self, x):
        with pyro.plate("data", len(x)):
            z = pyro.sample("latent", dist.Normal(0.0, 1.0).expand([LATENTS]).to_event(1))
            pyro.sample("obs", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x.reshape(-1, PIXELS))

    def guide(self, x):
        with pyro.plate("data", len(x)):
            loc, scale = self.encoder(x)
            pyro.sample("latent", dist.Normal(loc, scale).to_event(1))

    def modules(self):
        return [self.encoder, self.decoder]


class Params:
    """A linear VAE of `pyro.param`s."""

    def model(self, x):
        weight = pyro.param("weight", torch.full((LATENTS, PIXELS), 0.1))
        noise = pyro.param("noise", torch.tensor(1.5), constraint=constraints.positive)
        with pyro.plate("data", len(x)):
            z = pyro.sample("latent", dist.Normal(0.0, 1.0).expand([LATENTS]).to_event(1))
            pyro.sample("obs", dist.Normal(z @ weight, noise).to_event(1), obs=x.reshape(-1, PIXELS))

    def guide(self, x):
        loc = pyro.param("loc", lambda: 0.1 * torch.randn(PIXELS, LATENTS))
        scale = pyro.param("scale", torch.full((LATENTS,), 0.5), constraint=constraints.interval(0.01, 2.0))
        with pyro.plate("data", len(x)):
            pyro.sample("latent", dist.Normal(x.reshape(-1, PIXELS) @ loc, scale).to_event(1))

    def modules(self):
        return []


VAES = {
    "modules": VAE,
    "whole": Whole,
    "by the model": ByTheModel,
    "annealed": Annealed,
    "PyroModules": Modules,
    "params": Params,
}
ALGORITHMS = [
    ppgen.ELBO(),
    ppgen.ELBO(gradient="stl"),
    ppgen.IWAE(5),
    ppgen.ReweightedWakeSleep(5),
    ppgen.WakeSleep(),
    ppgen.GAN(critic=nn.MLP(PIXELS, 4, 1, activation="tanh")),
]


def made(kind):
    torch.manual_seed(0)
    return VAES[kind]()


def started(model, guide, data):
    """A problem, its joints at the initial parameters, and the batch."""
    problem = ppgen.Problem(model, guide, data=data, backend="pyro", seed=3)
    joints = problem.joints(key=5)
    return problem, joints["model"], joints["guide"], ppgen.Batch(problem.device(data))


def noise_of(problem, role, draw=0):
    """The seed with which the joints of `started` draw."""
    backend = problem.backend
    return backend.fold_in(backend.fold_in(5, list(problem.programs).index(role)), draw)


def log_joint(program, *args, **values):
    """Pyro's own log density of a program at given values."""
    with pyro.get_param_store().scope():
        return poutine.trace(poutine.condition(program, values)).get_trace(*args).log_prob_sum()


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda a: f"{type(a).__name__}-{getattr(a, 'gradient', '')}")
@pytest.mark.parametrize("kind", VAES)
def test_every_kind_of_vae_learns(kind, algorithm, pictures):
    vae = made(kind)
    guide = vae.guide if "guide" in algorithm.roles else None
    fit = ppgen.fit(
        vae.model, guide, data={"x": pictures}, algorithm=algorithm, backend="pyro", steps=3, optimizer=ppgen.Adam(1e-2)
    )
    start = fit.problem.export(fit.problem.start)
    still = {name for name, value in fit.params.items() if np.array_equal(value, start[name])}
    if kind == "params" and not guide:
        still -= {"noise"}  # the mean of a dream has none
    if kind in ("whole", "by the model") and not guide:
        still = {name for name in still if "encoder" not in name}
    assert still == set()
    assert all(np.isfinite(value).all() for value in fit.params.values())


@pytest.mark.parametrize("algorithm", ALGORITHMS[2:5], ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("kind", ["modules", "by the model", "PyroModules"])
def test_programs_are_left_as_they_were(kind, algorithm, pictures):
    vae = made(kind)
    parameters = [p for module in vae.modules() for p in module.parameters()]
    before = [p.detach().clone() for p in parameters]
    stale = pyro.param("decoder$$$fc1.bias", torch.full((HIDDEN,), 7.0))
    try:
        fit = ppgen.fit(vae.model, vae.guide, data={"x": pictures}, algorithm=algorithm, backend="pyro", steps=2)
        fit.evaluate({"x": pictures}, particles=2)
        assert list(pyro.get_param_store()) == ["decoder$$$fc1.bias"]
        assert pyro.param("decoder$$$fc1.bias") is stale and (stale == 7.0).all()
        assert all(np.abs(value).max() < 5 for value in fit.params.values())  # nothing started from the store
    finally:
        pyro.clear_param_store()
    assert all(
        torch.equal(p, old) and p.requires_grad and p.grad is None for p, old in zip(parameters, before, strict=True)
    )


def test_a_frozen_layer_stays(pictures):
    vae = made("modules").train(False)  # in training Pyro warns of layers that do not learn
    vae.decoder.fc1.requires_grad_(False)
    fit = ppgen.fit(vae.model, vae.guide, data={"x": pictures}, backend="pyro", steps=2)
    assert sorted(n for n in fit.params if n.startswith("decoder")) == ["decoder$$$fc21.bias", "decoder$$$fc21.weight"]
    assert not vae.decoder.fc1.weight.requires_grad and vae.decoder.fc21.weight.requires_grad


def test_a_refusal_leaves_modules_alone_too(pictures):
    vae = made("modules")

    def guide(x):
        pyro.module("encoder", vae.encoder)
        with pyro.plate("rows", len(x)):
            pyro.sample("latent", dist.Normal(*vae.encoder(x)).to_event(1))

    with pytest.raises(ProgramError, match=r"plates \['data'\] of the model but \['rows'\] of the guide"):
        ppgen.fit(vae.model, guide, data={"x": pictures}, backend="pyro", steps=1)
    assert all(p.requires_grad for p in vae.parameters())


@pytest.mark.parametrize("kind", ["modules", "whole", "by the model", "annealed", "PyroModules"])
def test_the_elbo_and_its_gradient_are_pyros_own(kind, pictures):
    vae, x = made(kind), torch.from_numpy(pictures)
    problem, _, _, batch = started(vae.model, vae.guide, {"x": pictures})
    trainer = ppgen.Trainer(problem)
    step = problem.backend.compile(lambda: trainer._turn(problem.start, batch, ("model", "guide"), 5)[:2])
    found, grads = step()

    with pyro.get_param_store().scope():
        torch.manual_seed(noise_of(problem, "guide"))
        loss = Trace_ELBO().differentiable_loss(vae.model, vae.guide, x)
        loss.backward()
    torch.testing.assert_close(found["model"], loss.detach() / len(x))
    sources = {name: spec.source for name, spec in problem.specs.items()}
    assert set(sources.values()) == {p for module in vae.modules() for p in module.parameters()}
    for name, source in sources.items():
        torch.testing.assert_close(grads[name], source.grad / len(x), msg=name)


@pytest.mark.parametrize("kind", ["modules", "params"])
def test_learned_numbers_mean_in_pyro_what_they_mean_here(kind, pictures):
    """With the learned numbers in its own modules and store, Pyro finds the same densities."""
    vae, x = made(kind), torch.from_numpy(pictures)
    fit = ppgen.fit(vae.model, vae.guide, data={"x": pictures}, backend="pyro", steps=5, optimizer=ppgen.Adam(0.05))
    joints = fit.problem.joints(fit.state.parameters, 5)
    batch = ppgen.Batch(fit.problem.device({"x": pictures}))
    with torch.no_grad(), ppgen.using("pyro"):
        z = joints["guide"].draw(batch)
        log_p = joints["model"].log_prob(batch | z.values)

    learned = copy.deepcopy(vae)
    for module in learned.modules():
        if isinstance(module, Encoder | Decoder):
            name = type(module).__name__.lower() + "$$$"
            module.load_state_dict(
                {k.removeprefix(name): torch.from_numpy(v) for k, v in fit.params.items() if k.startswith(name)}
            )
    with pyro.get_param_store().scope(), torch.no_grad():
        learned.model(x), learned.guide(x)
        for name in set(fit.params) & set(pyro.get_param_store()):
            pyro.get_param_store()[name] = torch.from_numpy(fit.params[name])
        conditioned = [poutine.condition(f, {"latent": z.values["latent"][0]}) for f in (learned.model, learned.guide)]
        native_p, native_q = (poutine.trace(f).get_trace(x).log_prob_sum() for f in conditioned)
    torch.testing.assert_close(log_p.sum(), native_p)
    torch.testing.assert_close(z.log_prob.sum(), native_q)


@pytest.mark.parametrize("kind", ["modules", "whole", "PyroModules"])
def test_the_guide_explains_the_dream_and_not_the_data(kind, pictures):
    vae = made(kind)
    problem, p, q, batch = started(vae.model, vae.guide, {"x": pictures})
    with ppgen.using("pyro"), torch.no_grad():
        loss = ppgen.WakeSleep().losses(p, q, batch)["guide"]
        dream = problem.joints(key=5)["model"].dream(batch).values
    assert dream["x"].shape == (1, *pictures.shape)
    assert not torch.equal(dream["x"][0], batch["x"])
    torch.testing.assert_close(
        loss, -log_joint(vae.guide, dream["x"][0], latent=dream["latent"][0]).detach() / len(pictures)
    )
    encoders = {name for name in problem.specs if "encoder" in name}
    assert set(problem.owned["guide"]) == encoders and encoders.isdisjoint(problem.owned["model"])


def test_what_a_fit_can_be_asked(pictures, tmp_path):
    vae, data = made("modules"), {"x": pictures}
    fit = ppgen.fit(vae.model, vae.guide, data=data, backend="pyro", steps=5, batch_size=10)

    drawn = fit.sample(rows=5)
    assert {name: value.shape for name, value in drawn.items()} == {"latent": (5, LATENTS), "obs": (5, PIXELS)}

    found = fit.evaluate(data, particles=200)
    assert found.kind == "lower bound" and found.per_row.shape == (len(pictures),)
    assert found.nats > -float(ppgen.Trainer(fit.problem).losses(fit.state, data)["model"]) - 0.5

    posterior = fit.posterior({"x": pictures[:3]}, draws=4)
    assert posterior["posterior"]["latent"].shape == (1, 4, 3, LATENTS)

    fit.save(tmp_path / "fit")
    loaded = ppgen.load(tmp_path / "fit", vae.model, vae.guide)
    resumed = ppgen.fit(vae.model, vae.guide, data=data, backend="pyro", steps=9, batch_size=10, resume=loaded)
    straight = ppgen.fit(vae.model, vae.guide, data=data, backend="pyro", steps=9, batch_size=10)
    for name, value in fit.params.items():
        np.testing.assert_array_equal(loaded.params[name], value)
        np.testing.assert_array_equal(resumed.params[name], straight.params[name])
        assert not np.array_equal(resumed.params[name], value)


@pytest.mark.parametrize("kind", VAES)
def test_one_seed_is_one_run(kind, pictures):
    vae, runs = made(kind), []
    for seed in (0, 0, 1):
        torch.rand(seed + 1)  # what the user draws in between makes no difference
        runs.append(
            ppgen.fit(vae.model, vae.guide, data={"x": pictures}, backend="pyro", steps=3, batch_size=7, seed=seed)
        )
    first, second, other = (run.params for run in runs)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert not all(np.array_equal(first[name], other[name]) for name in first)


# a Bayesian regression with autoguides --------------------------------------------------------------------------


def regression(x, y=None):
    noise = pyro.param("noise", torch.tensor(0.5), constraint=constraints.positive)
    w = pyro.sample("w", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
    spread = pyro.sample("spread", dist.HalfNormal(1.0))
    with pyro.plate("points", x.shape[0]):
        pyro.sample("y", dist.Normal(x @ w, noise + spread), obs=y)


class BayesianRegression(PyroModule):
    """As in Pyro's tutorial on Bayesian regression."""

    def __init__(self):
        super().__init__()
        self.linear = PyroModule[tnn.Linear](2, 1)
        self.linear.weight = PyroSample(dist.Normal(0.0, 1.0).expand([1, 2]).to_event(2))
        self.linear.bias = PyroSample(dist.Normal(0.0, 10.0).expand([1]).to_event(1))

    def forward(self, x, y=None):
        sigma = pyro.sample("sigma", dist.Uniform(0.0, 10.0))
        mean = self.linear(x).squeeze(-1)
        with pyro.plate("data", x.shape[0]):
            pyro.sample("obs", dist.Normal(mean, sigma), obs=y)
        return mean


REGRESSIONS = {"function": lambda: regression, "PyroModule": BayesianRegression}


@pytest.mark.parametrize(
    "algorithm", [ppgen.ELBO(), ppgen.IWAE(5), ppgen.ReweightedWakeSleep(5)], ids=lambda a: type(a).__name__
)
@pytest.mark.parametrize("kind", REGRESSIONS)
def test_a_regression_with_an_autoguide_learns(kind, algorithm, line):
    model = REGRESSIONS[kind]()
    fit = ppgen.fit(
        model, AutoNormal(model), data=line, algorithm=algorithm, backend="pyro", steps=150, optimizer=ppgen.Adam(0.05)
    )
    weight = next(value for name, value in fit.params.items() if name.startswith("AutoNormal.locs") and value.size == 2)
    np.testing.assert_allclose(weight.ravel(), [1.0, -2.0], atol=0.5)
    drawn = fit.sample(data={"x": line["x"][:4]})
    assert drawn["y" if kind == "function" else "obs"].shape == (4,)
    w = drawn["w" if kind == "function" else "linear.weight"]
    np.testing.assert_allclose(w.ravel(), weight.ravel(), atol=0.5)  # the guide's, not the prior's


@pytest.mark.parametrize("autoguide", [AutoNormal, AutoDiagonalNormal])
@pytest.mark.parametrize("kind", REGRESSIONS)
def test_the_elbo_of_a_regression_is_pyros_own(kind, autoguide, line):
    model = REGRESSIONS[kind]()
    guide = autoguide(model)
    problem, p, q, batch = started(model, guide, line)
    with ppgen.using("pyro"), torch.no_grad():
        loss = ppgen.ELBO().losses(p, q, batch)["model"]
    with pyro.get_param_store().scope(), torch.no_grad():
        torch.manual_seed(noise_of(problem, "guide"))
        native = Trace_ELBO().loss(model, guide, *map(torch.from_numpy, line.values()))
    np.testing.assert_allclose(loss, native / len(line["y"]), rtol=1e-5)


def test_one_autoguide_serves_many_fits(line):
    guide = AutoNormal(regression)
    fits = [ppgen.fit(regression, guide, data=line, backend="pyro", steps=5) for _ in range(2)]
    for name, value in fits[0].params.items():
        np.testing.assert_array_equal(fits[1].params[name], value)


def test_an_autoguide_cannot_explain_dreams(line):
    with pytest.raises(IllegalPairing, match=r"auxiliary site 'w_unconstrained'.*without a sleep phase"):
        ppgen.fit(regression, AutoNormal(regression), data=line, algorithm=ppgen.WakeSleep(), backend="pyro", steps=1)


def test_a_required_argument_that_a_site_observes_can_be_dreamt(line):
    def model(x, y):
        w = pyro.sample("w", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        with pyro.plate("points", x.shape[0]):
            pyro.sample("y", dist.Normal(x @ w, 0.1), obs=y)

    _, p, _, batch = started(model, AutoNormal(model), line)
    dream = p.dream(batch).values
    assert not torch.allclose(dream["y"][0], batch["y"])
    torch.testing.assert_close(dream["y"][0], batch["x"] @ dream["w"][0], atol=0.6, rtol=0)


# which plate holds the rows, and what is refused ----------------------------------------------------------------


def test_rows_settles_a_doubt_between_two_plates(pictures):
    def model(x):
        loc = pyro.param("loc", torch.zeros(PIXELS))
        with pyro.plate("pixels", PIXELS, dim=-1), pyro.plate("batch", len(x), dim=-2):
            pyro.sample("obs", dist.Normal(loc, 1.0), obs=x)

    data = {"x": pictures.reshape(-1, PIXELS)}
    problem = ppgen.Problem(model, data=data, rows="batch", backend="pyro")
    per_row = problem.joints()["model"].log_prob(ppgen.Batch(problem.device(data)))[0]
    torch.testing.assert_close(
        per_row, dist.Normal(0.0, 1.0).log_prob(torch.from_numpy(data["x"])).sum(-1), check_stride=False
    )
    with pytest.raises(ProgramError, match=r"rows='"):
        ppgen.fit(model, data=data, steps=1, algorithm=ppgen.MaximumLikelihood(), backend="pyro")


def one_by_one(x):
    loc = pyro.param("loc", torch.tensor(0.0))
    for i in pyro.plate("data", len(x)):
        pyro.sample(f"obs_{i}", dist.Normal(loc, 1.0).expand([PIXELS]).to_event(1), obs=x.reshape(-1, PIXELS)[i])


def anew(x):
    net = tnn.Linear(1, PIXELS)
    pyro.module("net", net)
    with pyro.plate("data", len(x)):
        pyro.sample("obs", dist.Normal(net(x.new_ones(1)), 1.0).to_event(1), obs=x.reshape(-1, PIXELS))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (one_by_one, r"'obs_0' of the model is observed inside a loop over the plate 'data'.*with plate\('data'"),
        (anew, r"two torch parameters under the name 'net\$\$\$weight'.*outside the program"),
    ],
    ids=["loop", "network built anew"],
)
def test_mistakes_are_refused(model, said, pictures):
    with pytest.raises(ProgramError, match=said):
        ppgen.fit(model, data={"x": pictures}, algorithm=ppgen.MaximumLikelihood(), backend="pyro", steps=1)


def test_a_plate_without_a_size_has_that_of_the_batch(pictures):
    """`pyro.plate("data")`, as pyro/examples/vae/vae_comparison.py has it."""

    def model(x):
        loc = pyro.param("loc", torch.zeros(PIXELS))
        with pyro.plate("data"):
            pyro.sample("obs", dist.Normal(loc.expand(len(x), PIXELS), 1.0).to_event(1), obs=x.reshape(-1, PIXELS))

    fit = ppgen.fit(
        model, data={"x": pictures}, algorithm=ppgen.MaximumLikelihood(), backend="pyro", steps=2, batch_size=10
    )
    expected = dist.Normal(torch.as_tensor(fit.params["loc"]), 1.0).log_prob(
        torch.as_tensor(pictures).reshape(-1, PIXELS)
    )
    assert fit.evaluate({"x": pictures}).nats == pytest.approx(float(expected.sum(-1).mean()), rel=1e-5)


def test_a_loop_over_time_is_legal(pictures):
    """Sequential plates are fine where the rows lie in a plate of their own."""

    def model(x):
        loc = pyro.param("loc", torch.zeros(3))
        for t in pyro.plate("time", 3):
            with pyro.plate("data", len(x)):
                pyro.sample(f"obs_{t}", dist.Normal(loc[t], 1.0).expand([4]).to_event(1), obs=x[:, t])

    fit = ppgen.fit(
        model,
        data={"x": pictures},
        algorithm=ppgen.MaximumLikelihood(),
        backend="pyro",
        steps=200,
        optimizer=ppgen.Adam(0.05),
    )
    np.testing.assert_allclose(fit.params["loc"], pictures.mean((0, 2)), atol=0.02)


@pytest.mark.parametrize("algorithm", [ppgen.ELBO(), ppgen.MaximumLikelihood()], ids=lambda a: type(a).__name__)
def test_dropout_follows_the_seed_and_leaves_torchs_stream_alone(algorithm, pictures):
    torch.manual_seed(0)
    decoder = tnn.Sequential(tnn.Linear(LATENTS, HIDDEN), tnn.Dropout(0.5), tnn.Linear(HIDDEN, PIXELS))
    guide = made("modules").guide if "guide" in algorithm.roles else None

    def model(x):
        pyro.module("decoder", decoder)
        with pyro.plate("data", len(x)):
            z = x.new_ones(len(x), LATENTS)
            if guide is not None:
                z = pyro.sample("latent", dist.Normal(0.0, z).to_event(1))
            pyro.sample("obs", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=x.reshape(-1, PIXELS))

    losses = []
    for _ in range(2):
        torch.rand(5)
        before = torch.get_rng_state()
        fit = ppgen.fit(model, guide, data={"x": pictures}, algorithm=algorithm, backend="pyro", steps=3)
        losses.append(fit.history["loss/model"])
        assert torch.equal(before, torch.get_rng_state())
    np.testing.assert_array_equal(*losses)
    assert len(set(losses[0])) == 3


def test_what_a_reparameterisation_replaces_is_computed():
    """It is no observation; it is there in draws of the model and of the posterior."""
    from pyro.infer.reparam import LocScaleReparam

    def model(x):
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(mu, 2.0))
            pyro.sample("y", dist.Normal(z, 1.0), obs=x)

    data = {"x": np.arange(5, dtype=np.float32)}
    model = pyro.poutine.reparam(model, config={"z": LocScaleReparam(0.0)})
    fit = ppgen.fit(model, ppgen.guides.MeanField(), data=data, backend="pyro", steps=2)
    drawn = fit.posterior(data, draws=3)["posterior"]
    np.testing.assert_allclose(drawn["z"], drawn["mu"] + 2.0 * drawn["z_decentered"], rtol=1e-5)
    assert [site.name for site in fit.problem.model.observed(fit.problem.data)] == ["y"]
    again = fit.sample(data=data)
    np.testing.assert_allclose(again["z"], again["mu"] + 2.0 * again["z_decentered"], rtol=1e-5)
