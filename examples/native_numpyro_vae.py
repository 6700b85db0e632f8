"""A VAE in NumPyro's own idiom (a flax network, `obs=`), learned by two algorithms. Not a line of it knows of ppgen.

    python examples/native_numpyro_vae.py

After `pyro-ppl/numpyro/examples/vae.py`; `numpyro.module` with stax, `eqx_module` and `nnx_module` do as well.
"""

import flax.linen as nn
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from numpyro.contrib.module import flax_module

import ppgen


class Encoder(nn.Module):
    hidden: int
    latents: int

    @nn.compact
    def __call__(self, x):
        x = nn.softplus(nn.Dense(self.hidden)(x))
        return nn.Dense(self.latents)(x), jnp.exp(nn.Dense(self.latents)(x))


class Decoder(nn.Module):
    hidden: int
    pixels: int

    @nn.compact
    def __call__(self, z):
        return nn.Dense(self.pixels)(nn.softplus(nn.Dense(self.hidden)(z)))


def model(batch, hidden=128, latents=10):
    decoder = flax_module("decoder", Decoder(hidden, batch.shape[1]), input_shape=(1, latents))
    with numpyro.plate("batch", batch.shape[0]):
        z = numpyro.sample("z", dist.Normal(0, 1).expand([latents]).to_event(1))
        numpyro.sample("obs", dist.Bernoulli(logits=decoder(z)).to_event(1), obs=batch)


def guide(batch, hidden=128, latents=10):
    encoder = flax_module("encoder", Encoder(hidden, latents), input_shape=(1, batch.shape[1]))
    with numpyro.plate("batch", batch.shape[0]):
        numpyro.sample("z", dist.Normal(*encoder(batch)).to_event(1))


def main():
    digits = ppgen.data.digits()
    for algorithm in (ppgen.ELBO(), ppgen.WakeSleep()):
        fit = ppgen.fit(
            model, guide, data={"batch": digits.train["x"]}, algorithm=algorithm,
            epochs=100, batch_size=479,  # three equal batches: one shape to compile
        )  # fmt: skip
        print(f"{algorithm}\n{fit.evaluate({'batch': digits.test['x']}, particles=200)}\n")


if __name__ == "__main__":
    main()
