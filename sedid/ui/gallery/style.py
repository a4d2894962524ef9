"""The style sheet of the Gallery tab."""

CSS = """
.gal-count { font-size: .9rem; margin: .2rem 0 .6rem; font-variant-numeric: tabular-nums; }
#gallery-about .sed-legend { margin: 0; } #gallery-about summary { margin: .3rem 0 0; font-size: .8rem; color: var(--body-text-color-subdued); }
@media (max-width: 480px) { #gallery .tab-container button { padding-inline: 8px; } #gallery-click label { padding-inline: 8px; } .gal-card span { padding-inline: 5px !important; } }
.gal-grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(104px, 30%), 1fr)); gap: 10px; }
.gal-card { display: flex; flex-direction: column; gap: 1px; padding: 0 0 5px; border: 1px solid var(--sed-rule); border-radius: 7px;
  overflow: hidden; background: var(--sed-plane); text-align: left; font-variant-numeric: tabular-nums; line-height: 1.35; }
.sed .gal-card:hover { border-color: var(--color-accent); box-shadow: 0 0 0 1px var(--color-accent); }
.gal-card span { padding: 0 7px; font-size: .82rem; white-space: nowrap; }
.gal-card span b { float: right; }
.gal-card small { color: var(--body-text-color-subdued); font-size: .72rem; }
.gal-card .gal-label { font-size: .75rem; font-weight: 600; padding-top: 3px; border-top: 4px solid; margin-bottom: 2px; }
.gal-label.gal-real { border-color: var(--sed-real); color: var(--sed-real); }
.gal-label.gal-generated { border-color: var(--sed-generated); color: var(--sed-generated); }
.gal-key { opacity: 1; } .gal-key.gal-real { background: var(--sed-real); } .gal-key.gal-generated { background: var(--sed-generated); }
.gal-pages { display: flex; flex-wrap: wrap; gap: 8px; align-items: center; justify-content: center; margin: 14px 0 4px; }
.gal-pages span { padding: 0 6px; font-variant-numeric: tabular-nums; }
.gal-button { display: inline-block; border: 1px solid var(--sed-rule); border-radius: 6px; background: var(--sed-soft); padding: 5px 12px;
  color: var(--body-text-color) !important; text-decoration: none !important; }
.gal-button:hover:not(:disabled) { border-color: var(--color-accent); }
.sed .gal-button:disabled { opacity: .45; cursor: default; }
.gal-bar { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; justify-content: space-between; margin-bottom: 8px; }
.gal-bar .gal-count { margin: 0; }

.gal-table { width: 100%; border-collapse: collapse; margin: 0; font-variant-numeric: tabular-nums; }
.gal-table th, .gal-table td { border: 0; border-bottom: 1px solid var(--sed-rule); padding: 6px 16px 6px 0; text-align: left; vertical-align: middle; font-weight: 400; }
.gal-table thead th { white-space: nowrap; }
.gal-table thead button { border: 0; background: none; padding: 2px 0; font-weight: 620; }
.gal-table thead button:hover { color: var(--color-accent); }
.gal-table tr[data-row] { cursor: pointer; } .gal-table tr[data-row]:hover td { background: var(--sed-soft); }
.gal-table td:first-child { width: 62px; }
.gal-table .res-open { display: block; width: 52px; padding: 0; border: 0; border-radius: 5px; overflow: hidden; background: none; }
.gal-table .res-open:hover { box-shadow: 0 0 0 2px var(--color-accent); }
.gal-table td > b, .gal-table td > .sed-note { white-space: nowrap; }
.gal-name { overflow-wrap: anywhere; } .gal-notes { color: var(--body-text-color-subdued); font-size: .82rem; overflow-wrap: anywhere; }
.gal-refused { color: var(--error-text-color, #b42318); } .dark .gal-refused { color: #ffb4a8; }
@media (max-width: 720px) {
  .gal-table, .gal-table thead, .gal-table tbody { display: block; }
  .gal-table thead tr { display: flex; flex-wrap: wrap; gap: 2px 14px; border-bottom: 1px solid var(--sed-rule); }
  .gal-table thead th { border: 0; padding: 2px 0; } .gal-table thead th:empty { display: none; }
  .gal-table tbody tr { display: grid; grid-template-columns: 62px 1fr 1fr; padding: 8px 0; border-bottom: 1px solid var(--sed-rule); }
  .gal-table tbody td { border: 0; padding: 1px 8px 1px 0; } .gal-table tbody td:empty { display: none; }
  .gal-table td:first-child { grid-row: 1 / span 4; } .gal-table .gal-name, .gal-table .gal-notes { grid-column: 2 / -1; }
  .gal-table td[data-name]::before { content: attr(data-name) " "; color: var(--body-text-color-subdued); font-size: .75rem; }
}

.ben { display: grid; grid-template-columns: minmax(0, 1fr); gap: 10px 28px; }
@media (min-width: 900px) { .ben { grid-template-columns: repeat(2, minmax(0, 1fr)); } }
.ben-pair { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 14px; }
.ben-pair .sed-heat, .ben-pair h2 { max-width: 100%; }
.ben-scale .sed-bar, .ben-scale .sed-bar-ticks { max-width: 100%; }
.ben-sentence { font-size: 1.1rem; line-height: 1.45; margin: .2rem 0 .9rem; max-width: 75rem; }
.ben-verdicts { border-collapse: collapse; width: 100%; margin: 6px 0 14px; font-variant-numeric: tabular-nums; table-layout: fixed; }
.ben-verdicts th, .ben-verdicts td { border: 0; border-bottom: 1px solid var(--sed-rule); text-align: left; padding: 7px 10px 7px 0; font-weight: 400; vertical-align: top; }
.ben-verdicts thead th, .ben-verdicts td b { font-weight: 620; } .ben-verdicts th:first-child { width: 22%; }
.ben-verdicts small { display: block; color: var(--body-text-color-subdued); font-size: .78rem; }
.sed-line-b { stroke: var(--color-accent); stroke-dasharray: 7 4; } .sed-dot-b { background: var(--color-accent); }
.sed-here-b { background: var(--color-accent); } #bench-drawn .sed-here:not(.sed-here-b) { background: var(--body-text-color); }
.sed-here .sed-low { bottom: auto; top: 6px; }
.sed-key-b { height: 0; border-top: 3px dashed var(--color-accent); opacity: 1; vertical-align: middle; background: none; }
.ben-strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(40px, 1fr)); gap: 5px; margin-bottom: 4px; }
.ben-strip button { padding: 0; border: 0; border-radius: 5px; overflow: hidden; background: none; }
.ben-strip button:hover, .ben-strip button[aria-pressed=true] { box-shadow: 0 0 0 2px var(--color-accent); }
"""
