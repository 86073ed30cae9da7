// Reads the workspace's own sources: which modules exist and what each imports. Text only; nothing is compiled or run.

import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";

export const repository = path.resolve(import.meta.dirname, "../..");

export interface Workspace {
  readonly name: string;
  /** Relative to the repository, `packages/protocol`. */
  readonly folder: string;
  readonly dependencies: ReadonlySet<string>;
  readonly devDependencies: ReadonlySet<string>;
  /** Folders of the projects that tsconfig.json refers to. */
  readonly references: ReadonlySet<string>;
  readonly sources: readonly Source[];
}

export interface Source {
  /** Relative to the repository. */
  readonly file: string;
  /** A test, or a helper that only tests import (`….fixture.ts`, `test-….ts`). */
  readonly isTest: boolean;
  readonly text: string;
  readonly imports: readonly string[];
}

export function readWorkspaces(): Workspace[] {
  const parents = ["packages", "services", "infra", "examples"].filter((name) =>
    existsSync(path.join(repository, name)),
  );
  const folders = parents.flatMap((parent) =>
    readdirSync(path.join(repository, parent)).map((name) => `${parent}/${name}`),
  );
  return [...folders, "test"]
    .filter((folder) => existsSync(path.join(repository, folder, "package.json")))
    .map(readWorkspace);
}

function readWorkspace(folder: string): Workspace {
  const manifest = readJson(path.join(folder, "package.json")) as {
    name: string;
    dependencies?: Record<string, string>;
    devDependencies?: Record<string, string>;
  };
  const project = existsSync(path.join(repository, folder, "tsconfig.json"))
    ? (readJson(path.join(folder, "tsconfig.json")) as { references?: { path: string }[] })
    : {};
  return {
    name: manifest.name,
    folder,
    dependencies: new Set(Object.keys(manifest.dependencies ?? {})),
    devDependencies: new Set(Object.keys(manifest.devDependencies ?? {})),
    references: new Set((project.references ?? []).map((reference) => path.join(folder, reference.path))),
    sources: readSources(path.join(folder, "src")),
  };
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(path.join(repository, file), "utf8"));
}

function readSources(folder: string): Source[] {
  if (!existsSync(path.join(repository, folder))) return [];
  return (readdirSync(path.join(repository, folder), { recursive: true }) as string[])
    .filter((name) => /\.(ts|tsx|mts)$/.test(name))
    .map((name) => {
      const text = withoutComments(readFileSync(path.join(repository, folder, name), "utf8"));
      const isTest = /\.(test|fixture)\.tsx?$/.test(name) || path.basename(name).startsWith("test-");
      return { file: path.join(folder, name), isTest, text, imports: importsOf(text) };
    });
}

/** Comments may name anything; strings stay, because module names are strings. */
function withoutComments(text: string): string {
  const tokens = /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g;
  return text.replace(tokens, (_, string: string | undefined) => string ?? "");
}

export function importsOf(text: string): string[] {
  const statements =
    /(?:^|[\n;])\s*(?:import|export)\s[^;'"]*?from\s*["']([^"']+)["']|(?:^|[\n;])\s*import\s*["']([^"']+)["']|\bimport\(\s*["']([^"']+)["']/g;
  return [...text.matchAll(statements)].map((match) => (match[1] ?? match[2] ?? match[3]) as string);
}

/** `@nats-io/nkeys/lib/x.js` → `@nats-io/nkeys`; `node:fs`, `#own` and relative paths → undefined. */
export function packageOf(specifier: string): string | undefined {
  if (/^(\.|#|node:)/.test(specifier)) return undefined;
  return specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");
}
