"""Who somebody is: traits that all images of a person share, and the labels that follow from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.datasets.synthetic.draws import Draws
from bench.datasets.synthetic.labels import AGE_GROUP_EDGES, YOUNG_BELOW

Floats = NDArray[np.float64]
Columns = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Trait:
    """A bell-shaped trait; group effects are in standard deviations.

    Lengths are in face units: an average head is 1.0 wide and 1.4 high, y points down and is 0
    just below the eyes. `male` is the whole difference between the sexes, `age` the change over
    20 years, `race1` and `race2` the differences of races 1 and 2 from race 0.
    """

    mean: float
    sd: float
    male: float = 0.0
    age: float = 0.0
    race1: float = 0.0
    race2: float = 0.0


# Every sex difference is 1 to 2 standard deviations of one trait: none decides alone, together they do.
TRAITS: Final[Mapping[str, Trait]] = {
    # head
    "head_width": Trait(0.502, 0.020, male=0.6, age=0.2, race2=0.6),
    "crown_height": Trait(0.690, 0.020),
    "chin_y": Trait(0.700, 0.026, male=1.4, age=0.2, race1=0.2, race2=-0.2),
    "jaw_squareness": Trait(2.22, 0.14, male=1.8, age=0.4, race1=0.2, race2=0.3),
    "jaw_taper": Trait(0.135, 0.040, male=-1.5, race2=-0.2),
    "cheekbone": Trait(0.050, 0.016, male=-0.6, age=-0.7, race1=0.2, race2=0.8),
    "chin_bump": Trait(0.045, 0.015, male=1.0),
    "asymmetry": Trait(0.0, 0.009),
    "neck_width": Trait(0.290, 0.022, male=1.8),
    "ear_length": Trait(0.125, 0.012, male=0.5, age=0.6),
    # eyes and brows
    "eye_x": Trait(0.228, 0.0105, male=0.1, race1=0.3, race2=0.4),
    "eye_y": Trait(-0.020, 0.016, male=0.2),
    "eye_width": Trait(0.114, 0.0075, male=-0.8, age=-0.3, race2=-0.2),
    "eye_height": Trait(0.060, 0.0085, male=-1.0, age=-0.5, race1=0.2, race2=-1.5),
    "eye_tilt": Trait(0.01, 0.06, male=-0.3, age=-0.6, race1=0.1, race2=0.9),
    "lid_crease": Trait(0.60, 0.18, male=-0.2, race2=-1.9),
    "iris_radius": Trait(0.051, 0.0025),
    "socket": Trait(0.045, 0.013, male=0.5, age=0.6, race1=-0.1, race2=-1.0),
    "brow_height": Trait(0.128, 0.013, male=-1.5, age=0.1, race2=0.3),
    "brow_thickness": Trait(0.0245, 0.0058, male=1.7, age=-0.1, race1=0.1, race2=-0.3),
    "brow_arch": Trait(0.026, 0.011, male=-1.3, age=-0.2),
    "brow_width": Trait(0.150, 0.011, male=0.6),
    "brow_tilt": Trait(0.06, 0.06, male=0.3, age=0.4),
    "brow_ridge": Trait(0.018, 0.009, male=1.7, age=0.1, race1=0.1, race2=-0.3),
    # nose
    "nose_bridge": Trait(0.045, 0.010, male=0.5, race1=0.8, race2=0.3),
    "nose_width": Trait(0.103, 0.0115, male=1.0, age=0.3, race1=1.7, race2=0.5),
    "nose_length": Trait(0.265, 0.017, male=0.6, age=0.6, race1=-0.2, race2=-0.3),
    "nose_projection": Trait(0.165, 0.024, male=0.8, age=0.2, race1=-0.6, race2=-0.9),
    "nose_bulb": Trait(0.050, 0.011, male=0.5, age=0.4, race1=0.6, race2=0.1),
    "nose_bend": Trait(0.0, 0.009),
    # mouth
    "philtrum": Trait(0.150, 0.014, male=0.8, age=0.6),
    "mouth_width": Trait(0.188, 0.015, male=0.6, race1=0.3, race2=-0.1),
    "upper_lip": Trait(0.038, 0.0082, male=-1.1, age=-0.8, race1=1.5, race2=0.1),
    "lower_lip": Trait(0.057, 0.0100, male=-1.0, age=-0.6, race1=1.5, race2=0.1),
    "cupid_bow": Trait(0.34, 0.12, male=-0.5),
    # skin
    "ruddiness": Trait(0.5, 0.28, male=0.5, age=0.3, race1=-0.6, race2=-0.4),
    "freckles": Trait(-0.2, 0.45, age=-0.2, race1=-0.8, race2=-0.6),
    "oiliness": Trait(0.20, 0.06, male=0.4, age=-0.5, race1=0.5, race2=0.2),
    "roughness": Trait(0.38, 0.14, male=1.5, age=0.7),
    # hair: the sexes overlap on purpose, see tests/gates
    "hairline": Trait(0.430, 0.026, age=0.2, race1=-0.1),
    "hairline_squareness": Trait(2.7, 0.45, male=0.4, race1=0.3),
    "hair_volume": Trait(0.085, 0.026, age=-0.3, race1=0.3),
    "hair_waves": Trait(0.40, 0.26, race1=0.9, race2=-0.7),
    "part_x": Trait(0.0, 0.14),
}

RACES: Final = (0.50, 0.25, 0.25)
_AGE_BANDS: Final = ((16, 28), (28, 33), (33, 38), (38, 43), (43, 48), (48, 81))
_AGE_SHARES: Final = (0.33, 0.06, 0.28, 0.06, 0.04, 0.23)
"""Few stand at the borders of age groups: annotators of real faces agree on clear cases only."""


@dataclass(frozen=True, slots=True)
class Population:
    """People of one range of identity numbers.

    Attributes:
        seed: seed they were drawn with.
        numbers: int64 (n,), identity numbers.
        traits: name -> float32 (n,).
        labels: labels of the person (not of an image), name -> float32 (n,).
    """

    seed: int
    numbers: NDArray[np.int64]
    traits: Columns
    labels: Columns

    def __len__(self) -> int:
        return len(self.numbers)


@dataclass(frozen=True, slots=True)
class _Person:
    """What the traits of a person depend on; every field has shape (n,)."""

    male: Floats
    years: Floats
    race: NDArray[np.int64]

    @property
    def relative_age(self) -> Floats:
        """Age as (years - 40) / 20: -1.2 at 16, 0 at 40, 2 at 80."""
        return (self.years - 40.0) / 20.0


def draw_population(seed: int, first_identity: int, identities: int) -> Population:
    """Draw the people numbered first_identity .. first_identity + identities - 1.

    A person depends on (seed, identity number) alone, so disjoint ranges are disjoint pools and
    a sub-range repeats the same people.

    Args:
        seed: seed of the world.
        first_identity: first identity number, >= 0.
        identities: number of people, >= 1.

    Raises:
        ValueError: first_identity is negative or identities is not positive.
    """
    if first_identity < 0 or identities < 1:
        raise ValueError(
            f"identity range must start at 0 or later and hold at least one person, "
            f"got first_identity={first_identity}, identities={identities}"
        )
    numbers = np.arange(first_identity, first_identity + identities, dtype=np.int64)
    draws = Draws(seed, numbers)
    person = _draw_person(draws)
    scores = {name: _standard_score(name, trait, person, draws) for name, trait in TRAITS.items()}
    traits = {name: TRAITS[name].mean + TRAITS[name].sd * z for name, z in scores.items()}
    traits |= _marks(draws)
    for extra in (_ageing, _colours, _hair_style, _facial_hair, _habits):
        traits |= extra(draws, person)
    traits["attractiveness"] = _attractiveness(draws, person, scores, traits)
    return Population(
        seed=seed,
        numbers=numbers,
        traits={name: value.astype(np.float32) for name, value in traits.items()},
        labels={name: v.astype(np.float32) for name, v in _labels(person, scores, traits).items()},
    )


def _draw_person(draws: Draws) -> _Person:
    band = draws.choice("age band", _AGE_SHARES)
    low, high = np.array(_AGE_BANDS, dtype=np.float64)[band].T
    return _Person(
        male=draws.chance("gender", 0.5).astype(np.float64),
        years=np.floor(low + (high - low) * draws.uniform("age in band")),
        race=draws.choice("race", RACES),
    )


def _standard_score(name: str, trait: Trait, person: _Person, draws: Draws) -> Floats:
    group_effects: Floats = (
        trait.male * (person.male - 0.5)
        + trait.age * person.relative_age
        + trait.race1 * (person.race == 1)
        + trait.race2 * (person.race == 2)
    )
    return draws.normal(name) + group_effects


def _ageing(draws: Draws, person: _Person) -> dict[str, Floats]:
    """Signs of age, each 0 (none) .. about 1.6; people wear their age differently, but not much."""
    turning_thirty = 0.18 * np.tanh((person.years - 30.5) / 4)
    turning_forty = 0.22 * np.tanh((person.years - 40.0) / 6)
    apparent = person.relative_age + turning_thirty + turning_forty
    apparent = apparent + draws.normal("apparent age", 0.08)
    grey_share = np.where(person.male > 0, 0.95, 0.75)  # the others dye
    greys = draws.chance("greys at all", grey_share).astype(np.float64)
    return {
        "wrinkles": np.clip(0.46 + 0.66 * apparent + draws.normal("wrinkles", 0.09), 0, 1.7),
        "sagging": np.clip(0.35 + 0.58 * apparent + draws.normal("sagging", 0.11), 0, 1.5),
        "eye_bags": np.clip(0.46 + 0.55 * apparent + draws.normal("eye bags", 0.13), 0, 1.6),
        "hooding": np.clip(0.20 + 0.50 * apparent + draws.normal("hooding", 0.13), 0, 1.2),
        "blotches": np.clip(0.25 + 0.50 * apparent + draws.normal("blotches", 0.12), 0, 1.3),
        "hollow_cheeks": np.clip(0.15 + 0.45 * apparent + draws.normal("hollow", 0.22), 0, 1.2),
        "baby_fat": np.clip(-0.10 - 0.80 * apparent + draws.normal("baby fat", 0.10), 0, 1.0),
        "grey": greys * np.clip(-0.02 + 0.58 * apparent + draws.normal("grey", 0.14), 0, 0.95),
    }


def _colours(draws: Draws, person: _Person) -> dict[str, Floats]:
    """Positions 0..1 on the palettes of skin, hair and eyes."""
    light, dark, medium = (person.race == r for r in (0, 1, 2))
    tone = np.select([light, dark, medium], [0.17, 0.76, 0.34])
    tone_sd = np.select([light, dark, medium], [0.085, 0.12, 0.085])
    natural = np.array([0.06, 0.20, 0.36, 0.55, 0.80, 0.97])
    shade = natural[draws.choice("hair shade", (0.12, 0.25, 0.27, 0.18, 0.13, 0.05))]
    hair = np.where(light, shade + draws.normal("hair tint", 0.04), 0.05 * draws.uniform("dark"))
    dyed = ~light & draws.chance("dyed", 0.07)
    eyes = np.where(light, draws.uniform("eye colour"), 0.14 * draws.uniform("eye colour"))
    return {
        "skin_tone": np.clip(tone + tone_sd * draws.normal("skin tone"), 0, 1),
        "skin_yellow": draws.normal("skin hue", 0.35) + 0.7 * medium,
        "hair_colour": np.clip(np.where(dyed, draws.uniform("dye", 0.25, 0.7), hair), 0, 1),
        "eye_colour": np.asarray(eyes, dtype=np.float64),
    }


def _hair_style(draws: Draws, person: _Person) -> dict[str, Floats]:
    long = draws.chance("long hair", np.where(person.male > 0, 0.40, 0.58))
    length = np.where(long, draws.uniform("long", 0.35, 1.2), draws.uniform("short", -0.25, 0.16))
    thinning = 0.62 * person.male + 0.42 * person.relative_age * (0.35 + 0.65 * person.male) - 0.25
    recession = np.clip(thinning + draws.normal("recession", 0.36), 0, 1.4)
    balding = person.male * np.clip((recession - 0.75) * 2.2, 0, 1)
    fringe = draws.chance("fringe", 0.27) & (recession < 0.6)
    return {
        "hair_length": length,
        "tied_back": (long & draws.chance("tied back", 0.28)).astype(np.float64),
        "recession": recession,
        "baldness": balding * draws.chance("bald", 0.55),
        "fringe": fringe * draws.uniform("fringe length", 0.4, 1.0),
        "fringe_sweep": draws.normal("fringe sweep", 0.5),
        "afro": ((person.race == 1) & draws.chance("afro", 0.45)).astype(np.float64),
    }


def _facial_hair(draws: Draws, person: _Person) -> dict[str, Floats]:
    stubble = np.clip(0.46 + draws.normal("stubble", 0.22), 0.06, 1)
    race_factor = np.select([person.race == 2], [0.8], 1.0)
    bearded = person.male * draws.chance("beard", 0.16)
    moustached = person.male * np.maximum(bearded, draws.chance("moustache", 0.10))
    return {
        "stubble": person.male * stubble * race_factor,
        "beard": bearded * draws.uniform("beard density", 0.55, 1.0),
        "beard_length": draws.uniform("beard length"),
        "moustache": moustached * draws.uniform("moustache density", 0.6, 1.0),
    }


def _marks(draws: Draws) -> dict[str, Floats]:
    marks: dict[str, Floats] = {"texture_phase": draws.uniform("texture phase")}
    for mole, share in (("mole1", 0.40), ("mole2", 0.28)):
        marks[f"{mole}_x"] = draws.uniform(f"{mole} x", -0.36, 0.36)
        marks[f"{mole}_y"] = draws.uniform(f"{mole} y", -0.25, 0.58)
        marks[mole] = draws.chance(mole, share) * draws.uniform(f"{mole} depth", 0.4, 1.0)
    return marks


def _habits(draws: Draws, person: _Person) -> dict[str, Floats]:
    """Things somebody tends to wear; whether an image shows them is the image's matter."""
    taste = 0.57 - 0.08 * person.relative_age + draws.normal("make-up", 0.27)
    return {
        "makeup_habit": np.where(person.male > 0, draws.uniform("men", -0.6, 0.35), taste),
        "makeup_hue": draws.uniform("make-up hue"),
        "glasses_habit": np.where(draws.chance("owns glasses", 0.17), 0.55, 0.02),
        "glasses_size": draws.uniform("glasses size", 0.85, 1.15),
        "glasses_squareness": draws.uniform("glasses shape", 1.7, 4.5),
        "glasses_dark": draws.uniform("glasses dark"),
    }


