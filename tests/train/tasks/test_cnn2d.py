import jax
import numpy as np
import pytest

from recon.decoders import cnn2d
from recon.train import job as jobs
from recon.train.tasks import _pictures
from recon.train.tasks import cnn2d as task

SMALL = dict(
    widths=(8, 16), up=(16, 8), dropout=0.1, batch=24, steps=100, epochs=0, learning_rate=0.01,
    validation=0.2, save_epochs=0, predict_batch=8, norm_batches=3,
)  # fmt: skip


def test_it_learns_a_picture_from_a_picture(tmp_path):
    random = np.random.default_rng(0)
    coarse = random.random((60, 2, 2, 1), np.float32)
    voxels = np.kron(coarse, np.ones((1, 4, 4, 1), np.float32))  # [n 8 8 1]
    target = 1 - np.kron(coarse, np.ones((1, 8, 8, 1), np.float32))
    given = jobs.Job(voxels=voxels, target=target, groups=np.arange(60), folder=tmp_path)
    params = task.fit(SMALL, given, jax.random.key(0))
    assert params['validation_loss'] < 0.6 * params['mean_loss']
    made = cnn2d.predict(SMALL, params, voxels[:3])
    assert made.shape == (3, 16, 16, 1)
    assert made.min() >= 0
    assert made.max() <= 1


@pytest.mark.parametrize('kind', _pictures.LOSSES)
def test_the_loss_of_pictures_is_that_of_their_logits(kind):
    class Same:
        def apply(self, variables, x, train, rngs):
            return x

    random = np.random.default_rng(1)
    logits, target = random.standard_normal((4, 3, 3, 1)), random.random((4, 3, 3, 1))
    batch = {'voxels': logits.astype(np.float32), 'target': target.astype(np.float32)}
    ours, _ = _pictures.loss(Same(), kind, {}, batch, jax.random.key(0))
    wanted = _pictures.distance(kind, 1 / (1 + np.exp(-logits)), target)
    np.testing.assert_allclose(ours, wanted, rtol=1e-5)
    picture = 1 / (1 + np.exp(-logits))
    by_hand = {
        'mse': ((picture - target) ** 2).mean(),
        'l1': np.abs(picture - target).mean(),
        'bce': -(target * np.log(picture) + (1 - target) * np.log(1 - picture)).mean(),
    }
    np.testing.assert_allclose(wanted, by_hand[kind], rtol=1e-9)
