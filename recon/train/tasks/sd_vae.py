"""The tiny autoencoder: scenes at 64 x 64 <-> 8 x 8 x 32 latents of about unit variance.

It starts from a linear code (`_sd_vae_start.py`). Its latents serve a diffusion net and linear
decoders, so that they are pulled to a Gaussian a little; at the end every channel is brought to
mean 0 and to a spread that grows with what it changes in a picture.
"""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import image, resize
from recon.data import loader
from recon.data.simulator import scenes
from recon.metrics import pixel
from recon.train import checkpoint, loop, optim, step
from recon.train import state as states
from recon.train.tasks import _scenes, _sd_vae_start
from recon.zoo import sd_vae, weights

SETTINGS = {
    'steps': 5000,
    'batch': 8,
    'crop': 32,
    'whole': 0.25,
    'whole_batch': 4,
    'learning_rate': 1e-3,
    'schedule': 'cosine',
    'warmup': 0.05,
    'b2': 0.99,
    'clip': 1.0,
    'ema': 0.998,
    'squared': 10.0,
    'kl': 1e-4,
    'scenes': 65_700,
    'save_every': 250,
    'log_every': 50,
}
CONFIG = {
    'block_out_channels': (16, 32, 64, 80),
    'layers_per_block': 1,
    'latent_channels': 32,
    'norm_num_groups': 2,
    'sample_size': 64,
}
ASIDE = 1000  # the last training scenes, on which the training is watched
_FITTED = 200  # scenes that the start is fitted to
_TRIED = 16  # scenes on which is measured what a channel changes
FOLDER = 'sd_vae'
PART = 'vae'  # its name among the parts of a Stable Diffusion folder


def run(settings: dict, out, work, *, seed: int = 0, stop=lambda: False) -> None:
    """Trains, from where `work/sd_vae` stands, and writes `out/vae`.

    Args:
      settings: SETTINGS, changed.
      out: folder of the small nets.
      work: folder for checkpoints and drawn scenes.
      seed: of parameters, batches and noise.
      stop: asked before every step.
    """
    drawn = _scenes.training(work, settings['scenes'])
    images, rows = drawn.images, len(drawn.ids) - ASIDE
    aside, folder = images[rows:], pathlib.Path(work) / FOLDER
    net = sd_vae.AutoencoderKL(sd_vae.Config(**CONFIG))
    optimizer = optim.make(settings, settings['steps'])
    root = jax.random.fold_in(jax.random.key(seed), 0)
    start = _start(net, images[: min(_FITTED, rows)], seed, folder / 'start')

    def loss(params, batch, rng):
        return objective(net, params, batch['images'], settings, rng)

    def validate(state):
        error = squared_errors(_rebuilt(net, state.averaged, aside[:125]), aside[:125])
        return {'loss': error.mean(), 'psnr': psnr(error).mean()}

    state = loop.fit(
        step.single(loss, optimizer, ema=settings['ema']),
        states.create(lambda _: start, optimizer, jax.random.fold_in(root, 0), ema=True),
        lambda i: batch(images, rows, settings, seed, i),
        steps=settings['steps'],
        folder=folder,
        rng=jax.random.fold_in(root, 1),
        save_every=settings['save_every'],
        log_every=settings['log_every'],
        stop=stop,
        validate=validate,
    )
    net, params = scaled(net, jax.device_get(state.averaged), aside)
    weights.save(f'{out}/{PART}', net, params, extra={'scenes_version': scenes.SCENES_VERSION})


def _start(net, images, seed: int, path: pathlib.Path) -> dict:
    """Parameters to start from, fitted once and kept at `path`."""
    kept = checkpoint.load(path, fingerprint := f'seed {seed}, {len(images)} scenes')
    if kept is None:
        shapes = jax.eval_shape(net.init, jax.random.key(0), *sd_vae.example(net.config))['params']
        kept = _sd_vae_start.params(net, shapes, images, seed)
        checkpoint.save(path, kept, fingerprint)
    return jax.tree.map(jnp.asarray, kept)


