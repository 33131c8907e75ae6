from recon.report import words

_NAMES = """pixcorr ssim ssim_skimage019 ssim_uniform7 mse mae binary_accuracy binary_precision
binary_recall binary_f1 two_way_pixel two_way_takagi_alexnet5 nway50_clip corrdist_effnet
cosine_clip lpips_alex brain_to_image_top1 image_to_brain_top5 map f1_macro f1_micro
category_accuracy top1_accuracy top5_accuracy latent_l1 voxel_r voxel_r2 ceiling_fraction
""".split()  # noqa: SIM905


def test_every_metric_of_the_contract_has_a_name_and_an_explanation():
    for name in _NAMES:
        known = words.metric(name)
        assert known['word'] in words.GLOSSARY, name
        assert '_' not in known['label'] and known['label'] != name, name


def test_an_unknown_metric_is_its_own_label():
    known = {'name': 'new_thing', 'label': 'new thing', 'word': None, 'percent': False}
    assert words.metric('new_thing') == known


def test_takagi_is_not_taken_for_a_feature_of_the_other_direction():
    assert 'among reconstructions' in words.metric('two_way_takagi_clip')['label']
    assert words.metric('two_way_tiny_clip')['label'] == 'two-way identification, tiny clip'


def test_baselines_have_plain_names():
    assert words.baseline('zero_voxels') == 'silent brain'
    assert words.baseline('sample_3') == 'sample 3'
    assert words.baseline('my_own') == 'my own'


def test_the_written_glossary_explains_every_word_of_the_page(root):
    written = (root / 'docs' / 'glossary.md').read_text().lower()
    for term, _ in words.GLOSSARY.values():
        assert term.lower() in written, term
