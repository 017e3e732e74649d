/** Style sheet of the rounds page: system fonts, light and dark, contrast of at least 4.5 to 1. Nothing is loaded. */
export const ROUNDS_CSS = `
:root { color-scheme: light dark; --ink: #16202a; --soft: #55636f; --paper: #f6f7f9; --card: #fff; --line: #dde2e7;
  --accent: #0b6e6e; --on: #14908d; --bad: #a12f22; --warn: #855400; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8edf1; --soft: #a3b0bb; --paper: #11171c; --card: #1a2229;
  --line: #2d3842; --accent: #5fd0cb; --on: #3fb5b0; --bad: #ff9a8b; --warn: #f0b85a; } }
* { box-sizing: border-box; margin: 0; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); padding: 2.5rem 1.25rem; }
header, main, footer { max-width: 68rem; margin: 0 auto; }
h1 { font-size: 1.75rem; letter-spacing: -0.02em; line-height: 1.2; }
header p { color: var(--soft); margin-top: 0.25rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 0.75rem; }
dl { display: flex; flex-wrap: wrap; gap: 1rem 2.5rem; background: var(--card); border: 1px solid var(--line);
  border-radius: 0.75rem; padding: 1rem 1.25rem; margin-top: 1.5rem; }
dt { font-size: 0.8rem; color: var(--soft); }
dd { overflow-wrap: anywhere; font-variant-numeric: tabular-nums; }
code { font-family: ui-monospace, "DejaVu Sans Mono", monospace; font-size: 0.875em; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 0.75rem; }
.scroll:focus-visible, a:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; padding: 0.75rem 1.25rem; color: var(--soft); font-size: 0.875rem; }
th, td { padding: 0.6rem 0.75rem; text-align: left; vertical-align: top; border-top: 1px solid var(--line); font-weight: normal; }
th:first-child, td:first-child { padding-left: 1.25rem; }
th:last-child, td:last-child { padding-right: 1.25rem; }
thead th { font-size: 0.8rem; color: var(--soft); white-space: nowrap; }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
small { display: block; color: var(--soft); font-size: 0.8rem; }
tbody th small { min-width: 11rem; max-width: 20rem; overflow-wrap: anywhere; }
.below small { color: var(--warn); font-weight: 600; }
td b { font-weight: 600; }
.released b { color: var(--accent); }
.aborted b { color: var(--bad); }
.aborted small { max-width: 16rem; overflow-wrap: anywhere; }
.marks { display: flex; gap: 0.2rem; margin-top: 0.3rem; }
.marks i { width: 1.4rem; height: 0.25rem; border-radius: 1rem; background: var(--line); }
.marks .on { background: var(--on); }
.wait { color: var(--soft); background: var(--card); border: 1px dashed var(--line); border-radius: 0.75rem;
  padding: 1rem 1.25rem; margin-top: 1.5rem; }
h2 + .wait { margin-top: 0; }
footer { margin-top: 2rem; color: var(--soft); font-size: 0.9rem; }
a { color: var(--accent); }
`;
