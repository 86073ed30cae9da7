// A realm with what every browser has and nothing of Node: no process, Buffer or require, no eval, packages by their browser exports.

import { existsSync, readFileSync, realpathSync } from "node:fs";
import path from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import vm from "node:vm";

type Exports = string | null | Exports[] | { [condition: string]: Exports };
interface Manifest {
  exports?: Exports;
  module?: string;
  main?: string;
}

export interface BrowserRealm {
  /** Its global object. */
  readonly globals: Record<string, unknown>;
  /** Files of everything that was loaded. */
  readonly files: ReadonlySet<string>;
  /** Runs a module's text that may import what was loaded; its `result` export comes back. */
  run(text: string): Promise<unknown>;
}

/** Loads a module and all that it imports. Throws for an import of Node's own modules. */
export async function browserRealm(entry: string): Promise<BrowserRealm> {
  const globals = { TextEncoder, TextDecoder, crypto, console };
  const context = vm.createContext(globals, { codeGeneration: { strings: false, wasm: false } });
  const modules = new Map<string, vm.SourceTextModule>();

  const load = (file: string): vm.SourceTextModule => {
    const loaded = modules.get(file);
    if (loaded !== undefined) return loaded;
    const module = new vm.SourceTextModule(readFileSync(file, "utf8"), {
      context,
      identifier: pathToFileURL(file).href,
    });
    modules.set(file, module);
    return module;
  };
  const link = (specifier: string, from: vm.Module) => load(resolve(specifier, from.identifier));
  const evaluate = async (module: vm.SourceTextModule) => {
    await module.link(link);
    await module.evaluate();
  };

  await evaluate(load(realpathSync(entry)));
  return {
    globals,
    files: new Set(modules.keys()),
    async run(text) {
      const module = new vm.SourceTextModule(text, { context, identifier: pathToFileURL(entry).href });
      await evaluate(module);
      return (module.namespace as { result?: unknown }).result;
    },
  };
}

function resolve(specifier: string, from: string): string {
  if (specifier.startsWith(".")) return realpathSync(fileURLToPath(new URL(specifier, from)));
  if (specifier.startsWith("#")) return ownImport(specifier, path.dirname(fileURLToPath(from)));
  if (specifier.startsWith("node:")) throw new Error(`${from} imports ${specifier}`);
  const [scope, second, ...rest] = specifier.split("/") as [string, ...string[]];
  const name = scope.startsWith("@") ? `${scope}/${second}` : scope;
  const inside = scope.startsWith("@") ? rest : [second, ...rest].filter((part) => part !== undefined);
  const folder = packageFolder(name, path.dirname(fileURLToPath(from)));
  const manifest = JSON.parse(readFileSync(path.join(folder, "package.json"), "utf8")) as Manifest;
  const target = entryOf(manifest, [".", ...inside].join("/"));
  if (target === undefined) throw new Error(`${specifier} has no browser entry`);
  return realpathSync(path.join(folder, target));
}

/** `#name` of the package that the importing file belongs to. */
function ownImport(specifier: string, folder: string): string {
  const manifest = path.join(folder, "package.json");
  if (!existsSync(manifest)) return ownImport(specifier, path.dirname(folder));
  const { imports } = JSON.parse(readFileSync(manifest, "utf8")) as { imports?: Record<string, Exports> };
  const target = choose(imports?.[specifier]);
  if (target === undefined) throw new Error(`${specifier} has no browser entry`);
  return realpathSync(path.join(folder, target));
}

function packageFolder(name: string, start: string): string {
  const folder = path.join(start, "node_modules", name);
  if (existsSync(folder)) return realpathSync(folder);
  if (path.dirname(start) === start) throw new Error(`no package ${name}; a module of Node?`);
  return packageFolder(name, path.dirname(start));
}

function entryOf({ exports, module, main }: Manifest, subpath: string): string | undefined {
  if (exports === undefined) return module ?? main;
  const keyed = typeof exports === "object" && exports !== null && !Array.isArray(exports) && "." in exports;
  return choose(keyed ? exports[subpath] : exports);
}

/** As bundlers for browsers do: the first condition that holds. */
function choose(target: Exports | undefined): string | undefined {
  if (target === undefined || target === null || typeof target === "string") return target ?? undefined;
  if (Array.isArray(target)) return choose(target[0]);
  const condition = Object.keys(target).find((name) => ["browser", "import", "default"].includes(name));
  return condition === undefined ? undefined : choose(target[condition]);
}
