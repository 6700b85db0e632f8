"""The demo: one VAE program on real digits, learned six ways."""

import json
import platform
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

import ppgen
from ppgen import nn
from ppgen.report import plots
from ppgen.report.tables import Line, comparison

FEATURES, LATENTS, HIDDEN = 64, 10, 128
BATCH, PARTICLES, EVALUATED, SHOWN = 128, 10, 1000, 36


@dataclass(frozen=True)
class Player:
    """An algorithm in the comparison and the step size it learns with."""

    name: str
    algorithm: ppgen.Algorithm
    optimizer: Any


def players() -> list[Player]:
    """The six ways; the programs are the same each time."""
    adam = ppgen.Adam(1e-3)
    critic = nn.MLP(FEATURES, HIDDEN, 1, activation="leaky_relu")
    return [
        Player("ELBO", ppgen.ELBO(), adam),
        Player("IWAE", ppgen.IWAE(PARTICLES), adam),
        Player("Renyi", ppgen.Renyi(0.5, PARTICLES), adam),
        Player("reweighted wake-sleep", ppgen.ReweightedWakeSleep(PARTICLES), adam),
        Player("wake-sleep", ppgen.WakeSleep(), adam),
        Player("GAN", ppgen.GAN(critic), ppgen.Adam(5e-4, b1=0.5)),
    ]


def run(folder: Path, backend: str, epochs: int, seed: int, console: Console) -> dict[str, Any]:
    """Train, evaluate and draw; writes `results.json`, `samples.png` and `curves.png` into `folder`.

    Args:
        folder: where to write.
        backend: "numpyro" or "pyro".
        epochs: passes over the training images for each algorithm.
        seed: seed of everything.
        console: where the progress and the table go.

    Returns:
        What `results.json` holds.
    """
    digits = ppgen.data.digits()
    train, test = {"x": digits.train["x"]}, {"x": digits.test["x"]}
    model, guide = ppgen.models.vae(FEATURES, latents=(LATENTS,), hidden=(HIDDEN,))
    folder.mkdir(parents=True, exist_ok=True)
    console.print(
        f"[bold]ppgen demo[/bold]: one VAE program on {len(train['x'])} binarised 8x8 digits, learned six ways on "
        f"{backend}, {epochs} epochs each; {len(test['x'])} images held out"
    )

    lines, panels, curves, game, results = [], {"data": test["x"][:SHOWN]}, {}, {}, []
    started = time.perf_counter()
    for player in players():
        watch = _Watch(test, every=max(1, epochs // 12), skip=isinstance(player.algorithm, ppgen.GAN))
        begun = time.perf_counter()
        fit = ppgen.fit(
            model,
            None if watch.skip else guide,
            data=train,
            algorithm=player.algorithm,
            backend=backend,
            epochs=epochs,
            batch_size=BATCH,
            optimizer=player.optimizer,
            seed=seed,
            callbacks=[watch],
        )
        seconds = time.perf_counter() - begun - watch.seconds
        judged, note = fit, ""
        if watch.skip:
            note = "guide fitted afterwards"
            game = {role: (fit.history["epoch"], fit.history[f"loss/{role}"]) for role in player.algorithm.roles}
            judged = ppgen.fit(
                model,
                guide,
                data=train,
                algorithm=ppgen.ReweightedWakeSleep(PARTICLES),
                backend=backend,
                epochs=epochs,
                batch_size=BATCH,
                seed=seed,
                params=fit,
                train=("guide",),
            )
        else:
            curves[player.name] = watch.curve()
        evaluation = judged.evaluate(test, particles=EVALUATED, seed=seed)
        lines.append(Line(player.name, evaluation, seconds, note))
        panels[player.name] = fit.sample(SHOWN, seed=seed, emit="mean")["x"]
        results.append(
            {
                "algorithm": player.name,
                "settings": repr(player.algorithm),
                "seconds": seconds,
                **evaluation.to_dict(),
                "note": "; ".join(filter(None, [note, evaluation.note])),
                "history": {name: np.asarray(values).tolist() for name, values in fit.history.items()},
            }
        )
        console.print(f"  {player.name:22s} {evaluation.nats:8.2f} nats  {seconds:5.1f} s")

    console.print(comparison(f"Held-out digits, {backend}", lines))
    console.print(
        f"Nats are log-likelihoods of the same model p(x) by {EVALUATED} importance samples from the guide: lower bounds, "
        "higher is better.\nA GAN does not learn a guide; to weigh its model by likelihood one was fitted with the model "
        "held fixed."
    )
    report = {
        "backend": backend,
        "epochs": epochs,
        "seed": seed,
        "train_rows": len(train["x"]),
        "test_rows": len(test["x"]),
        "machine": {"platform": platform.platform(), "python": platform.python_version(), **_versions()},
        "seconds": time.perf_counter() - started,
        "results": results,
    }
    (folder / "results.json").write_text(json.dumps(report, indent=1) + "\n")
    title = "One VAE program on 8x8 digits, learned six ways"
    nats = {line.name: (line.evaluation.nats, line.evaluation.stderr) for line in lines}
    shown = plots.samples(panels, digits.shape, nats=nats, title=f"{title}: pixel means of samples from p(x)")
    plots.save(shown, folder / "samples.png")
    plots.save(plots.training_curves(curves, game, title=title), folder / "curves.png")
    console.print(
        f"Wrote {folder}/results.json, samples.png and curves.png in {report['seconds']:.0f} s.", markup=False
    )
    return report


class _Watch:
    """A callback that evaluates the held-out images every few epochs and keeps the time that takes."""

    def __init__(self, test: dict[str, np.ndarray], every: int, skip: bool) -> None:
        self.test, self.every, self.skip = test, every, skip
        self.points: list[tuple[float, float]] = []
        self.seconds, self.calls = 0.0, 0

    def __call__(self, fit: ppgen.Fit) -> None:
        self.calls += 1
        if self.skip or (self.calls % self.every and self.calls > 2):
            return
        begun = time.perf_counter()
        nats = fit.evaluate(self.test, particles=100, khat=False).nats
        self.points.append((float(fit.history["epoch"][-1]), nats))
        self.seconds += time.perf_counter() - begun

    def curve(self) -> tuple[np.ndarray, np.ndarray]:
        epoch, nats = zip(*self.points, strict=True)
        return np.array(epoch), np.array(nats)


def _versions() -> dict[str, str]:
    found = {}
    for name in ("ppgen", "jax", "numpyro", "torch", "pyro-ppl"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
