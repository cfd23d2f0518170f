"""Networks on embeddings: PFRNet's autoencoder, SensitiveNets' projection, and what trains them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss, normalize, relu

from bench.api import Context, InputError, Templates
from bench.training import adam, descend, own_rows, seeded
from methods._blocks.training import AnyTask, Plan, run_plan

# -- training on rows of a table -----------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """rows: int64 (B,), of the table. generator: on their device; the step's only source of randomness."""

    rows: Tensor
    generator: torch.Generator


def train_on_rows(
    task: AnyTask[Rows], count: int, plan: Plan, ctx: Context, *, name: str
) -> dict[str, list[float]]:
    """Run `plan` on `count` rows, see `run_plan`; returns the curves."""

    def batch(step: int) -> Rows:
        rows = torch.from_numpy(own_rows(count, plan.batch, plan.seed, step)).to(ctx.device)
        entropy = np.random.SeedSequence([plan.seed, 3, step]).generate_state(1)
        return Rows(rows, torch.Generator(ctx.device).manual_seed(int(entropy[0])))

    return run_plan(task, batch, plan, ctx, count=count, name=name)[1]


def steps_of(epochs: int, count: int, batch: int) -> int:
    """Steps in which `count` rows pass `epochs` times."""
    return max(1, math.ceil(epochs * count / batch))


