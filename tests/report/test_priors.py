import numpy as np
import pytest

from recon.core import results
from recon.report import brainmaps, priors
from recon.report import html as report
from tests.report import fake_run


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = fake_run.write_generative(tmp_path_factory.mktemp('prior') / 'run')
    return folder, report.write(folder).read_text()


def test_controls_without_a_brain_are_called_prior_only_where_a_generator_paints(made, tmp_path):
    _, page = made
    for words in ('prior only, shuffled brain', 'Prior only, silent brain', 'Prior only'):
        assert words in page, words
    plain = report.write(fake_run.write(tmp_path, 'scenes')).read_text()
    assert 'rior only' not in plain and 'Silent brain' in plain


def test_the_first_screen_says_what_the_brain_adds(made):
    _, page = made
    top = page[: page.index('<nav')]
    assert (
        'What this brain activity adds to pixel correlation: '
        '+0.310 against that of another picture (0.250 to 0.370: better), '
        '+0.0200 against none (-0.0300 to 0.0700: not told apart).'
    ) in top
    assert '<figcaption>prior only, shuffled brain</figcaption>' in top
    assert 'with ridge regression and a diffusion model' in top


def test_differences_are_told_by_the_way_that_is_better():
    held = fake_run.difference
    table = priors.differences(
        {
            'zero_voxels': {'mse': held(-0.2, 0.1, 'lower'), 'ssim': held(-0.2, 0.1)},
            'shuffled_voxels': {'mse': held(0.05, 0.1, 'lower')},
        },
        ['ssim', 'mse', 'mae'],
        True,
    )
    assert [c['text'] for c in table['columns']] == [
        'Score', 'Minus prior only, shuffled brain', 'Minus prior only, silent brain',
    ]  # fmt: skip
    ssim, mse = table['rows']
    assert [cell['text'] for cell in ssim[1:]] == ['–', '-0.200']
    assert ssim[2]['note'] == 'worse'
    assert [cell['note'] for cell in mse[1:]] == ['not told apart', 'better']
    assert mse[2]['sub'] == '-0.300 to -0.100'


def test_a_line_shows_truth_samples_agreement_and_controls(made):
    folder, page = made
    section = page[page.index('id="prior"') : page.index('id="pictures"')]
    first = section[section.index('<div class="pics">') :]
    line = first[: first.index('</div>')]
    for heading in ('seen', 'decoded', 'sample 1', 'sample 2', 'where they agree'):
        assert f'>{heading}</figcaption>' in line, heading
    assert line.count('<img') == 8 and section.count('<div class="pics">') == 6
    assert '<b>62.0 %</b>' in section and '55.0 to 70.0 %' in section
    gallery = page[page.index('id="pictures"') : page.index('id="scores"')]
    assert 'sample 1' not in gallery and 'img2img</figcaption>' not in gallery
    assert '“a house and two trees”' in gallery and folder.exists()


def test_the_map_is_dark_where_samples_agree_and_pale_where_they_do_not():
    random = np.random.default_rng(0)
    own = random.random((30, 32, 32, 3))
    samples = []
    for _ in range(4):
        mixed = own.copy()
        mixed[:, :, 16:] = random.random((30, 32, 16, 3))  # the right half is each sample's own
        samples.append(mixed.astype(np.float32))
    shown = priors.maps(samples, [3, 7])
    assert shown.shape == (2, 32, 32, 3) and shown.min() >= 0 and shown.max() <= 1
    pale, dark = (
        np.array([int(c[k : k + 2], 16) / 255 for k in (1, 3, 5)])
        for c in (brainmaps.RAMPS['cool'][0], brainmaps.RAMPS['cool'][-1])
    )
    np.testing.assert_allclose(shown[:, :, :12].mean((0, 1, 2)), dark, atol=0.02)
    assert np.abs(shown[:, :, 20:].mean((0, 1, 2)) - pale).max() < 0.3
    assert shown[:, :, 20:].mean() > shown[:, :, :12].mean() + 0.3


def test_equal_samples_and_pictures_without_a_spread_do_not_break_the_map():
    same = np.full((4, 8, 8, 3), 0.5, np.float32)
    assert np.isfinite(priors.maps([same, same], [0])).all()


def test_a_page_without_samples_shows_the_controls_alone(tmp_path):
    page = report.write(fake_run.write_generative(tmp_path, samples=1)).read_text()
    assert 'where they agree' not in page and 'Agreement of samples' not in page
    assert 'prior only, silent brain' in page


def test_without_a_generator_the_differences_stand_under_another_title(tmp_path):
    against = {'zero_voxels': {'pixcorr': fake_run.difference(0.3, 0.1)}}
    page = report.write(fake_run.write(tmp_path, 'scenes', differences=against)).read_text()
    assert '<h2>Against the controls</h2>' in page and 'Minus silent brain' in page


def test_runs_on_several_subjects_are_a_grid_with_mean_and_spread(tmp_path):
    folder = fake_run.write_cohort(tmp_path)
    page = report.write(folder).read_text()
    strip = page[page.index('<div class="pics">') :]
    strip = strip[: strip.index('</div>')]
    order = [strip.index(f'>{h}</figcaption>') for h in ('seen', 'subject 1', 'subject 7')]
    assert order == sorted(order) and '>mean picture</figcaption>' in strip
    assert '>decoded</figcaption>' not in page
    assert 'over 4 subjects and pictures' in page and 'spread (s.d.)' in page
    held = results.read(folder)['scores']['scores']['pixcorr']
    best = int(np.argmax(held['per_image']))
    text = f'{held["per_image"][best]:.3f} ± {held["sd_per_image"][best]:.3g}'[:9]
    assert text in page


@pytest.mark.parametrize('percent', [True, False])
def test_a_difference_that_is_rounding_is_nothing(percent):
    nothing = priors.signed(-1e-17, percent)
    assert nothing == priors.signed(0.0, percent) and nothing[0] == '0'
    assert priors.signed(0.02, percent).startswith('+')
    assert priors.signed(-0.02, percent).startswith('-')
