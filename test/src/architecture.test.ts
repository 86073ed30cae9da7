// The rules of layout: imports go strictly down, each foreign system has one owner, the environment is read in one place.

import { describe, expect, test } from "@jest/globals";
import { importsOf, packageOf, readWorkspaces, type Source, type Workspace } from "./workspaces.js";

/** An import may only go to a strictly lower level, so two of one level (two services, say) never meet. */
const levels: Readonly<Record<string, number>> = {
  "packages/protocol": 0,
  "infra/servers": 0,
  "packages/signing": 1,
  "packages/selection": 1,
  "packages/backbone": 2,
  "packages/jobs": 2,
  "packages/runtime": 2,
  "packages/delivery": 3,
  "packages/ws-gateway": 3,
  "packages/node-sdk": 3,
  "packages/client": 3,
  "packages/cli": 4,
  "packages/testkit": 4,
  "services/broadcast": 5,
  "services/intake": 5,
  "services/gateway": 5,
  "infra/dev": 6,
  "infra/regions": 6,
  test: 7,
};
const examplesLevel = 7;

const owners: readonly { what: string; matches: RegExp; folders: readonly string[] }[] = [
  { what: "NATS", matches: /^(@nats-io\/.*|nats)$/, folders: ["packages/backbone", "packages/node-sdk", "test"] },
  { what: "Redis and BullMQ", matches: /^(ioredis|bullmq|redis)$/, folders: ["packages/jobs", "test"] },
  { what: "Fastify", matches: /^(fastify|@fastify\/.*)$/, folders: ["services/", "infra/dev", "test"] },
  {
    what: "canonical JSON",
    matches: /^(canonicalize|json-canonicalize)$/,
    folders: ["packages/protocol", "packages/signing"],
  },
  { what: "the curve", matches: /^(@noble\/.*|libsodium.*)$/, folders: ["packages/protocol", "packages/signing"] },
  { what: "SQL", matches: /^(pg|postgres|@electric-sql\/.*)$/, folders: ["services/history"] },
];

const environmentReaders = ["packages/cli", "packages/runtime", "infra/", "test"];
const browserPackages = ["packages/protocol"];

const workspaces = readWorkspaces();
const folderOf = new Map(workspaces.map((workspace) => [workspace.name, workspace.folder]));

/** The two builds of a `#` import. */
const hasBrowserTwin = (file: string): boolean =>
  file.endsWith("-node.ts") &&
  workspaces.some(({ sources }) => sources.some((other) => other.file === file.replace(/-node\.ts$/, "-browser.ts")));

/** One line per breach, so that a failure reads as a list of what to change. */
function breaches(rule: (workspace: Workspace, source: Source) => string[]): string[] {
  return workspaces.flatMap((workspace) =>
    workspace.sources.flatMap((source) => rule(workspace, source).map((what) => `${source.file}: ${what}`)),
  );
}

function levelOf(folder: string): number | undefined {
  return folder.startsWith("examples/") ? examplesLevel : levels[folder];
}

function within(folder: string, folders: readonly string[]): boolean {
  return folders.some((owner) => (owner.endsWith("/") ? folder.startsWith(owner) : folder === owner));
}

function packagesOf(source: Source): string[] {
  return source.imports.flatMap((specifier) => packageOf(specifier) ?? []);
}

