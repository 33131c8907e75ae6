"""What a simulated subject looks at: scenes, patterns, or a user's folder of pictures."""

import dataclasses

import numpy as np

from recon.core import errors
from recon.data.simulator import folder, patterns, scenes

PARTS = ('train', 'validation', 'test')

_CHOICE = 101  # stream of random numbers


@dataclasses.dataclass(frozen=True)
class Stimuli:
    """What is shown. The m pictures are in ascending order of their ids.

    Attributes:
      ids: [m] int64 or <U.  part: [m] index into PARTS.
      images: [m h w c] uint8, as they are stored and scored.  seen: as the brain sees them.
      contents: [m 16 8 8], or None where nobody says what the pictures show.
      labels: [m 16] uint8 or None.  coverage: [m 16] share of the picture, or None.
      captions: m sentences or None.  facts: for the report.
    """

    ids: np.ndarray
    part: np.ndarray
    images: np.ndarray
    seen: np.ndarray
    facts: dict
    contents: np.ndarray | None = None
    labels: np.ndarray | None = None
    coverage: np.ndarray | None = None
    captions: list | None = None


def make(cfg: dict) -> Stimuli:
    """Draws or reads what `cfg` (datasets.simulated.DEFAULTS) asks for.

    Raises:
      ConfigError: more pictures than there are.
      DataMissing, DataInvalid: the folder of pictures, or one in it.
    """
    kind = 'folder' if cfg['images'] else cfg['kind']
    return {'folder': _pictures, 'scenes': _scenes, 'patterns': _patterns}[kind](cfg)


def _scenes(cfg: dict) -> Stimuli:
    own = np.random.default_rng((cfg['seed'], cfg['subject'], _CHOICE))
    fitted = scenes.choose(cfg['n_train'] + cfg['n_validation'], False, own)
    held = own.permutation(len(fitted)) < cfg['n_validation']
    everyone = np.random.default_rng((cfg['seed'], _CHOICE))
    test = scenes.choose(cfg['n_test'], True, everyone)
    ids = np.concatenate([fitted, test])
    part = np.concatenate([held.astype(int), np.full(len(test), 2)])
    order = np.argsort(ids)
    drawn = scenes.draw(ids[order], cfg['size'], cfg['seed'], cfg['scenes_version'])
    unseen = scenes.has_unseen(drawn)[part[order] == 2].sum()
    facts = {
        'scenes_version': cfg['scenes_version'],
        'split': 'by image id, every tenth is a test picture; some category-colour pairs occur in '
        'test pictures alone',
        'test_pictures_with_unseen_pairs': int(unseen),
    }
    return Stimuli(
        drawn.ids,
        part[order],
        drawn.images,
        drawn.images,
        facts,
        drawn.contents,
        scenes.labels(drawn),
        scenes.coverages(drawn),
        scenes.captions(drawn),
    )


def _patterns(cfg: dict) -> Stimuli:
    figures = np.stack(list(patterns.figures().values()))
    if cfg['n_test'] > len(figures):
        raise errors.ConfigError(
            f'dataset.n_test is {cfg["n_test"]}', 'simulated', f'there are {len(figures)} figures'
        )
    n = cfg['n_train'] + cfg['n_validation']
    rng = np.random.default_rng((cfg['seed'], cfg['subject'], _CHOICE))
    shown = np.concatenate([patterns.random(n, rng), figures[: cfg['n_test']]])
    counts = (cfg['n_train'], cfg['n_validation'], cfg['n_test'])
    facts = {'split': 'random patterns to train on, figures to test'}
    stored = 255 * shown[..., None]
    return Stimuli(
        np.arange(len(shown)), np.repeat([0, 1, 2], counts), stored, patterns.pictures(shown), facts
    )


def _pictures(cfg: dict) -> Stimuli:
    counts = (cfg['n_train'], cfg['n_validation'], cfg['n_test'])
    names, pictures = folder.read(cfg['images'], sum(counts), cfg['size'], cfg['seed'])
    part = np.repeat([0, 1, 2], counts)
    order = np.argsort(names)
    facts = {'split': 'pictures of the folder, drawn by chance', 'images': str(cfg['images'])}
    return Stimuli(names[order], part[order], pictures[order], pictures[order], facts)
