import os
import pickle

import numpy as np
import pytest

from recon.core import errors
from recon.data.formats import algonauts_rois


def test_an_area_is_its_label_and_minus_one_and_zero_are_none():
    labels = {'prf-visualrois': np.array([-1, 0, 1, 2, 2, 7, 5])}
    tables = {'prf-visualrois': algonauts_rois.table('prf-visualrois')}
    found = algonauts_rois.rois(labels, tables, 'here')
    assert found['V1v'].tolist() == [0, 0, 1, 0, 0, 0, 0]
    assert found['V1d'].tolist() == [0, 0, 0, 1, 1, 0, 0]
    assert found['V1'].sum() == 3 and found['early_visual'].sum() == 5
    assert not found['V3d'].any()
    # Unions of areas whose class is not there do not exist, rather than being smaller.
    assert set(found) == {
        *algonauts_rois.CLASSES['prf-visualrois'],
        'V1',
        'V2',
        'V3',
        'early_visual',
    }
    assert set(algonauts_rois.definitions(found)) == {'V1', 'V2', 'V3', 'early_visual'}


def test_a_label_that_the_table_lacks_is_named():
    labels = {'floc-places': np.array([0, 3, 4])}
    tables = {'floc-places': algonauts_rois.table('floc-places')}
    with pytest.raises(errors.DataInvalid, match=r'floc-places has label 4, its table has 1 to 3'):
        algonauts_rois.rois(labels, tables, 'here')


def test_no_two_classes_have_an_area_of_one_name():
    names = [name for members in algonauts_rois.CLASSES.values() for name in members]
    names += [*algonauts_rois.UNIONS, algonauts_rois.RSC]
    assert len(set(names)) == len(names)
    known = set(names)
    assert all(set(members) <= known for members in algonauts_rois.UNIONS.values())


@pytest.mark.parametrize('keys', [int, np.int64, float])
def test_a_mapping_as_numpy_pickles_it_is_read(tmp_path, keys):
    table = {keys(0): 'Unknown', keys(1): 'EBA', keys(2): np.str_('FBA-1')}
    np.save(tmp_path / 'm.npy', table)
    assert algonauts_rois.mapping(tmp_path / 'm.npy') == {1: 'EBA', 2: 'FBA-1'}


class Evil:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize('how', ['object', 'dictionary'])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, how):
    evil = Evil(str(tmp_path / 'ran'))
    held = np.array(evil if how == 'object' else {1: evil}, dtype=object)
    np.save(tmp_path / 'm.npy', held, allow_pickle=True)
    with pytest.raises(errors.DataInvalid, match=r'wants to call posix.mkdir.*m\.npy'):
        algonauts_rois.mapping(tmp_path / 'm.npy')
    assert not (tmp_path / 'ran').exists()
    np.load(tmp_path / 'm.npy', allow_pickle=True)  # as numpy would have
    assert (tmp_path / 'ran').exists()


@pytest.mark.parametrize(
    'content',
    [
        np.arange(4),
        np.array([{1: 'a'}, {2: 'b'}], dtype=object),
        np.array('text', dtype=object),
        np.array({}, dtype=object),
        np.array({'x': 'a'}, dtype=object),
        b'',
        b'\x93NUMPY\x01\x00',
        pickle.dumps({1: 'a'}),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content):
    path = tmp_path / 'm.npy'
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(errors.DataInvalid, match=r'm\.npy'):
        algonauts_rois.mapping(path)
    with pytest.raises(errors.DataMissing):
        algonauts_rois.mapping(tmp_path / 'other.npy')


def test_a_cut_mapping_is_refused(tmp_path):
    path = tmp_path / 'm.npy'
    np.save(path, {i: f'area {i}' for i in range(50)})
    whole = path.read_bytes()
    for size in (20, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(errors.DataInvalid, match=r'm\.npy'):
            algonauts_rois.mapping(path)
