"""Pyro on PyTorch: programs run eagerly, with particles as an outermost batch axis."""

import torch

from ppgen.backends.pyro.arrays import Arrays
from ppgen.backends.pyro.densities import Densities
from ppgen.backends.pyro.lending import Lending
from ppgen.backends.pyro.programs import Programs
from ppgen.backends.pyro.sampling import Sampling
from ppgen.backends.pyro.storage import Storage
from ppgen.backends.pyro.training import Training


class Backend(Programs, Arrays, Densities, Sampling, Storage, Lending, Training):
    """The Pyro backend; see `ppgen.backends.protocol` for what a backend provides."""

    name = "pyro"
    library = "torch"
    compiles = False

    def __init__(self) -> None:
        self._lent: dict[torch.nn.Parameter, torch.Tensor] = {}
        self._borrowing = False
