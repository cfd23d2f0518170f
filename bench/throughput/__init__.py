"""How fast methods, matchers, attackers and metrics run on a device, beside what the device itself can do.

Every row of the table was measured in one run, with the papers' style (fp32, eager, one image a call) as
the peer and the device's own matrix product and copy as the ceilings. Speed needs no trained weights: they
are those of a single training step, and each row says so.
"""
