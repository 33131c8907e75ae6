"""Pictures from decoded latents, by the decoder of an autoencoder.

Source: Rombach et al. 2022, section 3.1; the second half of MindEye's low-level pipeline.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import batches, errors
from recon.zoo import catalog, sd_vae, weights

DEFAULTS = dict(
    net='tiny/vae',  # the autoencoder, as in targets.<name>.net
    target='vae',  # which decoded target holds its latents
    batch=16,  # rows at a time
)


def load(cfg, zoo: dict) -> dict:
    """The autoencoder of `cfg.net`.

    Args:
      cfg: see DEFAULTS.
      zoo: path: a folder of nets or a cache of the hub, '' for the hub's own; dtype: of the
        computation.

    Returns:
      {'net': the loaded net}.

    Raises:
      DataMissing: it is not there.  ConfigError: the net is no autoencoder.
    """
    name = cfg.get('net', DEFAULTS['net'])
    folder = catalog.resolve(name, zoo.get('path') or None)
    net = weights.load(folder, compute=jnp.dtype(zoo.get('dtype', 'float32')))
    if not isinstance(net.module, sd_vae.AutoencoderKL):
        raise errors.ConfigError(
            f'generator.vae.net is {name!r}, a {net.name}', 'config', 'name an AutoencoderKL'
        )
    return {'net': net}


def generate(cfg, params: dict, decoded: dict, rng=None) -> dict:
    """Adds 'images' [n h w 3] in [0, 1] to what is decoded.

    Args:
      cfg: see DEFAULTS.
      params: as `load` returned.
      decoded: holds, under `cfg.target`, latents [n h w d] scaled as a diffusion net takes them.
      rng: not used, nothing is drawn.

    Raises:
      ConfigError: nothing of that name is decoded.  DataInvalid: latents of another shape.
    """
    target, net = cfg.get('target', DEFAULTS['target']), params['net']
    if target not in decoded:
        raise errors.ConfigError(
            f'generator.vae.target is {target!r}', 'config', f'decoded: {", ".join(decoded)}'
        )
    latents, depth = np.asarray(decoded[target], np.float32), net.config.latent_channels
    if latents.ndim != 4 or latents.shape[-1] != depth:
        raise errors.DataInvalid(
            f'{target} has shape {latents.shape}',
            'generators.vae',
            f'{net.folder} takes [n h w {depth}]: decode its layer latents',
        )
    run = functools.partial(_pictures, net.module, net.params)
    factor = 2 ** (len(net.config.block_out_channels) - 1)
    shape = (latents.shape[1] * factor, latents.shape[2] * factor, 3)
    size = cfg.get('batch', DEFAULTS['batch'])
    return dict(decoded) | {'images': batches.apply(run, latents, size, shape)}


@functools.partial(jax.jit, static_argnums=0)
def _pictures(module, params, latents):
    return sd_vae.pictures(module, params, latents)
