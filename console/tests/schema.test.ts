import { expect, test } from "vitest";
import { BadField, fieldsOf, initialValues, inputOf, type Schema } from "../src/data/schema";

const SCHEMA: Schema = {
  type: "object",
  required: ["prompt", "sku"],
  properties: {
    prompt: { type: "string", maxLength: 200_000, examples: ["你好"] },
    sku: { type: "string", maxLength: 64 },
    style: { $ref: "#/$defs/Style", default: "natural" },
    user_id: { anyOf: [{ type: "string", maxLength: 64 }, { type: "null" }], default: null },
    count: { type: "integer", default: 3 },
    warm: { type: "number" },
    deep: { type: "boolean", default: true },
    tags: { type: "array", items: { type: "string" } },
    params: { type: "object" },
  },
  $defs: { Style: { enum: ["natural", "funny"], type: "string" } },
};
const fields = fieldsOf(SCHEMA);
const begun = initialValues(fields);

test("each kind of field is one that people can fill in", () => {
  expect(fields.map(({ name, kind }) => [name, kind])).toEqual([
    ["prompt", "multiline"],
    ["sku", "text"],
    ["style", "choice"],
    ["user_id", "text"],
    ["count", "integer"],
    ["warm", "number"],
    ["deep", "boolean"],
    ["tags", "list"],
    ["params", "json"],
  ]);
  expect(fields.filter(({ isNullable }) => isNullable).map(({ name }) => name)).toEqual([
    "user_id",
  ]);
});

test("it begins with what the schema says, and what is left empty is not sent", () => {
  expect(begun).toMatchObject({ prompt: "你好", style: "natural", count: 3, deep: true, tags: [] });
  expect(inputOf(fields, { ...begun, sku: "8WZ01CM1" })).toEqual({
    prompt: "你好",
    sku: "8WZ01CM1",
    style: "natural",
    count: 3,
    deep: true,
  });
});

test("what was filled in is sent as what it is", () => {
  const filled = { ...begun, sku: "x", count: "4", warm: "0.5", tags: ["a"], params: '{"n": 1}' };
  expect(inputOf(fields, filled)).toMatchObject({
    count: 4,
    warm: 0.5,
    tags: ["a"],
    params: { n: 1 },
  });
});

test.each([
  [{ sku: "" }, "sku", "required"],
  [{ sku: "x", count: "vier" }, "count", "badNumber"],
  [{ sku: "x", params: "{" }, "params", "badJson"],
])("what is wrong is told with its field: %o", (change, field, problem) => {
  const send = () => inputOf(fields, { ...begun, ...change });
  expect(send).toThrow(BadField);
  expect(send).toThrow(expect.objectContaining({ field, problem }));
});
