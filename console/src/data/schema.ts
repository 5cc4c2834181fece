/** Forms from JSON Schema: their fields, initial values, and the input made of them. */

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

type FieldKind =
  "text" | "multiline" | "number" | "integer" | "boolean" | "choice" | "list" | "json";

export interface Field {
  readonly name: string;
  readonly kind: FieldKind;
  readonly schema: Schema;
  readonly isRequired: boolean;
  /** An empty field is not sent. */
  readonly isNullable: boolean;
}

/** A text that may be longer than this gets more than one line. */
const LONG = 500;

export function fieldsOf(root: Schema): Field[] {
  const schema = resolve(root, root);
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).map(([name, property]) => {
    const { schema: plain, isNullable } = simple(property, root);
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

/** `X | null` is an X that may be left out. */
function simple(property: Schema, root: Schema): { schema: Schema; isNullable: boolean } {
  const schema = resolve(property, root);
  const kinds = schema.anyOf?.map((each) => resolve(each, root)) ?? [];
  const rest = kinds.filter((each) => each.type !== "null");
  if (rest.length === 1 && rest[0] !== undefined) {
    return { schema: { ...rest[0], ...schema, anyOf: undefined }, isNullable: kinds.length > 1 };
  }
  return { schema, isNullable: kinds.length > rest.length };
}

function kindOf(schema: Schema, root: Schema): FieldKind {
  if (schema.enum !== undefined) return "choice";
  if (schema.type === "boolean") return "boolean";
  if (schema.type === "integer") return "integer";
  if (schema.type === "number") return "number";
  if (schema.type === "string") return (schema.maxLength ?? LONG + 1) > LONG ? "multiline" : "text";
  if (schema.type === "array" && schema.items !== undefined) {
    return resolve(schema.items, root).type === "string" ? "list" : "json";
  }
  return "json";
}

/** What the input of a field may look like: its example, its default, or one made of its parts. */
export function exampleOf(field: Field, root: Schema): string {
  const own = EXAMPLES[field.name];
  const value = field.schema.examples?.[0] ?? own ?? sampleOf(field.schema, root, 0);
  return JSON.stringify(value);
}

/** For fields that take any object. */
const EXAMPLES: Readonly<Record<string, unknown>> = {
  items: [{ prompt: "你好" }, { prompt: "再见" }],
  params: { temperature: 0.7 },
};

/** A schema may be inside itself. */
const MAX_DEPTH = 4;

function sampleOf(given: Schema, root: Schema, depth: number): unknown {
  const { schema } = simple(given, root);
  if (schema.examples?.[0] !== undefined) return schema.examples[0];
  if (schema.default !== undefined && schema.default !== null) return schema.default;
  if (schema.enum?.[0] !== undefined) return schema.enum[0];
  if (schema.properties !== undefined && depth < MAX_DEPTH) {
    const parts = Object.entries(schema.properties).filter(
      ([name], at) => schema.required?.includes(name) ?? at === 0,
    );
    return Object.fromEntries(parts.map(([name, one]) => [name, sampleOf(one, root, depth + 1)]));
  }
  if (schema.items !== undefined && depth < MAX_DEPTH)
    return [sampleOf(schema.items, root, depth + 1)];
  if (schema.type === "string") return "…";
  if (schema.type === "integer" || schema.type === "number") return schema.minimum ?? 1;
  if (schema.type === "boolean") return true;
  return schema.type === "array" ? [] : {};
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
  if (kind === "boolean") return value === true;
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

/** The input to send; the server fills in what is left empty. */
export function inputOf(fields: readonly Field[], values: FormValues): Record<string, unknown> {
  const input: Record<string, unknown> = {};
  for (const field of fields) {
    const value = sentOf(field, values[field.name]);
    if (value !== undefined) input[field.name] = value;
    else if (field.isRequired) throw new BadField(field.name, "required");
  }
  return input;
}

function sentOf({ name, kind }: Field, value: unknown): unknown {
  if (kind === "boolean") return value === true;
  if (kind === "list")
    return (value as string[]).filter((each) => each !== "").length > 0 ? value : undefined;
  if (value === null || value === undefined || value === "") return undefined;
  if (kind === "number" || kind === "integer") {
    const number = Number(value);
    if (!Number.isFinite(number)) throw new BadField(name, "badNumber");
    return kind === "integer" ? Math.trunc(number) : number;
  }
  if (kind !== "json") return value;
  try {
    return JSON.parse(String(value));
  } catch {
    throw new BadField(name, "badJson");
  }
}
