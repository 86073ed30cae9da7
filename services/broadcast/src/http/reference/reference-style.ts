// The style of /docs, in the page itself: its hash stands in the Content-Security-Policy.

export const STYLE = `
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --accent: #b4501e; }
body { margin: 0; display: grid; grid-template-columns: 21rem minmax(0, 56rem); gap: 2rem; font: 15px/1.5 system-ui, sans-serif; }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; padding: 1rem; box-sizing: border-box; border-right: 1px solid var(--line); font-size: 13px; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav h2 { font-size: 12px; text-transform: uppercase; letter-spacing: .06em; margin: 1rem 0 .3rem; }
main { padding: 1rem 1rem 6rem; }
a { color: inherit; }
b { color: var(--accent); font-weight: 600; }
section { border-top: 1px solid var(--line); padding: .5rem 0 1.5rem; }
h3 { font: 600 16px/1.5 ui-monospace, monospace; }
h4 { margin: 1rem 0 .3rem; font-size: 13px; }
.summary { font-weight: 600; }
pre, code { font: 13px/1.5 ui-monospace, monospace; }
pre { background: var(--soft); padding: .75rem 1rem; overflow: auto; border-radius: 4px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; }
td { border-top: 1px solid var(--line); padding: .2rem .6rem .2rem 0; vertical-align: top; overflow-wrap: anywhere; }
td:first-child { width: 38%; }
i { opacity: .6; }
details { margin: .3rem 0; }
@media (max-width: 60rem) { body { display: block; } nav { position: static; height: auto; border: 0; } }
`;
