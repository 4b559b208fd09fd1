"""The package as its users get it: a wheel that works in an empty folder, without a checkout."""

import json, re, shutil, subprocess, sys, tarfile, zipfile
from math import log
from pathlib import Path
import numpy as np, pandas as pd, pytest

ROOT = Path(__file__).parents[1]
HOLDS = (
    'duiit/py.typed',
    'duiit/data/anatomy.npz',
    'duiit/ingest/card.html.j2',
    'duiit/report/report.html.j2',
    'duiit/engine/Snakefile',
    'duiit/engine/profiles/local/config.yaml',
    'duiit/engine/profiles/slurm/config.yaml',
    'duiit/engine/nbs/papermill/run.ipynb',
    'duiit/engine/nbs/papermill/report.ipynb',
)


def run(*command, cwd, env=None, seconds=600):
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f'{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}'
    return done.stdout


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    "A folder with the sdist, and the wheel that is made of it"
    folder = tmp_path_factory.mktemp('built')
    run(sys.executable, '-m', 'build', '--no-isolation', '--outdir', folder, ROOT, cwd=folder)
    return folder


def one(folder, pattern):
    (found,) = folder.glob(pattern)
    return found


def test_wheel_and_sdist_hold_what_runs_and_nothing_else(built):
    wheel = set(zipfile.ZipFile(one(built, '*.whl')).namelist())
    assert set(HOLDS) <= wheel
    rooms = {name.split('/')[0] for name in wheel}
    assert {r for r in rooms if not r.endswith('.dist-info')} == {'duiit'}
    sdist = {n.partition('/')[2] for n in tarfile.open(one(built, '*.tar.gz')).getnames()}
    assert {'setup.py', 'settings.ini', 'Snakefile', 'LICENSE'} <= sdist
    unwanted = ('tests/', 'reports/', 'docs/', 'data/')
    assert [name for name in sdist if name.startswith(unwanted)] == []
    assert one(built, '*.whl').stat().st_size < 2_000_000


@pytest.fixture(scope='module')
def empty(built, tmp_path_factory):
    "An empty folder, and an environment in which the wheel is found before anything else"
    import os

    package = tmp_path_factory.mktemp('installed')
    wheel = one(built, '*.whl')
    pip = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps']
    run(*pip, '--target', package, wheel, cwd=package)
    path = os.pathsep.join(
        [str(package / 'bin'), str(Path(sys.executable).parent), os.environ['PATH']]
    )
    environment = os.environ | dict(PYTHONPATH=str(package), PATH=path)
    return tmp_path_factory.mktemp('empty folder'), environment


def shell_lines():
    "The commands of README's section for the shell"
    text = (ROOT / 'README.md').read_text()
    block = re.search(r'## From a shell\n\n```\n(.*?)```', text, re.S)[1]
    return block.strip().splitlines()


REFERENCE = ROOT / 'reports' / 'reference' / 'smoke'
# On another processor the last bits differ, and training makes much of them. Without wide vectors
# the same runs had a median |log ratio| of .01 and a largest one of .78 (subject MSE, 32 scores).
TYPICAL, LARGEST = 0.15, log(8)


def made_with(folder):
    "Processor, torch and precision of a study's runs, of which each is one"
    runs = pd.read_csv(folder / 'runs.csv')
    versions = json.loads(runs.versions[0])
    return versions['processor'], versions['torch'], runs.precision[0]


def check_reference(tables, reference):
    "The committed scores again: to the byte on a processor of this kind, else within training noise"
    if made_with(tables) == made_with(reference):
        assert (tables / 'metrics.csv').read_bytes() == (reference / 'metrics.csv').read_bytes()
        return
    key = ['arm', 'predictor', 'split', 'seed', 'unit', 'metric']
    now, then = (
        pd.read_csv(f / 'metrics.csv').set_index(key).value for f in (tables, reference)
    )
    assert set(now.index) == set(then.index)
    errors = [name for name in then.index if name[-2:] == ('subject', 'mse')]
    moved = np.log(now[errors] / then[errors]).abs()
    assert moved['constant'].max() < 1e-6
    assert moved.median() < TYPICAL and moved.max() < LARGEST, moved.round(2).to_string()


