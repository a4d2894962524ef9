"""The style sheet of the Learn tab; its colours are those of `theme`."""

CSS = """
#learn { scroll-margin-top: 8px; min-height: 640px; }
.learn { max-width: 1500px; font-size: .95rem; }
.learn button, .learn summary, .learn label { cursor: pointer; }
.learn h2 { font-size: 1.45rem; font-weight: 650; letter-spacing: -.01em; margin: 0 0 .4rem; line-height: 1.25; }
.learn h2:focus { outline: none; }
.learn h2 small { display: inline-block; min-width: 1.55em; text-align: center; font-size: 1rem; line-height: 1.55em; border-radius: 1em; color: #fff; background: #6d28d9;
  vertical-align: .12em; margin-right: .25em; font-weight: 650; }
.learn h3 { font-size: 1rem; font-weight: 620; margin: 0 0 .4rem; } .learn h4 { font-size: .85rem; font-weight: 620; margin: 0 0 .5rem; }
.learn-nav { margin-bottom: 16px; }
.learn-nav ol { display: flex; gap: 6px; list-style: none; margin: 0; padding: 3px; overflow-x: auto; position: relative; scrollbar-width: thin; }
.learn-nav li { flex: 1 0 auto; margin: 0; display: flex; }
.learn-nav button { display: flex; flex: 1; align-items: center; gap: 7px; padding: 7px 10px; border: 1px solid var(--sed-rule); border-radius: 8px; background: var(--sed-plane);
  font-size: .82rem; white-space: nowrap; min-height: 40px; }
.learn-nav i { font-style: normal; font-weight: 650; color: var(--body-text-color-subdued); }
.learn-nav button:hover { background: var(--sed-soft); }
.learn-nav [aria-current] { border-color: var(--color-accent); box-shadow: inset 0 -3px 0 var(--color-accent); font-weight: 620; } .learn-nav [aria-current] i { color: var(--color-accent); }
.learn-step { display: grid; grid-template: "idea picture" auto "behind picture" 1fr / minmax(300px, 5fr) minmax(0, 8fr); gap: 14px 32px; align-items: start; }
.learn-step > header { grid-area: idea; } .learn-behind { grid-area: behind; min-width: 0; }
.learn-step > header p { margin: 0 0 .6rem; line-height: 1.6; }
.learn-task { background: var(--sed-soft); border-radius: 8px; padding: 9px 13px; }
.learn-picture { grid-area: picture; background: var(--sed-plane); border: 1px solid var(--sed-rule); border-radius: 12px; padding: 16px 18px; min-width: 0; }
.learn-gallery { display: flex; flex-wrap: wrap; align-items: center; gap: 6px 12px; font-size: .8rem; padding-bottom: 12px; margin-bottom: 14px; border-bottom: 1px solid var(--sed-rule); }
.learn-gallery > span { min-width: 12.5em; } .learn-gallery > div { display: flex; flex-wrap: wrap; gap: 5px; }
.learn-pick { padding: 0; border: 0; border-radius: 5px; overflow: hidden; background: none; width: 29px; height: 29px; }
.learn-own { width: auto; padding: 0 9px; font-size: .78rem !important; border: 1px solid var(--sed-rule); background: var(--sed-soft); }
.learn-pick:hover, .learn-pick[aria-pressed=true] { box-shadow: 0 0 0 2.5px var(--color-accent); }
.learn-scrub { display: grid; grid-template-columns: auto minmax(120px, 1fr) auto; align-items: center; gap: 4px 14px; margin-bottom: 14px; }
.learn-scrub label { display: contents; } .learn-scrub:not(:has(.learn-play)) label span { grid-column: 1; }
.learn-scrub:has(.learn-play) { grid-template-columns: auto auto minmax(120px, 1fr) auto; }
.learn-scrub label span { font-weight: 600; font-size: .85rem; white-space: nowrap; }
.learn-scrub input { width: 100%; margin: 0; min-height: 28px; accent-color: var(--color-accent); }
.learn-scrub output { font-variant-numeric: tabular-nums; font-size: .85rem; min-width: 13em; text-align: right; }
.learn-play { width: 40px; height: 40px; border-radius: 50%; border: 0; background: #6d28d9 !important; color: #fff !important; padding: 0; } .learn-play i { font-style: normal; font-size: .85rem; }
.learn-stack { display: grid; } .learn-stack > .learn-frame { grid-area: 1 / 1; min-width: 0; display: block; } .learn-stack > .learn-frame[hidden] { visibility: hidden; }
.learn-one { max-width: 300px; margin: 0 auto; } .learn-one + * { margin-top: 12px; }
.learn-two { display: grid; grid-template-columns: 1fr 1fr; gap: 14px; max-width: 620px; margin: 0 auto; }
.learn-four { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(46%, 150px), 1fr)); gap: 14px; }
.learn .sed-frame figcaption { font-size: .8rem; line-height: 1.4; margin-top: 5px; } .learn .sed-frame figcaption b { color: var(--body-text-color); font-weight: 620; }
.learn .sed-frame figcaption b.sed-ink-real { color: var(--sed-real); } .learn .sed-frame figcaption b.sed-ink-generated { color: var(--sed-generated); }
.learn-reading { margin: 12px 0 0 !important; } .learn-reading b { font-size: 1.1rem; font-variant-numeric: tabular-nums; } .learn-reading small { color: var(--body-text-color-subdued); margin-left: .4em; }
.learn-bar { display: flex; align-items: center; gap: 8px; font-size: .75rem; margin-top: 12px; } .learn-bar i { flex: 1; height: 9px; border-radius: 3px; }
.learn .res-chart { margin-top: 18px; } .learn .res-row { margin: 0 0 12px; } .learn .res-row .res-chart { margin-top: 0; } .learn .res-plot { height: 200px; }
.learn-now { position: absolute; top: 0; bottom: 0; border-left: 2px solid var(--color-accent); }
.learn-columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 230px), 1fr)); gap: 14px 30px; }
.learn-columns > div { min-width: 0; } .learn-portrait { max-width: 170px; margin: 0 auto !important; }
.learn-product { text-align: center; font-variant-numeric: tabular-nums; } .learn-product b { font-size: 1.1rem; } .learn-product small { color: var(--body-text-color-subdued); }
.learn-columns .sed-plot { height: 90px; }
.learn-choices { display: grid; grid-template-columns: repeat(auto-fill, minmax(72px, 1fr)); gap: 8px; border: 0; padding: 0; margin: 0 0 14px; min-width: 0; } .learn-choices legend { font-weight: 600; font-size: .85rem; margin-bottom: 6px; padding: 0; }
.learn-choice { position: relative; max-width: 96px; } .learn-choice input { position: absolute; opacity: 0; width: 100%; height: 100%; margin: 0; cursor: pointer; }
.learn-choice span { display: block; height: 100%; border: 1px solid var(--sed-rule); border-radius: 8px; padding: 6px 3px; text-align: center; background: var(--sed-plane); }
.learn-choice img { width: 52px !important; margin: 0 auto 3px !important; border-radius: 3px; } .learn-choice small { display: block; font-size: .75rem; line-height: 1.2; }
.learn-choice :checked + span { border-color: var(--color-accent); box-shadow: inset 0 0 0 1.5px var(--color-accent); } .learn-choice :focus-visible + span { outline: 2px solid var(--color-accent); outline-offset: 2px; }
.learn-choice:hover span { background: var(--sed-soft); }
.learn-calls { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 230px), 1fr)); gap: 10px; margin: 12px 0; }
.learn-call { background: var(--sed-soft); border-left: 4px solid var(--sed-undecided); border-radius: 3px 8px 8px 3px; padding: 8px 13px; margin: 0 !important; }
.learn-call b { letter-spacing: .04em; font-size: .8rem; } .learn-call strong { display: block; font-weight: 650; font-size: 1.05rem; color: var(--sed-undecided); } .learn-call small { color: var(--body-text-color-subdued); }
.learn-call.sed-call-real { border-color: var(--sed-real); } .learn-call.sed-call-real strong { color: var(--sed-real); }
.learn-call.sed-call-generated { border-color: var(--sed-generated); } .learn-call.sed-call-generated strong { color: var(--sed-generated); }
.learn-truth { margin: 0 0 8px !important; }
.learn-case { display: grid; grid-template-columns: minmax(110px, 200px) 1fr; gap: 18px; align-items: start; } .learn-case .learn-calls { margin-top: 0; }
.learn-warning { border-left: 4px solid var(--sed-generated); background: var(--sed-soft); border-radius: 3px 8px 8px 3px; padding: 9px 14px; margin: 14px 0 0 !important; }
.learn-table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; margin: 12px 0 4px; width: auto; } .learn-table caption { text-align: left; font-weight: 620; margin-bottom: 3px; }
.learn-table th, .learn-table td { padding: 5px 12px 5px 0; border: 0; border-bottom: 1px solid var(--sed-rule); text-align: left; background: none; color: inherit; }
.learn-table thead th { font-weight: 600; color: var(--body-text-color-subdued); }
.learn-behind math { font-size: 1.12rem; margin: .5rem 0 .9rem; max-width: 100%; overflow-x: auto; overflow-y: hidden; padding: 2px 0; }
.learn-code { border: 1px solid var(--sed-rule); border-radius: 8px; margin: 0 0 8px; background: var(--sed-plane); } .learn-code summary { padding: 6px 11px; font-size: .82rem; }
.learn code { font-family: ui-monospace, monospace; font-size: .78rem; background: none; border: 0; padding: 0; color: inherit; overflow-wrap: anywhere; }
.learn-code pre { margin: 0; padding: 9px 12px; overflow-x: auto; border-top: 1px solid var(--sed-rule); background: var(--sed-soft); border-radius: 0 0 8px 8px; line-height: 1.5; } .learn-code pre code { white-space: pre-wrap; }
.learn-turn { display: flex; flex-wrap: wrap; justify-content: space-between; align-items: center; gap: 10px; margin-top: 22px; padding-top: 14px; border-top: 1px solid var(--sed-rule); } .learn-turn small { color: var(--body-text-color-subdued); }
.learn-turn button, .learn-buttons button, .learn-inspect { border: 1px solid var(--color-accent); border-radius: 8px; padding: 8px 16px; min-height: 42px; font-weight: 620; background: var(--sed-plane); }
.learn-turn .learn-next, .learn-buttons .learn-more, .learn-buttons .learn-file { background: #6d28d9; border-color: #6d28d9; color: #fff; }
.learn-buttons { display: flex; flex-wrap: wrap; gap: 10px; margin: 10px 0 16px; } .learn-buttons button:hover, .learn-turn button:hover, .learn-inspect:hover { filter: brightness(.93); }
.learn-guess-real { border-color: var(--sed-real) !important; color: var(--sed-real) !important; } .learn-guess-generated { border-color: var(--sed-generated) !important; color: var(--sed-generated) !important; }
.learn-guess-skip { border-color: var(--sed-rule) !important; } .learn kbd { font: 600 .7rem ui-monospace, monospace; border: 1px solid currentColor; border-radius: 4px; padding: 1px 5px; margin-left: 5px; }
.learn-link { border: 0; background: none; padding: 0; text-decoration: underline; color: inherit; }
.learn-quiz > header p, .learn-sheet p { max-width: 46rem; } .learn-table-side { display: grid; grid-template-columns: minmax(0, 380px) minmax(0, 1fr); gap: 20px 36px; margin-top: 14px; align-items: start; }
.learn-quiz h3 { font-size: 1.2rem; min-height: 1.5em; } .learn-quiz figure { margin: 0; } .learn-large { width: 100% !important; border-radius: 8px; } .learn-inspect { margin-top: 12px; width: 100%; } .learn-inspect img { display: none !important; }
.learn-after { display: flex; flex-wrap: wrap; gap: 4px 30px; } .learn-heat { flex: 0 0 190px; } .learn-after > div { flex: 1 1 260px; } .learn-heat figcaption { font-size: .78rem; color: var(--body-text-color-subdued); } .learn-heat i { display: block; height: 8px; border-radius: 3px; margin: 6px 0 3px; }
.learn-list { margin: .6rem 0 1rem 1.3rem; padding: 0; list-style: decimal; }
@media (min-width: 701px) { .learn-step > header, .learn-behind { max-width: 640px; } }
@media (max-width: 1000px) { .learn-step { grid-template: "idea" auto "picture" auto "behind" auto / minmax(0, 1fr); } }
@media (max-width: 700px) {
  .learn-nav button:not([aria-current]) span { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; } .learn-nav button { justify-content: center; min-width: 40px; position: relative; }
  .learn-picture { padding: 12px; } .learn-table-side, .learn-case { grid-template-columns: minmax(0, 1fr); gap: 14px; } .learn-case .sed-frame { max-width: 150px; }
  .learn-scrub, .learn-scrub:has(.learn-play) { grid-template-columns: auto minmax(0, 1fr); } .learn-scrub:has(.learn-play) label span { grid-column: 2; } .learn-scrub input { grid-column: 1 / -1; }
  .learn-scrub output { grid-column: 1 / -1; text-align: left; min-width: 0; } .learn-turn small { display: none; } .learn-turn button { flex: 1 1 100%; } .learn-table-side > figure { max-width: 300px; } .learn-behind math { font-size: .92rem; }
}
@media (hover: none) { .learn kbd { display: none; } }
@media (prefers-reduced-motion: no-preference) { .learn-now { transition: left .12s; } }
"""
