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

/**
 * Read the same thing again and again; an older answer never takes the place of a newer one.
 *
 * What is returned asks once and shows the answer, unless that to a later question is shown.
 */
export function inOrder<A extends unknown[], T>(
  ask: (...about: A) => Promise<T>,
  show: (answer: T) => void,
): (...about: A) => Promise<void> {
  let asked = 0;
  let shown = 0;
  return async (...about) => {
    asked += 1;
    const mine = asked;
    const answer = await ask(...about);
    if (mine < shown) return;
    shown = mine;
    show(answer);
  };
}
