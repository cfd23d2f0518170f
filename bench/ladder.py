"""The attackers' ladder: what an attacker may know, from the papers' setting to full knowledge of the method.

All five papers score with attackers that learned on clean faces. A method that moves every face of one class
the same way fools them and hides nothing: whoever sees protected faces with labels reads the attribute again.
Every rung trains on other people (ATTACK) than it is scored on (TEST), with the same attackers, settings and
number of faces for every method, so no method meets a stronger attack than another.
"""

STATIC, FOLDED, AWARE, POOLED = "static", "folded", "aware", "pooled"
RECOVERY, SCORE, GENERATOR, WORST = "recovery", "score", "generator", "worst"

RUNGS = {
    STATIC: "learned on originals and never adapted: the setting of the papers (A0)",
    FOLDED: "the static attackers, who may invert their answer and set their threshold anew on protected "
    "faces of other people (A1)",
    AWARE: "the same attackers, learned anew on what this variant makes of other people (A2)",
    POOLED: "learned anew on what all methods of the run make of other people, method unknown (A3)",
    RECOVERY: "restores the face first (median, denoising, JPEG, resampling; a template by regression), then "
    "asks the static attackers; which restoration, it chose on other people (A4)",
    SCORE: "sees comparison scores only: the nearest protected templates of other people vote (A5, "
    "Osorio-Roig et al. 2022)",
    GENERATOR: "owns the method: applies it again with every target and learns from what changes (A6)",
}
"""Rungs in order, and what their attackers know. The headline, `worst`, is the largest leak over all."""

ADAPTIVE = tuple(rung for rung in RUNGS if rung != STATIC)
