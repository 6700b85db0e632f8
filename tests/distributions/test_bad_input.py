"""What is wrong with contexts, data and arguments is said: what was expected, what came, and what to do."""

import numpy as np
import pytest

import ppgen
from ppgen import dist, module, nn, ops, plate, sample
from ppgen.distributions import (
    FVSBN,
    MADE,
    NADE,
    DeepNADE,
    Flow,
    GaussianMixture,
    Glow,
    HiddenMarkov,
    MarkovChain,
    Mixture,
    Recurrent,
    StandardNormal,
    StandardUniform,
    flows,
)
from ppgen.distributions.autoregressive import conditionals
from ppgen.errors import DataError, NonFiniteError, ProgramError

ROWS = 4
BITS = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 1], [0, 0, 1]], np.float32)
NUMBERS = np.random.default_rng(0).normal(size=(ROWS, 3)).astype(np.float32)
COVARIATES = np.random.default_rng(1).normal(size=(ROWS, 2)).astype(np.float32)


def observing(entry, call):
    def model(rows, c=None):
        learned = module("density", entry)
        with plate("data", rows):
            sample("x", call(learned, c))

    return model


def look(entry, x, backend, call=lambda learned, c: learned(), **more):
    """What `ppgen.fit` does before the first step, and the trainer."""
    problem = ppgen.Problem(observing(entry, call), data={"x": x, **more}, backend=backend)
    return ppgen.Trainer(problem, ppgen.MaximumLikelihood())


def on(backend, entry, context=None):
    """The distribution of the backend at its first parameters."""
    arrays = ppgen.backends.get(backend)
    params = {path: arrays.array(value) for path, value in entry.init().items()}
    with ppgen.using(backend):
        return entry.apply(params, context)


# contexts ----------------------------------------------------------------------------------------------------------

CONTEXTS = {
    "missing": (2, lambda learned, c: learned(), r"whose last axis has size 2 for MADE.*; got none\. Call it with one"),
    "size": (3, lambda learned, c: learned(c), r"a last axis of size 3 for MADE.*got a context of shape \(4, 2\)"),
    "number": (2, lambda learned, c: learned(1.0), r"a last axis of size 2 for MADE.*got a context of shape \(\)"),
    "unexpected": (0, lambda learned, c: learned(c), r"no context \(build it with context=\.\.\.\) for MADE.*shape \(4, 2\)"),
}  # fmt: skip


@pytest.mark.parametrize(("context", "call", "message"), CONTEXTS.values(), ids=CONTEXTS)
def test_contexts_that_do_not_fit(context, call, message, backend):
    with pytest.raises(ProgramError, match=rf"the model does not run.*{message}.*\(at module 'density'"):
        look(MADE(3, hidden=(4,), context=context), BITS, backend, call, c=COVARIATES)


def test_a_context_of_other_rows(backend):
    with pytest.raises(ProgramError, match=r"the model does not run on a batch of 4 rows.*\(at site 'x'\)"):
        look(MADE(3, hidden=(4,), context=2), BITS, backend, lambda learned, c: learned(ops.zeros([3, 2])))


def test_a_guide_whose_context_does_not_fit(backend):
    """At a latent site too, and the message names the role."""

    def model(rows):
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
            sample("x", dist.Normal(z[..., 0], 1.0))

    def guide(x):
        with plate("data", len(x)):
            sample("z", module("posterior", flows.IAF(2, 1, (4,), context=3))(x[..., None]))

    with pytest.raises(
        ProgramError, match=r"(?s)the guide does not run.*of size 3.*shape \(4, 1\) \(at module 'posterior'"
    ):
        ppgen.Problem(model, guide, data={"x": NUMBERS[:, 0]}, backend=backend)


