"""What diffusion starts from and what leads it, as decoded: checked, and brought to shape.

Read through `recon/generators/img2img.py`; options are a plain dict of all of its DEFAULTS.
"""

import numpy as np

from recon.core import errors, image
from recon.generators import _text


def factor(params: dict) -> int:
    """Pixels on a side of one place of the latents."""
    return 2 ** (len(params['vae'].config.block_out_channels) - 1)


def begin(option: dict, params: dict, decoded: dict) -> tuple[np.ndarray | None, tuple[int, int]]:
    """What the sampling starts from, and the sides of its latents.

    Returns:
      Pictures [n h w 3] or latents [n h/f w/f c] as `start` says, or None; (h/f, w/f).

    Raises:
      ConfigError: nothing of that name is decoded, or a size that cannot be.
      DataInvalid: an array of another shape than the nets take.
    """
    name, size = option['start'], option['size']
    of, depth = factor(params), params['unet'].config.in_channels
    if size and (len(size) != 2 or min(size) < of or any(s % of for s in size)):
        refuse('size', size, f'(height, width) in multiples of {of} pixels, or ()')
    if not name:
        default = params['unet'].config.sample_size
        if not size and not default:
            refuse('size', size, 'the U-Net says none: give (height, width)')
        return None, tuple(s // of for s in size) if size else (default, default)
    values = np.asarray(_named('start', name, decoded), np.float32)
    if name == 'images':
        values = image.to_rgb(values)
        values = image.resize(values, tuple(size)) if size else values
        if any(s % of for s in values.shape[1:3]):
            raise errors.DataInvalid(
                f'pictures of {values.shape[1]} x {values.shape[2]} pixels',
                'generator.img2img.size',
                f'the autoencoder takes multiples of {of}: give a size',
            )
        return values, (values.shape[1] // of, values.shape[2] // of)
    if values.ndim != 4 or values.shape[-1] != depth:
        raise errors.DataInvalid(
            f'{name} has shape {list(values.shape)}',
            'generator.img2img.start',
            f'{params["unet"].folder} takes latents [n h w {depth}]: decode its vae, layer latents',
        )
    if size and tuple(size) != (values.shape[1] * of, values.shape[2] * of):
        refuse('size', size, "latents keep theirs: chain=('vae', 'img2img') with start='images'")
    return values, values.shape[1:3]


def text(option: dict, params: dict, decoded: dict) -> tuple:
    """Text states that lead the rows, and those of the empty text.

    One vector for a picture stands in place of every state of its text: attention over equal states
    gives what it gives over one of them.

    Returns:
      (a function from rows [b] to their states [b k d], states of the empty text [1 k d]).

    Raises:
      ConfigError: nothing of that name is decoded, or a size that cannot be.
      DataInvalid: an array of another shape than the nets take.
    """
    name, encoder = option['text'], params['text']
    if not name:
        nothing = _text.encode(encoder, [''])
        return lambda rows: np.repeat(nothing, len(rows), 0), nothing
    values = np.asarray(_named('text', name, decoded))
    if values.dtype.kind == 'U':
        said, which = np.unique(values, return_inverse=True)
        found = _text.encode(encoder, said)
        return lambda rows: found[which[rows]], _text.encode(encoder, [''])
    width, most = params['unet'].config.cross_attention_dim, encoder.length
    if values.ndim not in (2, 3) or values.shape[-1] != width:
        net, d = params['unet'].folder, values.shape[-1] if values.ndim > 1 else 1
        raise errors.DataInvalid(
            f'{name} has shape {list(values.shape)}: states of {d} numbers for a U-Net of {width}',
            'generator.img2img.text',
            f'{net} attends to [n k {width}] or [n {width}]: decode states of {encoder.name}',
        )
    values = values if values.ndim == 3 else values[:, None]
    tokens = most if values.shape[1] == 1 else values.shape[1]
    if tokens > most:
        raise errors.DataInvalid(
            f'{name} has {tokens} states a picture', 'generator.img2img.text',
            f'the empty text of {encoder.name} has at most {most}',
        )  # fmt: skip

    def known(rows):
        some = np.asarray(values[rows], np.float32)
        return np.broadcast_to(some, (len(rows), tokens, width))

    return known, _text.encode(encoder, [''], tokens)


def _named(key: str, name: str, decoded: dict):
    if name not in decoded:
        before = {'captions': 'caption', 'images': 'vae'}.get(name)
        hint = f'put {before!r} into generator.chain before it; ' if before else ''
        refuse(key, name, f'{hint}decoded: {", ".join(decoded)}')
    return decoded[name]


def refuse(key: str, value, remedy: str):
    """Raises ConfigError for an option of the generator."""
    raise errors.ConfigError(f'generator.img2img.{key} is {value!r}', 'config', remedy)
