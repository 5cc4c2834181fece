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
  readonly style: string;
  readonly status: string;
  readonly models: readonly string[];
  readonly created_at: string;
  readonly is_adopted: boolean | null;
  readonly adopted_step: string | null;
}

export const STYLES = ["natural", "professional", "funny"] as const;

/** The settings of the copy page. */
export interface CopyRequest {
  style: (typeof STYLES)[number];
  customer: string;
  model: string;
  /** Whether posts are checked before they are shown. */
  isChecked: boolean;
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

export interface ExperimentJson {
  readonly name: string;
  readonly is_active: boolean;
  readonly arms: readonly { readonly name: string; readonly writer: string }[];
  readonly report?: {
    readonly arms: readonly ArmJson[];
    readonly verdict: string;
    readonly needed: number;
  };
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
