r"""Pictures of what the small nets do on held-out scenes, as docs/models.md shows them.

    python launch/show_zoo.py --zoo=recon/zoo/assets/tiny --out=docs/pictures

It prints the table of what they reach, from the folder's reach.json, as docs/models.md has it.

  --zoo=DIR   folder that launch/train_zoo.py wrote (the embedded one)
  --out=DIR   zoo_autoencoder.png, zoo_captions.png, zoo_samples.png, zoo_img2img.png go there
  --count=N   scenes in a row (8)
  --first=N   number of the first held-out scene (0)

Exit codes: 0 done, 2 the user's cause (one line says what), 1 our fault.
"""

import json
import pathlib
import sys
import textwrap

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from launch import ending
from recon.core import errors, resize
from recon.data.simulator import scenes
from recon.train.tasks import _phrases, _scenes, _unet_scores, blip
from recon.zoo import sd_vae, weights

SAMPLES = 3
STRENGTHS = (0.3, 0.5, 0.75)
BICUBIC = 27  # on a side: 2,187 numbers a picture, where the latents have 2,048
_COLUMN, _NAME = 1.25, 1.2  # inches


def main(argv: list[str]) -> int:
    """Draws the four sheets, returns the exit code."""
    if '--help' in argv or '-h' in argv:
        print(__doc__)
        return 0
    with ending.exit_codes() as ended:
        words = parse(argv)
        zoo, out = pathlib.Path(words['zoo']), ended.writes(words['out'], '--out')
        drawn = _scenes.held_out(words['count'], start=words['first'])
        painter = _unet_scores.load(zoo)
        out.mkdir(parents=True, exist_ok=True)
        for name, rows, captions in (
            ('autoencoder', rebuilt(zoo, drawn), ()),
            ('captions', {'scene': drawn.images / 255}, described(zoo, drawn)),
            ('samples', painted(painter, drawn), scenes.captions(drawn)),
            ('img2img', repainted(painter, drawn), scenes.captions(drawn)),
        ):
            draw(out / f'zoo_{name}.png', rows, captions)
        print(table(json.loads((zoo / 'reach.json').read_text())))
        print(f'written: {out}')
    return ended.code


def parse(argv: list[str]) -> dict:
    """{'zoo', 'out', 'count', 'first'} of `argv`; ConfigError for what is unknown."""
    parser = ending.Parser(__doc__)
    parser.prog = 'show_zoo.py'
    parser.add_argument('--zoo', default='recon/zoo/assets/tiny')
    parser.add_argument('--out', required=True)
    parser.add_argument('--count', type=int, default=8)
    parser.add_argument('--first', type=int, default=0)
    words = vars(parser.parse_args(argv))
    if words['count'] < 1 or words['first'] < 0:
        raise errors.ConfigError(
            f'--count={words["count"]} --first={words["first"]}',
            'command line',
            'a count of 1 or more, from 0 or later',
        )
    return words


def table(reach: dict) -> str:
    """What reach.json of launch/train_zoo.py says, as a table of Markdown."""
    found = {net: entry['reached'] for net, entry in reach.items()}
    lines = [
        '| net | on held-out scenes | all | with an unseen pair | chance, or beside |',
        '|---' * 5 + '|',
    ]
    for row in (*_rebuilding(found['sd_vae']), *_finding(found['clip']), *_naming(found['alexnet']),
                *_telling(found['blip']), *_painting(found['sd_unet'])):  # fmt: skip
        lines.append('| ' + ' | '.join(row) + ' |')
    return '\n'.join(lines)


def _percent(value: float) -> str:
    return f'{100 * value:.1f} %'


def _rebuilding(vae: dict):
    whole, unseen = vae['all'], vae['unseen_pairs']
    for key, name, form in (('psnr', 'PSNR, mean', '{:.1f} dB'), ('ssim', 'SSIM', '{:.3f}')):
        ours = [form.format(part['ours'][key]) for part in (whole, unseen)]
        beside = [
            f'{other.removeprefix("bicubic_").replace("_", " ")} bicubic ' + form.format(part[key])
            for other, part in whole.items()
            if other.startswith('bicubic')
        ]
        what = f'{name}, {vae["latents"]["numbers"]:,} numbers, {whole["scenes"]:,} scenes'
        yield 'autoencoder', what, *ours, '; '.join(beside)


def _finding(clip: dict):
    for key, what, chance in (
        ('image_to_text_top1', 'picture -> its caption among 100', 'top1'),
        ('text_to_image_top1', 'caption -> its picture among 100', 'top1'),
        ('main_category_of_16', 'caption against 15 with another main category', 'category'),
        ('main_colour_of_8', 'caption against 7 with another main colour', 'colour'),
    ):
        values = _percent(clip[key]), _percent(clip['unseen_pairs'][key])
        yield (
            'CLIP',
            f'{what}, {clip["scenes"]:,} scenes',
            *values,
            _percent(clip['chance'][chance]),
        )


