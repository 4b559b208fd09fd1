"""What the tests protect, and in which order they run.

- lessons: `test_notebooks.py` runs every notebook; `test_outputs.py` looks at what they show
- the repository: `test_repository.py` (exported, clean, formatted, imports run down, no machine named)
- ingestion: `test_tables.py`, `test_formats.py`, `test_dicom_kinds.py`, `test_faces.py`;
  `test_one_truth.py` writes one truth in many encodings; `test_fetch.py` for the fetchers of `data/`
- the site in a browser: `test_site.py`; the wheel in an empty folder, and README's commands: `test_package.py`
- studies: `test_stale.py` (what is trained again), `test_study.py` (from raw files to a report, twice)
- by hand, hours: `kills.py` (studies that are killed), `slurm_proof.py` (a one-node Slurm)

The longest tests come first, and every session is closed with one plain line: N passed, N failed.
"""

# seconds of one core, about: two workers end together when what takes long begins first,
# and each is given the next test when it is done with one (`--dist load --maxschedchunk 1`)
LONG = {
    'test_links_lead': 190,  # builds the site, which the browser's test needs
    'test_study.py': 180,
    'test_a_browser_shows': 155,
    'models/05_translator': 100,
    'empty_folder': 100,
    '10_minutes': 90,
    'report/08_page': 65,
    'models/06_judge': 55,
    'models/07_diffusion': 55,
    'study/07_runs': 55,
    'models/08_segmenter': 50,
    'ingest/09_trials': 42,
    'study/09_masks': 42,
    '91_cli': 35,
    'study/02_results': 31,
    'study/12_forks': 26,
    'guides/masks': 25,
    'data/07_phantom': 20,
    'papermill/': 20,
    'test_notebooks.py': 15,
}


def seconds(item):
    return max([s for name, s in LONG.items() if name in item.nodeid], default=1)


def pytest_collection_modifyitems(items):
    items.sort(key=seconds, reverse=True)


def pytest_unconfigure(config):
    if hasattr(config, 'workerinput'):
        return
    report = config.pluginmanager.get_plugin('terminalreporter')
    if report is None:
        return

    def count(*kinds):
        return sum(len(report.stats.get(k, [])) for k in kinds)

    skipped = count('skipped')
    print(
        f"\n{count('passed')} passed, {count('failed', 'error')} failed"
        + (f", {skipped} skipped" if skipped else '')
    )
