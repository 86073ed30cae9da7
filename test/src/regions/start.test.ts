// `npm run regions`: both layouts come up whole, and a cursor goes from one region to the other.

import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { expect, test } from "@jest/globals";
import { repository } from "../workspaces.js";

const START = path.join(repository, "infra", "regions", "dist", "start.js");

async function run(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = spawn(process.execPath, [START, ...args], { cwd: repository, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (text: Buffer) => (output += text.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}

test.each(["leaf", "clusters"])(
  "%s: starts, takes a cursor from us to eu, and stops",
  async (layout) => {
    const { code, output } = await run(layout, "--once");
    expect(output).toMatch(/A cursor that us gave out went on in eu: [A-Za-z0-9_-]{23}\n$/);
    expect(code).toBe(0);
  },
  90_000,
);

test("another layout is answered with what there is", async () => {
  const { code, output } = await run("mesh");
  expect([code, output.startsWith("npm run regions")]).toEqual([2, true]);
}, 30_000);