@pytest.mark.parametrize(
    "entry", [MADE(3, hidden=(4,), context=2), flows.RealNVP(3, 1, (4,), context=2)], ids=["made", "flow"]
)
def test_contexts_of_other_kinds_are_read_as_numbers(entry, backend):
    """Integers, lists, NumPy's float64 become numbers of the type of the parameters."""
    array = ppgen.backends.get(backend).array
    for context in (np.array([1, 0]), [1, 0], [1.0, 0.0], np.array([1.0, 0.0]), array(np.array([1, 0]))):
        read = on(backend, entry, context).context
        assert str(read.dtype).endswith("float32")
        assert read.tolist() == [1, 0]
    log_prob = on(backend, entry, [1, 0]).log_prob(array(BITS))
    assert log_prob.shape == (ROWS,)


# sites -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda learned, c: learned, r"site 'x': expected a distribution.*got <function.*when it is called"),
        (lambda learned, c: MADE(3, hidden=(4,)), r"site 'x': expected a distribution.*got MADE\(.*module\('flow', flow\)"),
    ],
    ids=["module", "learnable"],
)  # fmt: skip
def test_a_distribution_that_was_not_called(call, message, backend):
    with pytest.raises(ProgramError, match=message):
        look(MADE(3, hidden=(4,)), BITS, backend, call)


@pytest.mark.parametrize("shape", [(ROWS, 2), (ROWS,), (ROWS, 2, 3)], ids=str)
def test_events_of_another_shape(shape, backend):
    with pytest.raises(
        DataError, match=r"site 'x'.*expected observations of shape \(4, 3\).*got \(4.*Reshape the data"
    ):
        look(MADE(3, hidden=(4,)), np.ones(shape, np.float32), backend)


@pytest.mark.parametrize(
    "entry", [MADE(3), NADE(3, 4), StandardNormal(3), flows.MAF(3, 1, (4,)), HiddenMarkov(3, 2)], ids=str
)
def test_a_density_of_events_of_another_shape(entry, backend):
    x = ppgen.backends.get(backend).array(np.ones((ROWS, 2), np.float32))
    with pytest.raises(ValueError, match=r"(?s)expected values whose last axes are \(3,\).*got shape \(4, 2\)"):
        on(backend, entry).log_prob(x)


def test_an_empty_batch(backend):
    with pytest.raises(DataError, match="expected at least one row; got an empty batch"):
        look(MADE(3, hidden=(4,)), BITS[:0], backend)
    log_prob = on(backend, MADE(3, hidden=(4,))).log_prob(ppgen.backends.get(backend).array(BITS[:0]))
    assert log_prob.shape == (0,)


# data and supports -------------------------------------------------------------------------------------------------

POSITIVE = Flow(StandardNormal(3), (flows.LU(3), flows.Softplus()))
UNIT = Flow(StandardNormal(3), (flows.LU(3), flows.Sigmoid()))
BETWEEN = Flow(StandardNormal(3), (flows.LU(3), flows.Sigmoid(), flows.AffineConstant(-1.0, 3.0)))
CLASSES = MADE(3, hidden=(4,), conditional=conditionals.Categorical(3))
LEVELS = MADE(3, hidden=(4,), conditional=conditionals.DiscretisedLogistics(2, 4))
OUTSIDE = {
    "2 for a bit": (MADE(3, hidden=(4,)), BITS + 1, r"\{0, 1\}; got 2.*Recode the labels as 0 and 1"),
    "half a bit": (MADE(3, hidden=(4,)), BITS / 2, r"\{0, 1\}; got 0\.5"),
    "class too large": (CLASSES, BITS + 2, r"integers in \[0, 2\]; got 3 in rows.*Number the classes 0 to 2"),
    "negative class": (CLASSES, BITS - 1, r"integers in \[0, 2\]; got -1"),
    "half a class": (CLASSES, BITS / 2, r"integers in \[0, 2\]; got 0\.5"),
    "symbol too large": (MarkovChain(3, 2), BITS + 1, r"integers in \[0, 1\]|\{0, 1\}"),
    "level too large": (LEVELS, BITS + 3, r"integers in \[0, 3\]; got 4"),
    "negative": (POSITIVE, NUMBERS, r"reals in \[0, inf\]; got -.*Rescale or round the data, or use a likelihood"),
    "above 1": (UNIT, BITS + 0.5, r"reals in \[0, 1\]; got 1\.5"),
    "outside of an interval": (BETWEEN, BITS + 1.5, r"reals in \[-1, 2\]; got 2\.5"),
}


