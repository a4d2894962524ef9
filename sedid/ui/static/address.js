/* The address of a view: what is shown can be linked to. */

/* An address with some of its query changed; what has no value goes. */
export function changed(address, changes) {
  const url = new URL(address);
  for (const [name, value] of Object.entries(changes))
    if (value === null || value === undefined || value === '') url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  return url;
}

/* Let the address bar say so. */
export function put(url) {
  history.replaceState(history.state, '', url);
}

/* The same, as a place of its own: Back leads to where one was. */
export function visit(url) {
  if (url.href !== location.href) history.pushState(null, '', url);
}
