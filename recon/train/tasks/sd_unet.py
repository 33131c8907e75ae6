"""The tiny U-Net: captions of scenes -> latents of the tiny autoencoder, 8 x 8 x 32.

It answers v (Salimans and Ho 2022); a tenth of the captions is left out, so that it can be guided
(Ho and Salimans 2022). A second head, thrown away in the end, says from the last features what is
in each cell: so it learns early what the words mean. Scenes of one object come first, cells with an
object weigh more, small ones above all, and most steps are of the noise at which shapes are
decided: without these a U-Net that had seen 500,000 pictures painted spots. Writes unet/,
scheduler/, model_index.json.
"""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import logging

from recon.core import results
from recon.data import loader
from recon.data.simulator import scenes
from recon.generators import diffusion
from recon.train import loop, optim, step
from recon.train import state as states
from recon.train.tasks import _clip_batches, _judge, _phrases, _scenes, _unet_scores
from recon.zoo import sd_unet, sd_vae, tensors, tokenizers, weights

SETTINGS = {
    'steps': 24_000,
    'batch': 64,
    'learning_rate': 1.5e-3,
    'schedule': 'cosine',
    'warmup': 0.03,
    'weight_decay': 0.01,
    'clip': 1.0,
    'b2': 0.99,
    'ema': 0.998,
    'empty': 0.1,
    'cells': 0.2,
    'objects': 4.0,
    'single': 0.4,
    'scenes': 65_700,
    'encoded': 65_700,
    'save_every': 200,
    'log_every': 50,
}
CONFIG = {
    'sample_size': 8,
    'block_out_channels': (96, 128),
    'down_block_types': ('CrossAttnDownBlock2D',) * 2,
    'up_block_types': ('CrossAttnUpBlock2D',) * 2,
    'layers_per_block': 1,
    'attention_head_dim': (3, 4),
    'use_linear_projection': True,
    'norm_num_groups': 8,
}
SCHEDULER = {
    **{'_class_name': 'DDIMScheduler', 'beta_schedule': 'scaled_linear', 'beta_start': 0.00085},
    **{'beta_end': 0.02, 'num_train_timesteps': 1000, 'prediction_type': 'v_prediction'},
    **{'clip_sample': False, 'set_alpha_to_one': False, 'steps_offset': 1},
    **{'timestep_spacing': 'leading'},
}
INDEX = {
    '_class_name': 'StableDiffusionPipeline',
    'vae': ['diffusers', 'AutoencoderKL'],
    'unet': ['diffusers', 'UNet2DConditionModel'],
    'scheduler': ['diffusers', 'DDIMScheduler'],
    'text_encoder': ['transformers', 'CLIPTextModel'],
    'tokenizer': ['transformers', 'CLIPTokenizer'],
    'feature_extractor': [None, None],
    'safety_checker': [None, None],
    'requires_safety_checker': False,
}
ASIDE = 1000  # the last training scenes, on which the training is watched
_WATCHED = 256
_CHUNK = 1024  # scenes a file of latents
# Of a batch, sorted by noise: 15 % lie below a tenth of the noise schedule, 65 % up to .6 of it.
_DRAWN = ((0.0, 0.15, 0.8, 1.0), (0.0, 0.1, 0.6, 1.0))
_USUAL, _LEAST = 0.2, 0.05  # share of a scene that objects fill: the mean, and one of small ones
_LAST = 'up_blocks.1.attentions.1'  # the features that the second head reads
measure = _unet_scores.measure