@pytest.mark.parametrize(("entry", "x", "message"), OUTSIDE.values(), ids=OUTSIDE)
def test_data_outside_of_the_support(entry, x, message, backend):
    with pytest.raises(DataError, match=rf"entry 'x'.*outside the support of site 'x': expected {message}"):
        look(entry, x, backend)


@pytest.mark.parametrize(("entry", "edge"), [(POSITIVE, 0), (UNIT, 1)], ids=["positive", "unit"])
def test_data_on_the_edge_of_an_open_support(entry, edge, backend):
    """The density there is 0: training stops, and says in which rows and what to do."""
    x = np.full((ROWS, 3), 0.5, np.float32)
    x[2, 1] = edge
    message = (
        r"log density of site 'x'.*not finite in row 2, which have values on the edge of its support.*move them inside"
    )
    with pytest.raises(NonFiniteError, match=message) as caught:
        ppgen.fit(
            observing(entry, lambda learned, c: learned()), data={"x": x}, algorithm=ppgen.MaximumLikelihood(), steps=1,
            backend=backend,
        )  # fmt: skip
    assert set(caught.value.fit.params) == {"density.0.matrix", "density.0.shift"}


WHOLE = {
    "integers for numbers": (flows.RealNVP(3, 1, (4,)), BITS.astype(int)),
    "truth values for numbers": (GaussianMixture(3, 2), BITS.astype(bool)),
    "integers for bits": (MADE(3, hidden=(4,)), BITS.astype(np.uint8)),
    "floats for classes": (CLASSES, BITS + 1),
    "float64 for symbols": (MarkovChain(3, 2), BITS.astype(np.float64)),
}


@pytest.mark.parametrize(("entry", "x"), WHOLE.values(), ids=WHOLE)
def test_whole_numbers_of_any_type(entry, x, backend):
    """They are taken for what the site needs: the density is that of the same numbers in float32."""
    trainer = look(entry, x, backend)
    state = trainer.init()
    params = {path: trainer.backend.numpy(state.parameters[f"density.{path}"]) for path in entry.specs()}
    expected = -np.asarray(entry.apply(params).log_prob(x.astype(np.float32))).mean()
    assert float(trainer.losses(state, {"x": x})["model"]) == pytest.approx(float(expected), rel=1e-5)


# arguments ---------------------------------------------------------------------------------------------------------

