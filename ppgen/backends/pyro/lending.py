"""Torch modules of a user show a fit's numbers while a program runs, and have their own again after it."""

import contextlib
from collections.abc import Iterator

import torch


class Lending:
    """Lends parameters to the modules that compute with them."""

    def __init__(self) -> None:
        self._lent: dict[torch.Tensor, torch.Tensor] = {}
        self._borrowing = False

    def lend(self, owner: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        """Make a module's own parameter show `value`; gradients then arrive at `owner`, unless `value` is frozen."""
        self._lent.setdefault(owner, owner.data)
        if owner.data_ptr() != value.data_ptr():
            owner.data = value.detach()
        return owner.requires_grad_(value.requires_grad)

    @contextlib.contextmanager
    def borrowing(self) -> Iterator[None]:
        """Inside the outermost of these blocks modules and torch's random stream are the fit's, after it the user's.

        That is a whole step, since its gradients need the modules' tensors.
        """
        if self._borrowing:
            yield
            return
        self._borrowing, stream = True, torch.get_rng_state()
        try:
            yield
        finally:
            torch.set_rng_state(stream)
            for owner, data in self._lent.items():
                owner.data = data
            self._lent.clear()
            self._borrowing = False
