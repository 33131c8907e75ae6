"""How the field's scores were made: resizings, nets, nodes, directions, by name. No jax at import.

A protocol's name stands in every score: the same net gives other numbers after another resize.
docs/metrics.md, section 5, has the table. Sources: the released evaluation code of MindEye 1 and 2,
Brain-Diffuser, and Takagi and Nishimoto 2023.
"""

import dataclasses

import numpy as np
from jaxtyping import Float
from PIL import Image

from recon.core import errors, image

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean, standard deviation
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@dataclasses.dataclass(frozen=True)
class Resize:
    """One resize of pictures.

    Attributes:
      size: pixels of both sides if `square`, else of the shorter one.
      method: 'bilinear' or 'bicubic'.
      kind: 'plain' (torch, no antialias), 'antialias' (torch, float), 'pillow' (Pillow on uint8).
      square: whatever the proportions, both sides get `size`.
      crop: then cut the middle to a square of this side; 0: do not.
    """

    size: int
    method: str
    kind: str
    square: bool = False
    crop: int = 0


@dataclasses.dataclass(frozen=True)
class Net:
    """A released net, named as in zoo/catalog.py.

    Attributes:
      file: its file in recon/zoo.
      sizes: what its config says, so that no other net passes for it.
    """

    file: str
    sizes: dict = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Node:
    """Where a feature is read.

    Attributes:
      net: a key of NETS, the folder 'tiny/<part>' of an embedded net, or '' for pixels alone.
      layer: node of the net.
      steps: resizings before the net; None: the net's own preprocessing.
      statistics: (mean, standard deviation) that pixels are normalised by.
    """

    net: str
    layer: str
    steps: tuple[Resize, ...] | None = None
    statistics: tuple = IMAGENET


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What a set of published scores has in common.

    Attributes:
      features: {feature: Node}.
      pictures: resizings of both sides before pixcorr and the kinds of ssim.
      directions: kinds of two-way identification that belong to it.
      eight: names of the eight scores, in the order of the published tables; () if it has not them.
    """

    features: dict[str, Node]
    pictures: tuple[Resize, ...] = ()
    directions: tuple[str, ...] = ('two_way',)
    eight: tuple[str, ...] = ()


_CLIP_SIZES = ('hidden_size', 'num_hidden_layers', 'patch_size', 'image_size', 'hidden_act')
_QUICK = (224, 'quick_gelu')
_B1 = {'width_mult': 1.0, 'depth_mult': 1.1}
NETS = {
    'alexnet': Net('alexnet', {'widths': (64, 192, 384, 256, 256), 'hidden': 4096}),
    'inception_v3': Net('inception', {'transform_input': True}),
    'efficientnet_b1': Net('efficientnet', _B1),  # IMAGENET1K_V2, which MindEye took
    'efficientnet_b1_v1': Net('efficientnet', _B1),  # IMAGENET1K_V1, which Brain-Diffuser took
    'swav': Net('resnet', {'layers': (3, 4, 6, 3), 'width_per_group': 64, 'num_classes': 0}),
    'lpips_alex': Net('lpips', {'net': 'alex'}),
    'lpips_vgg': Net('lpips', {'net': 'vgg'}),
} | {
    name: Net('clip', dict(zip(_CLIP_SIZES, sizes, strict=True)))
    for name, sizes in (
        ('clip_vit_l14', (1024, 24, 14, *_QUICK)),
        ('clip_vit_b32', (768, 12, 32, *_QUICK)),
        ('clip_vit_b16', (768, 12, 16, *_QUICK)),
        ('clip_vit_h14', (1280, 32, 14, 224, 'gelu')),
    )
}
RESIZED = ('pixcorr', 'ssim', 'ssim_skimage019', 'ssim_uniform7')  # what `pictures` is for
COMPARING = ('lpips_alex', 'lpips_vgg')  # nets that compare two pictures: keys of NETS, metrics too

TINY = {
    'tiny_alexnet2': Node('tiny/alexnet', 'features.4'),
    'tiny_alexnet5': Node('tiny/alexnet', 'features.11'),
    'tiny_category': Node('tiny/alexnet', 'classifier.6'),
    'tiny_clip': Node('tiny/clip', 'image_embeds'),
}
OF_PIXELS = {name: Node('', name) for name in ('colour', 'luminance')}  # no net: colour.py
_SMALL = TINY | OF_PIXELS
_CLIP = 'clip_vit_l14'
_NODES = {  # feature: net, layer
    'alexnet2': ('alexnet', 'features.4'),
    'alexnet5': ('alexnet', 'features.11'),
    'inception': ('inception_v3', 'avgpool'),
    'clip': (_CLIP, 'image_embeds'),
    'effnet': ('efficientnet_b1', 'avgpool'),
    'swav': ('swav', 'avgpool'),
}
_TAKAGI_NODES = {
    'alexnet_pool2': ('alexnet', 'features.5'),
    'alexnet_pool5': ('alexnet', 'features.12'),
    'alexnet_fc7': ('alexnet', 'classifier.5'),
    'inception': ('inception_v3', 'avgpool'),
    'clip': (_CLIP, 'image_embeds'),
    'clip_hidden6': (_CLIP, 'hidden.6'),
    'clip_hidden12': (_CLIP, 'hidden.12'),
}
_SIZES = {'alexnet': 256, 'inception_v3': 342, _CLIP: 224, 'efficientnet_b1': 255, 'swav': 224}


def _statistics(net):
    return CLIP if net == _CLIP else IMAGENET


def _eight(ssim):
    two_way = (f'two_way_{name}' for name in ('alexnet2', 'alexnet5', 'inception', 'clip'))
    return ('pixcorr', ssim, *two_way, 'corrdist_effnet', 'corrdist_swav')


def _mindeye(kind):
    first = Resize(256, 'bilinear', kind, square=True)
    features = {
        name: Node(
            net,
            layer,
            (first, Resize(_SIZES[net], 'bilinear', kind)),
            _statistics(net),
        )
        for name, (net, layer) in _NODES.items()
    }
    return Protocol(
        features | _SMALL, (first, Resize(425, 'bilinear', kind)), ('two_way',), _eight('ssim')
    )


def _brain_diffuser():
    step = Resize(224, 'bilinear', 'pillow', square=True)
    nodes = _NODES | {'effnet': ('efficientnet_b1_v1', 'avgpool')}
    features = {
        name: Node(net, layer, (step,), _statistics(net)) for name, (net, layer) in nodes.items()
    }
    pictures = (Resize(425, 'bicubic', 'pillow', square=True),)
    return Protocol(features | _SMALL, pictures, ('two_way',), _eight('ssim_skimage019'))


def _takagi():
    steps = {
        False: (Resize(299, 'bilinear', 'pillow', crop=299),),
        True: (Resize(224, 'bicubic', 'pillow', crop=224),),
    }
    features = {
        name: Node(net, layer, steps[net == _CLIP], _statistics(net))
        for name, (net, layer) in _TAKAGI_NODES.items()
    }
    return Protocol(features | _SMALL, (), ('two_way_takagi',))


def _own():
    nodes = _TAKAGI_NODES | _NODES
    for size in ('b32', 'b16', 'h14'):
        nodes[f'clip_{size}'] = (f'clip_vit_{size}', 'image_embeds')
    features = {name: Node(*where) for name, where in nodes.items()}
    return Protocol(features | _SMALL, (), ('two_way', 'two_way_takagi'))


PROTOCOLS = {
    'own': _own(),  # pictures at their size, nets with the preprocessing of their training
    'mindeye': _mindeye('plain'),
    'mindeye_antialias': _mindeye('antialias'),
    'brain_diffuser': _brain_diffuser(),
    'takagi': _takagi(),
}


def find(name: str) -> Protocol:
    """The protocol of that name.

    Raises:
      ConfigError: there is none; the message lists those that exist.
    """
    if name not in PROTOCOLS:
        raise errors.ConfigError(
            f'protocol {name!r}', 'config.zoo.protocol', f'one of {", ".join(PROTOCOLS)}'
        )
    return PROTOCOLS[name]


def resized(images: Float[np.ndarray, 'n h w c'], steps, batch: int = 64) -> np.ndarray:
    """Pictures [n h w c] after `steps`: [n p q c] float32, some at a time."""
    if not steps:
        return images
    parts = [_resized(images[i : i + batch], steps) for i in range(0, len(images), batch)]
    return np.concatenate(parts)


def _resized(images, steps):
    for step in steps:
        images = _pillow(images, step) if step.kind == 'pillow' else on_device(images, step)
    return np.asarray(images)


def on_device(images, step: Resize):
    """One step that is not Pillow's: [n h w c] -> [n p q c], jit-able."""
    from recon.core import resize  # brings jax, which those who only want names do without

    options = dict(method=step.method, antialias=step.kind == 'antialias')
    if step.square:
        images = resize.resize(images, (step.size, step.size), **options)
    else:
        images = resize.shortest(images, step.size, **options)
    return resize.centre_crop(images, (step.crop, step.crop)) if step.crop else images


def _pillow(images, step):
    """As if written to PNG files, read, and resized there: rounded to uint8 before and after."""
    height, width = images.shape[1:3]
    if not step.square:
        longer = int(step.size * max(height, width) / min(height, width))
        height, width = (step.size, longer) if height <= width else (longer, step.size)
    else:
        height = width = step.size
    how = Image.Resampling[step.method.upper()]
    out = np.empty((len(images), height, width, images.shape[-1]), np.uint8)
    for i, picture in enumerate(image.to_uint8(images)):
        bare = Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture)
        small = np.asarray(bare.resize((width, height), how))
        out[i] = small.reshape(out.shape[1:])
    if step.crop:
        top, left = (height - step.crop) // 2, (width - step.crop) // 2
        out = out[:, top : top + step.crop, left : left + step.crop]
    return image.to_float(out)
