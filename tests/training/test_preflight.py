"""Mistakes in programs and guides that Pyro or NumPyro let pass in silence: each is refused, and says what to do.

Each test also runs the program without the mistake, so that a check that refuses everything would fail.
"""

import random

import numpy as np
import pytest

import ppgen
from ppgen import dist, module, nn, ops, param, plate, sample
from ppgen.errors import DataError, IllegalPairing, ProgramError, ProgramWarning

ROWS, FEATURES = 7, 4
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, FEATURES)).astype("float32")
Y = RNG.normal(size=ROWS).astype("float32")
ML = ppgen.MaximumLikelihood()


def look(backend, model, guide=None, data=None, algorithm=None, *, full_batch=False, train=None):
    """Preflight alone: nothing is compiled."""
    data = {"x": X} if data is None else data
    problem = ppgen.Problem(model, guide, data=data, backend=backend, full_batch=full_batch)
    return ppgen.Trainer(problem, algorithm, train=train)


def model(rows):
    decoder = module("decoder", nn.MLP(2, 8, FEATURES))
    with plate("data", rows):
        z = sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
        sample("x", dist.Normal(decoder(z), 1.0).to_event(1))


def guide(x):
    encoder = module("encoder", nn.MLP(FEATURES, 8, (2, 2)))
    with plate("data", len(x)):
        loc, log_scale = encoder(x)
        sample("z", dist.Normal(loc, ops.exp(log_scale)).to_event(1))


def regression(rows, x):
    slope = param("slope", np.zeros(FEATURES))
    with plate("data", rows):
        sample("y", dist.Normal((slope * x).sum(-1), 1.0))


def constant(rows):
    with plate("data", rows):
        sample("y", dist.Normal(param("loc", 0.0), 1.0))


@pytest.mark.parametrize("full_batch", [True, False])
def test_correct_programs_pass(backend, full_batch):
    look(backend, model, guide, full_batch=full_batch)
    look(backend, regression, None, {"x": X, "y": Y}, ML, full_batch=full_batch)
    look(backend, constant, None, {"y": Y[:1]}, ML, full_batch=full_batch)


# shapes and plates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("y", [Y[:, None], X[:, :3]], ids=["(N, 1)", "(N, 3)"])
def test_observations_of_another_shape(backend, y):
    with pytest.raises(DataError, match=r"site 'y' .*expected .*shape \(7,\).*got \(7, [13]\)\. Reshape"):
        look(backend, constant, None, {"y": y}, ML)


def test_guide_plate_under_another_name(backend):
    def other(x):
        loc = module("encoder", nn.MLP(FEATURES, 8, 2))(x)
        with plate("batch", len(x)):
            sample("z", dist.Normal(loc, 1.0).to_event(1))

    with pytest.raises(ProgramError, match=r"site 'z' .*\['data'\] of the model.*\['batch'\] of the guide.*Rename"):
        look(backend, model, other)


def test_guide_without_plate(backend):
    def bare(x):
        sample("z", dist.Normal(module("encoder", nn.MLP(FEATURES, 8, 2))(x), 1.0).to_event(1))

    with pytest.raises(
        ProgramError, match=r"site 'z' of the guide .*shape \(7,\).*belongs to no plate.*inside a plate"
    ):
        look(backend, model, bare)


def test_plate_larger_than_its_data(backend):
    def large(rows):
        with plate("data", 100):
            sample("y", dist.Normal(param("loc", 0.0), 1.0))

    def large_with_covariates(x):
        with plate("data", 100):
            sample("y", dist.Normal(x[:, 0] * param("loc", 0.0), 1.0))

    with pytest.raises(
        ProgramError,
        match=r"site 'y' of the model: expected the plate 'data' to have the 7 rows .*got size 100.*plate\(",
    ):
        look(backend, large, None, {"y": Y}, ML)
    with pytest.raises(ProgramError, match=r"the model does not run on a batch of 7 rows.*'y'.*take it from the data"):
        look(backend, large_with_covariates, None, {"y": Y, "x": X}, ML)


