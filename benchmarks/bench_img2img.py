"""Pictures from pictures by Stable Diffusion: us and diffusers in turn, and memory at full size.

    python -m benchmarks.bench_img2img              embedded sizes, 64 pixels, 50 steps (minutes)
    python -m benchmarks.bench_img2img --size=128   larger pictures
    python -m benchmarks.bench_img2img --memory     full size, compiled and not run (minutes)
    python -m benchmarks.bench_img2img --write      put it into results/

The peer is diffusers' StableDiffusionImg2ImgPipeline with the same nets, prompts, noise and steps;
the pictures must agree to 1e-3. Both get float32 and the threads that they take by themselves.

`--memory` compiles 50-step img2img of Stable Diffusion 1.5, 512 pixels, batch 4, from shapes alone,
in float32 and in bfloat16. What is written down is the plan of the compiler of this machine's
device. On a CPU it is an ESTIMATE of what an accelerator would need: other backends order and fuse
otherwise, and bfloat16 on a CPU is computed in float32, so that its figure there says little.
"""

import argparse
import statistics
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import _harness
from recon.generators import diffusion, img2img
from recon.zoo import catalog, sd_unet, sd_vae
from tests.zoo import reference

SD = 'stable-diffusion-v1-5'
LIMITS_GB = {'float32': 16.0, 'bfloat16': 8.0}
SCHEDULE = {  # as released: PNDM, which calls the net 51 times in 50 steps
    **{'_class_name': 'PNDMScheduler', 'beta_start': 0.00085, 'beta_end': 0.012},
    **{'beta_schedule': 'scaled_linear', 'num_train_timesteps': 1000, 'clip_sample': False},
    **{'set_alpha_to_one': False, 'skip_prk_steps': True, 'steps_offset': 1},
}
SAID = ['a large red house at the left', 'two small blue boats over sand', 'a zebra', 'a dusk sky']


def shapes_of(module, file, dtype) -> dict:
    """Shapes of a net's parameters, as `dtype`."""
    made = jax.eval_shape(module.init, jax.random.key(0), *file.example(module.config))['params']
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, dtype), made)


def memory(given, dtype: str) -> dict:
    """The compiler's plan of the whole program, in GB."""
    kind = jnp.dtype(dtype)
    unet = sd_unet.UNet(sd_unet.RELEASED[SD], dtype=kind)
    vae = sd_vae.AutoencoderKL(sd_vae.RELEASED[SD], dtype=kind)
    n, side, width = given.batch, unet.config.sample_size, unet.config.cross_attention_dim
    shape = lambda *sides, dtype=jnp.float32: jax.ShapeDtypeStruct(sides, dtype)  # noqa: E731
    nets = {'unet': shapes_of(unet, sd_unet, kind), 'vae': shapes_of(vae, sd_vae, jnp.float32)}
    plan = diffusion.plan(diffusion.read(SCHEDULE), given.steps)
    rows = {'row': shape(n, dtype=jnp.int32), 'known': shape(n, 77, width)}
    rows['begun'] = shape(n, 8 * side, 8 * side, 3)
    key = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0)))
    which = (unet, vae, True, (side, side), True)
    start = time.perf_counter()
    lowered = img2img._made.lower(which, None, nets, plan, shape(1, 77, width), shape(), key, rows)
    compiled = lowered.compile()
    seconds = time.perf_counter() - start
    found = compiled.memory_analysis()
    kinds = ('argument', 'output', 'temp', 'alias', 'generated_code')
    sizes = {k: getattr(found, f'{k}_size_in_bytes') / 1e9 for k in kinds}
    total = sizes['argument'] + sizes['output'] + sizes['temp'] - sizes['alias']
    return {
        **{'dtype': dtype, 'pictures': n, 'pixels': 8 * side, 'net_calls': len(plan)},
        **{f'{k}_gb': v for k, v in sizes.items()},
        **{'total_gb': total, 'limit_gb': LIMITS_GB[dtype], 'fits': total <= LIMITS_GB[dtype]},
        **{'compile_s': seconds, 'device': jax.devices()[0].device_kind},
        'kind': f'plan of the compiler for {jax.default_backend()}, nothing was run',
    }


