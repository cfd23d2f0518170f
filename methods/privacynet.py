"""PrivacyNet: selective attribute privacy with a GAN (Mirjalili, Raschka and Ross, IEEE TIP 2020).

Choices where the paper is silent or contradicts itself:

- Adversarial loss: WGAN-GP, as section 3.3's "scalar score according to Wasserstein GAN" says; eqs. 3-4
  print the log form. Penalty weight 10, Adam 1e-4 with betas (.5, .999), five critic updates for one of
  the generator, linear
  decay over the second half: not printed, StarGAN's.
- Generator: Fig. 3's text ("first two convolutions with stride 2 reduce to 32x32 with 128 channels")
  does not fit 224 px, where two strides of 2 leave 56x56. Preset `paper` takes the widths literally
  (2,076,323 parameters for five label channels); preset `stargan` is the cited StarGAN generator with
  the printed 1x1 last layer (8,421,312).
- Weights: both attribute weights are printed under one name; 1 is the critic's and 4 the generator's.
- Labels: channels [G, R, A0, A1, A2], concatenated to the image at its size; a race of three classes
  takes three channels, and "another race" is then drawn for each face.

Preset `quick` adds what small faces and minutes of training need: a narrow generator that draws a change
of the image (`residual`), the auxiliary classifiers beside the critic's own (asked in turn, every other time
the one that reads the matcher's embedding: pixels and embeddings weigh the same), and for each attribute a
strength chosen on VALIDATION. It works at 64 px and adds its change to larger images (`keep_detail`).
"""

from __future__ import annotations

from methods._blocks.attribute_gan import AttributeGan


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
        "age0",
        "age1",
        "age2",
        "young",
        "gender+race",
        "gender+young",
        "gender+race+age2",
    )
    options = {
        "size": 224,
        "keep_detail": False,
        "stem": 0,
        "down": [64, 128],
        "up": [64, 32],
        "blocks": 6,
        "head_kernel": 1,
        "head_bias": True,
        "upsampling": "transposed",
        "norm": True,
        "residual": False,
        "critic_width": 64,
        "critic_depth": 6,
        "steps": 200_000,
        "critic_steps": 5,
        "batch": 16,
        "rate": 1e-4,
        "critic_rate": 1e-4,
        "beta1": 0.5,
        "beta2": 0.999,
        "decay_from": 0.5,
        "average": 0.0,
        "snapshots": 1,
        "change": 0.5,
        "lambda_penalty": 10.0,
        "lambda_critic_labels": 1.0,
        "lambda_labels": 4.0,
        "lambda_match": 4.0,
        "lambda_rec": 4.0,
        "lambda_pixel": 0.0,
        "lambda_classifiers": 0.0,
        "lambda_kept": 0.0,
        "confidence": 1.0,
        "viewed": False,
        "turns": [],
        "strengths": [1.0],
        "keep_matching": 0.85,
    }
    presets = {
        "paper": {},
        "stargan": {"stem": 64, "down": [128, 256], "up": [128, 64], "head_bias": False},
        "quick": {
            "size": 64,
            "keep_detail": True,
            "down": [32, 48],
            "up": [32, 16],
            "blocks": 2,
            "head_kernel": 3,
            "upsampling": "nearest",
            "norm": False,
            "residual": True,
            "critic_width": 16,
            "critic_depth": 4,
            "steps": 1200,
            "critic_steps": 1,
            "rate": 1e-3,
            "critic_rate": 5e-4,
            "average": 0.99,
            "snapshots": 2,
            "lambda_labels": 0.5,
            "lambda_rec": 0.0,
            "lambda_pixel": 4.0,
            "lambda_classifiers": 1.0,
            "lambda_kept": 0.5,
            "confidence": 0.8,
            "viewed": True,
            "turns": [0, 2, 1, 2],
            "strengths": [1.0, 1.25],
        },
        "check": {
            "size": 0,
            "stem": 4,
            "down": [4, 8],
            "up": [8, 4],
            "blocks": 1,
            "critic_width": 4,
            "steps": 4,
            "critic_steps": 2,
        },
    }