@pytest.mark.parametrize("rows", [100, ROWS])
def test_guide_made_for_another_batch_size(backend, rows):
    """Also one that fits the batch preflight looks at, by accident."""

    def by_row(x):
        loc = param("loc", np.zeros((rows, 2)))
        with plate("data", len(x)):
            sample("z", dist.Normal(loc, 1.0).to_event(1))

    def by_plate(x):
        loc = param("loc", np.zeros((rows, 2)))
        with plate("data", rows):
            sample("z", dist.Normal(loc, 1.0).to_event(1))

    by_datum = r"site 'z' of the guide has one value of loc per datum.*\(amortisation\).*leave out batch_size"
    too_long = r"(?s)the guide does not run on a batch of [74] rows.*'z'.*take it from the data"
    with pytest.raises(ProgramError, match=by_datum if rows == ROWS else too_long):
        look(backend, model, by_row)
    too_large = rf"site 'z' of the guide: expected the plate 'data' .*[74] rows.*got size {rows}\. Take"
    with pytest.raises(ProgramError, match=by_datum if rows == ROWS else too_large):
        look(backend, model, by_plate)


def test_sizes_of_its_own_are_fine_on_the_full_data(backend):
    def by_row(x):
        loc = param("loc", np.zeros((ROWS, 2)))
        with plate("data", ROWS):
            sample("z", dist.Normal(loc, 1.0).to_event(1))

    look(backend, model, by_row, full_batch=True)


def test_to_event_forgotten_where_batch_size_equals_the_dimension(backend):
    square = {"x": X[:FEATURES]}

    def forgotten(rows):
        decoder = module("decoder", nn.MLP(FEATURES, 8, FEATURES))
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0).expand([FEATURES]))
            sample("x", dist.Normal(decoder(z), 1.0).to_event(1))

    def encoded(x):
        encoder = module("encoder", nn.MLP(FEATURES, 8, FEATURES))
        with plate("data", len(x)):
            sample("z", dist.Normal(encoder(x), 1.0))

    def remembered(x):
        encoder = module("encoder", nn.MLP(FEATURES, 8, FEATURES))
        with plate("data", len(x)):
            sample("z", dist.Normal(encoder(x), 1.0).to_event(1))

    def unobserved(rows):
        with plate("data", rows):
            sample("x", dist.Normal(param("loc", np.zeros(FEATURES)), 1.0))

    gan = ppgen.GAN(critic=nn.MLP(FEATURES, 8, 1))
    with pytest.raises(ProgramError, match=r"(?s)model does not run on a batch of 2 rows.*'z'.*\.to_event\(1\)"):
        look(backend, forgotten, None, square, gan)
    for full_batch in (True, False):
        with pytest.raises(
            ProgramError, match=r"site 'z' of the guide .*\(4, 4\).*axis -2 .*no plate.*\.to_event\(1\)"
        ):
            look(backend, forgotten, encoded, square, full_batch=full_batch)
        with pytest.raises(ProgramError, match=r"site 'z' .*\(4,\), \(\) in the model.*\(4,\), \(4,\).*\.to_event"):
            look(backend, forgotten, remembered, square, full_batch=full_batch)
        with pytest.raises(DataError, match=r"site 'x' .*expected .*\(4,\).*got \(4, 4\).*event"):
            look(backend, unobserved, None, square, ML, full_batch=full_batch)


def test_event_over_rows(backend):
    def all_rows_one_event(rows):
        z = sample("z", dist.Normal(0.0, 1.0).expand([rows]).to_event(1))
        with plate("data", rows):
            sample("y", dist.Normal(param("slope", 1.0) * z, 1.0))

    def over_rows(y):
        sample("z", dist.Normal(y * param("gain", 1.0), 1.0).to_event(1))

    with pytest.raises(
        ProgramError, match=r"site 'z' of the model .*\(7,\) for 7 rows.*\(4,\) for 4.*plate\('data', rows\)"
    ):
        look(backend, all_rows_one_event, over_rows, {"y": Y})


