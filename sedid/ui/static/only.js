/* What the server need not hear of ends here: of an event whose function fails, Gradio (6.31) drops what was to follow it, and
   says nothing. */
function only(condition, otherwise) {
  if (!condition) throw new Error(otherwise);
}

/* A panel that is folded shows nothing; it asks when it is opened. */
export function open(panel) {
  only(document.querySelector(`#${panel} > button.open`), `${panel} is folded`);
}

/* A part without a value has nothing to lose. */
export function filled(value) {
  only(value, 'there is nothing');
}

/* Gradio tells so little of the camera; its pictures have this name and a size. */
export function camera(picture) {
  only(picture?.orig_name === 'image.png' && picture.size != null, 'it is not of the camera');
}

/* An address that names neither tab nor detector leads to what the document has already. */
export function elsewhere() {
  const query = new URL(location).searchParams;
  only(query.has('tab') || query.has('detector'), 'it is here');
}
