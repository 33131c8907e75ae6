import dataclasses
import types

import numpy as np
import pytest

from recon import conditions
from recon.core import errors
from recon.core import types as data
from recon.train import job


class Decoders:
    """A decoder that remembers what it was fitted on and answers with the number of its rows."""

    def __init__(self, image_id):
        image_id = np.asarray(image_id)
        train = data.Split(np.arange(len(image_id), dtype=np.float32)[:, None], image_id)
        self.brain = data.BrainData(train, train, None)
        self.cfg = types.SimpleNamespace(seed=0, decoder={}, targets={'labels': {}}, generator={})
        self.seen, self.which = [], []

    def fit(self, name, *, rows, **which):
        self.which.append(which)
        return rows

    def predict(self, name, params, voxels):
        self.seen.append((params, voxels[:, 0].astype(int)))
        return np.stack([voxels[:, 0], np.full(len(voxels), len(params))], 1)


TASK = types.SimpleNamespace(
    reads=lambda options: options['reads'], given=lambda options, decoded: decoded
)


@pytest.mark.parametrize('rows', [None, [0, 1, 2, 5, 7, 9]])
def test_no_row_is_decoded_by_a_decoder_that_knew_its_image(rows):
    image = np.array([3, 3, 1, 1, 4, 4, 5, 5, 9, 2, 6, 6])
    this, some = Decoders(image), np.arange(12) if rows is None else np.array(rows)
    out = conditions.left_out(this, 'labels', this.brain.train.voxels[some], some, shuffle=True)
    np.testing.assert_array_equal(out[:, 0], some)
    assert sorted(np.concatenate([asked for _, asked in this.seen])) == some.tolist()
    for fitted, asked in this.seen:
        assert not set(image[fitted]) & set(image[asked])
        assert set(fitted) | set(asked) <= set(some.tolist())
    assert len(this.seen) == min(5, len(np.unique(image[some])))
    assert this.which[0] == {'shuffle': True}


def test_rows_of_a_single_image_are_decoded_by_what_they_gave():
    this = Decoders([7, 7])
    conditions.left_out(this, 'labels', this.brain.train.voxels, np.arange(2))
    assert this.seen[0][0].tolist() == [0, 1]


def work(this, tmp_path, validation=None):
    train = this.brain.train
    return job.Job(
        train.voxels, np.zeros((len(train), 2)), train.image_id, tmp_path, validation=validation
    )


def test_a_job_gets_what_is_decoded_and_its_validation_from_all_training_rows(tmp_path):
    this = Decoders(np.arange(10))
    aside = np.full((3, 1), 50, np.float32), np.ones((3, 2))
    given = conditions.of(
        this, TASK, {'reads': ('labels',)}, work(this, tmp_path, aside), rows=None, voxels=None
    )
    assert set(given.voxels) == {'voxels', 'labels'} and given.voxels['labels'].shape == (10, 2)
    assert (given.voxels['labels'][:, 1] == 8).all()
    assert (given.validation[0]['labels'] == [50, 10]).all()
    np.testing.assert_array_equal(given.validation[1], aside[1])


def test_a_generator_that_reads_voxels_alone_is_left_as_it_is(tmp_path):
    this = Decoders(np.arange(4))
    one = work(this, tmp_path)
    assert conditions.of(this, TASK, {'reads': ()}, one) is one
    assert conditions.of(this, types.SimpleNamespace(), {}, one) is one
    assert not this.which and dataclasses.is_dataclass(one)


def test_what_a_generator_reads_must_be_a_target():
    cfg = Decoders([0, 1]).cfg
    cfg.generator = {'pix2pix': {'reads': ('labels',)}}
    conditions.check(cfg, {'pix2pix': TASK})
    cfg.targets = {'vae': {}}
    with pytest.raises(errors.ConfigError, match="reads 'labels'.*there are: vae"):
        conditions.check(cfg, {'pix2pix': TASK})
