"""Bugs planted one at a time, and the tests that have to notice them.

A list to run before and after tests are changed, so that a faster suite is no weaker one:

    python tests/planted_bugs.py              # all of them, one after the other
    python tests/planted_bugs.py pool kl      # those whose names contain one of these words
    python tests/planted_bugs.py --jobs 2

Each bug replaces a line of a copy of the library and runs the test files beside it until one test fails. Bugs whose line is
gone are stale: write them anew.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPIED = ("ppgen", "tests", "benchmarks", "docs", "examples")


@dataclass(frozen=True)
class Bug:
    """A line of a file below ppgen/ in another form, and the test files (below tests/) that have to fail."""

    name: str
    file: str
    right: str
    wrong: str
    tests: tuple[str, ...]


BUGS = (
    # what sites depend on
    Bug(
        "a sum over rows mixes nothing", "backends/numpyro/axes.py",
        "return MIXED if axis in removed else", "return LOST if axis in removed else", ("training/test_mistakes.py",),
    ),
    Bug(
        "other rows are never changed", "backends/pyro/dependence.py",
        "now = runs.with_rows(torch.tensor(order))", "now = runs.with_rows(torch.arange(rows))", ("training/test_mistakes.py",),
    ),
    Bug(
        "computed observations may be anything", "backends/recorder.py",
        'msg["name"] in self.program.computed and', "False and", ("training/test_mistakes.py",),
    ),
    # traces and joints
    Bug(
        "global terms count fully in each row", "problem/trace.py",
        "shared[:, None] / self.size", "shared[:, None]", ("inference/test_scaling.py",),
    ),
    Bug(
        "a mask is lost", "problem/trace.py",
        "counted={name: rows if seen else ~rows for name, rows in partial.items()}", "counted={}",
        ("inference/test_partly_observed.py",),
    ),
    Bug(
        "a mask is turned round", "problem/trace.py",
        "rows if seen else ~rows", "~rows if seen else rows", ("inference/test_partly_observed.py",),
    ),
    Bug(
        "weights of global sites are not pooled", "problem/joint.py",
        "if self.program.has_global(batch.observed) else log_weight", "if False else log_weight",
        ("inference/test_scaling.py",),
    ),
    Bug(
        "weights of rows are pooled", "problem/joint.py",
        "if self.program.has_global(batch.observed) else log_weight", "if True else log_weight",
        ("inference/test_bounds.py",),
    ),
    Bug(
        "a frozen joint learns", "problem/joint.py",
        "name: self.backend.stop_gradient(value) for name", "name: value for name", ("inference/test_exact_posterior.py",),
    ),
    Bug(
        "a second draw repeats the first", "problem/joint.py",
        "fold_in(self._key, next(self._turns))", "fold_in(self._key, 0)", ("problem/test_joint.py",),
    ),
    Bug(
        "rows that have a class are summed over classes", "inference/exact/enumeration.py",
        "ops.where(batch.seen(name) & differs,", "ops.where(batch.seen(name) & False,",
        ("inference/test_partly_observed.py", "evaluation/test_enumerated.py"),
    ),
    # estimators and algorithms
    Bug(
        "the score's weight carries a gradient", "inference/estimators.py",
        "ops.stop_gradient(log_w - baseline) * score", "(log_w - baseline) * score",
        ("inference/test_enumerated_gradients.py",),
    ),
    Bug(
        "a baseline knows its own draw", "inference/estimators.py",
        "(ops.sum(log_w, 0, keepdims=True) - log_w) / (k - 1)", "ops.sum(log_w, 0, keepdims=True) / k",
        ("inference/test_enumerated_gradients.py",),
    ),
    Bug(
        "VIMCO's signal has the wrong sign", "inference/estimators.py",
        "ops.stop_gradient(bound - without_it)", "ops.stop_gradient(without_it - bound)",
        ("inference/test_enumerated_gradients.py",),
    ),
    Bug(
        "DReG weighs by w, not by w squared", "inference/estimators.py",
        "-ops.sum(ops.square(weight) * log_w)", "-ops.sum(weight * log_w)", ("inference/test_path_gradients.py",),
    ),
    Bug(
        "the landing does not stick", "inference/estimators.py",
        "q.frozen.trace(values).latent.log_prob", "q.trace(values).latent.log_prob",
        ("inference/test_exact_posterior.py",),
    ),
    Bug(
        "a KL is added", "inference/estimators.py",
        "if kl is None else -kl", "if kl is None else kl", ("inference/test_mixed_sites.py",),
    ),
    Bug(
        "the average baseline knows its own step", "inference/variational/elbo.py",
        "guided(total / ops.clip(weight, 1 - DECAY))", "guided(carry[0] / carry[1])",
        ("inference/test_enumerated_gradients.py",),
    ),
    Bug(
        "Renyi's factor is forgotten", "inference/variational/renyi.py",
        "ops.log1p(ops.mean(ops.expm1(power - top), 0)) / order", "ops.log1p(ops.mean(ops.expm1(power - top), 0))",
        ("inference/test_bounds.py",),
    ),
    Bug(
        "asleep, the guide looks at what it drew awake", "inference/sleep/wake_sleep.py",
        "q.log_prob(batch | dream.values)", "q.log_prob(batch | awake.values)", ("inference/test_wake_sleep.py",),
    ),
    Bug(
        "weights of the wake phase are not normalised", "inference/sleep/reweighted_wake_sleep.py",
        "ops.stop_gradient(ops.softmax(log_w, 0))", "ops.stop_gradient(ops.exp(log_w))", ("inference/test_bounds.py",),
    ),
    Bug(
        "the critic takes fakes for data", "inference/adversarial/gan.py",
        "real_score, fake_score = critic(batch), critic(batch | fake.values)",
        "fake_score, real_score = critic(batch), critic(batch | fake.values)", ("inference/test_gan.py",),
    ),
    Bug(
        "model and guide help the critic of ALI", "inference/adversarial/ali.py",
        "ops.softplus(of_guide)) + ops.mean(ops.softplus(-of_model)", "ops.softplus(-of_guide)) + ops.mean(ops.softplus(of_model)",  # noqa: E501
        ("inference/test_ali.py",),
    ),
    Bug(
        "a discrete guide passes for a reparameterised one", "inference/requirements.py",
        "        if not site.reparameterised:\n            return (\n                f\"site {site.name!r} of the guide",
        "        if False:\n            return (\n                f\"site {site.name!r} of the guide",
        ("inference/test_illegal_pairings.py",),
    ),
    Bug(
        "minibatches of global sites are let through", "inference/requirements.py",
        "    if problem.full_batch:\n        return None", "    if True:\n        return None",
        ("inference/test_illegal_pairings.py",),
    ),
    # evaluation
    Bug(
        "filled-up rows are kept", "evaluation/weights.py",
        "backend.numpy(local)[:kept, : rows.stop - rows.start]", "backend.numpy(local)[:kept]",
        ("evaluation/test_likelihood.py",),
    ),
    Bug(
        "a mean of weights is their sum", "evaluation/weights.py",
        "self.first - math.log(self.count)", "self.first", ("evaluation/test_likelihood.py",),
    ),
    Bug(
        "chunks of rows share their noise", "evaluation/weights.py",
        "backend.fold_in(self.key, chunk)", "self.key", ("evaluation/test_likelihood.py",),
    ),
    Bug(
        "k-hat is that of inverse weights", "evaluation/psis.py",
        "log_weights = np.array(log_weights, np.float64).T", "log_weights = -np.array(log_weights, np.float64).T",
        ("evaluation/test_psis.py",),
    ),
    Bug(
        "nats pass for bits", "evaluation/result.py",
        "-nats / math.log(2)", "-nats", ("evaluation/test_result.py",),
    ),
    Bug(
        "the draws of a posterior are one particle off", "evaluation/enumerated.py",
        "np.stack(found, 1), len(cdf) - 1", "np.stack(found, 1) + 1, len(cdf) - 1", ("evaluation/test_enumerated.py",),
    ),
    # training
    Bug(
        "the last rows of an epoch are lost", "training/batches.py",
        "order[full:].reshape(1, -1)", "order[full:0].reshape(1, -1)", ("training/test_fit.py",),
    ),
    Bug(
        "a small batch counts as a large one", "training/record.py",
        "np.average(values, weights=rows)", "np.average(values)", ("training/test_fit.py",),
    ),
    Bug(
        "a failed step is half made", "training/trainer.py",
        "                for restore in undo:", "                for restore in ():", ("training/test_bad_data.py",),
    ),
    Bug(
        "what an algorithm carries is lost", "training/trainer.py",
        "return State(parameters, optimizers, state.key, state.step + 1, carry)",
        "return State(parameters, optimizers, state.key, state.step + 1, state.carry)", ("training/test_trainer.py",),
    ),
    Bug(
        "a run that goes on begins its optimiser anew", "training/keeping.py",
        'trainer.backend.unpack(state, arrays["state"])', 'trainer.backend.unpack(state, arrays["state"], optimizers=False)',
        ("training/test_checkpoint.py",),
    ),
    Bug(
        "a folder is overwritten, whatever it holds", "storage/folder.py",
        "        free(where)\n", "", ("storage/test_folder.py",),
    ),
    Bug(
        "a damaged file is read", "storage/folder.py",
        "intact = _digest(part.read_bytes()) == digest", "intact = bool(part.read_bytes())", ("storage/test_folder.py",),
    ),
    Bug(
        "an edited manifest is read", "storage/folder.py",
        "    if not intact:\n        raise CheckpointError(f\"{file}", "    if False:\n        raise CheckpointError(f\"{file}",
        ("storage/test_folder.py",),
    ),
    Bug(
        "what a killed writer had put away is swept", "storage/folder.py",
        "        whole.rename(path)\n", "        pass\n", ("storage/test_folder.py",),
    ),
    Bug(
        "two write to one folder", "storage/lock.py",
        "fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)", "pass", ("storage/test_folder.py",),
    ),
    Bug(
        "a stream is run through again", "training/passes.py",
        "            if read >= run.done:\n                host", "            if True:\n                host",
        ("training/test_runs.py",),
    ),
    Bug(
        "the part of a pass before a checkpoint is not in its line", "training/record.py",
        "record.pending[name] = list(values)", "pass", ("training/test_runs.py",),
    ),
    Bug(
        "other programs with parameters of the same shapes pass", "training/fingerprint.py",
        "allclose(now, was, rtol=CLOSE", "allclose(now, was, rtol=10 + CLOSE", ("training/test_fingerprint.py",),
    ),
    Bug(
        "a bad batch is tried again", "training/loop.py",
        "self.state = replace(self.state, step=self.state.step + 1)", "pass", ("training/test_rollback.py",),
    ),
    Bug(
        "a callback has to answer True itself", "training/loop.py",
        "bool(callback(self.result()))", "callback(self.result()) is True", ("training/test_interrupts.py",),
    ),
    Bug(
        "values outside the support pass", "problem/arrays.py",
        "if outside.any():", "if False:", ("training/test_bad_data.py",),
    ),
    Bug(
        "an axis that no plate declares passes", "problem/checks/plates.py",
        "site.batch_shape[-axis] != 1 and -axis not in dims", "False", ("training/test_preflight.py",),
    ),
    Bug(
        "a guide with another support passes", "problem/checks/sites.py",
        "if not p.support.same(q.support):", "if False:", ("training/test_preflight.py",),
    ),
    # backends
    Bug(
        "NumPyro's log densities are a thousandth too large", "backends/numpyro/sites.py",
        "return log_density if scale is None else scale * log_density",
        "return 1.001 * log_density if scale is None else scale * log_density", ("inference/test_contracts.py",),
    ),
    Bug(
        "Pyro sums over the wrong plate", "backends/pyro/sites.py",
        "if dim != row_dim]", "if dim == row_dim]", ("models/test_registry.py", "test_language.py"),
    ),
    Bug(
        "a held draw keeps its path", "backends/recorder.py",
        'msg["intermediates"] = None  # what', 'msg["intermediates"] = msg.get("intermediates")  # what',
        ("distributions/test_in_programs.py",),
    ),
    Bug(
        "the gradient of a draw reaches a held one", "backends/recorder.py",
        'msg["value"] = self.backend.stop_gradient(msg["value"])', 'msg["value"] = msg["value"]',
        ("inference/test_enumerated_gradients.py", "distributions/test_in_programs.py"),
    ),
    Bug(
        "a loop runs one step too many", "backends/numpyro/training.py",
        "return (i < last) & ok", "return (i <= last) & ok", ("training/test_fit.py", "training/test_compilation.py"),
    ),
    # networks
    Bug(
        "an MLP has an activation behind its last layer", "nn/mlp.py",
        "if i < layers - 1:", "if i < layers:", ("nn/test_mlp.py",),
    ),
    Bug(
        "a GRU forgets what it should keep", "nn/recurrent.py",
        "((1 - update) * new + update * h,)", "(update * new + (1 - update) * h,)", ("nn/test_recurrent.py",),
    ),
    Bug(
        "a masked network sees its own dimension", "nn/masked.py",
        "np.repeat(self.ranks, self.outputs)", "np.repeat(self.ranks + 1, self.outputs)",
        ("distributions/test_contracts.py",),
    ),
    # flows
    Bug(
        "ActNorm has no log-determinant", "distributions/flows/elementwise.py",
        'ops.broadcast_to(ops.sum(params["log_scale"]), x.shape[:-1])',
        'ops.broadcast_to(0 * ops.sum(params["log_scale"]), x.shape[:-1])', ("distributions/test_transforms.py",),
    ),
    Bug(
        "the log-determinant of LU has the wrong sign one way", "distributions/flows/lu.py",
        "ops.broadcast_to(-log_det, y.shape[:-1])", "ops.broadcast_to(log_det, y.shape[:-1])",
        ("distributions/test_transforms.py",),
    ),
    Bug(
        "a composition counts its last map only", "distributions/flows/compose.py",
        "            x, log_det = one_an_event(transform, both, self.rank)\n            total = total + log_det",
        "            x, log_det = one_an_event(transform, both, self.rank)\n            total = log_det",
        ("distributions/test_transforms.py", "distributions/test_contracts.py"),
    ),
    Bug(
        "the slope of a spline lacks a factor", "distributions/flows/spline.py",
        "2 * ops.log(slope) + ops.log(rise) - 2 * ops.log(below)", "2 * ops.log(slope) + ops.log(rise) - ops.log(below)",
        ("distributions/test_transforms.py",),
    ),
    Bug(
        "what leaves a scale is not counted", "distributions/flows/multiscale.py",
        "total + log_det + StandardNormal(*leaving).log_prob({}, z)", "total + log_det",
        ("distributions/test_contracts.py",),
    ),
    Bug(
        "squares are taken apart the other way round", "distributions/flows/squeeze.py",
        "x = ops.moveaxis(ops.moveaxis(x, -3, -1), -4, -3)", "x = ops.moveaxis(ops.moveaxis(x, -4, -1), -3, -3)",
        ("distributions/test_transforms.py",),
    ),
    # autoregressive densities and mixtures
    Bug(
        "a block stops before it is settled", "distributions/autoregressive/sampling.py",
        "x = ops.settle(again, noise[..., 0] * 0, net.block, exact=True)",
        "x = ops.settle(again, noise[..., 0] * 0, net.block - 1, exact=False)", ("distributions/test_contracts.py",),
    ),
    Bug(
        "a step sees the value after it", "distributions/autoregressive/sampling.py",
        "return (i + 1, cache, encode(x)), x", "return (i + 1, cache, encode(noise[..., 0])), x",
        ("distributions/test_contracts.py",),
    ),
    Bug(
        "an ensemble is a sum", "distributions/autoregressive/orders.py",
        "return ops.logmeanexp(each, 0)", "return ops.logsumexp(each, 0)", ("distributions/autoregressive/test_orders.py",),
    ),
    Bug(
        "an estimate over orders lacks its weight", "distributions/autoregressive/deep_nade.py",
        "weight = (self.base.dim + 1) / ops.clip", "weight = self.base.dim / ops.clip",
        ("distributions/autoregressive/test_deep_nade.py",),
    ),
    Bug(
        "a logistic density lacks a factor", "distributions/autoregressive/conditionals.py",
        "-z - 2 * ops.softplus(-z) - log_scale", "-z - ops.softplus(-z) - log_scale",
        ("distributions/test_contracts.py", "distributions/autoregressive/test_conditionals.py"),
    ),
    Bug(
        "components of a mixture weigh the same", "distributions/mixtures.py",
        "return ops.log_softmax(logits) + log_normal", "return 0 * logits + log_normal", ("distributions/test_mixtures.py",),
    ),
    Bug(
        "a chain is run through backwards", "distributions/hidden_markov.py",
        "ops.logsumexp(before[..., :, None] + transition, -2)", "ops.logsumexp(before[..., :, None] + transition.T, -2)",
        ("distributions/test_hidden_markov.py",),
    ),
    # guides, operations, data
    Bug(
        "a guide of all sites has no log-determinants", "guides/sites.py",
        "tuple(range(-extra, 0))) if extra else slope", "tuple(range(-extra, 0))) if extra else 0 * slope",
        ("guides/test_guides.py",),
    ),
    Bug(
        "levels are spread beyond their bin", "distributions/flows/pixels.py",
        "((x + u) / levels)", "((x + 2 * u) / levels)", ("distributions/flows/test_images.py",),
    ),
    Bug(
        "what is tested on is trained on", "data/images.py",
        'test=split("t10k")', 'test=split("train")', ("data/test_images.py",),
    ),
    # numbers to trust
    Bug(
        "differences of fits are not paired", "evaluation/comparison.py",
        "paired.std(ddof=1)", "a.per_row.std(ddof=1)", ("evaluation/test_comparison.py",),
    ),
    Bug(
        "memorisation is worth log N", "evaluation/comparison.py",
        "return -math.log(len(", "return math.log(len(", ("evaluation/test_comparison.py",),
    ),
    Bug(
        "compiled functions are kept for ever", "evaluation/kept.py",
        "while len(kept) > KEPT:", "while len(kept) > KEPT + 10**6:", ("evaluation/test_likelihood.py",),
    ),
    Bug(
        "annealing adapts in the run that is weighed", "evaluation/annealed.py",
        "scale, steps, False, keys[3]", "scale, steps, True, keys[3]", ("evaluation/test_annealed.py",),
    ),
    Bug(
        "the way down takes weights before its moves", "inference/smc/annealing.py",
        "Path(-self.after[::-1], self.temperature[::-1], -self.before[::-1])",
        "Path(-self.before[::-1], self.temperature[::-1], -self.after[::-1])", ("evaluation/test_annealed.py",),
    ),
    Bug(
        "moves are of the temperature before", "inference/smc/annealing.py",
        "return cls(np.diff(t), t[1:]", "return cls(np.diff(t), t[:-1]", ("evaluation/test_annealed.py",),
    ),
    Bug(
        "an intervention is an observation", "backends/recorder.py",
        'msg["infer"] = {**(msg["infer"] or {}), "_deterministic": True}', "pass", ("problem/test_intervention.py",),
    ),
    Bug(
        "ranks count equal draws as below", "evaluation/calibration.py",
        "(draws < truth).sum(0) + rng", "(draws <= truth).sum(0) + 0 * rng", ("evaluation/test_calibration.py",),
    ),
    Bug(
        "a row is left out by weighing it twice", "evaluation/loo.py",
        "smoothed(log_weights[:, None] - log_likelihood)", "smoothed(log_weights[:, None] + log_likelihood)",
        ("evaluation/test_loo.py",),
    ),
    Bug(
        "ArviZ 1 is given log weights", "evaluation/psis.py",
        "partial(array_stats.psislw, axis=-1), -1", "partial(array_stats.psislw, axis=-1), 1",
        ("evaluation/test_psis.py",),
    ),
    Bug(
        "typical rows are the likeliest", "evaluation/anomalies.py",
        "np.abs(rows.per_row - training.per_row.mean())", "training.per_row.mean() - rows.per_row",
        ("evaluation/test_checks.py",),
    ),
)  # fmt: skip


def plant(bug: Bug, folder: Path) -> str | None:
    """Copy the project to `folder` with the bug in it; what is wrong with the bug, if anything."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder / name)
    path = folder / "ppgen" / bug.file
    text = path.read_text() if path.exists() else ""
    if (count := text.count(bug.right)) != 1:
        return f"its line is {count} times in ppgen/{bug.file}"
    path.write_text(text.replace(bug.right, bug.wrong))
    missing = [test for test in bug.tests if not (ROOT / "tests" / test).exists()]
    return f"there is no {', '.join(missing)}" if missing else None