def run(settings: dict, out, work, *, seed: int = 0, stop=lambda: False) -> None:
    """Trains, from where `work/sd_unet` stands, and writes `out/unet` and what goes with it.

    Args:
      settings: as SETTINGS.
      out: folder of the small nets, with vae, text_encoder and tokenizer.
      work: folder for checkpoints, drawn scenes and their latents.
      seed: of parameters, batches and noise.
      stop: asked before every step.

    Raises:
      DataMissing: the autoencoder or the text encoder is not there.
      Stopped: `stop()` was true.
    """
    out, work = pathlib.Path(out), pathlib.Path(work)
    drawn = _scenes.training(work, settings['scenes'])
    text = weights.load(out / 'text_encoder')
    speak = _judge.speaker(tokenizers.load(out / 'tokenizer'))
    vae = weights.load(out / 'vae')
    latents = encoded(vae, drawn.images[: settings['encoded']], work / 'sd_unet')
    net, rows = sd_unet.UNet(sized(vae, text)), len(latents) - ASIDE
    count = (_phrases.objects(drawn, slice(rows))[..., _phrases.CATEGORY] >= 0).sum(1)
    single = np.flatnonzero(count == 1)
    known = jax.jit(lambda params, ids: text.module.apply({'params': params}, ids))
    nothing = np.asarray(known(text.params, speak(np.full((1, 4, 4), -1), np.full((1, 2), -1))))
    noises = diffusion.read(SCHEDULER)
    optimizer = optim.make(settings, settings['steps'])
    root = jax.random.key(seed)

    def batch_at(i):
        shown = single if i < settings['single'] * settings['steps'] else np.arange(rows)
        chosen = np.sort(shown[loader.rows(seed, i, len(shown), settings['batch'])])
        return with_states(batch(drawn, latents, speak, chosen, np.random.default_rng((seed, i))))

    def with_states(batch):
        states = np.asarray(known(text.params, batch.pop('ids')))
        return batch | {'states': states, 'nothing': np.broadcast_to(nothing, states.shape)}

    def loss(params, batch, rng):
        return objective(net, noises, params, batch, settings, rng)

    watched = with_states(batch(drawn, latents, speak, rows + np.arange(_WATCHED), None))
    judged = jax.jit(lambda params, batch: loss(params, batch, jax.random.key(9))[1])

    def validate(state):
        save(out, net, jax.device_get(state.averaged['net']))  # whatever has been reached
        seen = judged(state.averaged, watched)
        return {'loss': seen['v'], **seen}

    state = loop.fit(
        step.single(loss, optimizer, ema=settings['ema']),
        states.create(lambda rng: begin(net, rng), optimizer, root, ema=True),
        batch_at,
        steps=settings['steps'],
        folder=work / 'sd_unet',
        rng=jax.random.fold_in(root, 1),
        save_every=settings['save_every'],
        log_every=settings['log_every'],
        stop=stop,
        validate=validate,
    )
    save(out, net, jax.device_get(state.averaged['net']))


def sized(vae, text) -> sd_unet.Config:
    """The U-Net's sizes beside an autoencoder and a text encoder (of `weights.load`)."""
    channels = vae.config.latent_channels
    widths = {'in_channels': channels, 'out_channels': channels}
    return sd_unet.read(CONFIG | widths | {'cross_attention_dim': text.config.hidden_size})


def save(out: pathlib.Path, net: sd_unet.UNet, params: dict) -> None:
    """Writes unet/, scheduler/ and model_index.json."""
    weights.save(out / 'unet', net, params, extra={'scenes_version': scenes.SCENES_VERSION})
    for path, content in (('scheduler/scheduler_config', SCHEDULER), ('model_index', INDEX)):
        results.write_bytes(out / f'{path}.json', (results.to_json(content) + '\n').encode())


def encoded(vae, images: np.ndarray, folder: pathlib.Path) -> np.ndarray:
    """[m 8 8 32] float16 latents of pictures [m 64 64 3] uint8, as the U-Net takes them.

    They are kept in `folder` a chunk a file, under the autoencoder's own digest.
    """
    folder = folder / f'latents_{vae.stamp.rpartition(":")[2]}'
    folder.mkdir(parents=True, exist_ok=True)
    encode = jax.jit(lambda params, x: sd_vae.latents(vae.module, params, x / jnp.float32(255)))
    parts = []
    for start in range(0, len(images), _CHUNK):
        path = folder / f'{start:06}.npy'
        count = min(_CHUNK, len(images) - start)
        if not path.exists():
            rows = np.zeros((_CHUNK, *images.shape[1:]), np.uint8)
            rows[:count] = images[start : start + count]
            found = [encode(vae.params, rows[i : i + 128]) for i in range(0, _CHUNK, 128)]
            unfinished = path.with_suffix('.tmp.npy')
            np.save(unfinished, np.concatenate(found)[:count].astype(np.float16))
            unfinished.rename(path)
            logging.info('[latents %d/%d]', start + count, len(images))
        parts.append(np.load(path))
    return np.concatenate(parts)


