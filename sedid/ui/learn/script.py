"""The lesson's JavaScript: where the visitor is (kept in the address), and leafing through frames.

It runs once, in the `js_on_load` of the `gr.HTML` that shows the lesson. `trigger` sends Gradio events: `select` when
another place or image is wanted (the handler reads both from the address, by `WISH`), `submit` {guess, seen} for a
guess of the quiz.
"""

WISH = """(step, example, image, home, record) => {
  const query = new URL(location).searchParams, name = query.get('example') || '';
  const shown = name === 'inspect' ? document.querySelector('#seen .sed-seen img')?.src || '' : '';
  return [query.get('step') || '', name, shown, location.origin + location.pathname, record];
}"""

LEARN = """
window.sedidLearn?.abort();  // the page was rebuilt: the old listeners go
const control = window.sedidLearn = new AbortController();
const listen = (type, handler) => document.addEventListener(type, handler, {signal: control.signal});
let playing = null, moved = false;

function put(changes) {
  const url = new URL(location);
  for (const [name, value] of Object.entries(changes))
    if (value === null) url.searchParams.delete(name); else url.searchParams.set(name, value);
  history.replaceState(history.state, '', url);
}

function stop() {
  if (playing === null) return;
  clearInterval(playing);
  playing = null;
  for (const button of element.querySelectorAll('.learn-play')) face(button, false);
}

function face(button, on) {
  button.setAttribute('aria-pressed', on);
  button.setAttribute('aria-label', on ? 'Pause' : 'Play');
  button.firstChild.textContent = on ? '❚❚' : '▶';
}

function show(frames, index) {
  const all = [...frames.querySelectorAll('.learn-frame')];
  all.forEach((frame, place) => { frame.hidden = place !== index; });
  const {label, x, at} = all[index].dataset, slider = frames.querySelector('input[type=range]');
  if (slider) {
    slider.value = index;
    slider.setAttribute('aria-valuetext', label);
    frames.querySelector('output').textContent = label;
  } else frames.querySelectorAll('input[type=radio]')[index].checked = true;
  const line = frames.querySelector('.learn-now');
  if (line && x) line.style.left = x + '%';
  return at;
}

function go(step) {
  stop();
  moved = true;
  put({step, t: null});
  for (const button of element.querySelectorAll('.learn-nav .learn-go'))
    button.toggleAttribute('aria-current', false), button.dataset.step === step && button.setAttribute('aria-current', 'step');
  trigger('select');
}

function settle() {  // a place was drawn: Gradio keeps what the visitor did to the controls before
  stop();
  const at = new URL(location).searchParams.get('t');
  for (const frames of element.querySelectorAll('.learn-frames')) {
    const all = [...frames.querySelectorAll('.learn-frame')], control = frames.querySelector('input[type=range], input[checked]');
    const wanted = all.findIndex(frame => frame.dataset.at === at);
    show(frames, wanted >= 0 ? wanted : +control.getAttribute('value'));
  }
  const current = element.querySelector('.learn-nav [aria-current]');
  if (current) {
    const list = current.closest('ol');
    list.scrollLeft = current.offsetLeft - (list.clientWidth - current.offsetWidth) / 2;
  }
  if (!moved) return;
  moved = false;
  const heading = element.querySelector('h2');
  heading?.focus({preventScroll: true});
  if (element.getBoundingClientRect().top < 0) element.scrollIntoView();
}

function play(button) {
  if (playing !== null) { stop(); return; }
  const frames = button.closest('.learn-frames'), slider = frames.querySelector('input[type=range]');
  if (+slider.value >= +slider.max) show(frames, 0);
  face(button, true);
  playing = setInterval(() => {
    if (!frames.isConnected || frames.offsetParent === null || +slider.value >= +slider.max) { stop(); return; }
    show(frames, +slider.value + 1);
  }, 220);
}

function save(button) {
  const made = new Blob([Uint8Array.from(atob(button.dataset.file), one => one.charCodeAt(0))], {type: 'text/html'});
  const link = Object.assign(document.createElement('a'), {href: URL.createObjectURL(made), download: button.dataset.name});
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
}

watch('value', settle);

listen('click', event => {
  if (!element.contains(event.target)) return;
  const on = selector => event.target.closest(selector);
  const step = on('.learn-go'), pick = on('.learn-pick'), guess = on('.learn-guess'), button = on('.learn-play'), file = on('.learn-file');
  if (step) go(step.dataset.step);
  else if (pick) {
    stop();
    put({example: pick.dataset.name});
    trigger('select');
  } else if (guess) { moved = true; trigger('submit', {guess: guess.dataset.guess, seen: +guess.dataset.seen}); }
  else if (on('.learn-more')) { moved = true; trigger('select'); }
  else if (button) play(button);
  else if (file) save(file);
});

listen('input', event => {
  const frames = element.contains(event.target) && event.target.closest('.learn-frames');
  if (!frames) return;
  stop();
  show(frames, +event.target.value);
});
// the address follows when the slider rests: browsers limit how often it may change
listen('change', event => {
  const frames = element.contains(event.target) && event.target.closest('.learn-frames');
  if (frames) put({t: show(frames, +event.target.value)});
});

listen('keydown', event => {
  if (element.offsetParent === null || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (document.querySelector('dialog[open]') || event.target.closest('input, textarea, select, pre, [role=tab]')) return;
  const turn = {ArrowLeft: '.learn-back', ArrowRight: '.learn-next'}[event.key];
  // letters only work inside the lesson, where they are written on the buttons
  const letter = element.contains(event.target) && /^[rgsn]$/i.test(event.key) && `[aria-keyshortcuts=${event.key.toUpperCase()}]`;
  const button = (turn || letter) && element.querySelector(turn || letter);
  if (button) { event.preventDefault(); button.click(); }
});
"""
