"""A one-node Slurm, set up for one small study and taken away again: do the tables equal those of a run without Slurm?

    sudo .venv/bin/python tests/slurm_proof.py [--work FOLDER]

Not part of `make test`. For a Debian or Ubuntu machine, or a container of one, as root: it installs slurm-wlm and munge if
they are missing (and removes them afterwards), links its configuration into /etc/slurm (and restores what was there) and
keeps everything else in a temporary folder. One job is cancelled and one fails on its first try, to see both tried again."""

import argparse, os, shutil, socket, subprocess, sys, tempfile, time
from pathlib import Path
from kills import checkout, finish, parts, same, start, with_start

STUDY = '''name: tiny
cohorts: data/cohorts/tiny
target: ct
sources: [mri]
arms: [pure-ct, mix-ct-mri]
splits: 2
preset: smoke
fractions: [.5, .2, .3]
make: {phantom: {ct: 10, mri: 6, pet: 0, slices: 2, size: 32}}
'''
SLURM_CONF = '''ClusterName=proof
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={w}/munge.socket
CredType=cred/munge
StateSaveLocation={w}/state
SlurmdSpoolDir={w}/spool
SlurmctldPidFile={w}/slurmctld.pid
SlurmdPidFile={w}/slurmd.pid
SlurmctldLogFile={w}/slurmctld.log
SlurmdLogFile={w}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MinJobAge=3600
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={mb} Gres=gpu:{cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
'''
# in every kernel: note where it runs, and let one run fail the first time
STARTUP = '''import os, duiit.study.runs as r
with open(%r, 'a') as f: print(os.environ.get('SLURM_JOB_ID'), 'gpu', os.environ.get('CUDA_VISIBLE_DEVICES'), file=f)
f = r.save_nets
def save_nets(run):
    if (run.arm.name, run.index)==('mix-ct-mri', 1):
        try: os.close(os.open(%r, os.O_CREAT|os.O_EXCL))
        except FileExistsError: return f(run)
        raise RuntimeError('fails on its first try')
    f(run)
r.save_nets = save_nets
'''


def sh(*args, **kw):
    return subprocess.run([str(a) for a in args], check=True, text=True, **kw)


def out(*args):
    return sh(*args, capture_output=True).stdout


def packages():
    return set(out('dpkg-query', '-W', '-f', '${binary:Package}\n').split())


def users():
    return {l.split(':')[0] for l in Path('/etc/passwd').read_text().splitlines()}


def free_ports(n):
    ss = [socket.socket() for _ in range(n)]
    for s in ss:
        s.bind(('127.0.0.1', 0))
    ports = [s.getsockname()[1] for s in ss]
    for s in ss:
        s.close()
    return ports


