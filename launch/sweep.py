r"""Runs one config under several options, and puts them in one table.

    python launch/sweep.py --config=configs/X.py[:options] [--workdir=DIR] [--print]
                           [--grid.key=a,b,c ...] [--config.key=value ...]

A config with a `get_sweep` names its runs; `--grid.decoder.name=ridge,omp` makes them from the
values of any option (several grids: every combination). Runs go in turn, each in DIR/<name>; what
is done is not run again. `--print` prints the commands instead, one a line, for a cluster's queue.
Leaves DIR/table.json and DIR/table.html. Exit codes as launch/main.py.
"""

import itertools
import pathlib
import re
import shlex
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import numpy as np

from launch import coverage, ending, learning, options, pages
from recon.core import errors, patterns, results
from recon.report import html

PLAIN = {  # what a get_sweep may set besides its title and runs
    'metrics': (),  # columns of the table; all that the first run has
    'notes': (),  # sentences under its title
    'figure': '',  # a name of FIGURES
    'facts': (),  # numbers of decoder.json that are columns too
    'choose': '',  # a fact of decoder.json, of rows put aside: the highest is chosen
    'pictures': 0,  # how many of each set of pictures stand side by side
}


def main(argv: list[str]) -> int:
    """Runs or prints the sweep; returns the exit code."""
    if '--help' in argv or '-h' in argv:
        print(__doc__)
        return 0
    ending.speak()
    with ending.exit_codes() as ended:
        only_print, argv = '--print' in argv, [word for word in argv if word != '--print']
        grids = {}
        for word in [w for w in argv if w.startswith('--grid.')]:
            key, _, values = word.removeprefix('--grid.').partition('=')
            grids[key] = split(values)
            argv.remove(word)
        arguments = options.parse(argv, 'see python launch/sweep.py --help')
        workdir = pathlib.Path(arguments.workdir or f'runs/{arguments.name}')
        sweep = plan(arguments, grids)
        if only_print:
            from recon import pipeline

            for run in sweep['runs']:  # a queue full of commands that end at once helps nobody
                options.resolve(run['arguments'], pipeline.DEFAULTS)
            print('\n'.join(dict.fromkeys(command(run, workdir) for run in sweep['runs'])))
        else:
            ended.writes(workdir, '--workdir')
            print(f'table: {run_all(sweep, workdir, lambda: ended.stop)}')
    return ended.code


def plan(arguments: options.Arguments, grids: dict[str, list[str]]) -> dict:
    """What to run: {'title', 'runs': [{'name', 'arguments', ...}]}, and the keys of PLAIN.

    A run may have a 'label' for the table, and 'published' and 'published_train' {metric: text}; a
    'folder' in the place of its name, and there a 'part' ('members/92') whose figures are meant.

    Raises:
      ConfigError: neither a grid nor a `get_sweep`, or an empty grid.
    """
    module = options.module(arguments.config)
    if not grids and not hasattr(module, 'get_sweep'):
        raise errors.ConfigError(
            f'{arguments.config.name} has no get_sweep', 'command line', 'name a --grid.key=a,b'
        )
    if not all(grids.values()):
        raise errors.ConfigError('a grid without values', 'command line', '--grid.key=a,b')
    if not grids:
        sweep = options.call(module.get_sweep, arguments)
        runs = [
            run | {'arguments': arguments.replace(options=run['options'])} for run in sweep['runs']
        ]
        return PLAIN | sweep | {'runs': runs}
    runs = []
    for values in itertools.product(*grids.values()):
        chosen = dict(zip(grids, values, strict=True))
        name = '_'.join(f'{_short(key)}-{value}' for key, value in chosen.items())
        changed = arguments.replace(overrides=arguments.overrides | chosen)
        runs.append({'name': name.replace('/', '-'), 'arguments': changed})
    title = f'{arguments.config.stem}: {", ".join(grids)}'
    return PLAIN | {'title': title, 'runs': runs}


def _short(key: str) -> str:
    """'decoder.name' -> 'decoder'; of any other key its last part, 'dataset.voxels' -> 'voxels'."""
    *above, last = key.split('.')
    return above[-1] if last == 'name' and above else last


def split(values: str) -> list[str]:
    """'a,b' -> [a, b]; commas in brackets do not part: '(10,),(1,2)' -> ['(10,)', '(1,2)']."""
    parts = re.findall(r'(?:\([^)]*\)|\[[^\]]*\]|[^,(\[])+', values)
    return list(dict.fromkeys(part for part in parts if part))


def _folder(run: dict) -> str:
    """Where a run is, in DIR: several rows of a table may be of one."""
    return run.get('folder', run['name'])


