/** Products, customers, copies and experiments, as far as the copy page reads them. */

export interface ProductJson {
  readonly sku: string;
  readonly name: string;
  readonly price?: number;
  readonly currency?: string;
  readonly category?: string;
  readonly color?: string;
  readonly selling_points?: readonly string[];
}

export interface CopyJson {
  readonly run: string;
  readonly sku: string;
  /** The product's name; empty: it is gone. */
  readonly name: string;
  /** Numbers of the posts that have a later version. */
  readonly edited: readonly number[];
  readonly style: string;
  readonly status: string;
  readonly models: readonly string[];
  readonly created_at: string;
  readonly is_adopted: boolean | null;
  readonly adopted_step: string | null;
}

/** A version of a post: a person's text, or what a run wrote in its place. */
interface VersionJson {
  readonly id: number;
  readonly text: string;
  /** Null: a person wrote it. */
  readonly run: string | null;
  readonly model: string;
  readonly created_at: string;
}

/** A post as it is now. */
export interface PostJson {
  readonly post: number;
  readonly text: string;
  readonly original: string;
  readonly versions: readonly VersionJson[];
}

export const STYLES = ["natural", "professional", "funny"] as const;

export const LENGTHS = ["short", "usual", "long"] as const;

export const TONES = ["warm", "restrained", "lively", "direct"] as const;

/** Products of one batch. */
export const MAX_BATCH = 50;

/** The settings of the copy page. */
export interface CopyRequest {
  /** `auto`: the one that was adopted most for the customer. */
  style: (typeof STYLES)[number] | "auto";
  customer: string;
  model: string;
  /** Whether posts are checked before they are shown. */
  isChecked: boolean;
  length: (typeof LENGTHS)[number];
  /** Empty: as the style has it. */
  tone: (typeof TONES)[number] | "";
  /** A person's own words to the model. */
  wish: string;
}

/** What the server is asked for a product, by the settings of the page. */
export function inputOf(sku: string, request: CopyRequest): Record<string, unknown> {
  const { style, customer, isChecked, length, tone, wish } = request;
  return {
    sku,
    ...(style === "auto" ? {} : { style }),
    ...(customer ? { user_id: customer } : {}),
    ...(isChecked ? { reveal: "checked" } : {}),
    ...(length === "usual" ? {} : { length }),
    ...(tone ? { tone } : {}),
    ...(wish.trim() ? { wish: wish.trim() } : {}),
  };
}

/** The settings with which a run was asked. */
export function requestOf(input: Readonly<Record<string, unknown>>, model: string): CopyRequest {
  const one = <T extends string>(values: readonly T[], value: unknown, other: T): T =>
    values.find((each) => each === value) ?? other;
  return {
    style: one(STYLES, input.style, "natural"),
    customer: typeof input.user_id === "string" ? input.user_id : "",
    model,
    isChecked: input.reveal === "checked",
    length: one(LENGTHS, input.length, "usual"),
    tone: one(["", ...TONES], input.tone, ""),
    wish: typeof input.wish === "string" ? input.wish : "",
  };
}

interface ArmJson {
  readonly name: string;
  readonly shown: number;
  readonly judged: number;
  readonly adopted: number;
  readonly rate: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** The figures of a style or a category. */
export interface PartJson {
  readonly name: string;
  readonly arms: readonly ArmJson[];
}

/** One side of an experiment, as it was begun. */
export interface ArmSetup {
  name: string;
  weight: number;
  writer: "model" | "template";
  model: string;
  prompt: string;
}

export interface ExperimentJson {
  readonly name: string;
  readonly is_active: boolean;
  readonly learns: boolean;
  /** The side that was declared the winner; empty: none. */
  readonly winner: string;
  readonly created_at: string;
  readonly ended_at: string | null;
  readonly arms: readonly ArmSetup[];
  readonly report?: {
    readonly arms: readonly ArmJson[];
    readonly verdict: string;
    readonly needed: number;
    readonly by_style: readonly PartJson[];
    readonly by_category: readonly PartJson[];
  };
}

/** Why a post is as it is, besides the customer's interest in the product itself. */
export interface Reason {
  readonly kind: string;
  readonly value?: string;
  readonly count: number;
  readonly low?: number;
  readonly high?: number;
  readonly place?: string;
}

/** A reason in the words of the page; an unknown kind has none. */
export function reasonLine(reason: Reason, t: Translate, te: (key: string) => boolean): string {
  const key = `interest.reason_${reason.kind}`;
  if (!te(key)) return "";
  const style = reason.kind === "style" ? t(`copy.${reason.value}`) : reason.value;
  const place = reason.place === undefined ? "" : t(`interest.place_${reason.place}`);
  return t(key, { ...reason, value: style, place });
}

/** What a customer did with a product, as in the input of the run. */
export interface Interest {
  readonly visits: number;
  readonly longest_s: number;
  readonly has_favorited: boolean;
  readonly has_shared: boolean;
  readonly has_seen_sizes: boolean;
  readonly has_opened_buy_page: boolean;
  readonly has_bought: boolean;
}

type Translate = (key: string, facts?: Record<string, unknown>) => string;

/** Lines of name and text; what did not happen is left out. */
export function interestLines(
  interest: Interest,
  t: Translate,
): readonly (readonly [string, string])[] {
  const { visits, longest_s } = interest;
  const did = (names: readonly (keyof Interest)[]) =>
    names
      .filter((name) => interest[name] === true)
      .map((name) => t(`interest.${name}`))
      .join(t("interest.and"));
  const lines: [string, string][] = [
    [
      t("copy.visits"),
      visits > 0 ? t("interest.stays", { n: visits, s: Math.round(longest_s) }) : "",
    ],
    [t("copy.viewed"), did(["has_seen_sizes", "has_opened_buy_page"])],
    [t("interest.actions"), did(["has_favorited", "has_shared", "has_bought"])],
  ];
  return lines.filter(([, text]) => text !== "");
}
