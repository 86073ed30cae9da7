// The README's example is a program of a seller's developer: it is run as it stands.

import { expect, test } from "@jest/globals";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import path from "node:path";

const folder = path.resolve(import.meta.dirname, "..");

test("the README's example runs to its end within seconds", async () => {
  const [, example] = /```js\n([\s\S]*?)```/.exec(readFileSync(path.join(folder, "README.md"), "utf8"))!;
  // From this folder the package finds itself by its own name.
  const child = spawn(process.execPath, ["--input-type=module", "-"], { cwd: folder, stdio: ["pipe", "pipe", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  child.stdin.end(example);
  const [code] = (await once(child, "close")) as [number | null];
  expect({ code, said }).toEqual({ code: 0, said: "" });
}, 15_000);
