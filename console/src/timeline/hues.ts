/** The writer of a text as one of seven hues. `d` is text that no model wrote. */

export type Hue = "a" | "b" | "c" | "d" | "e" | "f" | "h";

const DYES = ["a", "b", "c", "e", "f", "h"] as const;
/** The built-in model and templates, which write fixed texts. */
const UNDYED = new Set(["offline", "template"]);

/** The hue of a model by its place among the registered ones. */
export function hueByPlace(names: readonly string[], name: string): Hue {
  if (UNDYED.has(name)) return "d";
  const place = names.filter((each) => !UNDYED.has(each)).indexOf(name);
  return DYES[Math.max(place, 0) % DYES.length] ?? "a";
}

/** The hues of one run: if two models share a hue, the later one takes the next. */
export class Hues {
  readonly #baseHue: (model: string) => Hue;
  readonly #given = new Map<string, Hue>();

  constructor(baseHue: (model: string) => Hue) {
    this.#baseHue = baseHue;
  }

  of(model: string): Hue {
    const known = this.#given.get(model);
    if (known !== undefined) return known;
    let hue = this.#baseHue(model);
    const taken = new Set(this.#given.values());
    if (hue !== "d" && taken.has(hue)) hue = nextFree(hue, taken);
    this.#given.set(model, hue);
    return hue;
  }

  /** Models that wrote, in order of appearance. */
  get legend(): readonly { readonly model: string; readonly hue: Hue }[] {
    return [...this.#given].map(([model, hue]) => ({ model, hue }));
  }
}

function nextFree(hue: Hue, taken: ReadonlySet<Hue>): Hue {
  const place = DYES.indexOf(hue as "a");
  const others = DYES.map((_, step) => DYES[(place + step) % DYES.length] ?? hue);
  return others.find((each) => !taken.has(each)) ?? hue;
}
