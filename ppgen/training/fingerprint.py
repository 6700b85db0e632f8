"""What programs are and compute, so that a fit is not taken up by others that only have parameters of the same shapes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppgen import ops
from ppgen.evaluation.weights import once
from ppgen.problem.batch import Batch
from ppgen.problem.problem import Problem
from ppgen.problem.tied import FEW, tied

CLOSE = 1e-3  # how far log densities may differ, relative to 1 + their size: what machines and libraries do

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Fingerprint:
    """Programs at some parameters.

    Attributes:
        sites: by role and site: event shape, support, distribution, and whether it is observed; in values that JSON can hold.
        values: the latent sites' values at which densities were taken, by site, [1, rows, ...].
        densities: log densities of a few rows, by role and site, as `model:x`.
    """

    sites: dict[str, dict[str, dict[str, Any]]]
    values: dict[str, np.ndarray]
    densities: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, problem: Problem, parameters: Mapping[str, Any], example: Arrays, values: Arrays | None = None
    ) -> "Fingerprint":
        """The fingerprint of the programs of a problem.

        Args:
            problem: the programs.
            parameters: unconstrained parameters.
            example: rows of data.
            values: values of the latent sites; by default, drawn at a fixed key from the guide, or else from the model.
        """
        backend = problem.backend
        look = once(problem, ("fingerprint", values is None), _look(problem))
        drawn = {name: backend.array(value) for name, value in (values or {}).items()}
        found, densities = look(parameters, problem.device(example), drawn, backend.key(0))
        names: dict[str, dict[str, str]] = problem.compiled[_NAMES]
        return cls(
            {role: dict(_described(problem, role, names.get(role, {}))) for role in problem.programs},
            {name: backend.numpy(value) for name, value in found.items()},
            {name: backend.numpy(value) for name, value in densities.items()},
        )

    def differences(self, other: "Fingerprint", *, libraries: bool) -> list[str]:
        """What another fingerprint, taken at the values of this one, has otherwise.

        Args:
            other: what is there now.
            libraries: whether both come from one backend, so that its own names can be compared.
        """
        said = []
        for role in self.sites | other.sites:
            mine, theirs = self.sites.get(role, {}), other.sites.get(role, {})
            if mine.keys() != theirs.keys():
                said.append(f"the {role} has the sites {sorted(theirs)}; the fit was of {sorted(mine)}")
                continue
            for name in mine:
                was, now = mine[name], theirs[name]
                known = f"{role}:{name}" in self.densities.keys() & other.densities.keys()
                kinds = ["event shape", "observed", *(("support",) if libraries else ())]
                kinds += ["distribution"] if libraries and not known else []
                said += [
                    f"site {name!r} of the {role} has {kind} {now[kind]}; it had {was[kind]}"
                    for kind in kinds
                    if was[kind] != now[kind]
                ]
                if known and (apart := _apart(self.densities[f"{role}:{name}"], other.densities[f"{role}:{name}"])):
                    said.append(
                        f"site {name!r} of the {role}, {now['distribution']}, has {apart} when it was "
                        f"{was['distribution']}"
                    )
        return said


def few(problem: Problem) -> dict[str, np.ndarray]:
    """Rows of data for a look at the programs: a few, or all where they run on no others."""
    return dict(problem.example) if tied(problem) else {name: value[:FEW] for name, value in problem.example.items()}


_NAMES = "names of distributions"  # noted in `Problem.compiled` while `_look` is traced


def _look(problem: Problem) -> Any:
    """The function that draws what is latent and takes the log densities of all sites there."""

    def look(parameters: Mapping[str, Any], data: Mapping[str, Any], drawn: Mapping[str, Any], key: Any) -> Any:
        with ops.activate(problem.backend):
            joints, batch = problem.joints(parameters, key), Batch.of_data(data)
            p, q = joints["model"], joints.get("guide")
            z: Any = Batch(drawn, rows=batch.rows, drawn=drawn)
            if not drawn and q is not None:
                z = q.draw(batch).values
            run = p.draw(batch | z)
            z = Batch({**z, **run.values}, rows=batch.rows, drawn={**z, **run.values})
            traces = {"model": run}
            if q is not None and all(site.kind != "auxiliary" for site in q.program.sites.values()):
                traces["guide"] = q.trace(batch | z).latent
            problem.compiled[_NAMES] = {
                role: {name: _name(trace.first(name)) for name in trace} for role, trace in traces.items()
            }
            return dict(z), {
                f"{role}:{name}": term.log_prob
                for role, trace in traces.items()
                for name, term in trace.items()
                if term.log_prob is not None and _computable(trace.site(name))
            }

    return look


def _computable(site: Any) -> bool:
    """Whether a site has a log density that is the same each time: no estimate, and no point."""
    return site.has_density and not site.estimated and site.support.kind != "point"


def _described(problem: Problem, role: str, names: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, site in problem.programs[role].sites.items():
        if site.kind != "auxiliary":
            yield (
                name,
                {
                    "event shape": list(site.event_shape),
                    "support": str(site.support),
                    "observed": site.observed,
                    "distribution": names.get(name, "unknown"),
                },
            )


def _name(distribution: Any) -> str:
    """What a distribution is called beneath what reshapes it."""
    while (inner := getattr(distribution, "base_dist", None)) is not None and not hasattr(distribution, "transforms"):
        distribution = inner
    return type(distribution).__name__


def _apart(was: np.ndarray, now: np.ndarray) -> str:
    """How log densities differ, in words; nothing where they do not."""
    was, now = np.asarray(was, np.float64), np.asarray(now, np.float64)
    if was.shape == now.shape and np.allclose(now, was, rtol=CLOSE, atol=CLOSE, equal_nan=True):
        return ""
    if was.shape != now.shape:
        return f"log densities of shape {now.shape} where {was.shape} was"
    worst = np.unravel_index(np.nanargmax(np.abs(np.nan_to_num(now) - np.nan_to_num(was))), was.shape)
    return f"log density {now[worst]:.4f} of a row that had {was[worst]:.4f}"
