"""Declares torchvision's operators before any test imports transformers."""

from tests.zoo import reference  # noqa: F401
