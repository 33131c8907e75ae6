"""The report: one HTML file made of a run folder alone, which opens offline. No jax."""

import pathlib

import jinja2

from recon.core import errors, results
from recon.report import _sweep, cards, inspection, sections, tables, words

_TEMPLATES = pathlib.Path(__file__).parent / 'templates'


def write(run_dir) -> pathlib.Path:
    """Writes DIR/report.html from what a run, or an inspection, left in DIR.

    Args:
      run_dir: a run folder; only scores.json and run.json are
        needed, all else is shown if it is there.

    Returns:
      The page's path.

    Raises:
      DataMissing: no scores.json, so nothing was scored yet.
      DataInvalid: a file of the folder does not hold what it should.
    """
    run_dir = pathlib.Path(run_dir)
    if (run_dir / 'inspection.json').exists():
        return inspection.write(run_dir)
    if not (run_dir / 'scores.json').exists():
        raise errors.DataMissing(
            'no scores.json, so there is nothing to report',
            run_dir,
            f'finish the run first: python launch/main.py --config=... --workdir={run_dir}',
        )
    folder = results.read(run_dir)
    if not isinstance(folder['scores'].get('scores'), dict) or not folder['scores']['scores']:
        raise errors.DataInvalid(
            'no score in it', run_dir / 'scores.json', 'run launch/main.py on another --workdir'
        )
    files = sorted((run_dir / 'controls').glob('*.npz'))
    folder['controls'] = {file.stem: results.read_arrays(file) for file in files}
    page = _render('report.html', **sections.context(folder, run_dir.resolve().name))
    results.write_bytes(run_dir / 'report.html', page.encode())
    return run_dir / 'report.html'


def write_table(
    path, title: str, rows: list[dict], columns: list[str], notes=(), figures_=()
) -> pathlib.Path:
    """Writes one page that compares runs.

    Args:
      path: file to write.
      title: headline.
      rows: as `tables.comparison` takes them.
      columns: metric names, in order.
      notes: sentences under the headline.
      figures_: [{'title', and one of 'svg' (text or bytes), 'png' (bytes) or a curves dict's keys
        ('series' ...), 'points': bool, 'note'}].

    Returns:
      `path`.

    Raises:
      DataInvalid: a figure that is none of these.
    """
    page = _render(
        'table.html',
        title=title,
        n_runs=len(rows),
        table=tables.comparison(rows, list(columns)),
        charts=cards.comparison_charts(rows, list(columns)),
        notes=[str(n) for n in notes],
        figures=[sections.figure(f) for f in figures_],
        words=_sweep.glossary(list(columns)),
    )
    results.write_bytes(pathlib.Path(path), page.encode())
    return pathlib.Path(path)


def write_sweep(folder, table: dict) -> pathlib.Path:
    """Writes DIR/table.html from DIR/table.json's content and the runs' pictures.

    Args:
      folder: the sweep's DIR.
      table: see `_sweep.context`.
    """
    path = pathlib.Path(folder) / 'table.html'
    results.write_bytes(path, _render('sweep.html', **_sweep.context(folder, table)).encode())
    return path


def _render(name: str, **values) -> str:
    loader = jinja2.FileSystemLoader(_TEMPLATES)
    environment = jinja2.Environment(
        loader=loader,
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(name).render(glossary=words.GLOSSARY, **values)
