"""Metrics of image quality that are plug-ins, one file each; the built-in ones are in `bench.quality`."""
