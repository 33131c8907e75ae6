"""Stable Diffusion 1.5 from disk: a folder of random weights, loaded, and one guided step.

    python -m benchmarks.bench_zoo_load             full size (minutes, 5 GB of disk)
    python -m benchmarks.bench_zoo_load --quick     small nets, seconds
    python -m benchmarks.bench_zoo_load --write     put it into results/zoo_load.json

The folder is written to a temporary place and removed. A process of its own then loads U-Net,
autoencoder and text encoder in float32, takes one step of DDIM at 512 x 512 under guidance, decodes
it, and reads the peak of its memory (VmHWM). The catalogue's sizes are those of the released files.
"""

import argparse
import dataclasses
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import _harness
from recon.generators import diffusion
from recon.zoo import clip, sd_unet, sd_vae, tensors, weights

SCHEDULER = {
    **{'_class_name': 'DDIMScheduler', 'beta_schedule': 'scaled_linear', 'beta_start': 0.00085},
    **{'beta_end': 0.012, 'clip_sample': False, 'set_alpha_to_one': False, 'steps_offset': 1},
}


def nets(quick: bool) -> dict:
    """{folder: (file of the zoo, module)} of Stable Diffusion 1.5."""
    unet, vae = sd_unet.RELEASED['stable-diffusion-v1-5'], sd_vae.Config()
    text = clip.RELEASED['SD 1.5 text encoder']
    if quick:
        small = {'block_out_channels': (32, 64, 64, 64), 'norm_num_groups': 16}
        unet = dataclasses.replace(unet, **small, cross_attention_dim=64)
        vae = dataclasses.replace(vae, **small)
        few = {'hidden_size': 64, 'num_attention_heads': 4, 'num_hidden_layers': 2}
        text = dataclasses.replace(text, **few, intermediate_size=128)
    return {
        'unet': (sd_unet, sd_unet.UNet(unet)),
        'vae': (sd_vae, sd_vae.AutoencoderKL(vae)),
        'text_encoder': (clip, clip.ClipText(text)),
    }


def make(folder: pathlib.Path, quick: bool) -> None:
    """Writes the folder: kernels N(0, 1 / fan in), norms the identity, the rest 0."""
    random = np.random.default_rng(0)

    def draw(path, struct):
        if path[-1] == 'scale':
            return np.ones(struct.shape, np.float32)
        if path[-1] == 'bias':
            return np.zeros(struct.shape, np.float32)
        fan = max(1, int(np.prod(struct.shape[:-1])))
        scale = 0.02 if path[-1] == 'embedding' else fan**-0.5
        return random.standard_normal(struct.shape, np.float32) * np.float32(scale)

    for name, (file, module) in nets(quick).items():
        expected = weights.expected(file, module)
        params = tensors.unflatten({path: draw(path, leaf) for path, leaf in expected.items()})
        weights.save(folder / name, module, params, dtype=np.float32)


def step(folder: pathlib.Path, quick: bool) -> dict:
    """In the child: loads everything and takes one guided step; what it took."""
    side, start = (16 if quick else 64), time.perf_counter()
    held = {name: weights.load(folder / name) for name in nets(quick)}
    loaded, times = time.perf_counter() - start, {}
    text, unet, vae = held['text_encoder'], held['unet'], held['vae']
    ids = jnp.arange(2 * 77).reshape(2, 77) % text.config.vocab_size
    states = jax.jit(text.module.apply)({'params': text.params}, ids)
    config = diffusion.read(SCHEDULER)
    plan = diffusion.plan(config, 50, 1 / 50)

    @jax.jit
    def run(params, states, noise):
        def apply(*given):
            return unet.module.apply({'params': params}, *given)

        denoise = diffusion.guided(apply, states[1:], states[:1], 7.5)
        return diffusion.sample(denoise, plan, noise)

    noise = jax.random.normal(jax.random.key(0), (1, side, side, 4))
    for turn in ('first_step_s', 'second_step_s'):
        start = time.perf_counter()
        latents = run(unet.params, states, noise).block_until_ready()
        times[turn] = time.perf_counter() - start
    start = time.perf_counter()
    picture = jax.jit(lambda p, x: sd_vae.pictures(vae.module, p, x))(vae.params, latents)
    finite = bool(np.isfinite(latents).all() and np.isfinite(picture).all())
    times['decode_s'] = time.perf_counter() - start
    status = pathlib.Path('/proc/self/status').read_text()
    peak = int(re.search(r'VmHWM:\s+(\d+)', status)[1]) / 2**20
    return (
        {'load_s': loaded}
        | times
        | {
            'peak_gb': peak,
            'finite': finite,
            'picture': list(picture.shape),
        }
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='small nets, seconds')
    parser.add_argument('--write', action='store_true', help='into results/zoo_load.json')
    parser.add_argument('--child', help='(internal) the folder')
    args = parser.parse_args()
    if args.child:
        print(json.dumps(step(pathlib.Path(args.child), args.quick)))
        return
    with tempfile.TemporaryDirectory() as folder:
        make(pathlib.Path(folder), args.quick)
        size = sum(path.stat().st_size for path in pathlib.Path(folder).rglob('*.safetensors'))
        words = ['--child', folder] + ['--quick'] * args.quick
        command = [sys.executable, '-m', 'benchmarks.bench_zoo_load', *words]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        result = {'folder_gb': size / 2**30} | json.loads(done.stdout.splitlines()[-1])
    print(json.dumps(result, indent=1))
    assert result['finite'], 'not finite'
    assert result['peak_gb'] < 12, 'the folder is not read lazily'
    if args.write:
        print(_harness.write('zoo_load' + '_quick' * args.quick, result))


if __name__ == '__main__':
    main()
