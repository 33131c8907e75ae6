import json
import re
import subprocess
import sys

import numpy as np
import pytest

from recon.core import errors, results
from recon.data.checks import findings, readout
from recon.report import census, inspection

TRIED = readout.answer(
    [
        {
            'name': 'the picture of the next id',
            'mean': 0.1,
            'ci95': [0.0, 0.2],
            'as_is': 0.4,
            'difference': [-0.3, -0.4, -0.2],
            'n': 50,
            'better': False,
        }
    ],
    0.4,
    [0.3, 0.5],
    None,
    '50 images',
)


def found(**changes):
    part = {
        'name': 'train',
        'rows': 1200,
        'images': 500,
        'shown': {'1': 100, '2': 100, '3': 300},
        'trials': {'1': 1200},
        'sessions': [1, 2, 3, 5],
        'runs': 48,
        'rows_by_session': {'1': 300, '2': 300, '3': 300, '5': 300},
    }
    held = {
        'facts': {'source': 'x', 'subject': 2, 'split': 'by image', 'missing_sessions': [4]},
        'voxels': 60,
        'image_size': [32, 48],
        'channels': 3,
        'splits': [part, part | {'name': 'test', 'trials': {'2': 2, '3': 10}}],
        'shared': [{'parts': ['train', 'test'], 'images': 0}],
        'values': {
            'unit': 'percent signal change',
            'percentiles': {'0': -9.0, '1': -4.0, '50': 0.1, '99': 4.0, '100': 8.0},
            'median_absolute': 0.9,
            'median_spread': 1.4,
            'histogram': {'edges': [0.0, 1.0, 2.0], 'counts': [3, 1]},
            'not_finite': 0,
            'constant': 2,
            'warning': None,
        },
        'sides': None,
        'areas': [
            {'name': f'A{k}', 'voxels': k, 'left': k, 'right': 0, 'share': k / 60, 'ceiling': None}
            for k in range(35)
        ],
        'ceiling': {
            'source': 'as the data set gives it',
            'single_median': 0.1,
            'test_median': 0.24,
            'test': {'2': 4, '3': 6},
            'histogram': {'edges': [0.0, 0.1, 0.2], 'counts': [5, 5]},
        },
        'audit': {
            'train_images': 500,
            'test_images': 10,
            'seen_test_images': 0,
            'near_duplicates': 1,
            'near_duplicate_rule': 'not seen, but alike',
            'seen_extra_tests': {},
            'alignment': {'-1': 0.0, '0': 0.3, '1': 0.01},
            'alignment_ci95': {'-1': [-0.1, 0.1], '0': [0.2, 0.4], '1': [-0.1, 0.1]},
            'alignment_warning': None,
            'alignment_note': '40 blocks',
        },
        'ids': TRIED,
        'test_ids': readout.answer(note='not applicable: 12 test images'),
        'orientation': readout.answer(note='not applicable: no area is named V1, V2 or V3'),
        'pictures': [
            {'id': 7, 'part': 'train', 'labels': ['cat'], 'captions': ['a <b>cat</b>', 'x', 'y']},
            {'id': 9, 'part': 'test', 'labels': [], 'captions': []},
        ],
    } | changes
    return held | {'findings': findings.of(held)}


def folder(path, held=None, maps=None):
    """Writes what an inspection leaves, but for the page."""
    rng = np.random.default_rng(0)
    held = found() if held is None else held
    for name, value in (
        ('inspection', held),
        ('config', {'dataset': {'name': 'nsd', 'path': '/data/nsd'}, 'seed': 0}),
        ('run', {'status': 'running', 'commit': 'abc', 'seed': 0, 'wall_s': 3.5}),
    ):
        results.write_bytes(path / f'{name}.json', results.to_json(value).encode())
    pictures = rng.integers(0, 256, (2, 32, 48, 3), np.uint8)
    results.write_npz(path / 'pictures.npz', {'images': pictures, 'image_id': np.array([7, 9])})
    xyz = rng.normal(size=(60, 3)).astype(np.float32)
    results.write_npz(path / 'maps.npz', {'xyz': xyz, 'ncsnr': np.ones(60)} | (maps or {}))
    return path


def test_the_page_holds_what_was_found(tmp_path):
    page = inspection.write(folder(tmp_path)).read_text()
    text = re.sub(r'<[^>]+>', ' ', page)
    for words in (
        'What the recording holds: nsd, subject 2', '1,200', '1 to 3, 5', 'session 4',
        '1 (100 images), 2 (100 images), 3 (300 images)', '4 more areas', '1 empty area ',
        'image 7',
        'the picture of the next id', 'no area is named V1, V2 or V3', 'percent signal change',
        'Nothing wrong was found', 'median over voxels', '2 to 3 trials each', 'from above',
        'and 1 more captions', '48 x 32',
    ):  # fmt: skip
        assert words in text, words
    assert '<b>cat</b>' not in page and '&lt;b&gt;cat' in page
    assert page.count('<img') >= 2 + 3 and 'http://' not in re.sub(r'xmlns="[^"]+"', '', page)


