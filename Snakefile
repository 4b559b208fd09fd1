# The grid of a study: cohorts -> papermill runs per training and split -> report.
# `duiit study` calls it; by hand: snakemake --profile profiles/local --config study=phantom
import os, re, subprocess, sys
import duiit
from glob import glob
from pathlib import Path
from duiit.core import InputError
from duiit.study.arms import load_study, notebooks_of

def one_line(mistake): sys.exit(f'duiit: {mistake}')

# --config reads its values as YAML does, so `make study` names the study in the environment
SPEC = config.get('study') or os.environ.get('DUIIT_STUDY') or 'phantom'
if not isinstance(SPEC, str): one_line(f"--config study={SPEC!r}: the engine does not read this as text. Name the study in the environment instead: DUIIT_STUDY='...' snakemake ...")
PRESET = config.get('preset') or os.environ.get('DUIIT_PRESET') or ''
SPLITS = str(config.get('splits') or os.environ.get('DUIIT_SPLITS') or '') # empty: those of the study
ENGINE = Path(workflow.basedir) # this file, the profiles and the notebooks lie together, in a checkout or in the package
PER_GPU = int(config.get('per_gpu', 1)) # runs that share a GPU
ASK = (['--preset', PRESET] if PRESET else []) + (['--splits', SPLITS] if SPLITS else [])
TOLD = (f'-r preset {PRESET} ' if PRESET else '') + (f'-p splits {SPLITS} ' if SPLITS else '')

if SPLITS and not SPLITS.isdecimal(): one_line(f'splits={SPLITS!r}: a whole number is needed')
try: STUDY = load_study(SPEC, preset=PRESET or None, splits=int(SPLITS) if SPLITS else None)
except InputError as e: one_line(e)
HERE = f'reports/{STUDY.name}'
PAGES = notebooks_of(STUDY)

# What a run depends on (data, settings, code) is one hash in study.json. `duiit cohorts` writes it and takes away the
# notebooks of runs that were made from anything else, so that the engine makes them again. `duiit study` has just done that.
# The declaration is no rule of the grid: Snakemake drops the runs behind a changed ancient() input.
if workflow.is_main_process and not config.get('declared'):
    if subprocess.run(['duiit', 'cohorts', *ASK, '--', SPEC]).returncode: sys.exit(1)

wildcard_constraints: k=r'\d+'

# a changed report is written again
PACKAGE = Path(duiit.__file__).parent
CODE = [*glob(f'{PACKAGE}/report/*.*'), PACKAGE/'study/results.py']
NOTEBOOKS = [f'{HERE}/notebooks/{n}-split{k}.ipynb' for n in PAGES for k in range(STUDY.splits)]

rule all:
    input: f'{HERE}/index.html', NOTEBOOKS # a report may be there that was written when runs had failed

rule run:
    input: nb=ENGINE/'nbs/papermill/run.ipynb'
    output: f'{HERE}/notebooks/{{run}}-split{{k}}.ipynb'
    log: f'{HERE}/logs/{{run}}-split{{k}}.ipynb'
    wildcard_constraints: run='|'.join(re.escape(n) for n in PAGES if n!='short') or '-'
    params: arms=lambda w: w.run
    resources: gpu=1
    shell:
        'duiit slot --per-gpu {PER_GPU} papermill {input.nb:q} {log:q} --no-progress-bar --log-level ERROR -r study {SPEC:q} -r arm {params.arms:q} -p split {wildcards.k} '
        '{TOLD}-r reports reports > {log:q}.txt 2>&1 || {{ tail -n 25 {log:q}.txt >&2; exit 1; }}; cp {log:q} {output:q}'

use rule run as short with:
    output: f'{HERE}/notebooks/short-split{{k}}.ipynb'
    log: f'{HERE}/logs/short-split{{k}}.ipynb'
    wildcard_constraints: run='-'
    priority: 1 # the longest notebooks first: the others fill the gap at the end
    params: arms=','.join(PAGES.get('short', ()))

rule report:
    input: NOTEBOOKS, f'{HERE}/study.json', CODE, nb=ENGINE/'nbs/papermill/report.ipynb'
    output: f'{HERE}/index.html'
    log: f'{HERE}/logs/report.ipynb'
    shell:
        'papermill {input.nb:q} {log:q} --no-progress-bar --log-level ERROR -r study {STUDY.name:q} -r reports reports > {log:q}.txt 2>&1 '
        '|| {{ tail -n 25 {log:q}.txt >&2; exit 1; }}; cp {log:q} {HERE:q}/notebooks/report.ipynb'
