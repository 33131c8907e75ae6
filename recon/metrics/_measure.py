"""One metric of one set of pictures: its values, what a permuted pairing needs, its chance."""

import numpy as np

from recon.metrics import identify, naming, pixel, protocols


def measure(parsed, pictures):
    """Scores `pictures` by the metric `parsed`.

    Returns:
      Values [n], parts for permute.pairing_test, chance or None, further keys of the entry.
    """
    if parsed.kind == 'lpips':
        return _perceptual(parsed, pictures)
    if parsed.kind in naming.PLAIN:
        return _plain(parsed.kind, pictures)
    return _by_feature(parsed, pictures)


def _plain(kind, pictures):
    """Metrics of a picture and its own truth."""
    extra = {'net': 'pixel', 'weights': 'none', 'protocol': 'own'}
    if kind in protocols.RESIZED:
        extra['protocol'], pictures = pictures.protocol, pictures.resized
    pair, chance = (pictures.recon, pictures.truth), None
    if kind in pixel.WINDOWS:
        extra['variant'] = pixel.WINDOWS[kind].text
        parts = pictures.blocks(lambda r, t: pixel.ssim_matrix(r, t, kind), 'ssim')
        return pixel.ssim(*pair, kind), parts, None, extra
    if kind.startswith('binary_'):
        which, threshold = kind.removeprefix('binary_'), pictures.threshold
        extra['threshold'] = threshold
        parts = pictures.blocks(lambda r, t: pixel.binary_matrix(r, t, threshold)[which], 'product')
        if which == 'accuracy':
            chance = pixel.majority(pictures.truth, threshold)
        return pixel.binary(*pair, threshold)[which], parts, chance, extra
    if kind == 'pixcorr':
        whole = pictures.whole(pictures.similarity('pixel', 'pearson'))
        return pixel.pixcorr(*pair), whole, None, extra
    if kind == 'mse':
        return pixel.mse(*pair), pictures.blocks(pixel.mse_matrix, 'product'), None, extra
    return pixel.mae(*pair), pictures.blocks(pixel.mae_matrix, 'mae'), None, extra


def _perceptual(parsed, pictures):
    """Distances by a net that compares two pictures."""
    net = pictures.nets[parsed.feature]
    extra = _names(net, parsed.feature)
    own = net(pictures.recon, pictures.truth)
    return own, pictures.blocks(net.matrix, 'lpips'), None, extra


def _by_feature(parsed, pictures):
    """Metrics of similarities of features."""
    kind, n = parsed.kind, len(pictures.truth)
    retrieval = kind in ('brain_to_image', 'image_to_brain')
    feature = pictures.retrieval if retrieval else parsed.feature
    how = 'cosine' if retrieval or kind == 'cosine' else 'pearson'
    similarity = pictures.similarity(feature, how)
    extra = _names(pictures.nets.get(feature), feature)
    if kind in ('corrdist', 'cosine'):
        matrix = 1 - similarity if kind == 'corrdist' else similarity
        return np.diagonal(matrix), pictures.whole(matrix), None, extra
    from_truth = kind in ('two_way_takagi', 'image_to_brain')
    extra |= identify.doubtful(similarity.T if from_truth else similarity)
    if retrieval:
        within, candidates = parsed.k, pictures.candidates or n
        matrix = getattr(identify, kind)(similarity, within, candidates)
    elif kind == 'nway':
        within, candidates = 1, parsed.k
        matrix = identify.nway(similarity, candidates)
    else:
        within, candidates = 1, 2
        matrix = getattr(identify, kind)(similarity)
    defined = int(pictures.defined(feature, how).sum())
    chance = identify.chance(n, defined, within, candidates, truths_compete=not from_truth)
    extra |= {'candidates': candidates, 'draws': 'all', 'distractors': n - 1}
    extra['undefined_truths'] = n - defined
    return np.diagonal(matrix), pictures.whole(matrix), chance, extra


def _names(net, feature):
    """What an entry says of the net that it stands on; of pixels there is none."""
    weights = 'none' if feature == 'pixel' else getattr(net, 'weights', 'unnamed')
    said = {'net': feature, 'weights': weights, 'protocol': getattr(net, 'protocol', 'own')}
    return said | ({'node': net.node} if hasattr(net, 'node') else {})