def peer(folder):
    """The peer's pipeline of a folder, with the mean of the autoencoder in place of a draw."""
    import diffusers
    from diffusers.models.autoencoders import vae

    vae.DiagonalGaussianDistribution.sample = lambda self, *_: self.mode()
    made = diffusers.StableDiffusionImg2ImgPipeline.from_pretrained(
        folder, safety_checker=None, requires_safety_checker=False, feature_extractor=None
    )
    made.set_progress_bar_config(disable=True)
    return made


def speed(given) -> dict:
    """Pictures a second of both, in turn, and how far their pictures are apart."""
    from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img as module

    cfg = dict(net=given.net, strength=0.75, guidance=6.0, steps=given.steps, batch=given.batch)
    params = img2img.load(cfg, {})
    n = given.batch
    images = np.random.default_rng(0).uniform(size=(n, 8, 8, 3)).astype(np.float32)
    images = images.repeat(given.size // 8, 1).repeat(given.size // 8, 2)
    said = [SAID[i % len(SAID)] for i in range(n)]
    decoded, rng = {'images': images, 'captions': np.array(said)}, jax.random.key(0)
    side = given.size // img2img.inputs.factor(params)
    shape = (side, side, params['unet'].config.in_channels)
    noise = [jax.random.normal(jax.random.fold_in(rng, i), shape) for i in range(n)]
    noise = reference.nchw(np.stack(noise))
    module.randn_tensor = lambda *_, **__: noise
    theirs = peer(catalog.resolve(f'{given.net}/unet').parent)
    options = {'strength': 0.75, 'guidance_scale': 6.0, 'num_inference_steps': given.steps}
    options |= {'image': reference.nchw(images), 'output_type': 'np'}
    calls = {
        'ours': lambda: img2img.generate(cfg, params, decoded, rng)['images'],
        'diffusers': lambda: theirs(said, **options).images,
    }
    apart = float(np.abs(calls['ours']() - calls['diffusers']()).max())
    assert apart < 1e-3, f'pictures differ by {apart}'
    times = _harness.interleaved(calls, given.rounds)
    pairs = zip(times['ours']['seconds'], times['diffusers']['seconds'], strict=True)
    ratios = [b / a for a, b in pairs]
    rates = {f'{who}_per_s': n / times[who]['median_s'] for who in calls}
    return {
        **{'net': given.net, 'pixels': given.size, 'steps': given.steps, 'pictures': n},
        **rates,
        **{'times_as_fast': statistics.median(ratios), 'range': [min(ratios), max(ratios)]},
        **{'largest_difference': apart, 'times': times, 'dtype': 'float32'},
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--net', default='tiny', help='a pipeline folder')
    for name, value in (('size', 64), ('steps', 50), ('batch', 4), ('rounds', 5)):
        parser.add_argument(f'--{name}', type=int, default=value)
    parser.add_argument('--memory', action='store_true', help='at full size, compiled, not run')
    parser.add_argument('--only', choices=list(LIMITS_GB), help='of --memory: this dtype alone')
    parser.add_argument('--write', action='store_true', help='into results/')
    given = parser.parse_args()
    if given.memory:
        rows = [memory(given, kind) for kind in LIMITS_GB if given.only in (None, kind)]
        columns = ('dtype', 'argument_gb', 'temp_gb', 'total_gb', 'limit_gb', 'fits', 'compile_s')
    else:
        rows = [speed(given)]
        columns = ('net', 'pixels', 'steps', 'pictures', 'ours_per_s', 'diffusers_per_s')
        columns += ('times_as_fast', 'range', 'largest_difference')
    print(_harness.table(rows, columns))
    if given.write:
        name = 'img2img_memory' if given.memory else 'img2img'
        print(_harness.write(name, {'rows': rows}))


if __name__ == '__main__':
    main()
