import hashlib
import pathlib

import numpy as np
import pytest
import scipy.io

from recon.core import errors
from recon.data import prepare
from recon.data.datasets import digits69
from recon.data.layouts import digits69 as layout


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    return layout.write(tmp_path_factory.mktemp('digits') / 'files')


@pytest.fixture
def changed(folder, tmp_path):
    """Writes the toy file with some keys changed (None removes one); returns its folder."""

    def write(**changes):
        content = {k: v for k, v in scipy.io.loadmat(folder / digits69.FILE).items() if k[0] != '_'}
        for key, change in changes.items():
            old = content.pop(key)
            if change is not None:
                content[key] = change(old)
        scipy.io.savemat(tmp_path / digits69.FILE, content)
        return {'path': str(tmp_path)}

    return write


def test_the_reader_gives_back_what_the_writer_holds_true(folder):
    brain = digits69.load({'path': str(folder)})
    truth = np.load(folder.with_name('files_truth') / 'truth.npz')
    for name, split in (('train', brain.train), ('test', brain.test)):
        assert np.array_equal(split.voxels, truth[f'{name}_voxels'])
        assert np.array_equal(split.image_id, truth[f'{name}_image_id'])
        assert split.voxels.dtype == np.float32
    pictures = brain.images[brain.images.ids]
    assert np.array_equal(np.rint(pictures[..., 0] * 255), truth['pictures'])
    assert pictures.shape == (70, 28, 28, 3) and brain.images.channels == 1
    assert [brain.labels[i] for i in range(70)] == truth['labels'].tolist()
    assert brain.label_names == ('six', 'nine')
    assert (brain.train.run == -1).all() and (brain.train.repeat == 0).all()


def test_a_file_and_the_folder_that_holds_it_are_the_same_path(folder):
    a = digits69.load({'path': str(folder)})
    b = digits69.load({'path': str(folder / digits69.FILE)})
    assert np.array_equal(a.train.voxels, b.train.voxels)


@pytest.mark.parametrize('path', ['', 'nowhere', 'nowhere/at_all.mat'])
def test_a_missing_file_names_the_command_that_helps(path, tmp_path):
    with pytest.raises(errors.DataMissing, match='python launch/fetch.py digits69'):
        digits69.load({'path': path and str(tmp_path / path)})


@pytest.mark.parametrize('keep', [0, 60, 127, 128, 500, 5000, 40_000])
def test_a_file_that_is_cut_short_is_invalid(folder, tmp_path, keep):
    whole = (folder / digits69.FILE).read_bytes()
    assert len(whole) > keep
    (tmp_path / digits69.FILE).write_bytes(whole[:keep])
    with pytest.raises(errors.DataInvalid, match=str(tmp_path)):
        digits69.load({'path': str(tmp_path)})


@pytest.mark.parametrize('seed', range(5))
def test_a_damaged_file_is_invalid_and_never_a_traceback(folder, tmp_path, seed):
    rng = np.random.default_rng(seed)
    content = bytearray((folder / digits69.FILE).read_bytes())
    for place in rng.integers(128, 3000, 20):
        content[place] = rng.integers(256)
    (tmp_path / digits69.FILE).write_bytes(content)
    with pytest.raises(errors.DataInvalid):
        digits69.load({'path': str(tmp_path)})


def test_a_file_of_another_kind_is_invalid(tmp_path):
    (tmp_path / digits69.FILE).write_text('<html>not found</html>' * 50)
    with pytest.raises(errors.DataInvalid, match='not a MATLAB file that can be read'):
        digits69.load({'path': str(tmp_path)})


def test_a_missing_key_is_named_with_what_is_there(changed):
    with pytest.raises(errors.DataInvalid, match='no stimTest; it holds fmriTest, fmriTrn'):
        digits69.load(changed(stimTest=None))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(fmriTrn=lambda x: x[:-1]), r'fmriTrn \(59, 240\), stimTrn \(60, 784\)'),
        (dict(stimTest=lambda x: x[:, :-1]), r'stimTest \(10, 783\)'),
        (dict(labelTrn=lambda x: x[:3]), r'labelTrn \(3, 1\)'),
        (dict(fmriTest=lambda x: x[:, :-5]), 'fmriTrn has 240 voxels, fmriTest 235'),
        (dict(labelTest=lambda x: x + 5), 'labels 1 and 2'),
        (dict(stimTrn=lambda x: x / 255), 'uint8'),
        (dict(fmriTrn=lambda x: x[:0]), r'fmriTrn \(0, 240\)'),
    ],
)
def test_shapes_and_types_that_do_not_agree_are_named(changed, changes, message):
    with pytest.raises(errors.DataInvalid, match=message):
        digits69.load(changed(**changes))


