"""baseline-GAN: PrivacyNet's own baseline, the same training without the face matcher (IEEE TIP 2020).

The paper calls it a cycle-GAN and cites StarGAN (Choi et al., CVPR 2018), which is what preset `paper`
builds: StarGAN's generator at PrivacyNet's size (8,414,848 + 3,136 c parameters for c label channels),
PrivacyNet's batch, iterations and attribute and reconstruction weights, and a matching weight of 0.
Outputs, labels needed at inference, threats and everything else are `privacynet.py`'s.
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


class BaselineGan(AttributeGan):
    """Changes any chosen subset of gender, race and age; nothing watches over identity."""

    title = "baseline-GAN"
    paper = "Baseline of PrivacyNet (IEEE TIP 2020), after Choi et al.: StarGAN, CVPR 2018"
    obfuscates = ("gender", "race", "age_group", "young")
    needs_labels = ("gender", "race", "age_group", "young")
    trained = True
    selected = ("gender", "race", "age2", "young", "gender+race+age2")
    options = {**TRAINING, **STARGAN}
    presets = {"paper": {}, "quick": {**QUICK, **STARGAN_QUICK}, "check": STARGAN_CHECK}
