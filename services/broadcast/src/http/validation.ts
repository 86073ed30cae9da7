// Schemas of requests through protocol's `check`: every pointer at once. Bodies are taken as they are; texts of a query
// become numbers or booleans only where the schema says so and in their one decimal form. Answers are not filtered.

import { check, OutcryError } from "@outcry/protocol";
import type { FastifySchemaCompiler } from "fastify";
import type { TSchema } from "typebox";

type Outcome = { value: unknown } | { error: Error };

export const validatorCompiler: FastifySchemaCompiler<TSchema> = ({ schema, httpPart }) => {
  // They describe the headers in the API document; each wrong header has its own code, so its route checks it.
  if (httpPart === "headers") return () => true;
  if (httpPart === "body") return (value) => outcome(schema, value, "validation_failed");
  return (value) => outcome(schema, typed(schema, value as Texts), "request_invalid");
};

export const serializerCompiler = () => (value: unknown) => JSON.stringify(value);

function outcome(schema: TSchema, value: unknown, code: "validation_failed" | "request_invalid"): Outcome {
  const checked = check(schema, value);
  if (checked.kind === "ok") return { value: checked.value };
  const places = checked.pointers.map(({ pointer }) => pointer || "the whole").join(", ");
  return {
    error: new OutcryError(code, `${checked.pointers.length} wrong: ${places}`, { pointers: checked.pointers }),
  };
}

type Texts = Record<string, string | string[]>;

const DECIMAL = /^-?(?:0|[1-9]\d{0,14})$/; // no sign tricks, no exponents, below 2^53

function typed(schema: TSchema, texts: Texts): Record<string, unknown> {
  const properties = (schema as { properties?: Record<string, { type?: string }> }).properties ?? {};
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, convert(properties[name]?.type, text)]));
}

function convert(type: string | undefined, text: string | string[]): unknown {
  if (typeof text !== "string") return text; // a repeated parameter: the schema names it
  if (type === "integer" && DECIMAL.test(text)) return Number(text);
  if (type === "boolean" && (text === "true" || text === "false")) return text === "true";
  return text;
}
