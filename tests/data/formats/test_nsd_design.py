import csv
import pickle
import shutil

import numpy as np
import pytest
import scipy.io

from recon.core import errors
from recon.data.formats import nsd_design
from recon.data.layouts import _coco, _nsd_design

SUBJECT = 3


def write(root, seed=0, sessions=3, shared=8, own=32):
    """A plan of the simulator in NSD's files; the plan."""
    per_run = (4, 6, 9) if sessions == 2 else (4, 4, 7)
    own = sessions * 6 * sum(per_run[:2]) // 3 - shared
    design = _nsd_design.make(1000, shared, own, sessions, per_run, seed)
    folder = (root / nsd_design.EXPDESIGN).parent
    folder.mkdir(parents=True, exist_ok=True)
    (root / nsd_design.EXPDESIGN).write_bytes(_nsd_design.mat(design))
    sheet = _nsd_design.sheet(design, _coco.originals(design.n, seed))
    (root / nsd_design.SHEET).write_bytes(sheet)
    behaviour(root).parent.mkdir(parents=True, exist_ok=True)
    behaviour(root).write_bytes(_nsd_design.responses(design, SUBJECT, sessions - 1))
    return design


def behaviour(root):
    return root / f'nsddata/ppdata/subj{SUBJECT:02d}/behav/responses.tsv'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('design')
    write(root)
    return root


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / 'copy')


def check(root, subject=SUBJECT):
    design = nsd_design.read(root, subject)
    nsd_design.read_sheet(root, design)
    nsd_design.check_responses(root, design)
    return design


def change_mat(root, **changes):
    path = root / nsd_design.EXPDESIGN
    held = {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith('__')}
    for key, change in changes.items():
        held[key] = change(held[key])
    scipy.io.savemat(path, held)


def change_table(path, column, change, delimiter=','):
    with open(path, newline='') as file:
        header, *rows = csv.reader(file, delimiter=delimiter)
    at = header.index(column)
    for i, row in enumerate(rows):
        row[at] = change(i, row[at])
    with open(path, 'w', newline='') as file:
        csv.writer(file, delimiter=delimiter).writerows([header, *rows])


@pytest.mark.parametrize(('seed', 'sessions'), [(0, 3), (5, 2)])
@pytest.mark.parametrize('subject', [1, 8])
def test_trials_are_those_of_the_simulators_plan(tmp_path, seed, sessions, subject):
    plan = write(tmp_path, seed, sessions)
    found = nsd_design.read(tmp_path, subject)
    wanted = plan.rows(subject, np.arange(1, sessions + 1))
    for name in ('image_id', 'session', 'run', 'repeat'):
        assert np.array_equal(getattr(found, name), wanted[name]), name
    assert np.array_equal(found.shared, plan.shared - 1)
    assert len(found.trials(2)) == plan.per_session


def test_ids_follow_the_published_arithmetic(folder):
    """nsd_id0 = subjectim[s - 1, masterordering[t] - 1] - 1, and repeats are counted by hand."""
    held = scipy.io.loadmat(folder / nsd_design.EXPDESIGN)
    found, seen = nsd_design.read(folder, SUBJECT), {}
    for t in range(len(found.image_id)):
        j = int(held['masterordering'][0, t]) - 1
        assert found.image_id[t] == held['subjectim'][SUBJECT - 1, j] - 1
        assert (found.image_id[t] in found.shared) == (j < 8)
        assert found.repeat[t] == seen.get(j, 0)
        seen[j] = seen.get(j, 0) + 1


@pytest.mark.parametrize('seed', range(3))
def test_repeats_count_what_came_before(seed):
    ids = np.random.default_rng(seed).integers(0, 9, 60)
    wanted = [int((ids[:t] == i).sum()) for t, i in enumerate(ids)]
    assert nsd_design.repeats(ids).tolist() == wanted
    assert nsd_design.repeats(ids[:0]).tolist() == []


def test_the_sheet_gives_coco_ids_and_crops_as_written(folder):
    sheet = nsd_design.read_sheet(folder, nsd_design.read(folder, SUBJECT))
    wanted = _coco.originals(1000, 0)
    for name in ('cocoId', 'cocoSplit', 'cropBox'):
        assert np.array_equal(sheet[name], wanted[name]), name


def test_all_three_sources_agree_or_the_trial_is_named(copy):
    check(copy)
    design = check(copy, 1)
    trial = design.trials(2)[4]
    image = design.image_id[trial]
    path = copy / nsd_design.SHEET
    column = f'subject1_rep{design.repeat[trial]}'
    change_table(path, column, lambda i, old: 0 if i == image else old)
    message = f'session 2, trial 5 shows no image here and image {image} in nsd_expdesign.mat'
    with pytest.raises(errors.DataInvalid, match=f'{message}.* 1 of 144 trials.*{path.name}'):
        check(copy, 1)
    other = (image + 3) % 1000
    change_table(path, column, lambda i, old: trial + 1 if i == other else old)
    with pytest.raises(errors.DataInvalid, match=f'trial 5 shows image {other} here'):
        check(copy, 1)


