"""CLIP against transformers', block by block and whole."""

import jax
import numpy as np
import pytest
import torch

from recon.zoo import clip
from tests.zoo import reference


def pair(seed=0, perturbed=True, dim=16, eos=2, act='quick_gelu', text=(), vision=()):
    """A random CLIPModel of transformers, ours, and its parameters."""
    import transformers

    text = {
        **{'vocab_size': 61, 'hidden_size': 32, 'intermediate_size': 56, 'num_hidden_layers': 2},
        **{'num_attention_heads': 4, 'max_position_embeddings': 19, 'hidden_act': act},
        **{'bos_token_id': 0, 'eos_token_id': eos, 'pad_token_id': 1, **dict(text)},
    }
    vision = {
        **{'hidden_size': 48, 'intermediate_size': 80, 'num_hidden_layers': 3, 'image_size': 24},
        **{'num_attention_heads': 3, 'patch_size': 8, 'hidden_act': act, **dict(vision)},
    }
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=dim)
    torch.manual_seed(seed)
    model = transformers.CLIPModel(config).eval()
    model = reference.perturb(model, seed) if perturbed else model
    config = clip.read(model.config.to_dict() | {'architectures': ['CLIPModel']})
    net = clip.Clip(config)
    return model, net, reference.params(model, net, *clip.example(config), table=clip.TABLE)


@pytest.mark.parametrize('perturbed', [False, True])
def test_the_pair_is_transformers(perturbed):
    model, net, params = pair(1, perturbed)
    rng = np.random.default_rng(1)
    pixels = rng.normal(size=(3, 24, 24, 3)).astype('f')
    ids = rng.integers(0, 61, (5, 13))
    with torch.no_grad():
        theirs = model(pixel_values=reference.nchw(pixels), input_ids=torch.from_numpy(ids))
    ours = jax.jit(net.apply)({'params': params}, pixels, ids)
    assert reference.relative(ours.logits_per_image, theirs.logits_per_image) < 1e-5
    assert reference.relative(ours.image_embeds, theirs.image_embeds) < 1e-5
    assert reference.relative(ours.text_embeds, theirs.text_embeds) < 1e-5