def test_observed_site_outside_the_rows(backend):
    def all_rows_one_event(rows):
        sample("y", dist.Normal(param("loc", 0.0), 1.0).expand([rows]).to_event(1))

    with pytest.raises(ProgramError, match=r"site 'y' .*expected it in the plate 'data'; got plates \[\]\. Put it in"):
        look(backend, all_rows_one_event, None, {"y": Y}, ML)


def test_critic_gives_one_number_a_row(backend):
    def critic(x):
        return module("critic", nn.MLP(FEATURES, 8, 1))(x)

    look(backend, model, None, None, ppgen.GAN(critic=lambda x: critic(x)[..., 0]))
    with pytest.raises(
        ProgramError, match=r"the critic .*one number a row, shape \(7,\); got shape \(7, 1\).*\[\.\.\., 0\]"
    ):
        look(backend, model, None, None, ppgen.GAN(critic=critic))


# supports and sites ---------------------------------------------------------------------------------------------


def scale_model(rows):
    with plate("data", rows):
        scale = sample("s", dist.HalfNormal(1.0))
        sample("y", dist.Normal(param("loc", 0.0), scale))


def location_model(rows):
    with plate("data", rows):
        loc = sample("s", dist.Normal(0.0, 1.0))
        sample("y", dist.Normal(loc, 1.0))


def guided_by(make):
    def guide(y):
        a = param("a", 1.0, "positive")
        with plate("data", len(y)):
            sample("s", make(a))

    return guide


@pytest.mark.parametrize(
    ("program", "make", "message"),
    [
        (scale_model, lambda a: dist.Normal(a, 1.0), r"expected .*reals in \[0, inf\]; got the reals\. Use"),
        (scale_model, lambda a: dist.Beta(a, 1.0), r"expected .*reals in \[0, inf\]; got reals in \[0, 1\]\. Use"),
        (location_model, lambda a: dist.Beta(a, 1.0), r"expected .*the reals; got reals in \[0, 1\]\. Use"),
        (location_model, lambda a: dist.LogNormal(a, 1.0), r"expected .*the reals; got reals in \[0, inf\]\. Use"),
    ],
    ids=["Normal for HalfNormal", "Beta for HalfNormal", "Beta for Normal", "LogNormal for Normal"],
)
def test_guide_with_another_support(backend, program, make, message):
    with pytest.raises(ProgramError, match=r"site 's'.*" + message):
        look(backend, program, guided_by(make), {"y": Y})


@pytest.mark.parametrize(
    ("program", "make"),
    [
        (scale_model, lambda a: dist.LogNormal(a, 1.0)),
        (scale_model, lambda a: dist.Gamma(a, 1.0)),
        (scale_model, lambda a: dist.Delta(a)),  # a MAP estimate
        (location_model, lambda a: dist.StudentT(5.0, a, 1.0)),
    ],
    ids=["LogNormal for HalfNormal", "Gamma for HalfNormal", "Delta for HalfNormal", "StudentT for Normal"],
)
def test_guide_with_the_same_support(backend, program, make):
    look(backend, program, guided_by(make), {"y": Y})


def test_nothing_observed(backend):
    with pytest.raises(
        ProgramError, match=r"no site of the model is observed: expected .*\['y'\]; got \['x'\]\. Name the data after"
    ):
        look(backend, regression, None, {"x": X}, ML)


def test_entry_that_no_program_uses(backend):
    with pytest.raises(DataError, match=r"entry 'labels' that no program uses; expected .*\['x', 'z'\]\. Rename"):
        look(backend, model, guide, {"x": X, "labels": Y})


def test_misspelt_key(backend):
    with pytest.raises(DataError, match=r"entry 'Y' that no program uses; expected .*'x', 'y'.*Rename"):
        look(backend, regression, None, {"x": X, "Y": Y}, ML)


def test_missing_entry(backend):
    with pytest.raises(DataError, match=r"the model takes an argument 'x' .*\['y'\]\. Add 'x' to the data"):
        look(backend, regression, None, {"y": Y}, ML)
    with pytest.raises(DataError, match=r"the guide takes an argument 'x' .*\['X'\]\. Add 'x' to the data"):
        look(backend, model, guide, {"X": X})