def caught(bug: Bug) -> tuple[bool, str]:
    """Whether a test fails, and which; or what keeps it from being tried."""
    with tempfile.TemporaryDirectory() as folder:
        if trouble := plant(bug, Path(folder)):
            return False, f"STALE: {trouble}"
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=no"]
        environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
        run = subprocess.run(
            [*command, *(f"tests/{test}" for test in bug.tests)],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        failed = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
        if run.returncode == 1 and failed:
            return True, failed[0].split(" - ")[0].removeprefix("FAILED tests/")
        return False, "MISSED" if run.returncode == 0 else f"pytest ended with {run.returncode}: {run.stdout[-300:]}"


def main() -> int:
    """Try the bugs; 0 if each is caught."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="try bugs with one of these words in their names")
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    bugs = [bug for bug in BUGS if not options.words or any(word in bug.name for word in options.words)]

    def report(bug: Bug) -> bool:
        begun = time.perf_counter()
        found, how = caught(bug)
        print(f"{time.perf_counter() - begun:6.1f} s  {'caught' if found else 'NOT'}  {bug.name}: {how}", flush=True)
        return found

    with ThreadPoolExecutor(options.jobs) as pool:
        results = list(pool.map(report, bugs))
    print(f"{sum(results)} of {len(results)} caught")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
