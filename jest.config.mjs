// One jest over every compiled test of the workspace. Tests are real TypeScript output: nothing is transformed here.

import { existsSync } from "node:fs";
import path from "node:path";

const root = import.meta.dirname;

export default {
  rootDir: root,
  roots: ["packages", "services", "infra", "test", "examples"]
    .map((name) => path.join(root, name))
    .filter((folder) => existsSync(folder)),
  testMatch: ["**/dist/**/*.test.js"],
  testEnvironment: "node",
  transform: {},
  injectGlobals: false,
  testTimeout: 60_000, // some tests start servers and kill them; none should come near this
  maxWorkers: 2,
  watchman: false,
  reporters: [path.join(root, "test", "reporter.mjs")],
};
