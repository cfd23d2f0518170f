"""How trained networks are evaluated: in fewer operations, and where a run asks for it on the fastest path.

`algebra` is always on and exact but for rounding. `fastest` times `paths` on real data, checks each against
the exact answer, and remembers which to take on this machine.
"""
