import jax
import numpy as np
import pytest

from recon.core import errors
from recon.generators import pix2pix
from recon.train import job as jobs
from recon.train.tasks import pix2pix as task

RNG = np.random.default_rng(0)
SMALL = dict(size=64, width=4, batch=2, steps=3, epochs=0, log_every=1, l1=10.0)


def job(folder, n=6, side=64, channels=2, **changed):
    """Conditions whose left half is as bright as the picture is red."""
    colour = RNG.random((n, 1, 1, 3), np.float32)
    target = np.broadcast_to(colour, (n, side, side, 3)).astype(np.float32)
    voxels = np.broadcast_to(colour[..., :channels], (n, side, side, channels)).copy()
    given = dict(voxels=voxels, target=target, groups=np.arange(n), folder=folder)
    return jobs.Job(**given | changed)


def test_it_trains_generates_and_resumes(tmp_path):
    given = job(tmp_path)
    params = task.fit(SMALL, given, jax.random.key(0))
    out = pix2pix.generate(SMALL, params, {'voxels': given.voxels[:3]}, jax.random.key(1))
    assert out['images'].shape == (3, 64, 64, 3)
    lines = (tmp_path / 'metrics.jsonl').read_text()
    assert '"accuracy"' in lines


def test_options_that_do_not_fit_are_refused(tmp_path):
    for change in ({'losses': 'l1+l3'}, {'size': 48}, {'jitter': 0.5}, {'patience': 1}):
        with pytest.raises(errors.ConfigError, match=next(iter(change))):
            task.fit(SMALL | change, job(tmp_path), jax.random.key(0))
