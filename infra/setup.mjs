// Installs the workspace with its pinned pnpm and, with --build, compiles it with turbo.
// Plain Node without dependencies: it is the first thing that runs in a fresh clone, with an empty home folder.
// It does not fetch nats-server or redis-server (infra/servers does) and starts nothing.

import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, utimesSync } from "node:fs";
import { constants } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const manifest = JSON.parse(readFileSync(path.join(root, "package.json"), "utf8"));
const installStamp = path.join(root, "node_modules", ".modules.yaml");
const progressEveryMs = 1000; // pnpm reports many times a second
const silenceMaxMs = 5000; // nobody should wait longer than this without a sign of life
const outputKeptChars = 1_000_000; // enough to show why a build failed, bounded all the same
const startedAt = Date.now();
let saidAt = startedAt;

await main(process.argv.slice(2));

async function main(args) {
  const quiet = args.includes("--quiet");
  const unknown = args.find((arg) => !["--build", "--quiet"].includes(arg));
  if (unknown) fail(`unknown option ${unknown}`, "Use: node infra/setup.mjs [--build] [--quiet]");
  requireNode();

  const installed = installNeeded() ? await install() : false;
  const built = args.includes("--build") ? await build() : false;
  if (!quiet && !installed && !built) say("setup", "everything is up to date");
}

function requireNode() {
  const floor = /(\d+)\.(\d+)/.exec(manifest.engines.node);
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > Number(floor[1]) || (major === Number(floor[1]) && minor >= Number(floor[2]))) return;
  fail(
    `Node ${process.versions.node} is too old: ${manifest.engines.node} is needed.`,
    "Install a newer Node (for example from https://nodejs.org) and run the command again.",
  );
}

/** Anything that decides what is installed being newer than the last install. */
function installNeeded() {
  if (!existsSync(installStamp)) return true;
  const stamp = statSync(installStamp).mtimeMs;
  const deciding = ["package.json", "pnpm-lock.yaml", "pnpm-workspace.yaml"].map((name) => path.join(root, name));
  for (const folder of workspaceFolders()) deciding.push(path.join(folder, "package.json"));
  return deciding.some((file) => existsSync(file) && statSync(file).mtimeMs > stamp);
}

function workspaceFolders() {
  const text = readFileSync(path.join(root, "pnpm-workspace.yaml"), "utf8");
  const listed = /^packages:\n((?:\s+- .*\n)+)/m.exec(text)?.[1] ?? "";
  const patterns = [...listed.matchAll(/- "?([^"\n]+)"?/g)].map((match) => match[1]);
  return patterns.flatMap((pattern) => {
    if (!pattern.endsWith("/*")) return [path.join(root, pattern)];
    const parent = path.join(root, pattern.slice(0, -2));
    if (!existsSync(parent)) return [];
    return readdirSync(parent)
      .map((name) => path.join(parent, name))
      .filter((folder) => existsSync(path.join(folder, "package.json")));
  });
}

async function install() {
  const version = manifest.packageManager.split("@")[1];
  const { command, args } = pnpmCommand(version);
  say("install", command === "npx" ? `getting pnpm ${version} and the packages` : "bringing the packages up to date");
  let shownAt = Date.now();
  const { code, signal, output } = await run(
    "install",
    command,
    [...args, "install", "--frozen-lockfile", "--reporter=append-only"],
    (line) => {
      if (!line.startsWith("Progress:") || Date.now() - shownAt < progressEveryMs) return;
      shownAt = Date.now();
      say("install", line.slice("Progress: ".length));
    },
  );
  if (signal) endBy(signal);
  if (code !== 0) {
    process.stderr.write(output);
    fail(
      `the packages could not be installed (pnpm ended with ${code}).`,
      "Read the lines above. Most often the npm registry cannot be reached, or pnpm-lock.yaml does not fit package.json:",
      `then run \`npx pnpm@${version} install\` and keep the changed lock file.`,
    );
  }
  utimesSync(installStamp, new Date(), new Date()); // pnpm leaves it alone when nothing changed
  say("install", "done");
  return true;
}