@pytest.mark.parametrize(
    'changes',
    [
        dict(labelTrn=lambda x: np.roll(x, 1)),
        dict(fmriTrn=lambda x: 300 * x),
        dict(stimTest=lambda x: x.reshape(-1, 28, 28).swapaxes(1, 2).reshape(-1, 784)),
    ],
)
def test_a_file_that_is_not_the_published_one_is_noted(changed, folder, monkeypatch, changes):
    path = changed(**changes)
    notes = digits69.load(path).facts['notes']
    assert len(notes) == 1 and 'is not the published file' in notes[0]
    content = pathlib.Path(path['path'], digits69.FILE).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    assert found[:12] in notes[0]
    monkeypatch.setattr(digits69, 'SHA256', found)
    assert digits69.load(path).facts['notes'] == []
    assert digits69.load({'path': str(folder)}).facts['notes'] == []  # simulated


def test_nan_is_counted_and_placed(changed):
    def spoil(x):
        x[4, 7] = x[5, 9] = np.nan
        return x

    with pytest.raises(errors.DataInvalid, match='2 values of fmriTest.*row 4, voxel 7'):
        digits69.load(changed(fmriTest=spoil))


@pytest.mark.real
def test_the_real_file_has_its_published_content(shared):
    path = shared / 'data' / 'digits69'
    assert hashlib.sha256((path / digits69.FILE).read_bytes()).hexdigest() == digits69.SHA256
    brain = digits69.load({'path': str(path)})
    assert brain.facts['notes'] == []
    assert brain.train.voxels.shape == (90, 3092) and brain.test.voxels.shape == (10, 3092)
    labels = np.array([brain.labels[i] for i in range(100)])
    assert np.bincount(labels[:90]).tolist() == [45, 45]
    assert np.bincount(labels[90:]).tolist() == [5, 5]
    assert brain.train.voxels.min() == pytest.approx(-0.334, abs=1e-3)
    assert brain.train.voxels.max() == pytest.approx(0.576, abs=1e-3)
    assert abs(brain.train.voxels.std(0).mean() - 1) > 0.5  # not z-scored
    prepared, _ = prepare.run({'order': ('normalise',)}, brain)
    np.testing.assert_allclose(prepared.train.voxels.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(prepared.train.voxels.std(0), 1, atol=1e-5)
    assert abs(prepared.test.voxels.mean()) > 1e-4


@pytest.mark.real
def test_real_digits_are_upright(shared):
    """The loop of a six is below, that of a nine above; a transposed digit has neither."""
    brain = digits69.load({'path': str(shared / 'data' / 'digits69')})
    ink = brain.images[np.arange(100)][..., 0] > 0.5
    labels = np.array([brain.labels[i] for i in range(100)])

    def wider_below(ink):
        return ink[:, 14:].any(1).sum(1) - ink[:, :14].any(1).sum(1).astype(float)

    def gap(ink):
        return wider_below(ink)[labels == 0].mean() - wider_below(ink)[labels == 1].mean()

    assert gap(ink) > 2  # pixels; 2.9 on these digits
    assert gap(ink.transpose(0, 2, 1)) < 1 and gap(ink[:, ::-1]) < -2


@pytest.mark.real
def test_the_written_layout_has_the_keys_and_types_of_the_real_file(shared, folder):
    real = scipy.io.loadmat(shared / 'data' / 'digits69' / digits69.FILE)
    ours = scipy.io.loadmat(folder / digits69.FILE)
    keys = {k for k in real if k[0] != '_'}
    assert keys == {k for k in ours if k[0] != '_'}
    for key in keys:
        assert real[key].dtype == ours[key].dtype and real[key].ndim == ours[key].ndim
        assert set(np.unique(real[key])) == set(np.unique(ours[key])) or 'label' not in key
        if 'label' in key:
            assert (np.diff(ours[key][:, 0].astype(int)) >= 0).all()


@pytest.mark.parametrize(('test', 'validation', 'seed'), [(0.2, 0.0, 0), (0.3, 0.25, 7)])
def test_another_split_parts_the_same_rows_by_image(tmp_path, test, validation, seed):
    folder = layout.write(tmp_path / 'a')
    own = digits69.load({'path': str(folder)})
    split = dict(by='fraction', test=test, validation=validation, seed=seed)
    data = digits69.load({'path': str(folder), 'split': split})
    n = len(own.train) + len(own.test)
    assert len(data.test) == round(test * n) and (data.validation is None) == (validation == 0)
    rows = {i: v for s in own.splits().values() for i, v in zip(s.image_id, s.voxels, strict=True)}
    seen = []
    for part in data.splits().values():
        seen += part.image_id.tolist()
        for i, v in zip(part.image_id, part.voxels, strict=True):
            np.testing.assert_array_equal(v, rows[i])
    assert sorted(seen) == list(range(n)) and f'{test:.0%}' in data.facts['split']