def test_areas_of_an_atlas_come_last_and_empty_ones_are_folded(tmp_path):
    area = {'left': None, 'right': None, 'share': 0.1, 'ceiling': 0.2}
    areas = [area | {'name': n, 'voxels': v} for n, v in (('HCP/V1', 3), ('aTL', 0), ('V1', 4))]
    page = inspection.write(folder(tmp_path, found(areas=areas))).read_text()
    assert page.index('>V1<') < page.index('>HCP/V1<') < page.index('1 empty area<')
    place = np.arange(60)
    masks = {f'roi_{n}': place // 10 == k for k, n in enumerate(('V1', 'V2', 'FFA', 'mine'))}
    masks |= {'roi_HCP/V1': place < 15, 'roi_ventral': place >= 15}
    page = inspection.write(folder(tmp_path, maps=masks)).read_text()
    assert re.findall('<em>(.+?)</em>', page) == ['V1', 'V2', 'FFA']
    page = inspection.write(folder(tmp_path, maps={'roi_mine': place < 9})).read_text()
    assert '<em>mine</em>' in page


def test_what_is_wrong_is_red_on_top(tmp_path):
    values = found()['values'] | {'warning': 'far too large'}
    page = inspection.write(folder(tmp_path, found(values=values, sides='swapped'))).read_text()
    assert page.count('class="banner bad"') == 2 and 'Far too large.' in page
    assert 'Read the red lines' in page and page.index('banner bad') < page.index('<main>')


def test_a_recording_of_which_little_is_known_has_a_page_too(tmp_path):
    bare = found(
        areas=[],
        ceiling={'source': 'not known', 'single_median': None},
        values={'unit': 'not said', 'not_finite': 60, 'constant': 0, 'warning': 'none is finite'},
        ids=readout.answer(note='not run'),
        audit={'alignment': {}, 'alignment_note': 'not run'},
        facts={'source': 'x'},
        pictures=[],
    )
    results.write_npz(tmp_path / 'maps.npz', {'ncsnr': np.ones(3)})
    folder(tmp_path, bare)
    results.write_npz(tmp_path / 'maps.npz', {})
    page = inspection.write(tmp_path).read_text()
    assert 'does not say where its voxels lie' in page and 'id="areas"' not in page


def test_the_same_folder_gives_the_same_page(tmp_path):
    folder(tmp_path)
    pages = [inspection.write(tmp_path).read_bytes() for _ in range(2)]
    assert pages[0] == pages[1]


def test_a_folder_without_an_inspection_is_refused(tmp_path):
    with pytest.raises(errors.DataMissing, match=r'inspection.json.*configs/inspect.py'):
        inspection.write(tmp_path)
    folder(tmp_path)
    (tmp_path / 'inspection.json').write_text('{"facts": ')
    with pytest.raises(errors.DataInvalid, match='not JSON'):
        inspection.write(tmp_path)


def test_no_jax_is_imported(tmp_path):
    folder(tmp_path)
    code = (
        f'import sys; from recon.report import inspection; inspection.write({str(tmp_path)!r})\n'
        "bad = {'jax', 'torch'} & set(sys.modules); sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ('numbers', 'text'),
    [([], 'not known'), ([3], '3'), ([1, 2, 3, 5, 7, 8], '1 to 3, 5, 7 to 8'), ([0, 1], '0 to 1')],
)
def test_numbers_in_a_row_are_written_as_ranges(numbers, text):
    assert census.ranges(numbers) == text


def test_many_kinds_of_repeats_are_a_range():
    assert census.times({'3': 10}, 'image') == '3'
    assert census.times({'3': 10, '1': 1}, 'image') == '1 (1 image), 3 (10 images)'
    assert census.times({str(k): k for k in range(1, 9)}, 'image') == '1 to 8'


def test_json_keeps_the_page_as_it_was(tmp_path):
    """What the page needs is in the folder: nothing is lost by writing it down."""
    held = found()
    again = json.loads(results.to_json(held))
    context = inspection.context(
        {'inspection': again, 'config': {'dataset': {'name': 'x'}}, 'run': {}},
        {'maps': {}, 'pictures': {}},
        'here',
    )
    assert context['title'].endswith('x, subject 2') and context['pictures'] == []
