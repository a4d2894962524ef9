/* The film strip of the Inspect tab: Play lights its frames one after the other, up the path and one step back. */
import { listening } from './listening.js';
import { player } from './play.js';

/* Which frame is lit at a moment of the play, of so many frames: at the last moment the one that the step back leads to. */
export function lit(moment, frames) {
  return moment < frames ? moment : frames - 2;
}

/* What a moment shows, by what stands under the frames. */
export function told(moment, captions) {
  const last = captions.length - 1;
  if (moment === 0) return `${captions[0]}: the image`;
  if (moment <= last) return `${captions[moment]}: one step into the noise`;
  return `One step back, from ${captions[last]} to ${captions[last - 1]}: how far it misses this frame is the t-error`;
}

export function start({ element, watch }) {
  const signal = listening('sedidFilm');
  const film = player(signal, 700);

  function play(button) {
    const strip = element.querySelector('.sed-strip');
    const said = element.querySelector('.sed-film output');
    const frames = [...strip.querySelectorAll('figure')];
    const captions = frames.map(frame => frame.querySelector('figcaption').textContent);
    let moment = -1;
    const light = at => {
      for (const [place, frame] of frames.entries()) frame.classList.toggle('sed-lit', place === at);
    };
    const next = () => {
      moment += 1;
      if (moment > frames.length) return false;
      light(lit(moment, frames.length));
      said.textContent = told(moment, captions);
      return true;
    };
    const playing = film.toggle(button, next, done => {
      strip.classList.remove('sed-playing');
      light(-1);
      if (!done) said.textContent = '';
    });
    if (!playing) return;
    strip.classList.add('sed-playing');
    next();
  }

  watch('value', () => film.stop());
  const clicked = event => {
    const button = element.contains(event.target) && event.target.closest('.sed-play');
    if (button) play(button);
  };
  document.addEventListener('click', clicked, { signal });
}
