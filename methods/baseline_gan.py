"""baseline-GAN: PrivacyNet's own baseline, the same training without the face matcher (IEEE TIP 2020).

The paper calls it a cycle-GAN and cites StarGAN (Choi et al., CVPR 2018), which is what preset `paper`
builds: StarGAN's generator at PrivacyNet's size (8,414,848 + 3,136 c parameters for c label channels),
PrivacyNet's batch, iterations and attribute and reconstruction weights, and a matching weight of 0.
Everything else is `privacynet.py`'s.
"""

from __future__ import annotations

from methods._blocks.attribute_gan import AttributeGan


class BaselineGan(AttributeGan):
    """Changes any chosen subset of gender, race and age; nothing watches over identity."""

    title = "baseline-GAN"
    paper = "Baseline of PrivacyNet (IEEE TIP 2020), after Choi et al.: StarGAN, CVPR 2018"
    obfuscates = ("gender", "race", "age_group", "young")
    needs_labels = ("gender", "race", "age_group", "young")
    trained = True
    selected = ("gender", "race", "age2", "young", "gender+race+age2")
    options = {
        "size": 224,
        "keep_detail": False,
        "stem": 64,
        "down": [128, 256],
        "up": [128, 64],
        "blocks": 6,
        "head_kernel": 7,
        "head_bias": False,
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
        "lambda_match": 0.0,
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
        "quick": {
            "size": 64,
            "keep_detail": True,
            "stem": 0,
            "down": [32, 48],
            "up": [32, 16],
            "blocks": 2,
            "head_kernel": 3,
            "head_bias": True,
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
