/* A signal that ends what an earlier build of the page listened to under the same name. */
export function listening(name) {
  window[name]?.abort();
  const control = new AbortController();
  window[name] = control;
  return control.signal;
}
