"""Names in plain words: metrics, baselines, data sets, decoders, and the glossary of the page."""

import re

# What a reader of the page may want explained; docs/glossary.md says the same at more length.
GLOSSARY = {
    'pixcorr': (
        'Pixel correlation',
        'Pearson correlation between all pixels of the picture that was seen and of the one that '
        'was decoded. 1 is the same picture, 0 is no relation. A blurred picture with light and '
        'dark in the right places already scores well.',
    ),
    'ssim': (
        'Structural similarity (SSIM)',
        'Compares brightness, contrast and structure in small windows that slide over both '
        'pictures. 1 is the same picture. Flat, empty pictures can score well, so it is read '
        'beside the baselines. The name says which of the published variants it is.',
    ),
    'error': (
        'Pixel error (MSE, MAE)',
        'Mean squared (MSE) or mean absolute (MAE) difference of pixel values between 0 and 1. '
        'Lower is better; 0 is the same picture.',
    ),
    'binary': (
        'Accuracy, precision, recall, F1',
        'The decoded picture is cut at a threshold into on and off. Accuracy: share of pixels that '
        'are right. Precision: share of the pixels called on that were on. Recall: share of the '
        'pixels that were on that were found. F1: the harmonic mean of the last two. When most '
        'pixels are off, saying "off" everywhere already has a high accuracy.',
    ),
    'two_way': (
        'Two-way identification',
        'The decoded picture is compared with the picture that was seen and with one other '
        'picture: how often is the right one closer? Over all pairs; a tie counts as a failure; '
        'chance is 50 %. It asks for telling pictures apart, not for a good likeness, and is the '
        'easier the more the test pictures differ from each other.',
    ),
    'nway': (
        'N-way identification',
        'As two-way identification, but the right picture has to be closer than all of N - 1 '
        'others at once; chance is 1 in N.',
    ),
    'feature': (
        'Feature distance',
        'Both pictures go through a trained vision network, and its activity for the two is '
        'compared: correlation distance and LPIPS (lower is better) or cosine (higher is better). '
        'It measures what is in a picture more than where.',
    ),
    'retrieval': (
        'Retrieval',
        'Finds the right picture among candidates from the brain activity, or the right brain '
        'activity among candidates from the picture. Top-1: the first answer is right; top-5: '
        'the right one is among the first five.',
    ),
    'classify': (
        'Classification scores',
        'How well categories are named: accuracy is the share of right answers, F1 balances '
        'misses and false alarms (macro: each category counts the same; micro: each answer '
        'does), MAP is the mean average precision of the ranking.',
    ),
    'voxel': (
        'Voxel prediction',
        'How well measured activity is predicted, voxel by voxel: correlation (r) or share of '
        'variance (R squared) between predicted and measured responses.',
    ),
    'ceiling': (
        'Noise ceiling',
        'The best score that any model could reach, since the same picture never gives twice the '
        'same response. It is worked out from repeated presentations. A voxel with a noise '
        'ceiling of 20 % has 20 % of its variance driven by the picture; the rest is noise.',
    ),
    'latent': (
        'Latent error',
        'Mean absolute difference between the decoded and the true latent code, the compressed '
        'description from which a generator draws the picture. Lower is better.',
    ),
    'interval': (
        '95 % interval',
        'How far the score may move if other test pictures had been drawn: the middle 95 % of '
        'the mean when the test pictures are resampled with replacement 10,000 times (bootstrap). '
        'From fewer than 20 pictures it comes out too narrow. It says nothing of other people or '
        'other scanners.',
    ),
    'chance': (
        'Chance and p',
        'Chance is what an answer that ignores the brain gets. p is the share of random '
        're-pairings of decoded and seen pictures that score at least as well as the true '
        'pairing, the true one counted in, so it is never 0: after 1,000 re-pairings the smallest '
        'possible p is 1 in 1,001, written p ≤ 0.001. A small p means that luck does not explain '
        'the score. "Other pairings" is the mean score of wrong pairs, where chance is another '
        'number, such as that of always giving the commoner answer.',
    ),
    'baseline': (
        'Baselines',
        'Other answers under the same scores, most of which need no brain, or a broken one. Mean '
        'training image: the average of all training pictures, always. Mean training target: the '
        'average of what was learnt, and what is made of it; of labels, how frequent each is. '
        'Shuffled training rows: the decoder '
        'fitted again with pictures and brain activity paired at random. Shuffled '
        'brain: the fitted decoder given the activity of another test picture. Silent brain: the '
        'fitted decoder '
        'given zeros. What a decoder adds is its distance from these. Nearest training image: the '
        'training picture most like the decoded one. It needs a working decoder; where it does '
        'better, a remembered picture, picked by the decoded one, comes closer than that does.',
    ),
    'prior': (
        'Prior only',
        'What a generator paints when it is not told what was seen: given the brain activity of '
        'another test picture, or zeros. Its pictures are as likely and as sharp as the others, '
        'so that a score counts only by what it is better than these.',
    ),
    'agreement': (
        'Agreement of samples',
        'A generator that draws at random can paint several pictures of one decoded answer. Where '
        'they agree, the answer fixed what is there; where they differ, the generator made it up. '
        'The number is the share of the variance of pixels, over pictures and samples, that all '
        'samples of a picture have in common: 100 % if they are equal, 0 % if they differ as much '
        'as reconstructions of different pictures do. It does not say whether they are right.',
    ),
    'audit': (
        'Audit',
        'Checks made on the data before scoring: is a test picture among the training pictures '
        '(by name or by content), were statistics taken from training rows alone, and does '
        'decoding get better when pictures and brain activity are shifted by one, the commonest '
        'slip in this field.',
    ),
    'training': (
        'Training-set scores',
        'Scores on the pictures that the decoder was fitted on. They say how well it can '
        'remember, not how well it can read a brain.',
    ),
    'importance': (
        'Voxel importance',
        'How much each measured place in the brain contributes to the decoded answer, by the '
        'definition given beside the map. A place with little importance may still carry the '
        'same information as an important one.',
    ),
    'simulated': (
        'Simulated brain',
        'Responses drawn by a program with a known answer, noise included. Good for checking '
        'methods; it says nothing about a person.',
    ),
}