def test_guide_misses_a_site(backend):
    def empty(x):
        param("unused", 0.0)

    with pytest.raises(
        ProgramError, match=r"the guide misses latent site \['z'\] of the model; got \[\]\. Sample them"
    ):
        look(backend, model, empty)


def test_guide_has_a_site_too_many(backend):
    def more(x):
        guide(x)
        with plate("data", len(x)):
            sample("w", dist.Normal(param("b", 0.0), 1.0))

    with pytest.raises(ProgramError, match=r"the guide samples a site 'w' .*expected \['z'\]\. Remove it or rename it"):
        look(backend, model, more)


def test_guide_samples_an_observed_site(backend):
    """It is given there, and fits the model's site as any other."""

    def generous(scale):
        def program(x):
            guide(x)
            with plate("data", len(x)):
                sample("x", scale(param("b", np.zeros(FEATURES))).to_event(1))

        return program

    look(backend, model, generous(lambda b: dist.Normal(b, 1.0)))
    with pytest.raises(ProgramError, match=r"site 'x': expected the guide's support to be the model's, the reals"):
        look(backend, model, generous(lambda b: dist.LogNormal(b, 1.0)))


def test_two_sites_of_one_name(backend):
    def twice(rows):
        constant(rows)
        constant(rows)

    with pytest.raises(ProgramError, match=r"two sites called 'y'; expected a name for each\. Number them"):
        look(backend, twice, None, {"y": Y}, ML)


# parameters and networks ----------------------------------------------------------------------------------------


def with_parameters(*statements):
    """A model whose parameters all take part."""

    def program(rows):
        total = sum(ops.sum(statement()) for statement in statements)
        with plate("data", rows):
            sample("y", dist.Normal(total, 1.0))

    return program


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda: param("a", np.zeros(2)), r"expected shape \(\) .*got shape \(2,\).*Give each its own name"),
        (
            lambda: param("a", 1.0, "positive"),
            r"expected .*the reals.*got .*reals in \[0, inf\].*Give each its own name",
        ),
        (lambda: param("a", 5.0), r"got shape \(\) in the reals, starting elsewhere\. Give each its own name"),
    ],
    ids=["shape", "constraint", "initial value"],
)
def test_one_parameter_name_with_two_meanings(backend, second, message):
    look(backend, with_parameters(lambda: param("a", 1.0), lambda: param("a", 1.0)), None, {"y": Y}, ML)
    with pytest.raises(ProgramError, match=r"the model uses the parameter name 'a' with two meanings: .*" + message):
        look(backend, with_parameters(lambda: param("a", 1.0), second), None, {"y": Y}, ML)


@pytest.mark.parametrize(
    ("in_guide", "message"),
    [
        (lambda: param("a", np.zeros(2)), r"expected shape \(\) .*got shape \(2,\).*Give each its own name"),
        (
            lambda: param("a", 1.0, "positive"),
            r"expected .*the reals.*got .*reals in \[0, inf\].*Give each its own name",
        ),
        (lambda: param("a", 5.0), r"got shape \(\) in the reals, starting elsewhere.*Give each its own name"),
    ],
    ids=["shape", "constraint", "initial value"],
)
def test_one_parameter_name_with_two_meanings_across_programs(backend, in_guide, message):
    def shares(rows):
        with plate("data", rows):
            s = sample("s", dist.Normal(param("a", 1.0), 1.0))
            sample("y", dist.Normal(s, 1.0))

    def guide_with(statement):
        def guide(y):
            with plate("data", len(y)):
                sample("s", dist.Normal(ops.sum(statement()), 1.0))

        return guide

    look(backend, shares, guide_with(lambda: param("a", 1.0)), {"y": Y})
    with pytest.raises(
        ProgramError, match=r"model and the guide use the parameter name 'a' with two meanings.*" + message
    ):
        look(backend, shares, guide_with(in_guide), {"y": Y})