def _layers(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers with rectified units between them."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


# -- PFRNet --------------------------------------------------------------------------------------------


class SplitAutoencoder(nn.Module):
    """PFRNet's network for embeddings of length `width`; the printed one at 512.

    Encoders: 512-512-512-496 for what does not depend on the attribute, 256-128-64-16 for what does; decoder
    of four layers of 512 on both codes. Other widths scale all of these.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        dependent = max(1, width // 32)
        narrowing = [max(dependent, width // k) for k in (2, 4, 8)]
        self.independent = _layers([width, width, width, width, width - dependent])
        self.dependent = _layers([width, *narrowing, dependent])
        self.decoder = _layers([width] * 5)

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, D) -> codes (N, D - D/32) and (N, D/32), and the vectors (N, D) decoded from both."""
        kept, dropped = self.independent(vectors), self.dependent(vectors)
        return kept, dropped, self.decoder(torch.cat([kept, dropped], 1))


def moment_gaps(codes: Tensor, labels: Tensor) -> Tensor:
    """Differences of first and of second moments of `codes` (N, D) between classes: (2, pairs, D).

    labels: int64 (N,), -1 where unknown. Every pair of classes that occurs counts; none: (2, 0, D).
    """
    classes = [codes[labels == c] for c in labels.unique().tolist() if c >= 0]
    moments = [torch.stack([c.mean(0), c.square().mean(0)]) for c in classes]
    gaps = [a - b for a, b in combinations(moments, 2)]
    return torch.stack(gaps, 1) if gaps else codes.new_zeros(2, 0, codes.shape[1])


class SplitTask(AnyTask[Rows]):
    """PFRNet: reconstruct, with one code alike in all classes and the other different between them.

    vectors: float32 (N, D). labels: int64 (N,), -1 where unknown. weights: of the two moment losses.
    """

    def __init__(
        self,
        network: SplitAutoencoder,
        vectors: Tensor,
        labels: Tensor,
        *,
        rate: float,
        weights: tuple[float, float],
    ) -> None:
        self.network, self._vectors, self._labels, self._weights = network, vectors, labels, weights
        self.product = network
        self.modules = {"autoencoder": network}
        self.optimisers = {"autoencoder": adam(network.parameters(), rate, (0.5, 0.999))}

    def step(self, number: int, batch: Rows) -> Mapping[str, Tensor]:
        vectors, labels = self._vectors[batch.rows], self._labels[batch.rows]
        kept, dropped, decoded = self.network(vectors)
        losses = {"reconstruction": mse_loss(decoded, vectors)}
        total = losses["reconstruction"]
        alike, apart = moment_gaps(kept, labels), moment_gaps(dropped, labels)
        if alike.numel():  # a batch may hold one class only
            losses["independent"] = alike.square().mean((1, 2)).sum()
            losses["dependent"] = torch.exp(-apart.square()).mean((1, 2)).sum()
            total = total + self._weights[0] * losses["independent"] + self._weights[1] * losses["dependent"]
        descend(self.optimisers["autoencoder"], total)
        return losses


# -- SensitiveNets -------------------------------------------------------------------------------------


class Projection(nn.Module):
    """x -> unit (x + W x + b), (N, D) -> (N, D): at first the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change = nn.Linear(width, width)
        nn.init.zeros_(self.change.weight)
        nn.init.zeros_(self.change.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        return normalize(vectors + self.change(vectors))


class DetectorTask(AnyTask[Rows]):
    """A fresh classifier of one hidden layer, (N, D) -> logits (N, K), trained on fixed vectors."""

    def __init__(self, vectors: Tensor, labels: Tensor, *, hidden: int, rate: float) -> None:
        self._vectors, self._labels = vectors, labels
        self.network = _layers([vectors.shape[1], hidden, int(labels.max()) + 1])
        self.product = self.network.to(vectors.device)
        self.modules = {"detector": self.product}
        self.optimisers = {"detector": adam(self.network.parameters(), rate)}

    def step(self, number: int, batch: Rows) -> Mapping[str, Tensor]:
        loss = cross_entropy(self.network(self._vectors[batch.rows]), self._labels[batch.rows])
        descend(self.optimisers["detector"], loss)
        return {"detector": loss}


def triplet_loss(anchors: Tensor, positives: Tensor, identities: Tensor, margin: float) -> Tensor:
    """Mean of |a - p|^2 - |a - n|^2 + margin over the triplets of a batch for which that is positive.

    anchors, positives: unit (B, D), row by row of one person; identities: int64 (B,). Each anchor's
    negatives are the positives of all other people in the batch.
    """
    distances = 2 - 2 * anchors @ positives.T
    hinge = relu(distances.diagonal()[:, None] - distances + margin)
    hinge = hinge * (identities[:, None] != identities)
    total: Tensor = hinge.sum() / (hinge > 0).sum().clamp(min=1)
    return total


def sensitive_loss(logits: Tensor, aim: float) -> Tensor:
    """Mean of log(1 + |aim - P|), P the probability of the first class; logits (N, K)."""
    return torch.log1p((aim - logits.softmax(1)[:, 0]).abs()).mean()


class SensitiveTask(AnyTask[Rows]):
    """SensitiveNets: a projection learns against a detector that is trained anew every epoch.

    labels: int64 (N,) of the attribute, -1 where unknown. settings: the method's options of these names.
    count: rows of an epoch, the templates that have another one of the same person.
    """

    def __init__(
        self,
        network: Projection,
        templates: Templates,
        labels: NDArray[np.int64],
        settings: Mapping[str, Any],
        *,
        seed: int,
        device: str,
    ) -> None:
        self.network, self._settings, self._seed = network, settings, seed
        self._vectors = torch.from_numpy(templates.vectors).to(device)
        self._labels = torch.from_numpy(labels).to(device)
        self._pairs = Pairs(templates.identities, device)
        self.count = len(self._pairs)
        self._detector: nn.Module = nn.Identity()
        self.product = network
        self.modules = {"projection": network}
        self.optimisers = {"projection": adam(network.parameters(), settings["rate"])}

    def step(self, number: int, batch: Rows) -> Mapping[str, Tensor]:
        s = self._settings
        losses: dict[str, Tensor] = {}
        if number % steps_of(1, self.count, s["batch"]) == 0:
            losses["detector"] = self._renew_detector(number)
        anchors, positives, identities = self._pairs.draw(batch.rows, batch.generator)
        projected = self.network(self._vectors[torch.cat([anchors, positives])])
        first, second = projected.chunk(2)
        losses["triplet"] = triplet_loss(first, second, identities, s["margin"])
        losses["sensitive"] = sensitive_loss(self._detector(projected), s["aim"])
        descend(
            self.optimisers["projection"],
            losses["triplet"] + s["lambda_sensitive"] * losses["sensitive"],
        )
        return losses

    def _renew_detector(self, number: int) -> Tensor:
        """Train a fresh detector on what is projected now; returns its last loss."""
        s = self._settings
        known = self._labels >= 0
        with torch.no_grad():
            vectors = self.network(self._vectors[known])
        seed = int(np.random.SeedSequence([self._seed, 4, number]).generate_state(1)[0])
        with seeded(seed):
            task = DetectorTask(
                vectors, self._labels[known], hidden=s["detector_hidden"], rate=s["detector_rate"]
            )
        steps = steps_of(s["detector_epochs"], len(vectors), s["batch"])
        plan = Plan(steps, s["batch"], seed, decay_from=1.0)
        silent = Context(device=str(vectors.device))
        curves = train_on_rows(task, len(vectors), plan, silent, name="detector")
        self._detector = task.network.requires_grad_(False)
        return vectors.new_tensor(curves["detector"][-1])


class Pairs:
    """Templates that have another one of the same person, and draws of such others.

    Raises InputError where nobody has two templates, or only one person has.
    """

    def __init__(self, identities: NDArray[np.int64], device: str) -> None:
        order = np.argsort(identities, kind="stable")
        _, starts, counts = np.unique(identities[order], return_index=True, return_counts=True)
        if (counts > 1).sum() < 2:
            raise InputError("triplets need at least two people with two templates each; use more faces")
        place = np.arange(len(order))
        start, size = np.repeat(starts, counts), np.repeat(counts, counts)
        usable = size > 1
        self._order = torch.from_numpy(order).to(device)
        self._identities = torch.from_numpy(identities[order]).to(device)
        self._place, self._start, self._size = (
            torch.from_numpy(column[usable].astype(np.int64)).to(device) for column in (place, start, size)
        )

    def __len__(self) -> int:
        return len(self._place)

    def draw(self, rows: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Templates (B,) at `rows` of the usable ones, another template of each one's person, identities."""
        place, start, size = self._place[rows], self._start[rows], self._size[rows]
        step = 1 + (torch.rand(len(rows), generator=generator, device=rows.device) * (size - 1)).long()
        other = start + (place - start + step.clamp(max=size - 1)) % size
        return self._order[place], self._order[other], self._identities[place]
