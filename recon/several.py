"""Several whole runs in one folder: members of a bag, subjects, seeds.

Each is a run in DIR/<kind>/<name>; when all are done, DIR gets scores, pictures and a page of its
own. It stops and goes on as a single run does: what is done is not done again.
"""

import pathlib
import shutil
import time
from collections.abc import Callable

from absl import logging

from recon.core import errors, provenance, results
from recon.report import html


def run(
    cfg, workdir, kind: str, runs: dict, each: Callable, gather: Callable, stop, shared=None
) -> pathlib.Path:
    """Runs all, then gathers them.

    Args:
      cfg: resolved config of DIR.
      workdir: DIR.
      kind: the folder in DIR that holds the runs: 'members', 'subjects', 'seeds'.
      runs: {name: resolved and checked config}.
      each: `each(cfg, workdir, stop, shared)` runs one.
      gather: `gather(cfg, folder)` writes DIR's own files, where `folder` is DIR's results.Run.
      stop: as in pipeline.run.
      shared: as in pipeline.run.

    Returns:
      The report's path.
    """
    started, workdir, config = time.time(), pathlib.Path(workdir), cfg.to_dict()
    if results.state(workdir, config) == 'done':
        logging.info('%s is done; nothing to do', workdir)
        return workdir / 'report.html'
    made = not workdir.exists()
    try:
        with results.Run(workdir, config, provenance.facts(cfg.seed), started) as folder:
            for name, one in runs.items():
                logging.info('%s: %s', kind, name)
                apart = pathlib.Path(shared) / kind / name if shared else None
                each(one, workdir / kind / name, stop, apart)
            gather(cfg, folder)
            folder.status('running')
            return html.write(workdir)
    except errors.UserError:
        if made and not (workdir / kind).exists():  # nothing was begun
            shutil.rmtree(workdir, ignore_errors=True)
        raise


def read(folder: results.Run, kind: str, names) -> dict:
    """{name: what its run left, as `results.read` gives it}."""
    return {name: results.read(folder.dir / kind / name) for name in names}


def told(held: dict, title: str, kind: str) -> dict:
    """decoder.json of DIR: what each part of each run says of itself, and facts as a table.

    Args:
      held: {name: its folder as `results.read` gives it}.
      title: of the table.
      kind: what a run is of: 'member', 'subject', 'seed'.
    """
    parts = {}
    for name, one in held.items():
        parts |= {f'{name}, {part}': says for part, says in one['decoder'].items()}
    numbers = {
        name: {k: v for k, v in says.get('facts', {}).items() if isinstance(v, int | float)}
        for name, says in parts.items()
    }
    columns = list(dict.fromkeys(key for facts in numbers.values() for key in facts))
    rows = [[name, *(facts.get(key) for key in columns)] for name, facts in numbers.items()]
    table = {'title': title, 'columns': [kind, *columns], 'rows': rows}
    return {f'{kind}s': {'curves': [], 'tables': [table], 'facts': {}}} | parts


def means(entries: dict) -> dict:
    """{metric: mean} of {metric: entry}."""
    return {name: entry['mean'] for name, entry in entries.items()}
