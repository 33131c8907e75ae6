"""Trains `decoders/cnn1d.py`; see `_pictures.py`."""

from recon.decoders import cnn1d
from recon.train import job as jobs
from recon.train.tasks import _pictures


def check(cfg, zoo) -> None:
    """Raises ConfigError for what can be known before any data are read."""
    _pictures.check(cnn1d, cfg)


def fit(cfg, job: jobs.Job, rng) -> dict:
    """Parameters of the net: see `_pictures.fit` and `cnn1d.DEFAULTS`."""
    return _pictures.fit(cnn1d, cfg, job, rng)
