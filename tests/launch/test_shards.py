import numpy as np
import pytest

from launch import shards

pytest.importorskip('array_record', reason='pip install array-record')
CONFIG = '--config=configs/digits69_ridge.py'


def test_prepared_rows_come_back_and_a_second_start_writes_nothing(tmp_path, capsys):
    import tensorflow_datasets as tfds

    from recon.data import prepare
    from recon.data.datasets import digits69
    from recon.data.layouts import digits69 as layout

    digits = layout.write(tmp_path / 'files')
    words = [f'{CONFIG}:path={digits}', f'--out={tmp_path}', '--shards=3', '--name=mine']
    assert shards.main(words) == 0
    folder = tmp_path / 'recon_digits69' / 'mine' / '1.0.0'
    assert str(folder) in capsys.readouterr().out
    source = tfds.data_source('recon_digits69/mine', data_dir=tmp_path, split='train')
    cfg = {'order': ('normalise',), 'normalise': {'by': 'all'}}
    brain, _ = prepare.run(cfg, digits69.load({'path': str(digits)}))
    assert len(source) == len(brain.train)
    for i in (7, 0, len(source) - 1):
        np.testing.assert_array_equal(source[i]['voxels'], brain.train.voxels[i])
        assert source[i]['image_id'] == brain.train.image_id[i]
    before = {p: p.stat().st_mtime_ns for p in folder.iterdir()}
    assert shards.main(words) == 0
    assert {p: p.stat().st_mtime_ns for p in folder.iterdir()} == before


@pytest.mark.parametrize('words', [[], ['--out=x', '--shards=-1'], ['--out=x', '--bad=1']])
def test_a_wrong_command_line_ends_with_2_and_one_line(words, capsys):
    assert shards.main([CONFIG, *words]) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1
