// The NATS configurations beside this package with their variables set: what production appends to nats.conf, this appends too.

import { readFileSync } from "node:fs";
import path from "node:path";

const FOLDER = path.resolve(import.meta.dirname, "..", "nats");

export type NatsFile = "leaf-home" | "leaf-region" | "cluster" | "super-cluster";

/** A variable stands in nats.conf as a setting of its name, here without its `NATS_`; JSON is among the values that it takes. */
export function natsFile(files: readonly NatsFile[], variables: Readonly<Record<string, unknown>>): string {
  const set = Object.entries(variables).map(([name, value]) => `NATS_${name}: ${JSON.stringify(value)}`);
  return [...set, ...files.map((name) => readFileSync(path.join(FOLDER, `${name}.conf`), "utf8"))].join("\n");
}