function pnpmCommand(version) {
  const local = path.join(root, "node_modules", ".bin", "pnpm");
  const localManifest = path.join(root, "node_modules", "pnpm", "package.json");
  const usable =
    existsSync(local) &&
    existsSync(localManifest) &&
    JSON.parse(readFileSync(localManifest, "utf8")).version === version;
  return usable ? { command: local, args: [] } : { command: "npx", args: ["--yes", `pnpm@${version}`] };
}

async function build() {
  const turbo = path.join(root, "node_modules", ".bin", "turbo");
  const total = workspaceFolders().length;
  let compiled = 0;
  let seen = 0;
  const { code, signal, output } = await run(
    "build",
    turbo,
    ["run", "build", "--output-logs=new-only", "--ui=stream", "--no-color"],
    (line) => {
      const task = /^(\S+):build: cache (hit|miss)/.exec(line);
      if (!task) return;
      seen += 1;
      if (task[2] === "hit") return;
      compiled += 1;
      say("build", `${task[1]} (${seen} of ${total})`);
    },
  );
  if (signal) endBy(signal);
  if (code !== 0) {
    process.stderr.write(output.replace(/^\S+:build: (cache (hit|miss)|\$ ).*\n/gm, ""));
    fail("the build failed.", "The compiler's messages are above.");
  }
  removeOrphans();
  if (compiled > 0) say("build", "done");
  return compiled > 0;
}

/** tsc never deletes: without this, the output of a removed source (a removed test, say) would go on running. */
function removeOrphans() {
  for (const folder of workspaceFolders()) {
    const dist = path.join(folder, "dist");
    if (!existsSync(dist)) continue;
    for (const name of readdirSync(dist, { recursive: true })) {
      const stem = /^(.*?)(\.d\.ts|\.js)(\.map)?$/.exec(name)?.[1];
      if (stem === undefined) continue;
      const source = path.join(folder, "src", stem);
      if (!existsSync(`${source}.ts`) && !existsSync(`${source}.tsx`)) rmSync(path.join(dist, name));
    }
  }
}

/** Runs a child in the workspace root, hands on signals, and keeps its output for the case that it fails. */
function run(step, command, args, onLine) {
  return new Promise((resolve) => {
    const bin = path.join(root, "node_modules", ".bin");
    const env = {
      ...process.env,
      PATH: [bin, process.env.PATH ?? "", path.dirname(process.execPath)].join(path.delimiter),
      TURBO_TELEMETRY_DISABLED: "1",
      npm_config_update_notifier: "false",
    };
    const child = spawn(command, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"];
    let interruptedBy;
    const handOn = (signal) => {
      interruptedBy = signal;
      if (child.pid === undefined || child.exitCode !== null) return;
      process.kill(-child.pid, signal); // the whole group: npx does not hand signals on
    };
    for (const signal of signals) process.on(signal, handOn);

    const signOfLife = setInterval(() => {
      if (Date.now() - saidAt >= silenceMaxMs) say(step, "still working");
    }, 1000);
    let output = "";
    let rest = "";
    const read = (chunk) => {
      output = (output + chunk).slice(-outputKeptChars);
      const lines = (rest + chunk).split("\n");
      rest = lines.pop();
      for (const line of lines) onLine(line);
    };
    child.stdout.setEncoding("utf8").on("data", read);
    child.stderr.setEncoding("utf8").on("data", read);
    child.on("error", (error) => {
      fail(
        `${path.basename(command)} could not be started: ${error.message}`,
        "Node comes with npm and npx: are they on PATH?",
      );
    });
    child.on("close", (code, signal) => {
      clearInterval(signOfLife);
      for (const name of signals) process.off(name, handOn);
      resolve({ code, signal: interruptedBy ?? signal, output });
    });
  });
}

function say(step, text) {
  saidAt = Date.now();
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1).padStart(6);
  process.stdout.write(`${seconds} s  ${step.padEnd(8)} ${text}\n`);
}

function fail(what, ...whatToDo) {
  process.stderr.write(`\nsetup: ${what}\n`);
  for (const line of whatToDo) process.stderr.write(`       ${line}\n`);
  process.exit(1);
}

function endBy(signal) {
  process.exit(128 + constants.signals[signal]);
}
