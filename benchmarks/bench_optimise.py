"""What adjusting z and c through the sampler costs: memory at full size, seconds at tiny size.

Run: python -m benchmarks.bench_optimise [--memory] [--steps=50 --last=0 --batch=1 --no-remat].
Without `--memory`: seconds per iteration with the embedded nets. With it, the loop is compiled for
one picture of Stable Diffusion 1.5 and CLIP ViT-B/32 in float32, and nothing is run: shapes alone
are made. What is written down then is the plan of XLA's compiler for a CPU, an ESTIMATE of what an
accelerator would need, not a measurement: another backend orders and fuses otherwise.
"""

import argparse
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import _harness
from recon.generators import (
    _optimise_descent,
    _optimise_loss,
    _optimise_pictures,
    diffusion,
    optimise,
)
from recon.zoo import clip, sd_unet, sd_vae, weights

SD = 'stable-diffusion-v1-5'
LIMIT_GB = 24.0
TOKENS = 15  # of MindDiffuser's text states
# Nothing will run: buffers are planned before the machine's code is made, which may be poor.
HASTY = {'xla_backend_optimization_level': 0, 'xla_llvm_disable_expensive_passes': True}
SCHEDULE = {  # as released: PNDM, which calls the net 51 times in 50 steps
    **{'_class_name': 'PNDMScheduler', 'beta_start': 0.00085, 'beta_end': 0.012},
    **{'beta_schedule': 'scaled_linear', 'num_train_timesteps': 1000, 'clip_sample': False},
    **{'set_alpha_to_one': False, 'skip_prk_steps': True, 'steps_offset': 1},
}
LAYERS = tuple(f'hidden.{i}' for i in range(2, 13, 2))
MATCH = tuple((f'z_clip{i}', layer, 1.0) for i, layer in enumerate(LAYERS))
MATCH = (*MATCH, ('z_clip', 'image_embeds', 0.1))


def shape(*sides, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sides, dtype)


def params_of(module, file) -> dict:
    return jax.eval_shape(module.init, jax.random.key(0), *file.example(module.config))['params']


def full(given) -> tuple:
    """Arguments of `descend` at full size: nets, shapes of parameters and of rows."""
    unet = sd_unet.UNet(sd_unet.RELEASED[SD])
    vae = sd_vae.AutoencoderKL(sd_vae.RELEASED[SD])
    vision = clip.Clip(clip.RELEASED['ViT-B/32'])
    net = weights.Loaded('clip', vision, {}, vision.config, None, '')
    side, n = unet.config.sample_size, given.batch
    nets = dict(unet=unet, vae=vae, side=8 * side, guidance=5.0, last=given.last)
    picture = _optimise_pictures.Diffusion(**nets, remat=not given.no_remat)
    names = [layer for _, layer, _ in MATCH]
    compare = _optimise_loss.comparison(net, names, ('image_embeds',), 0.0)
    params = {
        'unet': params_of(unet, sd_unet),
        'vae': params_of(vae, sd_vae),
        'vision': params_of(vision, clip),
    }
    latents, states = shape(n, side, side, 4), shape(n, TOKENS, 768)
    width = 50 * 768
    rows = {
        'free': {'z': latents, 'c': states},
        'fixed': {'noise': latents},
        'values': [shape(n, width)] * len(LAYERS) + [shape(n, 512)],
        'weights': shape(n, len(MATCH)),
    }
    plan = diffusion.plan(diffusion.read(SCHEDULE), given.steps, given.strength)
    shared = {'plan': plan, 'empty': shape(1, TOKENS, 768), 'units': [None] * len(MATCH)}
    rule = _optimise_descent.Rule(300, 0.01, 0.999)
    return picture, compare, rule, params, rows, shared


def memory(given) -> dict:
    """The compiler's plan, in GB."""
    arguments = full(given)
    start = time.perf_counter()
    compiled = _optimise_descent.descend.lower(*arguments).compile(compiler_options=HASTY)
    seconds = time.perf_counter() - start
    plan = compiled.memory_analysis()
    kinds = ('argument', 'output', 'temp', 'alias', 'generated_code')
    found = {k: getattr(plan, f'{k}_size_in_bytes') / 1e9 for k in kinds}
    total = found['argument'] + found['output'] + found['temp'] - found['alias']
    return {
        **{'net_calls': len(arguments[-1]['plan']), 'pictures': given.batch},
        **{'last': given.last, 'remat': not given.no_remat, 'dtype': 'float32'},
        **{f'{k}_gb': v for k, v in found.items()},
        **{'total_gb': total, 'limit_gb': LIMIT_GB, 'fits': total <= LIMIT_GB},
        **{'compile_s': seconds, 'kind': "estimate: XLA's plan for a CPU, nothing was run"},
    }


def tiny(given) -> list[dict]:
    """Seconds per iteration with the embedded nets, 35 steps, guided, of each way."""
    rows, random, n = [], np.random.default_rng(0), given.batch
    for over, vision, layers in (
        ('diffusion', 'tiny/clip', ('hidden.2', 'hidden.4', 'image_embeds')),
        ('latents', 'tiny/alexnet', ('features.3', 'features.8')),
        ('pixels', 'tiny/alexnet', ('features.3', 'features.8')),
    ):
        match = tuple((f't{i}', layer, 1.0) for i, layer in enumerate(layers))
        cfg = {'over': over, 'vision': vision, 'match': match, 'batch': n, 'last': given.last}
        cfg |= {'iterations': 5, 'remat': not given.no_remat}
        params = optimise.load(cfg, {})
        decoded = {
            'z': random.standard_normal((n, 8, 8, 32)).astype(np.float32),
            'c': random.standard_normal((n, TOKENS, 128)).astype(np.float32),
        }
        names = [layer for _, layer, _ in match]
        seen = _optimise_loss.comparison(params['vision'], names, (), 0.0)
        nodes = jax.eval_shape(seen.see, params['vision'].params, shape(1, 64, 64, 3))
        for (name, _, _), node in zip(match, nodes, strict=True):
            decoded[name] = random.standard_normal((n, *node.shape[1:])).astype(np.float32)

        def run(cfg=cfg, params=params, decoded=decoded):
            return optimise.generate(cfg, params, decoded, jax.random.key(0))['images']

        times = _harness.interleaved({over: run}, repeats=given.rounds)[over]
        per = times['median_s'] / cfg['iterations']
        rows.append({'over': over, 'pictures': n, 's_per_iteration': per} | times)
    return rows


def main(words):
    options = argparse.ArgumentParser()
    numbers = (('steps', 50), ('last', 0), ('batch', 1), ('rounds', 3))
    for name, value in numbers:
        options.add_argument(f'--{name}', type=int, default=value)
    options.add_argument('--strength', type=float, default=1.0)
    for name in ('memory', 'no-remat'):
        options.add_argument(f'--{name}', action='store_true')
    given = options.parse_args(words)
    rows = [memory(given)] if given.memory else tiny(given)
    print(_harness.table(rows, [k for k in rows[0] if k not in ('seconds', 'kind', 'min_s')]))
    name = 'optimise_memory' if given.memory else 'optimise'
    print(_harness.write(name, {'rows': rows}))


if __name__ == '__main__':
    main(sys.argv[1:])
