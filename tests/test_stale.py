"""A study never goes stale: what a run was made from is compared with what its study declares now, by the engine, the progress and the report alike."""

import json, os, subprocess, sys
from dataclasses import replace
from pathlib import Path
import numpy as np, pandas as pd, pytest

sys.path.insert(0, str(Path(__file__).parent))
from duiit import cli
from duiit.data.cohort import Cohort
from duiit.core import InputError, read_json, write_json
from duiit.study.results import collect, due, write_run
from duiit.study.declare import declare, make_cohorts
from duiit.study.arms import Study, load_study, notebooks_of

BIN, ROOT = Path(sys.executable).parent, Path(__file__).parents[1]


# ------------------------------------------------------------ a study of made-up heads
def head(seed, size=16):
    "A disc with noise, in HU, (size, size)"
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    noise = np.random.default_rng(seed).normal(0, 5, (size, size))
    return np.where(np.hypot(x, y) < 0.8, 40, -1000) + np.rint(noise)


def cohort(folder, seed, n=10, size=16, truth=None, window=(-100, 200)):
    "Two slices of each of `n` people"
    images = np.stack([head(1000 * seed + i, size) for i in range(2 * n)])
    who = [f'{folder.name}{i // 2:02d}' for i in range(2 * n)]
    age = np.repeat(30 + 5.0 * np.arange(n), 2)
    said = dict(
        modality='CT',
        unit='HU',
        window=list(window),
        label_name='age',
        label_unit='years',
        truth=truth,
        spacing_mm=12.0,
    )
    Cohort.from_arrays(images, who, age, name=folder.name, **said).save(folder)


def cohorts(root, **kw):
    "Target, two sources of which one has true target images, and other target subjects"
    for seed, (name, truth) in enumerate(
        [('ct', None), ('mri', '../mri_ct'), ('pet', None), ('ct_held', None)]
    ):
        cohort(root / name, seed, truth=truth, **kw)
    c = Cohort.load(root / 'mri')
    Cohort.from_arrays(
        c.images[:] + 7,
        c.frame.subject,
        c.frame.label,
        slice=c.frame.slice,
        name='mri_ct',
        modality='CT',
        unit='HU',
        window=[-100, 200],
        label_name='age',
        label_unit='years',
    ).save(root / 'mri_ct')


ARMS = ('pure-ct', 'simple', 'tl-mri', 'tl-pet', 'mix-ct-mri', 'mix-ct-pet', 'bound-mri')
MRI, PET = {'tl-mri', 'mix-ct-mri', 'bound-mri'}, {'tl-pet', 'mix-ct-pet'}


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    "Cohorts with their judge"
    root = tmp_path_factory.mktemp('stale') / 'mine'
    cohorts(root)
    study = Study(
        'mine',
        str(root),
        arms=ARMS,
        splits=1,
        preset='smoke',
        fractions=(0.5, 0.2, 0.3),
        judge='ct_held',
    )
    make_cohorts(study)
    return study


@pytest.fixture
def study(made, tmp_path):
    "The same in a folder of its own"
    import shutil

    shutil.copytree(made.cohorts, tmp_path / 'mine')
    return replace(made, cohorts=str(tmp_path / 'mine'))


def finish(study, reports):
    "Write all runs as training would, without training"
    declared = read_json(declare(study, reports))
    for run, idents in declared['idents'].items():
        for k, ident in enumerate(idents):
            write_finished(
                Path(reports) / study.name / 'runs' / run / f'split{k}', run, k, ident, declared
            )


def write_finished(folder, run, split, ident, declared):
    key = dict(arm=run, predictor='refit', split=split, seed=0, cohort='ct', subject='a')
    both = pd.DataFrame(
        [
            key | dict(predictor=p, slice=i, label=30.0, prediction=31.0)
            for p in ('refit', 'joint', 'constant')
            for i in range(2)
        ]
    )
    prints = {n: c['fingerprint'] for n, c in declared['cohorts'].items()}
    write_run(
        folder,
        dict(
            arm=run,
            split=split,
            seed=0,
            preset='smoke',
            by='subject',
            seconds=1.0,
            ident=ident,
            cohorts=prints,
        ),
        predictions=both,
    )


