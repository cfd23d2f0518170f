"""Parts of a face: each file adds its relief and paints itself."""
