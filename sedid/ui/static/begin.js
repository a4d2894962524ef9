/* The two ways to begin, above the Inspect tab. */

/* Look at the generated example that the detector in use begins with. */
export function tryOne() {
  document.querySelector('.sed-example[data-opens=generated]')?.click();
}

/* Gradio keeps tabs that do not fit behind a menu: then the address leads there. */
export function tour() {
  const tabs = [...document.querySelectorAll('button[role=tab]')];
  const learn = tabs.find(tab => tab.textContent.trim() === 'Learn');
  if (learn) learn.click();
  else location.assign('?tab=learn');
}
