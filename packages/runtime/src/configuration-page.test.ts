import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";
import { configurationPage } from "./index.js";

test("docs/configuration.md is today's table; `npm run docs` writes it", () => {
  expect(readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8")).toBe(configurationPage());
});
