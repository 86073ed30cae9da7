// What --file names: JSON as a file or from standard input. The service checks it against the schema, and names every fault at once.

import { readFileSync } from "node:fs";
import { parseStrict } from "@outcry/protocol";
import { UsageError } from "./exit-codes.js";

/** `-` is standard input. Throws UsageError. */
export async function readJsonFile<T>(path: string, readInput: () => Promise<string>): Promise<T> {
  const text = path === "-" ? await readInput() : readText(path);
  const parsed = parseStrict(new TextEncoder().encode(text));
  if (parsed.kind === "refused") throw new UsageError(`--file: ${parsed.code}: ${parsed.detail}`);
  return parsed.value as unknown as T;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UsageError(`--file: ${(error as Error).message}`);
  }
}
