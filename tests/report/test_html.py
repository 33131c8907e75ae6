import html as text
import html.parser
import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest

from recon.core import errors, results
from recon.report import html as report
from tests.report import fake_run

_VOID = {'meta', 'img', 'br', 'line', 'link', 'input', 'hr'}


class Page(html.parser.HTMLParser):
    """Collects tags, links and text; remembers what was not closed."""

    def __init__(self, content):
        super().__init__()
        self.stack, self.wrong, self.links, self.words, self.tags = [], [], [], [], []
        self.feed(content)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.links += [v for k, v in attrs if k in ('src', 'href', 'xlink:href', 'srcset', 'data')]
        if tag not in _VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.stack.pop()

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return ' '.join(' '.join(self.words).split())


def page(folder):
    return Page(report.write(folder).read_text())


@pytest.fixture(scope='module')
def digits(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'digits69_ridge'
    fake_run.write(folder, 'digits')
    report.write(folder)
    return folder


@pytest.fixture(scope='module')
def shown(digits):
    return Page((digits / 'report.html').read_text())


def test_the_page_is_one_file_that_asks_the_network_for_nothing(digits, shown):
    content = (digits / 'report.html').read_text()
    assert all(link.startswith(('data:image/', '#')) for link in shown.links), shown.links
    assert not re.search(r'url\(|@import|<script|<link|<iframe', content)


def test_every_tag_is_closed(shown):
    assert shown.wrong == [] and shown.stack == []


def test_every_anchor_leads_somewhere(shown):
    ids = {a['id'] for _, a in shown.tags if 'id' in a}
    assert {link[1:] for link in shown.links if link.startswith('#')} <= ids


def test_the_first_sentence_holds_score_interval_chance_and_mean_image(digits, shown):
    held = json.loads((digits / 'scores.json').read_text())
    entry, base = held['scores']['pixcorr'], held['baselines']['mean_image']['pixcorr']
    low, high = entry['ci95']
    wanted = (
        f'Pixel correlation {entry["mean"]:.3f} (95 % interval {low:.3f} to {high:.3f}; '
        f'chance {entry["chance"]:.3f}; mean training image {base["mean"]:.3f}) '
        'on 10 test images that the decoder never saw.'
    )
    assert wanted in shown.text


def test_every_metric_and_baseline_stands_in_the_table(digits, shown):
    held = json.loads((digits / 'scores.json').read_text())
    for name, entry in held['scores'].items():
        assert f'{name} ' in shown.text
        value = (
            f'{100 * entry["mean"]:.1f} %' if name == 'two_way_pixel' else f'{entry["mean"]:.3g}'
        )
        assert value in shown.text, (name, value)
    for baseline in held['baselines'].values():
        assert f'{baseline["pixcorr"]["mean"]:.3f}' in shown.text
    for word in ('Mean training image', 'Shuffled training rows', 'Silent brain'):
        assert word in shown.text


def test_best_median_and_worst_follow_from_the_scores(digits, shown):
    held = json.loads((digits / 'scores.json').read_text())
    values = np.array(held['scores']['pixcorr']['per_image'])
    ids = results.read_arrays(digits / 'reconstructions.npz')['image_id']
    order = np.argsort(-values)
    for label, row in (
        ('best', order[0]),
        ('median (lower)', order[5]),
        ('worst', order[-1]),
    ):
        assert f'{label} {values[row]:.3f} · image {ids[row]}' in shown.text


def test_writing_twice_gives_the_same_bytes(digits):
    first = (digits / 'report.html').read_bytes()
    assert report.write(digits).read_bytes() == first


def test_a_page_of_sixty_colour_pictures_and_maps_is_small_and_quick(tmp_path):
    maps = fake_run.brain_maps(np.random.default_rng(0))
    fake_run.write(tmp_path, 'scenes', maps=maps, areas=fake_run.area_scores())
    start = time.perf_counter()
    shown = page(tmp_path)
    assert time.perf_counter() - start < 20
    assert (tmp_path / 'report.html').stat().st_size < 5e6
    assert 'All 60 pictures' in shown.text
    assert sum('hemisphere' in a.get('alt', '') for _, a in shown.tags) == 3 * 8
    assert 'pixel correlation by area' in shown.text


def test_seen_images_get_a_banner_and_a_label_at_the_scores(tmp_path):
    fake_run.write(
        tmp_path, audit={'seen_test_images': 3, 'test_images': 10, 'label': 'seen images'}
    )
    shown = page(tmp_path)
    assert 'Seen images. 3 of 10 test images were also among the training images' in shown.text
    assert 'of which 3 were among the training images' in shown.text
    assert 'that the decoder never saw' not in shown.text
    assert 'Scores seen images' in shown.text


def test_a_clean_run_has_no_banner(digits, shown):
    assert not [a for _, a in shown.tags if 'banner' in (a.get('class') or '')]


def test_an_alignment_warning_gets_a_banner(tmp_path):
    fake_run.write(tmp_path, audit={'alignment_warning': 'rows decode the image after them.'})
    assert 'may be misaligned. Rows decode the image after them.' in page(tmp_path).text


def test_toy_files_in_a_real_layout_are_called_simulated(tmp_path):
    fake_run.write(tmp_path, config={'layout': 'digits69'})
    shown = page(tmp_path)
    assert 'Simulated brain.' in shown.text and 'van Gerven' not in shown.text
    assert 'decoded from a simulated brain' in shown.text


def test_undefined_scores_are_named_and_ranked_last(tmp_path):
    fake_run.write(tmp_path)
    held = json.loads((tmp_path / 'scores.json').read_text())
    held['scores']['pixcorr']['per_image'][3] = None
    held['scores']['pixcorr'] |= {'n_undefined': 1}
    held['scores']['ssim'] |= {'mean': None, 'ci95': None, 'per_image': [None] * 10, 'p': None}
    (tmp_path / 'scores.json').write_text(json.dumps(held))
    shown = page(tmp_path)
    assert 'the last 1 have no defined score' in shown.text
    assert 'Best, median and worst of 9' in shown.text
    assert '1 undefined' in shown.text and 'p not tested' in shown.text
    assert 'None' not in shown.text and 'nan' not in shown.text


def test_a_lead_score_that_is_undefined_everywhere_is_said_plainly(tmp_path):
    fake_run.write(tmp_path)
    held = json.loads((tmp_path / 'scores.json').read_text())
    held['scores']['pixcorr'] |= {'mean': None, 'ci95': None, 'per_image': [None] * 10}
    (tmp_path / 'scores.json').write_text(json.dumps(held))
    shown = page(tmp_path)
    assert 'Pixel correlation is undefined on all 10 test images.' in shown.text
    assert 'Best, median and worst of 10 by structural similarity' in shown.text


def test_training_scores_stand_apart(tmp_path):
    train = {'pixcorr': fake_run.entry([0.9, 0.95, 0.99], 'higher', 0.1, split='train')}
    fake_run.write(tmp_path, scores_train=train)
    shown = page(tmp_path)
    assert 'On the training images seen images' in shown.text and '0.947' in shown.text


def test_further_tests_members_and_subjects_are_shown(tmp_path):
    more = {'imagery': {'pixcorr': fake_run.entry([0.1, 0.2], 'higher', 0.1)}}
    fake_run.write(
        tmp_path,
        extra_tests=more,
        members={'seed1': {'pixcorr': 0.123456}, 'seed2': {'pixcorr': None}},
        subjects={'subj01': {'pixcorr': 0.3}},
    )
    shown = page(tmp_path)
    for words in ('Further test set: imagery', '0.150', 'Members', '0.123', 'Subjects', 'subj01'):
        assert words in shown.text


def test_rows_are_called_rows_where_rows_were_scored(tmp_path):
    fake_run.write(tmp_path)
    held = json.loads((tmp_path / 'scores.json').read_text())
    for entry in held['scores'].values():
        entry |= {'unit': 'row', 'per_unit': entry['per_image'], 'per_image': None}
    held['protocol']['test_images'] = 4
    (tmp_path / 'scores.json').write_text(json.dumps(held))
    shown = page(tmp_path)
    assert 'on 10 test rows of 4 images' in shown.text and 'Best' in shown.text


def test_a_run_without_pictures_shows_its_answers(tmp_path):
    shown = page(fake_run.write_predictions(tmp_path))
    assert 'All 40 answers' in shown.text and 'Confusion of categories' in shown.text
    assert 'Category accuracy' in shown.text and shown.wrong == []


@pytest.mark.parametrize(
    'name', ['reconstructions.npz', 'decoder.json', 'config.json', 'logs/metrics.jsonl']
)
def test_a_missing_optional_file_leaves_its_part_out(tmp_path, name):
    fake_run.write(tmp_path)
    (tmp_path / name).unlink()
    shown = page(tmp_path)
    assert 'Pixel correlation 0.7' in shown.text and shown.stack == []


def test_scores_alone_are_enough(tmp_path):
    fake_run.write(tmp_path)
    held = json.loads((tmp_path / 'scores.json').read_text())
    for key in ('baselines', 'audit', 'protocol'):
        held.pop(key)
    (tmp_path / 'scores.json').write_text(json.dumps(held))
    (tmp_path / 'run.json').write_text('{}')
    assert 'no audit says' in page(tmp_path).text


def test_a_failed_run_says_so_with_its_error(tmp_path):
    fake_run.write(tmp_path, run={'status': 'failed', 'error': 'DataInvalid: 3 NaN'})
    assert 'This run failed. DataInvalid: 3 NaN' in page(tmp_path).text


def test_strings_of_the_config_cannot_break_the_page(tmp_path):
    nasty = '<script>alert(1)</script>"&\''
    curve = fake_run.PENALTY_CURVE | {'title': nasty, 'x_label': nasty}
    fake_run.write(
        tmp_path,
        config={'dataset': {'name': nasty, 'subject': nasty}, 'decoder': {'name': nasty}},
        decoder={nasty: {'curves': [curve], 'tables': [fake_run.SCALES], 'facts': {nasty: nasty}}},
        maps={f'roi_{nasty}': np.ones(4, bool), f'importance_{nasty}': np.ones(4)},
    )
    content = report.write(tmp_path).read_text()
    assert '<script>' not in content and Page(content).wrong == []
    assert text.escape('<script>alert(1)</script>') in content


def test_a_folder_without_scores_names_the_command_to_run(tmp_path):
    with pytest.raises(errors.DataMissing, match='no scores.json.*launch/main.py'):
        report.write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_scores_file_without_scores_is_refused(tmp_path):
    fake_run.write(tmp_path)
    (tmp_path / 'scores.json').write_text('{"schema": 1')
    with pytest.raises(errors.DataInvalid, match='no score in it'):
        report.write(tmp_path)


def test_neither_jax_nor_pyplot_nor_torch_is_imported(tmp_path):
    fake_run.write(tmp_path, maps=fake_run.brain_maps(np.random.default_rng(0), v=60))
    code = (
        'import sys; from recon.report import html\n'
        "late = 'nilearn' not in sys.modules\n"
        'html.write(sys.argv[1])\n'
        "bad = {'jax', 'flax', 'torch', 'tensorflow', 'matplotlib.pyplot'} & set(sys.modules)\n"
        "print(sorted(bad), late, 'nilearn' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, '-c', code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split('\n')[0] == '[] True True', done.stdout


def test_a_sweep_is_one_page_with_measured_beside_published(tmp_path):
    path = report.write_sweep(tmp_path, fake_run.sweep())
    shown = Page(path.read_text())
    assert path.name == 'table.html' and shown.wrong == [] and shown.stack == []
    assert (
        '70.2 % 68.8 to 71.4 % chance 55.0 % 75.1 %' in shown.text
        and 'simulated, Miyawaki layout' in shown.text
    )
    assert 'omp_1x1/report.html' in shown.links
    assert 'Accuracy against the complexity of the pattern' in shown.text
    assert all(not link.startswith('http') for link in shown.links)


def test_the_mean_training_image_is_no_run_of_the_comparison(tmp_path):
    table = fake_run.sweep()
    for row in table['rows']:
        row['baselines'] = {'mean_image': {'pixcorr': {'mean': 0.123, 'ci95': None}}}
    shown = Page(report.write_sweep(tmp_path, table).read_text())
    assert 'comparison of 5 runs' in shown.text
    assert (
        'mean training image n = 200, for 5 runs' in shown.text
        and '0.123 no interval' in shown.text
    )


def test_head_and_quote_name_data_decoder_and_seed(shown):
    assert 'digits69, ridge, seed 0 · folder digits69_ridge' in shown.text
    assert 'digits69, ridge, seed 0, folder digits69_ridge, pixcorr 0.' in shown.text


def test_few_images_are_said_above_and_at_the_scores(tmp_path, shown):
    said = 'Only 10 test images: the intervals that so small a set gives are too narrow.'
    assert shown.text.count(said) == 2
    assert (
        'too narrow.'
        not in page(fake_run.write(tmp_path, 'scenes'))
        .text.split('Words')[1]
        .split('What the words mean')[0]
    )


def test_the_nearest_training_image_is_not_called_blind(shown):
    assert 'of another kind: it starts from what was decoded' in shown.text


def test_every_stage_is_a_column_of_a_grid_that_never_scrolls(tmp_path):
    content = report.write(fake_run.write(tmp_path, 'patterns')).read_text()
    assert 'style="--n:7"' in content and '>scale 2x2</figcaption>' in content
    strips = content[content.index('id="pictures"') : content.index('id="scores"')]
    assert 'class="scroll"' not in strips and Page(content).wrong == []


def test_figures_of_a_table_may_be_svg_png_or_curves_and_nothing_else(tmp_path):
    svg = '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
    figures = [{'title': 'a', 'svg': svg}, {'title': 'b', 'png': b'\x89PNG'}]
    path = report.write_table(
        tmp_path / 't.html', 'T', fake_run.sweep()['rows'], ['pixcorr'], (), figures
    )
    assert path.read_text().count('src="data:image/') == 2 and '<script>' not in path.read_text()
    with pytest.raises(errors.DataInvalid, match="figure 'c' has keys"):
        report.write_table(tmp_path / 't.html', 'T', [], [], (), [{'title': 'c', 'text': 'x'}])
