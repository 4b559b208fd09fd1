"""Packaging: everything is read from settings.ini, which nbdev reads too."""

import json, shutil
from configparser import ConfigParser
from pathlib import Path
from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
ENGINE = (
    'Snakefile',
    *sorted(ROOT.glob('profiles/*/*')),
    *sorted(ROOT.glob('nbs/papermill/*.ipynb')),
)


def without_outputs(text):
    "A notebook as papermill needs it"
    notebook = json.loads(text)
    for cell in notebook['cells']:
        if cell['cell_type'] == 'code':
            cell.update(outputs=[], execution_count=None)
    return json.dumps(notebook, indent=1, ensure_ascii=False)


class WithEngine(build_py):
    "The package, and in it what runs a study: Snakefile, profiles, notebooks"

    def run(self):
        super().run()
        for name in map(Path, ENGINE):
            source = ROOT / name
            target = Path(self.build_lib) / 'duiit' / 'engine' / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.suffix == '.ipynb':
                target.write_text(without_outputs(source.read_text('utf-8')), 'utf-8')
            else:
                shutil.copy(source, target)


cfg = ConfigParser(delimiters=['='], interpolation=None)
cfg.read(Path(__file__).parent / 'settings.ini', encoding='utf-8')
c = cfg['DEFAULT']

setup(
    name=c['lib_name'],
    version=c['version'],
    description=c['description'],
    author=c['author'],
    license='Apache-2.0',
    long_description=Path('README.md').read_text(encoding='utf-8')
    if Path('README.md').exists()
    else '',
    long_description_content_type='text/markdown',
    keywords=c['keywords'].split(),
    python_requires=f">={c['min_python']}",
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3.11',
        'Topic :: Scientific/Engineering :: Medical Science Apps.',
    ],
    packages=find_packages(include=['duiit*']),
    package_data={'': ['*.npz', '*.j2', 'py.typed']},
    cmdclass=dict(build_py=WithEngine),
    install_requires=c['requirements'].split(),
    extras_require={
        name: c[f'{name}_requirements'].split() for name in ('dev', 'docs', 'cluster')
    },
    entry_points={
        'console_scripts': ['duiit=duiit.cli:main'],
        'nbdev': ['duiit=duiit._modidx:d'],
    },
)
