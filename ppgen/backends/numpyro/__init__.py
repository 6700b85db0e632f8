"""NumPyro on JAX: programs run under `vmap` over particles, training inside one compiled loop."""

import jax
from jaxlib.version import __version__ as jaxlib_version

from ppgen.backends.numpyro.densities import Densities
from ppgen.backends.numpyro.programs import Programs
from ppgen.backends.numpyro.sampling import Sampling
from ppgen.backends.numpyro.storage import Storage
from ppgen.backends.numpyro.training import Training


class Backend(Programs, Densities, Training, Sampling, Storage):
    """The NumPyro backend; see `ppgen.backends.protocol` for what a backend provides."""

    name = "numpyro"
    library = "jax"
    compiles = True

    def __init__(self) -> None:
        if jaxlib_version == "0.10.2" and jax.default_backend() == "cpu":
            raise ImportError(
                "jaxlib 0.10.2 computes wrong sums on CPUs without a word (fused multiply and reduce beyond 32768 "
                "elements). Install another one: pip install 'jax!=0.10.2' 'jaxlib!=0.10.2'."
            )