def batch(images, rows: int, settings: dict, seed: int, i: int) -> dict:
    """Of step `i`: crops, which cost little a step, and whole pictures in the last steps.

    Args:
      images: [m 64 64 3] uint8.
      rows: how many of them are trained on, the first.
      settings: with `batch` crops of `crop` pixels, or `whole_batch` pictures in the last steps,
        `whole` of all.
      seed: of the order and of where the crops lie.
      i: the step.
    """
    if i >= round(settings['steps'] * (1 - settings['whole'])):
        chosen = loader.rows(seed, i, rows, settings['whole_batch'])
        return {'images': images[np.sort(chosen)]}
    chosen = loader.rows(seed, i, rows, settings['batch'])
    size, rng = settings['crop'], np.random.default_rng((seed, i))
    corners = rng.integers(0, images.shape[1] - size + 1, (len(chosen), 2))
    crops = [
        images[k, y : y + size, x : x + size] for k, (y, x) in zip(chosen, corners, strict=True)
    ]
    return {'images': np.stack(crops)}


def objective(net, params, images, settings: dict, rng) -> tuple:
    """Absolute and squared error in [-1, 1], and a little of the divergence from N(0, 1).

    Args:
      net: the autoencoder.
      params: its parameters.
      images: [n h w 3] uint8.
      settings: with `squared` and `kl`, the weights; each term is a mean over its numbers.
      rng: of the sample of the latents (Kingma & Welling 2014, equation 10).
    """
    pixels = images / jnp.float32(127.5) - 1
    mean, logvar = net.apply({'params': params}, pixels, method='encode')
    sample = mean + jnp.exp(logvar / 2) * jax.random.normal(rng, mean.shape)
    error = net.apply({'params': params}, sample, method='decode') - pixels
    absolute, squared = jnp.abs(error).mean(), (error**2).mean()
    kl = (mean**2 + jnp.exp(logvar) - 1 - logvar).mean() / 2
    total = absolute + settings['squared'] * squared + settings['kl'] * kl
    noise = jnp.exp(logvar / 2).mean()
    return total, {'absolute': absolute, 'squared': squared, 'kl': kl, 'noise': noise}


def scaled(net, params: dict, images) -> tuple:
    """The same autoencoder, every channel of its latents with mean 0 and a spread of its own.

    The spread grows with the root of what one standard deviation of the channel changes in
    pictures; the mean of the variances is 1. With equal spreads most of a diffusion net's work
    would go into fine detail that hardly shows, and what is coarse would not come first. Shifts
    and factors go into the 1x1 convolutions and `scaling_factor`: no reconstruction changes.

    Args:
      net: the autoencoder.
      params: its parameters.
      images: [n h w 3] uint8, over which the variances are taken.
    """
    means = np.concatenate([_applied(net, 'encode')(params, part)[0] for part in _parts(images)])
    shift = means.mean((0, 1, 2), dtype=np.float64)
    deviation = means.std((0, 1, 2), dtype=np.float64)
    spread = np.sqrt(changes(net, params, means[:_TRIED], deviation))
    spread /= np.sqrt((spread**2).mean())
    common = float(np.sqrt((deviation**2).mean()))
    gain = spread * common / deviation
    both = np.concatenate([gain, np.ones_like(gain)])
    quant, back = params['quant_conv'], params['post_quant_conv']
    moved = np.concatenate([-shift * gain, 2 * np.log(gain)])
    params = params | {
        'quant_conv': {'kernel': quant['kernel'] * both, 'bias': quant['bias'] * both + moved},
        'post_quant_conv': {
            'kernel': back['kernel'] / gain[:, None],
            'bias': back['bias'] + shift @ back['kernel'][0, 0],
        },
    }
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), params)
    factor = float(f'{1 / common:.6g}')
    return sd_vae.AutoencoderKL(dataclasses.replace(net.config, scaling_factor=factor)), params


