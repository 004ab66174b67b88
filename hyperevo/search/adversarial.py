"""Adversarial search: a generator of networks learns to classify, and a discriminator keeps its codes near their prior.

    generator:      min   -beta · mean fitness of the drawn networks  -  mean log D(code)
    discriminator:  max   discriminator_beta · (mean log D(normal numbers)  +  mean log(1 - D(code)))

This is HyperGAN (Ratzlaff & Li 2019) for any encoding of networks that share all numbers but their noise. Every step
draws noise anew, from the seed and the step alone. Before the first step the codes are brought near the prior by their
mean and covariance. Without a discriminator it is a plain hypernetwork whose networks are drawn.

The paper gives neither learning rates nor beta. In its first public code the generator raises log D(code) while the
discriminator calls codes real as well; here the two are adversaries.
"""

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import softplus

from hyperevo.abilities import HasDivergence, LearnsPrior, Loss
from hyperevo.components import ComponentSettings, NotNegative, Positive
from hyperevo.errors import UserError
from hyperevo.generative.hypergan import Chain
from hyperevo.genotypes import Drawn
from hyperevo.parts import Encoding, Search
from hyperevo.randomness import generator_for
from hyperevo.search._restored import restored, restored_optimizer

NOISE_STREAM, PRIOR_STREAM, FIXED_STREAM, CODES_STREAM = 0x6E6F6973, 0x7072696F, 0x66697865, 0x636F6465
"""Streams that keep apart the noise of a step, normal numbers for the discriminator, noise of the networks that are
validated, and noise of the pretraining."""

PRETRAINING_BATCH, PRETRAINING_ENDS, PRETRAINING_RATE = 1000, 0.1, 1e-3
"""Noises in a step of pretraining, loss at which it ends, and Adam's learning rate."""

Decay = Annotated[float, Field(ge=0, lt=1)]


class Settings(ComponentSettings):
    """Options of the adversarial search."""

    name: Literal["adversarial"] = "adversarial"
    population: int = Field(32, ge=1, le=10_000)
    """Networks drawn in every step, which see the same images: 32 in the first code, 100 in the last."""
    discriminator: Literal["each", "joint", "none"] = "each"
    """Codes that the discriminator sees at a time: each, one layer's, as in both codes; joint, all of a network, as
    the paper writes it; none, there is no discriminator."""
    discriminator_hidden: tuple[Annotated[int, Field(ge=1, le=100_000)], ...] = (512, 512)
    """Hidden units of the discriminator, with ReLU."""
    beta: NotNegative = 1.0
    """Weight of the fitness beside the adversarial loss: 100 in the first code, 1000 for 5,000 images."""
    discriminator_beta: NotNegative = 1.0
    """Weight of the discriminator's own loss, the last code's beta."""
    divergence: NotNegative = 0.0
    """Weight of the divergence of the weights' distribution from their prior, for encodings that have one; one over the
    number of training images makes the loss the negative evidence lower bound, an image's share."""
    learning_rate: Positive = 1e-4
    """Adam's learning rate of the generators, or of the means of encoding gaussian."""
    mixer_learning_rate: Positive = 5e-4
    """Adam's learning rate of the mixer, 5e-4 in the first code and 5e-3 for CIFAR in the last; or of the logarithms of
    deviations."""
    discriminator_learning_rate: Positive = 1e-4
    """Adam's learning rate of the discriminator."""
    betas: tuple[Decay, Decay] = (0.5, 0.9)
    """Adam's decay of its two moments: (0.5, 0.9) in the first code, (0.9, 0.999) in the last."""
    weight_decay: NotNegative = 0.0
    """Weight decay of all numbers, as a part of the gradient: 1e-4 in the first code, 5e-4 in the last."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Course of the learning rates: constant, or down to 0 as a cosine by the end of the run."""
    clip: Positive | None = None
    """Largest norm of the gradient of all shared numbers, to which longer ones are scaled down; by default none."""
    pretraining: int = Field(100, ge=0, le=100_000)
    """Largest number of steps that bring the codes near the prior before the run begins; they end early where the
    squared differences of mean and covariance add up to less than 0.1."""
    validated: int = Field(10, ge=1, le=1000)
    """Networks with fixed noise that are validated; the best of them at any time is the champion."""
    steps_per_round: int = Field(50, ge=1, le=100_000)
    """Number of steps in a round; every round ends with an entry in metrics.csv and a checkpoint."""

    def numbers_held(self, genes: int) -> int:
        """Numbers that are shared, their gradients in two copies, an optimiser's two moments, and the champion; and
        those between the discriminator's hidden units, four times."""
        return 6 * genes + 4 * sum(source * target for source, target in pairwise(self.discriminator_hidden))


