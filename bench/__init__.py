"""veilbench: compares methods that hide soft-biometric attributes in face images."""

import os as _os

__version__ = "0.1.0"

_home = _os.path.expanduser("~")
if _os.access(_home, _os.W_OK):
    # torch would keep compiled code in the shared temporary folder, under a name that anybody can take first.
    _caches = _os.environ.get("XDG_CACHE_HOME") or _os.path.join(_home, ".cache")
    _os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", _os.path.join(_caches, "veilbench", "torchinductor"))
