"""How to get each data set: what to accept, where to ask, what to download, what to set. Text."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Source:
    """One data set.

    Attributes:
      what: one line.  accept: licence or terms, as far as known.  ask: where they are granted.
      get: what to download, and from where.  use: what to set afterwards.
      figshare: number of the open article that `--accept` fetches, 0 where there is none.
      only: of its files, those like this.  nilearn: fetched by nilearn with `--accept`.
    """

    what: str
    accept: str
    ask: str
    get: str
    use: str
    figshare: int = 0
    only: str = '*'
    nilearn: bool = False

    @property
    def open(self) -> bool:
        """Whether `--accept` fetches anything."""
        return bool(self.figshare or self.nilearn)


_IMAGENET = (
    "the pictures are ImageNet's and are given on request only: https://forms.gle/ujvA34948Xg49jdn9"
)
SOURCES = {
    'simulated': Source(
        'A brain whose answer is known: made on the spot, nothing to fetch.',
        'nothing',
        'nobody',
        'nothing; `python launch/simulate.py` writes it, or any other layout, to a folder',
        'dataset.name=simulated',
    ),
    'pairs': Source(
        'Your own recording: arrays of rows, their image ids, and the pictures.',
        'whatever holds for your data',
        'nobody',
        'nothing: put voxels.npy [rows voxels], ids.npy and images/ (or images.npy) into a folder; '
        'docs/datasets/pairs.md says what else may lie there (runs, areas, labels, other formats)',
        'dataset.name=pairs dataset.path=DIR',
    ),
    'digits69': Source(
        'fMRI of one person looking at 100 handwritten sixes and nines (van Gerven et al. 2010).',
        "no licence is stated with the file; the data are their owners': do not pass it on",
        "the owners' collection at the Donders Repository: https://doi.org/10.34973/tvp5-r364",
        'digit69_28x28.mat (2.4 MB), published with the Deep Generative Multiview Model: '
        'https://github.com/ChangdeDu/DGMM',
        'dataset.path=FILE, after `python launch/fetch.py digits69 --check FILE`',
    ),
    'miyawaki2008': Source(
        'fMRI of one person looking at 10 x 10 patterns (Miyawaki et al. 2008).',
        'the licence is given as unknown by those who host it: do not pass it on',
        'nobody: the archive is public at NITRC',
        'miyawaki2008.tgz (153 MB), through nilearn, into DIR/miyawaki2008',
        'dataset.path=DIR',
        nilearn=True,
    ),
    'nsd': Source(
        'Natural Scenes Dataset: 8 people, up to 10,000 photographs each, 7 T (Allen et al. 2022).',
        'the NSD Terms and Conditions; they do not allow passing the data on',
        'the NSD Data Access Agreement form: https://naturalscenesdataset.org',
        'after the form, from the bucket s3://natural-scenes-dataset (us-east-2), for subject X: '
        'nsddata/experiments/nsd, nsddata/ppdata/subj0X/func1pt8mm/roi and brainmask.nii.gz, '
        'nsddata/freesurfer/subj0X/label/*.ctab, nsddata_betas/ppdata/subj0X/func1pt8mm/'
        'betas_fithrf_GLMdenoise_RR (betas_session*.hdf5, ncsnr.nii.gz; about 40 GB) and '
        'nsddata_stimuli/stimuli/nsd/nsd_stimuli.hdf5 (about 40 GB), the tree as it is: '
        '`aws s3 sync s3://natural-scenes-dataset/FOLDER DIR/FOLDER`; not from here. '
        'Without them: `python launch/simulate.py --layout=nsd --out=DIR`',
        'dataset.name=nsd dataset.path=DIR dataset.subject=X',
    ),
    'algonauts2023': Source(
        'Algonauts 2023: NSD averaged over repeats on the cortical surface, for a challenge.',
        'the NSD Terms and Conditions hold for these files too',
        'the form of the challenge: http://algonauts.csail.mit.edu/challenge.html',
        'the folders subj01 to subj08, unpacked side by side',
        'dataset.name=algonauts2023 dataset.path=DIR dataset.subject=X',
    ),
    'algonauts2023_course': Source(
        "A course's copy of Algonauts 2023: 5,000 numbered pictures a person, 133 label columns.",
        'the NSD Terms and Conditions hold for these files too: it may not be passed on',
        'those who gave the course, if you took it; otherwise use algonauts2023',
        'the folder dataset with subj01 to subj08',
        'dataset.name=algonauts2023 dataset.layout=course dataset.path=DIR '
        'dataset.split.by=fraction',
    ),
    'god': Source(
        'Generic Object Decoding: 5 people, 1,200 + 50 photographs (Horikawa & Kamitani 2017).',
        'the licence that figshare shows for article 7387130, which is printed before anything is '
        f'fetched; {_IMAGENET}',
        'for the recordings nobody; for the pictures the form above',
        'Subject1.h5 to Subject5.h5 from figshare article 7387130, into DIR/god; pictures by hand '
        'into DIR/god/images/training and DIR/god/images/test',
        'dataset.name=god dataset.path=DIR/god dataset.subject=X',
        figshare=7387130,
    ),
    'shen2019': Source(
        'Deep Image Reconstruction: 3 people, photographs, shapes and letters (Shen et al. 2019).',
        'the licence that figshare shows for article 7033577, which is printed before anything is '
        f'fetched; {_IMAGENET}',
        'for the recordings nobody; for the pictures the form above',
        'sub-0X_*.h5 from figshare article 7033577, into DIR/shen2019: of one release, original or '
        "fmriprep (--only='sub-01*fmriprep*'); pictures by hand into DIR/shen2019/images/training "
        'and DIR/shen2019/images/test',
        'dataset.name=shen2019 dataset.path=DIR/shen2019 dataset.subject=X',
        figshare=7033577,
        only='*.h5',
    ),
    'vim1': Source(
        'vim-1: 2 people, 1,750 + 120 grey photographs (Kay et al. 2008).',
        'the terms of CRCNS; they do not allow passing the data on',
        'an account at CRCNS: https://crcns.org/data-sets/vc/vim-1',
        'EstimatedResponses.mat and Stimuli.mat, into one folder',
        'dataset.name=vim1 dataset.path=DIR dataset.subject=X',
    ),
    'coco': Source(
        'COCO 2017 annotations of the NSD photographs: boxes, captions, panoptic categories.',
        'CC BY 4.0 for the annotations; each photograph has a Flickr licence of its own',
        'nobody: https://cocodataset.org/#download',
        'the archives "2017 Train/Val annotations" and "2017 Panoptic Train/Val annotations", '
        'unpacked (the PNG archives inside too) into DIR/annotations; no checksum is published, so '
        'they are not fetched from here',
        'dataset.coco.path=DIR (nsd), or DIR = the NSD folder itself',
    ),
}
