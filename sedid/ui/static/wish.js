/* What the lesson asks the server for: step, image, the one under inspection, the app's address, the quiz's record. */
export function wish(detector, _step, _example, _image, _home, record) {
  const query = new URL(location).searchParams;
  const name = query.get('example') || '';
  const shown = name === 'inspect' ? document.querySelector('#seen .sed-seen img')?.src || '' : '';
  return [detector, query.get('step') || '', name, shown, location.origin + location.pathname, record];
}
