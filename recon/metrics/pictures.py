"""What all metrics of one call share: the pictures, their features, which rows are one image."""

import dataclasses
import functools

import numpy as np

from recon.core import errors, stats
from recon.core import rng as rngs
from recon.metrics import permute, pixel, protocols

# Pairs times pixels that permuted pairings may cost where each pair has a price of its own; about
# two seconds on one core. Fewer pairs are had by exchanging truths within blocks of images.
BUDGET = {'ssim': 1e8, 'mae': 4e8, 'product': 1e12, 'lpips': 5e6}
FEWEST = 4
SAME = 1e-5  # truths of one image may differ by so much: resizing rounds


@dataclasses.dataclass(frozen=True)
class Pictures:
    """Reconstructions beside their truths; similarities are computed once a feature.

    A part of what a permuted pairing needs is (M, owner): M [m k] = score of reconstruction k
    against the truth of image m, owner [k] = the image that reconstruction k is of.

    Attributes:
      recon: [n h w c];  truth: the same shape.
      nets: {feature: function [n h w c] -> [n d]}.
      seed: the config's seed.
      threshold: of binary_*.
      retrieval: feature of retrieval;  candidates: images on offer in it, None for all.
      clusters: [n] the image of each row, or None where each row is an image of its own.
      protocol: name of the resizings before pixcorr and ssim.
    """

    recon: np.ndarray
    truth: np.ndarray
    nets: dict
    seed: int
    threshold: float
    retrieval: str
    candidates: int | None
    clusters: np.ndarray | None
    protocol: str = 'own'
    cache: dict = dataclasses.field(default_factory=dict)

    def features(self, feature) -> list[np.ndarray]:
        """[truth [n d], reconstruction [n d]]."""
        if feature not in self.cache:
            net = pixel.flat if feature == 'pixel' else self.nets[feature]
            # The truth is the same for every reconstruction of it: a net may remember its values.
            sides = (getattr(net, 'kept', net)(self.truth), net(self.recon))
            self.cache[feature] = [np.asarray(side).reshape(len(side), -1) for side in sides]
        return self.cache[feature]

    @functools.cached_property
    def resized(self) -> 'Pictures':
        """Both sides as the protocol wants them for pixcorr and ssim."""
        steps = protocols.find(self.protocol).pictures
        if not steps:
            return self
        sides = [protocols.resized(side, steps) for side in (self.recon, self.truth)]
        return dataclasses.replace(self, recon=sides[0], truth=sides[1], protocol='own', cache={})

    def similarity(self, feature, kind) -> np.ndarray:
        """[n truths, n reconstructions], kind 'pearson' or 'cosine'."""
        key = (feature, kind)
        if key not in self.cache:
            matrix = stats.pearson_matrix if kind == 'pearson' else stats.cosine_matrix
            self.cache[key] = matrix(*self.features(feature))
        return self.cache[key]

    def defined(self, feature, kind) -> np.ndarray:
        """Bool [n]: truths that have a similarity at all (not constant; for cosine: not zero)."""
        key = (feature, kind, 'defined')
        if key not in self.cache:
            truth = self.features(feature)[0]
            own = truth.any(1) if kind == 'cosine' else stats.pearson_rows(truth, truth)
            self.cache[key] = np.isfinite(own) & (own != 0)
        return self.cache[key]

    @functools.cached_property
    def members(self) -> list[np.ndarray]:
        """The rows of each image, images in ascending order of their cluster."""
        return members(len(self.truth), self.clusters)

    def whole(self, matrix) -> list[tuple]:
        """One part from a matrix [n truths, n reconstructions] of all rows."""
        first, rows, owner = self._rows(self.members)
        return [(matrix[first][:, rows], owner)]

    def blocks(self, matrix, price) -> list[tuple]:
        """Parts from `matrix(recon, truth)`, one for each block of images; see permute.blocks."""
        n, h, w, c = self.truth.shape
        pixels = h * w * (1 if price == 'ssim' else c)  # SSIM is of grey pictures
        pairs = 1 if price == 'lpips' else n  # there memory is the limit, the time of pairs is not
        size = int(max(FEWEST, min(n, BUDGET[price] / (pairs * pixels))))
        rng, parts = rngs.generator(self.seed, 'blocks'), []
        for block in permute.blocks(len(self.members), size, rng):
            first, rows, owner = self._rows([self.members[i] for i in block])
            parts.append((matrix(self.recon[rows], self.truth[first]), owner))
        return parts

    @staticmethod
    def _rows(images):
        """First row of each image, all their rows, the place in `images` that each row is of."""
        first = np.array([rows[0] for rows in images])
        return first, np.concatenate(images), np.repeat(np.arange(len(images)), _sizes(images))


def members(n: int, clusters) -> list[np.ndarray]:
    """Rows of each cluster, clusters ascending; each row alone if `clusters` is None."""
    if clusters is None:
        return list(np.arange(n)[:, None])
    _, image, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    return np.split(np.argsort(image, kind='stable'), np.cumsum(sizes)[:-1])


def on_three(net):
    """`net` for pictures of one channel: they are copied to three."""
    if hasattr(net, 'matrix'):  # it compares pictures, of one channel too
        return net

    def three(images):
        return net(np.repeat(images, 3, -1))

    three.weights = getattr(net, 'weights', 'unnamed')
    three.protocol = getattr(net, 'protocol', 'own')
    if hasattr(net, 'kept'):
        three.kept = lambda images: net.kept(np.repeat(images, 3, -1))
    return three


def check(recon, truth, clusters=None) -> None:
    """Raises DataInvalid for shapes that differ, no pictures, NaN, and clusters that are no images.

    Args:
      recon: wanted [n h w 3], finite.
      truth: the same.
      clusters: None, or [n]: rows with one value must have one truth, to within SAME.
    """
    if recon.shape != truth.shape or truth.ndim != 4 or not len(truth):
        raise errors.DataInvalid(
            f'reconstructions have shape {recon.shape}, truth {truth.shape}',
            'recon/metrics/suite',
            'both must be [n h w 3], with at least one picture',
        )
    for name, pictures in (('reconstructions', recon), ('truth', truth)):
        bad = ~np.isfinite(pictures)
        if bad.any():
            raise errors.DataInvalid(
                f'{int(bad.sum())} of {bad.size} values of the {name} are not finite, first at '
                f'{tuple(int(i) for i in np.argwhere(bad)[0])}',
                'recon/metrics/suite',
                'mend the stage that made them; a score of them would mean nothing',
            )
    if clusters is None:
        return
    if np.shape(clusters) != (len(truth),):
        raise errors.DataInvalid(
            f'clusters have shape {np.shape(clusters)}, there are {len(truth)} rows',
            'recon/metrics/suite',
            'give the image of each row',
        )
    for rows in members(len(truth), clusters):
        if np.abs(truth[rows] - truth[rows[:1]]).max() > SAME:
            raise errors.DataInvalid(
                f'rows of cluster {np.asarray(clusters)[rows[0]]} have different truths',
                'recon/metrics/suite',
                'rows of one cluster are repeats of one image',
            )


def _sizes(images):
    return [len(rows) for rows in images]
