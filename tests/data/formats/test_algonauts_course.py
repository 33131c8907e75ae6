import numpy as np
import pandas
import pytest

from recon.core import errors
from recon.data.formats import algonauts_course, coco_table

NAMES = coco_table.table().names


def write_infos(path, count=7, seed=0, index=False, **changes):
    rng = np.random.default_rng(seed)
    frame = pandas.DataFrame(rng.integers(0, 2, (count, 133)), columns=NAMES)
    frame.insert(0, 'cocoSplit', rng.choice(['train2017', 'val2017'], count))
    frame.insert(0, 'cocoId', rng.permutation(500_000)[:count])
    frame.rename(columns=changes).to_csv(path, index=index)
    return frame


@pytest.mark.parametrize(('count', 'index'), [(7, False), (30, True)])
def test_the_table_is_what_pandas_wrote(tmp_path, count, index):
    frame = write_infos(tmp_path / 'a.csv', count, index=index)
    coco, split, labels = algonauts_course.infos(tmp_path / 'a.csv')
    assert np.array_equal(coco, frame['cocoId']) and split.tolist() == list(frame['cocoSplit'])
    assert np.array_equal(labels, frame[list(NAMES)]) and labels.dtype == np.uint8


def test_other_columns_or_values_are_refused(tmp_path):
    path = tmp_path / 'a.csv'
    write_infos(path, cocoId='id')
    with pytest.raises(errors.DataInvalid, match="no column 'cocoId'"):
        algonauts_course.infos(path)
    write_infos(path, person='people')
    with pytest.raises(errors.DataInvalid, match="other label columns, first 'people'"):
        algonauts_course.infos(path)
    write_infos(path)[['cocoId', 'cocoSplit', *NAMES[:50]]].to_csv(path, index=False)
    with pytest.raises(errors.DataInvalid, match='other label columns, first .their number'):
        algonauts_course.infos(path)
    frame = write_infos(path)
    frame['dog'] = 2
    frame.to_csv(path, index=False)
    with pytest.raises(errors.DataInvalid, match='labels are not 0 and 1'):
        algonauts_course.infos(path)
    path.write_text(path.read_text().replace('2017', '2017', 1)[:-40])
    with pytest.raises(errors.DataInvalid, match='columns, the header 135'):
        algonauts_course.infos(path)


def write_list(path, n=40, seed=0, **changes):
    rng = np.random.default_rng(seed)
    frame = pandas.DataFrame(
        {
            'cocoId': rng.permutation(500_000)[:n],
            'cocoSplit': rng.choice(['train2017', 'val2017'], n),
            'cropBox': ['(0, 0, 0.1, 0.1)'] * n,
            'nsdId': np.arange(n),
            'shared1000': rng.random(n) < 0.2,
            'subject3': rng.integers(0, 2, n),
        }
    )
    frame = frame.assign(**changes)
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(path)
    return frame


def test_the_list_is_read_as_pandas_reads_it_by_file_or_root(tmp_path):
    path = tmp_path / algonauts_course.CSV
    frame = write_list(path)
    mine = frame[frame['subject3'] == 1]
    for given in (path, tmp_path):
        found = algonauts_course.stimuli(given, 3)
        for key, column in (('nsd', 'nsdId'), ('coco', 'cocoId'), ('split', 'cocoSplit')):
            assert found[key].tolist() == mine[column].tolist()
        assert found['shared'].tolist() == mine['shared1000'].tolist()
    with pytest.raises(errors.DataInvalid, match="no column 'subject4'"):
        algonauts_course.stimuli(path, 4)
    write_list(path, nsdId=np.arange(1, 41))
    with pytest.raises(errors.DataInvalid, match='nsdId starts at 1'):
        algonauts_course.stimuli(path, 3)


@pytest.mark.parametrize('seed', [0, 1, 2])
def test_ids_come_back_by_coco_id_and_part(tmp_path, seed):
    path = tmp_path / 'a.csv'
    frame = write_list(path, n=200, seed=seed)
    mine = frame[frame['subject3'] == 1].sample(50, random_state=seed)
    coco, split = mine['cocoId'].to_numpy(), mine['cocoSplit'].to_numpy().astype(str)
    known = algonauts_course.stimuli(path, 3)
    assert np.array_equal(algonauts_course.recover(coco, split, known, path), mine['nsdId'])
    with pytest.raises(errors.DataInvalid, match='two pictures have the NSD id.*numbers'):
        again = np.append(coco, coco[4]), np.append(split, split[4])
        algonauts_course.recover(*again, known, path)
    other = np.where(split == 'val2017', 'train2017', 'val2017')
    with pytest.raises(errors.DataInvalid, match='50 of 50 pictures are not among those'):
        algonauts_course.recover(coco, other, known, path)


def test_a_coco_id_with_two_nsd_ids_is_ambiguous_only_if_the_subject_saw_both(tmp_path):
    for seen, wanted in (([1, 1, 1], [-1, 2]), ([1, 0, 1], [0, 2])):
        frame = write_list(
            tmp_path / 'a.csv', 3, cocoId=[7, 7, 9], cocoSplit='train2017', subject3=seen
        )
        known = algonauts_course.stimuli(tmp_path / 'a.csv', 3)
        split = frame['cocoSplit'].to_numpy().astype(str)[:2]
        found = algonauts_course.recover(np.array([7, 9]), split, known, 'here')
        assert found.tolist() == wanted
