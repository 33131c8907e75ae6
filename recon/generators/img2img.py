"""Stable Diffusion from what is decoded: pictures or latents to start from, text to follow.

A pipeline folder is laid out as diffusers saves one: unet, vae, text_encoder, tokenizer, scheduler.
The picture is brought to latents by the mean of the autoencoder, noise takes it back to the middle
of the schedule, and the net goes on from there, led by text: one compiled program for `batch` rows
at a time, divided over all devices. The noise of row i is drawn from fold_in(rng, i), so that a
row's picture does not depend on the rows that it is made together with.

Source: Meng et al. 2022, 'SDEdit'; Rombach et al. 2022; Ho and Salimans 2022 (guidance). The second
seed: strength .75, guidance 6, after `vae` and `caption`. Takagi and Nishimoto 2023: strength .8,
guidance 5, text states decoded.
"""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from recon.core import batches, errors, image, sharding
from recon.core import rng as rngs
from recon.generators import _text, diffusion
from recon.zoo import catalog, sd_unet, sd_vae, weights

DEFAULTS = dict(
    net='tiny',  # a pipeline folder: 'tiny', 'sd15', 'sd21', 'sd21base', or a path
    start='images',  # pictures made before; a target that holds latents; '' is noise alone
    text='captions',  # sentences; a target with states [k d], or with one vector [d]; '' is no text
    strength=0.75,  # share of the steps that are taken, the last ones; from noise alone it is 1
    guidance=6.0,  # 1 follows the text, more leads away from the empty text
    steps=50,  # of the whole way from noise
    eta=0.0,  # 1 adds as much fresh noise as DDPM, 0 none; above 0 with DDIMScheduler alone
    scheduler='',  # another solver on the folder's noise, see diffusion.KINDS; '' is the folder's
    size=(),  # (h, w) that pictures are brought to first; () as they come, or the net's own
    batch=4,  # rows at a time, on all devices together
)
PARTS = ('unet', 'vae')


def load(cfg, zoo: dict) -> dict:
    """The nets of the pipeline folder `cfg.net`.

    Args:
      cfg: see DEFAULTS.
      zoo: path: a folder of nets or a cache of the hub, '' for the hub's own; dtype: of the
        computation, and of the weights of U-Net and text encoder.

    Returns:
      {'unet', 'vae': loaded nets, 'text': of `_text.load`, 'scheduler': diffusion.Config}.

    Raises:
      DataMissing: a part is not there.  ConfigError: a part is another net than its name says, or
        an option that cannot work.
    """
    name, path = cfg.get('net', DEFAULTS['net']), zoo.get('path') or None
    dtype = jnp.dtype(zoo.get('dtype', 'float32'))
    folder = catalog.resolve(f'{name}/unet', path)
    file = folder.parent / 'scheduler' / 'scheduler_config.json'
    if not file.is_file():
        raise errors.DataMissing('no scheduler', file, 'fetch the whole folder of the pipeline')
    kind = cfg.get('scheduler', DEFAULTS['scheduler']) or None
    try:
        # Another solver's file does not say it: no release of Stable Diffusion starts PNDM so.
        raw = ({'skip_prk_steps': True} if kind else {}) | json.loads(file.read_text())
        scheduler = diffusion.read(raw, kind)
    except (ValueError, TypeError) as error:
        raise errors.DataInvalid(f'cannot be read ({error})', file, 'fetch it again') from error
    plan(cfg, scheduler)
    loaded = {'unet': weights.load(folder, dtype=dtype)}
    loaded['vae'] = weights.load(catalog.resolve(f'{name}/vae', path), compute=dtype)
    for part, cls in zip(PARTS, (sd_unet.UNet, sd_vae.AutoencoderKL), strict=True):
        if not isinstance(loaded[part].module, cls):
            _refuse('net', name, f'its {part} is a {loaded[part].name}, wanted a {cls.__name__}')
    loaded['text'] = _text.load(f'{name}/text_encoder', zoo)
    unet, made = loaded['unet'].config, loaded['vae'].config.latent_channels
    if unet.in_channels != made or unet.out_channels != made:
        _refuse('net', name, f'latents of {made} channels for a U-Net of {unet.in_channels}')
    if unet.cross_attention_dim != loaded['text'].width:
        told = f'{loaded["text"].width} numbers for a U-Net of {unet.cross_attention_dim}'
        _refuse('net', name, f'text states of {told}')
    return loaded | {'scheduler': scheduler}


