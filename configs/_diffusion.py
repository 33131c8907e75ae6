"""What the systems that paint with a diffusion net share: recordings, nets, metrics, controls.

A system is written once, in configs/nsd_<system>.py; configs/simulated_<system>.py is the same on
the simulated brain, with the embedded nets. `:small` and `:smoke` of nsd_* read simulated files.
"""

import ml_collections

from configs import common

RELEASED = dict(
    net='sd15',  # Stable Diffusion 1.5; the seeds' and the papers' are of the 1.x family
    captioner='blip_large',
    clip='clip_vit_l14',  # judges, and votes
    vision='clip_vit_b32',  # whose layers MindDiffuser decodes
    layers=tuple(f'hidden.{i}' for i in (2, 4, 6, 8, 10, 12)),
    size=(512, 512),
)
TINY = dict(
    **dict(net='tiny', captioner='tiny/blip', clip='tiny/clip', vision='tiny/clip'),
    layers=tuple(f'hidden.{i}' for i in (1, 2, 3, 4)),
    size=(64, 64),
)
JUDGED = {  # by nets: layout, contents, and the seeds' CLIP similarity
    'sd15': ('alexnet2', 'alexnet5', 'inception', 'clip'),
    'tiny': ('luminance', 'tiny_alexnet2', 'tiny_alexnet5', 'tiny_category', 'tiny_clip'),
}
CONTROLS = ('mean_image', 'mean_latent', 'nearest_training', 'shuffled_voxels', 'zero_voxels')
OWN = ('subjects', 'seeds', 'bare')  # options of `finish`

# Low and high visual cortex. NSD's reader makes LVC and HVC of the Kastner atlas (V1, V2, V3, hV4;
# VO, PHC, hMT, MST, LO, IPS), as MindDiffuser did. On the simulated brain HVC is VO, LO, MT, IPS
# and the areas that prefer a category, in the place of which Kastner has PHC and parts of LO.
CATEGORY = ('OFA', 'FFA', 'EBA', 'FBA', 'OPA', 'PPA', 'RSC', 'VWFA')
AREAS = {
    'nsd': {'LVC': ('LVC',), 'HVC': ('HVC',), 'early': ('early',), 'ventral': ('ventral',)},
    'simulated': {
        'LVC': ('V1', 'V2', 'V3', 'hV4'),
        'HVC': ('VO', 'LO', 'MT', 'IPS', *CATEGORY),
        # The parts of the simulated brain that recon/data/layouts writes as NSD's two streams.
        'early': ('V1', 'V2', 'V3'),
        'ventral': ('VO', 'OFA', 'FFA', 'FBA', 'PPA', 'VWFA'),
    },
}


def begin(arg: str | None, recording: str, **own) -> tuple:
    """The options of a system, and which nets it takes.

    Options of all: subject, subjects (several, one run each), seeds (likewise), zoo (where weights
    lie), bare (without controls that paint), small (minutes), smoke; of nsd: path, sessions; of
    simulated: n_train, n_test.

    Returns:
      (options, nets: RELEASED or TINY).
    """
    where = {
        'nsd': dict(path='data/nsd', sessions=0),
        'simulated': dict(n_train=3_000, n_test=100),
    }[recording]
    usual = dict(subject=1, subjects=(), seeds=(), zoo='', bare=False, small=False, smoke=False)
    options = common.parse_arg(arg, **where, **usual, **own)
    if options.smoke or options.small or recording == 'simulated':
        return options, TINY
    return options, RELEASED


def experiment(
    recording: str, options, nets: dict, voxels: str, train='mean', **blocks
) -> ml_collections.ConfigDict:
    """The config of a system.

    Args:
      recording: 'nsd' or 'simulated'.
      options: of `begin`.
      nets: of `begin`.
      voxels: that NSD's reader takes.
      train: what becomes of several trials of a training image, 'mean' or 'keep'.
      blocks: targets, decoder, generator.
    """
    given = dict(name='nsd', space='func1pt8mm', betas='b3', voxels=voxels)
    if recording == 'nsd':
        given |= dict(path=options.path, subject=options.subject, sessions=options.sessions)
    else:
        given = dict(name='simulated', subject=options.subject, voxels=4_000)
        given |= dict(n_train=options.n_train, n_test=options.n_test)
    cfg = common.experiment(
        seed=0,
        dataset=given,
        preprocess=dict(
            order=('normalise', 'repeats'),
            normalise=dict(by='session'),
            repeats=dict(train=train, test='mean'),
        ),
        zoo=dict(path=options.zoo),
        **blocks,
    )
    cfg.generator.size = nets['size']
    return finish(smaller(cfg, recording, options), options, nets)


def smaller(cfg, recording: str, options):
    """`:small` in minutes, `:smoke` in seconds; NSD's then reads simulated files."""
    layout = recording if recording == 'nsd' else ''
    if options.smoke:
        cfg = common.smoke(cfg, layout)
        if not layout:
            cfg.dataset.update(n_test=8, size=64)
            cfg.areas, cfg.learning_curve = (), ()
    elif options.small:
        cfg.draws, cfg.permutations, cfg.layout = 2_000, 200, layout
        if not layout:
            cfg.dataset.n_train = min(options.n_train, 1_500)
    return cfg


def finish(cfg, options, nets: dict):
    """Metrics, controls, samples, and the runs over subjects and seeds."""
    judged = JUDGED[nets['net']]
    cfg.metrics = (
        *common.PIXEL_METRICS,
        *(f'two_way_{feature}' for feature in judged),
        f'cosine_{judged[-1]}',
    )
    cfg.baselines = ('mean_image', 'nearest_training') if options.bare else CONTROLS
    cfg.samples = 1 if options.bare else 2 if options.get('smoke') else 3
    cfg.subjects, cfg.seeds = (tuple(map(_number, options[k])) for k in ('subjects', 'seeds'))
    if cfg.subjects and cfg.get('layout'):
        raise ValueError('option subjects with small or smoke: simulated files hold one subject')
    return cfg


def of_captions(nets: dict, tokens: int = 0) -> dict:
    """A target: states of the text encoder, averaged over the captions of a picture."""
    return dict(net=f'{nets["net"]}/text_encoder', layer='states', of='captions', tokens=tokens)


def of_latents(nets: dict, size=None) -> dict:
    """A target: latents of the autoencoder, for pictures of `size`."""
    return dict(net=f'{nets["net"]}/vae', layer='latents', size=size or nets['size'])


def divide(arg: str | None, names: tuple) -> tuple[str, str]:
    """`common.divide`, for which `bare` is a switch too."""
    words = ('bare=true' if word == 'bare' else word for word in (arg or '').split(','))
    return common.divide(','.join(words), names)


def _number(text) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f'subjects and seeds are numbers, not {text!r}') from None
