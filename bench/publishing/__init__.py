"""Results worth keeping: finished runs as small files that a git host shows and anybody can make again."""

from bench.publishing.check import check_published
from bench.publishing.publish import publish_runs

__all__ = ["check_published", "publish_runs"]
