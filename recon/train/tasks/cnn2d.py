"""Trains `decoders/cnn2d.py`; see `_pictures.py`."""

from recon.decoders import cnn2d
from recon.train import job as jobs
from recon.train.tasks import _pictures


def check(cfg, zoo) -> None:
    """Raises ConfigError for what can be known before any data are read."""
    _pictures.check(cnn2d, cfg)


def fit(cfg, job: jobs.Job, rng) -> dict:
    """Parameters of the net: see `_pictures.fit` and `cnn2d.DEFAULTS`."""
    return _pictures.fit(cnn2d, cfg, job, rng)
