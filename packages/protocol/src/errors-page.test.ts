import { readFileSync } from "node:fs";
import { expect, test } from "@jest/globals";

interface Script {
  pagePath: string;
  errorsPage: () => string;
}

test("docs/errors.md is the error table: after a change run node packages/protocol/scripts/errors-page.mjs", async () => {
  const script = (await import(new URL("../scripts/errors-page.mjs", import.meta.url).href)) as Script;
  expect(readFileSync(script.pagePath, "utf8")).toBe(script.errorsPage());
});
