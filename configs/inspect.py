r"""A page on a data set, without decoding anything: the first thing to run on new data.

Data: any reader of recon/data/datasets, by name.
Method: counts of rows, images, repeats and sessions; areas by hemisphere; noise ceiling on the
  cortex; ten pictures with labels and captions; size of the values; leaks between splits; do the
  rows belong to their pictures, and are those the right way round?

Run:    python launch/main.py --config=configs/inspect.py \
            --config.dataset.name=nsd --config.dataset.path=DIR --workdir=runs/inspect_nsd
Smoke:  python launch/main.py --config=configs/inspect.py:smoke,layout=miyawaki2008
Expect: report.html in the work folder; a red banner names what is wrong with the data
"""

from configs import common


def get_config(arg=None):
    """Options: name (of the data set), path, surface (folder of the full fsaverage), smoke, layout.

    smoke writes `layout` (a file of recon/data/layouts) at toy scale and inspects that.
    """
    options = common.parse_arg(
        arg, name='simulated', path='', surface='', smoke=False, layout='miyawaki2008'
    )
    name = options.layout.removesuffix('_course') if options.smoke else options.name
    cfg = common.experiment(
        seed=0,
        dataset=dict(name=name) | (dict(path=options.path) if options.path else {}),
        inspect=dict(surface=options.surface),
    )
    if options.smoke and name == 'simulated':
        cfg.dataset.update(n_train=120, n_test=20, voxels=600, size=32)
    elif options.smoke:
        cfg.layout = options.layout
    return cfg
