/** Forms from JSON Schema: which fields there are, what they begin with, what was filled in. */

export interface Schema {
  readonly type?: string | readonly string[];
  readonly title?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxLength?: number;
}

type FieldKind = "text" | "long" | "number" | "whole" | "yes" | "choice" | "list" | "json";

export interface Field {
  readonly name: string;
  readonly kind: FieldKind;
  readonly schema: Schema;
  readonly isRequired: boolean;
  /** It may be left out, and then is not sent. */
  readonly isNullable: boolean;
}

/** A text that is longer than this is written in more than a line. */
const LONG = 500;

export function fieldsOf(root: Schema): Field[] {
  const schema = resolve(root, root);
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, said]) => {
    const { schema: plain, isNullable } = simple(said, root);
    return {
      name,
      kind: kindOf(plain, root),
      schema: plain,
      isRequired: required.has(name),
      isNullable,
    };
  });
}

function resolve(schema: Schema, root: Schema): Schema {
  if (schema.$ref !== undefined) {
    const found = root.$defs?.[schema.$ref.replace("#/$defs/", "")] ?? {};
    return { ...resolve(found, root), ...withoutRef(schema) };
  }
  const [only] = schema.allOf ?? [];
  return only !== undefined && schema.allOf?.length === 1
    ? { ...resolve(only, root), ...schema }
    : schema;
}

function withoutRef({ $ref: _, ...rest }: Schema): Schema {
  return rest;
}

/** `X | null` is X that may be left out. */
function simple(said: Schema, root: Schema): { schema: Schema; isNullable: boolean } {
  const schema = resolve(said, root);
  const kinds = schema.anyOf?.map((each) => resolve(each, root)) ?? [];
  const rest = kinds.filter((each) => each.type !== "null");
  if (rest.length === 1 && rest[0] !== undefined) {
    return { schema: { ...rest[0], ...schema, anyOf: undefined }, isNullable: kinds.length > 1 };
  }
  return { schema, isNullable: kinds.length > rest.length };
}

function kindOf(schema: Schema, root: Schema): FieldKind {
  if (schema.enum !== undefined) return "choice";
  if (schema.type === "boolean") return "yes";
  if (schema.type === "integer") return "whole";
  if (schema.type === "number") return "number";
  if (schema.type === "string") return (schema.maxLength ?? LONG + 1) > LONG ? "long" : "text";
  if (schema.type === "array" && schema.items !== undefined) {
    return resolve(schema.items, root).type === "string" ? "list" : "json";
  }
  return "json";
}

export type FormValues = Record<string, unknown>;

export function initialValues(fields: readonly Field[]): FormValues {
  return Object.fromEntries(fields.map((field) => [field.name, firstOf(field)]));
}

function firstOf({ schema, kind, isRequired }: Field): unknown {
  const example = isRequired ? schema.examples?.[0] : undefined;
  const value = schema.default ?? example ?? null;
  if (kind === "json") return value === null ? "" : JSON.stringify(value, null, 2);
  if (kind === "list") return Array.isArray(value) ? [...value] : [];
  if (kind === "yes") return value === true;
  if (kind === "choice") return value ?? schema.enum?.[0] ?? null;
  return value ?? "";
}

export class BadField extends Error {
  constructor(
    readonly field: string,
    readonly problem: "required" | "badJson" | "badNumber",
  ) {
    super(`${field}: ${problem}`);
  }
}

/** What is sent: fields that were left empty are left to the server. */
export function inputOf(fields: readonly Field[], filled: FormValues): Record<string, unknown> {
  const input: Record<string, unknown> = {};
  for (const field of fields) {
    const value = sentOf(field, filled[field.name]);
    if (value !== undefined) input[field.name] = value;
    else if (field.isRequired) throw new BadField(field.name, "required");
  }
  return input;
}

function sentOf({ name, kind }: Field, said: unknown): unknown {
  if (kind === "yes") return said === true;
  if (kind === "list")
    return (said as string[]).filter((each) => each !== "").length > 0 ? said : undefined;
  if (said === null || said === undefined || said === "") return undefined;
  if (kind === "number" || kind === "whole") {
    const number = Number(said);
    if (!Number.isFinite(number)) throw new BadField(name, "badNumber");
    return kind === "whole" ? Math.trunc(number) : number;
  }
  if (kind !== "json") return said;
  try {
    return JSON.parse(String(said));
  } catch {
    throw new BadField(name, "badJson");
  }
}
