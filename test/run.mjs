// Runs every test of the workspace against real servers: finds or fetches them once, hands them to one jest by
// environment, and ends with the line `N passed, N failed`. Arguments are passed on to jest. It does not build.

import { spawn } from "node:child_process";
import { constants } from "node:os";
import path from "node:path";
import { findServers, ServersNotFound } from "../infra/servers/dist/index.js";

// With `--soak` first: the soaks, fault and history tests alone, at the size of OUTCRY_SOAK (default 10 times that of `npm test`);
// with `--soak --only <name>` one of them, or a folder of them. docs/soak.md has the names. One at a time: two of them starve each other.

const root = path.resolve(import.meta.dirname, "..");
const [first, ...rest] = process.argv.slice(2);
const soak = first === "--soak";
const jestArguments = soak ? soakArguments(rest) : process.argv.slice(2);
const endTimeoutMs = 20_000; // after the last result, for workers and servers to end
const startedAt = Date.now();

const servers = await findTestServers();
const { result, code } = await runJest(servers, jestArguments);
const counts = result ?? { passed: 0, failed: 1 }; // jest itself fell over
const unclean = code !== 0 && counts.failed === 0; // nothing found to run, or jest did not end by itself
const failed = counts.failed + (unclean ? 1 : 0);
process.stdout.write(`${counts.passed} passed, ${failed} failed\n`);
process.exitCode = failed > 0 || counts.passed === 0 ? 1 : 0;

function soakArguments([flag, name, ...others]) {
  const alone = "--runInBand";
  if (flag !== "--only") return [alone, "test/dist/(soaks|faults|regions)/", "histories", ...rest];
  if (!/^[a-z-]+$/.test(name ?? "")) {
    process.stderr.write("--only needs the name of a soak: docs/soak.md\n");
    process.exit(2);
  }
  const one = `(test/dist/(soaks|faults|regions)|ws-gateway/dist(/[a-z-]+)?)/${name}`;
  return [alone, `(${one}|test/dist/${name}/[a-z-]+)\\.test\\.js$`, ...others];
}

async function findTestServers() {
  try {
    return await findServers({
      dataDir: path.join(root, ".outcry"),
      env: process.env,
      progress: (line) => say("servers", line),
    });
  } catch (error) {
    if (!(error instanceof ServersNotFound)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.stdout.write("0 passed, 1 failed\n");
    process.exit(1);
  }
}

function runJest({ natsServer, redisServer }, args) {
  const env = {
    ...process.env,
    OUTCRY_NATS_SERVER: natsServer.path,
    OUTCRY_REDIS_SERVER: redisServer.path,
    ...(soak ? { OUTCRY_SOAK: process.env.OUTCRY_SOAK ?? "10" } : {}),
    NODE_ENV: "test",
    NODE_OPTIONS:
      `${process.env.NODE_OPTIONS ?? ""} --experimental-vm-modules --enable-source-maps --disable-warning=ExperimentalWarning`.trim(),
  };
  const jest = path.join(root, "node_modules", "jest", "bin", "jest.js");
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [jest, "--config", path.join(root, "jest.config.mjs"), ...args], {
      cwd: root,
      env,
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
    let received;
    let stuck = false;
    child.on("message", (message) => {
      received = message;
      setTimeout(() => {
        stuck = true;
        say("test", `jest did not end ${endTimeoutMs / 1000} s after its last test: a test leaves something open`);
        child.kill("SIGKILL");
      }, endTimeoutMs).unref();
    });
    child.on("error", (error) => say("test", `jest could not be started: ${error.message}`));
    child.on("close", (exitCode, signal) => {
      const failure = stuck || signal === null ? 1 : 128 + constants.signals[signal];
      resolve({ result: received, code: exitCode ?? failure });
    });
  });
}

function say(step, text) {
  const seconds = ((Date.now() - startedAt) / 1000).toFixed(1).padStart(6);
  process.stdout.write(`${seconds} s  ${step.padEnd(8)} ${text}\n`);
}