def test_one_module_name_for_two_networks(backend):
    def two(first, second):
        def program(rows, x):
            loc = module("net", first)(x) + module("net", second)(x)
            with plate("data", rows):
                sample("y", dist.Normal(loc[..., 0], 1.0))

        return program

    look(backend, two(nn.MLP(FEATURES, 8, 1), nn.MLP(FEATURES, 8, 1)), None, {"x": X, "y": Y}, ML)
    with pytest.raises(
        ProgramError, match=r"(?s)the name 'net' for two different networks:.*8.*9.*Give each its own name"
    ):
        look(backend, two(nn.MLP(FEATURES, 8, 1), nn.MLP(FEATURES, 9, 1)), None, {"x": X, "y": Y}, ML)


def test_one_module_name_in_model_and_guide(backend):
    def clashing(x):
        encoder = module("decoder", nn.MLP(FEATURES, 8, (2, 2)))
        with plate("data", len(x)):
            loc, log_scale = encoder(x)
            sample("z", dist.Normal(loc, ops.exp(log_scale)).to_event(1))

    with pytest.raises(
        ProgramError, match=r"'decoder\.0\.weight'; expected one network .*got two\. Give each its own name"
    ):
        look(backend, model, clashing)


def own_network(backend):
    """A network of the backend's own library, from FEATURES to 1, and how a program calls it on rows."""
    if backend == "pyro":
        import torch

        net = torch.nn.Sequential(torch.nn.Linear(FEATURES, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
        return net, lambda net, x: net(x)
    import equinox
    import jax

    return equinox.nn.MLP(FEATURES, 1, 8, 1, key=jax.random.key(0)), lambda net, x: jax.vmap(net)(x)


def test_networks_of_one_architecture_in_model_and_guide(backend):
    (net, call), (other, _) = own_network(backend), own_network(backend)

    def model(rows, x):
        with plate("data", rows):
            s = sample("s", dist.Normal(call(module("net", net), x)[..., 0], 1.0))
            sample("y", dist.Normal(s, 1.0))

    def guide_with(network):
        def guide(x):
            with plate("data", len(x)):
                sample("s", dist.Normal(call(module("net", network), x)[..., 0], 1.0))

        return guide

    look(backend, model, guide_with(net), {"x": X, "y": Y})
    with pytest.raises(
        ProgramError, match=r"a parameter 'net\..*expected one network for one name; got two\. Give each"
    ):
        look(backend, model, guide_with(other), {"x": X, "y": Y})


def test_two_networks_of_one_architecture_under_one_name(backend):
    """They are told apart by identity: each has weights of its own."""
    (net, call), (other, _) = own_network(backend), own_network(backend)

    def program(first, second):
        def run(rows, x):
            loc = call(module("net", first), x) + call(module("net", second), x)
            with plate("data", rows):
                sample("y", dist.Normal(loc[..., 0], 1.0))

        return run

    look(backend, program(net, net), None, {"x": X, "y": Y}, ML)
    with pytest.raises(ProgramError, match=r"(?s)the name 'net' for two different networks.*built once"):
        look(backend, program(net, other), None, {"x": X, "y": Y}, ML)


def test_network_never_registered(backend):
    net, call = own_network(backend)
    other, _ = own_network(backend)

    def registered(rows, x):
        loc = call(module("net", net), x)
        with plate("data", rows):
            sample("y", dist.Normal(loc[..., 0], 1.0))

    def forgotten(rows, x):
        loc = call(net, x)
        with plate("data", rows):
            sample("y", dist.Normal(loc[..., 0], 1.0))

    def one_of_two(rows, x):
        loc = call(module("other", other), x) + call(net, x)
        with plate("data", rows):
            sample("y", dist.Normal(loc[..., 0], 1.0))

    class Holder:
        def __init__(self):
            self.net = net

        def model(self, rows, x):
            loc = param("a", 0.0) + call(self.net, x)
            with plate("data", rows):
                sample("y", dist.Normal(loc[..., 0], 1.0))

    data = {"x": X, "y": Y}
    look(backend, registered, None, data, ML)
    for program in (forgotten, one_of_two, Holder().model):
        with pytest.raises(
            ProgramError, match=r"network 'net' .*never learn; expected module\('net', net\) .*Register it"
        ):
            look(backend, program, None, data, ML)


def test_network_never_registered_in_a_guide(backend):
    net, call = own_network(backend)

    def unregistered(x):
        with plate("data", len(x)):
            loc = call(net, x) * param("a", np.ones(2))
            sample("z", dist.Normal(loc, 1.0).to_event(1))

    with pytest.raises(ProgramError, match=r"the guide uses .*network 'net' .*never learn"):
        look(backend, model, unregistered)


def test_frozen_torch_network_is_no_mistake():
    net, _ = own_network("pyro")
    net.requires_grad_(False)

    def features(rows, x):
        loc = param("a", 1.0) * net(x)[..., 0]
        with plate("data", rows):
            sample("y", dist.Normal(loc, 1.0))

    look("pyro", features, None, {"x": X, "y": Y}, ML)


def test_preflight_leaves_torch_networks_as_they_were():
    import pyro

    net, _ = own_network("pyro")
    before = [p.detach().clone() for p in net.parameters()]

    def native(x, y):
        pyro.module("net", net)
        with pyro.plate("data", len(x)):
            pyro.sample("y", pyro.distributions.Normal(net(x)[..., 0], 1.0), obs=y)

    look("pyro", native, None, {"x": X, "y": Y}, ML)
    with pytest.raises(DataError):
        look("pyro", native, None, {"x": X, "y": Y, "z": Y}, ML)
    for p, old in zip(net.parameters(), before, strict=True):
        assert p.requires_grad and bool((p == old).all())


def test_role_without_parameters(backend):
    def fixed(rows):
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0))
            sample("y", dist.Normal(z, 1.0))

    def fixed_guide(y):
        with plate("data", len(y)):
            sample("z", dist.Normal(y / 2, 0.7))

    def learned_guide(y):
        with plate("data", len(y)):
            sample("z", dist.Normal(y * param("gain", 0.0), 0.7))

    look(backend, fixed, learned_guide, {"y": Y})  # one of the two may be fixed
    with pytest.raises(ProgramError, match=r"expected the model or the guide to have parameters.*got none\. Register"):
        look(backend, fixed, fixed_guide, {"y": Y})
    with pytest.raises(ProgramError, match=r"expected the guide to have parameters.*got none\. Register"):
        look(
            backend,
            scale_model,
            half_fixed,
            {"y": Y},
            train=("guide",),
        )
    with pytest.raises(IllegalPairing, match=r"the model has no parameters, so there is nothing to learn"):
        look(backend, fixed, None, {"y": Y}, ppgen.GAN(critic=nn.MLP(1, 8, 1)))
    with pytest.raises(ProgramError, match=r"expected the critic to have parameters.*got none\. Register"):
        look(backend, location_with_parameter, None, {"y": Y}, ppgen.GAN(critic=lambda y: y))