_FEATURES = {
    'pixel': 'pixels',
    'alexnet2': 'AlexNet layer 2',
    'alexnet5': 'AlexNet layer 5',
    'inception': 'Inception',
    'clip': 'CLIP',
    'effnet': 'EfficientNet',
    'swav': 'SwAV',
    'colour': 'colour alone',
    'luminance': 'shape alone (luminance)',
}

# name: (label, glossary key, written as a percentage)
_METRICS = {
    'pixcorr': ('pixel correlation', 'pixcorr', False),
    'ssim': ('structural similarity', 'ssim', False),
    'ssim_skimage019': ('structural similarity, column-wise', 'ssim', False),
    'ssim_uniform7': ('structural similarity, 7-pixel window', 'ssim', False),
    'mse': ('mean squared error', 'error', False),
    'mae': ('mean absolute error', 'error', False),
    'binary_accuracy': ('pixel accuracy', 'binary', True),
    'binary_precision': ('pixel precision', 'binary', True),
    'binary_recall': ('pixel recall', 'binary', True),
    'binary_f1': ('pixel F1', 'binary', True),
    'map': ('mean average precision', 'classify', False),
    'f1_macro': ('F1, categories equal', 'classify', False),
    'f1_micro': ('F1, answers equal', 'classify', False),
    'category_accuracy': ('category accuracy', 'classify', True),
    'top1_accuracy': ('top-1 accuracy', 'classify', True),
    'top5_accuracy': ('top-5 accuracy', 'classify', True),
    'first_label_accuracy': ("first label's accuracy", 'classify', True),
    'latent_l1': ('latent error', 'latent', False),
    'voxel_r': ('voxel correlation', 'voxel', False),
    'voxel_r2': ('voxel variance explained', 'voxel', True),
    'ceiling_fraction': ('share of the noise ceiling', 'ceiling', True),
}