COUPLING_OF_ONE = r"at least two dimensions.*got dim=1.*Use AutoregressiveTransform\(1\)"
POSITIVE_SIZE = "to be a positive integer; got"
ARGUMENTS = {
    # orders
    "order twice": (lambda: MADE(3, order=(0, 1, 1)), r"permutation of 0\.\.2; got \(0, 1, 1\)"),
    "order too short": (lambda: FVSBN(3, order=(0, 1)), r"permutation of 0\.\.2; got \(0, 1\)"),
    "order from 1": (lambda: NADE(3, order=(1, 2, 3)), r"permutation of 0\.\.2; got \(1, 2, 3\)"),
    "order of a transform": (lambda: flows.AutoregressiveTransform(2, order=(1, 1)), r"permutation of 0\.\.1; got \(1, 1\)"),
    "order of floats": (lambda: MADE(3, order=(0.0, 1.0, 2.0)), r"MADE: expected an order.*got \(0\.0, .*Write order="),
    "order by name": (lambda: DeepNADE(3, order="reverse"), r"DeepNADE: expected an order.*got 'reverse'"),
    "permutation": (lambda: flows.Permutation((1, 2)), r"each of 0\.\.1 once; got \(1, 2\)"),
    "permutation of floats": (lambda: flows.Permutation((0.5, 1.2)), r"Permutation: expected an order.*got \(0\.5, 1\.2\)"),
    # dimensions
    "no dimension": (lambda: MADE(0), f"MADE: expected dim {POSITIVE_SIZE} 0"),
    "negative dimension": (lambda: NADE(-1), f"NADE: expected dim {POSITIVE_SIZE} -1"),
    "dimension 2.5": (lambda: flows.MAF(2.5), f"expected dim {POSITIVE_SIZE} 2.5"),
    "no length": (lambda: Recurrent(0), f"Recurrent: expected length {POSITIVE_SIZE} 0"),
    "no length of a chain": (lambda: MarkovChain(0, 2), f"MarkovChain: expected length {POSITIVE_SIZE} 0"),
    "event of no size": (lambda: StandardNormal(0), f"StandardNormal: expected each of event_shape {POSITIVE_SIZE} 0"),
    "event of a negative size": (lambda: StandardUniform(3, -1), f"expected each of event_shape {POSITIVE_SIZE} -1"),
    "coupling of one": (lambda: flows.Coupling(1), COUPLING_OF_ONE),
    "RealNVP of one": (lambda: flows.RealNVP(1), COUPLING_OF_ONE),
    "NICE of one": (lambda: flows.NICE(1), COUPLING_OF_ONE),
    "odd sides": (lambda: Glow((1, 5, 4), levels=1), r"sides can be halved.*got shape \(1, 5, 4\) and 1 levels\. Pad or crop"),
    "too many levels": (lambda: Glow((1, 4, 4), levels=3), r"got shape \(1, 4, 4\) and 3 levels.*use fewer levels"),
    # networks
    "hidden layer of 0": (lambda: MADE(3, hidden=(0,)), f"MADE: expected each of hidden {POSITIVE_SIZE} 0"),
    "hidden layer of -1": (lambda: flows.MAF(3, hidden=(-1,)), f"expected each of hidden {POSITIVE_SIZE} -1"),
    "hidden block of 0": (lambda: flows.RealNVP(3, hidden=(8, 0)), f"Coupling: expected each of hidden {POSITIVE_SIZE} 0"),
    "hidden units, none": (lambda: NADE(3, hidden=0), f"NADE: expected hidden {POSITIVE_SIZE} 0"),
    "state of no size": (lambda: Recurrent(3, hidden=0), f"expected hidden {POSITIVE_SIZE} 0"),
    "hidden no tuple": (lambda: MADE(3, hidden=16), r"MADE: expected hidden to be a tuple.*got 16\. Write hidden=\(20,\)"),
    "blocks no tuple": (lambda: flows.NSF(3, hidden=16), r"Coupling: expected hidden to be a tuple.*got 16"),
    "channels no tuple": (lambda: Glow((1, 4, 4), 1, 1, 8), r"ChannelCoupling: expected hidden to be a tuple.*got 8"),
    "negative context": (lambda: MADE(3, context=-1), "MADE: expected context to be 0 or a positive integer; got -1"),
    "half a context": (lambda: flows.Coupling(3, context=1.5), "Coupling: expected context to be 0 or .*; got 1.5"),
    "context of a mixture": (lambda: GaussianMixture(2, 2, context=-1), "expected context to be 0 or .*; got -1"),
    # choices
    "method": (lambda: MADE(3, method="fast"), r"MADE: expected a method.*\('incremental', 'jacobi', 'naive'\); got 'fast'"),
    "method of a chain": (lambda: MarkovChain(3, 2, method="fast"), "MarkovChain: expected a method.*got 'fast'"),
    "method of a flow": (lambda: flows.IAF(3, method="fast"), "expected a method.*got 'fast'"),
    "conditional, its class": (lambda: MADE(3, conditional=conditionals.Gaussian), "expected conditional to be a Conditional"),
    "conditional by name": (lambda: NADE(3, conditional="bits"), r"conditional.*conditionals\.Gaussian\(\); got 'bits'"),
    "bijection by name": (lambda: flows.Coupling(3, "affine"), r"expected bijection.*flows\.Affine\(\); got 'affine'"),
    # parts of a flow
    "discrete base": (lambda: Flow(MADE(3), (flows.LU(3),)), r"expected a continuous base; got MADE.*of support 'boolean'"),
    "base of classes": (lambda: flows.MAF(3, base=MarkovChain(3, 2)), "expected a continuous base; got MarkovChain"),
    "base of another size": (lambda: flows.MAF(3, base=StandardNormal(2)), r"event shape \(3,\).*got StandardNormal\(2\)"),
    "base, its class": (lambda: Flow(StandardNormal, (flows.LU(3),)), "Flow: expected the base to be a Learnable.*got <class"),
    "no transforms": (lambda: Flow(StandardNormal(2), ()), "at least one transform; got none"),
    "one transform": (lambda: Flow(StandardNormal(2), flows.LU(2)), r"a tuple of transforms; got LU\(dim=2\)\. Write"),
    "transform, its class": (lambda: Flow(StandardNormal(2), (flows.LU,)), "expected each part to be a Transform.*got <class"),
    "network for a transform": (lambda: Flow(StandardNormal(2), (nn.MLP(2, 2),)), "to be a Transform.*got MLP"),
    "dimensions of parts": (lambda: flows.Compose((flows.LU(2), flows.LU(3))), r"one length of events; got \[2, 3\]"),
    "contexts of parts": (
        lambda: flows.Compose((flows.Coupling(2, context=1), flows.Coupling(2, context=2))),
        r"one size of contexts; got \[1, 2\]",
    ),
    "supports of a mixture": (lambda: Mixture((MADE(3), StandardNormal(3))), r"one support; got \['boolean', 'real'\]"),
    "numbers in a mixture": (lambda: Mixture((1, 2)), "each component to be a Learnable.*got 1"),
}  # fmt: skip


