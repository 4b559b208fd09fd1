# The grid of a study: cohorts -> papermill runs per training and split -> report.
# `make study` calls it; by hand: snakemake --profile profiles/local --config study=phantom
import re, subprocess
from pathlib import Path
from duiit.study import arms_of, load_study, preset_of, runs_of

SPEC = str(config.get('study', 'phantom'))
OPTS = {k: config[k] for k in ('preset',) if k in config}
PRESET = OPTS.get('preset', '')
PER_GPU = int(config.get('per_gpu', 1)) # runs that share a GPU
ASK = f'-r preset {PRESET}' if PRESET else ''
STUDY = load_study(SPEC, **OPTS)
RUNS = list(runs_of(STUDY))
HERE = f'reports/{STUDY.name}'
CODE = [f'duiit/{m}.py' for m in ('cohort', 'split', 'nets', 'augment', 'predictor', 'translator', 'judge', 'runs')]

# a translator takes a notebook of its own; the short runs of a split share one, and with it the start of a kernel
LONG, SHORT = ([r for r in RUNS if bool(arms_of(STUDY)[r].guidance)==t] for t in (True, False))
def what(names): return repr([(arms_of(STUDY)[r].stages, arms_of(STUDY)[r].by, arms_of(STUDY)[r].change) for r in names] + [preset_of(STUDY), STUDY.seed, STUDY.by, STUDY.fractions, STUDY.source_test, STUDY.scored, STUDY.judge])

# the declaration is no rule of the grid: Snakemake drops the runs behind a changed ancient() input
if not Path(f'{HERE}/study.json').exists(): subprocess.run(['duiit', 'cohorts', SPEC] + (['--preset', PRESET] if PRESET else []), check=True)

wildcard_constraints: k=r'\d+'

NOTEBOOKS = [f'{HERE}/notebooks/{r}-split{k}.ipynb' for r in LONG+['short']*bool(SHORT) for k in range(STUDY.splits)]

rule all:
    input: f'{HERE}/index.html', NOTEBOOKS # a report may be there that was written when runs had failed

rule run:
    input: CODE, nb='nbs/run.ipynb'
    output: f'{HERE}/notebooks/{{run}}-split{{k}}.ipynb'
    log: f'{HERE}/logs/{{run}}-split{{k}}.ipynb'
    wildcard_constraints: run='|'.join(map(re.escape, LONG)) or '-'
    params: what=lambda w: what([w.run]), arms=lambda w: w.run
    resources: gpu=1
    shell:
        'duiit slot --per-gpu {PER_GPU} papermill {input.nb:q} {log:q} --no-progress-bar --log-level ERROR -r study {SPEC:q} -p arm {params.arms:q} -p split {wildcards.k} '
        '{ASK} -r reports reports > {log:q}.txt 2>&1 || {{ tail -n 25 {log:q}.txt >&2; exit 1; }}; cp {log:q} {output:q}'

use rule run as short with:
    output: f'{HERE}/notebooks/short-split{{k}}.ipynb'
    log: f'{HERE}/logs/short-split{{k}}.ipynb'
    wildcard_constraints: run='-'
    priority: 1 # the longest notebooks first: the others fill the gap at the end
    params: what=lambda w: what(SHORT), arms=','.join(SHORT)

rule report:
    input: NOTEBOOKS, f'{HERE}/study.json', 'duiit/report.py', 'duiit/report.html.j2', 'duiit/figures.py', 'duiit/stats.py', 'duiit/results.py', nb='nbs/report.ipynb'
    output: f'{HERE}/index.html'
    log: f'{HERE}/logs/report.ipynb'
    shell:
        'papermill {input.nb:q} {log:q} --no-progress-bar --log-level ERROR -r study {STUDY.name:q} -r reports reports > {log:q}.txt 2>&1 '
        '|| {{ tail -n 25 {log:q}.txt >&2; exit 1; }}; cp {log:q} {HERE:q}/notebooks/report.ipynb'