_PATTERNS = (
    (r'two_way_takagi_(.+)', 'two-way identification among reconstructions, {0}', 'two_way', True),
    (r'two_way_(.+)', 'two-way identification, {0}', 'two_way', True),
    (r'nway(\d+)_(.+)', '{0}-way identification, {1}', 'nway', True),
    (r'low_cosine_(.+)', 'low-level picture, cosine similarity, {0}', 'feature', False),
    (r'corrdist_(.+)', 'correlation distance, {0}', 'feature', False),
    (r'cosine_(.+)', 'cosine similarity, {0}', 'feature', False),
    (r'lpips_(.+)', 'LPIPS, {0}', 'feature', False),
    (r'brain_to_image_top(\d+)', 'brain to image, top {0}', 'retrieval', True),
    (r'image_to_brain_top(\d+)', 'image to brain, top {0}', 'retrieval', True),
)

BASELINES = {
    'mean_image': 'mean training image',
    'nearest_training': 'nearest training image',
    'shuffled_rows': 'shuffled training rows',
    'shuffled_voxels': 'shuffled brain',
    'zero_voxels': 'silent brain',
    'mean_latent': 'mean training target',
}

_PRIOR_ONLY = ('shuffled_voxels', 'zero_voxels')

# What was shown, and whose data they are.
DATASETS = {
    'algonauts2023': ('Natural scenes', 'Algonauts 2023'),
    'digits69': ('Handwritten digits', 'van Gerven and others 2010'),
    'god': ('Photographs of objects', 'Horikawa and Kamitani 2017'),
    'miyawaki2008': ('Contrast patterns', 'Miyawaki and others 2008'),
    'nsd': ('Natural scenes', 'Natural Scenes Dataset'),
    'pairs': ('Pictures', 'your own arrays'),
    'shen2019': ('Photographs and shapes', 'Shen and others 2019'),
    'simulated': ('Drawn scenes', 'simulated brain'),
    'vim1': ('Grey photographs', 'Kay and others 2008'),
}

DECODERS = {
    'bayes_ridge': 'Bayesian ridge regression',
    'cnn1d': 'convolutions along the voxels',
    'cnn2d': 'convolutions over a picture of the cortex',
    'kernel_ridge': 'kernel ridge regression',
    'label_cnn': 'a convolutional net',
    'linear': 'linear regression',
    'logistic': 'logistic regression',
    'miyawaki': 'local image bases',
    'mlp': 'a multilayer perceptron',
    'omp': 'orthogonal matching pursuit',
    'ridge': 'ridge regression',
    'shen_gan': 'a generator trained against a discriminator',
    'univariate': 'the best single voxel',
}


# Beside the decoder, in the title; others only lay out what is decoded.
GENERATORS = {
    'clip_gan': 'a GAN',
    'img2img': 'a diffusion model',
    'optimise': 'optimisation towards decoded features',
    'pix2pix': 'a conditional GAN',
    'prior': 'a diffusion prior',
}


def stage(name: str) -> str:
    """What to call the picture that a generator of the chain left."""
    return {'vae': 'low level (vae)', 'img2img': 'refined (img2img)'}.get(
        name, name.replace('_', ' ')
    )


def metric(name: str) -> dict:
    """What to call a metric of scores.json.

    Returns:
      {'name', 'label': plain words, 'word': key of GLOSSARY or None, 'percent': bool}; an unknown
      name is its own label, so that a new metric never breaks a page.
    """
    if name in _METRICS:
        label, word, percent = _METRICS[name]
        return {'name': name, 'label': label, 'word': word, 'percent': percent}
    for pattern, label, word, percent in _PATTERNS:
        found = re.fullmatch(pattern, name)
        if found:
            parts = [_FEATURES.get(part, part.replace('_', ' ')) for part in found.groups()]
            label = label.format(*parts)
            return {'name': name, 'label': label, 'word': word, 'percent': percent}
    return {'name': name, 'label': name.replace('_', ' '), 'word': None, 'percent': False}


def baseline(name: str, prior: bool = False) -> str:
    """Plain words for a baseline; `sample_<k>` are further samples of the generator.

    Args:
      name: its key in scores.json.
      prior: the system has a generator that paints alone, where it is given no brain.
    """
    sample = re.fullmatch(r'sample_(\d+)', name)
    if sample:
        return f'sample {sample[1]}'
    said = BASELINES.get(name, name.replace('_', ' '))
    return f'prior only, {said}' if prior and name in _PRIOR_ONLY else said