def changes(net, params: dict, latents, deviation) -> np.ndarray:
    """[c] root mean squared change of pictures in [-1, 1] when a channel moves.

    Args:
      net: the autoencoder.
      params: its parameters.
      latents: [n h w c], as `encode` gives them.
      deviation: [c], by how much each channel moves.
    """

    @jax.jit
    def change(params, latents, step):
        both = jnp.concatenate([latents + step, latents])
        both = net.apply({'params': params}, both, method='decode')
        moved, still = jnp.split(both, 2)
        return jnp.sqrt(((moved - still) ** 2).mean())

    steps = np.diag(np.asarray(deviation, np.float32))
    return np.array([change(params, latents, step) for step in steps], np.float64)


def squared_errors(ours, images) -> np.ndarray:
    """[n] mean squared error of pictures in [0, 1] against uint8 ones."""
    return ((np.asarray(ours) - np.asarray(images) / np.float32(255)) ** 2).mean((1, 2, 3))


def psnr(error) -> np.ndarray:
    """Decibels of a mean squared error of pictures in [0, 1]."""
    return -10 * np.log10(error)


def measure(out, n: int = 1000) -> dict:
    """What `out/vae` reaches on the first `n` held-out scenes, beside bicubic resizing.

    For that the pictures are shrunk and enlarged again: to the largest squares of at most as many
    numbers as a picture's latents have, and to the next larger ones.
    """
    net = weights.load(f'{out}/{PART}')
    drawn = _scenes.held_out(n)
    encode = _applied(net.module, 'encode')
    means = np.concatenate([encode(net.params, part)[0] for part in _parts(drawn.images)])
    latents = means * net.config.scaling_factor
    numbers = latents[0].size
    side = int((numbers / 3) ** 0.5)
    others = {'ours': _rebuilt(net.module, net.params, drawn.images)} | {
        f'bicubic_{3 * k * k}_numbers': _bicubic(drawn.images, k) for k in (side, side + 1)
    }
    unseen = scenes.has_unseen(drawn)
    groups = {'all': np.ones(n, bool), 'unseen_pairs': unseen, 'seen_pairs': ~unseen}
    reached = {
        name: {'scenes': int(rows.sum())}
        | {key: _scores(other[rows], drawn.images[rows]) for key, other in others.items()}
        for name, rows in groups.items()
        if rows.any()
    }
    flat = latents.reshape(-1, latents.shape[-1])
    between = np.abs(np.corrcoef(flat.T) - np.eye(flat.shape[1]))
    reached['latents'] = {
        'numbers': numbers,
        'std_by_channel': [round(float(value), 3) for value in flat.std(0)],
        'mean_by_channel': [round(float(value), 3) for value in flat.mean(0)],
        'largest_correlation_of_channels': round(float(between.max()), 3),
    }
    return reached


def _scores(ours: np.ndarray, images: np.ndarray) -> dict:
    error = squared_errors(ours, images)
    scores = {
        'psnr': psnr(error).mean(),
        'psnr_of_mean_error': psnr(error.mean()),
        'ssim': pixel.ssim(ours, image.to_float(images)).mean(),
    }
    return {name: round(float(value), 4) for name, value in scores.items()}


def _bicubic(images: np.ndarray, side: int) -> np.ndarray:
    """Shrunk to `side` and enlarged again, [n h w 3] in [0, 1]."""
    size = images.shape[1:3]

    @jax.jit
    def there_and_back(part):
        small = resize.resize(part / jnp.float32(255), (side, side), 'bicubic')
        return jnp.clip(resize.resize(small, size, 'bicubic'), 0, 1)

    return np.concatenate([there_and_back(part) for part in _parts(images)])


def _parts(images, batch: int = 125):
    return [np.asarray(images[i : i + batch]) for i in range(0, len(images), batch)]


def _applied(net, method: str):
    @jax.jit
    def apply(params, images):
        return net.apply({'params': params}, images / jnp.float32(127.5) - 1, method=method)

    return apply


def _rebuilt(net, params, images) -> np.ndarray:
    """Reconstructions [n h w 3] in [0, 1] of uint8 pictures, from the means of their latents."""
    apply = _applied(net, '__call__')
    both = [apply(params, part) for part in _parts(images)]
    return np.clip(np.concatenate(both) / 2 + 0.5, 0, 1)