def batch(drawn: scenes.Scenes, latents, speak, rows, rng) -> dict:
    """What a step is given: latents, token ids of captions, and what is in each cell.

    Args:
      drawn: training scenes.
      latents: [m 8 8 32] of them.
      speak: makes token ids.
      rows: [n] int.
      rng: numpy generator of the order in which a caption names things; None for the usual order.
    """
    present, place = _phrases.objects(drawn, rows), np.array(drawn.place[rows], int)
    said = present if rng is None else _phrases.shuffle(present, rng, 0.3)
    cells = _clip_batches.cells(np.array(drawn.contents[rows]), present)
    return {'latents': latents[rows], 'ids': speak(said, place), 'cells': cells}


def begin(net: sd_unet.UNet, rng) -> dict:
    """Parameters to start from: whatever is added to a stream adds nothing yet."""
    shapes = sd_unet.example(net.config)
    params = net.init(rng, *(jnp.zeros(x.shape, x.dtype) for x in shapes))['params']
    leaves = tensors.flatten(params)
    for path, leaf in leaves.items():
        if path[-2] in ('conv2', 'to_out.0', 'net.2', 'conv_out'):
            leaves[path] = jnp.zeros_like(leaf)
    head = jnp.zeros((net.config.block_out_channels[0], 17 + 9))
    return {'net': tensors.unflatten(leaves), 'cells': {'kernel': head, 'bias': head[0]}}


def objective(net, noises, params, batch, settings: dict, rng) -> tuple:
    """Squared error of v, and cross entropy of what the second head says of the cells.

    Args:
      net: the U-Net.
      noises: the noise schedule, of `diffusion.read`.
      params: 'net' and 'cells'.
      batch: 'latents' [n 8 8 32], 'states' [n k d] and 'nothing' [n k d] of captions and of the
        empty one, 'cells' [n 64 17] and [n 64 9].
      settings: 'empty', the share of captions left out; 'cells', the weight of the second head;
        'objects', what cells with objects weigh beside 1 for each: see `_filled`.
      rng: of noise, steps and what is left out.
    """
    latents = batch['latents'].astype(jnp.float32)
    n = len(latents)
    spread, left_out, noise = (jax.random.fold_in(rng, i) for i in range(3))
    # Spread over the steps by plan: the loss differs more between steps than between scenes.
    times = jnp.interp(
        (jnp.arange(n) + jax.random.uniform(spread, (n,))) / n, *map(jnp.array, _DRAWN)
    )
    last = noises.num_train_timesteps - 1
    times = jnp.minimum((times * noises.num_train_timesteps).astype(jnp.int32), last)
    # The batch's rows are sorted: their order must not say how noisy they are.
    times = jax.random.permutation(jax.random.fold_in(spread, 1), times)
    noise = jax.random.normal(noise, latents.shape)
    empty = jax.random.bernoulli(left_out, settings['empty'], (n, 1, 1))
    known = jnp.where(empty, batch['nothing'], batch['states'])
    answer, kept = net.apply(
        {'params': params['net']},
        diffusion.add_noise(noises, latents, noise, times),
        times,
        known,
        capture_intermediates=lambda module, _: module.name == _LAST,
        mutable=['intermediates'],
    )
    error = ((answer - diffusion.target(noises, latents, noise, times)) ** 2).mean(-1)
    worth = 1 + settings['objects'] * _filled(batch['cells'][0])
    weighted = (error.reshape(worth.shape) * worth).sum() / worth.sum()
    features = kept['intermediates'][_LAST]['__call__'][0]  # [n 8 8 c]
    said = features.reshape(n, -1, features.shape[-1]) @ params['cells']['kernel']
    what, colour = jnp.split(said + params['cells']['bias'], [17], -1)
    cells = sum(
        optax.softmax_cross_entropy(logits, share.astype(jnp.float32)).mean()
        for logits, share in zip((what, colour), batch['cells'], strict=True)
    )
    parts = {'v': error.mean(), 'weighted': weighted, 'cells': cells}
    return weighted + settings['cells'] * cells, parts


def _filled(cells):
    """[n 64]: how much objects fill each cell, small objects of a scene counting as much as large.

    As they are, pictures of small objects had shapes half as often as those of large ones.

    Args:
      cells: [n 64 17], shares of nothing and of each category.
    """
    filled = 1 - cells[..., 0].astype(jnp.float32)
    return filled * _USUAL / jnp.maximum(filled.mean(1, keepdims=True), _LEAST)
