"""Networks: the weights of trained networks, to be encoded and given back; for models that generate networks.

    fitness = -(½ Σ (x - x̂)² + kl_weight · KL(q(z | x) ‖ N(0, 1))) / weights

x is a network as a vector, every weight standardised over the training networks. A target without a distribution of
codes has no KL.
"""

import hashlib
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from hyperevo.components import NotNegative, Score
from hyperevo.errors import UserError
from hyperevo.generative.networks import Networks, read_networks, split_vectors
from hyperevo.generative.symmetries import aligned, permuted
from hyperevo.geometry import Sheet
from hyperevo.measure import VARIANCE_EXPLAINED
from hyperevo.modules import Standardise
from hyperevo.parts import Batch, Task
from hyperevo.randomness import generator_for
from hyperevo.tasks._draws import split
from hyperevo.tasks._own_data import OwnDataSettings


class Settings(OwnDataSettings):
    """Options of the task."""

    name: Literal["networks"] = "networks"
    above: Score | None = None
    """Networks whose score is above this; by default all."""
    most: Score | None = None
    """Networks whose score is at most this; by default all."""
    examples: int = Field(256, ge=1, le=1_000_000)
    """Number of networks in a batch."""
    hidden_units: Literal["as-trained", "aligned", "permuted"] = "aligned"
    """Order of a perceptron's hidden units: as they were trained; aligned, by the contrast of what they send on; or
    permuted, at random in every batch."""
    odd: bool = True
    """true: the function of the hidden units is odd, as tanh and sin are, so that aligning and permuting change the
    signs of units too."""
    condition: bool = False
    """true: the score is an input too, which a generator can then be asked for."""
    kl_weight: NotNegative = 1.0
    """Weight of the distance between codes and their prior; smaller than 1 it makes codes say more and their
    distribution resemble the prior less."""

    @model_validator(mode="after")
    def _has_shares(self) -> "Settings":
        if isinstance(self.validation, str) or isinstance(self.test, str):
            raise ValueError("validation and test are shares of the networks in path")
        return self

    def fitness_label(self) -> str:
        """Axis label of the fitness."""
        return "fitness (evidence lower bound a weight)"


class NetworksTask(Task):
    """Standardised weights of networks (N, weights), with the score as the last input if it is a condition."""

    settings: Settings
    outputs: int

    measure = VARIANCE_EXPLAINED
    examples = "networks"
    form = "networks"

    def __init__(self, settings: Settings, networks: Networks, checksum: str, device: torch.device | str = "cpu"):
        self.settings, self.device, self.checksum = settings, torch.device(device), checksum
        self.data_name, self.shapes = settings.path, networks.shapes
        if settings.hidden_units == "aligned":
            networks = Networks(_explained(settings, networks), networks.table)
        parts = split(len(networks), (float(settings.validation), float(settings.test)), settings.split, settings.path)
        vectors, scores = networks.vectors, networks.table["score"].float()[:, None]
        columns = torch.cat([vectors, scores], 1) if settings.condition else vectors
        self.outputs, self.inputs = vectors.shape[1], Sheet((columns.shape[1],))
        training = columns[parts[0]].double()
        spread = training.std(0)
        self._first = Standardise(1.0, training.mean(0), torch.where(spread > 1e-6, spread, 1.0))
        self._raw = columns[parts[0]]
        self._training, self.validation, self._test = (self._example(self._first(columns[part])) for part in parts)

    def _example(self, standardised: Tensor) -> Batch:
        inputs = standardised.to(self.device)
        return inputs, inputs[:, : self.outputs]

    def batch(self, seed: int, generation: int) -> Batch:
        """Networks of one generation, drawn by seed and generation."""
        generator = generator_for(seed, generation)
        chosen = torch.randint(len(self._raw), (self.batch_size(),), generator=generator)
        if self.settings.hidden_units != "permuted":
            inputs = self._training[0][chosen.to(self.device)]
            return inputs, inputs[:, : self.outputs]
        raw = self._raw[chosen]
        weights = permuted(split_vectors(raw[:, : self.outputs], self.shapes), self.settings.odd, generator)
        vectors = Networks(weights, {"score": raw[:, -1]}).vectors
        return self._example(self._first(torch.cat([vectors, raw[:, self.outputs :]], 1)))

    def batch_size(self) -> int:
        """Number of networks of a generation."""
        return min(self.settings.examples, len(self._raw))

    def calibration(self, examples: int) -> Batch:
        """First training networks."""
        return self._training[0][:examples], self._training[1][:examples]

    def test(self) -> Batch:
        """Test networks."""
        return self._test

    def preprocessing(self) -> Standardise:
        """Weights as they are, and the score, to standardised ones."""
        return self._first

    def fitness(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Fitness (P,) of outputs (P, N, weights), or with the means and log-variances of codes after them, (P, N,
        weights + 2 · latent)."""
        decoded, codes = outputs[..., : self.outputs], outputs[..., self.outputs :]
        loss = (decoded - wanted).square().sum(2) / 2
        if codes.shape[-1]:
            means, logarithms = codes.chunk(2, 2)
            distance = (means.square() + logarithms.exp() - 1 - logarithms).sum(2) / 2
            loss = loss + self.settings.kl_weight * distance
        return -loss.mean(1) / self.outputs

    def score(self, outputs: Tensor, wanted: Tensor) -> Tensor:
        """Score (P,) of outputs (P, N, weights): the share of the standardised weights' variance that is explained."""
        error = (outputs[..., : self.outputs] - wanted).square().sum((1, 2))
        return 1 - error / (wanted - wanted.mean(0)).square().sum()


def _explained(settings: Settings, networks: Networks) -> dict[str, Tensor]:
    try:
        return aligned(networks.weights, settings.odd)
    except ValueError as error:
        raise UserError(f"{settings.path}: {error}; task.hidden_units=as-trained takes them") from error


def build(settings: Settings, device: torch.device) -> NetworksTask:
    """The task with its file read; raises UserError where it cannot be, or where it has too few networks."""
    if not settings.path:
        raise UserError("task.path: is missing: the path of a file of networks")
    networks = read_networks(settings.path)
    score = networks.table["score"]
    wanted = (score > (-torch.inf if settings.above is None else settings.above)) \
        & (score <= (torch.inf if settings.most is None else settings.most))
    if int(wanted.sum()) < 10:
        raise UserError(f"{settings.path}: has {int(wanted.sum())} networks with a score in the bounds of task.above "
                        "and task.most, and at least 10 are wanted")
    with open(settings.path, "rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    return NetworksTask(settings, networks.chosen(wanted), checksum, device)
