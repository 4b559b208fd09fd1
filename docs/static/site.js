// Figures are drawn when they come into view, in the colours of the page; without scripts their picture stays.
(() => {
  const here = document.currentScript.src.replace(/site\.js.*$/, '');
  let library = null;
  const load = () => library ??= new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = here + 'plotly.min.js';
    script.onload = resolve;
    script.onerror = reject;
    document.head.append(script);
  });
  const colours = () => {
    const style = getComputedStyle(document.body);
    const dark = document.documentElement.dataset.theme === 'dark';
    return {
      paper_bgcolor: 'rgba(0,0,0,0)',
      plot_bgcolor: dark ? '#1e2329' : '#f6f8fa',
      'font.color': style.color,
    };
  };
  const draw = async figure => {
    await load();
    const { data, layout } = JSON.parse(figure.querySelector('script').textContent);
    const box = document.createElement('div');
    box.className = 'drawn';
    figure.querySelector('img')?.remove();
    figure.append(box);
    delete layout.width;
    await Plotly.newPlot(box, data, { ...layout, autosize: true }, { responsive: true, displaylogo: false });
    await Plotly.relayout(box, colours());
    figure.dataset.drawn = 'yes';
  };
  const start = () => {
    const figures = document.querySelectorAll('figure.plotly');
    const seen = new IntersectionObserver(entries => entries.filter(e => e.isIntersecting).forEach(e => {
      seen.unobserve(e.target);
      draw(e.target);
    }), { rootMargin: '400px' });
    figures.forEach(figure => seen.observe(figure));
    // what opens a part of the contents has no name in the theme
    document.querySelectorAll('.bd-sidebar summary').forEach(summary => {
      const page = summary.closest('li')?.querySelector('a')?.textContent.trim();
      summary.setAttribute('aria-label', `Pages of ${page}`);
    });
    new MutationObserver(() => document.querySelectorAll('figure.plotly > .drawn').forEach(box => Plotly.relayout(box, colours())))
      .observe(document.documentElement, { attributeFilter: ['data-theme'] });
    // on paper everything is there
    addEventListener('beforeprint', () => figures.forEach(figure => figure.dataset.drawn || draw(figure)));
  };
  document.readyState === 'loading' ? addEventListener('DOMContentLoaded', start) : start();
})();
