"""From files to pictures: nilearn's masking and scikit-learn's loop, and our reader and decoder."""

import ml_collections
import numpy as np
import pytest
from nilearn import image as nilearn_image
from nilearn import maskers, signal
from sklearn import feature_selection, linear_model, pipeline, preprocessing

from recon.core import patterns
from recon.data.datasets import miyawaki2008
from recon.data.layouts import miyawaki2008 as layout
from recon.decoders import _windows, miyawaki

K = 200


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('miyawaki2008')
    layout.write(root, scale='toy')
    return root


def masked(root, kind, runs):
    """nilearn's example, run by run: mask, detrend, shift by two volumes, drop rest.

    The masker would detrend in float32, which at a baseline of 8,000 leaves errors of 5e-4; the
    same function of nilearn is called in float64 instead.
    """
    mask = str(root / 'mask' / 'mask.nii.gz')
    masker = maskers.NiftiMasker(mask_img=mask, standardize=None, dtype=np.float64).fit()
    voxels, labels = [], []
    for i in range(1, runs + 1):
        name = f'data_{kind}_run{i:02d}'
        image = nilearn_image.load_img(str(root / 'func' / f'{name}.nii.gz'))
        label = np.loadtxt(root / 'label' / f'{name}_label.csv', delimiter=',')
        series = signal.clean(masker.transform(image), detrend=True, standardize=None)
        series, shown = series[2:], label[:-2]
        keep = shown[:, 0] != -1
        voxels.append(series[keep])
        labels.append(shown[keep].reshape(-1, 10, 10, order='F'))
    return np.concatenate(voxels), np.concatenate(labels)


def published(voxels, pictures, rows):
    """One pipeline for each of the 361 windows: supports and decoded contrasts."""
    sizes = miyawaki.DEFAULTS['scales']
    targets = np.concatenate([patterns.unfold(pictures, size) for size in sizes], 1)
    supports, columns = [], []
    for target in targets.T:
        model = pipeline.Pipeline(
            [
                ('select', feature_selection.SelectKBest(feature_selection.f_classif, k=K)),
                ('scale', preprocessing.StandardScaler()),
                (
                    'omp',
                    linear_model.OrthogonalMatchingPursuit(n_nonzero_coefs=10, precompute=True),
                ),
            ]
        ).fit(voxels, target.astype(np.float64))
        chosen = np.flatnonzero(model['select'].get_support())
        supports.append(set(chosen[np.flatnonzero(model['omp'].coef_)]))
        columns.append(model.predict(rows))
    values = np.stack(columns, 1)
    ends = np.cumsum([patterns.count((10, 10), size) for size in sizes])[:-1]
    parts = zip(np.split(values, ends, 1), sizes, strict=True)
    picture = sum(patterns.fold(part, (10, 10), size) for part, size in parts) / 4
    return picture, values, supports


def test_files_to_pictures_equal_the_published_recipe(folder):
    train, shown = masked(folder, 'random', 20)
    test, figures = masked(folder, 'figure', 12)
    brain = miyawaki2008.load(ml_collections.ConfigDict({'path': str(folder)}))
    truth = brain.images[brain.train.image_id][..., 0]
    np.testing.assert_array_equal(truth, shown)
    np.testing.assert_array_equal(brain.images[brain.test.image_id][..., 0], figures)
    np.testing.assert_allclose(brain.train.voxels, train, atol=1e-5 * np.abs(train).max())

    cfg = ml_collections.ConfigDict(
        {
            'base': {'name': 'omp', 'coefficients': 10, 'dtype': 'float64'},
            'select': {'by': 'f', 'k': K},
        }
    )
    params = miyawaki.fit(cfg, brain.train.voxels, truth, groups=brain.train.groups())
    wanted, values, supports = published(train, shown, test)
    ours = params['local']['base']['support']
    same = [wish == set(own) for wish, own in zip(supports, ours, strict=True)]
    assert len(same) == 361
    assert np.mean(same) >= 0.995
    got = _windows.predict(miyawaki._options(cfg), params['local'], brain.test.voxels)
    np.testing.assert_allclose(got[:, same], values[:, same], atol=1e-6)
    pictures = miyawaki.predict(cfg, params, brain.test.voxels)
    np.testing.assert_allclose(pictures, wanted, atol=1e-6 if all(same) else 0.05)
