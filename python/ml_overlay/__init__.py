"""Announces to an ml-overlay mount what a training job will read, in order, so that it is there before it is read."""

from ._announce import Announced, announce
from ._plan import Plan

__all__ = ["Announced", "Plan", "announce"]
__version__ = "0.1.0"
