// A JSON schema as rows that people read: each place with its type, whether it must be there, and its bounds.

export interface Schema {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly patternProperties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly $ref?: string;
  readonly [keyword: string]: unknown;
}

export interface SchemaRow {
  readonly place: string;
  readonly type: string;
  readonly required: boolean;
  readonly notes: string;
}

const DEPTH_MAX = 8; // our schemas are half as deep

/** Rows of everything below the schema; none for what has no members. */
export function schemaRows(schema: Schema, place = "", depth = 0): SchemaRow[] {
  if (depth > DEPTH_MAX) return [];
  const inItems = schema.items === undefined ? [] : schemaRows(schema.items, `${place}[]`, depth + 1);
  const inAlternatives = (schema.anyOf ?? []).flatMap((one) => schemaRows(one, place, depth + 1));
  const inMembers = Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const at = place === "" ? name : `${place}.${name}`;
    const row = {
      place: at,
      type: typeName(member),
      required: schema.required?.includes(name) ?? false,
      notes: notesOf(member),
    };
    return [row, ...schemaRows(member, at, depth + 1)];
  });
  return [...inMembers, ...inItems, ...inAlternatives];
}

export function typeName(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.split("/").at(-1)!;
  if ("const" in schema) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.anyOf !== undefined) return [...new Set(schema.anyOf.map(typeName))].join(" | ");
  if (schema.type === "array") return `${typeName(schema.items ?? {})}[]`;
  if (schema.patternProperties !== undefined)
    return `map of ${Object.values(schema.patternProperties).map(typeName).join(" | ")}`;
  return schema.type === undefined ? "any" : [schema.type].flat().join(" | ");
}

const BOUNDS = [
  ["minLength", "at least", "characters"],
  ["maxLength", "at most", "characters"],
  ["minItems", "at least", "items"],
  ["maxItems", "at most", "items"],
  ["minimum", "from", ""],
  ["maximum", "to", ""],
  ["default", "default", ""],
  ["pattern", "matches", ""],
] as const;

function notesOf(schema: Schema): string {
  const bounds = BOUNDS.flatMap(([keyword, before, after]) =>
    schema[keyword] === undefined ? [] : [`${before} ${JSON.stringify(schema[keyword])} ${after}`.trim()],
  );
  return [...(schema.description === undefined ? [] : [schema.description]), ...bounds].join("; ");
}
