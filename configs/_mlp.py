"""What the configs of the MLP share: a size between `:smoke` and the whole."""

from configs import common


def with_small(arg: str | None, make):
    """The config that `make(arg)` gives; with `small` in `arg` on simulated files, in minutes.

    As `:smoke`, with a wider net and upsampler, more epochs and more draws.
    """
    own, others = common.divide(arg, ('small',))
    if not own:
        return make(others)
    cfg = make(f'{others},smoke')
    cfg.draws, cfg.permutations = 2_000, 200
    cfg.decoder.update(width=256, blocks=2, levels=(32, 64), norm_groups=16, epochs=60)
    return cfg
