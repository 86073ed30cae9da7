import { describe, expect, test } from "@jest/globals";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError, configurationPage, type Env, readConfig } from "./config.js";
import { VARIABLES } from "./config-table.js";
import { checkListener } from "./listener.js";

function mistakesOf(env: Env): readonly string[] {
  try {
    readConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.mistakes;
    throw error;
  }
  return [];
}

describe("readConfig", () => {
  test("has a working default for everything but the servers' addresses and the secrets", () => {
    const config = readConfig({ PATH: "/usr/bin" });
    expect(config).toMatchObject({
      host: "127.0.0.1",
      port: 7070,
      dataDir: ".outcry",
      ackTimeoutMs: 500,
      attemptsMax: 3,
      allowPlaintext: false,
    });
    expect(config.natsUrl).toBeUndefined();
    expect(config.wsAllowedOrigins).toEqual([]);
    expect(Object.isFrozen(config)).toBe(true);
  });

  test("takes the well-known names too, and its own before them", () => {
    const both = { NATS_URL: "nats://a:4222, nats://b:4222", REDIS_URL: "redis://x", OUTCRY_REDIS_URL: "redis://y" };
    expect(readConfig(both)).toMatchObject({ natsUrl: ["nats://a:4222", "nats://b:4222"], redisUrl: "redis://y" });
  });

  test("reports every mistake at once, with what was probably meant", () => {
    const env = {
      OUTCRY_PROT: "80",
      OUTCRY_PORT: "eighty",
      OUTCRY_LOG_LEVEL: "warning",
      OUTCRY_ATTEMPTS_MAX: "16",
      OUTCRY_ALLOW_PLAINTEXT: "yes",
      OUTCRY_REDIS_URL: "http://:hunter2@cache",
      OUTCRY_TLS_CERT_FILE: "cert.pem",
      OUTCRY_SOMETHING_ELSE: "1",
    };
    expect(mistakesOf(env)).toEqual([
      "OUTCRY_PROT is not known; did you mean OUTCRY_PORT?",
      "OUTCRY_SOMETHING_ELSE is not known",
      'OUTCRY_PORT: "eighty" is not a whole number from 0 to 65535',
      'OUTCRY_LOG_LEVEL: "warning" is none of debug, info, warn, error; did you mean warn?',
      "OUTCRY_REDIS_URL: the value is not a redis:// or rediss:// URL",
      'OUTCRY_ATTEMPTS_MAX: "16" is not a whole number from 1 to 15',
      'OUTCRY_ALLOW_PLAINTEXT: "yes" is neither true nor false',
      "OUTCRY_TLS_CERT_FILE and OUTCRY_TLS_KEY_FILE belong together: set both or none",
    ]);
  });

  test("does not mind what Kubernetes adds for a service called outcry", () => {
    const added = {
      OUTCRY_SERVICE_HOST: "10.0.0.1",
      OUTCRY_SERVICE_PORT: "7070",
      OUTCRY_PORT_7070_TCP_ADDR: "10.0.0.1",
    };
    expect(mistakesOf(added)).toEqual([]);
  });

  test("reads secrets from files, and names a file that cannot be read without showing values", () => {
    const dir = mkdtempSync(join(tmpdir(), "outcry-config-"));
    try {
      const file = join(dir, "secret");
      writeFileSync(file, "s3cret\n");
      expect(readConfig({ OUTCRY_CURSOR_SECRET_FILE: file }).cursorSecret).toBe("s3cret");
      const [missing, twice] = [
        mistakesOf({ OUTCRY_CURSOR_SECRET_FILE: join(dir, "none") }),
        mistakesOf({ OUTCRY_CURSOR_SECRET_FILE: file, OUTCRY_CURSOR_SECRET: "other" }),
      ];
      expect(missing[0]).toContain("OUTCRY_CURSOR_SECRET_FILE cannot be read (ENOENT)");
      expect(twice).toEqual(["OUTCRY_CURSOR_SECRET: is set twice: directly and by OUTCRY_CURSOR_SECRET_FILE"]);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  test("describes each variable in one table row", () => {
    const table = configurationPage();
    for (const { name, doc } of VARIABLES) {
      expect(table).toContain(`\`${name}\``);
      expect(table).toContain(doc);
    }
  });
});

describe("checkListener", () => {
  test.each(["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])("allows %s without TLS", (host) => {
    expect(checkListener({ host })).toEqual({ kind: "allowed" });
  });

  test.each(["0.0.0.0", "::", "", "10.0.0.5", "outcry.example", "127.0.0.1.example", "128.0.0.1"])(
    "refuses %s without TLS",
    (host) => {
      expect(checkListener({ host }).kind).toBe("refused");
      expect(checkListener({ host, tlsCertFile: "cert.pem" }).kind).toBe("allowed");
      expect(checkListener({ host, allowPlaintext: true }).kind).toBe("allowed");
    },
  );
});
