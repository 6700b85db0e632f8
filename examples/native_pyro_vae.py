"""A VAE in Pyro's own idiom (torch modules, `obs=`), learned by three algorithms. Not a line of it knows of ppgen.

    python examples/native_pyro_vae.py

After `pyro-ppl/pyro/examples/vae`. The modules keep their own numbers; the learned ones are in `fit.params`.
"""

import pyro
import pyro.distributions as dist
import torch
from torch import nn

import ppgen


class Encoder(nn.Module):
    def __init__(self, pixels, hidden, latents):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(pixels, hidden), nn.Softplus())
        self.loc, self.log_scale = nn.Linear(hidden, latents), nn.Linear(hidden, latents)

    def forward(self, x):
        hidden = self.hidden(x)
        return self.loc(hidden), self.log_scale(hidden).exp()


class VAE(nn.Module):
    def __init__(self, pixels=64, hidden=128, latents=10):
        super().__init__()
        self.encoder = Encoder(pixels, hidden, latents)
        self.decoder = nn.Sequential(nn.Linear(latents, hidden), nn.Softplus(), nn.Linear(hidden, pixels))
        self.latents = latents

    def model(self, x):
        pyro.module("decoder", self.decoder)
        with pyro.plate("data", x.shape[0]):
            loc = x.new_zeros((x.shape[0], self.latents))
            z = pyro.sample("latent", dist.Normal(loc, torch.ones_like(loc)).to_event(1))
            pyro.sample("obs", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x)

    def guide(self, x):
        pyro.module("encoder", self.encoder)
        with pyro.plate("data", x.shape[0]):
            loc, scale = self.encoder(x)
            pyro.sample("latent", dist.Normal(loc, scale).to_event(1))


def main():
    torch.manual_seed(0)
    torch.set_num_threads(1)  # networks this small gain nothing from more
    vae, digits = VAE(), ppgen.data.digits()
    for algorithm in (ppgen.ELBO(), ppgen.IWAE(10), ppgen.WakeSleep()):
        fit = ppgen.fit(
            vae.model, vae.guide, data={"x": digits.train["x"]}, algorithm=algorithm,
            backend="pyro", epochs=30, batch_size=128,
        )  # fmt: skip
        print(f"{algorithm}\n{fit.evaluate({'x': digits.test['x']}, particles=200)}\n")


if __name__ == "__main__":
    main()