def _naming(net: dict):
    for key, what, chance in (
        ('mean_average_precision', 'mean average precision', 'chance_mean_average_precision'),
        ('main_category_in_top_k', 'main category among as many as are shown', 'chance_in_top_k'),
        ('one_object_right', 'scenes of one object, first', 'chance_one_object'),
    ):
        values = [_percent(net[part][key]) for part in ('all', 'unseen_pairs')]
        what = f'{what}, {net["all"]["scenes"]:,} scenes'
        yield 'category net', what, *values, _percent(net['all'][chance])


def _telling(net: dict):
    for key, what in (
        ('main_named', 'main object named, category and colour'),
        ('category_recall', 'shown categories that are named'),
        ('exact', 'the caption word for word'),
    ):
        values = [_percent(net[part][key]) for part in ('all', 'unseen_pairs')]
        what = f'{what}, {net["all"]["scenes"]:,} scenes'
        yield 'captioner', what, *values, _percent(net['all'][f'chance_{key}'])


def _painting(net: dict):
    for key, what in (
        ('main_category_among_k', 'category net: main category among as many as named'),
        ('image_to_text_top1', 'CLIP: its caption among 100'),
        ('main_category_of_16', 'CLIP: caption against 15 with another main category'),
        ('main_colour_of_8', 'CLIP: caption against 7 with another main colour'),
    ):
        ours = net['samples']
        beside = (
            f'true scenes {_percent(net["true_scenes"][key])}; other captions '
            f'{_percent(net["other_captions"][key])}; chance {_percent(net["chance"][key])}'
        )
        what = f'{what}, {net["scenes"]:,} captions'
        yield 'U-Net', what, _percent(ours[key]), _percent(ours['unseen_pairs'][key]), beside
    kept, strength = net['img2img'], net['img2img']['strength']
    values = _percent(kept['layout_kept_with_own_caption']), '-'
    beside = (
        f'with another caption {_percent(kept["layout_kept_with_another_caption"])}; chance 50 %'
    )
    yield 'U-Net', f'img2img at strength {strength}: layout nearer to the source', *values, beside


def rebuilt(zoo: pathlib.Path, drawn: scenes.Scenes) -> dict:
    """The scenes, what the autoencoder makes of them, and bicubic resizing beside."""
    net = weights.load(zoo / 'vae')
    truth = drawn.images / np.float32(255)
    latents = sd_vae.latents(net.module, net.params, truth)
    ours = np.asarray(sd_vae.pictures(net.module, net.params, latents))
    small = resize.resize(truth, (BICUBIC, BICUBIC), 'bicubic')
    grown = np.asarray(resize.resize(small, truth.shape[1:3], 'bicubic'))
    name = f'{BICUBIC} x {BICUBIC} pixels'
    return {'scene': truth, 'autoencoder': ours, name: np.clip(grown, 0, 1)}


def described(zoo: pathlib.Path, drawn: scenes.Scenes) -> list[str]:
    """What the captioner says of each scene."""
    return blip.captions(zoo / 'blip', drawn.images)


def painted(painter, drawn: scenes.Scenes) -> dict:
    """The scenes, and several pictures that the U-Net makes of their captions."""
    said, place = _phrases.objects(drawn), np.asarray(drawn.place, int)
    samples = {f'sample {i + 1}': painter.paint(said, place, i) for i in range(SAMPLES)}
    return {'scene': drawn.images / 255} | samples


def repainted(painter, drawn: scenes.Scenes) -> dict:
    """The scenes, and pictures that begin as another scene: each gets the next one's caption."""
    said, place = _phrases.objects(drawn), np.asarray(drawn.place, int)
    source = np.roll(drawn.images, 1, 0)
    rows = {'begun with': source / 255}
    for strength in STRENGTHS:
        made = painter.paint(said, place, 0, source, strength)
        rows[f'strength {strength:g}'] = made
    return rows


def draw(path: pathlib.Path, rows: dict, captions=()) -> None:
    """One sheet: a row of pictures for each entry, captions below the columns.

    Args:
      path: of the PNG.
      rows: {name: [n h w 3] in [0, 1]}.
      captions: n sentences, or none.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(next(iter(rows.values())))
    below = 1.0 if captions else 0.05
    size = (_NAME + _COLUMN * count, _COLUMN * len(rows) + below)
    figure = Figure(figsize=size, dpi=100)
    FigureCanvasAgg(figure)
    width, height = _COLUMN / size[0], _COLUMN / size[1]
    for r, (name, pictures) in enumerate(rows.items()):
        bottom = 1 - (r + 1) * height
        figure.text(0.1 / size[0], bottom + height / 2, name, va='center', fontsize=9)
        for i, picture in enumerate(pictures):
            axes = figure.add_axes(
                (_NAME / size[0] + i * width, bottom, 0.96 * width, 0.96 * height)
            )
            axes.imshow(np.clip(picture, 0, 1), interpolation='nearest')
            axes.axis('off')
    for i, caption in enumerate(captions):
        text = textwrap.fill(caption, 25)
        left = _NAME / size[0] + i * width
        figure.text(left, below / size[1] - 0.01, text, va='top', fontsize=5.5)
    figure.savefig(path)


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
