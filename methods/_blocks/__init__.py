"""Network pieces and training that several methods share; nothing here is a component."""
