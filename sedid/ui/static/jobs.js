/* What is chosen in a list if the visitor wants it deleted, else nothing: not '', which the list does not know. */
export function confirmed(question, id) {
  return id && confirm(question) ? id : null;
}
