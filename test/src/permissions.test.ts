// docs/permissions.md is what the running service's routes and the NATS users' JWTs say (npm run docs writes it).

import { readFileSync } from "node:fs";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { permissionsPage } from "@outcry/dev";
import { CliWorld } from "./outcry-commands.js";
import { repository } from "./workspaces.js";

let world: CliWorld;
let page: string;

beforeAll(async () => {
  world = await CliWorld.start();
  page = permissionsPage(world.stack.routes);
});
afterAll(() => world?.stop());

const cellsOf = (start: string) =>
  page
    .split("\n")
    .find((line) => line.startsWith(`| \`${start}\``))!
    .split("|")
    .slice(2, -1)
    .map((cell) => cell.trim());

test("the page in docs is current", () => {
  expect(readFileSync(path.join(repository, "docs", "permissions.md"), "utf8")).toBe(page);
});

test("every route that the service has is in it", () => {
  for (const { method, url } of world.stack.routes)
    if (method !== "HEAD") expect(page).toContain(`\`${method} ${url.replaceAll(/:(\w+)/g, "{$1}")}\``);
});

test("rows read as the code means them", () => {
  expect(cellsOf("POST /v1/intents")).toEqual(["✓", "", "", "", "", ""]);
  expect(cellsOf("POST /v1/nodes")).toEqual(["", "", "", "", "✓", "invite"]);
  expect(cellsOf("GET /livez")).toEqual(["✓", "✓", "✓", "✓", "✓", "✓"]);
  expect(cellsOf("ucp.v1.ack.{id}.{id}")).toEqual(["ack", "pub sub", "", "", "", "pub", ""]);
  expect(cellsOf("_INBOX.{id}.reply")).toEqual(["a node's inbox", "pub sub", "pub", "", "", "sub", ""]);
});

test("no node may publish into the record, nor hear or speak for another", () => {
  const section = page.slice(page.indexOf("## NATS subjects"), page.indexOf("## What each"));
  const rows = section.split("\n").filter((line) => line.startsWith("| `"));
  expect(rows.length).toBeGreaterThan(20);
  for (const row of rows) {
    const cells = row.split("|").map((cell) => cell.trim());
    expect([cells[1], cells.at(-2)]).toEqual([cells[1], ""]);
    if (/^`(ucp\.v1\.intent|quotes|dead|rt|live|\$JS)/.test(cells[1]!))
      expect([cells[1], cells.at(-3)]).toEqual([cells[1], ""]);
  }
});
