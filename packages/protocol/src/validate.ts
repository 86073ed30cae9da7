// Schema checks with every pointer at once, compiled on first use. Nothing is coerced, filled in or stripped.

import type { Static, TSchema } from "typebox";
import { Compile, type Validator } from "typebox/compile";
import { Settings } from "typebox/system";
import type { ErrorPointer } from "./errors.js";

const POINTERS_MAX = 32; // a hostile body must not turn into a long answer
const ERRORS_MAX = 4 * POINTERS_MAX; // a union reports each of its branches

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

/** The value, typed, or every place where it does not fit the schema (the first 32). */
export function check<S extends TSchema>(schema: S, value: unknown): Checked<Static<S>> {
  const validator = validatorOf(schema);
  if (validator.Check(value)) return { kind: "ok", value: value as Static<S> };
  return { kind: "invalid", pointers: pointersOf(errorsOf(validator, value)) };
}

type Fault = ReturnType<Validator["Errors"]>[number];

/** TypeBox stops at eight errors unless told otherwise, and can only be told globally. */
function errorsOf(validator: Validator, value: unknown): Fault[] {
  const { maxErrors } = Settings.Get();
  Settings.Set({ maxErrors: ERRORS_MAX });
  try {
    return validator.Errors(value);
  } finally {
    Settings.Set({ maxErrors });
  }
}

function pointersOf(faults: readonly Fault[]): ErrorPointer[] {
  const places = new Map<string, { details: Set<string>; alternatives: boolean }>();
  for (const fault of faults) {
    for (const pointer of pointersOfFault(fault)) {
      const place = places.get(pointer) ?? { details: new Set(), alternatives: false };
      if (!places.has(pointer) && places.size < POINTERS_MAX) places.set(pointer, place);
      if (fault.keyword === "anyOf") place.alternatives = true;
      else place.details.add(detailOf(fault));
    }
  }
  return [...places].map(([pointer, { details, alternatives }]) => ({
    pointer,
    detail: [...details].join(alternatives ? " or " : "; ") || "fits no alternative",
  }));
}

/** A missing property is reported at its own place, not at its parent's. */
function pointersOfFault(fault: Fault): string[] {
  if (fault.keyword !== "required") return [fault.instancePath];
  const missing = fault.params.requiredProperties;
  return missing.map((key) => `${fault.instancePath}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`);
}

function detailOf(fault: Fault): string {
  switch (fault.keyword) {
    case "required":
      return "is missing";
    case "enum":
      return `must be one of ${fault.params.allowedValues.join(", ")}`;
    case "const":
      return `must be ${JSON.stringify(fault.params.allowedValue)}`;
    default:
      return fault.message;
  }
}