def redone(study, reports):
    "The runs that the engine trains after a change"
    finish_first = not (Path(reports) / study.name).exists()
    if finish_first:
        finish(study, reports)
    declare(study, reports)
    return {r for r, _ in due(Path(reports) / study.name)}


# ------------------------------------------------------------ changes and the runs that they touch
def relabel(name, who=0):
    def change(study):
        table = Path(study.cohorts) / name / 'cohort.csv'
        t = pd.read_csv(table)
        t.loc[t.subject == t.subject.unique()[who], 'label'] += 1
        t.to_csv(table, index=False)

    return change


def window(name):
    def change(study):
        side = Path(study.cohorts) / name / 'cohort.json'
        write_json(side, read_json(side) | dict(window=[-50, 150]))

    return change


def pixel(name):
    def change(study):
        image = sorted((Path(study.cohorts) / name / 'images').iterdir())[3]
        x = np.load(image)
        x.flat[5] += 1
        np.save(image, x)

    return change


def notes(study):
    side = Path(study.cohorts) / 'ct' / 'cohort.json'
    write_json(side, read_json(side) | dict(notes='Read twice.'))


def judge_again(study):
    relabel('ct_held')(study)
    make_cohorts(study)


ALL = set(ARMS)
CHANGES = dict(
    nothing=(lambda s: None, set()),
    note=(notes, set()),
    label_of_target=(relabel('ct'), ALL),
    label_of_mri=(relabel('mri'), MRI),
    label_of_pet=(relabel('pet'), PET),
    window_of_target=(window('ct'), ALL),
    window_of_mri=(window('mri'), MRI),
    pixel_of_target=(pixel('ct'), ALL),
    pixel_of_pet=(pixel('pet'), PET),
    pixel_of_truth=(pixel('mri_ct'), {'mix-ct-mri', 'bound-mri'}),
    label_of_judge=(judge_again, {'mix-ct-mri', 'mix-ct-pet'}),
)


@pytest.mark.parametrize('name', CHANGES)
def test_a_change_of_the_data_touches_those_who_read_it(study, tmp_path, name):
    change, touched = CHANGES[name]
    finish(study, tmp_path / 'reports')
    change(study)
    assert redone(study, tmp_path / 'reports') == touched


SETTINGS = dict(
    fractions=(dict(fractions=(0.4, 0.3, 0.3)), ALL),
    preset=(dict(change=dict(lr=0.5)), ALL),
    seed=(dict(seed=7), ALL),
    scored=(dict(scored='valid'), ALL),
    faces=(dict(faces=True), {'mix-ct-mri', 'mix-ct-pet'}),
    judge=(dict(judge=''), {'mix-ct-mri', 'mix-ct-pet'}),
    source_test=(
        dict(source_test=0.3),
        MRI | PET | {'simple'},
    ),  # which makes as many images as the sources have
    log=(dict(log='tensorboard'), set()),
    splits=(dict(splits=2), ALL),  # the second split of each
)


@pytest.mark.parametrize('name', SETTINGS)
def test_a_change_of_the_settings(study, tmp_path, name):
    change, touched = SETTINGS[name]
    finish(study, tmp_path / 'reports')
    assert redone(replace(study, **change), tmp_path / 'reports') == touched


def test_faces_of_phantoms_change_nothing(study, tmp_path):
    for name in ('mri', 'pet'):
        side = Path(study.cohorts) / name / 'cohort.json'
        write_json(side, read_json(side) | dict(phantom=True))
    finish(study, tmp_path / 'reports')
    assert redone(replace(study, faces=True), tmp_path / 'reports') == set()


def test_a_source_that_is_swapped_touches_nobody_else(study, tmp_path):
    finish(study, tmp_path / 'reports')
    cohort(Path(study.cohorts) / 't2', 9)
    arms = [a.replace('pet', 't2') for a in ARMS]
    swapped = replace(study, sources=('mri', 't2'), arms=arms)
    assert redone(swapped, tmp_path / 'reports') == {'tl-t2', 'mix-ct-t2'}


def test_more_images_of_a_source_touch_those_who_count_them(study, tmp_path):
    finish(study, tmp_path / 'reports')
    cohort(Path(study.cohorts) / 'pet', 2, n=30)
    assert redone(study, tmp_path / 'reports') == PET | {'simple'}


