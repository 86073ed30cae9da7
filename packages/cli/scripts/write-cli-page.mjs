// Writes docs/cli.md from the table of commands, and the completion scripts that a test holds against it.

import { mkdirSync, writeFileSync } from "node:fs";
import { cliPage, COMMANDS, completionScript, SHARED_OPTIONS, SHELLS } from "../dist/index.js";

writeFileSync(new URL("../../../docs/cli.md", import.meta.url), cliPage());
mkdirSync(new URL("../completions", import.meta.url), { recursive: true });
for (const shell of SHELLS)
  writeFileSync(
    new URL(`../completions/outcry.${shell}`, import.meta.url),
    completionScript(shell, COMMANDS, SHARED_OPTIONS),
  );
