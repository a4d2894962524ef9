"""The style sheet of the page's own parts. It imports no Gradio: the case report is made of the same parts."""

from sedid.report import evidence

# Gradio serves this twice, the second time with every selector scoped to the app; it drops @container rules there.
CSS = """
:root { --sed-blend: .65; --sed-real: #1f6cb0; --sed-generated: #b8500c; --sed-undecided: #5d6675;
  --sed-plane: #ffffff; --sed-soft: #f4f6f9; --sed-rule: #dfe4ea; }
.dark { --color-accent: var(--primary-400) !important; --sed-real: #74b3f0; --sed-generated: #f5a05a; --sed-undecided: #b3bcc9;
  --sed-plane: #18202d; --sed-soft: #222c3b; --sed-rule: #35425a; }
#sed-title h1 { font-size: 1.6rem; font-weight: 650; letter-spacing: -.01em; margin: .2rem 0 .15rem; }
#sed-title p { margin: 0; max-width: 60rem; color: var(--body-text-color-subdued); font-size: 1rem; line-height: 1.5; }
.sed > .html-container { padding: 0; }
.sed h2 { font-size: 1rem; font-weight: 620; margin: .5rem 0 .5rem; }
@media (min-width: 700px) { #inspect { align-items: stretch; } #controls { position: sticky; top: 10px; z-index: 2; } }
#controls { flex-grow: 0 !important; background: var(--body-background-fill); }
.gradio-container { overflow: clip !important; } /* hidden would keep the controls from sticking */
#inspect:not(:has(.sed-heat)) .sed-after { display: none; }
#stop { display: none; }
.gradio-container:has(:is(#verdicts, #tiled, #stable) .progress-text) #stop { display: block; animation: sed-late 1.2s; }
@keyframes sed-late { 0%, 80% { opacity: 0; } }
.sed { color: var(--body-text-color); font-size: .875rem; line-height: 1.5; }
.sed p { margin: .35rem 0; }
.sed button { font: inherit; color: inherit; cursor: pointer; }
.sed img, #sed-lightbox img { image-rendering: pixelated; display: block; width: 100%; margin: 0; }
.sed-note, .sed-fine { color: var(--body-text-color-subdued); }
.sed-fine { font-size: .8rem; }
.sed :focus-visible, #sed-lightbox :focus-visible { outline: 2px solid var(--color-accent); outline-offset: 2px; }

.sed-cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 290px), 1fr)); gap: 14px; }
.sed-card { background: var(--sed-plane); border: 1px solid var(--sed-rule); border-top: 4px solid var(--sed-undecided);
  border-radius: 3px 3px 10px 10px; padding: 14px 16px 10px; }
.sed-card header { color: var(--body-text-color-subdued); font-size: .8rem; }
.sed-card header b { color: var(--body-text-color); letter-spacing: .04em; margin-right: .3em; }
.sed-card h3 { font-size: 1.35rem; font-weight: 650; line-height: 1.25; margin: .3rem 0 .1rem; color: var(--sed-undecided); }
.sed-call-real { border-top-color: var(--sed-real); } .sed-call-real h3, .sed-ink-real { color: var(--sed-real); }
.sed-call-generated { border-top-color: var(--sed-generated); }
.sed-call-generated h3, .sed-ink-generated { color: var(--sed-generated); }
.sed-score b { font-size: 1.05rem; font-variant-numeric: tabular-nums; }
.sed-go { border: 1px solid var(--color-accent); border-radius: 6px; padding: 4px 12px; background: none; font-weight: 600; }
.sed-go:hover { background: var(--sed-soft); }

.sed-plot { position: relative; height: 110px; border-bottom: 1px solid var(--body-text-color-subdued); }
.sed-plot svg { position: absolute; inset: 0; width: 100%; height: 100%; overflow: visible; }
.sed-hist { margin: 1.5rem 0 .7rem; }
.sed-area { fill-opacity: .26; stroke-width: 1; stroke-opacity: .75; vector-effect: non-scaling-stroke; }
.sed-area.sed-real, .sed-key.sed-real { fill: var(--sed-real); stroke: var(--sed-real); background: var(--sed-real); }
.sed-area.sed-generated, .sed-key.sed-generated { fill: var(--sed-generated); stroke: var(--sed-generated); background: var(--sed-generated); }
.sed-band { position: absolute; top: 0; bottom: 0; background: repeating-linear-gradient(135deg, var(--sed-rule) 0 2px, transparent 2px 7px); }
.sed-threshold { position: absolute; top: 0; bottom: 0; border-left: 1.5px dashed var(--body-text-color-subdued); }
.sed-marker { position: absolute; top: -4px; bottom: 0; border-left: 2.5px solid var(--body-text-color); }
.sed-marker b { position: absolute; bottom: 100%; left: 0; white-space: nowrap; font-size: .78rem; font-weight: 620; }
.sed-axis-x, .sed-axis-y { position: relative; font-size: .75rem; color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; }
.sed-axis-x { height: 1.35rem; }
.sed-tick { position: absolute; white-space: nowrap; }
.sed-tick-x { transform: translateX(-50%); top: 2px; } .sed-tick-y { transform: translateY(50%); right: 8px; }
.sed-ends { display: flex; justify-content: space-between; font-size: .78rem; font-weight: 600; }
.sed-ends span:nth-child(2) { font-weight: 400; color: var(--body-text-color-subdued); }

.sed-legend { display: flex; flex-wrap: wrap; gap: 2px 14px; align-items: center; font-size: .8rem; }
.sed-legend b { font-weight: 620; }
.sed-key { display: inline-block; width: 14px; height: 10px; border-radius: 2px; opacity: .5; margin-right: 5px; }
.sed-key-line { height: 3px; opacity: 1; vertical-align: middle; background: var(--body-text-color); }
.sed-curve { display: grid; grid-template-columns: 46px 1fr; margin-top: 10px; padding-right: 14px; }
.sed-curve .sed-axis-x { grid-column: 2; }
.sed-curve .sed-plot { height: 250px; cursor: crosshair; border-left: 1px solid var(--sed-rule); }
.sed-curve hr { position: absolute; left: 0; right: 0; margin: 0; border: 0; border-top: 1px solid var(--sed-rule); }
.sed-curve .sed-area { fill-opacity: .2; stroke-opacity: .35; }
.sed-median, .sed-line { fill: none; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.sed-median.sed-real { stroke: var(--sed-real); } .sed-median.sed-generated { stroke: var(--sed-generated); stroke-dasharray: 6 4; }
.sed-line { stroke: var(--body-text-color); stroke-width: 2; }
.sed-dot, .sed-here { position: absolute; border-radius: 50%; transform: translate(-50%, -50%); }
.sed-dot { width: 8px; height: 8px; background: var(--body-text-color); }
.sed-here { width: 15px; height: 15px; background: var(--color-accent); border: 2.5px solid var(--sed-plane); }
.sed-here span { position: absolute; left: 18px; bottom: 6px; font-size: .85rem; white-space: nowrap; padding: 0 4px;
  border-radius: 4px; background: var(--sed-plane); }
.sed-here .sed-flip { left: auto; right: 18px; }
.sed-now { position: absolute; top: 0; bottom: 0; border-left: 1px dashed var(--color-accent); }
.sed-axis-name { text-align: right; padding-right: 14px; }

.sed-heat { position: relative; border-radius: 8px; overflow: hidden; max-width: 420px; }
.sed-heat button, #sed-lightbox .sed-stage { position: relative; display: block; width: 100%; padding: 0; border: 0; background: none; }
.sed-heat .sed-over, #sed-lightbox .sed-over { position: absolute; inset: 0; height: 100%; opacity: var(--sed-blend); }
.sed-bar { height: 10px; border-radius: 3px; margin-top: 10px; max-width: 420px; }
.sed-bar-ticks { display: flex; justify-content: space-between; font-size: .75rem; max-width: 420px; font-variant-numeric: tabular-nums; }

.sed-factors { display: flex; flex-wrap: wrap; gap: 8px 14px; align-items: stretch; }
.sed-factors div { background: var(--sed-soft); border-radius: 8px; padding: 8px 14px; flex: 1 1 150px; }
.sed-factors b { display: block; font-size: 1.25rem; font-variant-numeric: tabular-nums; }
.sed-factors span { display: block; font-weight: 600; }
.sed-factors small { color: var(--body-text-color-subdued); font-size: .8rem; }
.sed-factors > i { align-self: center; font-style: normal; font-size: 1.4rem; color: var(--body-text-color-subdued); }
 @media (max-width: 1000px) { .sed-factors > i { flex: 0 0 100%; text-align: center; line-height: .8; } .sed-factors div { flex-basis: 100%; } }
.sed-details summary { cursor: pointer; margin-top: .5rem; }

.sed-frame { margin: 0; min-width: 0; }
.sed-frame button { display: block; width: 100%; padding: 0; border: 0; border-radius: 5px; overflow: hidden; background: var(--sed-soft); }
.sed-frame button:hover { box-shadow: 0 0 0 2px var(--color-accent); }
.sed-frame figcaption { font-size: .78rem; color: var(--body-text-color-subdued); text-align: center; margin-top: 3px; }
.sed-strip { display: grid; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); gap: 8px; }
.sed-measured button { box-shadow: 0 0 0 2.5px var(--color-accent); }
.sed-measured figcaption { color: var(--body-text-color); font-weight: 600; }
.sed-pair { display: grid; grid-template-columns: 1fr auto 1fr auto 1fr; gap: 8px; max-width: 560px; }
.sed-pair > i { align-self: center; font-style: normal; color: var(--body-text-color-subdued); padding-bottom: 20px; }
.sed-outcome { font-size: 1rem; }
.sed-resave { display: flex; flex-wrap: wrap; gap: 10px 28px; align-items: flex-start; margin-bottom: 10px; }
.sed-resave .sed-pair { flex: 1 1 280px; max-width: 440px; }
.sed-before { border-collapse: collapse; margin: 0; width: auto; flex: 1 1 260px; max-width: 440px; font-variant-numeric: tabular-nums; }
.sed-before th, .sed-before td { padding: 5px 8px 5px 0; border: 0; border-bottom: 1px solid var(--sed-rule); text-align: left; font-weight: 400; vertical-align: top; }
.sed-before thead th { font-weight: 600; } .sed-before th:first-child { width: 32%; } .sed-before td span { color: var(--body-text-color-subdued); }
.sed-ink-cannot-tell, .sed-ink-none { color: var(--sed-undecided); }
.sed-seen { display: flex; gap: 14px; align-items: flex-start; }
.sed-seen .sed-frame { flex: 0 0 96px; } .sed-seen figcaption { display: none; }
.sed-seen p { margin: 0; } .sed-seen ul { margin: .2rem 0 0; padding-left: 1.1em; list-style: disc; color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
.sed-examples { display: grid; grid-template-columns: repeat(6, 1fr); gap: 6px; }
.sed-examples h4 { grid-column: 1 / -1; margin: 4px 0 0; font-size: .8rem; font-weight: 600; }
.sed-example { padding: 0; border: 0; border-radius: 5px; overflow: hidden; background: none; }
.sed-example:hover, .sed-example[aria-pressed=true] { box-shadow: 0 0 0 2px var(--color-accent); }
.sed-state { border: 1px dashed var(--sed-rule); border-radius: 10px; padding: 2.2rem 1.2rem; text-align: center; color: var(--body-text-color-subdued); }
#seen { min-height: 112px; } #verdicts .sed-state { min-height: 27rem; display: grid; align-content: center; } /* the height of two verdicts: nothing jumps */

#sed-lightbox { border: 0; border-radius: 12px; padding: 14px; background: var(--sed-plane); color: var(--body-text-color); margin: auto; }
#sed-lightbox::backdrop { background: rgb(10 14 22 / .72); }
#sed-lightbox .sed-stage { width: min(84vw, 72vh); }
#sed-lightbox footer { display: flex; align-items: center; gap: 8px; margin-top: 10px; font-size: .9rem; }
#sed-lightbox span { flex: 1; }
#sed-lightbox button { border: 1px solid var(--sed-rule); border-radius: 6px; background: var(--sed-soft); padding: 4px 12px; }
#sed-lightbox button[hidden] { display: none; }
footer .divider { display: none; }
"""
CSS += evidence.STYLE
