"""Adaptive obfuscation of facial attributes (Li et al., ACM MM 2021): redraw what does not tell who it is.

Stage 1 finds the parts of each face that a recogniser leans on: a saliency map of the face's class, its mean
in each of five parts. Stage 2 redraws the other parts with StarGAN's generator, trained with an identity
loss. The aim is another look to humans and the same person to matchers: a high LPIPS is wanted, not a low
one.

At inference it needs the labels of the five attributes; the outputs that choose by themselves also need the
auxiliary recogniser, which is kept with the weights, and either a part map or five landmarks.

Choices where the paper is silent, contradicts itself, or differs from the authors' code:

- k is the number of parts obfuscated (captions of Tables 2-4; Figs. 5 and 6 label what is preserved).
- `adaptive`: no threshold is printed; parts that score below the mean of the face's five are obfuscated, 1 to
  4 of them. `best` is the code's: of the 30 outputs the one whose embedding lies nearest the original's under
  the auxiliary recogniser, which is white-box selection by a matcher.
- Saliency: Grad-CAM, as in the code; `saliency` = `cam` for the printed CAM, which needs a linear layer
  behind a global mean of the maps (see `cam_head`). The class is the predicted one, as in the code: the
  nearest of the people of DEVELOP, whose means are kept with the weights.
- A part that a face lacks scores 0: nobody is recognised by it.
- The hair is a part like the others; the paper once says it left the hairline alone (`k` may choose it here).
- Identity loss: eq. 7 in the generator's loss, on the last convolutional maps and the embedding, each
  relative to the original's length. Its weight "increases": here in a straight line from 0 to `lambda_id`,
  of which no value is printed; 10 is that of the reconstruction. `identity_loss` = `triplet_inert` trains as
  the released code does, where the term reaches no weight that is trained: the generator is plain StarGAN's.
- Adversarial and label terms, weights and schedule: StarGAN's, see `stargan.py`.

Threats: flips are invertible as StarGAN's are, but the parts differ from face to face: an attacker who has
the recogniser and finds the same parts in the output knows which labels to invert. With k = 1 four of the
five attributes are left as they are in each face; the row says how well the five are hidden on the whole.
`best` and Grad-CAM lean on one recogniser; how well others still match is for them to say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.api import (
    Auxiliaries,
    AuxiliaryMatcher,
    Claim,
    Context,
    Faces,
    Figure,
    Request,
    State,
    Variant,
    revive,
)
from bench.errors import unknown_name
from methods._blocks.face_parts import PART_ATTRIBUTES, parsed, part_masks
from methods.stargan import MOST_PARTS, StarGan

if TYPE_CHECKING:
    from torch import Tensor

    from methods._blocks.gan_training import GanTask

CHOICES = {"saliency": ("gradcam", "cam"), "identity_loss": ("perceptual", "triplet_inert")}
"""Options that take one of a few names."""


class LiMm21(StarGan):
    """Redraws the parts of each face that matter least to a recogniser: `k=1` to `k=4`, or as many as fit.

    The 30 outputs that name their parts redraw the same ones in every face.
    """

    title = "Li et al. 2021"
    paper = "Li et al.: Adaptively Facial Attributes Obfuscation, ACM Multimedia 2021"
    obfuscates = ("receding_hairline", "bushy_eyebrows", "narrow_eyes", "big_nose", "big_lips")
    needs_labels = ("receding_hairline", "bushy_eyebrows", "narrow_eyes", "big_nose", "big_lips")
    trained = True
    selected = ("k=1", "k=3", "adaptive")
    options = {
        **StarGan.options,
        "identity_loss": "perceptual",
        "lambda_id": 10.0,
        "id_from": 0.0,
        "saliency": "gradcam",
    }
    presets = {**StarGan.presets, "quick": {**StarGan.presets["quick"], "lambda_id": 2.0}}
    claims = (
        Claim(
            id="li-more-parts-lower-tar",
            text="faces with three parts obfuscated match less than those with one",
            source="Tables 3 and 4, TAR at FAR .01",
            holds=(Figure.matched("li_mm21:k=1").above(Figure.matched("li_mm21:k=3")),),
        ),
        Claim(
            id="li-each-part-lowers-tar",
            text="every further part that is obfuscated lowers the TAR",
            source="Tables 3 and 4, TAR at FAR .01",
            holds=(
                Figure.matched("li_mm21:k=1").above(Figure.matched("li_mm21:k=2")),
                Figure.matched("li_mm21:k=2").above(Figure.matched("li_mm21:k=3")),
                Figure.matched("li_mm21:k=3").above(Figure.matched("li_mm21:k=4")),
            ),
        ),
        Claim(
            id="li-adaptive-keeps-identity",
            text="choosing the parts face by face keeps more identity than always obfuscating three",
            source="Tables 3 and 4, TAR at FAR .01",
            holds=(Figure.matched("li_mm21:adaptive").above(Figure.matched("li_mm21:k=3")),),
        ),
    )

    def _variants(self) -> Sequence[Variant]:
        """Those that choose for each face, then the 30 fixed ones."""
        fixed = super()._variants()
        attributes = tuple(PART_ATTRIBUTES[part] for part in self._tuned)
        counts = range(1, min(MOST_PARTS, len(attributes)) + 1)
        choosing: dict[str, dict[str, Any]] = {f"k={k}": {"least": k} for k in counts}
        if choosing:
            choosing |= {"adaptive": {"below": "mean"}, "best": {"closest": True}}
        return [
            *(Variant(n, attributes, p, selected=n in self.selected) for n, p in choosing.items()),
            *fixed,
        ]

    def _fit(
        self, faces: Faces, validation: Faces, auxiliaries: Auxiliaries, ctx: Context
    ) -> Mapping[str, Any]:
        from methods._blocks.region_importance import class_means

        for option, known in CHOICES.items():
            if self.settings[option] not in known:
                raise unknown_name(option, self.settings[option], known)
        figures = super()._fit(faces, validation, auxiliaries, ctx)
        self._take_up(auxiliaries.keep())
        self._means = class_means(self._matcher(ctx.device), faces, self.settings["saliency"], ctx.device)
        return {**figures, "people": len(self._means)}

    def state(self) -> State:
        return {**super().state(), "class_means": self._means, **self._kept}

    def restore(self, state: State) -> None:
        super().restore(state)
        self._means = state["class_means"]
        self._take_up({k: v for k, v in state.items() if k.startswith("aux/")})

    def _new_task(self, size: int, auxiliaries: Auxiliaries, seed: int) -> GanTask:
        from methods._blocks.identity_training import IdentityTask

        return IdentityTask(self._network, self.code, size, auxiliaries, self.settings, seed=seed)

    def _protect(self, images: Tensor, request: Request) -> Tensor:
        if "closest" in request.variant.parameters:
            return self._closest(images, request)
        return super()._protect(images, request)

    def _chosen(self, images: Tensor, request: Request) -> Tensor:
        from methods._blocks.region_importance import below_mean, least_important

        wanted = request.variant.parameters
        if "parts" in wanted:
            return super()._chosen(images, request)
        scores = self._scores(images, request)
        return least_important(scores, wanted["least"]) if "least" in wanted else below_mean(scores)

    def _scores(self, images: Tensor, request: Request) -> Tensor:
        """How much each of `_tuned` says of who it is, float32 (N, parts) in [0, 1]."""
        import torch

        from methods._blocks.region_importance import part_scores, saliency_of

        size = images.shape[-1]
        matcher = self._matcher(request.device)
        means = torch.from_numpy(self._means).to(images.device)
        found = saliency_of(self.settings["saliency"])(matcher, images, means)
        saliency = matcher.lay(found[:, None], size)[:, 0]
        return part_scores(saliency, part_masks(parsed(request, size), self._tuned))

    def _closest(self, images: Tensor, request: Request) -> Tensor:
        """Of the outputs that name their parts the one most like the original to the recogniser."""
        import torch

        matcher = self._matcher(request.device)
        own = matcher(images)
        best, reached = images, torch.full((len(images),), -torch.inf, device=images.device)
        for variant in StarGan._variants(self):
            row = torch.tensor([p in variant.parameters["parts"] for p in self._tuned], device=images.device)
            redrawn = self._redrawn(images, request.labels, row.expand(len(images), -1))
            cosine = (matcher(redrawn) * own).sum(1)
            closer = cosine > reached
            best = torch.where(closer[:, None, None, None], redrawn, best)
            reached = torch.where(closer, cosine, reached)
        return best

    def _take_up(self, kept: State) -> None:
        self._kept = kept
        self._matchers: dict[str, AuxiliaryMatcher] = {}

    def _matcher(self, device: str) -> AuxiliaryMatcher:
        """The auxiliary recogniser on `device`."""
        if device not in self._matchers:
            self._matchers[device] = revive(self._kept, list(self.attributes.values()), device).matcher
        return self._matchers[device]
