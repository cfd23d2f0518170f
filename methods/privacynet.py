"""PrivacyNet: selective attribute privacy with a GAN (Mirjalili, Raschka and Ross, IEEE TIP 2020).

The 15 outputs, by the paper's names and the ones here: G `gender`, R `race`, A0 to A2 `age0` to `age2`; GR
`gender+race`, GA0 to GA2 `gender+age0` ..., RA0 to RA2 `race+age0` ..., GRA0 to GRA2 `gender+race+age0` ...
A dataset without race or age groups has those that its labels allow; where there are no age groups but the
label `young`, that is flipped like gender.

At inference it needs the generator and the labels it must turn away from: gender and race where they are
changed. Kept attributes and the age that is to be changed are fed in as well as they are known; what is
unknown is the mean of the classes, and entered no loss in training either.

Choices where the paper is silent or contradicts itself:

- Adversarial loss: WGAN-GP, as section 3.3's "scalar score according to Wasserstein GAN" says; eqs. 3-4
  print the log form. Penalty weight 10, Adam 1e-4 with betas (.5, .999), five critic updates for one of
  the generator, linear decay over the second half: not printed, StarGAN's.
- Generator: Fig. 3's text ("first two convolutions with stride 2 reduce to 32x32 with 128 channels")
  does not fit 224 px, where two strides of 2 leave 56x56. Preset `paper` takes the widths literally
  (2,076,323 parameters for five label channels); preset `stargan` is the cited StarGAN generator with
  the printed 1x1 last layer (8,421,312).
- Weights: both attribute weights are printed under one name; 1 is the critic's and 4 the generator's.
- Labels: channels [G, R, A0, A1, A2], concatenated to the image at its size; a race of three classes
  takes three channels, and "another race" is then drawn for each face.

Preset `quick` adds what small faces and minutes of training need, see `QUICK` in `_blocks/attribute_gan.py`,
and a narrow generator; for each attribute a strength is chosen on VALIDATION.

Threats: gender and races of two classes are flipped, an invertible code: who knows the output's name and
reads the new label knows the old one. Of a fixed age group nothing can be inverted, but A_k leaves faces of
group k as they were. An attacker retrained on outputs of this method needs no more than that.
"""

from __future__ import annotations

from methods._blocks.attribute_gan import (
    QUICK,
    STARGAN,
    STARGAN_CHECK,
    STARGAN_QUICK,
    TRAINING,
    AttributeGan,
)


class PrivacyNet(AttributeGan):
    """Changes any chosen subset of gender, race and age while an auxiliary matcher watches over identity."""

    title = "PrivacyNet"
    paper = "Mirjalili, Raschka, Ross: PrivacyNet, IEEE Transactions on Image Processing 2020"
    obfuscates = ("gender", "race", "age_group", "young")
    needs_labels = ("gender", "race", "age_group", "young")
    trained = True
    selected = (
        "gender",
        "race",
        "age2",
        "young",
        "gender+race",
        "gender+young",
        "gender+race+age2",
    )
    options = {
        **TRAINING,
        **STARGAN,
        "stem": 0,
        "down": [64, 128],
        "up": [64, 32],
        "head_kernel": 1,
        "head_bias": True,
        "lambda_match": 4.0,
    }
    presets = {
        "paper": {},
        "stargan": {"stem": 64, "down": [128, 256], "up": [128, 64], "head_bias": False},
        "quick": {**QUICK, **STARGAN_QUICK},
        "check": STARGAN_CHECK,
    }