# ------------------------------------------------------------ everybody says the same of a stale run
def test_progress_cost_report_and_engine_agree(study, tmp_path, capsys):
    reports, file = tmp_path / 'reports', tmp_path / 'mine.yaml'
    file.write_text(
        json.dumps(
            dict(
                cohorts=study.cohorts,
                arms=ARMS,
                splits=1,
                preset='smoke',
                fractions=[0.5, 0.2, 0.3],
                judge='ct_held',
            )
        )
    )

    def say(*argv):
        assert cli.main([*argv, str(file), '--reports', str(reports)]) == 0
        return capsys.readouterr().out

    finish(study, reports)
    pages = [reports / 'mine' / 'notebooks' / f'{n}-split0.ipynb' for n in notebooks_of(study)]
    for p in pages:
        p.parent.mkdir(exist_ok=True)
        p.write_text('{}')
    say('cohorts')
    assert all(p.exists() for p in pages)
    assert '100%  7 of 7 runs done' in say('progress')
    relabel('pet')(study)
    say('cohorts')
    assert [p.name for p in pages if not p.exists()] == [
        'mix-ct-pet-split0.ipynb',
        'short-split0.ipynb',
    ]  # the engine makes these again
    assert '5 of 7 runs done, 2 stale' in say('progress')
    assert '5 runs are there already, 2 stale: made from other data or settings' in say('cost')
    t = collect(reports / 'mine')
    stale = t['runs'][t['runs'].status == 'stale']
    assert (
        set(stale.arm) == PET
        and stale.reason.str.contains(
            'labels or another window of pet than the study has now'
        ).all()
    )
    assert not PET & set(t['predictions'].arm)
    relabel('pet')(study)  # and back is not the same: it was 1 more, now it is 2 more
    say('cohorts')
    assert '2 stale' in say('progress')


def test_a_run_that_was_deleted_or_made_by_hand_is_shown_anew(study, tmp_path):
    reports = tmp_path / 'reports'
    finish(study, reports)
    page = reports / 'mine' / 'notebooks' / 'mix-ct-mri-split0.ipynb'
    row = reports / 'mine' / 'runs' / 'mix-ct-mri' / 'split0' / 'run.json'
    for spoil in (lambda: row.with_name('predictions.parquet').unlink(), lambda: row.unlink()):
        page.parent.mkdir(exist_ok=True)
        page.write_text('{}')
        spoil()
        cli.drop_notebooks(study, reports / 'mine')
        assert not page.exists()
        finish(study, reports)


def test_declarations_without_identities_judge_nothing():
    from duiit.study.results import ident_of, is_stale

    reference = Path(__file__).parents[1] / 'reports' / 'reference' / 'phantom'
    declared = read_json(reference / 'study.json')
    assert is_stale({}, ident_of(declared, 'pure-ct', 0))
    declared.pop('idents')  # as version 0.1 wrote it
    assert not is_stale({}, ident_of(declared, 'pure-ct', 0))


# ------------------------------------------------------------ two studies of one name
def test_two_studies_of_one_name(tmp_path, monkeypatch):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'b').mkdir()
    folder = tmp_path / 'reports' / 'mine'
    a, b = tmp_path / 'a' / 'mine.yaml', tmp_path / 'b' / 'mine.yaml'
    a.touch()
    b.touch()
    cli.claim(str(a), folder)
    cli.claim(str(b), folder)
    cli.claim(str(a), folder)  # nothing is there to lose
    write_json(folder / 'runs' / 'x' / 'split0' / 'run.json', {})
    cli.claim(str(a), folder)
    with pytest.raises(InputError, match='another study of this name'):
        cli.claim(str(b), folder)
    a.unlink()
    cli.claim(str(b), folder)  # it was moved


