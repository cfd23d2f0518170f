"""veilbench: compares methods that hide soft-biometric attributes in face images."""

__version__ = "0.1.0"
