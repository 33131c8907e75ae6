"""Pictures changed by gradient until a net sees in them what was decoded of its layers.

`over` says what is changed: 'diffusion': latents z and text states c, through a frozen sampler and
its autoencoder (stage 2 of MindDiffuser); 'latents': latents, through the autoencoder alone;
'pixels': the picture itself (deep image reconstruction without a generator).

Sources: Lu et al. 2023, 'MindDiffuser', section 3.3; Shen et al. 2019, 'Deep image reconstruction
from human brain activity'. Constants are theirs where they give one.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import errors, sharding
from recon.generators import _optimise_descent, _optimise_loss, _optimise_pictures, _text, diffusion
from recon.zoo import catalog, sd_unet, sd_vae, weights

DEFAULTS = dict(
    over='diffusion',  # 'diffusion', 'latents' or 'pixels'
    net='tiny',  # folder of a pipeline: its unet, vae, text_encoder, scheduler; 'pixels' needs none
    vision='tiny/clip',  # the net whose layers are compared
    match=(),  # ((decoded target, layer of `vision`, weight), ...)
    cosine=('image_embeds',),  # layers compared by 1 - cosine; others by the mean square
    weigh='norm',  # by 1/|decoded| ('norm'), by 1/|decoded|^2 ('square', deep image), or 'none'
    units=1.0,  # share of each layer's decoded units that count, those that vary most over rows
    z='z',  # target with latents to start from; 'images': those of decoded pictures; '': zeros
    c='c',  # target with states [n k d], vectors [n d] or sentences; '': the empty text
    adjust=('z', 'c'),  # over='diffusion': what is changed, as the paper says
    variant='',  # 'code': z alone, as MindDiffuser's released code does
    steps=50,  # of the whole noise schedule
    strength=0.7,  # share of the steps that are taken: 35, as published
    guidance=5.0,  # 1: the text alone, without guidance
    last=0,  # gradients go through so many of the last steps, then straight to z; 0: all steps
    remat=True,  # steps are computed again on the way back: less memory, a third more time
    start='grey',  # over='pixels': 'grey', 'noise', or 'images', those that are decoded
    size=(),  # (h, w) of a picture that starts from nothing; (): what the net, or `vision`, takes
    iterations=0,  # 0: the published number, see PUBLISHED
    rate=0.0,  # of the first iteration; 0: the published one
    decay=0.999,  # of Adam's rate, at each iteration
    momentum=0.9,  # over='pixels'; and the two below
    shrink=0.01,  # share of the way to grey in the first iteration; falls to 0 as the rate does
    blur=0.0,  # pixels of blur in the first iteration; falls likewise
    tv=0.0,  # weight of the total variation
    batch=4,  # rows at a time
)
PUBLISHED = {  # iterations, rate; 'latents' is nobody's
    'diffusion': (300, 0.01),
    'latents': (300, 0.05),
    'pixels': (200, 2 / 255),
}


def check(cfg) -> None:
    """Raises ConfigError for options that do not fit each other, before anything is loaded."""
    _options(cfg)


def load(cfg, zoo: dict) -> dict:
    """The nets that `cfg` names.

    Args:
      cfg: see DEFAULTS.
      zoo: path: a folder of nets or a cache of the hub, '' for the hub's own; dtype: of the
        computation.

    Returns:
      vision, and of the pipeline vae, unet, scheduler, text, as far as `over` needs them.

    Raises:
      DataMissing: one is not there.  ConfigError: it is of another kind, or lacks a layer.
    """
    options, found = _options(cfg), {}
    found['vision'] = _net(options['vision'], zoo)
    layers = [layer for _, layer, _ in options['match']]
    _optimise_loss.check(found['vision'], layers, options['vision'])
    name = options['net']
    if options['over'] != 'pixels':
        found['vae'] = _net(f'{name}/vae', zoo, sd_vae.AutoencoderKL)
    if options['over'] == 'diffusion':
        found['unet'] = _net(f'{name}/unet', zoo, sd_unet.UNet)
        found['text'] = _text.load(f'{name}/text_encoder', zoo)
        file = found['unet'].folder.parent / 'scheduler' / 'scheduler_config.json'
        if not file.is_file():
            raise errors.DataMissing(
                'no noise schedule beside the U-Net', file, 'fetch the whole folder of the pipeline'
            )
        found['scheduler'] = diffusion.read(json.loads(file.read_text()))
    return found


def _net(name: str, zoo: dict, kind=None):
    net = weights.load(
        catalog.resolve(name, zoo.get('path') or None), dtype=jnp.dtype(zoo.get('dtype', 'float32'))
    )
    if kind and not isinstance(net.module, kind):
        raise errors.ConfigError(
            f'generator.optimise.net: {name!r} is a {net.name}', 'config', f'a {kind.__name__}'
        )
    return net


def generate(cfg, params: dict, decoded: dict, rng=None) -> dict:
    """Adds 'images' [n h w 3] in [0, 1], of each row those of its lowest loss.

    A row's picture depends neither on its batch nor, while units=1, on the other rows.

    Args:
      cfg: see DEFAULTS.
      params: as `load` returned.
      decoded: holds, under the names in `match`, layers as `vision` gives them for a picture of
        this size; and what `z`, `c` and `start` name: z [n h w d], scaled as the U-Net takes it.
      rng: jax key of the noise.

    Returns:
      `decoded` with 'images' and 'curve_optimise' [n iterations], the loss before each iteration.

    Raises:
      ConfigError: something of that name is not decoded.  DataInvalid: it has another shape, or the
        loss is not finite.
    """
    options = _options(cfg)
    match, picture = options['match'], _picture(options, params)
    vision = params['vision']
    compare = _optimise_loss.comparison(
        vision, [layer for _, layer, _ in match], options['cosine'], options['tv']
    )
    begun, shared = picture.start(options, params, decoded, rng)
    shape = picture.shape(begun)
    values = _optimise_loss.wanted(compare, vision.params, match, decoded, shape)
    units = _optimise_loss.units(values, options['units'])
    kept = [v if u is None else v[:, u] for v, u in zip(values, units, strict=True)]
    rows = {
        'free': {name: x for name, x in begun.items() if name in options['adjust']},
        'fixed': {name: x for name, x in begun.items() if name not in options['adjust']},
        'values': kept,
        'weights': _optimise_loss.weights(kept, match, compare.cosine, options['weigh']),
    }
    counts = {len(x) for x in jax.tree.leaves(rows)}
    if len(counts) > 1:
        raise errors.DataInvalid(
            f'decoded arrays of {sorted(counts)} rows', 'generators.optimise', 'one row a picture'
        )
    shared |= {'units': units}
    nets = {name: params[name].params for name in ('vision', 'vae', 'unet') if name in params}
    given = (picture, compare, _rule(options), nets)
    images, losses = _in_batches(given, rows, shared, options['batch'])
    if not np.isfinite(losses.min(1)).all():
        raise errors.DataInvalid(
            'a loss that is not finite', 'generators.optimise', 'take a lower rate, or float32'
        )
    return dict(decoded) | {'images': images, 'curve_optimise': losses}


def _in_batches(given: tuple, rows: dict, shared: dict, size: int):
    """Pictures and losses of all rows, `size` at a time; rows are divided over the devices."""
    n = len(rows['weights'])
    mesh = sharding.mesh() if len(jax.devices()) > 1 else None
    place, size = sharding.place_same(mesh), max(1, min(size, n))
    size += -size % (mesh.shape['data'] if mesh else 1)
    images, losses = [], []
    for start in range(0, n, size):
        # The last batch is filled up with its last row, so that one program does for all.
        at = np.minimum(np.arange(start, start + size), n - 1)
        part = jax.tree.map(lambda x, at=at: place(x[at]), rows)
        found = _optimise_descent.descend(*given, part, shared)
        for held, array in zip((images, losses), found[:2], strict=True):
            held.append(sharding.whole(array)[: n - start])
    return np.concatenate(images).astype(np.float32), np.concatenate(losses).astype(np.float32)


def _options(cfg) -> dict:
    """All options, those of `variant` and `over` filled in."""
    options = {key: cfg.get(key, value) for key, value in DEFAULTS.items()}
    for key, known in (
        ('over', tuple(PUBLISHED)),
        ('weigh', _optimise_loss.WEIGH),
        ('start', _optimise_pictures.STARTS),
        ('variant', ('', 'code')),
    ):
        if options[key] not in known:
            raise _wrong(options, key, ', '.join(map(repr, known)))
    match = options['match'] = tuple(map(tuple, options['match']))
    if not match or any(len(entry) != 3 for entry in match):
        raise _wrong(options, 'match', "(('z_clip', 'image_embeds', 1.0), ...)")
    if not 0 < options['units'] <= 1:
        raise _wrong(options, 'units', 'a share in (0, 1]')
    if options['last'] < 0 or options['iterations'] < 0 or options['batch'] < 1:
        key = next(k for k in ('last', 'iterations', 'batch') if options[k] < (k == 'batch'))
        raise _wrong(options, key, 'a number of at least 1, or 0 for the usual')
    if options['size'] and len(options['size']) != 2:
        raise _wrong(options, 'size', '(height, width) in pixels, or ()')
    if options['over'] != 'diffusion':
        options['adjust'] = ('pixels',) if options['over'] == 'pixels' else ('z',)
    elif options['variant'] == 'code':
        options['adjust'] = ('z',)
    if not options['adjust'] or set(options['adjust']) - {'z', 'c', 'pixels'}:
        raise _wrong(options, 'adjust', "('z', 'c'), ('z',) or ('c',)")
    iterations, rate = PUBLISHED[options['over']]
    options['iterations'] = options['iterations'] or iterations
    options['rate'] = options['rate'] or rate
    return options


def _wrong(options: dict, key: str, remedy: str) -> errors.ConfigError:
    return errors.ConfigError(f'generator.optimise.{key} is {options[key]!r}', 'config', remedy)


def _picture(options: dict, params: dict):
    """How variables become a picture."""
    over = options['over']
    if over == 'pixels':
        return _optimise_pictures.Pixels(_optimise_loss.side(params['vision']))
    vae = params['vae']
    if over == 'latents':
        return _optimise_pictures.Latents(vae.module, vae.config.sample_size)
    unet = params['unet']
    factor = 2 ** (len(vae.config.block_out_channels) - 1)
    return _optimise_pictures.Diffusion(
        **dict(unet=unet.module, vae=vae.module, side=(unet.config.sample_size or 64) * factor),
        **{key: options[key] for key in ('guidance', 'last', 'remat')},
    )


def _rule(options: dict) -> _optimise_descent.Rule:
    """How variables follow their gradient."""
    if options['over'] != 'pixels':
        keys = ('iterations', 'rate', 'decay')
        return _optimise_descent.Rule(**{key: options[key] for key in keys})
    keys = ('iterations', 'rate', 'momentum', 'shrink', 'blur')
    return _optimise_descent.Rule(**{key: options[key] for key in keys}, pixels=True)
