"""Who notices the mistakes: `python -m benchmarks.mistakes`."""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax

import ppgen
from benchmarks.mistakes.libraries import STEPS, Library, finite, numpyro, pyro
from benchmarks.mistakes.programs import MISTAKES, Mistake
from ppgen.errors import NonFiniteError

PAGE = Path(__file__).parents[2] / "docs" / "mistakes.md"
SILENT = "silent"


def verdict(run: Callable[[], Any], right: Callable[[Any], bool] | None = None) -> str:
    """What a run said: an error, a warning, a right answer, or nothing."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            found = run()
        except NonFiniteError:
            return "error at the step"
        except Exception:
            return "error"
    if any(issubclass(w.category, UserWarning) for w in said):
        return "warning"
    return "right" if right is not None and right(found) else SILENT


def own(mistake: Mistake, library: Library) -> str:
    """What the library's SVI says, of one minibatch where there are minibatches."""
    model, guide, data = mistake.make(library)
    data = {name: value[: mistake.fit.get("batch_size")] for name, value in data.items()}
    losses: list[float] = []
    said = verdict(lambda: losses.extend(library.train(model, guide or (lambda **data: None), data)))
    if said == SILENT and library.name in mistake.fine:
        return "right"
    return said if said != SILENT or finite(losses) else "NaN, silent"


def ours(mistake: Mistake, library: Library) -> str:
    """What ppgen says of the same programs."""
    model, guide, data = mistake.make(library)
    algorithm = ppgen.ELBO() if guide else ppgen.MaximumLikelihood()

    def run() -> Any:
        return ppgen.fit(
            model,
            guide,
            data=data,
            algorithm=algorithm,
            backend=library.name,
            steps=STEPS,
            progress=False,
            **mistake.fit,
        )

    return verdict(run, mistake.right)


def main() -> None:
    """Print the table and write it to the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to write")
    parser.add_argument("words", nargs="*", help="only mistakes with one of these words in their names")
    options = parser.parse_args()
    chosen = [m for m in MISTAKES if not options.words or any(word in m.name for word in options.words)]
    libraries, lines = (numpyro(), pyro()), []
    for mistake in chosen:
        said = [judge(mistake, library) for library in libraries for judge in (own, ours)]
        lines.append([mistake.name, *said])
        print(f"{mistake.name}: {', '.join(said)}", flush=True)
        jax.clear_caches()
    heads = ["mistake", "NumPyro's SVI", "ppgen on NumPyro", "Pyro's SVI", "ppgen on Pyro"]
    silent = {head: sum(SILENT in line[i + 1] for line in lines) for i, head in enumerate(heads[1:])}
    counts = ", ".join(f"{head} {count}" for head, count in silent.items())
    print(f"silent: {counts}")
    if chosen == MISTAKES:
        options.page.write_text(page(heads, lines, counts))


def page(heads: list[str], lines: list[list[str]], counts: str) -> str:
    """The page of the table."""
    rows = ["| " + " | ".join(cells) + " |" for cells in (heads, ["---"] * len(heads), *lines)]
    return f"""# Mistakes, and who notices them

Each mistake is one native program with its data (`benchmarks/mistakes/programs.py`), given as it stands to the library's own
SVI for {STEPS} steps and to `ppgen.fit`. *error*: an error, in ppgen before the first step; *error at the step*: the run stops
there and keeps what was learned; *warning*; *right*: what was meant is what is computed; *silent*: a wrong number and no word
(NaN counts as one where nothing says so). `python -m benchmarks.mistakes` writes this page.

Silent, of {len(lines)}: {counts}.

{chr(10).join(rows)}
"""


if __name__ == "__main__":
    main()
