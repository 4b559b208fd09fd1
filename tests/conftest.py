"""The longest tests first; every test session is closed with one plain line: N passed, N failed."""

# seconds, about: two workers end together when what takes long begins first
LONG = {
    'test_study.py': 200,
    '15_runs': 100,
    '12_translator': 70,
    '18_report': 70,
    '13_judge': 55,
    '90_anatomy': 45,
    '06_dicom': 40,
    '03_phantom': 35,
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
