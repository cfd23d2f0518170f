"""What `python -m bench new` writes: one working component a kind, for its author to change.

`MyIdea` and `My idea` stand for the component's class and title.
"""
