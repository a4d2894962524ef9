/* What the lesson asks the server for: step, image, the one under inspection, the app's address, the quiz's record. */
export function wish(detector) {
  const query = new URL(location).searchParams;
  const name = query.get('example') || '';
  const shown = name === 'inspect' ? document.querySelector('#seen .sed-seen img')?.src || '' : '';
  // the last place is the server's own
  return [detector, query.get('step') || '', name, shown, location.origin + location.pathname, kept(), null];
}

const RECORD = 'sedid-quiz-record';

/* The quiz's record as this browser keeps it; none where it keeps nothing. */
function kept() {
  try {
    return localStorage.getItem(RECORD) || '';
  } catch {
    return '';
  }
}

/* Keep the record, where the browser lets pages keep something. */
export function keep(record) {
  try {
    if (record) localStorage.setItem(RECORD, record);
  } catch {
    // the quiz goes on without
  }
}
