"""Faults on purpose: a study that is disturbed again and again must end with the tables of an undisturbed one.

    python tests/kills.py [--study smoke] [--kills 50] [--seed 0]      SIGKILL of engine, workers and kernels at random moments
    python tests/kills.py --fault raises|memory|killed|disk            one other fault, then the same command again

Not part of `make test`: it takes as long as some dozen studies. It works on copies of the checkout in a temporary folder
(`--work` keeps them) and kills nothing but what runs there. Linux only; `--fault disk` wants root."""

import argparse, json, os, random, shutil, signal, subprocess, sys, tempfile, time, venv
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = (
    '.git',
    '.venv',
    '.snakemake',
    '.pytest_cache',
    '__pycache__',
    '.ipynb_checkpoints',
    'cohorts',
    'raw',
    'reports',
    'build',
    '*.egg-info',
)


# ------------------------------------------------------------ a copy of the checkout
def checkout(folder: Path) -> Path:
    "A copy of this checkout with a thin environment in front of the present one: `make study` works in it as it stands"
    shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns(*LEFT_OUT))
    shutil.copytree(ROOT / 'reports' / 'reference', folder / 'reports' / 'reference')
    env, base = folder / '.venv', Path(sys.prefix)
    venv.create(env, symlinks=True)
    inside = f'lib/python{sys.version_info[0]}.{sys.version_info[1]}/site-packages'
    (env / inside / 'copy.pth').write_text(
        f'{folder}\nimport site; site.addsitedir({str(base / inside)!r})\n'
    )  # the copy's code comes first; the present one may be thin, too
    for f in (base / 'bin').iterdir():
        if (
            f.is_file()
            and not (env / 'bin' / f.name).exists()
            and f.open('rb').read(2) == b'#!'
        ):
            first, rest = f.read_bytes().split(b'\n', 1)
            if first == b'#!/bin/sh' and rest.startswith(b"'''exec' "):
                first, rest = rest.split(
                    b"\n' '''\n", 1
                )  # how pip starts a Python whose path holds a space
            if b'python' in first:
                (env / 'bin' / f.name).write_bytes(f'#!{env}/bin/python\n'.encode() + rest)
                (env / 'bin' / f.name).chmod(0o755)
    (env / 'ready').touch()
    return folder


def start(folder: Path, study: str, log, **env):
    "`make study` in a session of its own"
    clean = {
        k: v
        for k, v in os.environ.items()
        if k not in ('MAKEFLAGS', 'MAKELEVEL', 'PYTHONPATH', 'VIRTUAL_ENV')
    }
    return subprocess.Popen(
        ['make', 'study', f'STUDY={study}'],
        cwd=folder,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=clean | env,
    )


# ------------------------------------------------------------ what runs there
def processes(folder: Path) -> dict:  # kind -> pids
    "What makes cohorts, the engines, workers and kernels that work in `folder`"
    found = {'cohorts': [], 'engine': [], 'worker': [], 'kernel': []}
    for p in Path('/proc').iterdir():
        if not p.name.isdigit():
            continue
        try:
            args, cwd = ((p / 'cmdline').read_bytes().split(b'\0'), os.readlink(p / 'cwd'))
        except OSError:
            continue
        if Path(cwd) != folder or len(args) < 3:
            continue
        name = os.path.basename(args[1])
        kind = (
            'kernel'
            if b'ipykernel_launcher' in args or b'duiit.study.forks' in args[2]
            else 'cohorts'
            if (name, args[2]) == (b'duiit', b'cohorts')
            else {b'snakemake': 'engine', b'papermill': 'worker'}.get(name)
        )
        if kind:
            found[kind].append(int(p.name))
    return {k: v for k, v in found.items() if v}


class Watch:
    "Which runs are finished, and whether one of them is ever touched again"

    def __init__(self, folder: Path):
        self.folder, self.done, self.redone, self.lost = folder, {}, [], []

    def look(self):
        now = {}
        for f in self.folder.glob('runs/*/split*/run.json'):
            try:
                row, at = json.loads(f.read_text()), f.stat().st_mtime_ns
            except (OSError, ValueError):
                continue
            if row.get('status') == 'done':
                now[f'{f.parts[-3]}/{f.parts[-2]}'] = (at, row['started'])
        self.redone += [k for k, v in self.done.items() if k in now and now[k] != v]
        self.done |= now
        return now

    def end(self):
        now = self.look()
        self.lost = [k for k in self.done if k not in now]


# ------------------------------------------------------------ what is left
def parts(folder: Path) -> list:
    return [p for p in folder.rglob('.*.part*')]