class Slurm:
    "A throw-away cluster of this machine"

    def __init__(self, w: Path):
        self.w, self.undo = w, []

    def __enter__(self):
        try:
            self.install()
            self.configure()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for f in reversed(self.undo):
            try:
                f()
            except Exception as e:
                print(f'not undone: {e}')

    def install(self):
        if all(map(shutil.which, ('slurmctld', 'slurmd', 'munged', 'sbatch'))):
            print('Slurm is here already and stays')
            return
        before, known, policy = packages(), users(), Path('/usr/sbin/policy-rc.d')
        env = os.environ | dict(DEBIAN_FRONTEND='noninteractive')

        def remove():
            new = sorted(packages() - before)
            sh(
                'apt-get',
                'purge',
                '-y',
                '-qq',
                *new,
                env=env,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for u in users() - known:
                sh('userdel', u, capture_output=True)
            print(
                f'removed {len(new)} packages; left over: {sorted(packages() - before) or "none"}'
            )

        self.undo.append(remove)
        if not policy.exists():
            policy.write_text('#!/bin/sh\nexit 101\n')
            policy.chmod(0o755)
            self.undo.append(policy.unlink)  # no package starts a service of its own
        sh(
            'apt-get',
            'install',
            '-y',
            '-qq',
            '--no-install-recommends',
            'slurm-wlm',
            'munge',
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        print(f'installed {len(packages() - before)} packages')

    def configure(self):
        w, etc = self.w, Path('/etc/slurm')
        cpus, mb = (
            os.cpu_count(),
            os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 20,
        )
        for d in ('state', 'spool'):
            (w / d).mkdir()
        (w / 'munge.key').write_bytes(os.urandom(1024))
        (w / 'munge.key').chmod(0o400)
        self.host = socket.gethostname().split('.')[0]
        (w / 'slurm.conf').write_text(
            SLURM_CONF.format(
                w=w, host=self.host, ports=free_ports(2), cpus=cpus, mb=int(0.9 * mb)
            )
        )
        (w / 'cgroup.conf').write_text('CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n')
        for i in range(cpus):
            sh('mknod', w / f'fakegpu{i}', 'c', 1, 3)  # what Slurm counts as a GPU here
        (w / 'gres.conf').write_text(
            f'AutoDetect=off\nNodeName={self.host} Name=gpu File={w}/fakegpu[0-{cpus - 1}]\n'
        )
        kept = w / 'etc-slurm'
        if etc.exists():
            shutil.move(etc, kept)

        def restore():
            shutil.rmtree(etc)
            if kept.exists():
                shutil.move(kept, etc)

        etc.mkdir()
        self.undo.append(restore)
        for f in ('slurm.conf', 'cgroup.conf', 'gres.conf'):
            (etc / f).symlink_to(w / f)

    def start(self):
        w = self.w
        self.run(
            'munged',
            'munged',
            '--force',
            f'--socket={w}/munge.socket',
            f'--key-file={w}/munge.key',
            f'--pid-file={w}/munged.pid',
            f'--log-file={w}/munged.log',
            f'--seed-file={w}/munge.seed',
        )
        self.run('slurmctld', 'slurmctld', '-c')
        self.run('slurmd', 'slurmd', '-c', '-N', self.host)
        for _ in range(60):
            if (
                'idle'
                in (
                    r := subprocess.run(
                        ['sinfo', '-h', '-o', '%T'], capture_output=True, text=True
                    )
                ).stdout
            ):
                return
            time.sleep(1)
        raise RuntimeError(
            f'the node does not become idle: {r.stdout} {r.stderr} '
            f'{(w / "slurmctld.log").read_text()[-1500:]} '
            f'{(w / "slurmd.log").read_text()[-1500:]}'
        )

    def run(self, name, *args):
        "Start a daemon, and stop it by its pid file in the end"
        pid = self.w / f'{name}.pid'

        def stop():
            if not pid.exists():
                return
            n = int(pid.read_text())
            os.kill(n, 15)
            for _ in range(100):
                if not Path(f'/proc/{n}').exists():
                    return
                time.sleep(0.1)
            os.kill(n, 9)

        self.undo.append(stop)
        sh(*args, capture_output=True)


def queue():
    return [
        l.split('|') for l in out('squeue', '-h', '-t', 'all', '-o', '%i|%T|%k').splitlines()
    ]


def study(folder: Path, log, plugin) -> subprocess.Popen:
    "The study through Slurm: the same grid, another profile"
    env = (
        {
            k: v
            for k, v in os.environ.items()
            if k not in ('PYTHONPATH', 'VIRTUAL_ENV', 'MAKEFLAGS')
        }
        | with_start(folder, STARTUP % (str(folder / 'where'), str(folder / 'failed-once')))
        | dict(
            PATH=f"{folder}/.venv/bin:{os.environ['PATH']}",
            OMP_NUM_THREADS='1',
            TQDM_DISABLE='1',
        )
    )
    sh(
        folder / '.venv' / 'bin' / 'duiit',
        'cohorts',
        'tiny.yaml',
        cwd=folder,
        env=env,
        stdout=log,
    )
    return subprocess.Popen(
        ['snakemake', '--profile', 'profiles/slurm', '--config', 'study=tiny.yaml'],
        executable=folder / '.venv' / 'bin' / 'snakemake',
        cwd=folder,
        env=env,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


def main():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument('--work', help='folder for everything; kept')
    p.add_argument(
        '--plugin',
        default='snakemake-executor-plugin-slurm==2.8.0',
        help='what pip installs into the copy\'s own environment',
    )
    a = p.parse_args()
    if os.geteuid():
        sys.exit('only root can start a Slurm')
    if any(
        (p / 'comm').read_text().strip() in ('slurmctld', 'slurmd')
        for p in Path('/proc').iterdir()
        if p.name.isdigit() and (p / 'comm').exists()
    ):
        sys.exit('a Slurm runs on this machine: this script keeps away from it')
    w = Path(a.work or tempfile.mkdtemp(prefix='duiit-slurm-')).resolve()
    w.mkdir(exist_ok=True)
    w.chmod(0o755)
    plain, cluster = checkout(w / 'plain'), checkout(w / 'cluster')
    for d in (plain, cluster):
        (d / 'tiny.yaml').write_text(STUDY)
    t0 = time.time()
    finish(plain, 'tiny.yaml', open(w / 'plain.log', 'w'), 1)
    print(f'without Slurm: {time.time() - t0:.0f} s', flush=True)
    sh(
        cluster / '.venv' / 'bin' / 'python',
        '-m',
        'pip',
        'install',
        '-q',
        '--disable-pip-version-check',
        a.plugin,
    )
    cancelled = None
    with Slurm(w), open(w / 'cluster.log', 'w') as log:
        t0 = time.time()
        run = study(cluster, log, a.plugin)
        while run.poll() is None:
            if cancelled is None:
                there = [
                    i
                    for i, state, about in queue()
                    if state == 'RUNNING'
                    and 'mix-ct-mri' in about
                    and '0' in about.split('mix-ct-mri')[1]
                ]
                if there and (cluster / 'where').exists():
                    cancelled = there[0]
                    sh('scancel', cancelled)
                    print('cancelled job', cancelled, flush=True)
            time.sleep(0.5)
        jobs, took = queue(), time.time() - t0
    text = (w / 'cluster.log').read_text()
    print(f'through Slurm: {took:.0f} s, status {run.returncode}\njobs:')
    [print('  ', *j) for j in sorted(jobs, key=lambda j: int(j[0]))]
    print(
        'kernels saw:', *sorted(set((cluster / 'where').read_text().splitlines())), sep='\n   '
    )
    equal, differ = same(plain / 'reports' / 'tiny', cluster / 'reports' / 'tiny')
    steps = [l for l in text.splitlines() if 'steps (100%) done' in l]
    left = parts(cluster / 'reports')
    print(
        f"{steps[-1:]}\ntables, networks and predictions equal to the byte: {equal}, "
        f"different: {len(differ)} {differ[:5]}\ntemporary files left: {len(left)}"
    )
    states = [s for _, s, _ in jobs]
    good = (
        run.returncode == 0
        and steps
        and not differ
        and not left
        and cancelled
        and 'CANCELLED' in states
        and 'FAILED' in states
        and (cluster / 'failed-once').exists()
    )
    print('PASSED' if good else f'FAILED: see {w}')
    if good and not a.work:
        shutil.rmtree(w)
    sys.exit(not good)


if __name__ == '__main__':
    main()
