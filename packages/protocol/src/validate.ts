// Schema checks with every pointer at once, compiled on first use. Nothing is coerced, filled in or stripped.

import type { Static, TSchema } from "typebox";
import { Compile, type Validator } from "typebox/compile";
import type { ErrorPointer } from "./errors.js";

const POINTERS_MAX = 32; // a hostile body must not turn into a long answer

const compiled = new WeakMap<TSchema, Validator>();

function validatorOf(schema: TSchema): Validator {
  let validator = compiled.get(schema);
  if (validator === undefined) {
    validator = Compile(schema);
    compiled.set(schema, validator);
  }
  return validator;
}

export type Checked<T> = { kind: "ok"; value: T } | { kind: "invalid"; pointers: ErrorPointer[] };

/** The value, typed, or every place where it does not fit the schema. */
export function check<S extends TSchema>(schema: S, value: unknown): Checked<Static<S>> {
  const validator = validatorOf(schema);
  if (validator.Check(value)) return { kind: "ok", value: value as Static<S> };
  const pointers = validator
    .Errors(value)
    .slice(0, POINTERS_MAX)
    .map((error) => ({ pointer: missingKey(error) ?? error.instancePath, detail: error.message }));
  return { kind: "invalid", pointers };
}

/** A missing property is reported at its own place, not at its parent's. */
function missingKey(error: { keyword: string; instancePath: string; params: unknown }): string | undefined {
  if (error.keyword !== "required") return undefined;
  const [first] = (error.params as { requiredProperties?: string[] }).requiredProperties ?? [];
  return first === undefined ? undefined : `${error.instancePath}/${first.replaceAll("~", "~0").replaceAll("/", "~1")}`;
}
