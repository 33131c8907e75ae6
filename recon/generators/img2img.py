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

from recon.core import batches, errors, lora, sharding
from recon.core import rng as rngs
from recon.generators import _img2img_inputs as inputs
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
    lora_steps=0,  # of a fine-tuning of the U-Net on the training pictures; 0 is none
    lora_rank=4,  # of what is added to each matrix of its attention
    lora_learning_rate=1e-4,
    lora_batch=4,  # pictures a step
)
PARTS = ('unet', 'vae')


def options(cfg) -> dict:
    """All options: those of `cfg`, else the DEFAULTS."""
    return {key: cfg.get(key, value) for key, value in DEFAULTS.items()}


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
            inputs.refuse(
                'net', name, f'its {part} is a {loaded[part].name}, wanted a {cls.__name__}'
            )
    loaded['text'] = _text.load(f'{name}/text_encoder', zoo)
    unet, made = loaded['unet'].config, loaded['vae'].config.latent_channels
    if unet.in_channels != made or unet.out_channels != made:
        inputs.refuse('net', name, f'latents of {made} channels for a U-Net of {unet.in_channels}')
    if unet.cross_attention_dim != loaded['text'].width:
        told = f'{loaded["text"].width} numbers for a U-Net of {unet.cross_attention_dim}'
        inputs.refuse('net', name, f'text states of {told}')
    return loaded | {'scheduler': scheduler}


def plan(cfg, scheduler: diffusion.Config) -> diffusion.Plan:
    """The steps that `cfg` takes.

    Raises:
      ConfigError: none, too many, or guidance below 1.
    """
    option = options(cfg)
    if option['guidance'] < 1:
        inputs.refuse('guidance', option['guidance'], '1 or more')
    strength = option['strength'] if option['start'] else 1.0
    return diffusion.plan(scheduler, option['steps'], strength, option['eta'])


def generate(cfg, params: dict, decoded: dict, rng) -> dict:
    """Adds 'images' [n h w 3] in [0, 1] to what is decoded, in place of what stood there.

    Args:
      cfg: see DEFAULTS.
      params: as `load` returned; 'lora' of a fine-tuning (train/tasks/img2img.py) beside it is
        added to the U-Net.
      decoded: what `cfg.start` and `cfg.text` name.
      rng: jax key.

    Raises:
      ConfigError: nothing of that name is decoded, or an option that cannot work.
      DataInvalid: an array of another shape than the nets take.
    """
    option = options(cfg)
    table = plan(cfg, params['scheduler'])
    begun, side = inputs.begin(option, params, decoded)
    known, nothing = inputs.text(option, params, decoded)
    led = bool(option['text']) and option['guidance'] != 1
    modules = tuple(params[part].module for part in PARTS)
    which = (*modules, option['start'] == 'images', side, led)
    mesh = sharding.mesh() if len(jax.devices()) > 1 else None
    nets = {part: params[part].params for part in PARTS}
    if 'lora' in params:
        nets['unet'] = lora.merge(nets['unet'], params['lora'])
    scale = np.float32(option['guidance'])
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
    batch = -(-option['batch'] // devices) * devices
    shape = (side[0] * inputs.factor(params), side[1] * inputs.factor(params), 3)
    return dict(decoded) | {'images': batches.apply(run, rows, batch, shape)}


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


def describe(cfg, params: dict) -> dict:
    """What a fine-tuning of the U-Net was: numbers learnt, and its loss before and after."""
    if 'lora' not in params:
        return {}
    before, after = np.asarray(params['lora_loss'], float).tolist()
    facts = {
        'numbers learnt': lora.count(params['lora']),
        'loss on training pictures, before': before,
        'loss on training pictures, after': after,
    }
    return {'curves': [], 'tables': [], 'facts': facts}
