// Writes docs/permissions.md from the routes of a service that runs while this does, on servers and data of its own.

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { findServers } from "@outcry/servers";
import { permissionsPage, startStack } from "../dist/index.js";

const root = path.resolve(import.meta.dirname, "../../..");
const dataDir = mkdtempSync(path.join(tmpdir(), "outcry-docs-"));
const stack = await startStack({
  dataDir,
  ports: { http: 0, nats: 0, redis: 0 },
  env: { OUTCRY_LOG_LEVEL: "error" },
  find: () => findServers({ dataDir: path.join(root, ".outcry"), env: process.env }),
  progress: () => undefined,
});
writeFileSync(path.join(root, "docs", "permissions.md"), permissionsPage(stack.routes));
await stack.stop();
rmSync(dataDir, { recursive: true, force: true });
process.exit(0);