def test_ids_off_by_one_are_called_that(copy):
    path = behaviour(copy)
    for shift in (-1, 1):
        change_table(path, '73KID', lambda i, old, s=shift: int(float(old)) + s, '\t')
        if shift == -1:
            with pytest.raises(errors.DataInvalid, match='ids look shifted by one.*responses.tsv'):
                check(copy)
    check(copy)  # there and back
    # The plan itself counted from 0: one too low in the file, all images one too low.
    change_mat(copy, subjectim=lambda x: x - 1, sharedix=lambda x: x - 1)
    with pytest.raises(errors.DataInvalid, match='ids look shifted by one.*merged.csv'):
        check(copy)
    change_mat(copy, masterordering=lambda x: x.astype(int) - 1)
    with pytest.raises(errors.DataInvalid, match='masterordering holds 0 to .*counts from 1'):
        check(copy)


def test_trial_numbers_off_by_one_are_called_that(copy):
    for repeat in range(3):
        column = f'subject{SUBJECT}_rep{repeat}'
        change_table(copy / nsd_design.SHEET, column, lambda i, old: max(int(old) - 1, 0))
    with pytest.raises(errors.DataInvalid, match='trials look shifted by one'):
        check(copy)


def test_rows_of_the_sheet_count_from_zero(copy):
    change_table(copy / nsd_design.SHEET, 'nsdId', lambda i, old: i + 1)
    with pytest.raises(errors.DataInvalid, match='nsdId of row 0 is 1'):
        check(copy)


def test_shared_images_must_be_the_same_everywhere(copy):
    change_table(copy / nsd_design.SHEET, 'shared1000', lambda i, old: str(i % 100 == 9))
    with pytest.raises(errors.DataInvalid, match='10 images are shared1000 here, 8 in'):
        check(copy)
    change_mat(copy, sharedix=lambda x: x + 1)
    with pytest.raises(errors.DataInvalid, match='first 8 images of subjects are not sharedix'):
        check(copy)


def test_counts_that_contradict_each_other_are_refused(copy):
    change_mat(copy, masterordering=lambda x: x[:, :-3])
    with pytest.raises(errors.DataInvalid, match='stimpattern has 144 trials, masterordering 141'):
        check(copy)
    change_mat(copy, masterordering=lambda x: np.full_like(x, 999))
    with pytest.raises(errors.DataInvalid, match='masterordering holds 999 to 999'):
        check(copy)
    with pytest.raises(errors.ConfigError, match='dataset.subject is 9.*1 to 8'):
        check(copy, 9)


def test_behaviour_may_be_missing_or_short_and_that_is_said(copy):
    path = behaviour(copy)
    lines = path.read_text().splitlines(keepends=True)
    design = nsd_design.read(copy, SUBJECT)
    assert nsd_design.check_responses(copy, design) == ([], [1, 2])
    path.write_text(''.join(lines[:-2]))
    (note,), answered = nsd_design.check_responses(copy, design)
    assert answered == [1, 2]
    assert note.startswith('session 2 has 46 rows in responses.tsv and 48 trials')
    path.unlink()
    (note,), answered = nsd_design.check_responses(copy, design)
    assert answered == []
    assert 'checked against nsd_stim_info_merged.csv alone' in note


@pytest.mark.parametrize('name', ['expdesign', 'sheet', 'responses'])
@pytest.mark.parametrize('kind', ['empty', 'half', 'html', 'pickle', 'gone'])
def test_a_broken_file_is_named(copy, name, kind):
    path = {
        'expdesign': copy / nsd_design.EXPDESIGN,
        'sheet': copy / nsd_design.SHEET,
        'responses': behaviour(copy),
    }[name]
    content = path.read_bytes()
    path.unlink()
    if kind == 'gone':
        if name != 'responses':
            with pytest.raises(errors.DataMissing, match=path.name):
                check(copy)
        return
    broken = {'empty': b'', 'html': b'<html>\n' * 40, 'pickle': pickle.dumps(np.arange(90))}
    path.write_bytes(broken.get(kind, content[: len(content) // 2 - 3]))
    with pytest.raises(errors.DataInvalid, match=path.name):
        check(copy)


@pytest.mark.parametrize('column', ['subject3_rep1', 'cocoId', 'cropBox', 'nsdId'])
def test_text_in_a_column_of_numbers_is_refused(copy, column):
    change_table(copy / nsd_design.SHEET, column, lambda i, old: 'x' if i == 7 else old)
    with pytest.raises(errors.DataInvalid, match='holds something else.*merged.csv'):
        check(copy)


def test_missing_columns_are_named(copy):
    path = copy / nsd_design.SHEET
    path.write_text(path.read_text().replace('subject3_rep', 'subjectC_rep', 3))
    with pytest.raises(errors.DataInvalid, match='no column subject3_rep0'):
        check(copy)
    path.write_text(path.read_text().replace('cropBox', 'crop', 1))
    with pytest.raises(errors.DataInvalid, match='no column cropBox'):
        check(copy)