def plan(cfg, scheduler: diffusion.Config) -> diffusion.Plan:
    """The steps that `cfg` takes.

    Raises:
      ConfigError: none, too many, or guidance below 1.
    """
    option = lambda key: cfg.get(key, DEFAULTS[key])  # noqa: E731
    if option('guidance') < 1:
        raise errors.ConfigError(
            f'generator.img2img.guidance is {option("guidance")}', 'config', '1 or more'
        )
    strength = option('strength') if option('start') else 1.0
    return diffusion.plan(scheduler, option('steps'), strength, option('eta'))


def generate(cfg, params: dict, decoded: dict, rng) -> dict:
    """Adds 'images' [n h w 3] in [0, 1] to what is decoded, in place of what stood there.

    Args:
      cfg: see DEFAULTS.
      params: as `load` returned.
      decoded: what `cfg.start` and `cfg.text` name.
      rng: jax key.

    Raises:
      ConfigError: nothing of that name is decoded, or an option that cannot work.
      DataInvalid: an array of another shape than the nets take.
    """
    option = lambda key: cfg.get(key, DEFAULTS[key])  # noqa: E731
    table = plan(cfg, params['scheduler'])
    begun, side = begin(cfg, params, decoded)
    known, nothing = text(cfg, params, decoded)
    led = bool(option('text')) and option('guidance') != 1
    modules = tuple(params[part].module for part in PARTS)
    which = (*modules, option('start') == 'images', side, led)
    mesh = sharding.mesh() if len(jax.devices()) > 1 else None
    nets = {part: params[part].params for part in PARTS}
    scale = np.float32(option('guidance'))
    given = (nets, table, nothing, scale, jax.random.key_data(rng))
    given = given if mesh is None else _everywhere(mesh, given)
    devices = 1 if mesh is None else mesh.size

    def run(rows):
        count = len(rows)
        rows = np.pad(rows, (0, -count % devices))
        row = {'row': rows, 'known': known(rows)}
        row |= {} if begun is None else {'begun': begun[rows]}
        made = _made(which, mesh, *given, sharding.place_same(mesh)(row))
        return sharding.whole(made)[:count]

    rows = np.arange(len(next(iter(decoded.values()))))
    batch = -(-option('batch') // devices) * devices
    shape = (side[0] * factor(params), side[1] * factor(params), 3)
    return dict(decoded) | {'images': batches.apply(run, rows, batch, shape)}


def factor(params: dict) -> int:
    """Pixels on a side of one place of the latents."""
    return 2 ** (len(params['vae'].config.block_out_channels) - 1)


def begin(cfg, params: dict, decoded: dict) -> tuple[np.ndarray | None, tuple[int, int]]:
    """What the sampling starts from, and the sides of its latents.

    Returns:
      Pictures [n h w 3] or latents [n h/f w/f c] as `cfg.start` says, or None; (h/f, w/f).

    Raises:
      ConfigError, DataInvalid: as `generate`.
    """
    name, size = (cfg.get(key, DEFAULTS[key]) for key in ('start', 'size'))
    of, depth = factor(params), params['unet'].config.in_channels
    if size and (len(size) != 2 or min(size) < of or any(s % of for s in size)):
        _refuse('size', size, f'(height, width) in multiples of {of} pixels, or ()')
    if not name:
        default = params['unet'].config.sample_size
        if not size and not default:
            _refuse('size', size, 'the U-Net says none: give (height, width)')
        return None, tuple(s // of for s in size) if size else (default, default)
    values = np.asarray(_named('start', name, decoded), np.float32)
    if name == 'images':
        values = image.to_rgb(values)
        values = image.resize(values, tuple(size)) if size else values
        if any(s % of for s in values.shape[1:3]):
            raise errors.DataInvalid(
                f'pictures of {values.shape[1]} x {values.shape[2]} pixels',
                'generator.img2img.size',
                f'the autoencoder takes multiples of {of}: give a size',
            )
        return values, (values.shape[1] // of, values.shape[2] // of)
    if values.ndim != 4 or values.shape[-1] != depth:
        raise errors.DataInvalid(
            f'{name} has shape {list(values.shape)}',
            'generator.img2img.start',
            f'{params["unet"].folder} takes latents [n h w {depth}]: decode its vae, layer latents',
        )
    if size and tuple(size) != (values.shape[1] * of, values.shape[2] * of):
        _refuse('size', size, "latents keep theirs: chain=('vae', 'img2img') with start='images'")
    return values, values.shape[1:3]


def text(cfg, params: dict, decoded: dict) -> tuple:
    """Text states that lead the rows, and those of the empty text.

    One vector for a picture stands in place of every state of its text: attention over equal states
    gives what it gives over one of them.

    Returns:
      (a function from rows [b] to their states [b k d], states of the empty text [1 k d]).

    Raises:
      ConfigError, DataInvalid: as `generate`.
    """
    name, encoder = cfg.get('text', DEFAULTS['text']), params['text']
    if not name:
        nothing = _text.encode(encoder, [''])
        return lambda rows: np.repeat(nothing, len(rows), 0), nothing
    values = np.asarray(_named('text', name, decoded))
    if values.dtype.kind == 'U':
        said, which = np.unique(values, return_inverse=True)
        found = _text.encode(encoder, said)
        return lambda rows: found[which[rows]], _text.encode(encoder, [''])
    width, most = params['unet'].config.cross_attention_dim, encoder.length
    if values.ndim not in (2, 3) or values.shape[-1] != width:
        net, d = params['unet'].folder, values.shape[-1] if values.ndim > 1 else 1
        raise errors.DataInvalid(
            f'{name} has shape {list(values.shape)}: states of {d} numbers for a U-Net of {width}',
            'generator.img2img.text',
            f'{net} attends to [n k {width}] or [n {width}]: decode states of {encoder.name}',
        )
    values = values if values.ndim == 3 else values[:, None]
    tokens = most if values.shape[1] == 1 else values.shape[1]
    if tokens > most:
        raise errors.DataInvalid(
            f'{name} has {tokens} states a picture', 'generator.img2img.text',
            f'the empty text of {encoder.name} has at most {most}',
        )  # fmt: skip

    def known(rows):
        some = np.asarray(values[rows], np.float32)
        return np.broadcast_to(some, (len(rows), tokens, width))

    return known, _text.encode(encoder, [''], tokens)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _made(which, mesh, *given):
    """[b h w 3] pictures of b rows, the same for each part of them on a device of its own."""
    paint = functools.partial(_paint, *which)
    if mesh is not None:
        specs = (*[PartitionSpec()] * (len(given) - 1), PartitionSpec(mesh.axis_names))
        paint = jax.shard_map(
            paint, mesh=mesh, in_specs=specs, out_specs=specs[-1], check_vma=False
        )
    return paint(*given)


def _paint(unet, vae, encode, side, led, nets, table, nothing, scale, key, row):
    """Pictures of rows: encoded where they start from pictures, noised, sampled, decoded."""
    key = jax.random.wrap_key_data(key)
    fold = jax.vmap(jax.random.fold_in, (None, 0))
    shape = (*side, unet.config.in_channels)
    noise = jax.vmap(lambda k: jax.random.normal(k, shape))(fold(key, row['row']))
    begun = row.get('begun')
    begun = sd_vae.latents(vae, nets['vae'], begun) if encode else begun

    def apply(*given):
        return unet.apply({'params': nets['unet']}, *given).astype(jnp.float32)

    def sample(x, known, rng=None):
        denoise = diffusion.guided(apply, known, nothing, scale if led else 1)
        return diffusion.sample(denoise, table, x, rng)

    x = diffusion.begin(table, noise, begun)
    if table.stochastic:  # every row draws with its own key
        fresh = fold(rngs.named(key, 'fresh'), row['row'])
        one = lambda x, known, rng: sample(x[None], known[None], rng)[0]  # noqa: E731
        x = jax.vmap(one)(x, row['known'], fresh)
    else:
        x = sample(x, row['known'])
    return sd_vae.pictures(vae, nets['vae'], x)


def _everywhere(mesh, tree):
    """A pytree, whole on every device."""
    whole = jax.sharding.NamedSharding(mesh, PartitionSpec())
    return jax.tree.map(lambda leaf: jax.device_put(np.asarray(leaf), whole), tree)


def _named(key: str, name: str, decoded: dict):
    if name not in decoded:
        before = {'captions': 'caption', 'images': 'vae'}.get(name)
        hint = f'put {before!r} into generator.chain before it; ' if before else ''
        _refuse(key, name, f'{hint}decoded: {", ".join(decoded)}')
    return decoded[name]


def _refuse(key: str, value, remedy: str):
    raise errors.ConfigError(f'generator.img2img.{key} is {value!r}', 'config', remedy)
