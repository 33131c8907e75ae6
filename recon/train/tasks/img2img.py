"""Stable Diffusion, shown the training pictures: low-rank additions to its attention.

Optional, as the third seed has it: a net that was trained on other pictures learns in a few hundred
steps what these look like. No voxel and no test picture is seen. The loss is that of the net's own
training (Ho et al. 2020, equation 14, in what the checkpoint answers), under the empty text, or
under captions with a tenth of them left out (Ho and Salimans 2022).
"""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from recon.core import image, lora, sharding
from recon.generators import _img2img_inputs as inputs
from recon.generators import _text, diffusion, img2img
from recon.train import job as jobs
from recon.train import loop, optim, step
from recon.train import state as states
from recon.zoo import sd_vae

_EMPTY = 0.1  # captions left out
_JUDGED = 64  # rows on which the loss is taken before and after
_SETTINGS = {'optimizer': 'adamw', 'schedule': 'constant', 'clip': 1.0}


def wanted(options) -> bool:
    """Whether the U-Net is fine-tuned: lora_steps > 0."""
    return options.get('lora_steps', img2img.DEFAULTS['lora_steps']) > 0


def fit(options, job: jobs.Job, rng, captions=None) -> dict:
    """Trains the additions on the distinct training pictures.

    Args:
      options: see `img2img.DEFAULTS`.
      job: target [n h w c] in [0, 1], groups [n] the picture of each row; voxels are not looked at.
      rng: jax key.
      captions: n sentences, one for each row; None: the empty text.

    Returns:
      {'lora': of `lora.begin`, trained; 'lora_loss': [2] float32, the loss on training pictures
      before and after, with the same noise}: numpy arrays.

    Raises:
      ConfigError: an option that does not fit.  DataInvalid: pictures of a size that the
        autoencoder does not take.  Stopped: `job.stop()` was true.
    """
    option = img2img.options(options)
    for key in ('lora_steps', 'lora_rank', 'lora_batch'):
        if option[key] < 1:
            inputs.refuse(key, option[key], 'at least 1')
    nets = img2img.load(options, job.zoo)
    batch_at = functools.partial(batch, *_pictures(option, nets, job, captions))
    base = nets['unet'].params
    if job.mesh is not None:
        base = jax.device_put(jax.tree.map(np.asarray, base), sharding.by_rules(job.mesh, ())(base))
    loss = functools.partial(objective, nets['unet'].module, nets['scheduler'])
    put = sharding.place_batch(job.mesh)

    def place(rows):  # the net itself is an argument of each step, not a constant of the program
        return put(rows) | {'base': base}

    rate = {'learning_rate': option['lora_learning_rate']}
    optimizer = optim.make(_SETTINGS | rate, option['lora_steps'])
    state = states.create(
        lambda rng: lora.begin(base, option['lora_rank'], rng),
        optimizer,
        jax.random.fold_in(rng, 0),
        place=job.place(()),
    )
    judge = jax.jit(lambda added, batch, i: loss(added, batch, jax.random.key(i))[0])

    def judged(added):
        count = -(-_JUDGED // option['lora_batch'])
        return np.mean([float(judge(added, place(batch_at(i)), i)) for i in range(count)])

    losses = [judged(state.params)]
    state = loop.fit(
        step.single(loss, optimizer, like=job.mesh and state),
        state,
        batch_at,
        steps=option['lora_steps'],
        folder=job.folder,
        rng=jax.random.fold_in(rng, 1),
        save_every=max(option['lora_steps'] // 4, 1),
        log_every=max(option['lora_steps'] // 50, 1),
        stop=job.stop,
        place=place,
    )
    losses.append(judged(state.params))
    return {'lora': sharding.whole(state.params), 'lora_loss': np.array(losses, np.float32)}


def batch(job: jobs.Job, size: int, texts: tuple, i: int) -> dict:
    """What `objective` takes for step i: latents of pictures, states of their texts.

    Args:
      job: one row for each distinct picture, its latents as the target.
      size: rows of a batch.
      texts: states of the distinct texts [u k d], which of them each picture has [m], and those of
        the empty one [1 k d].
      i: step.
    """
    rows, (known, which, nothing) = job.rows(i, size), texts
    led = known[which[rows]]
    return {'latents': job.target[rows], 'states': led, 'nothing': 0 * led + nothing}


def _pictures(option: dict, nets: dict, job: jobs.Job, captions) -> tuple:
    """The first arguments of `batch`, of a job of many rows of some pictures."""
    first = np.unique(job.groups, return_index=True)[1]
    latents = encoded(option, nets, job.target[first])
    said = np.array(['']) if captions is None else np.asarray(captions)[first]
    distinct, which = np.unique(said, return_inverse=True)
    which = np.zeros(len(first), int) if captions is None else which
    texts = _text.encode(nets['text'], distinct), which, _text.encode(nets['text'], [''])
    own = dataclasses.replace(job, voxels=latents, target=latents, groups=np.arange(len(first)))
    return own, option['lora_batch'], texts


def encoded(option: dict, nets: dict, images: np.ndarray) -> np.ndarray:
    """[m h/f w/f c] float32: latents of pictures [m h w c], at `option['size']`."""
    given = {'images': image.to_rgb(np.asarray(images, np.float32))}
    images, side = inputs.begin(option | {'start': 'images'}, nets, given)
    vae = nets['vae']
    run = jax.jit(lambda params, x: sd_vae.latents(vae.module, params, x))
    out = np.empty((len(images), *side, vae.config.latent_channels), np.float32)
    for start in range(0, len(images), option['lora_batch']):
        rows = slice(start, start + option['lora_batch'])
        part = images[rows]
        full = np.pad(part, ((0, option['lora_batch'] - len(part)), *[(0, 0)] * 3))
        out[rows] = np.asarray(run(vae.params, full))[: len(part)]
    return out


def objective(module, noises, added: dict, batch: dict, rng) -> tuple:
    """Mean squared error of the U-Net's answer, the additions merged into it.

    Args:
      module: the U-Net.
      noises: of `diffusion.read`.
      added: of `lora.begin`.
      batch: 'latents' [n h w c], 'states' [n k d] of texts, 'nothing' [n k d] of the empty text;
        'base', the U-Net's own parameters, which stay as they are.
      rng: of steps, noise and the texts left out.
    """
    latents = batch['latents']
    n, (spread, drawn, left_out) = len(latents), (jax.random.fold_in(rng, i) for i in range(3))
    # Spread over the steps by plan: the loss differs more between steps than between pictures.
    share = (jnp.arange(n) + jax.random.uniform(spread, (n,))) / n
    last = noises.num_train_timesteps - 1
    times = jnp.minimum((share * noises.num_train_timesteps).astype(jnp.int32), last)
    noise = jax.random.normal(drawn, latents.shape)
    empty = jax.random.bernoulli(left_out, _EMPTY, (n, 1, 1))
    known = jnp.where(empty, batch['nothing'], batch['states'])
    noisy = diffusion.add_noise(noises, latents, noise, times)
    answer = module.apply({'params': lora.merge(batch['base'], added)}, noisy, times, known)
    wanted_ = diffusion.target(noises, latents, noise, times)
    return ((answer.astype(jnp.float32) - wanted_) ** 2).mean(), {}
