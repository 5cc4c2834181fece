/**
 * Answers of a server come in any order, and only that to the newest question fits the page.
 *
 * Call what is returned when a question is asked; it gives a function that says whether the
 * question is still the newest one.
 */
export function newest(): () => () => boolean {
  let count = 0;
  return () => {
    count += 1;
    const mine = count;
    return () => mine === count;
  };
}
