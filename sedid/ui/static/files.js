/* Files that travel in the answer and are saved by the browser. */
import { download } from './download.js';

export function save(made) {
  if (made) download(made.name, made.html, 'text/html');
}
