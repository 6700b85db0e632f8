"""ppgen: deep generative models as programs, learned by swappable algorithms on NumPyro or Pyro."""

from ppgen import data, nn, ops
from ppgen.inference import ELBO, GAN, IWAE, MaximumLikelihood, Renyi, ReweightedWakeSleep, WakeSleep
from ppgen.language import deterministic, dist, factor, module, param, plate, sample, using
from ppgen.training.optimizers import SGD, Adam
from ppgen.training.trainer import Trainer
