/* The page is its host's now: the notices of what is off go. */
export function unlocked() {
  document.documentElement.classList.add('sed-unlocked');
}
