import { expect, test } from "@jest/globals";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { systemClock } from "@outcry/protocol";
import { isUpToDate, mintTapUsers } from "./auth.js";
import { openAuthFolder } from "./auth-folder.js";

const jwtOf = (creds: string): string => creds.split("\n")[1]!;

test("a user whose permissions are of an older version is minted anew; the others stay as they are", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "outcry-auth-"));
  try {
    const deps = { clock: systemClock };
    const { tree, creds } = openAuthFolder(folder, deps);
    const older = mintTapUsers(tree, deps, { tap: "older" }).gateway.creds;
    writeFileSync(path.join(folder, "gateway.creds"), older, { mode: 0o600 });
    const again = openAuthFolder(folder, deps);
    expect(again.tree).toEqual(tree);
    expect(isUpToDate(jwtOf(older), { kind: "gateway" })).toBe(false);
    expect(isUpToDate(jwtOf(again.creds.gateway), { kind: "gateway" })).toBe(true);
    expect(again.creds).toMatchObject({ service: creds.service, replies: creds.replies, system: creds.system });
    expect(readFileSync(path.join(folder, "gateway.creds"), "utf8")).toBe(again.creds.gateway);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
