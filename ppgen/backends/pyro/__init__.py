"""Pyro on PyTorch: programs run eagerly, with particles as an outermost batch axis."""

from ppgen.backends.pyro.densities import Densities
from ppgen.backends.pyro.programs import Programs
from ppgen.backends.pyro.sampling import Sampling
from ppgen.backends.pyro.storage import Storage
from ppgen.backends.pyro.training import Training


class Backend(Programs, Densities, Training, Sampling, Storage):
    """The Pyro backend; see `ppgen.backends.protocol` for what a backend provides."""

    name = "pyro"
    library = "torch"
    compiles = False
