"""What optimise can adjust, where it starts, and the picture that it makes: three ways.

Each is a frozen dataclass with `start(options, nets, decoded, rng)`, which gives (rows, shared),
and a call (parameters, variables, shared) -> pictures [n h w 3] in [0, 1].
"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from recon.core import batches, errors
from recon.generators import _text, diffusion
from recon.zoo import sd_vae

STARTS = ('grey', 'noise', 'images')


@dataclasses.dataclass(frozen=True)
class Pixels:
    """The picture itself.

    Attributes:
      side: pixels on a side, where nothing says otherwise.
    """

    side: int

    def start(self, options: dict, nets: dict, decoded: dict, rng):
        """Grey, grey with a little noise, or pictures that are decoded."""
        del nets
        n, how = _count(options, decoded), options['start']
        if how == 'images':
            return {'pixels': _images(decoded, 'start')}, {}
        shape = (*(options['size'] or (self.side, self.side)), 3)
        x = np.full((n, *shape), 0.5, np.float32)
        if how == 'noise':
            x = np.clip(x + 0.1 * noise(rng, n, shape), 0, 1)
        return {'pixels': x}, {}

    def shape(self, rows: dict) -> tuple[int, int]:
        """(h, w) of the pictures."""
        return rows['pixels'].shape[1:3]

    def __call__(self, params: dict, x: dict, shared: dict):
        """See the module."""
        return x['pixels']


@dataclasses.dataclass(frozen=True)
class Latents:
    """Latents of an autoencoder, whose decoder knows what pictures look like.

    Attributes:
      vae: the autoencoder.
      side: pixels on a side, where nothing says otherwise.
    """

    vae: nn.Module
    side: int

    def start(self, options: dict, nets: dict, decoded: dict, rng):
        """Decoded latents, those of decoded pictures, or zeros."""
        del rng
        return {'z': _latents(options, nets, decoded, self.side)}, {}

    def shape(self, rows: dict) -> tuple[int, int]:
        """(h, w) of the pictures."""
        return tuple(_factor(self.vae.config) * side for side in rows['z'].shape[1:3])

    def __call__(self, params: dict, x: dict, shared: dict):
        """See the module."""
        return sd_vae.pictures(self.vae, params['vae'], x['z'])


@dataclasses.dataclass(frozen=True)
class Diffusion:
    """What a diffusion net makes of noisy latents z under text states c, its noise kept.

    Attributes:
      unet: the net.
      vae: its autoencoder.
      side: pixels on a side, where nothing says otherwise.
      guidance: scale.
      last: gradients go through so many last steps; 0: all.
      remat: steps are computed again on the way back.
    """

    unet: nn.Module
    vae: nn.Module
    side: int
    guidance: float = 1.0
    last: int = 0
    remat: bool = True

    def start(self, options: dict, nets: dict, decoded: dict, rng):
        """z, c and noise of each row; the plan and the states of the empty text, which all share.

        The noise of row i is drawn from fold_in(rng, i).
        """
        z = _latents(options, nets, decoded, self.side)
        if z.shape[-1] != self.unet.config.in_channels:
            raise errors.DataInvalid(
                f'{options["z"]} has shape {z.shape}',
                'generators.optimise',
                f'{nets["unet"].folder} takes [n h w {self.unet.config.in_channels}]',
            )
        c, empty = _states(options, nets, decoded, len(z))
        rows = {'z': z, 'c': c, 'noise': noise(rng, len(z), z.shape[1:])}
        plan = diffusion.plan(nets['scheduler'], options['steps'], options['strength'])
        return rows, {'plan': plan, 'empty': empty}

    def shape(self, rows: dict) -> tuple[int, int]:
        """(h, w) of the pictures."""
        return tuple(_factor(self.vae.config) * side for side in rows['z'].shape[1:3])

    def __call__(self, params: dict, x: dict, shared: dict):
        """See the module."""
        unet = functools.partial(self.unet.apply, {'params': params['unet']})
        denoise = diffusion.guided(unet, x['c'], shared['empty'], self.guidance)
        begun = diffusion.begin(shared['plan'], x['noise'], x['z'])
        how = {'last': self.last or None, 'remat': self.remat, 'through': x['z']}
        latents = diffusion.sample(denoise, shared['plan'], begun, **how)
        return sd_vae.pictures(self.vae, params['vae'], latents)


@functools.partial(jax.jit, static_argnums=(1, 2))
def _normal(rng, n: int, shape: tuple):
    keys = jax.vmap(lambda i: jax.random.fold_in(rng, i))(jnp.arange(n))
    return jax.vmap(lambda key: jax.random.normal(key, shape))(keys)


def noise(rng, n: int, shape: tuple) -> np.ndarray:
    """[n *shape]: row i of it is drawn from fold_in(rng, i), whatever the other rows."""
    return np.asarray(_normal(rng, n, tuple(shape)))


def _factor(config: sd_vae.Config) -> int:
    """Pixels to a latent, on a side."""
    return 2 ** (len(config.block_out_channels) - 1)


def _count(options: dict, decoded: dict) -> int:
    """Rows of what is matched."""
    target = options['match'][0][0]
    if target not in decoded:
        raise _missing(f'match names the target {target!r}', decoded)
    return len(decoded[target])


def _latents(options: dict, nets: dict, decoded: dict, side: int) -> np.ndarray:
    """[n h w d]: where z starts."""
    name, config = options['z'], nets['vae'].config
    factor = _factor(config)
    if not name:
        h, w = options['size'] or (side, side)
        n = _count(options, decoded)
        return np.zeros((n, h // factor, w // factor, config.latent_channels), np.float32)
    if name == 'images':
        images = _images(decoded, 'z')
        run = functools.partial(_encode, nets['vae'].module, nets['vae'].params)
        shape = (*(side // factor for side in images.shape[1:3]), config.latent_channels)
        return batches.apply(run, images, options['batch'], shape)
    if name not in decoded:
        raise _missing(f'z is {name!r}', decoded)
    z = np.asarray(decoded[name], np.float32)
    if z.ndim != 4 or z.shape[-1] != config.latent_channels:
        raise errors.DataInvalid(
            f'{name} has shape {z.shape}',
            'generators.optimise',
            f'{nets["vae"].folder} takes [n h w {config.latent_channels}]: decode its latents',
        )
    return z


@functools.partial(jax.jit, static_argnums=0)
def _encode(module, params, images):
    return sd_vae.latents(module, params, images)


def _states(options: dict, nets: dict, decoded: dict, n: int):
    """Text states [n k d], and those of the empty text [1 k d], as long."""
    empty = _text.encode(nets['text'], [''])
    name = options['c']
    if not name:
        return np.repeat(empty, n, 0), empty
    if name not in decoded:
        raise _missing(f'c is {name!r}', decoded)
    c = np.asarray(decoded[name])
    if c.ndim == 1 and c.dtype.kind == 'U':
        return _text.encode(nets['text'], c), empty
    c = c[:, None] if c.ndim == 2 else c  # one vector is one token
    if c.ndim != 3 or c.shape[-1] != empty.shape[-1] or c.shape[1] > empty.shape[1]:
        raise errors.DataInvalid(
            f'{name} has shape {np.asarray(decoded[name]).shape}',
            'generators.optimise',
            f'{nets["text"].name} gives [n k {empty.shape[-1]}], k up to {empty.shape[1]}',
        )
    # A state knows of the tokens before it alone: the first k are those of a text of k tokens.
    return c.astype(np.float32), empty[:, : c.shape[1]]


def _images(decoded: dict, key: str) -> np.ndarray:
    if 'images' not in decoded:
        raise _missing(f"{key} is 'images'", decoded)
    return np.asarray(decoded['images'], np.float32)


def _missing(what: str, decoded: dict) -> errors.ConfigError:
    return errors.ConfigError(
        f'generator.optimise.{what}', 'config', f'decoded: {", ".join(decoded)}'
    )