def half_fixed(y):
    with plate("data", len(y)):
        sample("s", dist.LogNormal(0.0, 1.0))


def location_with_parameter(rows):
    with plate("data", rows):
        sample("y", dist.Normal(param("loc", 0.0), 1.0))


def test_native_program_asks_again_for_a_parameter(backend):
    """Without an initial value the first one counts, in its own constraint; another initial shape is a mistake."""

    def numpyro_model(again):
        import numpyro

        def native(y):
            first, second = (
                numpyro.param("s", 2.0, constraint=numpyro.distributions.constraints.positive),
                again(numpyro),
            )
            with numpyro.plate("rows", len(y)):
                numpyro.sample("y", numpyro.distributions.Normal(0.0, (first * second).sum()), obs=y)

        return native

    def pyro_model(again):
        import pyro
        import torch

        def native(y):
            first = pyro.param("s", torch.tensor(2.0), constraint=pyro.distributions.constraints.positive)
            second = again(pyro)
            with pyro.plate("rows", len(y)):
                pyro.sample("y", pyro.distributions.Normal(0.0, (first * second).sum()), obs=y)

        return native

    def other_shape(library):
        return library.param("s", ppgen.backends.get(backend).array(np.ones(3, "float32")))

    make = {"numpyro": numpyro_model, "pyro": pyro_model}[backend]
    trainer = look(backend, make(lambda library: library.param("s")), None, {"y": Y}, ML)
    loss = trainer.losses(trainer.init(), {"y": Y})["model"]
    assert float(loss) == pytest.approx(np.log(4 * np.sqrt(2 * np.pi)) + (Y**2).mean() / 32, rel=1e-5)
    with pytest.raises(ProgramError, match=r"'s' with two meanings: .*got shape \(3,\)"):
        look(backend, make(other_shape), None, {"y": Y}, ML)