# ------------------------------------------------------------ a closed pipe
@pytest.mark.parametrize(
    'start,command',
    [
        ([str(BIN / 'duiit')], ['--help']),
        ([sys.executable, '-m', 'duiit.cli'], ['cohort', '--help']),
        ([sys.executable, '-u', '-m', 'duiit.cli'], ['--help']),
        ([str(BIN / 'duiit')], ['nothing']),
    ],
)
def test_a_closed_pipe_ends_silently(start, command):
    p = subprocess.Popen(start + command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    p.stdout.close()  # before anything is written
    said, status = p.stderr.read().decode(), p.wait()
    if command == ['nothing']:
        assert status == 2 and said.startswith(
            'duiit: unknown command'
        )  # what goes wrong is told as ever
    else:
        assert status in (0, 141) and said == ''  # argparse ends with 0


# ------------------------------------------------------------ names
NAMES = [
    '2024_05',
    '007',
    '1e3',
    'no',
    '2024-05-01',
    'mine 2',
    "o'brien",
    'a&b',
    'grösse',
    '{x}',
    'a$b',
    'a$(b)',
    'a"b',
    '-x',
    'a,b',
    'a#b',
]
ECHO = """echo: ; @printf '%s' "$$DUIIT_STUDY"
again: ; @$(MAKE) --no-print-directory echo"""


@pytest.mark.parametrize('name', NAMES)
def test_make_hands_on_a_name_as_it_is_written(name):
    clean = {
        k: v for k, v in os.environ.items() if k not in ('MAKEFLAGS', 'MAKELEVEL')
    }  # of the `make test` that runs this

    def said(**given):
        words = [f'{k}={v}' for k, v in given.items()]
        return subprocess.run(
            ['make', '--eval', ECHO, 'again', *words],
            cwd=ROOT,
            env=clean,
            capture_output=True,
            text=True,
        ).stdout

    assert said(STUDY=name) == name
    assert said(COHORTS=name) == f'{name}/'  # a folder, never a study of the package


@pytest.mark.parametrize('name', NAMES[:9])
def test_a_folder_of_cohorts_gives_the_study_its_name(name, tmp_path):
    for c in ('ct', 'mri'):
        write_json(tmp_path / name / c / 'cohort.json', {})
    assert load_study(f'{tmp_path}/{name}/').name == name
    (tmp_path / 'link').symlink_to(tmp_path / name)
    assert load_study(tmp_path / 'link').name == 'link'


@pytest.mark.parametrize('name', ['{x}', 'a$b', '-x', 'reference', 'smoke', 'a,b'])
def test_or_is_refused(name, tmp_path):
    for c in ('ct', 'mri'):
        write_json(tmp_path / name / c / 'cohort.json', {})
    with pytest.raises(InputError) as e:
        load_study(f'{tmp_path}/{name}')
    assert repr(name) in str(e.value) and '\n' not in str(e.value)


@pytest.mark.parametrize('name', ['a+b', 'x/y', '', 'm,r', '{x}'])
def test_names_of_cohorts(name):
    with pytest.raises(InputError, match='cannot be the name of a cohort'):
        Study('mine', 'x', sources=(name,))


@pytest.mark.parametrize('sources', [('mri', 'mri'), ('mri', 'mri-detached')])
def test_arms_of_one_name(sources):
    with pytest.raises(InputError, match="two arms would be named"):
        Study('mine', 'x', sources=sources)


# ------------------------------------------------------------ kernels
SLOW = """kernel = get_ipython().kernel
send = kernel.session.send
def slow(stream, what, *a, **k):
    import time
    sent = send(stream, what, *a, **k)
    if what=='kernel_info_reply': time.sleep(.5) # papermill interrupts the kernel meanwhile
    return sent
kernel.session.send = slow
"""


@pytest.mark.parametrize('quiet', [False, True])
def test_a_kernel_ends_quietly(quiet, tmp_path):
    import nbformat

    code = SLOW + 'from duiit.core import quiet_end; quiet_end()' * quiet
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(code)],
        metadata=dict(
            kernelspec=dict(name='python3', display_name='Python', language='python')
        ),
    )
    nbformat.write(book, tmp_path / 'a.ipynb')
    r = subprocess.run(
        [
            str(BIN / 'papermill'),
            str(tmp_path / 'a.ipynb'),
            str(tmp_path / 'b.ipynb'),
            '--no-progress-bar',
            '--log-level',
            'ERROR',
        ],
        capture_output=True,
        text=True,
    )
    assert ('KeyboardInterrupt' in r.stderr) == (not quiet), r.stderr