def _attractiveness(
    draws: Draws, person: _Person, scores: dict[str, Floats], traits: dict[str, Floats]
) -> Floats:
    """How a jury sees the bare, calm face: youth, clear skin and ordinary proportions count."""
    proportions = ("head_width", "eye_x", "nose_width", "nose_length", "mouth_width", "philtrum")
    oddness = np.mean([np.abs(scores[name]) for name in proportions], axis=0)
    appeal: Floats = (
        0.25
        - 0.85 * person.relative_age
        - 0.45 * (oddness - 0.9)
        - 0.4 * (traits["roughness"] - 0.4)
        - 0.35 * (person.male - 0.5)
    )
    return appeal + draws.normal("charm", 0.26)


def _labels(
    person: _Person, scores: dict[str, Floats], traits: dict[str, Floats]
) -> dict[str, NDArray[np.generic]]:
    nose = scores["nose_width"] + 0.8 * scores["nose_bulb"] + 0.4 * scores["nose_projection"]
    return {
        "gender": person.male,
        "age": person.years,
        "age_group": np.searchsorted(AGE_GROUP_EDGES, person.years, side="left"),
        "young": person.years < YOUNG_BELOW,
        "race": person.race,
        "receding_hairline": traits["recession"] > 0.85,
        "bushy_eyebrows": scores["brow_thickness"] > 1.35,
        "narrow_eyes": scores["eye_height"] < -1.55,
        "big_nose": nose > 1.75,
        "big_lips": scores["upper_lip"] + scores["lower_lip"] > 2.35,
    }
