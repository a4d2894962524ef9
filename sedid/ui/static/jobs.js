/* The chosen job if the visitor wants it deleted, else nothing: not '', which a list of jobs does not know. */
export function confirmed(id) {
  return id && confirm('Delete this job and all its files?') ? id : null;
}