@pytest.mark.parametrize(("build", "message"), ARGUMENTS.values(), ids=ARGUMENTS)
def test_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_lists_and_arrays_are_tuples():
    """They make the same distribution, which hashes."""
    assert MADE(3, hidden=[4], order=np.array([2, 0, 1])) == MADE(3, hidden=(4,), order=(2, 0, 1))
    assert hash(flows.Coupling(3, hidden=[4])) == hash(flows.Coupling(3, hidden=(4,)))
    assert Flow(StandardNormal(2), [flows.LU(2)]) == Flow(StandardNormal(2), (flows.LU(2),))


# shapes inside of flows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 4), r"even sides to squeeze; got height 3 and width 4\. Pad or crop"),
        ((1, 4, 5), "got height 4 and width 5"),
        ((4,), r"expected images \[\.\.\., channels, height, width\] for Squeeze\(\); got shape \(4,\)"),
    ],
    ids=str,
)
def test_images_that_cannot_be_squeezed(shape, message):
    with pytest.raises(ValueError, match=message):
        flows.Squeeze().forward({}, np.zeros(shape, np.float32))


def test_a_transform_that_changes_the_shape_of_events(backend):
    """In a plain flow, which has one shape: a multi-scale flow is the place for it."""
    with pytest.raises(
        ValueError, match=r"values whose last axes are \(4, 2, 2\) for Flow(.|\n)*got shape \(1, 4, 4\)"
    ):
        p = on(backend, Flow(StandardNormal(4, 2, 2), (flows.Inverse(flows.Squeeze()),)))
        p.sample(ppgen.backends.get(backend).key(0)) if backend == "numpyro" else p.sample()


@pytest.mark.parametrize("dim", [2, 3, 5])
def test_odd_dimensions_are_halved(dim):
    """Every other dimension stays: every dimension changes under two couplings, and there and back is where one was."""
    coupling = flows.Compose([flows.Coupling(dim, hidden=(4,), swap=swap) for swap in (False, True)])
    rng = np.random.default_rng(0)
    params = {path: rng.normal(size=spec.shape).astype(np.float32) * 0.5 for path, spec in coupling.specs().items()}
    x = rng.normal(size=(3, dim)).astype(np.float32)
    y, log_det = coupling.forward(params, x)
    assert (np.abs(np.asarray(y) - x).max(0) > 1e-3).all()
    back, log_det_back = coupling.inverse(params, y)
    np.testing.assert_allclose(back, x, atol=1e-4)
    np.testing.assert_allclose(log_det, -np.asarray(log_det_back), atol=1e-4)


