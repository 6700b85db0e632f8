"""The intervened program: sites that are set from outside, and no longer follow from what came before them."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ppgen.backends.recorder import running
from ppgen.errors import ProgramError


def do(program: Callable[..., Any], values: Mapping[str, Any]) -> Callable[..., Any]:
    r"""The program in which some sites are set to values, whatever their ancestors say (Pearl, 2009).

    .. math:: p(x, u | \mathrm{do}(z)) = p(u) \, p(x | u, z), \qquad p(x, u | z) = \frac{p(u) \, p(z | u) \, p(x | u, z)}{p(z)}

    What came before the site no longer has a say in it, and it has no log density: it is a constant, and no site. Where z and x
    have a common cause u, :math:`p(x | \mathrm{do}(z))` is not :math:`p(x | z)`, which also learns from z about u. The result
    is a program as any other, for `ppgen.fit`, `ppgen.evaluate` and the like, with the parameters of the old one.

    Args:
        program: a model (or a guide, which must then not draw these sites either); native ones too.
        values: by site: a number, or an array that broadcasts to the site's shape.

    Raises:
        ProgramError: when the program runs: it has no such site, or the site cannot take the value.

    Example:
        >>> import numpy as np, ppgen
        >>> from ppgen import dist, plate, sample
        >>> def model(rows):  # the healthy are treated, and recover
        ...     with plate("data", rows):
        ...         healthy = sample("healthy", dist.Bernoulli(0.5))
        ...         treated = sample("treated", dist.Bernoulli(0.1 + 0.8 * healthy))
        ...         sample("recovers", dist.Bernoulli(0.2 + 0.6 * healthy))
        >>> data = {"recovers": np.ones(1)}
        >>> found = ppgen.evaluate(ppgen.do(model, {"treated": 1.0}), data=data)
        >>> round(float(np.exp(found.nats)), 3)  # 0.74 of the treated recover; treatment does nothing
        0.5
    """
    if not values or not isinstance(values, Mapping):
        raise ProgramError(f"do: expected values by site; got {values!r}. Write ppgen.do(model, {{'z': 1.0}}).")
    values = {name: np.asarray(value) for name, value in values.items()}

    @functools.wraps(program, updated=())
    def intervened(*args: Any, **kwargs: Any) -> Any:
        run = running()
        if run is None:
            raise ProgramError(
                "do: an intervened program was called outside a run; expected it to be run by ppgen. Pass it to ppgen.fit or "
                "ppgen.evaluate, as the program that it was made of."
            )
        with run.intervening(values):
            return program(*args, **kwargs)

    intervened.__signature__ = inspect.signature(getattr(program, "forward", program))  # pyright: ignore[reportAttributeAccessIssue]
    return intervened
