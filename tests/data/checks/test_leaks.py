import numpy as np
import pytest

from recon.core import errors
from recon.data.checks import leaks

NSD = {'source': 'nsd', 'id_space': 'nsd', 'test': 'shared1000'}
ALGONAUTS = {'source': 'algonauts2023', 'id_space': 'nsd', 'contains_shared1000': True}
COURSE = ALGONAUTS | {'id_space': 'course:1'}


@pytest.mark.parametrize('seed', [0, 1])
def test_shared_images_that_were_trained_on_are_refused_by_id_with_the_reason(seed):
    rng = np.random.default_rng(seed)
    shared = np.sort(rng.permutation(73_000)[:1000])
    trained = np.concatenate([rng.permutation(shared)[:907], np.arange(73_000, 80_000)])
    with pytest.raises(errors.LeakError, match=r'907 of 1000 .*almost all of the shared1000'):
        leaks.refuse(ALGONAUTS, trained, NSD, np.repeat(shared, 3))


def test_nsds_own_data_have_nsds_ids_without_saying_so():
    leaks.refuse(ALGONAUTS, [1, 2], {'source': 'nsd'}, [3])
    with pytest.raises(errors.LeakError, match='1 of 2 test images were trained on, first 2'):
        leaks.refuse(ALGONAUTS, [1, 2], {'source': 'nsd'}, [2, 3])


def test_ids_that_do_not_meet_pass_whatever_the_names_are():
    leaks.refuse(ALGONAUTS, [1, 2, 3], NSD, [4, 5])
    leaks.refuse(NSD, np.arange(5), ALGONAUTS, np.arange(5, 9))


@pytest.mark.parametrize(
    ('trained', 'ids'),
    [(COURSE, np.arange(5000)), (ALGONAUTS, None), ({**ALGONAUTS, 'id_space': None}, [1])],
)
def test_where_ids_cannot_tell_the_names_do(trained, ids):
    with pytest.raises(errors.LeakError, match='cannot be told.*almost all of the shared1000'):
        leaks.refuse(trained, ids, NSD, np.arange(100_000, 100_010))


def test_two_course_copies_are_compared_by_number_only_if_of_one_subject():
    with pytest.raises(errors.LeakError, match='1 of 2 test images were trained on, first 7'):
        leaks.refuse(COURSE, [5, 7], COURSE, [7, 8])
    leaks.refuse(COURSE, [5, 7], COURSE, [8])
    with pytest.raises(errors.LeakError, match='cannot be told'):
        leaks.refuse(COURSE, [5, 7], COURSE | {'id_space': 'course:2'}, [8])


def test_other_data_sets_pass_although_their_numbers_meet():
    god = {'source': 'god'}
    leaks.refuse(ALGONAUTS, [1, 2], god, [1, 2])
    leaks.refuse(god, [1, 2], NSD, [1, 2])
    leaks.refuse(god, [1, 2], {'source': 'shen2019'}, [1, 2])
