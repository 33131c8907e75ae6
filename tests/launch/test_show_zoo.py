import json
import pathlib

import numpy as np
import pytest
from PIL import Image

from launch import show_zoo
from recon.train.tasks import _scenes

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = ROOT / 'recon' / 'zoo' / 'assets' / 'tiny'


def test_the_table_in_the_docs_is_that_of_the_embedded_nets():
    table = show_zoo.table(json.loads((TINY / 'reach.json').read_text()))
    assert table in (ROOT / 'docs' / 'models.md').read_text()
    assert len({line.count('|') for line in table.splitlines()}) == 1


def test_a_sheet_shows_every_picture_in_its_place(tmp_path):
    black, white = np.zeros((3, 8, 8, 3)), np.ones((3, 8, 8, 3))
    show_zoo.draw(tmp_path / 'a.png', {'dark': black, 'light': white}, ['a', 'b', 'c'])
    with Image.open(tmp_path / 'a.png') as sheet:
        found = np.asarray(sheet.convert('L'))
    height = int(100 * show_zoo._COLUMN)
    first, second = (found[row * height + height // 2, -height // 2] for row in (0, 1))
    assert (first, second) == (0, 255)


def test_the_autoencoder_is_nearer_to_the_scenes_than_as_many_pixels():
    rows = show_zoo.rebuilt(TINY, _scenes.held_out(4, start=30))
    truth, *others = rows.values()
    ours, bicubic = (((other - truth) ** 2).mean() for other in others)
    assert ours < bicubic / 1.5


def test_a_folder_without_nets_ends_with_one_line(tmp_path, capsys):
    code = show_zoo.main([f'--zoo={tmp_path}', f'--out={tmp_path}/out'])
    assert code == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_no_scenes_at_all_end_with_one_line(tmp_path, capsys):
    assert show_zoo.main([f'--out={tmp_path}/out', '--count=0']) == 2
    assert '--count=0' in capsys.readouterr().err


@pytest.mark.long
def test_all_four_sheets_are_drawn(tmp_path, capsys):
    assert show_zoo.main([f'--zoo={TINY}', f'--out={tmp_path}', '--count=2']) == 0
    names = sorted(path.name for path in tmp_path.glob('*.png'))
    assert names == [f'zoo_{n}.png' for n in ('autoencoder', 'captions', 'img2img', 'samples')]
    assert '| autoencoder |' in capsys.readouterr().out
