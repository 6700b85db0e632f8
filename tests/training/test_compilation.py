"""How often programs are traced: once for each size of batch, however many epochs; never again for a shorter run."""

import numpy as np

import ppgen
from ppgen import dist, module, nn, ops, plate, sample


def counted():
    calls = {"model": 0, "guide": 0}

    def model(rows):
        calls["model"] += 1
        decoder = module("decoder", nn.MLP(2, 3, 4))
        with plate("data", rows):
            z = sample("z", dist.Normal(0.0, 1.0).expand([2]).to_event(1))
            sample("x", dist.Bernoulli(logits=decoder(z)).to_event(1))

    def guide(x):
        calls["guide"] += 1
        encoder = module("encoder", nn.MLP(4, 3, (2, 2)))
        with plate("data", len(x)):
            loc, log_scale = encoder(x)
            sample("z", dist.Normal(loc, ops.exp(log_scale)).to_event(1))

    return model, guide, calls


def test_epochs_do_not_trace_again(bits):
    found = {}
    for epochs in (1, 6):
        model, guide, calls = counted()
        ppgen.fit(model, guide, data={"x": bits}, epochs=epochs, batch_size=8)
        found[epochs] = calls.copy()
    assert found[1] == found[6]
    model, guide, calls = counted()
    ppgen.fit(model, guide, data={"x": bits[:16]}, epochs=6, batch_size=8)
    assert calls["guide"] < found[6]["guide"]  # one size of batch less


def test_the_loop_traces_its_step_once(bits):
    traced = []

    class Counted(ppgen.ELBO):
        def losses(self, *args):
            traced.append(args)
            return super().losses(*args)

    model, guide, _ = counted()
    trainer = ppgen.Trainer(ppgen.Problem(model, guide, data={"x": bits}), Counted())
    trainer.run(trainer.init(), {"x": bits}, np.arange(16).reshape(4, 4))
    assert len(traced) == 1


def test_a_shorter_run_does_not_trace_again(bits):
    model, guide, calls = counted()
    trainer = ppgen.Trainer(ppgen.Problem(model, guide, data={"x": bits}))
    state = trainer.init()
    data = trainer.device({"x": bits})
    index = np.arange(16).reshape(4, 4)
    state, _, _ = trainer.run(state, data, index)
    before = calls.copy()
    state, _, _ = trainer.run(state, data, index)
    _, metrics, good = trainer.run(state, data, index[:1])
    assert calls == before
    assert good == 1
    assert metrics["loss/model"].shape == (1,)


def test_evaluation_compiles_once(bits):
    model, guide, calls = counted()
    fit = ppgen.fit(model, guide, data={"x": bits}, epochs=1)
    fit.evaluate({"x": bits}, particles=8)
    before = calls.copy()
    fit.evaluate({"x": bits}, particles=8, seed=1)
    assert calls == before


def test_the_guide_runs_once_for_all_particles(bits):
    """Pyro draws K particles from one pass of the encoder."""
    found = {}
    for particles in (1, 50):
        model, guide, calls = counted()
        trainer = ppgen.Trainer(ppgen.Problem(model, guide, data={"x": bits}, backend="pyro"), ppgen.IWAE(particles))
        state = trainer.init()
        before = calls["guide"]
        trainer.step(state, {"x": bits})
        found[particles] = calls["guide"] - before
    assert found == {1: 1, 50: 1}
