/* Play buttons: a step every so often, until there is none left, the button is pressed again, or the visitor does anything
   else (a click, another value, Escape). Who wants less motion gets slower steps. */

function face(button, on) {
  button.setAttribute('aria-pressed', on);
  button.setAttribute('aria-label', on ? 'Pause' : button.dataset.name);
  button.firstElementChild.textContent = on ? '❚❚' : '▶';
}

/* Milliseconds between two steps. */
export function paced(pace, calm) {
  return calm ? Math.max(pace, 1200) : pace;
}

/* What plays one thing at a time, as `toggle` of a button with `next`, which makes a step and says whether there was one,
   and `ended`, which is told whether the last one was reached; it says whether it plays now. */
export function player(signal, pace) {
  let playing = null;

  function stop(done = false) {
    if (!playing) return;
    const { timer, button, ended } = playing;
    playing = null;
    clearInterval(timer);
    face(button, false);
    ended(done);
  }

  function toggle(button, next, ended = () => 0) {
    const again = playing?.button === button;
    stop();
    if (again) return false;
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    const timer = setInterval(
      () => {
        const seen = button.isConnected && button.offsetParent !== null;
        if (!seen || !next()) stop(seen);
      },
      paced(pace, calm),
    );
    playing = { timer, button, ended };
    face(button, true);
    return true;
  }

  const listen = (type, handler) => document.addEventListener(type, handler, { signal, capture: true });
  listen('click', event => {
    if (!playing?.button.contains(event.target)) stop();
  });
  listen('input', () => stop());
  listen('keydown', event => {
    if (event.key === 'Escape') stop();
  });
  return { stop, toggle };
}
