"""The longest tests first; every test session is closed with one plain line: N passed, N failed."""

# seconds, about: two workers end together when what takes long begins first
LONG = {
    'test_study.py': 200,
    'study/07_runs': 100,
    '10_minutes': 90,
    'models/05_translator': 70,
    'report/07_page': 70,
    'models/06_judge': 55,
    'ingest/09_trials': 50,
    'data/90_anatomy': 45,
    'report/01_stats': 40,
    'data/07_phantom': 30,
    'papermill/': 25,
    'test_notebooks.py': 20,
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
    count = lambda *kinds: sum(len(report.stats.get(k, [])) for k in kinds)
    skipped = count('skipped')
    print(
        f"\n{count('passed')} passed, {count('failed', 'error')} failed"
        + (f", {skipped} skipped" if skipped else '')
    )