ONE = {
    "made": MADE(1, hidden=(4,), context=2),
    "fvsbn": FVSBN(1),
    "nade": NADE(1, hidden=4),
    "rnade": NADE(1, hidden=4, conditional=conditionals.MixtureOfGaussians(2)),
    "deep_nade": DeepNADE(1, hidden=(4,)),
    "recurrent": Recurrent(1, hidden=4),
    "markov_chain": MarkovChain(1, classes=2, order=2),
    "hidden_markov": HiddenMarkov(1, states=2),
    "gaussian_mixture": GaussianMixture(1, 2, covariance="full"),
    "maf": flows.MAF(1, 2, (4,)),
    "iaf": flows.IAF(1, 2, (4,), context=2),
    "nsf": flows.NSF(1, 1, (4,), autoregressive=True),
    "glow": Glow((1, 2, 2), 1, 1, (4,)),
}


@pytest.mark.parametrize("name", ONE)
def test_one_dimension(name):
    """D = 1 is right everywhere: probabilities of a bit sum to one, densities integrate to one, draws have its shape."""
    entry = ONE[name]
    torch_of = ppgen.backends.get("pyro").array
    context = torch_of(np.ones((1, 2), np.float32)) if entry.context else None
    rng = np.random.default_rng(0)
    moved = {
        path: value + 0.3 * rng.normal(size=value.shape).astype(np.float32) for path, value in entry.init().items()
    }
    with ppgen.using("pyro"):
        p = entry.apply({path: torch_of(value) for path, value in moved.items()}, context)
        x = p.sample((5,))
        assert x.shape == (5, *p.batch_shape, *entry.event_shape)
        assert np.isfinite(p.log_prob(x).detach().numpy()).all()
        if entry.event_shape != (1,):
            return
        values, cell = (
            (np.arange(2.0), 1.0) if entry.support in ("boolean", 2) else (np.linspace(-60, 60, 60001), 0.002)
        )
        total = np.exp(p.log_prob(torch_of(values.astype(np.float32))[:, None]).detach().numpy()).sum() * cell
    assert total == pytest.approx(1, abs=2e-3)


# parameters --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (MADE(3, hidden=(5,)), r"'density\.0\.\w+': expected shape \(.*5.*\); got \(.*4.*\)\. Build the network with"),
        (NADE(3, hidden=4), r"parameters \['density\.0\.bias', .*\] that the programs do not have; expected some of"),
    ],
    ids=["shape", "kind"],
)  # fmt: skip
def test_loading_into_another_distribution(other, message, backend, tmp_path):
    fit = ppgen.fit(
        observing(MADE(3, hidden=(4,)), lambda learned, c: learned()), data={"x": BITS}, algorithm=ppgen.MaximumLikelihood(),
        steps=1, backend=backend,
    )  # fmt: skip
    fit.save(tmp_path / "fit")
    with pytest.raises(ProgramError, match=message):
        ppgen.load(tmp_path / "fit", observing(other, lambda learned, c: learned()))


def test_parameters_of_another_shape():
    """Outside of a program too, where they would broadcast to some other density."""
    made = MADE(3, hidden=(4,))
    with pytest.raises(
        ValueError, match=r"expected a parameter '0\.weight' of shape \(3, 4\) for MADE.*got shape \(3, 1\)"
    ):
        made.apply({path: value[..., :1] for path, value in made.init().items()})
    with pytest.raises(ValueError, match=r"expected a parameter '0\.weight' of shape \(3, 4\).*got none of that name"):
        made.apply({f"density.{path}": value for path, value in made.init().items()})


def test_parameters_of_another_number_type():
    """NumPy's float64 is what the backend computes with, without a warning."""
    p = MarkovChain(2, classes=2).apply({"logits": np.zeros((3, 2))})
    assert float(p.log_prob(np.array([0, 1]))) == pytest.approx(2 * np.log(0.5))
