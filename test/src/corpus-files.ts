// Where the test data lies: beside the repository, out of its tree. Absent data is a fact, not an error: seeded sets stand in.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { repository } from "./workspaces.js";

const folder = process.env["OUTCRY_TEST_DATA"] ?? path.resolve(repository, "../shared/data");

export const hasCorpus = existsSync(path.join(folder, "jcs")) && existsSync(path.join(folder, "security"));

/** Every JSON file under a folder of the data, in the order of its name. */
export function jsonFilesUnder(name: string): { name: string; bytes: Uint8Array }[] {
  const names = (readdirSync(path.join(folder, name), { recursive: true }) as string[]).filter((file) =>
    file.endsWith(".json"),
  );
  return names
    .toSorted()
    .map((file) => ({ name: `${name}/${file}`, bytes: readFileSync(path.join(folder, name, file)) }));
}

export const readData = (name: string): string => readFileSync(path.join(folder, name), "utf8");