describe("the layout", () => {
  test("gives every workspace a level", () => {
    expect(workspaces.length).toBeGreaterThan(10);
    expect(workspaces.filter(({ folder }) => levelOf(folder) === undefined).map(({ folder }) => folder)).toEqual([]);
  });

  test("lets imports go only to a strictly lower level", () => {
    const upward = breaches((workspace, source) =>
      packagesOf(source).flatMap((name) => {
        const target = folderOf.get(name);
        if (target === undefined || isBelow(target, workspace.folder)) return [];
        return [
          `${workspace.folder} (level ${levelOf(workspace.folder)}) may not import ${name} (level ${levelOf(target)})`,
        ];
      }),
    );
    expect(upward).toEqual([]);
  });

  test("lets declared dependencies and project references go only down, too", () => {
    const upward = workspaces.flatMap(({ folder, dependencies, devDependencies, references }) => {
      const declared = [...dependencies, ...devDependencies].flatMap((name) => folderOf.get(name) ?? []);
      return [...declared, ...references]
        .filter((target) => !isBelow(target, folder))
        .map((target) => `${folder} → ${target}`);
    });
    expect(upward).toEqual([]);
  });

  test("has every package that is imported declared where it is imported", () => {
    const undeclared = breaches((workspace, source) => {
      const declared = source.isTest ? [workspace.dependencies, workspace.devDependencies] : [workspace.dependencies];
      return packagesOf(source)
        .filter((name) => name !== workspace.name && !isRootTool(name, source))
        .filter((name) => !declared.some((names) => names.has(name)))
        .map((name) => `${name} is not declared in ${workspace.folder}/package.json`);
    });
    expect(undeclared).toEqual([]);
  });

  test("has a project reference for every workspace package that is declared", () => {
    const missing = workspaces.flatMap(({ folder, dependencies, devDependencies, references, sources }) => {
      if (sources.length === 0) return [];
      const targets = [...dependencies, ...devDependencies].flatMap((name) => folderOf.get(name) ?? []);
      return targets
        .filter((target) => !references.has(target))
        .map((target) => `${folder}/tsconfig.json lacks ${target}`);
    });
    expect(missing).toEqual([]);
  });
});

describe("ownership", () => {
  test.each(owners)("$what is imported only by its owners", ({ matches, folders }) => {
    const foreign = breaches((workspace, source) =>
      within(workspace.folder, folders) ? [] : packagesOf(source).filter((name) => matches.test(name)),
    );
    expect(foreign).toEqual([]);
  });

  test("the environment is read only by the runtime, the infrastructure and tests", () => {
    const readers = breaches((workspace, source) =>
      !source.isTest &&
      !within(workspace.folder, environmentReaders) &&
      /\bprocess\s*(\.|\?\.|\[\s*["'])\s*env\b/.test(source.text)
        ? ["reads process.env"]
        : [],
    );
    expect(readers).toEqual([]);
  });

  test("what runs in browsers imports nothing of Node, but in a file that has a twin for browsers", () => {
    const nodeOnly = breaches((workspace, source) =>
      !source.isTest && within(workspace.folder, browserPackages) && !hasBrowserTwin(source.file)
        ? source.imports.filter((specifier) => specifier.startsWith("node:"))
        : [],
    );
    expect(nodeOnly).toEqual([]);
  });

  test("nothing shipped imports a test or a test's helper", () => {
    const imported = breaches((_, source) =>
      source.isTest
        ? []
        : source.imports.filter((specifier) =>
            /^\.{1,2}\/(.*\/)?(test-[^/]*|[^/]*\.(test|fixture))\.js$/.test(specifier),
          ),
    );
    expect(imported.filter((line) => !line.startsWith("test/"))).toEqual([]);
  });

  test("an index only re-exports", () => {
    const doing = breaches((_, source) => {
      if (!source.file.endsWith("/src/index.ts")) return [];
      const rest = source.text
        .replace(/export\s+(?:type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})(?:\s*from\s*["'][^"']+["'])?\s*;?/g, "")
        .trim();
      return rest === "" ? [] : [`holds more than re-exports: ${rest.slice(0, 60)}`];
    });
    expect(doing).toEqual([]);
  });
});

describe("reading imports", () => {
  test("sees every form and no lookalike", () => {
    const importWord = "import"; // put together, because this file is read, too
    const text = [
      'import { a } from "one";',
      "import {\n  b,\n} from 'two/deep/x.js';",
      'import type { C } from "@scope/three/four";',
      'import "five";',
      'export * from "six";',
      `const seven = await ${importWord}("seven");`,
      'const text = "import x from eight";',
    ].join("\n");
    expect(importsOf(text).flatMap((name) => packageOf(name) ?? [])).toEqual([
      "one",
      "two",
      "@scope/three",
      "five",
      "six",
      "seven",
    ]);
  });
});

function isBelow(target: string, folder: string): boolean {
  const from = levelOf(folder);
  const to = levelOf(target);
  return target === folder || (from !== undefined && to !== undefined && to < from);
}

/** Jest comes from the root: it runs every workspace's tests. */
function isRootTool(name: string, source: Source): boolean {
  return name === "@jest/globals" && source.isTest;
}
