import numpy as np

from recon.report import decoded

CONTENT = {
    'title': 'digits69, ridge',
    'asked': {'run': '/runs/a', 'voxels': 'new <1>.npz'},
    'rows': 6,
    'entries': 3,
    'seen_images': 0,
    'strange_images': [],
    'warnings': [],
    'notes': ['A note & more.'],
}


def test_pictures_stand_with_their_ids_and_stages(tmp_path):
    images = np.random.default_rng(0).random((3, 8, 8, 3)).astype(np.float32)
    arrays = {'image_id': np.array(['x', 'y', 'z']), 'images': images, 'stage_vae': images}
    page = decoded.write(tmp_path, CONTENT, arrays).read_text()
    assert page.count('<img') == 6 and 'image y' in page and 'decoded, vae' in page
    assert 'new &lt;1&gt;.npz' in page and 'A note &amp; more.' in page
    assert 'Seen images' not in page
    assert 'http' not in page.replace('http-equiv', '').replace('http://www.w3.org', '')


def test_seen_pictures_have_a_banner(tmp_path):
    arrays = {'image_id': np.arange(1), 'images': np.zeros((1, 4, 4, 3), np.float32)}
    page = decoded.write(tmp_path, CONTENT | {'seen_images': 2}, arrays).read_text()
    assert 'Seen images' in page and 'trained on 2 of these' in page


def test_answers_are_a_table_of_the_likeliest_categories(tmp_path):
    pred = np.array([[0.1, 0.7, 0.2], [0.5, 0.2, 0.3]], np.float32)
    arrays = {'image_id': np.arange(2), 'pred': pred}
    names = np.array(['cat', 'dog', 'house'])
    page = decoded.write(tmp_path, CONTENT, arrays | {'categories': names}).read_text()
    assert 'dog 0.70, house 0.20, cat 0.10' in page
    plain = decoded.write(tmp_path, CONTENT, arrays).read_text()
    assert '0.7' in plain and 'dog' not in plain


def test_labels_above_their_thresholds_are_named(tmp_path):
    pred = np.array([[0.1, 0.7, 0.5], [0.1, 0.2, 0.3]], np.float32)
    arrays = {'image_id': np.arange(2), 'pred': pred, 'categories': np.array(['cat', 'dog', 'hut'])}
    arrays['threshold'] = np.array([0.2, 0.6, 0.4], np.float32)
    page = decoded.write(tmp_path, CONTENT, arrays).read_text()
    assert '>dog, hut<' in page.replace('</', '<') and 'nothing' in page
    assert 'dog 0.70, hut 0.50, cat 0.10' in page


def test_warnings_have_a_banner(tmp_path):
    arrays = {'image_id': np.arange(2), 'images': np.zeros((2, 4, 4, 3), np.float32)}
    content = CONTENT | {'warnings': ['Row 3 is < odd.'], 'strange_images': ['1']}
    page = decoded.write(tmp_path, content, arrays).read_text()
    assert (
        page.count('>strange</span>') == 1 < page.index('image 1') < page.index('>strange</span>')
    )
    pred = {'image_id': np.arange(2), 'pred': np.eye(2), 'categories': np.array(['a', 'b'])}
    rows = decoded.shown(pred, ['1'])['table']['rows']
    assert [row[0]['sub'] for row in rows] == ['', 'strange']
    assert 'Strange rows' in page and 'Row 3 is &lt; odd.' in page and 'banner bad' in page


def test_only_the_first_pictures_of_many_are_on_the_page():
    arrays = {'image_id': np.arange(100), 'images': np.zeros((100, 2, 2, 3), np.float32)}
    found = decoded.shown(arrays)
    assert found['n'] == 100 and len(found['cards']) == decoded.pictures.SHOWN < 100