class AdversarialSearch(Search):
    """Ask for drawn networks, tell their fitness (P,) with its graph. `generation` counts steps."""

    # What takes millions of numbers is made when it is first wanted: who only inspects a search need not wait for it.

    def __init__(self, settings: Settings, encoding: LearnsPrior, seed: int):
        self.settings, self.encoding, self.seed = settings, encoding, seed
        self.generation, self.total_steps, self.steps_per_round = 0, 0, settings.steps_per_round
        self._pretrained = False
        self._losses = {"adversarial_loss": 0.0, "discriminator_loss": 0.0, "gradient_norm": 0.0}

    @cached_property
    def _shared(self) -> Tensor:
        """Numbers that networks share, (genes - noise,), on the encoding's device."""
        genes = self.encoding.sample(1, generator_for(self.seed, 0))[0]
        return genes[: self.encoding.genes - self.encoding.noise].to(self.encoding.device).clone().requires_grad_()

    @cached_property
    def _fixed(self) -> Tensor:
        """Noise of the networks that are validated."""
        generator = generator_for(self.seed, 0, FIXED_STREAM)
        return self.encoding.drawn(self._shared, self.settings.validated, generator).codes

    @cached_property
    def _judge(self) -> Chain:
        """The discriminator."""
        layers, length = self._codes(self._draw(0)).shape[1:]
        units = length if self.settings.discriminator == "each" else layers * length
        return Chain((units, *self.settings.discriminator_hidden, 1), "relu", normalised=False, biases=True)

    @cached_property
    def _judging(self) -> Tensor:
        """The discriminator's numbers."""
        own = self._judge.start(generator_for(self.seed, 1, PRIOR_STREAM))
        return own.to(self.encoding.device).requires_grad_()

    @cached_property
    def _trained(self) -> dict[str, Tensor]:
        """Numbers by the player they belong to, on the memory of those above."""
        mixer, generators = (part.detach() for part in self._shared.split(list(self.encoding.parts)))
        return {"mixer": mixer, "generators": generators, "discriminator": self._judging}

    @cached_property
    def _optimizers(self) -> dict[str, torch.optim.Adam]:
        return {name: torch.optim.Adam([numbers], 1e-3, self.settings.betas, weight_decay=self.settings.weight_decay,
                                       fused=True) for name, numbers in self._trained.items()}

    @property
    def evaluations_per_round(self) -> int:
        """Number of networks that are shown a batch in every round."""
        return self.settings.population * self.settings.steps_per_round

    def plan(self, rounds: Callable[[int], int]) -> None:
        """Learn the length of the run: schedules end with it."""
        self.total_steps = rounds(self.evaluations_per_round) * self.settings.steps_per_round

    def loss(self) -> Loss:
        """Options of the loss: the defaults."""
        return Loss()

    def _draw(self, step: int) -> Drawn:
        noise = generator_for(self.seed, step, NOISE_STREAM)
        return self.encoding.drawn(self._shared, self.settings.population, noise)

    def ask(self) -> Drawn:
        """Networks with the noise of the coming step; what they share is a leaf that requires a gradient."""
        if not self._pretrained:
            self._pretrain()
            self._pretrained = True
        return self._draw(self.generation)

    def _pretrain(self) -> None:
        """Bring the codes near the prior (the first code's pretraining of its encoder)."""
        numbers = self._shared.detach()[: self.encoding.parts[0]].clone().requires_grad_()
        optimizer = torch.optim.Adam([numbers], PRETRAINING_RATE, fused=True)
        for step in range(self.settings.pretraining):
            drawn = self.encoding.drawn(numbers, PRETRAINING_BATCH, generator_for(self.seed, step, CODES_STREAM))
            loss = distance_from_normal(self.encoding.codes(drawn))
            if float(loss.detach()) < PRETRAINING_ENDS or not loss.requires_grad:
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            self._shared[: self.encoding.parts[0]] = numbers

    def tell(self, fitness: Tensor) -> None:
        """Take the fitness (P,) of the drawn networks, higher is better, with its graph, and one step of both players;
        raises ValueError for another number of values."""
        if fitness.shape != (self.settings.population,):
            raise ValueError(f"fitness of shape {tuple(fitness.shape)} for {self.settings.population} drawn networks")
        self._set_rates()
        loss = -self.settings.beta * fitness.mean()
        if self.settings.divergence and isinstance(self.encoding, HasDivergence):
            loss = loss + self.settings.divergence * self.encoding.divergence(self._shared)
        (gradient,) = torch.autograd.grad(loss, self._shared)
        if self.settings.discriminator != "none":
            gradient[: self.encoding.parts[0]] += self._adversarial_gradient()
        self._follow(gradient)
        self.generation += 1

    def _adversarial_gradient(self) -> Tensor:
        """Gradient of the adversarial loss by the numbers that make codes, after the discriminator's step."""
        mixer = self._shared.detach()[: self.encoding.parts[0]].requires_grad_()
        codes = self._seen(self._codes(Drawn(mixer, self._draw(self.generation).codes)))
        self._losses["discriminator_loss"] = self._teach_discriminator(codes.detach())
        loss = softplus(-self._answers(codes, self._judging.detach())).mean()
        self._losses["adversarial_loss"] = float(loss.detach())
        if not codes.requires_grad:  # codes that are the noise itself
            return torch.zeros_like(mixer)
        return torch.autograd.grad(loss, mixer)[0]

    def _follow(self, gradient: Tensor) -> None:
        """Take the generator's step along the gradient of what networks share."""
        norm = float(gradient.norm())
        self._losses["gradient_norm"] = norm
        if self.settings.clip is not None and norm > self.settings.clip:
            gradient.mul_(self.settings.clip / norm)
        for name, part in zip(("mixer", "generators"), gradient.split(list(self.encoding.parts)), strict=True):
            self._trained[name].grad = part
            self._optimizers[name].step()
            self._trained[name].grad = None

    def _codes(self, drawn: Drawn) -> Tensor:
        return self.encoding.codes(drawn)

    def _seen(self, codes: Tensor) -> Tensor:
        """Codes (N, length) as the discriminator sees them, from codes (P, layers, length)."""
        return codes.flatten(0, 1) if self.settings.discriminator == "each" else codes.flatten(1)

    def _answers(self, codes: Tensor, numbers: Tensor) -> Tensor:
        """Logits (N, 1) of the discriminator: large where codes look normal."""
        return self._judge.outputs(numbers.split(self._judge.sizes_of_parts), codes, 0)

    def _teach_discriminator(self, codes: Tensor) -> float:
        """Take the discriminator's step between as many normal numbers and these codes: its loss before it."""
        generator = generator_for(self.seed, self.generation + 2, PRIOR_STREAM)
        normal = torch.randn(codes.shape, generator=generator).to(codes.device)
        answers = self._answers(torch.cat([normal, codes]), self._judging)
        loss = softplus(-answers[: len(codes)]).mean() + softplus(answers[len(codes) :]).mean()
        self._judging.grad = None
        (self.settings.discriminator_beta * loss).backward()
        self._optimizers["discriminator"].step()
        return float(loss.detach())

    def _set_rates(self) -> None:
        settings = self.settings
        rates = {"mixer": settings.mixer_learning_rate, "generators": settings.learning_rate,
                 "discriminator": settings.discriminator_learning_rate}
        for name, optimizer in self._optimizers.items():
            optimizer.param_groups[0]["lr"] = rates[name] * self._share()

    def _share(self) -> float:
        """Learning rates of the coming step, over the largest."""
        if self.settings.schedule == "constant":
            return 1.0
        return (1 + math.cos(math.pi * min(self.generation / max(self.total_steps, 1), 1.0))) / 2

    def candidates(self) -> Drawn:
        """Networks with fixed noise, which are to be validated."""
        return Drawn(self._shared.detach(), self._fixed)

    def statistics(self) -> dict[str, float]:
        """Numbers for metrics.csv: the generators' learning rate, the losses of both players, and the norm of the last
        gradient."""
        return {"learning_rate": self.settings.learning_rate * self._share(), **self._losses}

    def state(self) -> dict[str, Any]:
        """Plain data on which the rest of the search depends: the numbers of both players, and Adam's moments."""
        moments = {f"{name}.optimizer.{key}": value.detach().clone() for name, optimizer in self._optimizers.items()
                   for key, value in optimizer.state[self._trained[name]].items() if isinstance(value, Tensor)}
        return {"generation": self.generation, "pretrained": self._pretrained, "losses": dict(self._losses),
                "shared": self._shared.detach().clone(), "discriminator": self._judging.detach().clone(), **moments}

    def restore(self, state: dict[str, Any], told: Sequence[Tensor] = ()) -> None:
        """Continue where `state` was taken, bit by bit; the fitness `told` so far is not needed."""
        self.generation, self._pretrained = state["generation"], bool(state["pretrained"])
        self._losses = {key: float(state["losses"][key]) for key in self._losses}
        with torch.no_grad():
            self._shared.copy_(restored(state, "shared", self._shared))
            self._judging.copy_(restored(state, "discriminator", self._judging))
        for name, optimizer in self._optimizers.items():
            own = {key.removeprefix(f"{name}."): value for key, value in state.items() if key.startswith(f"{name}.")}
            optimizer.state[self._trained[name]] = restored_optimizer(own, optimizer, self._trained[name].detach())

    def __repr__(self) -> str:
        return (f"{type(self).__name__}({self.settings.population:,} networks a step, "
                f"{sum(self.encoding.parts):,} numbers, step {self.generation})")


def distance_from_normal(codes: Tensor) -> Tensor:
    """Squared difference of the mean and covariance of codes (N, layers, length) from those of independent standard
    normal numbers, a number's mean over each."""
    values = codes.flatten(1)
    mean = values.mean(0)
    covariance = (values - mean).T @ (values - mean) / (len(values) - 1)
    return mean.square().mean() + (covariance - torch.eye(len(mean), device=codes.device)).square().mean()


def build(settings: Settings, encoding: Encoding, seed: int) -> AdversarialSearch:
    """The search over what an encoding's networks share; raises UserError for an encoding of other networks."""
    if not isinstance(encoding, LearnsPrior):
        raise UserError(f"search.name: adversarial trains a generator of networks, such as encoding hypergan, and "
                        f"encoding {encoding.settings.name} is none")
    if settings.divergence and not isinstance(encoding, HasDivergence):
        raise UserError(f"search.divergence: the weights of encoding {encoding.settings.name} have no known "
                        "distribution; encoding gaussian has one")
    return AdversarialSearch(settings, encoding, seed)
