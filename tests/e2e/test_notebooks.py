"""The notebooks run as they are, but for their size, and are stored without outputs."""

import pathlib

import nbclient
import nbformat
import pytest

from recon.data.layouts import miyawaki2008

ROOT = pathlib.Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / 'colabs').glob('*.ipynb'))


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.stem)
def test_a_notebook_is_stored_without_outputs(path):
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == 'code':
            assert not cell.outputs and cell.execution_count is None


def execute(path, tmp_path, changes):
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        for old, new in (*changes.items(), ('runs/', f'{tmp_path}/runs/')):
            cell.source = cell.source.replace(old, new)
    kernel = nbclient.NotebookClient(book, timeout=600, resources={'metadata': {'path': ROOT}})
    kernel.execute()
    return '\n'.join(
        output.get('text', '')
        for cell in book.cells
        if cell.cell_type == 'code'
        for output in cell.outputs
    )


def test_the_first_notebook_runs_with_miyawakis_layout_in_the_place_of_real_data(tmp_path):
    miyawaki2008.write(tmp_path / 'miyawaki2008', scale='toy', seed=0)
    said = execute(
        ROOT / 'colabs' / '01_first_reconstruction.ipynb',
        tmp_path,
        {
            "QUICK = ''": "QUICK = ':smoke'",
            'REAL = False': 'REAL = True',
            "'data/miyawaki2008'": repr(str(tmp_path / 'miyawaki2008')),
            "'--config.dataset.download=true'": "'--config.draws=100'",
        },
    )
    assert 'pixcorr' in said and 'binary_accuracy' in said


@pytest.mark.long
def test_the_second_notebook_runs(tmp_path):
    path = ROOT / 'colabs' / '02_linear.ipynb'
    said = execute(path, tmp_path, {"QUICK = ''": "QUICK = ':smoke'"})
    assert all(name in said for name in ('ridge', 'omp', 'univariate')) and 'table.html' in said


@pytest.mark.long
def test_the_third_notebook_trains_and_decodes_new_scans(tmp_path):
    path = ROOT / 'colabs' / '03_train_on_tpu.ipynb'
    said = execute(path, tmp_path, {"QUICK = ''": "QUICK = ',smoke,width=64,epochs=20'"})
    assert 'l1 on validation' in said and 'pixcorr' in said
    difference = float(said.split('largest difference to the run itself:')[1].split()[0])
    assert difference < 1e-5


@pytest.mark.long
def test_the_fourth_notebook_paints_and_says_how_much_of_it_is_real(tmp_path):
    path = ROOT / 'colabs' / '04_diffusion.ipynb'
    said = execute(path, tmp_path, {"'small'": "'smoke'", "'small,bare'": "'smoke,bare'"})
    assert 'less shuffled_voxels' in said and 'agreement of 2 samples' in said
    assert all(name in said for name in ('as published', 'exchanged', 'two_way_tiny_category'))