def damaged(folder: Path) -> list:
    "Files of results that cannot be read"
    import numpy as np, pyarrow.parquet as pq
    from safetensors import safe_open

    def npz(p):
        with np.load(p) as z:
            [z[k] for k in z.files]

    read = {
        '.json': lambda p: json.loads(p.read_text()),
        '.ipynb': lambda p: json.loads(p.read_text()),
        '.parquet': pq.read_table,
        '.npz': npz,
        '.safetensors': lambda p: safe_open(p, 'np').keys(),
    }
    bad = []
    for p in folder.rglob('*'):
        if p.suffix in read and not p.name.startswith('.') and 'logs' not in p.parts:
            try:
                read[p.suffix](p)
            except Exception as e:
                bad.append(f'{p.relative_to(folder)}: {type(e).__name__}')
    return bad


def same(
    a: Path, b: Path
) -> tuple:  # Number of files that are equal to the byte, names of those that are not
    "Tables, networks and predictions of two studies; not what holds times"

    def names(d):
        return {
            p.relative_to(d)
            for g in ('tables/*.parquet', 'runs/*/split*/*.parquet', 'runs/*/split*/nets.*')
            for p in d.glob(g)
        } - {Path('tables/runs.parquet')}

    A, B = names(a), names(b)
    differ = [
        str(p)
        for p in sorted(A | B)
        if p not in A or p not in B or (a / p).read_bytes() != (b / p).read_bytes()
    ]
    return len(A | B) - len(differ), differ


def finish(folder: Path, study: str, log, most: int = 4) -> int:  # Calls that it took
    "The same command until the study is finished"
    for n in range(1, most + 1):
        if start(folder, study, log).wait() == 0:
            return n
    sys.exit(f'the study did not finish in {most} calls: see {log.name}')


# ------------------------------------------------------------ kills
def kill(folder: Path, a) -> dict:
    "SIGKILL at random moments until there were `a.kills` of engine, worker or kernel (those of `duiit cohorts` come on top), then the same command until the study is finished"

    def count():
        return sum(kinds.values()) - kinds['cohorts']

    rng, watch, kinds, calls, pause, t0 = (
        random.Random(a.seed),
        Watch(folder / 'reports' / a.name),
        Counter(),
        0,
        4.0,
        time.time(),
    )
    make = None
    with open(folder.parent / 'kills.log', 'a') as log:
        while count() < a.kills:
            if make is None or make.poll() is not None:
                if make is not None and make.returncode == 0:
                    print('finished before the last kill')
                    break
                make, calls = start(folder, a.study, log), calls + 1
            # as many runs finished as kills done, in proportion: pauses shrink when the study is ahead and grow when it is behind
            ahead = len(watch.done) / a.runs - count() / a.kills
            pause = min(max(pause * (0.8 if ahead > 0 else 1.25), 3.0), 30.0)
            end = time.time() + rng.uniform(0, 2 * pause)
            while time.time() < end and make.poll() is None:
                watch.look()
                time.sleep(0.1)
            there = processes(folder)
            if not there:
                time.sleep(0.2)
                continue
            kind = rng.choice(sorted(there))
            pid = rng.choice(there[kind])
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            kinds[kind] += 1
            print(
                (
                    f"{time.time() - t0:6.0f} s  kill {count():3}  {kind:7} pause about "
                    f"{pause:4.1f} s  {len(watch.done):3} of {a.runs} runs finished  call "
                    f"{calls}"
                ),
                flush=True,
            )
        while make.poll() is None:
            watch.look()
            time.sleep(0.2)
        calls += finish(folder, a.study, log)
    watch.end()
    return dict(
        kills=dict(kinds),
        calls=calls,
        minutes=round((time.time() - t0) / 60, 1),
        redone=watch.redone,
        lost=watch.lost,
    )


# ------------------------------------------------------------ other faults, put into the kernels by IPython's own start-up files
FAULTS = dict(  # what happens to one training in the middle of it; `disk` happens to all
    raises="raise RuntimeError('raised on purpose')",
    memory="resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms+(256<<20),)*2); np.ones(1<<30)",
    killed="os.kill(os.getpid(), 9) # as the kernel's out-of-memory killer does",
)
STARTUP = '''import os, psutil, resource, numpy as np, duiit.study.runs as r
f = r.save_nets
def save_nets(run):
    if (run.arm.name, run.index)==(%r, 1): %s
    f(run)
r.save_nets = save_nets
'''


def with_start(folder: Path, code: str) -> dict:  # Environment
    "Kernels that run `code` first"
    f = folder / 'ipython' / 'profile_default' / 'startup' / '00-fault.py'
    f.parent.mkdir(parents=True, exist_ok=True)
    f.write_text(code)
    return dict(IPYTHONDIR=str(folder / 'ipython'))


