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

from bench.api import Claim, Figure
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
    claims = (
        Claim(
            id="privacynet-keeps-matching",
            text="PrivacyNet keeps faces matching where the same GAN without a matcher does not",
            source="Section 4.2, Figs. 8 and 9; bound chosen here: 80 % of the originals' TMR",
            holds=(
                Figure.matched("privacynet:gender", "tmr_kept").at_least(0.8),
                Figure.matched("baseline_gan:gender", "tmr_kept").below(0.8),
            ),
        ),
        Claim(
            id="privacynet-matches-better-than-baseline",
            text="matching loses less with PrivacyNet than with the same GAN without a matcher",
            source="Section 4.2, Figs. 8 and 9",
            holds=(Figure.matched("privacynet:gender").above(Figure.matched("baseline_gan:gender")),),
        ),
        Claim(
            id="privacynet-matches-better-than-earlier",
            text="of all compared methods its ROC curves are nearest to the originals': above face mixing "
            "and controllable face privacy",
            source="Fig. 8",
            holds=(
                Figure.matched("privacynet:gender").above(Figure.matched("face_mixing:a=0.5")),
                Figure.matched("privacynet:gender").above(Figure.matched("mmda:gender")),
            ),
        ),
        Claim(
            id="privacynet-raises-gender-error",
            text="unseen gender classifiers have an EER of 20 % and more on outputs that change gender",
            source="Section 4.1, Fig. 5: 20 to 40 % (G-COTS), over 60 % (AFFACT, IntraFace)",
            holds=(Figure.read("privacynet:gender", "gender", "eer").at_least(0.2),),
        ),
        Claim(
            id="privacynet-is-selective",
            text="an attribute that is to be kept is read as before: race when gender is changed, gender "
            "when race is",
            source="Section 4.1, Figs. 5 and 6; as before is chosen here: accuracy within 0.05",
            holds=(
                Figure.lost("privacynet:gender", "race").within(0.05, of=0.0),
                Figure.lost("privacynet:race", "gender").within(0.05, of=0.0),
            ),
        ),
    )
