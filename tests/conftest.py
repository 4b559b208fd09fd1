"""The longest test first; every test session is closed with one plain line: N passed, N failed."""

def pytest_collection_modifyitems(items): items.sort(key=lambda i: 'test_study' not in i.nodeid)

def pytest_unconfigure(config):
    if hasattr(config, 'workerinput'): return
    report = config.pluginmanager.get_plugin('terminalreporter')
    if report is None: return
    count = lambda *kinds: sum(len(report.stats.get(k, [])) for k in kinds)
    skipped = count('skipped')
    print(f"\n{count('passed')} passed, {count('failed', 'error')} failed" + (f", {skipped} skipped" if skipped else ''))
