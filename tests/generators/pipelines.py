"""Random pipelines of diffusers, saved as Stable Diffusion is, and their pictures."""

import diffusers
import numpy as np
import torch

from recon.zoo import tokenizers
from tests.zoo import reference

SAID = ['a large red house at the left, night over sand', 'two BLUE boats', 'a zebra', '']
STABLE = {'beta_start': 0.00085, 'beta_end': 0.012, 'beta_schedule': 'scaled_linear'}
SCHEDULER = STABLE | {'clip_sample': False, 'set_alpha_to_one': False, 'steps_offset': 1}


def text(folder, seed: int, width: int, length: int, said=SAID):
    """A random text encoder and its tokenizer of the words of `said`, of transformers."""
    import transformers

    size = tokenizers.write_clip(folder / 'tokenizer', said, length)
    torch.manual_seed(seed)
    config = transformers.CLIPTextConfig(
        **{'vocab_size': size, 'hidden_size': width, 'intermediate_size': 2 * width},
        **{'num_hidden_layers': 2, 'num_attention_heads': 4, 'projection_dim': width},
        **{'max_position_embeddings': length, 'bos_token_id': size - 2, 'eos_token_id': size - 1},
        **{'pad_token_id': size - 1},
    )
    net = reference.perturb(transformers.CLIPTextModel(config), seed)
    return net, transformers.CLIPTokenizer.from_pretrained(folder / 'tokenizer')


def write(
    folder,
    seed: int,
    *,
    scheduler: str = 'DDIMScheduler',
    answer: str = 'epsilon',
    widths=(16, 24),
    deep=(8, 12),
    channels: int = 4,
    width: int = 12,
    length: int = 17,
    linear: bool = False,
):
    """Saves a random pipeline into `folder`, two levels a net, and gives diffusers' text-to-image.

    Args:
      folder: gets unet, vae, text_encoder, tokenizer, scheduler, model_index.json.
      seed: of the weights.
      scheduler: diffusers' class.
      answer: prediction_type.
      widths: channels of the U-Net's levels, multiples of 8.
      deep: channels of the autoencoder's levels, multiples of 4.
      channels: of the latents.
      width: of the text states, a multiple of 4.
      length: tokens of a text.
      linear: projections of the U-Net's transformers, as in Stable Diffusion 2.
    """
    encoder, tokenizer = text(folder, seed, width, length)
    torch.manual_seed(seed + 1)
    unet = diffusers.UNet2DConditionModel(
        **{'sample_size': 8, 'in_channels': channels, 'out_channels': channels},
        **{'down_block_types': ('CrossAttnDownBlock2D', 'DownBlock2D'), 'layers_per_block': 1},
        **{'up_block_types': ('UpBlock2D', 'CrossAttnUpBlock2D'), 'block_out_channels': widths},
        **{'attention_head_dim': 2, 'norm_num_groups': 8, 'cross_attention_dim': width},
        use_linear_projection=linear,
    )
    vae = diffusers.AutoencoderKL(
        **{'block_out_channels': deep, 'latent_channels': channels, 'norm_num_groups': 4},
        **{'down_block_types': ('DownEncoderBlock2D',) * 2, 'sample_size': 16},
        **{'up_block_types': ('UpDecoderBlock2D',) * 2, 'scaling_factor': 0.7},
    )
    options = SCHEDULER | {'prediction_type': answer}
    options |= {'skip_prk_steps': True} if scheduler == 'PNDMScheduler' else {}
    kind = getattr(diffusers, scheduler)
    pipeline = diffusers.StableDiffusionPipeline(
        vae=reference.perturb(vae, seed, 0.05),
        text_encoder=encoder,
        tokenizer=tokenizer,
        unet=reference.perturb(unet, seed, 0.05),
        scheduler=kind.from_config(options),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    pipeline.save_pretrained(folder)
    return pipeline


def from_noise(pipeline, said, noise, **options) -> np.ndarray:
    """diffusers' pictures [n h w 3] of sentences, from noise [n h w c]."""
    made = pipeline(said, latents=reference.nchw(noise), output_type='np', **options)
    return made.images


def from_pictures(pipeline, monkeypatch, said, images, noise, **options) -> np.ndarray:
    """diffusers' pictures [n h w 3] of sentences, from pictures and noise.

    The autoencoder's mean is taken in place of a draw.
    """
    from diffusers.models.autoencoders import vae
    from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img as module

    monkeypatch.setattr(vae.DiagonalGaussianDistribution, 'sample', lambda self, *_: self.mode())
    monkeypatch.setattr(module, 'randn_tensor', lambda *_, **__: reference.nchw(noise))
    other = diffusers.StableDiffusionImg2ImgPipeline(
        **pipeline.components, requires_safety_checker=False
    )
    other.set_progress_bar_config(disable=True)
    made = other(said, image=reference.nchw(images), output_type='np', **options)
    return made.images
