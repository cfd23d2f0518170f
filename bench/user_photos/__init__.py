"""Protects the faces in a folder of anybody's photographs: `python -m bench protect IN OUT --method ...`."""