# randomness and earlier fits ------------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [random.random, np.random.normal, np.random.rand], ids=["random", "normal", "rand"])
def test_python_randomness_in_a_compiled_program(draw):
    def noisy(rows):
        with plate("data", rows):
            sample("y", dist.Normal(param("loc", 0.0) + float(draw()), 1.0))

    for _ in range(2):  # NumPy's normals come in pairs, the second from memory
        with pytest.raises(
            ProgramError, match=r"the model draws from Python's or NumPy's own generator.*ppgen\.sample"
        ):
            look("numpyro", noisy, None, {"y": Y}, ML)


def test_python_randomness_in_an_eager_program():
    def noisy(rows):
        with plate("data", rows):
            sample("y", dist.Normal(param("loc", 0.0) + random.random(), 1.0))

    with pytest.warns(ProgramWarning, match=r"draws from .*own generator, which the seed of the fit does not govern"):
        look("pyro", noisy, None, {"y": Y}, ML)


def test_fits_share_nothing(backend):
    """The second of two fits starts afresh: from the seed, not from what the first one learned."""
    settings = dict(data={"x": X}, backend=backend, steps=3, batch_size=4, seed=3)
    first = ppgen.fit(model, guide, **settings)
    ppgen.fit(model, guide, **(settings | {"seed": 4}))
    second = ppgen.fit(model, guide, **settings)
    assert first.params.keys() == second.params.keys()
    for name, value in first.params.items():
        np.testing.assert_array_equal(value, second.params[name], err_msg=name)
    assert any((value != start).any() for value, start in zip(first.params.values(), initial(backend), strict=True))


def initial(backend):
    trainer = look(backend, model, guide)
    return trainer.problem.export(trainer.problem.initial(seed=3)).values()


def test_nothing_passes_through_pyros_store():
    """A native program's parameters neither come from Pyro's global store nor stay there."""
    import pyro
    import torch

    def native(y):
        loc = pyro.param("loc", torch.zeros(()))
        with pyro.plate("data", len(y)):
            pyro.sample("y", pyro.distributions.Normal(loc, 1.0), obs=y)

    pyro.clear_param_store()
    clean = ppgen.fit(native, data={"y": Y}, algorithm=ML, backend="pyro", steps=2)
    assert not list(pyro.get_param_store())
    pyro.param("loc", torch.tensor(100.0))
    try:
        stale = ppgen.fit(native, data={"y": Y}, algorithm=ML, backend="pyro", steps=2)
        assert pyro.param("loc").item() == 100.0
    finally:
        pyro.clear_param_store()
    np.testing.assert_array_equal(clean.params["loc"], stale.params["loc"])


def test_minibatches_weigh_global_sites_by_themselves(backend):
    """The mean loss over the minibatches of an epoch is the loss of the full data: no N/B scale to forget."""

    def bayesian(rows):
        loc = sample("loc", dist.Normal(0.0, 1.0))
        with plate("data", rows):
            sample("y", dist.Normal(loc, 1.0))

    def point(rows):
        sample("loc", dist.Delta(param("m", 0.5)))

    y = np.concatenate([Y, Y + 1, Y - 2, Y * 3]).astype("float32")
    trainer = ppgen.Trainer(ppgen.Problem(bayesian, point, data={"y": y[:ROWS]}, backend=backend, size=len(y)))
    state = trainer.init()
    full = float(trainer.losses(state, {"y": y})["model"])
    parts = [float(trainer.losses(state, {"y": y[i : i + ROWS]})["model"]) for i in range(0, len(y), ROWS)]
    assert np.mean(parts) == pytest.approx(full, rel=1e-5)
    assert abs(parts[0] - full) > 0.01
