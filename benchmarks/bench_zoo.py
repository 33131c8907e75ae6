"""Stable Diffusion's parts and CLIP at full size: us and diffusers or transformers in turn.

    python -m benchmarks.bench_zoo                  U-Net step, VAE decode, CLIP encode (15 minutes)
    python -m benchmarks.bench_zoo --only=vae       one of unet, vae, clip
    python -m benchmarks.bench_zoo --quick          small nets, seconds
    python -m benchmarks.bench_zoo --write          put it into results/zoo.json

Weights are random, made in place and the same for both; float32, each library with the threads that
it takes by itself; torch in its own layout and with its own fused attention, as diffusers calls it.
Times are of pairs in turn; the ratio is the median over pairs of ours to theirs, with its range.
The floor is the flops that XLA counts over the rate of a large matrix product, measured here.
"""

import argparse
import json
import statistics
import time

import jax
import numpy as np
import torch

from benchmarks import _harness
from recon.zoo import clip, sd_unet, sd_vae, tensors
from tests.zoo import reference  # noqa: F401  declares torchvision's operators, before transformers

import diffusers  # isort: skip
import transformers  # isort: skip

_SMALL = {'block_out_channels': (32, 64, 64, 64), 'norm_num_groups': 16}


def unet(quick: bool):
    """One step at batch 2, 64 x 64 latents, 77 states."""
    sizes = _SMALL | {'attention_head_dim': 4, 'cross_attention_dim': 64} if quick else {}
    config = sd_unet.read(sd_unet.write(sd_unet.RELEASED['stable-diffusion-v1-5']) | sizes)
    net = diffusers.UNet2DConditionModel(**_options(sd_unet.write(config))).eval()
    module = sd_unet.UNet(config)
    random = np.random.default_rng(0)
    latents = random.standard_normal((2, 64, 64, 4)).astype(np.float32)
    states = random.standard_normal((2, 77, config.cross_attention_dim)).astype(np.float32)
    times = np.array([501, 501])
    given = [reference.nchw(latents), torch.from_numpy(times), torch.from_numpy(states)]

    def theirs():
        return net(*given).sample

    run = jax.jit(lambda p, *x: module.apply({'params': p}, *x))
    return run, (params_of(net, module, sd_unet.example(config)), latents, times, states), theirs


def vae(quick: bool):
    """Latents 64 x 64 x 4 -> a picture of 512 x 512, batch 1."""
    config = sd_vae.Config(**(_SMALL if quick else {}))
    net = diffusers.AutoencoderKL(**_options(sd_vae.write(config))).eval()
    module = sd_vae.AutoencoderKL(config)
    latents = np.random.default_rng(1).standard_normal((1, 64, 64, 4)).astype(np.float32)
    given = reference.nchw(latents)

    def theirs():
        return net.decode(given).sample

    run = jax.jit(lambda p, x: module.apply({'params': p}, x, method='decode'))
    return run, (params_of(net, module, sd_vae.example(config)), latents), theirs


def vision(quick: bool):
    """Eight pictures of 224 x 224 through ViT-L/14 and its projection."""
    sizes = {'hidden_size': 64, 'intermediate_size': 128, 'num_hidden_layers': 3} if quick else {}
    base = clip.RELEASED['ViT-L/14'].vision
    raw = dict(vars(base)) | sizes | ({'num_attention_heads': 4} if quick else {})
    net = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**raw)).eval()
    config = clip.VisionConfig(**raw)
    module = clip.ClipVision(config)
    pixels = np.random.default_rng(2).standard_normal((8, 224, 224, 3)).astype(np.float32)
    given = reference.nchw(pixels)

    def theirs():
        return net(pixel_values=given).image_embeds

    run = jax.jit(lambda p, x: module.apply({'params': p}, x))
    return run, (params_of(net, module, clip.example(config)), pixels), theirs


PARTS = {'unet': unet, 'vae': vae, 'clip': vision}


def _options(raw: dict) -> dict:
    return {key: value for key, value in raw.items() if not key.startswith('_')}


def params_of(net, module, example) -> dict:
    """Our parameters from a torch module's, each tensor transposed once."""
    shapes = jax.eval_shape(module.init, jax.random.key(0), *example)['params']
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    return jax.tree.map(jax.numpy.asarray, tensors.params(state, shapes))


def measure(name: str, quick: bool, repeats: int, rate: float) -> dict:
    """Times of one part, its compile time, its answer beside the peer's."""
    torch.manual_seed(0)
    run, given, theirs = PARTS[name](quick)
    start = time.perf_counter()
    compiled = run.lower(*given).compile()
    compile_s = time.perf_counter() - start
    analysis = compiled.cost_analysis()
    flops = (analysis[0] if isinstance(analysis, list) else analysis)['flops']
    with torch.no_grad():
        wanted = theirs()
        got = np.asarray(compiled(*given))
        wanted = reference.nhwc(wanted) if wanted.ndim == 4 else wanted.numpy()
        difference = float(np.abs(got - wanted).max() / np.abs(wanted).max())
        calls = {'ours': lambda: compiled(*given), 'theirs': theirs}
        times = _harness.interleaved(calls, repeats)
    pairs = zip(times['ours']['seconds'], times['theirs']['seconds'], strict=True)
    ratios = [a / b for a, b in pairs]
    return {
        'what': PARTS[name].__doc__,
        'times': times,
        'ratio': statistics.median(ratios),
        'ratio_range': [min(ratios), max(ratios)],
        'largest_difference': difference,
        'compile_s': compile_s,
        'flops': flops,
        'floor_s': flops / rate / 1e9,
        'torch_threads': torch.get_num_threads(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', choices=list(PARTS))
    parser.add_argument('--quick', action='store_true', help='small nets, seconds')
    parser.add_argument('--write', action='store_true', help='into results/zoo.json')
    parser.add_argument('--repeats', type=int, default=7)
    args = parser.parse_args()
    rate = _harness.gemm_rate(500 if args.quick else 2_000)
    results, rows = {'gemm_gflops': rate, 'dtype': 'float32'}, []
    for name in [args.only] if args.only else PARTS:
        found = results[name] = measure(name, args.quick, args.repeats, rate['best'])
        row = {'part': name, 'ratio': found['ratio'], 'floor s': found['floor_s']}
        row |= {f'{who} s': found['times'][who]['median_s'] for who in ('ours', 'theirs')}
        row |= {'range': '{:.2f}-{:.2f}'.format(*found['ratio_range'])}
        row |= {'compile s': found['compile_s'], 'difference': found['largest_difference']}
        rows.append(row)
    columns = ('part', 'ours s', 'theirs s', 'ratio', 'range', 'floor s', 'compile s', 'difference')
    print(_harness.table(rows, columns))
    print('GEMM Gflop/s:', json.dumps(rate))
    if args.write:
        print(_harness.write('zoo' + '_quick' * args.quick, results))


if __name__ == '__main__':
    main()
