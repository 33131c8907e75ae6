import numpy as np
import pytest

from recon.core import results
from recon.report import html as report
from recon.report import votes
from tests.report import fake_run


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = fake_run.write_vote(tmp_path_factory.mktemp('vote') / 'run')
    return folder, report.write(folder).read_text()


def test_each_line_marks_the_member_that_was_chosen_and_gives_its_cosine(made):
    folder, _ = made
    held = results.read(folder)
    found = votes.build(held['arrays'], held['scores'], ['pixcorr'])
    ids = held['arrays']['image_id'].tolist()
    for line in found['lines']:
        row = ids.index(int(line['id']))
        chosen = [v for v in line['members'] if v['chosen']]
        assert [v['name'] for v in chosen] == [held['scores']['vote'][line['id']]]
        k = int(held['arrays']['vote_choice'][row])
        assert float(chosen[0]['cosine']) == pytest.approx(
            held['arrays']['vote_cosine'][row, k], abs=1e-3
        )
        assert all(len(v['pictures']) == 2 for v in line['members'])
    counts = np.bincount(held['arrays']['vote_choice'], minlength=4).tolist()
    assert list(found['counts'].values()) == counts


def test_the_page_has_the_vote_and_a_row_for_it_among_the_members(made):
    _, page = made
    section = page[page.index('id="vote"') : page.index('id="pictures"')]
    assert section.count('class="chosen"') == 8 and 'its own low-level picture' in section
    members = page[page.index('<h3>Members</h3>') :]
    for words in ('low-level picture, cosine similarity, tiny clip', '>97<', 'the vote'):
        assert words in members, words
    gallery = page[page.index('id="pictures"') : page.index('id="scores"')]
    assert 'member 92' in gallery and 'low 92' not in gallery


def test_a_mean_of_members_is_no_vote(tmp_path):
    held = {name: {'pixcorr': 0.1} for name in 'ab'}
    folder = fake_run.write(tmp_path, 'scenes', members=held)
    page = report.write(folder).read_text()
    assert 'id="vote"' not in page and 'mean picture' in page


def test_without_low_level_pictures_the_refined_ones_stand_alone(made):
    held = results.read(made[0])
    arrays = {k: v for k, v in held['arrays'].items() if not k.startswith('stage_low')}
    found = votes.build(arrays, held['scores'], ['pixcorr'])
    assert not found['low'] and all(len(v['pictures']) == 1 for v in found['lines'][0]['members'])
