/* The lesson: where the visitor is (kept in the address), and leafing through frames.

   `trigger` sends Gradio events: `select` when another place or image is wanted (the handler reads both from the
   address, by wish.js), `submit` {guess, seen} for a guess of the quiz. */
import { changed, put, visit } from './address.js';
import { download } from './download.js';
import { listening } from './listening.js';
import { player } from './play.js';

/* Which button a key presses, as a selector; undefined for other keys. Letters work only inside the lesson, where they
   are written on the buttons. */
export function buttonOf(key, inside) {
  const turn = { ArrowLeft: '.learn-back', ArrowRight: '.learn-next' }[key];
  const letter = inside && /^[rgsn]$/i.test(key) ? `[aria-keyshortcuts=${key.toUpperCase()}]` : undefined;
  return turn ?? letter;
}

/* Which frame to show: the one that the address names, else the one it was drawn with. */
export function firstFrame(places, wanted, drawn) {
  const found = places.indexOf(wanted);
  return wanted !== null && found >= 0 ? found : drawn;
}

/* The bytes of a text in base64. */
export function bytes(packed) {
  return Uint8Array.from(atob(packed), one => one.charCodeAt(0));
}

/* Show one frame and say which; the place of it in the address. */
export function show(frames, index) {
  const all = [...frames.querySelectorAll('.learn-frame')];
  for (const [place, frame] of all.entries()) frame.hidden = place !== index;
  const { label, x, at } = all[index].dataset;
  const slider = frames.querySelector('input[type=range]');
  if (slider) {
    slider.value = index;
    slider.setAttribute('aria-valuetext', label);
    frames.querySelector('output').textContent = label;
  } else frames.querySelectorAll('input[type=radio]')[index].checked = true;
  const line = frames.querySelector('.learn-now');
  if (line && x) line.style.left = `${x}%`;
  return at;
}

export function start({ element, trigger, watch }) {
  const signal = listening('sedidLearn');
  const listen = (type, handler) => document.addEventListener(type, handler, { signal });
  const film = player(signal, 220);
  let moved = false;
  let world = null; // a quarter of the page's scripts, which only this step needs

  function go(step) {
    visit(changed(location, { step, t: null, part: null }));
    arrive(step);
  }

  // Ask for the step that the address names.
  function arrive(step) {
    moved = true;
    for (const button of element.querySelectorAll('.learn-nav .learn-go')) {
      button.removeAttribute('aria-current');
      if (button.dataset.step === step) button.setAttribute('aria-current', 'step');
    }
    trigger('select');
  }

  function back() {
    const query = new URL(location).searchParams;
    const step = query.get('step') ?? element.querySelector('.learn-nav .learn-go')?.dataset.step;
    if (query.get('tab') === 'learn' && step !== element.querySelector('.learn')?.dataset.place) arrive(step);
  }

  // A place was drawn: Gradio keeps what the visitor did to the controls before.
  function settle() {
    film.stop();
    const at = new URL(location).searchParams.get('t');
    for (const frames of element.querySelectorAll('.learn-frames')) {
      const places = [...frames.querySelectorAll('.learn-frame')].map(frame => frame.dataset.at);
      const control = frames.querySelector('input[type=range], input[checked]');
      show(frames, firstFrame(places, at, Number(control.getAttribute('value'))));
    }
    if (element.querySelector('.world')) world ??= import('./world_view.js');
    world?.then(own => own.openWorld(element)); // it ends one that was left, too
    const current = element.querySelector('.learn-nav [aria-current]');
    if (current) {
      const list = current.closest('ol');
      list.scrollLeft = current.offsetLeft - (list.clientWidth - current.offsetWidth) / 2;
    }
    if (!moved) return;
    moved = false;
    element.querySelector('h2')?.focus({ preventScroll: true });
    if (element.getBoundingClientRect().top < 0) element.scrollIntoView();
  }

  function play(button) {
    const frames = button.closest('.learn-frames');
    const slider = frames.querySelector('input[type=range]');
    const ended = () => Number(slider.value) >= Number(slider.max);
    const next = () => !ended() && show(frames, Number(slider.value) + 1) !== undefined;
    if (film.toggle(button, next) && ended()) show(frames, 0);
  }

  watch('value', settle);
  addEventListener('popstate', back, { signal });

  listen('click', event => {
    if (!element.contains(event.target)) return;
    const on = selector => event.target.closest(selector);
    const [step, pick, guess, file] = ['go', 'pick', 'guess', 'file'].map(name => on(`.learn-${name}`));
    const button = on('.learn-frames .sed-play');
    const study = on('a[data-study]');
    // Gradio keeps tabs that do not fit behind a menu: then the address leads there
    const compare = study && document.querySelector('button[role=tab][data-tab-id=compare]');
    if (compare) {
      event.preventDefault();
      visit(changed(location, { tab: 'compare', study: study.dataset.study }));
      compare.click();
      scrollTo(0, 0);
    } else if (step) go(step.dataset.step);
    else if (pick) {
      put(changed(location, { example: pick.dataset.name }));
      trigger('select');
    } else if (guess) {
      moved = true;
      trigger('submit', { guess: guess.dataset.guess, seen: Number(guess.dataset.seen) });
    } else if (on('.learn-more')) {
      moved = true;
      trigger('select');
    } else if (button) play(button);
    else if (file) download(file.dataset.name, bytes(file.dataset.file), 'text/html');
  });

  const framesOf = event => element.contains(event.target) && event.target.closest('.learn-frames');
  listen('input', event => {
    const frames = framesOf(event);
    if (!frames) return;
    show(frames, Number(event.target.value));
  });
  // the address follows when the slider rests: browsers limit how often it may change
  listen('change', event => {
    const frames = framesOf(event);
    if (frames) put(changed(location, { t: show(frames, Number(event.target.value)) }));
  });

  listen('keydown', event => {
    if (element.offsetParent === null || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (document.querySelector('dialog[open]') || event.target.closest('input, textarea, select, pre, [role=tab]'))
      return;
    const selector = buttonOf(event.key, element.contains(event.target));
    const button = selector && element.querySelector(selector);
    if (!button) return;
    event.preventDefault();
    button.click();
  });
}
