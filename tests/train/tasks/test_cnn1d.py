import jax
import numpy as np
import pytest

from recon.core import errors
from recon.decoders import cnn1d
from recon.train import checkpoint
from recon.train import job as jobs
from recon.train.tasks import cnn1d as task

SMALL = dict(
    widths=(8, 8), dense=(32,), up=(32, 16, 16), dropout=0.0, batch=24, steps=150, epochs=0,
    learning_rate=0.005, validation=0.2, save_epochs=0, predict_batch=8, norm_batches=3,
)  # fmt: skip


def job(folder, n=60, side=16, seed=0, **changed):
    """Pictures of one colour, and voxels that tell it."""
    random = np.random.default_rng(seed)
    colour = random.random((n, 3), np.float32)
    voxels = colour @ random.standard_normal((3, 20)).astype(np.float32)
    target = np.broadcast_to(colour[:, None, None], (n, side, side, 3)).copy()
    given = dict(voxels=voxels, target=target, groups=np.arange(n), folder=folder)
    return jobs.Job(**given | changed)


def test_it_learns_what_voxels_tell_and_beats_the_mean_picture(tmp_path):
    given = job(tmp_path / 'log')
    params = task.fit(SMALL, given, jax.random.key(0))
    assert params['validation_loss'] < 0.3 * params['mean_loss']
    checkpoint.save(tmp_path / 'kept', params)
    params = checkpoint.load(tmp_path / 'kept')
    made = cnn1d.predict(SMALL, params, given.voxels[:11])  # a batch and a part of one
    assert made.shape == (11, 16, 16, 3)
    assert np.square(made - given.target[:11]).mean() < 0.5 * params['mean_loss']
    np.testing.assert_allclose(
        cnn1d.predict(SMALL, params, given.voxels[3:4]), made[3:4], atol=1e-5
    )
    with pytest.raises(errors.DataInvalid, match='trained on'):
        cnn1d.predict(SMALL, params, given.voxels[:, :-1])


def test_what_does_not_fit_is_refused(tmp_path):
    for change in ({'loss': 'l3'}, {'batch': 1}, {'patience': 2, 'validation': 0.0}):
        with pytest.raises(errors.ConfigError, match=next(iter(change))):
            task.fit(SMALL | change, job(tmp_path), jax.random.key(0))
    for wrong in ({'loss': 'l3'}, {'batch': 1}, {'epochs': -1}, {'up': (1,)}, {'validation': 1}):
        with pytest.raises(errors.ConfigError, match=next(iter(wrong))):
            task.check(SMALL | {'steps': 0, 'epochs': 2} | wrong, {})
    task.check(SMALL, {})
    with pytest.raises(errors.DataInvalid, match=r'\[0, 1\]'):
        task.fit(SMALL, job(tmp_path, target=np.full((60, 16, 16, 3), 2.0)), jax.random.key(0))
