/* The tour, offered above the Inspect tab. Gradio keeps tabs that do not fit behind a menu: then the address leads there. */
export function tour() {
  const tabs = [...document.querySelectorAll('button[role=tab]')];
  const learn = tabs.find(tab => tab.textContent.trim() === 'Learn');
  if (learn) learn.click();
  else location.assign('?tab=learn');
}