def fault(folder: Path, a) -> dict:
    "A study under a fault, what its report says of it, and the same command after the fault is gone"
    watch, t0 = Watch(folder / 'reports' / a.name), time.time()
    with open(folder.parent / f'{a.fault}.log', 'a') as log:
        make = start(
            folder,
            a.study,
            log,
            **(
                {}
                if a.fault == 'disk'
                else with_start(folder, STARTUP % (a.arm, FAULTS[a.fault]))
            ),
        )
        filler = folder.parent / 'filler'
        while make.poll() is None:
            watch.look()
            time.sleep(0.2)
            if a.fault == 'disk' and watch.done and not filler.exists():
                fill(filler)
        if filler.exists():
            while processes(folder):
                time.sleep(0.2)
            filler.unlink()
        first = make.returncode
        said = subprocess.run(
            [
                folder / '.venv' / 'bin' / 'python',
                '-c',
                (
                    "from duiit.study.results import collect; r = "
                    f"collect('reports/{a.name}')['runs']; r = r[r.status!='done']; "
                    "print(r.groupby(['status','reason']).size().to_string() if len(r) else "
                    "'every run has a result')"
                ),
            ],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        calls = finish(folder, a.study, log)
    watch.end()
    return dict(
        first_status=first,
        said=said.stdout.strip() or said.stderr[-500:],
        calls=calls + 1,
        minutes=round((time.time() - t0) / 60, 1),
        redone=watch.redone,
        lost=watch.lost,
    )


def fill(path: Path):
    "Write until the disk is full"
    with open(path, 'wb', buffering=0) as f:
        try:
            while True:
                f.write(b'\0' * (1 << 16))
        except OSError:
            pass


# ------------------------------------------------------------
def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument(
        '--study', default='smoke', help='name of a study, or a YAML file inside the checkout'
    )
    p.add_argument('--kills', type=int, default=50)
    p.add_argument('--seed', type=int, default=0)
    p.add_argument(
        '--fault',
        choices=(*FAULTS, 'disk'),
        help='instead of kills: a run raises, runs out of memory, is killed; a full disk',
    )
    p.add_argument(
        '--arm', default='mix-ct-mri', help='the training that this happens to, on split 1'
    )
    p.add_argument(
        '--disk', type=int, default=400, help='of --fault disk: size of the disk, MB'
    )
    p.add_argument('--work', help='folder for the copies; kept')
    a = p.parse_args()
    work = Path(a.work or tempfile.mkdtemp(prefix='duiit-kills-')).resolve()
    work.mkdir(parents=True, exist_ok=True)
    from duiit.study.arms import load_study, runs_of

    s = load_study(str(ROOT / a.study) if a.study.endswith(('.yaml', '.yml')) else a.study)
    a.name, a.runs = s.name, len(runs_of(s)) * s.splits
    whole = work / 'undisturbed'
    if not (whole / 'reports' / a.name / 'index.html').exists():
        shutil.rmtree(whole, ignore_errors=True)
        t0 = time.time()
        print(
            'calls of the undisturbed study:',
            finish(checkout(whole), a.study, open(work / 'undisturbed.log', 'w'), 1),
            f'({time.time() - t0:.0f} s)',
            flush=True,
        )
    place, mounted = work / (a.fault or 'kills'), False
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    try:
        if a.fault == 'disk':
            subprocess.run(
                ['mount', '-t', 'tmpfs', '-o', f'size={a.disk}m', 'tmpfs', place], check=True
            )
            mounted = True
        folder = checkout(place / 'copy')
        r = fault(folder, a) if a.fault else kill(folder, a)
        equal, differ = same(whole / 'reports' / a.name, folder / 'reports' / a.name)
        bad, left = (
            damaged(folder / 'reports' / a.name),
            parts(folder / 'reports') + parts(folder / 'data'),
        )
    finally:
        if mounted:
            subprocess.run(['umount', '-l', place])
    for k, v in r.items():
        print(f'{k}: {v}')
    print(
        f'half-written files that count as results: {len(bad)} {bad[:5]}\ntemporary '
        f'files left behind: {len(left)} {[p.name for p in left[:3]]}'
    )
    print(
        f"tables, networks and predictions equal to the byte: {equal}, different: {len(differ)} {differ[:5]}"
    )
    good = not (differ or bad or left or r['redone'] or r['lost'])
    print('PASSED' if good else 'FAILED')
    if not a.work and good:
        shutil.rmtree(work)
    sys.exit(not good)


if __name__ == '__main__':
    main()