def test_a_changed_result_is_seen(tmp_path):
    metrics = pd.read_csv(REFERENCE / 'metrics.csv')
    runs = pd.read_csv(REFERENCE / 'runs.csv')
    for name in ('same', 'other'):
        (tmp_path / name).mkdir()
        runs.to_csv(tmp_path / name / 'runs.csv', index=False)
    shutil.copy(REFERENCE / 'metrics.csv', tmp_path / 'same')
    check_reference(tmp_path / 'same', REFERENCE)
    learnt = metrics.arm != 'constant'
    worse = metrics.assign(value=metrics.value * np.where(learnt, 1.3, 1))
    worse.to_csv(tmp_path / 'other' / 'metrics.csv', index=False)
    with pytest.raises(AssertionError):
        check_reference(tmp_path / 'other', REFERENCE)
    elsewhere = runs.versions.str.replace('AuthenticAMD', 'GenuineIntel')
    runs.assign(versions=elsewhere).to_csv(tmp_path / 'other' / 'runs.csv', index=False)
    with pytest.raises(AssertionError):
        check_reference(tmp_path / 'other', REFERENCE)
    slightly = metrics.assign(value=metrics.value * np.where(learnt, 1.05, 1))
    slightly.to_csv(tmp_path / 'other' / 'metrics.csv', index=False)
    check_reference(tmp_path / 'other', REFERENCE)


def test_readme_works_in_an_empty_folder(empty):
    "A study, its report, and a trained run on new images; about a minute of two cores"
    folder, environment = empty
    where = run(
        sys.executable, '-c', 'import duiit; print(duiit.__file__)', cwd=folder, env=environment
    )
    assert str(ROOT) not in where
    for line in shell_lines():
        assert line.startswith('duiit '), line
        run('bash', '-c', line, cwd=folder, env=environment)
    assert (folder / 'reports' / 'smoke' / 'index.html').exists()
    assert (folder / 'reports' / 'smoke' / 'model_card.md').exists()
    check_reference(folder / 'reports' / 'smoke' / 'tables', REFERENCE)
    assert (folder / 'out.npy').exists()
    assert (folder / 'ages.csv').read_text().startswith('subject,slice,age,warning')


def test_a_folder_of_pictures_becomes_a_cohort(empty):
    folder, environment = empty
    script = 'from pathlib import Path; from duiit.testing import make_discs; make_discs(Path("raw"))'
    run(sys.executable, '-c', script, cwd=folder, env=environment)
    asked = ['--modality', 'CT', '--unit', 'grey', '--subject', r'(s\d+)_\d']
    ages = 'subject,age\n' + '\n'.join(f's{i:02d},{20 + i}' for i in range(12))
    (folder / 'raw' / 'ages.json').unlink()
    (folder / 'raw' / 'ages.csv').write_text(ages)
    run('duiit', 'cohort', 'folder', 'raw', 'discs', *asked, cwd=folder, env=environment)
    assert (folder / 'discs' / 'card.html').exists()


def cpu_seconds(code, empty):
    "CPU seconds of a process, the least of three"
    folder, environment = empty
    timed = f'import resource, subprocess, sys; subprocess.run({code!r}, check=True, stdout=subprocess.DEVNULL)'
    said = '; r = resource.getrusage(resource.RUSAGE_CHILDREN); print(r.ru_utime + r.ru_stime)'
    times = [
        float(run(sys.executable, '-c', timed + said, cwd=folder, env=environment))
        for _ in range(3)
    ]
    return min(times)


def test_it_starts_at_once(empty):
    nothing = cpu_seconds([sys.executable, '-c', 'pass'], empty)
    assert cpu_seconds([sys.executable, '-c', 'import duiit'], empty) - nothing < 0.1
    assert cpu_seconds(['duiit', '--help'], empty) < 0.5
