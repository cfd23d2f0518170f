"""What differs between two images of a person: pose, light, expression, make-up, glasses, hair, camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.datasets.synthetic.draws import Draws, Floats
from bench.datasets.synthetic.identities import Columns, Population

HEAVY_MAKEUP_ABOVE = 0.5
SMILING_ABOVE = 0.25


@dataclass(frozen=True, slots=True)
class Appearance:
    """Parameters of m images.

    Attributes:
        numbers: int64 (m,), identity numbers.
        noise_keys: uint64 (m,), one key for the sensor noise of each image.
        values: trait or appearance name -> float32 (m,).
        colours: name -> float32 (m, 3), RGB in [0, 1].
        labels: name -> float32 (m,), all labels.
    """

    numbers: NDArray[np.int64]
    noise_keys: NDArray[np.uint64]
    values: Columns
    colours: Columns
    labels: Columns


def draw_appearance(
    population: Population, person: NDArray[np.int64], image: NDArray[np.int64], seed: int
) -> Appearance:
    """Draw image number image[i] of the person in population row person[i], for every i.

    An image depends on (population, person, image number, seed) alone.
    """
    numbers = population.numbers[person]
    draws = Draws(seed, np.full_like(numbers, population.seed), numbers, image)
    traits = {name: column[person].astype(np.float64) for name, column in population.traits.items()}
    labels = {name: column[person].astype(np.float64) for name, column in population.labels.items()}
    male = labels["gender"]
    values = traits | _pose(draws) | _light_and_camera(draws) | _expression(draws)
    values |= _styling(draws, traits, male)
    labels |= _image_labels(draws, values, male)
    return Appearance(
        numbers=numbers,
        noise_keys=draws.bits("sensor noise"),
        values={name: value.astype(np.float32) for name, value in values.items()},
        colours={name: value.astype(np.float32) for name, value in _colours(draws).items()},
        labels={name: value.astype(np.float32) for name, value in labels.items()},
    )


def _pose(draws: Draws) -> dict[str, Floats]:
    """Angles in radians, shifts in face units."""
    return {
        "yaw": draws.normal("yaw", 0.16, limit=2),
        "pitch": draws.normal("pitch", 0.08, limit=2),
        "roll": draws.normal("roll", 0.045, limit=2),
        "scale": 1 + draws.normal("scale", 0.03, limit=2),
        "shift_x": draws.normal("shift x", 0.018, limit=2),
        "shift_y": draws.normal("shift y", 0.018, limit=2),
    }


def _light_and_camera(draws: Draws) -> dict[str, Floats]:
    return {
        "light_x": draws.normal("light x", 0.42, limit=2),
        "light_y": -0.35 + draws.normal("light y", 0.18, limit=2),
        "ambient": 0.49 + draws.normal("ambient", 0.05),
        "diffuse": 0.50 + draws.normal("diffuse", 0.06),
        "warmth": 0.015 + draws.normal("warmth", 0.033),
        "exposure": 1 + draws.normal("exposure", 0.07),
        "gamma": 1 + draws.normal("gamma", 0.07),
        "blur": draws.uniform("blur", 0.0, 0.8),
        "noise": draws.uniform("noise level", 0.004, 0.018),
    }


def _expression(draws: Draws) -> dict[str, Floats]:
    smiles = draws.chance("smiles", 0.5)
    smile = np.where(smiles, draws.uniform("smile", 0.45, 1.0), draws.uniform("calm", -0.25, 0.12))
    parted = np.where(smiles, draws.chance("parted", 0.72), draws.chance("parted", 0.22))
    return {
        "smile": smile,
        "mouth_open": parted * draws.uniform("mouth open", 0.3, 1.0),
        "brow_raise": draws.normal("brow raise", 0.009),
        "lid_opening": 1 - 0.25 * draws.uniform("blink") ** 3,
        "gaze_x": draws.normal("gaze x", 0.011),
        "gaze_y": draws.normal("gaze y", 0.005),
    }


def _styling(draws: Draws, traits: dict[str, Floats], male: Floats) -> dict[str, Floats]:
    makeup = traits["makeup_habit"] + (1 - male) * draws.normal("make-up today", 0.10)
    return {
        "makeup": np.clip(makeup, 0, 1),
        "glasses": draws.chance("glasses", traits["glasses_habit"]).astype(np.float64),
        "stubble": np.clip(traits["stubble"] + male * draws.normal("shaved", 0.07), 0, 1),
        "hair_length": traits["hair_length"] + draws.normal("hair cut", 0.03),
        "hair_volume": np.clip(traits["hair_volume"] + draws.normal("hair volume", 0.008), 0.02, 1),
        "hair_phase": draws.uniform("hair phase", 0, 0.02),
        "part_x": traits["part_x"] + draws.normal("part", 0.015),
        "collar": draws.uniform("collar"),
        "neckline": draws.uniform("neckline"),
        "backdrop_angle": draws.uniform("backdrop angle", 0, 2 * np.pi),
        "backdrop_x": draws.uniform("backdrop x"),
        "backdrop_y": draws.uniform("backdrop y"),
        "backdrop_detail": draws.uniform("backdrop detail"),
    }


def _colours(draws: Draws) -> dict[str, Floats]:
    """Backdrops are mostly muted, clothes freer."""

    def colour(name: str, low: float, high: float, spread: float) -> Floats:
        grey = draws.uniform(name + "/grey", low, high)[:, None]
        tint = np.stack([draws.uniform(f"{name}/{c}", -spread, spread) for c in "rgb"], axis=1)
        return np.clip(grey + tint, 0.03, 0.97)

    return {
        "backdrop1": colour("backdrop1", 0.12, 0.90, 0.12),
        "backdrop2": colour("backdrop2", 0.12, 0.90, 0.12),
        "clothes": colour("clothes", 0.10, 0.85, 0.18),
    }


def _image_labels(draws: Draws, values: dict[str, Floats], male: Floats) -> dict[str, Floats]:
    appeal = (
        values["attractiveness"]
        + 0.95 * values["makeup"] * (1 - male)
        + 0.20 * values["smile"]
        - 0.20 * values["glasses"]
        + draws.normal("jury", 0.15)
    )
    return {
        "heavy_makeup": (values["makeup"] > HEAVY_MAKEUP_ABOVE).astype(np.float64),
        "smiling": (values["smile"] > SMILING_ABOVE).astype(np.float64),
        "eyeglasses": values["glasses"],
        "attractive": (appeal > 0.62).astype(np.float64),
    }
