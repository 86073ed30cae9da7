// What a browser downloads for `@outcry/client/realtime`: bundled and minified as an application would.

import { expect, test } from "@jest/globals";
import { build } from "esbuild";
import path from "node:path";
import { gzipSync } from "node:zlib";

const GZIP_BYTES_MAX = 8 * 1024;

async function bundle(entry: string) {
  const { outputFiles, metafile } = await build({
    stdin: { contents: entry, resolveDir: import.meta.dirname },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2022",
    write: false,
    metafile: true,
  });
  return { code: outputFiles[0]!.contents, inputs: Object.keys(metafile.inputs).filter((name) => name !== "<stdin>") };
}

test("the realtime part is at most 8 kB with gzip, and made of this package alone", async () => {
  const { code, inputs } = await bundle('export * from "@outcry/client/realtime";');
  expect(gzipSync(code).length).toBeLessThanOrEqual(GZIP_BYTES_MAX);
  expect(inputs.length).toBeGreaterThan(8);
  const own = path.resolve(import.meta.dirname, "..");
  expect(inputs.filter((name) => !path.resolve(name).startsWith(own + path.sep))).toEqual([]);
});
