"""From raw downloads to a report, twice, and once more with corrected labels and a second split.

The same files, study, environment and seeds give the same bytes in two fresh copies of the checkout. After a label was
corrected, the runs that read it are trained again, and no other; a split more leaves the first as it was."""

import os, subprocess, sys
from pathlib import Path
import pandas as pd

sys.path.insert(0, str(Path(__file__).parent))
from kills import checkout

STUDY = '''cohorts: data/cohorts/tiny
arms: [pure-ct, mix-ct-mri-pet]
splits: 1
preset: smoke
fractions: [.5, .2, .3]
'''
FILE = Path("Köpfe {x} & Ä's") / "o'brien 2024_05.yaml"  # a folder and a name that need care
REPORT = Path('reports') / FILE.stem
COHORTS = {'ct-ich': 'ct', 'lgg-mri': 'mri', 'hn-pet': 'pet'}
KEPT = ('.csv', '.parquet', '.safetensors', '.npz', '.npy')
WHEN = ['started', 'seconds', 'peak_mb']  # of table `runs`: what a clock says


def raw(folder):
    "Made-up downloads in the true formats, a dozen subjects each"
    from duiit.testing import fake_hn_pet
    from duiit.testing import fake_ct_ich, fake_lgg_mri

    fake_ct_ich(folder / 'ct-ich')
    fake_lgg_mri(folder / 'lgg-mri')
    fake_hn_pet(folder / 'hn-pet')
    return folder


def run(folder, *command):
    "What a command prints"
    r = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=800)
    assert r.returncode == 0, (r.stdout + r.stderr)[-3000:]
    return r.stdout


def study(folder, *more):
    return run(folder, 'make', 'study', f'STUDY={FILE}', *more)


def runs(folder):
    "Table `runs` of the report"
    return pd.read_csv(folder / REPORT / 'tables' / 'runs.csv')


def made(folder, raw):
    "A copy of the checkout in which raw files became a report"
    checkout(folder)
    (folder / FILE).parent.mkdir()
    (folder / FILE).write_text(STUDY)
    for recipe, name in COHORTS.items():
        run(
            folder,
            folder / '.venv' / 'bin' / 'duiit',
            'cohort',
            recipe,
            raw / recipe,
            f'data/cohorts/tiny/{name}',
            '--size',
            '32',
            '--spacing',
            '7',
        )
    study(folder)
    assert (folder / REPORT / 'index.html').exists()
    return folder


def results(folder):
    "path -> bytes of cohorts, tables, predictions, networks and pictures"
    places = (folder / REPORT / 'tables', folder / REPORT / 'runs', folder / 'data' / 'cohorts')
    files = [
        f
        for place in places
        for f in sorted(place.rglob('*'))
        if f.suffix in KEPT and f.stem != 'runs'
    ]
    found = {f.relative_to(folder).as_posix(): f.read_bytes() for f in files}
    return found | {'runs': runs(folder).drop(columns=WHEN).to_csv().encode()}


def relabel(table):
    "Make the first subject of a cohort a year older"
    d = pd.read_csv(table, dtype=str)
    first = d.subject == d.subject[0]
    d.loc[first, 'label'] = (d.label[first].astype(float) + 1).astype(str)
    d.to_csv(table, index=False)


def test_raw_files_to_report_twice_and_with_corrected_labels(tmp_path):
    downloads = raw(tmp_path / 'raw files')
    folders = [made(tmp_path / n, downloads) for n in 'ab']
    a, b = map(results, folders)
    assert len(a) > 60 and a.keys() == b.keys()
    assert [n for n in a if a[n] != b[n]] == []

    here = folders[0]
    before = runs(here).set_index('arm')
    relabel(here / 'data' / 'cohorts' / 'tiny' / 'mri' / 'cohort.csv')
    assert '1 stale' in study(here, 'SPLITS=2')
    after = runs(here)
    assert set(after.status) == {'done'}
    assert after.split.tolist() == [0, 1, 0, 1]
    first = after[after.split == 0].set_index('arm')
    again = first.started != before.started
    assert again.to_dict() == {'pure-ct': False, 'mix-ct-mri-pet': True}
    page = (here / REPORT / 'index.html').read_text()
    assert '4 of 4 runs are finished' in page
    assert 'than the study has now' not in page