def command(run: dict, workdir: pathlib.Path) -> str:
    """The shell command of one run."""
    arguments = run['arguments']
    config = f'{arguments.config}' + (f':{arguments.options}' if arguments.options else '')
    words = [
        'python',
        'launch/main.py',
        f'--config={config}',
        f'--workdir={workdir / _folder(run)}',
    ]
    words += [f'--config.{key}={value}' for key, value in arguments.overrides.items()]
    return shlex.join(words)


def run_all(sweep: dict, workdir: pathlib.Path, stop) -> pathlib.Path:
    """Runs what is not done yet, then writes the table; returns the path of table.html.

    `stop()` says whether to stop, as in pipeline.run.
    """
    from recon import bag, pipeline

    rows, series = [], []
    resolved = [options.resolve(run['arguments'], pipeline.DEFAULTS) for run in sweep['runs']]
    for run, cfg in zip(sweep['runs'], resolved, strict=True):
        folder = workdir / _folder(run)
        try:
            with options.simulated_files(cfg, folder) as cfg:
                bag.run(cfg, folder, stop)
        except errors.UserError as error:
            what = f'run {run["name"]}: {error.what}'
            raise type(error)(what, error.where, error.remedy) from error
        kept = results.read(folder / run.get('part', ''))
        rows.append(row(run, kept, cfg, sweep['choose']))
        rows[-1]['scores'] |= learning.entries(kept, sweep['facts'])
        if sweep['figure']:
            series.append(FIGURES[sweep['figure']][0](rows[-1]['name'], kept))
    if sweep['choose']:
        mark(rows)
    table = {
        'schema': results.SCHEMA,
        'title': sweep['title'],
        'metric_names': [*sweep['facts'], *sweep['metrics']] or list(rows[0]['scores']),
        'rows': rows,
        'notes': list(sweep['notes']),
        'figures': FIGURES[sweep['figure']][1](series) if series else [],
        'choose': sweep['choose'],
        'pictures': sweep['pictures'],
    }
    results.write_bytes(workdir / 'table.json', results.to_json(table).encode())
    return html.write_sweep(workdir, table)


def row(run: dict, kept: dict, cfg, choose: str = '') -> dict:
    """What table.json holds of a run.

    Args:
      run: of the plan.
      kept: its folder, as results.read gives it.
      cfg: its config.
      choose: the fact of decoder.json by which the sweep chooses; '' where it does not.

    Raises:
      ConfigError: the run does not state that fact.
    """
    held = kept['scores']
    told = {
        'name': run.get('label', run['name']),
        'scores': held['scores'],
        'baselines': held.get('baselines', {}),
        'published': run.get('published', {}),
        'data': measured_on(held['protocol']['data'], cfg),
        'n': held['n'],
        'workdir': str(pathlib.PurePath(_folder(run), run.get('part', ''))),
    }
    for key in ('scores_train', 'extra_tests'):
        if held.get(key):
            told[key] = held[key]
    if run.get('published_train'):
        told['published_train'] = run['published_train']
    if choose:
        facts = [part.get('facts', {}) for part in kept['decoder'].values()]
        found = [fact[choose] for fact in facts if choose in fact]
        if not found:
            raise errors.ConfigError(
                f'run {run["name"]} states no {choose!r}', 'get_sweep', 'set decoder.validation'
            )
        told['validation'] = float(found[0])
    return told


def mark(rows: list[dict]) -> None:
    """Sets 'chosen' in each row: true in that of the highest 'validation', the first of equals."""
    best = max(rows, key=lambda row: row['validation'])
    for row in rows:
        row['chosen'] = row is best


def measured_on(facts: dict, cfg) -> str:
    """The name of the data, and whether a program drew them."""
    name = facts.get('source', cfg.dataset.name)
    return f'{name} (simulated files)' if facts.get('simulated') else name


def by_complexity(name: str, run: dict) -> dict:
    """One series: binary accuracy against the number of neighbour transitions of the pattern."""
    entry = run['scores']['scores']['binary_accuracy']
    accuracy = np.array(entry['per_image'] or entry['per_unit'], float)
    complexity = patterns.transitions(run['arrays']['truth'][..., 0] > 0.5)
    steps = np.unique(complexity)
    means = [float(np.nanmean(accuracy[complexity == s])) for s in steps]
    return {'name': name, 'x': steps.tolist(), 'y': means}


def complexity_figure(series: list[dict]) -> list[dict]:
    """The figure of the sweep over scales, as curves."""
    figure = {
        'title': 'Accuracy against the complexity of the pattern',
        'x_label': 'neighbour transitions in the true pattern',
        'y_label': 'binary accuracy',
        'log_x': False,
        'series': series,
        'chosen': None,
    }
    return [figure]


# Of a figure: the series of one run, from its name and its folder; and the figures, of all series.
FIGURES = {
    'complexity': (by_complexity, complexity_figure),
    'coverage': (coverage.series, coverage.figures),
    'learning': (learning.series, learning.figures),
}


if __name__ == '__main__':
    pages.use()
    sys.exit(main(sys.argv[1:]))
